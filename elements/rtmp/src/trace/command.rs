//! Commands with the names that the standard gives their arguments (RTMP 1.0, 7.2).

use millstream_amf::Value;
use millstream_core::trace::{Layer, Side, TraceFields, TraceValue};

use super::message::{Said, redacted, shown};
use super::redact::Redactor;
use crate::command::{Invoke, Status};
use crate::message::Message;

/// Questions without an answer that are remembered, so that the answer can be told what it answers.
const MAX_ASKED: usize = 64;
/// Objects in objects that are shown.
const MAX_DEPTH: usize = 2;
/// Properties that hold one word of a known kind, and are shown as they are.
const WORDS: [&str; 8] = ["flashVer", "fmsVer", "type", "level", "clientid", "mode", "data", "version"];
/// Properties that hold URLs.
const URLS: [&str; 3] = ["app", "swfUrl", "pageUrl"];
/// Properties whose names and texts are codecs.
const CODECS: [&str; 3] = ["fourCcList", "audioFourCcInfoMap", "videoFourCcInfoMap"];
/// Properties of an object that are shown.
const MAX_PROPERTIES: usize = 48;
/// Characters of a word or codec that are shown.
const MAX_WORD: usize = 48;

/// What was asked on a connection.
#[derive(Debug, Default)]
pub(super) struct Commands {
    asked: Vec<(Side, f64, String)>,
    /// Who says the message at hand.
    pub(super) from: Option<Side>,
}

impl Commands {
    pub(super) fn describe(&mut self, message: &Message, redactor: &mut Redactor) -> Said {
        let invoke = match Invoke::parse(message.kind, &message.payload) {
            Ok(invoke) => invoke,
            Err(error) => {
                return (Layer::Command, "command".into(), vec![("malformed".into(), error.to_string().into())]);
            }
        };
        let mut fields: TraceFields = vec![("transaction id".into(), invoke.transaction.into())];
        let name = match &*invoke.name {
            "_result" | "_error" => {
                fields.extend(self.answer(&invoke, redactor));
                invoke.name
            }
            _ => {
                self.remember(&invoke);
                fields.extend(arguments(&invoke, redactor));
                shown(&invoke.name, redactor)
            }
        };
        (Layer::Command, name.into(), fields)
    }

    fn remember(&mut self, invoke: &Invoke) {
        let Some(from) = self.from.filter(|_| invoke.wants_answer()) else { return };
        if self.asked.len() >= MAX_ASKED {
            self.asked.remove(0);
        }
        self.asked.push((from, invoke.transaction, invoke.name.chars().take(MAX_WORD).collect()));
    }

    /// What is answered, and how.
    fn answer(&mut self, invoke: &Invoke, redactor: &Redactor) -> TraceFields {
        let asker = self.from.map(Side::other);
        let is_asked = |(side, id, _): &(Side, f64, String)| Some(*side) == asker && *id == invoke.transaction;
        let question = self.asked.iter().position(is_asked).map(|place| self.asked.remove(place).2);
        let mut fields = TraceFields::new();
        if let Some(question) = &question {
            fields.push(("answers".into(), shown(question, redactor).into()));
        }
        if question.as_deref() == Some("createStream")
            && let Some(stream) = invoke.number(0)
        {
            fields.push(("stream id".into(), stream.into()));
            return fields;
        }
        fields.extend(unknown(invoke, redactor));
        fields
    }
}

