//! Live streams of FLV tags: what a player needs each for, and one stream for many players.
//!
//! RTMP and HTTP-FLV serve players alike: who joins gets metadata, the configuration of codecs and the group of pictures that has
//! begun; who is slow goes on at a key frame.

mod buffer;
mod disposable;
mod feed;
mod herd;
mod hold;
mod metering;
mod restart;
mod serve;
mod timeline;

pub use buffer::{file_header_buffer, tag_buffer};
pub use disposable::is_disposable;
pub use feed::{Cursor, Feed, FeedEntry, FeedLimits, Missed, Taken};
pub use herd::{Seat, Stood, Wire};
pub use hold::Hold;
pub use metering::count;
pub use serve::Serving;
pub use timeline::Timeline;

use bytes::Bytes;

use crate::wire::{PacketKind, TagKind, parse_audio, parse_video};

/// What a player needs a tag for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// To understand what follows.
    Head(Head),
    /// To begin.
    Key,
    /// To go on.
    Frame,
}

/// Headers of which the newest is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// `onMetaData`.
    MetaData,
    /// Configuration of a video track.
    Video(u8),
    /// Configuration of an audio track.
    Audio(u8),
}

/// A script body that takes `onMetaData` out of force, without a value: what a publisher's `@clearDataFrame` becomes in a stream of tags.
pub const CLEARED_METADATA: &[u8] = b"\x02\x00\x0aonMetaData\x06";

/// Says what a tag with this body is for. A body that nobody can read is passed on like any frame.
pub fn classify(kind: TagKind, body: &Bytes) -> Class {
    match kind {
        TagKind::Audio => audio(body),
        TagKind::Video => video(body),
        TagKind::Script | TagKind::ScriptAmf3 if is_metadata(body) => Class::Head(Head::MetaData),
        TagKind::Script | TagKind::ScriptAmf3 => Class::Frame,
    }
}

fn audio(body: &Bytes) -> Class {
    let Ok(tag) = parse_audio(body) else { return Class::Frame };
    let config = tag.packets.iter().find(|packet| packet.kind == PacketKind::Config);
    config.map_or(Class::Frame, |packet| Class::Head(Head::Audio(packet.track_id)))
}

fn video(body: &Bytes) -> Class {
    let Ok(tag) = parse_video(body) else { return Class::Frame };
    let mut class = Class::Frame;
    for packet in &tag.packets {
        match packet.kind {
            PacketKind::Config | PacketKind::Mpeg2TsConfig => return Class::Head(Head::Video(packet.track_id)),
            PacketKind::Frame { key: true, .. } => class = Class::Key,
            _ => {}
        }
    }
    class
}

/// Whether a script body is `onMetaData`: an AMF0 string of that name in front, and before it the zero byte of AMF3 script data.
fn is_metadata(body: &[u8]) -> bool {
    body.strip_prefix(&[0]).unwrap_or(body).starts_with(b"\x02\x00\x0aonMetaData")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_header_and_what_a_key_frame() {
        let class = |kind, bytes: &'static [u8]| classify(kind, &Bytes::from_static(bytes));
        assert_eq!(class(TagKind::Video, b"\x17\x00\0\0\0\x01"), Class::Head(Head::Video(0)));
        assert_eq!(class(TagKind::Video, b"\x17\x01\0\0\0\x01"), Class::Key);
        assert_eq!(class(TagKind::Video, b"\x27\x01\0\0\0\x01"), Class::Frame);
        assert_eq!(class(TagKind::Video, b"\x90hvc1\x01"), Class::Head(Head::Video(0)));
        assert_eq!(class(TagKind::Video, b"\x93hvc1\x01"), Class::Key);
        assert_eq!(class(TagKind::Audio, b"\xaf\x00\x11\x90"), Class::Head(Head::Audio(0)));
        assert_eq!(class(TagKind::Audio, b"\xaf\x01\x11\x90"), Class::Frame);
        assert_eq!(class(TagKind::Audio, b""), Class::Frame);
        assert_eq!(class(TagKind::Script, b"\x02\x00\x0aonMetaData\x05"), Class::Head(Head::MetaData));
        assert_eq!(class(TagKind::ScriptAmf3, b"\x00\x02\x00\x0aonMetaData\x05"), Class::Head(Head::MetaData));
        assert_eq!(class(TagKind::Script, b"\x02\x00\x0aonTextData\x05"), Class::Frame);
    }
}
