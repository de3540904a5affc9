//! Media: reference-counted by whoever made it.

use crate::Str;

/// Decoding can start here.
pub const KEYFRAME: u32 = 1;
/// Not media but what a decoder or player needs before it.
pub const HEADER: u32 = 1 << 1;
/// Does not follow on what came before.
pub const DISCONT: u32 = 1 << 2;
/// The bytes are damaged or incomplete.
pub const CORRUPTED: u32 = 1 << 3;
/// No other buffer depends on this one.
pub const DROPPABLE: u32 = 1 << 4;

/// Most slices that a buffer has. More would be a mistake: blocks hold many packets.
pub const MAX_SLICES: u64 = 1 << 16;

/// A piece of a buffer's bytes. Frozen.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// First byte; null until [`BufferVtable::map`] was called, for memory that has to be mapped.
    pub data: *const u8,
    /// Bytes.
    pub len: u64,
}

/// One unit of media: a frame, an access unit, a block of a byte stream.
///
/// Who is given a buffer holds one reference to it. The fields may be written only by who has just got it from [`BufferVtable::edit`] or
/// [`BufferVtable::make_writable`].
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// Size of this struct as its maker knows it.
    pub size: u32,
    /// [`KEYFRAME`] and so on.
    pub flags: u32,
    /// The functions of its maker. Stay valid as long as the program runs.
    pub vtable: *const BufferVtable,
    /// When to show it, ns on the timeline of the segment.
    pub pts: i64,
    /// When to decode it, ns.
    pub dts: i64,
    /// How long it lasts, ns.
    pub duration: i64,
    /// Byte offset in the source.
    pub offset: i64,
    /// The bytes in order, `slice_count` of them; null for none. They live as long as a reference to the buffer is held.
    pub slices: *const Slice,
    /// Number of slices, at most [`MAX_SLICES`].
    pub slice_count: u64,
}

/// What the maker of a buffer does for its holders. `[any]`: all of it from any thread.
#[repr(C)]
#[derive(Debug)]
pub struct BufferVtable {
    /// Size of this struct.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// One more reference. Who keeps a part of a buffer keeps a reference to it. `[any]`
    pub ref_: Option<unsafe extern "C" fn(*mut Buffer)>,
    /// One reference less; with the last one the buffer is gone. `[any]`
    pub unref: Option<unsafe extern "C" fn(*mut Buffer)>,
    /// Makes the bytes of all slices readable until the buffer is gone. Null where they always are. `[any]`
    pub map: Option<unsafe extern "C" fn(*mut Buffer) -> i32>,
    /// Takes a reference and gives one to a buffer of which the caller is the only holder, so that its fields may be written. The bytes stay
    /// shared. Null on failure, which leaves the reference where it was. `[any]`
    pub edit: Option<unsafe extern "C" fn(*mut Buffer) -> *mut Buffer>,
    /// As `edit`, and the bytes may be written too: copied if somebody else holds them. `[any]`
    pub make_writable: Option<unsafe extern "C" fn(*mut Buffer) -> *mut Buffer>,
    /// What the buffer is for those who know its maker (`GstBuffer`): a pointer that is valid as long as a reference is held, or null. `[any]`
    pub native: Option<unsafe extern "C" fn(*mut Buffer, kind: Str) -> *mut core::ffi::c_void>,
}
