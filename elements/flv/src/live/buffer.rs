//! Tags as buffers on a pad.

use bytes::{Bytes, BytesMut};
use millstream_core::{Buffer, BufferFlags, Payload, Time};

use super::{Class, classify};
use crate::wire::{FileHeader, TagHeader, TagKind};

/// Size of the tag before the next (FLV 10.1, E.3).
const TAG_SIZE_LEN: usize = 4;

/// Header of a live stream, which may have sound and pictures, and the size of the tag before the first.
pub fn file_header_buffer() -> Buffer {
    let mut header = BytesMut::with_capacity(FileHeader::LEN + TAG_SIZE_LEN);
    FileHeader::new(true, true).write(&mut header);
    header.extend_from_slice(&[0; TAG_SIZE_LEN]);
    Buffer::new(header.freeze()).with_flags(BufferFlags::HEADER)
}

/// A whole tag of a body that is not longer than a tag can be; `timestamp` is in milliseconds, and `time` the same on the pad's timeline.
/// Sound is a place to begin at only where there are no pictures.
pub fn tag_buffer(kind: TagKind, timestamp: u32, body: &Bytes, time: Time, has_pictures: bool) -> Buffer {
    // What comes as a tag or a message has a length of 24 bits.
    let header = TagHeader::new(kind, body.len() as u32, timestamp);
    let mut around = BytesMut::with_capacity(TagHeader::LEN + TAG_SIZE_LEN);
    header.write(&mut around);
    let head = around.split();
    around.extend_from_slice(&header.tag_size().to_be_bytes());
    let payload: Payload = [head.freeze(), body.clone(), around.freeze()].into_iter().collect();
    let flags = match classify(kind, body) {
        Class::Head(_) => BufferFlags::HEADER,
        Class::Key => BufferFlags::KEYFRAME,
        Class::Frame if kind == TagKind::Audio && !has_pictures => BufferFlags::KEYFRAME,
        Class::Frame => BufferFlags::empty(),
    };
    Buffer::new(payload).with_times(Some(time), Some(time)).with_flags(flags)
}
