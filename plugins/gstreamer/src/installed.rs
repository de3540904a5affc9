//! Every installed element as `gst/NAME`: pads, caps and properties as GStreamer says them.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer::{PadDirection, PadPresence};
use millstream_plugin_sdk::factory::Dynamic;
use millstream_plugin_sdk::prelude::*;
use serde_json::Value as Json;

use crate::{element, joined, launch, properties};

/// How the names begin.
const PREFIX: &str = "gst/";

/// Sources that cannot be held back, beside those that have a property `is-live`.
const LIVE: [&str; 9] =
    ["v4l2src", "alsasrc", "pulsesrc", "pipewiresrc", "autovideosrc", "autoaudiosrc", "udpsrc", "rtspsrc", "ximagesrc"];

/// Where plugins of GStreamer are: what is installed there changes the list.
const FOLDERS: [&str; 7] = [
    "/usr/lib/x86_64-linux-gnu/gstreamer-1.0",
    "/usr/lib/aarch64-linux-gnu/gstreamer-1.0",
    "/usr/lib/gstreamer-1.0",
    "/usr/local/lib/gstreamer-1.0",
    "${HOME}/.local/share/gstreamer-1.0/plugins",
    "${GST_PLUGIN_PATH}",
    "${GST_PLUGIN_SYSTEM_PATH}",
];

/// What the host may ask.
pub(crate) fn dynamic() -> Dynamic {
    let stamp = FOLDERS.map(str::to_owned).into();
    Dynamic { prefix: PREFIX, aliases: true, stamp, all, find }
}

