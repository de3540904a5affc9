//! Media in a plugin: buffers of the host and of our own, shared and never copied on the way.

use std::borrow::Cow;
use std::ffi::c_void;
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;

use bytes::Bytes;
use millstream_core::{BufferFlags, Time, TimeDelta};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{Str, status};

use crate::own;

/// One unit of media: a reference to a buffer of whoever made it. A clone shares it.
pub struct Buffer(NonNull<abi::Buffer>);

// SAFETY: the ABI demands that buffers may be held, read and released on any thread.
unsafe impl Send for Buffer {}
// SAFETY: it is written only by its only holder, through `&mut`.
unsafe impl Sync for Buffer {}

/// What is known of a buffer beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Meta {
    /// When to show it, on the timeline of the current segment.
    pub pts: Option<Time>,
    /// When to decode it.
    pub dts: Option<Time>,
    /// How long it lasts.
    pub duration: Option<TimeDelta>,
    /// Byte offset in the source.
    pub offset: Option<u64>,
    /// Key frame, header, discontinuity and so on.
    pub flags: BufferFlags,
}

/// Whatever holds media bytes that a buffer is made of without a copy: see [`Buffer::wrap`].
pub trait Owner: Send + Sync + 'static {
    /// Gives all bytes in order, as few slices as there are. They stay where they are as long as the owner is there.
    fn slices(&self, each: &mut dyn FnMut(&[u8]));

    /// What it is for those who know its maker, such as a `GstBuffer`; valid as long as the owner is there. Default: nothing.
    fn native(&self, kind: &str) -> *mut c_void {
        let _ = kind;
        std::ptr::null_mut()
    }
}

/// One slice of a buffer, which it keeps.
#[derive(Clone, Debug)]
pub struct Slice {
    _keep: Buffer,
    data: *const u8,
    len: usize,
}

