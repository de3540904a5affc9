//! Settings that several parsers share.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// Pictures a second, written `25` or `30000/1001`. Both numbers are above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Numerator.
    pub num: u32,
    /// Denominator.
    pub den: u32,
}

impl FrameRate {
    fn parse(text: &str) -> Option<Self> {
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        let positive = |text: &str| text.trim().parse().ok().filter(|value| *value > 0);
        Some(Self { num: positive(num)?, den: positive(den)? })
    }
}

impl<'de> Deserialize<'de> for FrameRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("expected pictures a second such as 25 or 30000/1001"))
    }
}

impl JsonSchema for FrameRate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FrameRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// How often parameter sets are repeated in a byte stream: `config-interval` of GStreamer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigInterval {
    /// Never.
    Never,
    /// Before each key frame.
    EachKeyFrame,
    /// Before the first key frame that comes so many seconds after the last time.
    Seconds(i64),
}

impl From<i32> for ConfigInterval {
    fn from(value: i32) -> Self {
        match value {
            0 => Self::Never,
            1.. => Self::Seconds(value.into()),
            _ => Self::EachKeyFrame,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_positive_fractions() {
        assert_eq!(FrameRate::parse("30000/1001"), Some(FrameRate { num: 30_000, den: 1001 }));
        assert_eq!(FrameRate::parse("25"), Some(FrameRate { num: 25, den: 1 }));
        for text in ["", "0", "1/0", "a", "1/2/3", "-5"] {
            assert_eq!(FrameRate::parse(text), None, "{text}");
        }
    }
}
