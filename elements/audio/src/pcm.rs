//! Interleaved samples: what the caps say of them, and their bytes.

use bytes::Bytes;
use millstream_core::caps::{CapsSet, Value, ValueSet, field, media};
use millstream_core::{Caps, Error, Result};

/// Caps of the samples that the elements here read and write.
pub(crate) const RAW: &str =
    "audio/x-raw, format={F32LE, S16LE, S24LE, S32LE, U8}, layout=interleaved, rate=[1, 384000], channels=[1, 8]";
/// Channels that the elements here know: 7.1.
pub(crate) const MAX_CHANNELS: u32 = 8;
/// Highest sample rate that the elements here take, in Hz: what audio hardware is made for.
pub(crate) const MAX_RATE: u32 = 384_000;

/// Far above what is cut off in the end (24 dB), so that nothing is lost of sound that is only too loud in between.
const LOUDEST: f32 = 16.0;

/// How a sample is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SampleFormat {
    U8,
    S16,
    S24,
    S32,
    F32,
}

impl SampleFormat {
    /// Best first.
    pub(crate) const ALL: [Self; 5] = [Self::F32, Self::S16, Self::S24, Self::S32, Self::U8];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U8 => "U8",
            Self::S16 => "S16LE",
            Self::S24 => "S24LE",
            Self::S32 => "S32LE",
            Self::F32 => "F32LE",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
        }
    }

    /// Appends samples of -1.0 to 1.0. Bytes behind the last whole sample are left out.
    pub(crate) fn read(self, bytes: &[u8], samples: &mut Vec<f32>) {
        match self {
            Self::U8 => samples.extend(bytes.iter().map(|&v| (f32::from(v) - 128.0) / 128.0)),
            Self::S16 => {
                samples.extend(bytes.as_chunks().0.iter().map(|&v| f32::from(i16::from_le_bytes(v)) / 32_768.0))
            }
            Self::S24 => {
                samples.extend(bytes.as_chunks().0.iter().map(|&[a, b, c]| whole(i32::from_le_bytes([0, a, b, c]))))
            }
            Self::S32 => samples.extend(bytes.as_chunks().0.iter().map(|&v| whole(i32::from_le_bytes(v)))),
            Self::F32 => samples.extend(bytes.as_chunks().0.iter().map(|&v| sane(f32::from_le_bytes(v)))),
        }
    }

    /// The bytes of samples. Those above 1.0 are cut off where the format ends there: `as` keeps to the limits of a type.
    pub(crate) fn write(self, samples: &[f32]) -> Bytes {
        let mut bytes = Vec::with_capacity(samples.len() * self.bytes());
        match self {
            Self::U8 => bytes.extend(samples.iter().map(|v| (v * 128.0 + 128.0).round() as u8)),
            Self::S16 => samples.iter().for_each(|v| bytes.extend(((v * 32_768.0).round() as i16).to_le_bytes())),
            Self::S24 => samples.iter().for_each(|v| bytes.extend(&(scaled(*v) & !0xff).to_le_bytes()[1..])),
            Self::S32 => samples.iter().for_each(|v| bytes.extend(scaled(*v).to_le_bytes())),
            Self::F32 => samples.iter().for_each(|v| bytes.extend(v.to_le_bytes())),
        }
        bytes.into()
    }
}

/// Filters and encoders are made for numbers that can be sounds.
fn sane(value: f32) -> f32 {
    if value.is_finite() { value.clamp(-LOUDEST, LOUDEST) } else { 0.0 }
}

fn whole(value: i32) -> f32 {
    (f64::from(value) / 2_147_483_648.0) as f32
}

fn scaled(value: f32) -> i32 {
    (f64::from(value) * 2_147_483_648.0).round() as i32
}

/// What is known of a stream of samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pcm {
    pub(crate) format: SampleFormat,
    /// In Hz.
    pub(crate) rate: u32,
    pub(crate) channels: usize,
}

impl Pcm {
    /// What caps say.
    pub(crate) fn of(caps: &Caps) -> Result<Self> {
        let wrong = |what: String| Err(Error::unsupported(what).hint("put `audioconvert` in front"));
        if caps.media() != media::RAW_AUDIO {
            return wrong(format!("the stream is {}, not raw audio", caps.media()));
        }
        let Some(format) = caps.text("format").and_then(SampleFormat::named) else {
            let list = SampleFormat::ALL.map(SampleFormat::name).join(", ");
            return wrong(format!("samples are {}, not one of {list}", caps.text("format").unwrap_or("of no format")));
        };
        if caps.text("layout").is_some_and(|layout| layout != "interleaved") {
            return wrong("the channels of the samples lie one behind the other, not interleaved".to_owned());
        }
        let rate = caps.rate().filter(|rate| (1..=MAX_RATE).contains(rate));
        let channels = caps.channels().filter(|channels| (1..=MAX_CHANNELS).contains(channels));
        match (rate, channels) {
            (Some(rate), Some(channels)) => Ok(Self { format, rate, channels: channels as usize }),
            _ => wrong(format!("caps {caps} lack a rate up to {MAX_RATE} Hz or 1 to {MAX_CHANNELS} channels")),
        }
    }

