//! Values with units, as people write them: `2s`, `16MiB`, `2500k`.
//!
//! Each type reads and writes its text form exactly: what [`Display`](fmt::Display) prints parses to the same value.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in nanoseconds, written with a unit: `2s`, `250ms`, `1m30s`, `1.5h`, `500us`, `40ns`.
///
/// A bare number other than 0 is refused: GStreamer's nanoseconds and ffmpeg's seconds differ by 10^9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DurationSetting(pub i64);

/// A number of bytes: `1000`, `4k` (4000), `4KiB` (4096), `16MiB`, `1.5GB`. A trailing `B` may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// Bits per second: `2500000`, `2500k`, `2.5M`, `2.5Mbit/s`, `2.5Mbps`. Multiples are of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bitrate(pub u64);

/// Text that is no value with a unit; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

const NS_PER_S: i128 = 1_000_000_000;

/// Units of time, longest first as [`fmt::Display`] uses them.
const TIME_UNITS: [(&str, i128); 7] = [
    ("h", 3600 * NS_PER_S),
    ("m", 60 * NS_PER_S),
    ("s", NS_PER_S),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

const BYTE_UNITS: [(&str, i128); 9] = [
    ("", 1),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("t", 1_000_000_000_000),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
];

const BIT_UNITS: [(&str, i128); 4] = [("", 1), ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)];

impl DurationSetting {
    /// A whole number of milliseconds; saturates.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// A whole number of seconds; saturates.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

impl FromStr for DurationSetting {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        let (negative, mut rest) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) {
            return bare_duration(rest);
        }
        let refused = || UnitError(format!("`{text}` is no duration; write for example 2s, 250ms or 1m30s"));
        let mut total: i128 = 0;
        let mut above = i128::MAX;
        while !rest.is_empty() {
            let (number, after) = split_number(rest).ok_or_else(refused)?;
            let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, tail) = after.split_at_checked(unit_len).ok_or_else(refused)?;
            let (_, scale) = TIME_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(refused)?;
            // Each unit smaller than the one before, so that `1m30m` and `30s1m` are caught as slips.
            if *scale >= above {
                return Err(refused());
            }
            above = *scale;
            let part = number.times(*scale).ok_or_else(refused)?;
            total = total.checked_add(part).ok_or_else(refused)?;
            rest = tail;
        }
        if above == i128::MAX {
            return Err(refused());
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(Self).map_err(|_| UnitError(format!("`{text}` is longer than 292 years")))
    }
}

fn bare_duration(digits: &str) -> Result<DurationSetting, UnitError> {
    if digits.bytes().all(|b| b == b'0') {
        return Ok(DurationSetting(0));
    }
    let nanoseconds = digits.parse().ok().filter(|ns: &i64| *ns >= 1_000_000).map(DurationSetting);
    let reading = nanoseconds.map(|value| format!(" (as GStreamer's nanoseconds it would be {value})"));
    let reading = reading.unwrap_or_default();
    Err(UnitError(format!("`{digits}` has no unit; write for example {digits}s or {digits}ms{reading}")))
}

impl fmt::Display for DurationSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = i128::from(self.0).abs();
        if rest == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (unit, scale) in TIME_UNITS.iter().filter(|(unit, _)| *unit != "µs") {
            if rest >= *scale {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let lower = text.trim().to_lowercase();
        let body = lower.strip_suffix("bytes").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
        scaled(body, &BYTE_UNITS)
            .map(Self)
            .ok_or_else(|| UnitError(format!("`{text}` is no number of bytes; write for example 4096, 4k or 16MiB")))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl FromStr for Bitrate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let lower = text.trim().to_lowercase();
        let body = ["bit/s", "bits/s", "bps", "b/s"].iter().find_map(|suffix| lower.strip_suffix(suffix));
        scaled(body.unwrap_or(&lower), &BIT_UNITS)
            .map(Self)
            .ok_or_else(|| UnitError(format!("`{text}` is no bit rate; write for example 2500k or 2.5Mbit/s")))
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, unit) in [(1_000_000, "M"), (1_000, "k")] {
            if self.0 != 0 && self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}bit/s", self.0 / scale);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A decimal number, kept exact: `digits / 10^decimals`.
struct Decimal {
    digits: i128,
    decimals: u32,
}

/// Most digits a number may have: all of `u64` fits, and no product with a unit overflows `i128`.
const MAX_DIGITS: usize = 20;

impl Decimal {
    /// The number times `scale`, if that is whole.
    fn times(&self, scale: i128) -> Option<i128> {
        let product = self.digits.checked_mul(scale)?;
        let divisor = 10_i128.checked_pow(self.decimals)?;
        (product % divisor == 0).then(|| product / divisor)
    }
}

/// Splits the number off the front: `1.5` of `1.5s`.
fn split_number(text: &str) -> Option<(Decimal, &str)> {
    let len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(len)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || digits.len() > MAX_DIGITS || fraction.contains('.') || number.ends_with('.') {
        return None;
    }
    let decimals = u32::try_from(fraction.len()).ok()?;
    Some((Decimal { digits: digits.parse().ok()?, decimals }, rest))
}

fn scaled(text: &str, units: &[(&str, i128)]) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    u64::try_from(number.times(*scale)?).ok()
}

