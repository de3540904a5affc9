//! The form of every command (RTMP 1.0, 7.1.1): name, transaction id, command object, arguments.

use std::fmt;

use bytes::Bytes;
use millstream_amf::{AmfError, Value, amf0};

use crate::Secret;
use crate::message::MessageType;

/// Arguments that are kept; `play` has four.
const MAX_ARGUMENTS: usize = 64;
/// Characters of an unknown command's name that are shown.
const SHOWN: usize = 32;

/// A command that cannot be read. The connection goes on without it (RTMP-M10).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The values are no AMF.
    #[error("command: {0}")]
    Amf(#[from] AmfError),
    /// The first value is no text.
    #[error("command: expected a name")]
    Name,
}

/// A command as it is on the wire. Its `Debug` form shows no values, which may be keys.
#[derive(Clone, PartialEq)]
pub struct Invoke {
    /// Name of the procedure, or `_result` or `_error`.
    pub name: String,
    /// What the answer will be known by; 0 if none is expected.
    pub transaction: f64,
    /// The command object; null for most.
    pub object: Value,
    /// What follows.
    pub arguments: Vec<Value>,
}

impl Invoke {
    /// A command of its parts.
    pub fn new(name: &str, transaction: f64, object: Value, arguments: Vec<Value>) -> Self {
        Self { name: name.to_owned(), transaction, object, arguments }
    }

    /// Reads the payload of a command message of either type.
    ///
    /// # Errors
    /// [`CommandError`] if any value cannot be read. A missing transaction id is 0, a missing object undefined.
    pub fn parse(kind: MessageType, payload: &[u8]) -> Result<Self, CommandError> {
        let mut reader = match kind {
            MessageType::CommandAmf3 => amf0::Reader::for_amf3_message(payload),
            _ => amf0::Reader::new(payload),
        };
        let mut next = || if reader.is_empty() { Ok(None) } else { reader.read().map(Some) };
        let Some(Value::String(name)) = next()? else { return Err(CommandError::Name) };
        let transaction = next()?.and_then(|value| value.as_f64()).unwrap_or_default();
        let object = next()?.unwrap_or_default();
        let mut arguments = Vec::new();
        while let Some(argument) = next()?.filter(|_| arguments.len() < MAX_ARGUMENTS) {
            arguments.push(argument);
        }
        Ok(Self { name, transaction, object, arguments })
    }

    /// The payload of a command message of type 20.
    pub fn to_payload(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        amf0::write(&Value::from(&*self.name), &mut out);
        amf0::write(&Value::Number(self.transaction), &mut out);
        amf0::write(&self.object, &mut out);
        self.arguments.iter().for_each(|argument| amf0::write(argument, &mut out));
        out.into()
    }

    /// Whether the sender waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.transaction != 0.0
    }

    /// An argument by its place behind the command object; undefined if it is missing.
    pub fn argument(&self, place: usize) -> &Value {
        self.arguments.get(place).unwrap_or(&Value::Undefined)
    }

    /// A number by its place.
    pub fn number(&self, place: usize) -> Option<f64> {
        self.argument(place).as_f64()
    }

    /// True or false by its place; numbers are taken as Flash takes them.
    pub fn boolean(&self, place: usize) -> Option<bool> {
        let value = self.argument(place);
        value.as_bool().or_else(|| value.as_f64().map(|number| number != 0.0))
    }

    /// Text by its place, empty if it is missing.
    pub fn secret(&self, place: usize) -> Secret {
        self.argument(place).as_str().unwrap_or_default().into()
    }
}

impl fmt::Debug for Invoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.name.chars().take(SHOWN).collect();
        write!(f, "{name:?} #{} with {} arguments", self.transaction, self.arguments.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE_STREAM: &[u8] = b"\x02\0\x0CcreateStream\0\x40\x10\0\0\0\0\0\0\x05";

    #[test]
    fn rtmp_m9_amf0_and_amf3_messages_hold_the_same() {
        // As ffmpeg sends it, with transaction id 4.
        let plain = Invoke::parse(MessageType::Command, CREATE_STREAM).unwrap();
        assert_eq!(plain, Invoke::new("createStream", 4.0, Value::Null, vec![]));
        assert_eq!(&plain.to_payload()[..], CREATE_STREAM);
        let selected = [&[0], CREATE_STREAM].concat();
        assert_eq!(Invoke::parse(MessageType::CommandAmf3, &selected).unwrap(), plain);
        assert_eq!(Invoke::parse(MessageType::CommandAmf3, CREATE_STREAM).unwrap(), plain);
        // The switch to AMF3 holds for one value: integer 7, then AMF0 again.
        let switched = [&selected[..], b"\x11\x04\x07\x02\0\x01x"].concat();
        let arguments = Invoke::parse(MessageType::CommandAmf3, &switched).unwrap().arguments;
        assert_eq!(arguments, [Value::Integer(7), Value::from("x")]);
    }

    #[test]
    fn rtmp_m10_what_is_no_command_is_an_error() {
        for payload in [&b""[..], b"\x05", b"\0\0\0\0\0\0\0\0\0", b"\x02\0\x05conn", b"\x02\0\x01x\xFF"] {
            assert!(Invoke::parse(MessageType::Command, payload).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn debug_shows_no_values() {
        let invoke = Invoke::new("publish", 5.0, Value::Null, vec!["live_key".into(), "live".into()]);
        assert_eq!(format!("{invoke:?}"), "\"publish\" #5 with 2 arguments");
    }
}