// SAFETY: as for the buffer, which it keeps; nothing is written through it.
unsafe impl Send for Slice {}
// SAFETY: as above.
unsafe impl Sync for Slice {}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: a slice of the buffer, which is kept.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Buffer {
    /// A buffer of these bytes without times or flags. Not copied.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self::from_slices([bytes.into()])
    }

    /// A buffer of several pieces. Not copied.
    pub fn from_slices(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self::wrap(own::Pieces(pieces.into_iter().collect()))
    }

    /// A buffer of the bytes that somebody holds: it is dropped with the last reference, on any thread.
    pub fn wrap(owner: impl Owner) -> Self {
        Self(own::buffer(owner, Meta::default()))
    }

    /// The buffer of a pointer.
    ///
    /// # Safety
    /// `buffer` is one as the ABI describes it, and the caller gives its reference.
    pub unsafe fn from_raw(buffer: *mut abi::Buffer) -> Option<Self> {
        NonNull::new(buffer).map(Self)
    }

    /// The pointer, with the reference.
    pub fn into_raw(self) -> *mut abi::Buffer {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    fn abi(&self) -> &abi::Buffer {
        // SAFETY: we hold a reference.
        unsafe { self.0.as_ref() }
    }

    fn vtable(&self) -> &abi::BufferVtable {
        // SAFETY: the vtable of a buffer is there as long as the program runs.
        unsafe { &*self.abi().vtable }
    }

    /// When to show it.
    pub fn pts(&self) -> Option<Time> {
        own::time(self.abi().pts)
    }

    /// When to decode it.
    pub fn dts(&self) -> Option<Time> {
        own::time(self.abi().dts)
    }

    /// The time that orders buffers of several streams: `dts`, or `pts` where there is no `dts`.
    pub fn dts_or_pts(&self) -> Option<Time> {
        self.dts().or(self.pts())
    }

    /// How long it lasts.
    pub fn duration(&self) -> Option<TimeDelta> {
        own::span(self.abi().duration)
    }

    /// Byte offset in the source.
    pub fn offset(&self) -> Option<u64> {
        u64::try_from(self.abi().offset).ok()
    }

    /// Key frame, header, discontinuity and so on.
    pub fn flags(&self) -> BufferFlags {
        BufferFlags::from_bits(self.abi().flags as u16)
    }

    /// True for a key frame.
    pub fn is_keyframe(&self) -> bool {
        self.flags().contains(BufferFlags::KEYFRAME)
    }

    /// All that is known beside the bytes.
    pub fn meta(&self) -> Meta {
        Meta { pts: self.pts(), dts: self.dts(), duration: self.duration(), offset: self.offset(), flags: self.flags() }
    }

    /// Changes what is known beside the bytes. A buffer that others hold too is left to them; the bytes stay shared.
    pub fn edit(&mut self, change: impl FnOnce(&mut Meta)) {
        let mut meta = self.meta();
        change(&mut meta);
        let make = self.vtable().edit;
        if self.own_up(make).is_none() {
            // A maker without `edit`: a buffer of ours around its bytes.
            let whole = own::Part { slices: self.keep_all() };
            *self = Self(own::buffer(whole, meta));
        }
        // SAFETY: we are the only holder.
        own::write_meta(unsafe { self.0.as_mut() }, &meta);
    }

    /// The same with what is known beside the bytes.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Self {
        self.edit(|own| *own = meta);
        self
    }

    /// The same with both times.
    #[must_use]
    pub fn with_times(mut self, pts: Option<Time>, dts: Option<Time>) -> Self {
        self.edit(|meta| (meta.pts, meta.dts) = (pts, dts));
        self
    }

    /// The same with more flags.
    #[must_use]
    pub fn with_flags(mut self, flags: BufferFlags) -> Self {
        self.edit(|meta| meta.flags |= flags);
        self
    }

    /// The bytes, to be written: one slice after the other. Copied if somebody else holds them.
    pub fn slices_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let make = self.vtable().make_writable;
        if self.own_up(make).is_none() {
            *self = Self(own::writable(self.to_vec(), self.meta()));
        }
        // SAFETY: we are the only holder of buffer and bytes, and each slice is another part of them.
        self.raw_slices()
            .iter()
            .map(|slice| unsafe { std::slice::from_raw_parts_mut(slice.data.cast_mut(), slice.len as usize) })
    }

    /// Replaces our reference by one to a buffer that we hold alone. `None` where the maker cannot.
    fn own_up(&mut self, make: Option<unsafe extern "C" fn(*mut abi::Buffer) -> *mut abi::Buffer>) -> Option<()> {
        // SAFETY: a function of the maker; it takes our reference and gives another, or fails and leaves it.
        self.0 = NonNull::new(unsafe { make?(self.0.as_ptr()) })?;
        Some(())
    }

    fn raw_slices(&self) -> &[abi::Slice] {
        let abi = self.abi();
        if abi.slice_count == 0 || abi.slices.is_null() {
            return &[];
        }
        // SAFETY: the maker promises that they are there as long as a reference is held.
        unsafe { std::slice::from_raw_parts(abi.slices, abi.slice_count as usize) }
    }

    /// Makes the bytes readable, where they have to be mapped first.
    fn mapped(&self) -> &[abi::Slice] {
        if let Some(map) = self.vtable().map {
            // SAFETY: a function of the maker, and we hold a reference.
            if unsafe { map(self.0.as_ptr()) } != status::OK {
                return &[];
            }
        }
        self.raw_slices()
    }

    /// The bytes, one slice after the other.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.mapped().iter().map(|slice| {
            if slice.len == 0 || slice.data.is_null() {
                return &[][..];
            }
            // SAFETY: the maker promises that they are there as long as a reference is held.
            unsafe { std::slice::from_raw_parts(slice.data, slice.len as usize) }
        })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.raw_slices().iter().map(|slice| slice.len as usize).sum()
    }

    /// True when there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece: borrowed when there is one slice, copied otherwise.
    pub fn contiguous(&self) -> Cow<'_, [u8]> {
        let mut slices = self.slices();
        match (slices.next(), slices.len()) {
            (None, _) => Cow::Borrowed(&[]),
            (Some(one), 0) => Cow::Borrowed(one),
            (Some(_), _) => Cow::Owned(self.to_vec()),
        }
    }

    /// A copy of all bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.slices().flatten().copied().collect()
    }

    /// Each slice as something that keeps the buffer: for libraries that take memory with an owner.
    pub fn keep_slices(&self) -> impl Iterator<Item = Slice> {
        self.slices().map(|slice| Slice { _keep: self.clone(), data: slice.as_ptr(), len: slice.len() })
    }

    /// Each slice as [`Bytes`] that keep the buffer.
    pub fn bytes(&self) -> impl Iterator<Item = Bytes> {
        self.keep_slices().map(Bytes::from_owner)
    }

    fn keep_all(&self) -> Vec<Slice> {
        self.keep_slices().collect()
    }

    /// A part of the bytes as a buffer that keeps this one, with the same times and flags. What lies outside is left out.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut at = 0;
        let mut slices = Vec::new();
        for whole in self.slices() {
            let (start, end) = (range.start.max(at), range.end.min(at + whole.len()));
            if start < end {
                let part = &whole[start - at..end - at];
                slices.push(Slice { _keep: self.clone(), data: part.as_ptr(), len: part.len() });
            }
            at += whole.len();
        }
        Self(own::buffer(own::Part { slices }, self.meta()))
    }

    /// What the buffer is for those who know its maker, if it is of that kind; valid as long as the buffer.
    pub fn native(&self, kind: &str) -> Option<NonNull<c_void>> {
        let native = self.vtable().native?;
        // SAFETY: a function of the maker, and we hold a reference.
        NonNull::new(unsafe { native(self.0.as_ptr(), Str::new(kind)) })
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        if let Some(add) = self.vtable().ref_ {
            // SAFETY: a function of the maker, and we hold a reference.
            unsafe { add(self.0.as_ptr()) };
        }
        Self(self.0)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(unref) = self.vtable().unref {
            // SAFETY: a function of the maker, and this is our reference.
            unsafe { unref(self.0.as_ptr()) };
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.len(), self.meta())
    }
}
