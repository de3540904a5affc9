//! `h264parse`: H.264 access units, framed as downstream wants them.

use bytes::Bytes;
use millstream_core::caps::{field, media};
use millstream_core::{BuildCx, Caps, CapsSet, Element, Factory, PadTemplate, Result, Transform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nal::{DETAILS, NalCodec, NalKind, NalParse, Options};
use super::settings::FrameRate;
use super::timing::PictureOrder;
use crate::error::CodecError;
use crate::h264::{
    AccessUnitDetector, AvcDecoderConfigurationRecord, KeyFrameRule, NalType, ParameterSets, PicOrder, SliceHeader,
    Sps, recovery_point,
};
use crate::nal::LengthSize;
use crate::video::Change;

/// Settings of `h264parse`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct H264ParseSettings {
    /// Parameter sets in a byte stream: -1 before each key frame, 0 never, else before a key frame after so many seconds.
    #[schemars(range(min = -1, max = 3600))]
    pub config_interval: i32,
    /// Pictures a second, such as 25 or 30000/1001, where the stream does not say or says it wrong.
    pub framerate: Option<FrameRate>,
    /// What counts as a key frame.
    pub key_frames: KeyFrames,
}

/// What counts as a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFrames {
    /// IDR pictures.
    #[default]
    Idr,
    /// IDR pictures and recovery points that are exact at once: open groups of pictures.
    RecoveryPoint,
}

impl Default for H264ParseSettings {
    fn default() -> Self {
        Self { config_interval: -1, framerate: None, key_frames: KeyFrames::Idr }
    }
}

const SINK: &str = "video/x-h264, stream-format={ avc, avc3, byte-stream }";
const SRC: &str = "video/x-h264, stream-format={ avc, avc3, byte-stream }, alignment=au";

/// What is known of `h264parse`.
pub fn factory() -> Factory {
    let summary = "Finds H.264 access units and changes their framing";
    Factory::new("h264parse", "Codec/Parser/Converter/Video", summary, build)
        .pad(PadTemplate::sink("sink", SINK))
        .pad(PadTemplate::src("src", SRC))
        .details(DETAILS)
        .example("filesrc location=tests/fixtures/h264.264 ! h264parse ! video/x-h264,stream-format=avc ! fakesink")
}

fn build(settings: H264ParseSettings, cx: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(transform(&settings, super::allowed(cx))))
}

pub(crate) fn transform(settings: &H264ParseSettings, allowed: CapsSet) -> Box<dyn Transform> {
    let options = Options { config_interval: settings.config_interval.into(), framerate: settings.framerate };
    let rule = match settings.key_frames {
        KeyFrames::Idr => KeyFrameRule::Idr,
        KeyFrames::RecoveryPoint => KeyFrameRule::IdrOrRecoveryPoint,
    };
    let codec = H264 { sets: ParameterSets::new(), rule };
    Box::new(NalParse::new(codec, options, allowed))
}

struct H264 {
    sets: ParameterSets,
    rule: KeyFrameRule,
}

impl NalCodec for H264 {
    const MEDIA: &'static str = media::H264;
    const STORED: &'static str = "avc";
    const IN_BAND: &'static str = "avc3";
    const DELIMITER: Bytes = Bytes::from_static(&[0, 0, 0, 1, 0x09, 0xf0]);
    const ALL_SETS: u8 = 0b11;
    type Boundary = AccessUnitDetector;

    fn kind(&self, nal: &[u8]) -> NalKind {
        match NalType::of(nal) {
            Some(NalType::Aud) => NalKind::Delimiter,
            Some(NalType::Sps) => NalKind::ParameterSet(0b01),
            Some(NalType::Pps) => NalKind::ParameterSet(0b10),
            Some(NalType::Idr) => NalKind::KeySlice,
            Some(kind) if kind.is_vcl() => NalKind::Slice,
            Some(NalType::Sei) if self.rule == KeyFrameRule::IdrOrRecoveryPoint => match recovery_point(nal) {
                Some(0) => NalKind::KeyHint,
                _ => NalKind::Other,
            },
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
        let record = AvcDecoderConfigurationRecord::parse(codec_data)?;
        Ok((record.length_size, [record.sps, record.pps].concat()))
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
            .with_some(field::PROFILE, profile(sps))
            .with(field::LEVEL, level(sps).as_str())
            .with_some("pixel-aspect-ratio", sar.map(|(w, h)| (i64::from(w), i64::from(h))))
    }

    fn frame_rate(&self) -> Option<(u32, u32)> {
        self.sets.last_sps()?.frame_rate()
    }

    fn reorder(&self) -> u8 {
        let Some(sps) = self.sets.last_sps() else { return 0 };
        // Without a promise there are as many as pictures can be kept for, which an encoder seldom uses up.
        sps.max_num_reorder_frames().unwrap_or(sps.max_num_ref_frames.max(1))
    }

    fn order(&self, slice: &Bytes) -> Option<PictureOrder> {
        let header = SliceHeader::parse(slice, &self.sets).ok()?;
        let picture = header.picture?;
        let sps = self.sets.sps(self.sets.pps(header.pps_id)?.sps_id)?;
        let PicOrder::Lsb { bits } = sps.pic_order else { return None };
        let anchor = header.nal_ref_idc != 0;
        // Both fields of a frame have a count, so frames are two apart.
        Some(PictureOrder {
            lsb: picture.pic_order_cnt_lsb,
            bits,
            restarts: header.idr && !picture.bottom,
            anchor,
            step: 2,
            field: picture.field,
        })
    }
}

/// GStreamer's names of the profiles (H.264 A.2).
fn profile(sps: &Sps) -> Option<&'static str> {
    let set = |flag: u8| sps.constraints & 0x80 >> flag != 0;
    Some(match sps.profile_idc {
        66 if set(1) => "constrained-baseline",
        66 => "baseline",
        77 => "main",
        88 => "extended",
        100 if set(4) && set(5) => "constrained-high",
        100 if set(4) => "progressive-high",
        100 => "high",
        110 if set(3) => "high-10-intra",
        110 => "high-10",
        122 if set(3) => "high-4:2:2-intra",
        122 => "high-4:2:2",
        244 if set(3) => "high-4:4:4-intra",
        244 => "high-4:4:4",
        44 => "cavlc-4:4:4-intra",
        118 => "multiview-high",
        128 => "stereo-high",
        _ => return None,
    })
}

/// `3`, `3.1`, `1b` (H.264 A.3.1, 7.4.2.1.1: 1b is level 11 with `constraint_set3_flag` in the older profiles).
fn level(sps: &Sps) -> String {
    let old = matches!(sps.profile_idc, 66 | 77 | 88);
    match (sps.level_idc, sps.level_idc % 10) {
        (9, _) => "1b".to_owned(),
        (11, _) if old && sps.constraints & 0x10 != 0 => "1b".to_owned(),
        (idc, 0) => (idc / 10).to_string(),
        (idc, minor) => format!("{}.{minor}", idc / 10),
    }
}
