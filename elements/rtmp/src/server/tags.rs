//! FLV tags on a pad and media of a session: the same bodies.

use bytes::Bytes;
use millstream_flv::live::CLEARED_METADATA;
use millstream_flv::wire::{ON_META_DATA, Tag, TagKind};

use super::feed::Content;
use crate::message::{Data, DataFrame};
use crate::session::{Media, MediaKind};

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
        DataFrame::Clear(name) if name == ON_META_DATA => {
            Some(Content::Data(timestamp, Bytes::from_static(CLEARED_METADATA)))
        }
        // Nothing else is kept.
        DataFrame::Clear(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use millstream_amf::Value;
    use millstream_core::Time;
    use millstream_flv::live::{Class, Head, classify, tag_buffer};
    use millstream_flv::wire::{FileHeader, FlvReader, parse_script};

    use super::*;

    fn media(kind: MediaKind, bytes: &'static [u8]) -> Content {
        Content::Media(Media { kind, timestamp: 0x0102_0304, payload: Bytes::from_static(bytes) })
    }

    #[test]
    fn rtmp_m11_cleared_metadata_is_passed_on_as_such() {
        let Some(Content::Data(7, body)) = content_of_data(7, DataFrame::Clear(ON_META_DATA.into())) else { panic!() };
        assert_eq!(classify(TagKind::Script, &body), Class::Head(Head::MetaData));
        let script = parse_script(TagKind::Script, &body).unwrap();
        assert_eq!(script.values, [Value::Undefined]);
        assert_eq!(content_of_data(7, DataFrame::Clear("onCuePoint".into())), None);
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
            let buffer = tag_buffer(content.kind(), content.timestamp(), content.body(), Time::ZERO, true);
            buffer.payload.slices().iter().for_each(|slice| reader.push(slice.clone()));
            let tag = reader.next().unwrap().unwrap();
            assert_eq!(content_of(tag), Some(content));
        }
    }
}
