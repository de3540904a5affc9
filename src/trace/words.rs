//! What drawings and text say alike.

use std::fmt::Write as _;

use millstream_core::trace::{Layer, Side, TraceEvent, TraceHead};

/// The name over an arrow, with what tells it from others of the name: what is answered, or what happened.
pub(super) fn name(event: &TraceEvent) -> String {
    let name = match (&*event.name, in_name(event).and_then(|field| event.text(field))) {
        ("media", None) => media_name(event),
        (name, Some(text)) if name.starts_with('_') => format!("{name} ({text})"),
        (name, Some(text)) => format!("{name} {text}"),
        (name, None) => name.to_owned(),
    };
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The field that stands beside the name.
fn in_name(event: &TraceEvent) -> Option<&'static str> {
    match &*event.name {
        "_result" | "_error" => Some("answers"),
        "onStatus" => Some("code"),
        _ => None,
    }
}

fn media_name(event: &TraceEvent) -> String {
    let has = |name| event.field(name).is_some();
    let names = [("video", has("video bytes")), ("audio", has("audio")), ("data", has("repeated data"))];
    let names: Vec<&str> = names.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect();
    names.join(", ")
}

/// Everything but the name.
pub(super) fn details(event: &TraceEvent) -> String {
    if event.layer == Layer::Media && event.field("seconds").is_some() {
        return media(event);
    }
    let mut text = String::new();
    if let Some(stream) = event.stream.filter(|stream| *stream > 0) {
        let _ = write!(text, "stream {stream}: ");
    }
    let beside = in_name(event).filter(|field| event.text(field).is_some());
    let fields = event.fields.iter().filter(|(name, _)| Some(&**name) != beside);
    for (place, (name, value)) in fields.enumerate() {
        let _ = write!(text, "{}{name}={value}", if place > 0 { ", " } else { "" });
    }
    // A message without fields.
    text.trim_end_matches(": ").to_owned()
}

/// `video 12 key, 340 inter, 1.2 MB; audio 512, 96.0 kB; in 11.4 s`
fn media(event: &TraceEvent) -> String {
    let number = |name| event.number(name).unwrap_or_default();
    let mut parts = Vec::new();
    if event.field("video bytes").is_some() {
        let (key, inter, size) = (number("video key"), number("video inter"), bytes(number("video bytes")));
        parts.push(format!("video {key} key, {inter} inter, {size}"));
    }
    if event.field("audio").is_some() {
        parts.push(format!("audio {}, {}", number("audio"), bytes(number("audio bytes"))));
    }
    if event.field("repeated data").is_some() {
        parts.push(format!("the same data {} times more", number("repeated data")));
    }
    format!("{} in {:.1} s", parts.join("; "), number("seconds"))
}

/// Decimal units, as everywhere in this program.
fn bytes(count: f64) -> String {
    match count {
        n if n < 1000.0 => format!("{n} bytes"),
        n if n < 999_950.0 => format!("{:.1} kB", n / 1000.0),
        n if n < 999_950_000.0 => format!("{:.1} MB", n / 1_000_000.0),
        n => format!("{:.1} GB", n / 1_000_000_000.0),
    }
}

/// Who the two ends of a conversation are.
pub(super) fn ends(head: &TraceHead) -> [String; 2] {
    match head.here {
        Side::Client => ["client (here)".into(), format!("server {}", head.peer)],
        Side::Server => [format!("client {}", head.peer), "server (here)".into()],
    }
}
