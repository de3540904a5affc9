//! Buffers across the border: a `GstBuffer` around our bytes, and our buffer around a `GstBuffer`'s. No byte is copied on either way.

use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::memory::{MappedMemory, Readable};
use millstream_plugin_sdk::Owner;
use millstream_plugin_sdk::prelude::{Buffer, BufferFlags, Bytes};
use smallvec::SmallVec;

/// Bytes that were copied, since a `GstBuffer` takes only so many pieces.
static COPIED: AtomicU64 = AtomicU64::new(0);

/// Pieces that a `GstBuffer` takes before it copies them together (`GST_BUFFER_MEM_MAX`).
const MAX_PIECES: usize = 16;

/// Media bytes that had to be copied so far, in this process.
pub fn copied_bytes() -> u64 {
    COPIED.load(Ordering::Relaxed)
}

/// Flags that mean the same on both sides.
const SAME: [(BufferFlags, gst::BufferFlags); 4] = [
    (BufferFlags::HEADER, gst::BufferFlags::HEADER),
    (BufferFlags::DISCONT, gst::BufferFlags::DISCONT),
    (BufferFlags::CORRUPTED, gst::BufferFlags::CORRUPTED),
    (BufferFlags::DROPPABLE, gst::BufferFlags::DROPPABLE),
];

/// A `GstBuffer` around the bytes of ours, which it holds, with its flags and offset, without times.
pub(crate) fn to_gst(buffer: &Buffer, deltas: bool) -> gst::Buffer {
    let mut made = gst::Buffer::new();
    let fill = made.make_mut();
    let pieces = buffer.slices().len();
    if pieces > MAX_PIECES {
        let all = buffer.to_vec();
        COPIED.fetch_add(all.len() as u64, Ordering::Relaxed);
        fill.append_memory(gst::Memory::from_slice(all));
    } else {
        buffer.keep_slices().filter(|slice| !slice.as_ref().is_empty()).for_each(|slice| {
            fill.append_memory(gst::Memory::from_slice(slice));
        });
    }
    let flags = buffer.flags();
    let mut theirs = gst::BufferFlags::empty();
    SAME.iter().filter(|(ours, _)| flags.contains(*ours)).for_each(|(_, flag)| theirs |= *flag);
    if deltas && !flags.contains(BufferFlags::KEYFRAME) {
        theirs |= gst::BufferFlags::DELTA_UNIT;
    }
    fill.set_flags(theirs);
    if let Some(offset) = buffer.offset() {
        fill.set_offset(offset);
    }
    made
}

/// The bytes of a `GstBuffer`, mapped one memory after the other, and the buffer, so that its pool gets it back when they are gone.
struct Mapped {
    memories: SmallVec<[MappedMemory<Readable>; 1]>,
    _buffer: gst::Buffer,
}

impl Owner for Mapped {
    fn slices(&self, each: &mut dyn FnMut(&[u8])) {
        self.memories.iter().for_each(|memory| each(memory.as_slice()));
    }
}

/// Our buffer around the bytes of a `GstBuffer`, which it holds, with its flags, without times. `None` where they cannot be mapped.
///
/// GStreamer's parsers flag pictures as headers that only carry some. Here a header is no media, so there are none among pictures.
pub(crate) fn from_gst(buffer: gst::Buffer, pictures: bool) -> Option<Buffer> {
    let (mut flags, offset) = (flags_of(buffer.flags()), buffer.offset());
    if pictures {
        flags.set(BufferFlags::HEADER, false);
    }
    let made = match buffer.n_memory() {
        0 => Buffer::new(Bytes::new()),
        _ => {
            let mapped = buffer.iter_memories_owned().map(gst::Memory::into_mapped_memory_readable);
            let memories = mapped.collect::<Result<_, _>>().ok()?;
            Buffer::wrap(Mapped { memories, _buffer: buffer })
        }
    };
    let offset = (offset != gst::ffi::GST_BUFFER_OFFSET_NONE).then_some(offset);
    Some(made.with_meta(millstream_plugin_sdk::Meta { flags, offset, ..Default::default() }))
}

fn flags_of(theirs: gst::BufferFlags) -> BufferFlags {
    let mut flags = BufferFlags::empty();
    SAME.iter().filter(|(_, flag)| theirs.contains(*flag)).for_each(|(ours, _)| flags.set(*ours, true));
    flags.set(BufferFlags::KEYFRAME, !theirs.contains(gst::BufferFlags::DELTA_UNIT));
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(buffer: &Buffer) -> *const u8 {
        buffer.slices().next().map_or(std::ptr::null(), <[u8]>::as_ptr)
    }

    #[test]
    fn bytes_cross_there_and_back_without_a_copy() {
        gst::init().expect("GStreamer is there");
        let bytes = Bytes::from(vec![7_u8; 1000]);
        let ours = Buffer::from_slices([bytes.slice(..10), bytes.slice(10..)]).with_flags(BufferFlags::HEADER);
        let theirs = to_gst(&ours, true);
        assert_eq!((theirs.n_memory(), theirs.size()), (2, 1000));
        assert_eq!(
            theirs.flags() & !gst::BufferFlags::TAG_MEMORY,
            gst::BufferFlags::HEADER | gst::BufferFlags::DELTA_UNIT
        );
        let back = from_gst(theirs, false).expect("mapped");
        assert_eq!(address(&back), bytes.as_ptr());
        assert_eq!(back.slices().nth(1).expect("two").as_ptr(), bytes[10..].as_ptr());
        assert_eq!(back.flags(), BufferFlags::HEADER);
    }

    #[test]
    fn a_gst_buffer_goes_back_to_its_pool_with_the_last_of_our_references() {
        gst::init().expect("GStreamer is there");
        let buffer = gst::Buffer::from_slice(vec![1_u8; 4]);
        let weak = buffer.clone();
        let ours = from_gst(buffer, true).expect("mapped");
        let part = ours.slice(1..3);
        drop(ours);
        assert_eq!(part.to_vec(), [1, 1]);
        assert!(weak.as_ptr().is_aligned() && !weak.is_writable());
        drop(part);
        assert!(weak.is_writable(), "nobody but the test holds it");
    }

    #[test]
    fn more_pieces_than_a_gst_buffer_takes_are_copied_and_counted() {
        gst::init().expect("GStreamer is there");
        let before = copied_bytes();
        let ours = Buffer::from_slices((0..20).map(|_| Bytes::from_static(b"ab")));
        assert_eq!(to_gst(&ours, false).size(), 40);
        assert_eq!(copied_bytes() - before, 40);
    }
}