/// The arguments of a command that asks something.
fn arguments(invoke: &Invoke, redactor: &mut Redactor) -> TraceFields {
    let mut fields = TraceFields::new();
    let mut put =
        |name: &'static str, value: Option<TraceValue>| fields.extend(value.map(|value| (name.into(), value)));
    let number = |place: usize| invoke.number(place).map(TraceValue::Number);
    let flag = |place: usize| invoke.boolean(place).map(TraceValue::Flag);
    let name = |redactor: &mut Redactor| Some(redactor.name(invoke.secret(0).reveal()).into());
    match &*invoke.name {
        "connect" => return connect(invoke, redactor),
        "createStream" | "_checkbw" | "closeStream" | "close" => {}
        "releaseStream" | "FCPublish" | "FCUnpublish" | "FCSubscribe" | "FCUnsubscribe" | "getStreamLength"
        | "getMovLen" => put("stream name", name(redactor)),
        "publish" => {
            put("publishing name", name(redactor));
            let kind = invoke.secret(1);
            let known = ["live", "record", "append", "appendWithGap"].into_iter().find(|known| *known == kind.reveal());
            put("publishing type", (!kind.reveal().is_empty()).then(|| known.unwrap_or("***").into()));
        }
        "play" => {
            put("stream name", name(redactor));
            put("start", number(1));
            put("duration", number(2));
            put("reset", flag(3));
        }
        "play2" => {
            for key in ["streamName", "oldStreamName"] {
                let text = invoke.argument(0).get(key).and_then(Value::as_str);
                put(key, text.map(|text| redactor.name(text).into()));
            }
            let rest = properties(invoke.argument(0), redactor);
            fields.extend(rest.into_iter().filter(|(key, _)| !key.ends_with("treamName")));
        }
        "seek" => put("milliSeconds", number(0)),
        "pause" | "pauseRaw" => {
            put("pause", flag(0));
            put("milliSeconds", number(1));
        }
        "receiveAudio" | "receiveVideo" => put("flag", flag(0)),
        // GStreamer gives the name in place of the id.
        "deleteStream" => put("stream id", number(0).or_else(|| Some(redacted(invoke.argument(0), redactor, 0)))),
        _ => return unknown(invoke, redactor),
    }
    fields
}

/// The command object of `connect` in the order of the wire; arguments behind it are of unknown meaning.
fn connect(invoke: &Invoke, redactor: &Redactor) -> TraceFields {
    let app = invoke.object.get("app").and_then(Value::as_str).unwrap_or_default();
    let mut fields = properties(&invoke.object, redactor);
    let tc_url = invoke.object.get("tcUrl").and_then(Value::as_str);
    for (name, value) in &mut fields {
        if let (true, Some(url)) = (name == "tcUrl", tc_url) {
            *value = redactor.tc_url(url, app).into();
        }
    }
    fields.extend(unknown(&Invoke { object: Value::Null, ..invoke.clone() }, redactor));
    fields
}

/// Status commands and procedures that are not of the standard: objects by their properties, other values by their place.
fn unknown(invoke: &Invoke, redactor: &Redactor) -> TraceFields {
    let mut fields = TraceFields::new();
    for value in std::iter::once(&invoke.object).chain(&invoke.arguments) {
        match value {
            Value::Null | Value::Undefined => {}
            value if value.properties().is_some() => fields.extend(properties(value, redactor)),
            value => fields.push(("value".into(), redacted(value, redactor, MAX_DEPTH))),
        }
    }
    fields
}

/// The properties of an object, those of known meaning as they are.
fn properties(value: &Value, redactor: &Redactor) -> TraceFields {
    let property = |(name, value): &(String, Value)| {
        let shown_value = match value {
            _ if CODECS.contains(&&**name) => codecs(value),
            Value::String(text) if URLS.contains(&&**name) => redactor.url(text).into(),
            Value::String(text) if name == "tcUrl" || name == "redirect" => redactor.target(text).into(),
            Value::String(text) if name == "code" => {
                Status { code: text.clone(), ..Status::default() }.shown_code().into()
            }
            Value::String(text) if name == "description" || WORDS.contains(&&**name) => redactor.text(text).into(),
            value if name == "ex" => TraceValue::Map(named(properties(value, redactor))),
            value if name == "data" => TraceValue::Map(named(properties(value, redactor))),
            value => redacted(value, redactor, MAX_DEPTH),
        };
        (shown(name, redactor).into(), shown_value)
    };
    value.properties().into_iter().flatten().take(MAX_PROPERTIES).map(property).collect()
}

fn named(fields: TraceFields) -> Vec<(String, TraceValue)> {
    fields.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
}

/// Codecs of Enhanced RTMP: names of four characters, alone or with flags.
fn codecs(value: &Value) -> TraceValue {
    let four = |name: &str| name.chars().take(4).collect::<String>();
    if let Some(properties) = value.properties() {
        let entry = |(name, flags): &(String, Value)| (four(name), flags.as_f64().unwrap_or_default().into());
        return TraceValue::Map(properties.iter().take(MAX_WORD).map(entry).collect());
    }
    let items = value.items().into_iter().flatten().take(MAX_WORD);
    TraceValue::List(items.map(|item| four(item.as_str().unwrap_or_default()).into()).collect())
}
