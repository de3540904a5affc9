//! Stream keys: which open which streams.

use std::borrow::Cow;
use std::fmt;

use millstream_core::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use subtle::{Choice, ConstantTimeEq};

/// Stands for every stream.
const EVERY: &str = "*";

/// Keys, each for one stream or for all. Its `Debug` form shows none.
///
/// As a setting it is a list of keys that open every stream, or a mapping from names of streams to a key or a list of keys. A name is that
/// of the stream (`cam`), or with its application (`live/cam`); `"*"` is every stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(String, Secret)>);

/// A key is empty, which would open to who says none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is empty, and would open to whoever says none")]
pub struct EmptyKey;

impl Keys {
    /// Adds a key for a stream, or for every one (`*`).
    ///
    /// # Errors
    /// When it is empty.
    pub fn add(&mut self, stream: &str, key: Secret) -> Result<(), EmptyKey> {
        if key.reveal().is_empty() {
            return Err(EmptyKey);
        }
        self.0.push((stream.trim_matches('/').to_owned(), key));
        Ok(())
    }

    /// Whether one of the given keys opens a stream. How long it takes depends on lengths and names, not on how much of a key is right.
    pub fn open(&self, app: &str, stream: &str, given: &[Secret]) -> bool {
        let full = format!("{app}/{stream}");
        let of_stream = self.0.iter().filter(|(name, _)| name == EVERY || name == stream || *name == full);
        let mut open = Choice::from(0);
        for (_, key) in of_stream {
            for given in given {
                open |= key.reveal().as_bytes().ct_eq(given.reveal().as_bytes());
            }
        }
        open.into()
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of keys, or a mapping from streams to keys; a key of digits in quotes")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Keys, E> {
        let mut keys = Keys::default();
        keys.add(EVERY, key.into()).map_err(E::custom)?;
        Ok(keys)
    }

    // A number has lost its zeros in front, and must not be shown by the error for it.
    fn visit_u64<E: Error>(self, _: u64) -> Result<Keys, E> {
        Err(E::custom("write a key of digits in a list or in quotes"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Keys, E> {
        self.visit_u64(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Keys, E> {
        self.visit_u64(0)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Keys, E> {
        self.visit_u64(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = list.next_element()? {
            keys.add(EVERY, key).map_err(A::Error::custom)?;
        }
        Ok(keys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        while let Some(stream) = map.next_key::<String>()? {
            // One where a list is wanted is a list of one.
            for key in map.next_value::<Vec<Secret>>()? {
                keys.add(&stream, key).map_err(A::Error::custom)?;
            }
        }
        Ok(keys)
    }
}

impl JsonSchema for Keys {
    fn schema_name() -> Cow<'static, str> {
        "Keys".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({ "type": "string" });
        let list = json_schema!({ "type": "array", "items": text });
        json_schema!({
            "anyOf": [text, list, { "type": "object", "additionalProperties": { "anyOf": [text, list] } }]
        })
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::settings::{Node, NodeDeserializer};

    use super::*;

    fn secrets(given: &[&str]) -> Vec<Secret> {
        given.iter().map(|key| (*key).into()).collect()
    }

    #[test]
    fn a_key_opens_its_stream_and_no_other() {
        let mut keys = Keys::default();
        keys.add("cam", "one".into()).unwrap();
        keys.add("live/desk", "two".into()).unwrap();
        keys.add("*", "all".into()).unwrap();
        for (app, stream, given, open) in [
            ("live", "cam", &["one"][..], true),
            ("live", "cam", &["wrong", "one"], true),
            ("live", "cam", &["on"], false),
            ("live", "cam", &["onee"], false),
            ("live", "cam", &[""], false),
            ("live", "cam", &[], false),
            ("live", "cam", &["two"], false),
            ("live", "desk", &["two"], true),
            ("other", "desk", &["two"], false),
            ("other", "whatever", &["all"], true),
            ("live", "*", &["one"], false),
        ] {
            assert_eq!(keys.open(app, stream, &secrets(given)), open, "{app}/{stream} {given:?}");
        }
        assert!(!format!("{keys:?}").contains("one"));
        assert_eq!(keys.add("x", "".into()), Err(EmptyKey));
        assert!(!Keys::default().open("live", "cam", &secrets(&["x"])), "no key opens");
    }

    #[test]
    fn errors_show_no_key() {
        let scalar = |text: &str| Node::scalar(text);
        for text in ["00123", "1.50"] {
            let error = Keys::deserialize(NodeDeserializer::new(&scalar(text))).unwrap_err().to_string();
            assert!(error.contains("quotes") && !error.contains("123") && !error.contains("1.5"), "{error}");
        }
        let keys = Keys::deserialize(NodeDeserializer::new(&scalar("k1"))).unwrap();
        assert!(keys.open("live", "cam", &secrets(&["k1"])));
    }
}