macro_rules! text_setting {
    ($type:ident, $format:literal, $title:literal, $pattern:literal, $maximum:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": ["string", "integer"],
                    "format": $format,
                    "pattern": $pattern,
                    "minimum": 0,
                    "maximum": $maximum,
                })
            }
        }
    };
}

// A bare 0 is the one number that is a duration.
text_setting!(DurationSetting, "duration-text", "Duration", r"^-?([0-9]+(\.[0-9]+)?(h|m|s|ms|us|µs|ns))+$|^0+$", 0);
text_setting!(ByteSize, "byte-size", "ByteSize", r"^[0-9]+(\.[0-9]+)? *([kKmMgGtT]i?)?([bB]|bytes)?$", u64::MAX);
text_setting!(Bitrate, "bitrate", "Bitrate", r"^[0-9]+(\.[0-9]+)? *[kKmMgG]?(bits?/s|bps|b/s)?$", u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> Option<i64> {
        text.parse::<DurationSetting>().ok().map(DurationSetting::as_nanos)
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(ns("2s"), Some(2_000_000_000));
        assert_eq!(ns("250ms"), Some(250_000_000));
        assert_eq!(ns("1m30s"), Some(90_000_000_000));
        assert_eq!(ns("1.5h"), Some(5_400_000_000_000));
        assert_eq!(ns("500us"), ns("500µs"));
        assert_eq!(ns("-40ns"), Some(-40));
        assert_eq!(ns("0"), Some(0));
        for wrong in ["", "-", "2", "s", "1m30m", "30s1m", "1.s", "90kHz", "1e3s", "0.5ns", "9999999999999h", "2 x"] {
            assert_eq!(ns(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_both_readings() {
        let text = "2000000000".parse::<DurationSetting>().unwrap_err().to_string();
        assert!(text.contains("2000000000s") && text.contains("nanoseconds it would be 2s"), "{text}");
    }

    #[test]
    fn sizes_know_decimal_and_binary_multiples() {
        let bytes = |text: &str| text.parse::<ByteSize>().ok().map(|size| size.0);
        assert_eq!(bytes("1000"), Some(1000));
        assert_eq!(bytes("4k"), Some(4000));
        assert_eq!(bytes("4KiB"), Some(4096));
        assert_eq!(bytes("16 MiB"), Some(16 << 20));
        assert_eq!(bytes("1.5GB"), Some(1_500_000_000));
        assert_eq!(bytes("18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "-1", "4x", "18446744073709551616", "1.5", "k", "4kbit", "99999999999999999999999t"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bitrates_are_decimal() {
        let bits = |text: &str| text.parse::<Bitrate>().ok().map(|rate| rate.0);
        assert_eq!(bits("2500k"), Some(2_500_000));
        assert_eq!(bits("2.5Mbit/s"), Some(2_500_000));
        assert_eq!(bits("2.5Mbps"), Some(2_500_000));
        assert_eq!(bits("64000"), Some(64_000));
        assert_eq!(bits("4Ki"), None);
    }

    #[test]
    fn text_forms_parse_back() {
        for value in [0, 1, -1, 999, 1_000, 61_000_000_000, 3_600_000_000_001, -1_500_000_000, i64::MAX, i64::MIN] {
            let text = DurationSetting(value).to_string();
            assert_eq!(text.parse(), Ok(DurationSetting(value)), "{text}");
        }
        for value in [0, 1, 1000, 1024, 1 << 20, 3 << 30, 1_500_000, u64::MAX] {
            assert_eq!(ByteSize(value).to_string().parse(), Ok(ByteSize(value)));
            assert_eq!(Bitrate(value).to_string().parse(), Ok(Bitrate(value)));
        }
    }
}
