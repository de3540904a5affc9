//! `onMetaData` of a file that is being written.

use millstream_amf::{Properties, Value};
use millstream_core::Tags;

use super::track::{Format, Role, Track};
use crate::demux::Medium;
use crate::wire::{AudioCodec, MetaData, VideoCodec};

/// Who wrote the file.
const CREATOR: &str = concat!("millstream ", env!("CARGO_PKG_VERSION"));
/// Texts that are taken over from the source; real files have a dozen.
const MAX_TEXTS: usize = 64;
/// Bits in a kilobit of the data rates: the standard does not say; libavformat, GStreamer and flvmeta count so.
const KILOBIT: f64 = 1024.0;
/// Names that the muxer itself gives a value.
const OWN_NAMES: [&str; 16] = [
    "duration",
    "width",
    "height",
    "videodatarate",
    "framerate",
    "videocodecid",
    "audiodatarate",
    "audiosamplerate",
    "audiosamplesize",
    "stereo",
    "audiocodecid",
    "filesize",
    "audioTrackIdInfoMap",
    "videoTrackIdInfoMap",
    "keyframes",
    "metadatacreator",
];

/// What upstream says about the media.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    texts: Vec<(String, String)>,
    /// Length in seconds.
    pub(super) duration: Option<f64>,
}

impl Known {
    /// Takes tags; later ones win.
    pub(super) fn learn(&mut self, tags: &Tags) {
        for (name, text) in &tags.0 {
            if name == "duration" {
                self.duration = text.parse().ok().map(|ms: u32| f64::from(ms) / 1000.0).or(self.duration);
            } else if let Some(known) = self.texts.iter_mut().find(|known| known.0 == *name) {
                known.1.clone_from(text);
            } else if self.texts.len() < MAX_TEXTS && !OWN_NAMES.contains(&name.as_str()) {
                self.texts.push((name.clone(), text.clone()));
            }
        }
    }
}

/// What is known of the file as a whole, at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Seconds.
    pub(super) duration: f64,
    /// Bytes.
    pub(super) size: u64,
}

/// The metadata. Without `totals` the file is one that nobody will come back to; what is not known is left out.
pub(super) fn metadata(tracks: &[Track], known: &Known, totals: Option<Totals>) -> MetaData {
    let mut data = MetaData { duration: known.duration, ..MetaData::default() };
    for track in tracks {
        match (&track.format, track.role) {
            (Some(_), Role::Media(Medium::Video, 0)) => video(track, totals, &mut data),
            (Some(_), Role::Media(Medium::Audio, 0)) => audio(track, totals, &mut data),
            (Some(format), Role::Media(Medium::Video, id)) => data.video_tracks.push((id, properties(format))),
            (Some(format), Role::Media(Medium::Audio, id)) => data.audio_tracks.push((id, properties(format))),
            _ => {}
        }
    }
    if let Some(totals) = totals {
        data.duration = Some(totals.duration);
        data.file_size = Some(totals.size as f64);
    }
    data.other.push(("metadatacreator".into(), CREATOR.into()));
    data.other.extend(known.texts.iter().map(|(name, text)| (name.clone(), Value::String(text.clone()))));
    data
}

fn rate_of(track: &Track, totals: Option<Totals>) -> Option<f64> {
    let bits = track.bytes as f64 * 8.0;
    totals.map(|totals| if totals.duration > 0.0 { bits / KILOBIT / totals.duration } else { 0.0 })
}

fn video(track: &Track, totals: Option<Totals>, data: &mut MetaData) {
    let Some(Format::Video(format)) = &track.format else { return };
    data.width = format.size.map(|(width, _)| width.into());
    data.height = format.size.map(|(_, height)| height.into());
    data.frame_rate = format.rate;
    data.video_codec = Some(format.codec);
    data.video_data_rate = rate_of(track, totals);
}

fn audio(track: &Track, totals: Option<Totals>, data: &mut MetaData) {
    let Some(Format::Audio(format)) = &track.format else { return };
    data.audio_sample_rate = format.rate.map(f64::from);
    data.audio_sample_size = Some(if format.sound.wide { 16.0 } else { 8.0 });
    data.stereo = format.channels.map(|channels| channels == 2);
    data.audio_codec = Some(format.codec);
    data.audio_data_rate = rate_of(track, totals);
}

/// A further track in a track map (Enhanced RTMP v2, "Enhancing onMetaData").
fn properties(format: &Format) -> Properties {
    let named = |list: [(&str, Option<f64>); 3]| {
        list.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::Number(value?)))).collect()
    };
    match format {
        Format::Video(format) => named([
            ("width", format.size.map(|(width, _)| width.into())),
            ("height", format.size.map(|(_, height)| height.into())),
            ("videocodecid", VideoCodec::fourcc(format.codec).map(|fourcc| fourcc.to_u32().into())),
        ]),
        Format::Audio(format) => named([
            ("samplerate", format.rate.map(f64::from)),
            ("channels", format.channels.map(f64::from)),
            ("audiocodecid", AudioCodec::fourcc(format.codec).map(|fourcc| fourcc.to_u32().into())),
        ]),
        Format::Script => Properties::new(),
    }
}
