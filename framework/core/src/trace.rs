//! The conversations of a program with its peers, as events for people to look at.
//!
//! A connection that is traced tells a [`TraceSink`] what goes over it: every part of a handshake, every control message and command
//! with its fields, media in sums. Events are typed; how they look is the sink's affair. Whoever makes them leaves out what is secret: a
//! trace is made to be shown around.

use std::borrow::Cow;
use std::fmt;

use crate::time::Time;

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who connected.
    Client,
    /// Who listened.
    Server,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// `client` or `server`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// What part of a protocol an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The connection below: that it ends, or that what comes is not understood.
    Connection,
    /// How a conversation begins.
    Handshake,
    /// How the protocol keeps itself going: sizes, windows, the states of streams.
    Control,
    /// What one end asks and the other answers.
    Command,
    /// Data that describes media.
    Data,
    /// Media, in sums.
    Media,
}

impl Layer {
    /// The word in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Handshake => "handshake",
            Self::Control => "control",
            Self::Command => "command",
            Self::Data => "data",
            Self::Media => "media",
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceValue {
    /// There is the field, and it has no value.
    Null,
    /// True or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// Text, without what is secret.
    Text(String),
    /// Values in order.
    List(Vec<Self>),
    /// Values by name.
    Map(Vec<(String, Self)>),
}

impl From<f64> for TraceValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for TraceValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for TraceValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for TraceValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for TraceValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Shows text bare where it reads as one word, else in quotes.
impl fmt::Display for TraceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) if is_word(text) => f.write_str(text),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if place > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (place, (name, value)) in entries.iter().enumerate() {
                    write!(f, "{}{name}={value}", if place > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !",={}[]\"".contains(c) || "…".contains(c))
}

/// Fields in the order of the wire.
pub type TraceFields = Vec<(Cow<'static, str>, TraceValue)>;

/// Something that one end said.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceEvent {
    /// When it was sent or received here, on the clock of the runtime.
    pub at: Time,
    /// Who said it.
    pub from: Side,
    /// What part of the protocol it belongs to.
    pub layer: Layer,
    /// What it is, in the words of its standard.
    pub name: Cow<'static, str>,
    /// The stream of the conversation that it belongs to, where the protocol has several.
    pub stream: Option<u32>,
    /// What it says.
    pub fields: TraceFields,
}

impl TraceEvent {
    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&TraceValue> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// A number by its name.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.field(name) {
            Some(TraceValue::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Text by its name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(TraceValue::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// A line: `client: connect transaction id=1, app=live`.
impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.from.as_str(), self.name)?;
        for (place, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{name}={value}", if place > 0 { ", " } else { " " })?;
        }
        Ok(())
    }
}

/// A conversation that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceHead {
    /// The protocol, such as `RTMP`.
    pub protocol: &'static str,
    /// Which end is here.
    pub here: Side,
    /// Who the other end is: an address, or a URL without what is secret.
    pub peer: String,
    /// When it began, on the clock of the runtime.
    pub at: Time,
    /// The same in nanoseconds since 1970-01-01T00:00:00Z.
    pub wall: Time,
}

/// Takes conversations in. What it does with them must be quick, as connections wait for it.
pub trait TraceSink: Send + Sync {
    /// A conversation begins. The number returned names it from now on.
    fn begin(&self, head: TraceHead) -> u64;
    /// Something was said.
    fn event(&self, conversation: u64, event: TraceEvent);
    /// A conversation is over.
    fn end(&self, conversation: u64, at: Time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let map = TraceValue::Map(vec![("*".into(), 4.0.into()), ("a b".into(), TraceValue::Null)]);
        let event = TraceEvent {
            at: Time::ZERO,
            from: Side::Client,
            layer: Layer::Command,
            name: "connect".into(),
            stream: Some(0),
            fields: vec![
                ("transaction id".into(), 1_u32.into()),
                ("app".into(), "live?…".into()),
                ("flashVer".into(), "FMLE/3.0 (x)\n".into()),
                ("fpad".into(), false.into()),
                ("list".into(), TraceValue::List(vec!["".into(), map])),
            ],
        };
        assert_eq!(
            event.to_string(),
            "client: connect transaction id=1, app=live?…, flashVer=\"FMLE/3.0 (x)\\n\", fpad=false, list=[\"\", {*=4, a b=null}]"
        );
        assert_eq!((event.number("transaction id"), event.text("app")), (Some(1.0), Some("live?…")));
    }
}
