//! Codecs and decoder configurations to caps, and back: a codec per arm, both ways side by side.
//!
//! Media types and fields are GStreamer's. The configuration of a sequence header travels as `codec_data`, unchanged.

mod audio;
mod video;

use bytes::Bytes;
use millstream_core::{Caps, Error};

pub(crate) use audio::{
    AudioFormat, AudioSource, SINK_CAPS as AUDIO_SINK_CAPS, SRC_CAPS as AUDIO_SRC_CAPS, frame_params,
};
pub(crate) use video::{
    SINK_CAPS as VIDEO_SINK_CAPS, SRC_CAPS as VIDEO_SRC_CAPS, VideoFormat, VideoSource, frame_size,
};

/// Text of a caps field, or `wanted` where it is not said.
fn says(caps: &Caps, field: &str, wanted: &[&str]) -> bool {
    caps.text(field).is_none_or(|text| wanted.contains(&text))
}

/// Caps that FLV cannot carry as they are.
fn refused(caps: &Caps, hint: &str) -> Error {
    Error::unsupported(format!("FLV cannot carry {caps}")).hint(hint)
}

/// The configuration that a codec cannot do without.
fn required_config(caps: &Caps, hint: &str) -> Result<Bytes, Error> {
    let config = caps.codec_data().filter(|data| !data.is_empty()).cloned();
    config.ok_or_else(|| Error::unsupported(format!("{} has no codec_data", caps.media())).hint(hint))
}
