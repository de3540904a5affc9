//! `h265parse`: H.265 access units, framed as downstream wants them.

use bytes::Bytes;
use millstream_core::caps::{field, media};
use millstream_core::{BuildCx, Caps, CapsSet, Element, Factory, PadTemplate, Result, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::nal::{DETAILS, NalCodec, NalKind, NalParse, Options};
use super::settings::FrameRate;
use super::timing::PictureOrder;
use crate::error::CodecError;
use crate::h265::{AccessUnitDetector, HevcDecoderConfigurationRecord, NalType, ParameterSets, SliceHeader, layer_id};
use crate::nal::LengthSize;
use crate::video::Change;

/// Settings of `h265parse`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct H265ParseSettings {
    /// Parameter sets in a byte stream: -1 before each key frame, 0 never, else before a key frame after so many seconds.
    #[schemars(range(min = -1, max = 3600))]
    pub config_interval: i32,
    /// Pictures a second, such as 25 or 30000/1001, where the stream does not say or says it wrong.
    pub framerate: Option<FrameRate>,
}

impl Default for H265ParseSettings {
    fn default() -> Self {
        Self { config_interval: -1, framerate: None }
    }
}

const SINK: &str = "video/x-h265, stream-format={ hvc1, hev1, byte-stream }";
const SRC: &str = "video/x-h265, stream-format={ hvc1, hev1, byte-stream }, alignment=au";

/// What is known of `h265parse`.
pub fn factory() -> Factory {
    let summary = "Finds H.265 access units and changes their framing";
    Factory::new("h265parse", "Codec/Parser/Converter/Video", summary, build)
        .pad(PadTemplate::sink("sink", SINK))
        .pad(PadTemplate::src("src", SRC))
        .details(DETAILS)
        .example("filesrc location=video.h265 ! h265parse ! video/x-h265,stream-format=hvc1 ! fakesink")
}

fn build(settings: H265ParseSettings, cx: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(transform(&settings, super::allowed(cx))))
}

pub(crate) fn transform(settings: &H265ParseSettings, allowed: CapsSet) -> Box<dyn Transform> {
    let options = Options { config_interval: settings.config_interval.into(), framerate: settings.framerate };
    Box::new(NalParse::new(H265::default(), options, allowed))
}

/// Key frames are the random access pictures of the base layer: IDR, CRA, BLA.
#[derive(Default)]
struct H265 {
    sets: ParameterSets,
}

impl NalCodec for H265 {
    const MEDIA: &'static str = media::H265;
    const STORED: &'static str = "hvc1";
    const IN_BAND: &'static str = "hev1";
    const DELIMITER: Bytes = Bytes::from_static(&[0, 0, 0, 1, 0x46, 0x01, 0x50]);
    const ALL_SETS: u8 = 0b111;
    type Boundary = AccessUnitDetector;

    fn kind(&self, nal: &[u8]) -> NalKind {
        // Parameter sets of other layers have no place in the record, so they stay where they are.
        match NalType::of(nal).filter(|_| layer_id(nal) == Some(0)) {
            Some(NalType::AUD) => NalKind::Delimiter,
            Some(NalType::VPS) => NalKind::ParameterSet(0b001),
            Some(NalType::SPS) => NalKind::ParameterSet(0b010),
            Some(NalType::PPS) => NalKind::ParameterSet(0b100),
            Some(kind) if kind.is_irap() => NalKind::KeySlice,
            Some(kind) if kind.is_vcl() => NalKind::Slice,
            _ => NalKind::Other,
        }
    }

    fn insert(&mut self, nal: &Bytes) -> Result<Change, CodecError> {
        self.sets.insert(nal)
    }

    fn clear(&mut self) {
        self.sets = ParameterSets::new();
    }

    fn read(codec_data: &Bytes) -> Result<(LengthSize, Vec<Bytes>), CodecError> {
        let record = HevcDecoderConfigurationRecord::parse(codec_data)?;
        Ok((record.length_size, record.nals().cloned().collect()))
    }

    fn record(&self) -> Option<Bytes> {
        self.sets.record()?.write().ok()
    }

    fn sets(&self) -> Vec<Bytes> {
        self.sets.nals().cloned().collect()
    }

    fn describe(&self, caps: Caps) -> Caps {
        let Some(sps) = self.sets.last_sps() else { return caps };
        let sar = sps.vui.and_then(|vui| vui.sar);
        caps.with(field::WIDTH, sps.width())
            .with(field::HEIGHT, sps.height())
            .with_some(field::PROFILE, profile(sps.profile.profile_idc))
            .with(field::LEVEL, level(sps.profile.level_idc).as_str())
            .with("tier", if sps.profile.high_tier { "high" } else { "main" })
            .with_some("pixel-aspect-ratio", sar.map(|(w, h)| (i64::from(w), i64::from(h))))
    }

    fn frame_rate(&self) -> Option<(u32, u32)> {
        self.sets.last_sps()?.frame_rate()
    }

    fn reorder(&self) -> u8 {
        self.sets.last_sps().map_or(0, |sps| sps.max_num_reorder_pics)
    }

    fn order(&self, slice: &Bytes) -> Option<PictureOrder> {
        let kind = NalType::of(slice)?;
        let header = SliceHeader::parse(slice, &self.sets).ok()?;
        // 8.3.1: no leading picture and no sub-layer non-reference picture (even types below 16).
        let leading = matches!(kind.0, 6..=9);
        let unreferenced = kind.0 < 16 && kind.0 % 2 == 0;
        Some(PictureOrder {
            lsb: header.pic_order_cnt_lsb,
            bits: header.lsb_bits,
            restarts: kind.is_idr() || matches!(kind.0, 16..=18),
            anchor: header.temporal_id == 0 && !leading && !unreferenced,
            step: 1,
            field: false,
        })
    }
}

/// GStreamer's names of the profiles (H.265 A.3).
fn profile(idc: u8) -> Option<&'static str> {
    match idc {
        1 => Some("main"),
        2 => Some("main-10"),
        3 => Some("main-still-picture"),
        _ => None,
    }
}

/// `general_level_idc` is 30 times the level (H.265 A.4.1).
fn level(idc: u8) -> String {
    match (idc / 30, idc % 30 / 3) {
        (major, 0) => major.to_string(),
        (major, minor) => format!("{major}.{minor}"),
    }
}
