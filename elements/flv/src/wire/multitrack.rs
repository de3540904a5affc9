//! Multitrack bodies: several tracks in one tag (Enhanced RTMP v2, "Multitrack Streaming via Enhanced RTMP").

use bytes::BufMut;

use super::codec::FourCc;
use super::cursor::Cursor;
use super::error::{BodyError, EncodeError};

/// `AvMultitrackType`: how the tracks of a body are laid out.
///
/// ```text
/// OneTrack              FourCC | id payload
/// ManyTracks            FourCC | id size24 payload | id size24 payload ...
/// ManyTracksManyCodecs           FourCC id size24 payload | FourCC id size24 payload ...
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultitrackType {
    /// 0: one track, which takes the rest of the body.
    OneTrack,
    /// 1: several tracks of one codec.
    ManyTracks,
    /// 2: several tracks, each with its codec.
    ManyTracksManyCodecs,
}

impl MultitrackType {
    /// Reads the high nibble of the multitrack byte.
    pub(super) fn from_nibble(value: u8) -> Result<Self, BodyError> {
        match value {
            0 => Ok(Self::OneTrack),
            1 => Ok(Self::ManyTracks),
            2 => Ok(Self::ManyTracksManyCodecs),
            other => Err(BodyError::MultitrackType(other)),
        }
    }

    /// The high nibble of the multitrack byte.
    pub(super) fn nibble(self) -> u8 {
        match self {
            Self::OneTrack => 0,
            Self::ManyTracks => 1,
            Self::ManyTracksManyCodecs => 2,
        }
    }
}

/// Reads the tracks behind the multitrack byte and hands each to `each` with its id, codec and payload. Returns how many
/// tracks were skipped because of an unknown FourCC; if all were, that is an error.
pub(super) fn read_tracks<C: Copy>(
    layout: MultitrackType,
    body: &mut Cursor,
    codec_of: fn(FourCc) -> Option<C>,
    mut each: impl FnMut(u8, C, Cursor) -> Result<(), BodyError>,
) -> Result<u32, BodyError> {
    let shared = match layout {
        MultitrackType::ManyTracksManyCodecs => None,
        _ => Some(body.fourcc()?),
    };
    let (mut known, mut unknown) = (0, 0);
    let mut last_unknown = None;
    while body.left() > 0 {
        let fourcc = match shared {
            Some(fourcc) => fourcc,
            None => body.fourcc()?,
        };
        let track_id = body.u8("trackId")?;
        let payload = read_payload(layout, track_id, body)?;
        match codec_of(fourcc) {
            Some(codec) => {
                known += 1;
                each(track_id, codec, payload)?;
            }
            None => {
                unknown += 1;
                last_unknown = Some(fourcc);
            }
        }
    }
    match last_unknown {
        Some(fourcc) if known == 0 => Err(BodyError::FourCc(fourcc)),
        _ => Ok(unknown),
    }
}

fn read_payload(layout: MultitrackType, track_id: u8, body: &mut Cursor) -> Result<Cursor, BodyError> {
    if layout == MultitrackType::OneTrack {
        return Ok(Cursor::new(body.rest()));
    }
    let size = body.u24("sizeOfTrack")? as usize;
    let (offset, left) = (body.at(), body.left());
    let payload = body.bytes(size, "track").map_err(|_| BodyError::TrackSize { offset, track_id, size, left })?;
    Ok(Cursor::new(payload))
}

/// Appends what stands between the multitrack byte and the payload of a single track.
pub(super) fn write_one_track(fourcc: FourCc, track_id: u8, out: &mut impl BufMut) {
    out.put_slice(&fourcc.0);
    out.put_u8(track_id);
}

/// A track to be written.
pub(super) struct TrackBody<'a> {
    pub(super) track_id: u8,
    pub(super) fourcc: FourCc,
    /// The composition time, where the packet has one.
    pub(super) time: Option<[u8; 3]>,
    pub(super) payload: &'a [u8],
}

/// Appends the multitrack byte and the tracks, in the densest layout.
pub(super) fn write_tracks(
    packet_type: u8,
    tracks: &[TrackBody<'_>],
    out: &mut impl BufMut,
) -> Result<(), EncodeError> {
    let Some(first) = tracks.first() else { return Ok(()) };
    let layout = match tracks {
        [_] => MultitrackType::OneTrack,
        _ if tracks.iter().all(|track| track.fourcc == first.fourcc) => MultitrackType::ManyTracks,
        _ => MultitrackType::ManyTracksManyCodecs,
    };
    out.put_u8(layout.nibble() << 4 | packet_type);
    if layout != MultitrackType::ManyTracksManyCodecs {
        out.put_slice(&first.fourcc.0);
    }
    for track in tracks {
        if layout == MultitrackType::ManyTracksManyCodecs {
            out.put_slice(&track.fourcc.0);
        }
        let time = track.time.as_ref().map_or(&[][..], |time| time);
        out.put_u8(track.track_id);
        if layout != MultitrackType::OneTrack {
            out.put_slice(&size24(time.len() + track.payload.len())?);
        }
        out.put_slice(time);
        out.put_slice(track.payload);
    }
    Ok(())
}

/// A payload size as the 24-bit field takes it.
fn size24(size: usize) -> Result<[u8; 3], EncodeError> {
    match u32::try_from(size).map(u32::to_be_bytes) {
        Ok([0, a, b, c]) => Ok([a, b, c]),
        _ => Err(EncodeError::TooLarge { size }),
    }
}
