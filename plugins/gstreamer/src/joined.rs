//! Neighbouring elements `gst/NAME` in one bin: what flows between them stays within GStreamer.

use gstreamer as gst;
use gstreamer::PadDirection;
use gstreamer::prelude::*;
use millstream_plugin_sdk::prelude::*;
use serde_json::Value as Json;

use crate::endpoints::named;
use crate::pipe::Waiting;
use crate::{caps, element, installed, launch};

/// The element that neighbours become.
pub(crate) const NAME: &str = "gst-bin";

/// What the host says of the neighbours.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct JoinedSettings {
    /// One of them is a source that cannot be held back.
    #[expect(dead_code, reason = "the host reads it")]
    live: bool,
    /// The neighbours.
    elements: Vec<Neighbour>,
    /// How they are linked.
    links: Vec<Between>,
}

/// An element.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Neighbour {
    /// Its name in the pipeline.
    name: String,
    /// What it is, such as `gst/x264enc`.
    element: String,
    /// Its properties.
    settings: Json,
}

/// A link between two of them.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Between {
    /// The element that gives.
    from: String,
    /// Its pad.
    from_pad: String,
    /// The element that takes.
    to: String,
    /// Its pad.
    to_pad: String,
    /// Caps that are written into the link; empty for none.
    caps: String,
}

/// What is known of it.
pub(crate) fn factory() -> Factory {
    Factory::new(NAME, "Generic/Bin", "Neighbouring elements of GStreamer in one bin", build)
        .details("Made by millstream of elements `gst/NAME` that are linked with each other; nobody writes it.")
        .pad(PadTemplate::sink("%s", "ANY").request().doc("An input of one of them, as `ELEMENT.PAD`."))
        .pad(PadTemplate::src("%s", "ANY").request().doc("An output of one of them, as `ELEMENT.PAD`."))
        .open_ended()
        .burns_compute()
        .live_if("live")
        .example("videotestsrc num-buffers=10 ! x264enc ! h264parse ! fakesink")
}

fn build(settings: JoinedSettings, cx: &BuildCx) -> Result<Element> {
    launch::init()?;
    let bin = gst::Bin::with_name("neighbours");
    for neighbour in &settings.elements {
        let made = installed::make(&neighbour.element, &neighbour.name, &neighbour.settings)?;
        bin.add(&made).map_err(|_| Error::bug("two elements of one name"))?;
    }
    let mut later = Vec::new();
    for between in &settings.links {
        later.extend(link(&bin, between)?);
    }
    element::element(&bin, later, cx)
}

/// Links two elements; gives what waits for a pad that is not there yet.
fn link(bin: &gst::Bin, between: &Between) -> Result<Option<Waiting>> {
    let of = |name: &str| bin.by_name(name).ok_or_else(|| Error::bug(format!("no element `{name}` in the bin")));
    let (from, to) = (of(&between.from)?, of(&between.to)?);
    let missing = |name: &str, pad: &str| Error::settings(format!("`{name}` of GStreamer has no free pad `{pad}`"));
    let sink = named(&to, &between.to_pad, PadDirection::Sink);
    let mut sink = sink.ok_or_else(|| missing(&between.to, &between.to_pad))?;
    if !between.caps.is_empty() {
        sink = filter(bin, &between.caps, &sink)?;
    }
    let Some(src) = named(&from, &between.from_pad, PadDirection::Src) else {
        return Ok(Some(Waiting { name: between.from_pad.clone(), of: Some(from), to: sink }));
    };
    src.link(&sink).map_err(|_| {
        let (a, b) = (&between.from, &between.to);
        Error::settings(format!("`{a}` and `{b}` of GStreamer cannot be linked: their caps do not meet"))
    })?;
    Ok(None)
}

/// Puts caps before a pad; gives the pad that is before them.
fn filter(bin: &gst::Bin, text: &str, sink: &gst::Pad) -> Result<gst::Pad> {
    let bug = || Error::bug("caps cannot be put into a link");
    let filter =
        gst::ElementFactory::make("capsfilter").property("caps", caps::filter(text)).build().map_err(|_| bug())?;
    bin.add(&filter).map_err(|_| bug())?;
    let (before, behind) = (filter.static_pad("sink"), filter.static_pad("src"));
    behind.ok_or_else(bug)?.link(sink).map_err(|_| bug())?;
    before.ok_or_else(bug)
}
