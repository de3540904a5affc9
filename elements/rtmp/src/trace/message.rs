//! Messages by the names and fields of the standard.

use std::borrow::Cow;

use millstream_amf::{Properties, Value, amf0};
use millstream_core::trace::{Layer, TraceFields, TraceValue};

use super::command::Commands;
use super::redact::Redactor;
use crate::message::{Control, DataFrame, Message, MessageError, MessageType, PeerLimit, UserControl, parse_data};

/// Values of one object, list or message that are shown.
const MAX_VALUES: usize = 48;
/// Objects in objects that are shown.
const MAX_DEPTH: usize = 2;
/// Values of an object in an object that are shown.
const MAX_NESTED: usize = 8;
/// Characters of a name that are shown.
const MAX_NAME: usize = 40;
/// Texts of metadata that say what made a stream, and nothing of whose it is.
const TEXTS: [&str; 7] =
    ["encoder", "videocodecid", "audiocodecid", "major_brand", "minor_version", "compatible_brands", "presetname"];

/// A message but for its time and side.
pub(super) type Said = (Layer, Cow<'static, str>, TraceFields);

/// What a message says that is not media.
pub(super) fn describe(message: &Message, commands: &mut Commands, redactor: &mut Redactor) -> Said {
    let payload = &message.payload;
    match message.kind {
        MessageType::Command | MessageType::CommandAmf3 => commands.describe(message, redactor),
        MessageType::Data | MessageType::DataAmf3 => data(message, redactor),
        MessageType::UserControl => match UserControl::parse(payload) {
            Ok(event) => user_control(event, payload),
            Err(error) => malformed(Layer::Control, "User Control", &error),
        },
        MessageType::Other(kind @ (16 | 19)) => {
            (Layer::Data, "Shared Object".into(), sized(&[("type", u32::from(kind).into())], payload.len()))
        }
        kind => match Control::parse(kind, payload) {
            Ok(Some(event)) => control(event),
            Ok(None) => {
                let name = format!("Message type {}", u8::from(kind));
                (Layer::Control, name.into(), sized(&[], payload.len()))
            }
            Err(error) => malformed(Layer::Control, "protocol control message", &error),
        },
    }
}

fn sized(fields: &[(&'static str, TraceValue)], len: usize) -> TraceFields {
    let fields = fields.iter().map(|(name, value)| (Cow::from(*name), value.clone()));
    fields.chain([("bytes".into(), (len as f64).into())]).collect()
}

fn malformed(layer: Layer, name: &'static str, error: &MessageError) -> Said {
    (layer, name.into(), vec![("malformed".into(), error.to_string().into())])
}

/// RTMP 1.0, 5.4.
fn control(event: Control) -> Said {
    let (name, fields): (_, TraceFields) = match event {
        Control::SetChunkSize(size) => ("Set Chunk Size", vec![("chunk size".into(), size.into())]),
        Control::Abort { chunk_stream } => ("Abort Message", vec![("chunk stream id".into(), chunk_stream.into())]),
        Control::Acknowledgement(sequence) => ("Acknowledgement", vec![("sequence number".into(), sequence.into())]),
        Control::WindowAcknowledgementSize(window) => {
            ("Window Acknowledgement Size", vec![("window size".into(), window.into())])
        }
        Control::SetPeerBandwidth { window, limit } => {
            let limit = match limit {
                PeerLimit::Hard => "hard",
                PeerLimit::Soft => "soft",
                PeerLimit::Dynamic => "dynamic",
            };
            ("Set Peer Bandwidth", vec![("window size".into(), window.into()), ("limit type".into(), limit.into())])
        }
    };
    (Layer::Control, name.into(), fields)
}

/// RTMP 1.0, 7.1.7.
fn user_control(event: UserControl, payload: &[u8]) -> Said {
    let stream = |id: u32| vec![("stream id".into(), id.into())];
    let time = |time: u32| vec![("timestamp".into(), time.into())];
    let (name, fields): (_, TraceFields) = match event {
        UserControl::StreamBegin(id) => ("StreamBegin", stream(id)),
        UserControl::StreamEof(id) => ("StreamEOF", stream(id)),
        UserControl::StreamDry(id) => ("StreamDry", stream(id)),
        UserControl::SetBufferLength { stream_id, milliseconds } => {
            let buffer = ("buffer length".into(), milliseconds.into());
            ("SetBufferLength", stream(stream_id).into_iter().chain([buffer]).collect())
        }
        UserControl::StreamIsRecorded(id) => ("StreamIsRecorded", stream(id)),
        UserControl::PingRequest(at) => ("PingRequest", time(at)),
        UserControl::PingResponse(at) => ("PingResponse", time(at)),
        UserControl::Other(event) => {
            ("event", sized(&[("type", u32::from(event).into())], payload.len().saturating_sub(2)))
        }
    };
    (Layer::Control, format!("User Control {name}").into(), fields)
}

/// RTMP 1.0, 7.1.2. Of data other than metadata only the name and the size are shown.
fn data(message: &Message, redactor: &Redactor) -> Said {
    let named = |prefix: &str, name: &str| -> Cow<'static, str> { format!("{prefix}{}", shown(name, redactor)).into() };
    match parse_data(message) {
        Some(DataFrame::Clear(name)) => (Layer::Data, named("@clearDataFrame ", &name), vec![]),
        Some(DataFrame::Set(data)) => {
            (Layer::Data, named("@setDataFrame ", &data.name), metadata(&data.body, redactor))
        }
        Some(DataFrame::Pass(data)) => (Layer::Data, named("", &data.name), metadata(&data.body, redactor)),
        None => (Layer::Data, "data without a name".into(), sized(&[], message.payload.len())),
    }
}

/// The values behind the name of a script body.
fn metadata(body: &[u8], redactor: &Redactor) -> TraceFields {
    let mut reader = amf0::Reader::new(body);
    // The name.
    let _ = reader.read();
    let mut fields = TraceFields::new();
    while let Some(value) = (!reader.is_empty()).then(|| reader.read().ok()).flatten() {
        match value.properties() {
            Some(properties) => fields.extend(properties.iter().map(|entry| metadata_field(entry, redactor))),
            None => fields.push(("value".into(), redacted(&value, redactor, MAX_DEPTH))),
        }
    }
    fields.truncate(MAX_VALUES);
    fields
}

fn metadata_field((name, value): &(String, Value), redactor: &Redactor) -> (Cow<'static, str>, TraceValue) {
    let value = match value {
        Value::String(text) if TEXTS.contains(&&**name) => redactor.text(text).into(),
        value => redacted(value, redactor, MAX_DEPTH),
    };
    (shown(name, redactor).into(), value)
}

/// A name that a peer chose, as it may be shown.
pub(super) fn shown(name: &str, redactor: &Redactor) -> String {
    let plain = name.chars().take(MAX_NAME).map(|c| if c.is_ascii_graphic() { c } else { '_' });
    redactor.text(&plain.collect::<String>())
}

/// A value of which nobody knows what it is: numbers are shown, text is not.
pub(super) fn redacted(value: &Value, redactor: &Redactor, depth: usize) -> TraceValue {
    if let Some(properties) = value.properties() {
        return match depth.checked_sub(1) {
            Some(depth) => map(properties, redactor, depth),
            None => "{…}".into(),
        };
    }
    if let Some(items) = value.items() {
        return match depth.checked_sub(1) {
            Some(depth) => {
                TraceValue::List(items.iter().take(MAX_NESTED).map(|item| redacted(item, redactor, depth)).collect())
            }
            None => "[…]".into(),
        };
    }
    match value {
        Value::Undefined | Value::Null => TraceValue::Null,
        Value::Boolean(flag) => (*flag).into(),
        Value::Date(date) => date.ms.into(),
        Value::String(text) if text.is_empty() => "".into(),
        value => value.as_f64().map_or("***".into(), TraceValue::Number),
    }
}

fn map(properties: &Properties, redactor: &Redactor, depth: usize) -> TraceValue {
    let entry = |(name, value): &(String, Value)| (shown(name, redactor), redacted(value, redactor, depth));
    TraceValue::Map(properties.iter().take(MAX_NESTED).map(entry).collect())
}
