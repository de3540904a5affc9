//! Caps as a setting.

use std::borrow::Cow;

use millstream_core::caps::{Structure, ValueSet};
use millstream_core::{Caps, CapsSet, Error};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// Caps in GStreamer's text form: `video/x-h264, stream-format=avc; audio/mpeg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapsSetting(pub CapsSet);

impl CapsSetting {
    /// The caps of the property `caps` of an element that announces them.
    ///
    /// # Errors
    /// When they leave a choice.
    pub(crate) fn one(&self) -> Result<Caps, Error> {
        let error = || Error::settings(format!("caps cannot be {}: that leaves a choice", self.0)).on_property("caps");
        self.fixed().ok_or_else(|| error().hint("give one media type and one value a field"))
    }

    /// The caps, if there is exactly one possibility.
    pub fn fixed(&self) -> Option<Caps> {
        let CapsSet::Of(list) = &self.0 else { return None };
        let [Structure { media, fields }] = list.as_slice() else { return None };
        fields.iter().try_fold(Caps::new(media), |caps, (name, set)| match set {
            ValueSet::One(value) => Some(caps.with(name, value.clone())),
            _ => None,
        })
    }
}

impl<'de> Deserialize<'de> for CapsSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for CapsSetting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Caps".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_caps_have_one_value_a_field() {
        let setting = |text: &str| CapsSetting(text.parse().unwrap());
        assert_eq!(setting("video/x-raw, width=320").fixed(), "video/x-raw, width=320".parse().ok());
        for open in ["ANY", "a/b; a/c", "a/b, width=[1,2]", "a/b, x={c, d}"] {
            assert_eq!(setting(open).fixed(), None, "{open}");
        }
    }
}
