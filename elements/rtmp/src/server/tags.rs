//! FLV tags on a pad and media of a session: the same bodies, told apart by what a player needs them for.

use bytes::{Bytes, BytesMut};
use millstream_core::{Buffer, BufferFlags, Payload, Time};
use millstream_flv::wire::{PacketKind, Tag, TagHeader, TagKind, parse_audio, parse_video};

use super::feed::Content;
use crate::message::{Data, DataFrame};
use crate::session::{Media, MediaKind};

/// What a player needs a message for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// To understand what follows.
    Head(Head),
    /// To begin.
    Key,
    /// To go on.
    Frame,
}

/// Headers of which the newest is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    MetaData,
    /// Configuration of a video track.
    Video(u8),
    /// Configuration of an audio track.
    Audio(u8),
}

/// Says what a message is for. A body that nobody can read is passed on like any frame.
pub(crate) fn classify(content: &Content) -> Class {
    match content {
        Content::Data(_, body) if is_metadata(body) => Class::Head(Head::MetaData),
        Content::Data(..) => Class::Frame,
        Content::Media(media) => match media.kind {
            MediaKind::Audio => audio(&media.payload),
            MediaKind::Video => video(&media.payload),
        },
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

/// Whether a script body is `onMetaData`: an AMF0 string of that name in front.
fn is_metadata(body: &Bytes) -> bool {
    body.starts_with(b"\x02\x00\x0aonMetaData")
}

/// A message as a buffer of one FLV tag.
pub(crate) fn buffer_of(content: &Content, time: Time) -> Buffer {
    let (kind, timestamp, body) = match content {
        Content::Media(Media { kind: MediaKind::Audio, timestamp, payload }) => (TagKind::Audio, timestamp, payload),
        Content::Media(Media { kind: MediaKind::Video, timestamp, payload }) => (TagKind::Video, timestamp, payload),
        Content::Data(timestamp, body) => (TagKind::Script, timestamp, body),
    };
    // No message is longer than a tag can be: both lengths have 24 bits.
    let header = TagHeader::new(kind, body.len() as u32, *timestamp);
    let mut around = BytesMut::with_capacity(TagHeader::LEN + 4);
    header.write(&mut around);
    let head = around.split();
    around.extend_from_slice(&header.tag_size().to_be_bytes());
    let payload: Payload = [head.freeze(), body.clone(), around.freeze()].into_iter().collect();
    let flags = match classify(content) {
        Class::Head(_) => BufferFlags::HEADER,
        Class::Key => BufferFlags::KEYFRAME,
        Class::Frame if kind != TagKind::Video => BufferFlags::KEYFRAME,
        Class::Frame => BufferFlags::empty(),
    };
    Buffer::new(payload).with_times(Some(time), Some(time)).with_flags(flags)
}

/// A tag as a message; nothing for what RTMP has no message for.
pub(crate) fn content_of(tag: Tag) -> Option<Content> {
    let media = |kind| Content::Media(Media { kind, timestamp: tag.timestamp, payload: tag.body.clone() });
    match tag.kind {
        TagKind::Audio => Some(media(MediaKind::Audio)),
        TagKind::Video => Some(media(MediaKind::Video)),
        TagKind::Script => Some(Content::Data(tag.timestamp, tag.body.clone())),
        TagKind::ScriptAmf3 => Some(Content::Data(tag.timestamp, amf0_of(&tag.body))),
    }
}

/// AMF3 script data differs by a zero byte in front.
fn amf0_of(body: &Bytes) -> Bytes {
    body.slice(usize::from(body.first() == Some(&0))..)
}

/// Data of a publisher as a message for players.
pub(crate) fn content_of_data(timestamp: u32, data: DataFrame) -> Option<Content> {
    match data {
        DataFrame::Set(Data { body, .. }) | DataFrame::Pass(Data { body, .. }) => Some(Content::Data(timestamp, body)),
        DataFrame::Clear(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use millstream_flv::wire::{FileHeader, FlvReader};

    use super::*;

    fn media(kind: MediaKind, bytes: &'static [u8]) -> Content {
        Content::Media(Media { kind, timestamp: 0x0102_0304, payload: Bytes::from_static(bytes) })
    }

    #[test]
    fn messages_become_tags_and_tags_messages() {
        let mut reader = FlvReader::new();
        let mut header = BytesMut::new();
        FileHeader::new(true, true).write(&mut header);
        reader.push(header.freeze());
        let contents = [
            media(MediaKind::Audio, b"\xaf\x01\x42"),
            media(MediaKind::Video, b"\x17\x01\0\0\0abc"),
            Content::Data(7, Bytes::from_static(b"\x02\x00\x0aonMetaData\x05")),
        ];
        for content in contents {
            let buffer = buffer_of(&content, Time::ZERO);
            buffer.payload.slices().iter().for_each(|slice| reader.push(slice.clone()));
            let tag = reader.next().unwrap().unwrap();
            assert_eq!(content_of(tag), Some(content));
        }
    }

    #[test]
    fn what_is_a_header_and_what_a_key_frame() {
        let class = |kind, bytes| classify(&media(kind, bytes));
        assert_eq!(class(MediaKind::Video, b"\x17\x00\0\0\0\x01"), Class::Head(Head::Video(0)));
        assert_eq!(class(MediaKind::Video, b"\x17\x01\0\0\0\x01"), Class::Key);
        assert_eq!(class(MediaKind::Video, b"\x27\x01\0\0\0\x01"), Class::Frame);
        assert_eq!(class(MediaKind::Video, b"\x90hvc1\x01"), Class::Head(Head::Video(0)));
        assert_eq!(class(MediaKind::Video, b"\x93hvc1\x01"), Class::Key);
        assert_eq!(class(MediaKind::Audio, b"\xaf\x00\x11\x90"), Class::Head(Head::Audio(0)));
        assert_eq!(class(MediaKind::Audio, b"\xaf\x01\x11\x90"), Class::Frame);
        assert_eq!(class(MediaKind::Audio, b""), Class::Frame);
    }
}