fn all() -> Vec<Factory> {
    if launch::init().is_err() {
        return Vec::new();
    }
    let elements = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::ANY, gst::Rank::NONE);
    let mut all: Vec<Factory> = elements.into_iter().filter_map(|found| factory(&found)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn find(name: &str) -> Option<Factory> {
    launch::init().ok()?;
    factory(&gst::ElementFactory::find(name.strip_prefix(PREFIX)?)?)
}

/// What is known of an element. `None` where its plugin cannot be loaded.
fn factory(found: &gst::ElementFactory) -> Option<Factory> {
    let loaded = found.load().ok()?.downcast::<gst::ElementFactory>().ok()?;
    let class = glib::Class::<glib::Object>::from_type(loaded.element_type())?;
    let properties = properties::of(&class);
    let word = |key: &str| loaded.metadata(key).unwrap_or_default().trim_end_matches('.').to_owned();
    let (name, kind) = (loaded.name().to_string(), word("klass"));
    let live = properties.iter().any(|property| property.name == "is-live");
    let schema = properties::schema(&properties);
    let of = name.clone();
    let build = move |settings: &Json, cx: &BuildCx| build(&of, settings, cx);
    let summary = one_line(&word("long-name"));
    let mut factory = Factory::dynamic(format!("{PREFIX}{name}"), kind, summary, schema, build)
        .details(format!("{}.\n\nOf GStreamer's plugin `{}`.", word("description"), plugin_of(&loaded)))
        .joined(joined::NAME)
        .burns_compute();
    for template in loaded.static_pad_templates() {
        factory = factory.pad(pad(&template));
    }
    let always = LIVE.contains(&name.as_str());
    Some(match (always, live) {
        (true, _) => factory.live(),
        (false, true) => factory.live_if("is-live"),
        (false, false) => factory,
    })
}

fn plugin_of(factory: &gst::ElementFactory) -> String {
    factory.plugin().map(|plugin| plugin.plugin_name().to_string()).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pad(template: &gst::StaticPadTemplate) -> PadTemplate {
    let (name, caps) = (pattern(template.name_template()), caps_text(&template.caps()));
    let pad = match template.direction() {
        PadDirection::Sink => PadTemplate::sink(name, caps),
        _ => PadTemplate::src(name, caps),
    };
    match template.presence() {
        PadPresence::Always => pad,
        PadPresence::Sometimes => pad.sometimes(),
        PadPresence::Request => pad.request(),
    }
}

/// Names of pads with one place for a number or word; GStreamer has some with several.
fn pattern(template: &str) -> String {
    match template.split_once('%') {
        None => template.to_owned(),
        Some((head, tail))
            if !tail.contains('%') && tail.trim_start_matches(|c: char| c.is_ascii_digit()).len() == 1 =>
        {
            format!("{head}%{}", if tail.ends_with('s') { "s" } else { "u" })
        }
        Some((head, _)) => format!("{head}%s"),
    }
}

/// Caps of a template in words that ours have too. What ours cannot say is left open, as is where the memory is: within a bin it can be anywhere.
fn caps_text(caps: &gst::Caps) -> String {
    if caps.is_any() {
        return "ANY".to_owned();
    }
    let mut all: Vec<String> = Vec::new();
    for text in caps.iter().filter_map(structure_text) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    if all.is_empty() { "ANY".to_owned() } else { all.join("; ") }
}

fn structure_text(structure: &gst::StructureRef) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/:".contains(c);
    let name = structure.name();
    if !name.contains('/') || !name.chars().all(plain) {
        return None;
    }
    let mut text = name.to_string();
    for (field, value) in structure.iter().filter(|(field, _)| field.chars().all(plain)) {
        if let Some(value) = value_text(value) {
            text += &format!(", {field}={value}");
        }
    }
    Some(text)
}

/// A value, list or range; `None` for types that ours do not have.
fn value_text(value: &glib::Value) -> Option<String> {
    if let Ok(list) = value.get::<gst::List>() {
        let values: Option<Vec<String>> = list.iter().map(|value| value_text(value)).collect();
        let values = values.filter(|values| !values.is_empty() && !values.iter().any(|v| v.starts_with('[')))?;
        return Some(format!("{{ {} }}", values.join(", ")));
    }
    if let Ok(range) = value.get::<gst::IntRange<i32>>() {
        return Some(format!("[ {}, {} ]", range.min(), range.max()));
    }
    if let Ok(range) = value.get::<gst::FractionRange>() {
        let (min, max) = (range.min(), range.max());
        return Some(format!("[ {}/{}, {}/{} ]", min.numer(), min.denom(), max.numer(), max.denom()));
    }
    if let Ok(text) = value.get::<&str>() {
        let plain = !text.contains(['"', '\\']);
        return plain.then(|| format!("\"{text}\""));
    }
    if let Ok(fraction) = value.get::<gst::Fraction>() {
        return Some(format!("{}/{}", fraction.numer(), fraction.denom()));
    }
    let flag = || value.get::<bool>().ok().map(|flag| flag.to_string());
    value.get::<i32>().ok().map(|number| number.to_string()).or_else(flag)
}

fn build(name: &str, settings: &Json, cx: &BuildCx) -> Result<Element> {
    launch::init()?;
    let bin = gst::Bin::with_name("single");
    bin.add(&make(name, &cx.name, settings)?).map_err(|_| Error::bug("an element cannot be put into a bin"))?;
    element::element(&bin, Vec::new(), cx)
}

/// Makes an element with its name and properties.
pub(crate) fn make(name: &str, called: &str, settings: &Json) -> Result<gst::Element> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let element = gst::ElementFactory::make(name)
        .name(called)
        .build()
        .map_err(|_| Error::unsupported(format!("GStreamer cannot make `{name}`")))?;
    properties::set(&element, settings)?;
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str) -> Json {
        find(&format!("{PREFIX}{name}")).expect("it is installed").describe()
    }

    #[test]
    fn pads_are_those_of_gst_inspect() {
        let mux = described("flvmux");
        let pads = mux["pads"].as_array().expect("pads");
        let of = |name: &str| pads.iter().find(|pad| pad["name"] == name).expect("the pad").clone();
        assert_eq!((&of("audio")["presence"], &of("src")["presence"]), (&"request".into(), &"always".into()));
        assert!(of("video")["caps"].as_str().expect("text").contains("video/x-h264, stream-format=\"avc\""));
        let all = all();
        assert!(all.len() > 500, "{}", all.len());
        for factory in &all {
            for pad in factory.describe()["pads"].as_array().expect("pads") {
                let caps = pad["caps"].as_str().expect("text").parse::<CapsSet>();
                assert!(caps.is_ok(), "{}: {caps:?}: {}", factory.name, pad["caps"]);
            }
        }
    }

    #[test]
    fn properties_have_their_types_ranges_and_choices() {
        let encoder = described("x264enc");
        let properties = &encoder["settings"]["properties"];
        assert_eq!(properties["bitrate"]["type"], "integer");
        assert_eq!(
            (&properties["bitrate"]["minimum"], &properties["bitrate"]["maximum"]),
            (&1.into(), &2_048_000.into())
        );
        assert_eq!(properties["bitrate"]["default"], 2048);
        let presets = properties["speed-preset"]["oneOf"].as_array().expect("choices");
        assert!(presets.iter().any(|preset| preset["const"] == "veryfast"), "{presets:?}");
        assert_eq!(properties["byte-stream"]["type"], "boolean");
        assert_eq!(properties["tune"]["type"], "string", "several flags together: zerolatency+fastdecode");
        assert!(properties.get("name").is_none() && properties.get("parent").is_none());
        assert_eq!(described("videotestsrc")["live"], "is-live");
    }

    #[test]
    fn properties_are_set_as_text_says_and_refused_by_name() {
        launch::init().expect("GStreamer is there");
        let settings = serde_json::json!({ "bitrate": 700, "speed-preset": "veryfast", "tune": "zerolatency", "byte-stream": true });
        let encoder = make("x264enc", "e", &settings).expect("made");
        assert_eq!((encoder.property::<u32>("bitrate"), encoder.property::<bool>("byte-stream")), (700, true));
        let nick = encoder.property_value("speed-preset").serialize().expect("text");
        assert_eq!(nick, "veryfast");
        let error = make("x264enc", "e", &serde_json::json!({ "tune": "slow" })).expect_err("no such flag");
        assert!(error.message().contains("tune"), "{error}");
        assert_eq!(
            (pattern("src_%u"), pattern("sink_%d"), pattern("a_%u_%u"), pattern("x")),
            ("src_%u".into(), "sink_%u".into(), "a_%s".into(), "x".into())
        );
    }
}
