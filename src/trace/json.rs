//! A trace for machines: a JSON object a line.
//!
//! ```json
//! {"event":"begin","connection":1,"protocol":"RTMP","here":"server","peer":"127.0.0.1:54210","time":"2026-07-03T09:12:44.120Z"}
//! {"event":"message","connection":1,"at":0.001,"from":"client","layer":"handshake","name":"C0","stream":null,"fields":{"version":3}}
//! {"event":"end","connection":1,"at":11.4,"left-out":0}
//! ```

use millstream_core::TimeDelta;
use millstream_core::trace::{TraceEvent, TraceHead, TraceValue};
use millstream_hls::playlist::date_time;
use serde_json::{Map, Value, json};

pub(super) fn head(id: u64, head: &TraceHead) -> String {
    let (protocol, here, peer) = (head.protocol, head.here.as_str(), &head.peer);
    let time = date_time::format(head.wall);
    line(&json!({ "event": "begin", "connection": id, "protocol": protocol, "here": here, "peer": peer, "time": time }))
}

pub(super) fn event(id: u64, at: TimeDelta, event: &TraceEvent) -> String {
    line(&json!({
        "event": "message",
        "connection": id,
        "at": at.seconds(),
        "from": event.from.as_str(),
        "layer": event.layer.as_str(),
        "name": event.name,
        "stream": event.stream,
        "fields": object(event.fields.iter().map(|(name, value)| (&**name, value))),
    }))
}

pub(super) fn end(id: u64, at: TimeDelta, left_out: u64) -> String {
    line(&json!({ "event": "end", "connection": id, "at": at.seconds(), "left-out": left_out }))
}

pub(super) fn left_out(lines: u64) -> String {
    let (each, all) = (super::MAX_LINES, super::MAX_BYTES);
    line(&json!({ "event": "left-out", "lines": lines, "lines-a-connection": each, "bytes-a-file": all }))
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// Peers repeat names; JSON cannot.
fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a TraceValue)>) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        let free = (2..).map(|n| format!("{name} {n}"));
        let key = std::iter::once(name.to_owned()).chain(free).find(|key| !object.contains_key(key));
        object.insert(key.unwrap_or_default(), to_json(value));
    }
    Value::Object(object)
}

/// The value of a field as JSON. Of names that a map has several times, the later ones get a number.
pub fn to_json(value: &TraceValue) -> Value {
    match value {
        TraceValue::Null => Value::Null,
        TraceValue::Flag(flag) => (*flag).into(),
        TraceValue::Number(number) => whole(*number).map_or_else(|| (*number).into(), Value::from),
        TraceValue::Text(text) => text.as_str().into(),
        TraceValue::List(items) => items.iter().map(to_json).collect(),
        TraceValue::Map(entries) => object(entries.iter().map(|(name, value)| (&**name, value))),
    }
}

/// Whole numbers without a fraction.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}
