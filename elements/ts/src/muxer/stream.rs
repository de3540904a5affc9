//! One elementary stream of a muxer: what its PMT entry and its PES headers say, and the audio frames it holds back.

use bytes::Bytes;

use super::settings::StreamConfig;
use crate::error::ParseError;
use crate::packet::Pid;
use crate::pes::{STREAM_ID_AUDIO, STREAM_ID_EXTENDED, STREAM_ID_PRIVATE_1, STREAM_ID_VIDEO};
use crate::psi::{Codec, Descriptors, PmtStream, StreamClass, tag};

/// A stream and where it stands.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pid: Pid,
    pub(super) codec: Codec,
    pub(super) class: StreamClass,
    /// PES stream_id.
    pub(super) stream_id: u8,
    /// continuity_counter of the next packet with payload.
    pub(super) continuity: u8,
    pub(super) pending: Pending,
    /// Not in the PMT any more.
    pub(super) removed: bool,
    descriptors: Descriptors,
}

/// Audio frames that wait to share a PES packet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) slices: Vec<Bytes>,
    pub(super) bytes: usize,
    /// Times of the first frame.
    pub(super) pts: i64,
    pub(super) dts: i64,
}

impl Stream {
    pub(super) fn new(config: &StreamConfig, pid: Pid) -> Result<Self, ParseError> {
        Ok(Self {
            pid,
            codec: config.codec,
            class: config.codec.class(),
            stream_id: stream_id(config.codec),
            continuity: 0,
            pending: Pending::default(),
            removed: false,
            descriptors: descriptors(config)?,
        })
    }

    pub(super) fn pmt_entry(&self) -> PmtStream {
        PmtStream { pid: self.pid, stream_type: self.codec.stream_type(), descriptors: self.descriptors.clone() }
    }

    /// The counter for a packet with payload, which goes on.
    pub(super) const fn next_continuity(&mut self) -> u8 {
        let now = self.continuity;
        self.continuity = (now + 1) & 0x0F;
        now
    }

    /// The counter for a packet without payload: that of the packet before.
    pub(super) const fn same_continuity(&self) -> u8 {
        self.continuity.wrapping_sub(1) & 0x0F
    }
}

const fn stream_id(codec: Codec) -> u8 {
    match codec {
        Codec::Ac3 | Codec::Eac3 | Codec::Dts | Codec::Opus(_) | Codec::Av1 => STREAM_ID_PRIVATE_1,
        Codec::Vc1 => STREAM_ID_EXTENDED,
        other => match other.class() {
            StreamClass::Video => STREAM_ID_VIDEO,
            StreamClass::Audio => STREAM_ID_AUDIO,
            StreamClass::Data => STREAM_ID_PRIVATE_1,
        },
    }
}

/// The descriptors that a receiver needs to know the codec, then language, then the user's own.
fn descriptors(config: &StreamConfig) -> Result<Descriptors, ParseError> {
    let mut all = Descriptors::new();
    match config.codec {
        Codec::H265 => all.push(tag::REGISTRATION, b"HEVC")?,
        Codec::Av1 => all.push(tag::REGISTRATION, b"AV01")?,
        Codec::Vc1 => all.push(tag::REGISTRATION, b"VC-1")?,
        Codec::Ac3 => all.push(tag::REGISTRATION, b"AC-3")?,
        Codec::Eac3 => all.push(tag::REGISTRATION, b"EAC3")?,
        Codec::Klv => all.push(tag::REGISTRATION, b"KLVA")?,
        Codec::Opus(channel_config) => {
            all.push(tag::REGISTRATION, b"Opus")?;
            all.push(tag::DVB_EXTENSION, &[tag::EXT_OPUS, channel_config])?;
        }
        // Application format 0xFFFF and format 0xFF, each with identifier; service 0; no decoder configuration.
        Codec::Id3 => all.push(tag::METADATA, b"\xFF\xFFID3 \xFFID3 \x00\x0F")?,
        _ => {}
    }
    if let Some([a, b, c]) = config.language {
        all.push(tag::LANGUAGE, &[a, b, c, 0])?;
    }
    for own in config.descriptors.iter() {
        all.push(own.tag, own.data)?;
    }
    Ok(all)
}