    pub(crate) fn caps(&self) -> Caps {
        Caps::new(media::RAW_AUDIO)
            .with("format", self.format.name())
            .with("layout", "interleaved")
            .with(field::RATE, self.rate)
            .with(field::CHANNELS, self.channels as u32)
    }
}

/// The whole number nearest to `wanted` that a field of raw audio may be; `wanted` itself where the field is free.
pub(crate) fn nearest(allowed: &CapsSet, name: &str, wanted: u32) -> u32 {
    let CapsSet::Of(list) = allowed else { return wanted };
    let structures = list.iter().filter(|structure| &*structure.media == media::RAW_AUDIO);
    let near = |set: Option<&ValueSet>| match set {
        None | Some(ValueSet::FractionRange(..)) => Some(i64::from(wanted)),
        Some(ValueSet::One(value)) => value.as_int(),
        Some(ValueSet::List(list)) => list.iter().filter_map(Value::as_int).min_by_key(|v| v.abs_diff(wanted.into())),
        Some(ValueSet::IntRange(low, high)) => Some(i64::from(wanted).max(*low).min(*high)),
    };
    let best =
        structures.filter_map(|structure| near(structure.fields.get(name))).min_by_key(|v| v.abs_diff(wanted.into()));
    best.and_then(|value| u32::try_from(value).ok()).unwrap_or(wanted)
}

/// `wanted` if raw audio may have that format, else the best that it may.
pub(crate) fn format_for(allowed: &CapsSet, wanted: SampleFormat) -> SampleFormat {
    let may = |format: SampleFormat| allowed.allows_text(media::RAW_AUDIO, "format", format.name());
    let best = SampleFormat::ALL.into_iter().find(|format| may(*format));
    if may(wanted) { wanted } else { best.unwrap_or(wanted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_survive_each_format_to_its_precision() {
        let samples = [0.0, 0.5, -0.5, 0.999, -1.0, 0.25];
        for (format, step) in [
            (SampleFormat::U8, 1.0 / 128.0),
            (SampleFormat::S16, 1.0 / 32_768.0),
            (SampleFormat::S24, 1.0 / 8_388_608.0),
            (SampleFormat::S32, 1e-7),
            (SampleFormat::F32, 0.0),
        ] {
            let bytes = format.write(&samples);
            assert_eq!(bytes.len(), samples.len() * format.bytes());
            let mut back = Vec::new();
            format.read(&bytes, &mut back);
            for (a, b) in samples.iter().zip(&back) {
                assert!((a - b).abs() <= step, "{format:?}: {a} became {b}");
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_formats() {
        // Full scale and half, as ITU-T and WAVE write them.
        assert_eq!(&SampleFormat::S16.write(&[-1.0, 0.5])[..], [0x00, 0x80, 0x00, 0x40]);
        assert_eq!(&SampleFormat::S24.write(&[-1.0, 0.5])[..], [0, 0, 0x80, 0, 0, 0x40]);
        assert_eq!(&SampleFormat::U8.write(&[-1.0, 0.0])[..], [0, 128]);
        assert_eq!(&SampleFormat::S16.write(&[2.0, -2.0])[..], [0xff, 0x7f, 0x00, 0x80], "too loud is cut off");
    }

    #[test]
    fn numbers_that_are_no_sound_are_made_one() {
        let bytes: Vec<u8> =
            [f32::NAN, f32::INFINITY, 1e30, -1e30, 1.5].into_iter().flat_map(f32::to_le_bytes).collect();
        let mut samples = Vec::new();
        SampleFormat::F32.read(&bytes, &mut samples);
        assert_eq!(samples, [0.0, 0.0, LOUDEST, -LOUDEST, 1.5]);
    }

    #[test]
    fn the_nearest_value_that_is_allowed_is_taken() {
        let set = |text: &str| text.parse::<CapsSet>().unwrap();
        assert_eq!(nearest(&CapsSet::Any, "rate", 44_100), 44_100);
        assert_eq!(nearest(&set("audio/x-raw"), "rate", 44_100), 44_100);
        assert_eq!(nearest(&set("audio/x-raw, rate=48000"), "rate", 44_100), 48_000);
        assert_eq!(nearest(&set("audio/x-raw, rate={8000, 16000, 48000}"), "rate", 22_050), 16_000);
        assert_eq!(nearest(&set("audio/x-raw, channels=[1, 2]"), "channels", 6), 2);
        assert_eq!(format_for(&set("audio/x-raw, format=S16LE"), SampleFormat::F32), SampleFormat::S16);
        assert_eq!(format_for(&set("audio/x-raw, format={S16LE, F32LE}"), SampleFormat::S16), SampleFormat::S16);
    }

    #[test]
    fn caps_that_are_no_samples_say_why() {
        for (caps, word) in [
            ("video/x-raw", "video/x-raw"),
            ("audio/x-raw, format=S16BE, rate=8000, channels=1", "S16BE"),
            ("audio/x-raw, format=S16LE, layout=non-interleaved, rate=8000, channels=1", "interleaved"),
            ("audio/x-raw, format=S16LE, rate=8000, channels=9", "channels"),
            ("audio/x-raw, format=S16LE, rate=0, channels=1", "rate"),
        ] {
            let error = Pcm::of(&caps.parse().unwrap()).unwrap_err();
            assert!(error.message().contains(word), "{caps}: {error}");
        }
    }
}
