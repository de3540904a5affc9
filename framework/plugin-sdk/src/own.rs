//! Buffers that a plugin makes: an owner of bytes behind a count of references.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use millstream_core::{Time, TimeDelta};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{NONE, Str};
use smallvec::SmallVec;

use crate::buffer::{Meta, Owner, Slice};

/// A buffer of ours. The ABI's struct comes first, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct OwnBuffer {
    abi: abi::Buffer,
    refs: AtomicUsize,
    slices: Slices,
    owner: Arc<dyn Owner>,
    /// The bytes are a `Vec` of ours that nobody else holds.
    writable: bool,
}

type Slices = SmallVec<[abi::Slice; 2]>;

static VTABLE: abi::BufferVtable = abi::BufferVtable {
    size: size_of::<abi::BufferVtable>() as u32,
    reserved: 0,
    ref_: Some(add_ref),
    unref: Some(unref),
    map: None,
    edit: Some(edit),
    make_writable: Some(make_writable),
    native: Some(native),
};

/// A time of the ABI.
pub(crate) fn time(nanos: i64) -> Option<Time> {
    (nanos != NONE).then(|| Time::from_nanos(nanos))
}

/// A span of the ABI.
pub(crate) fn span(nanos: i64) -> Option<TimeDelta> {
    (nanos != NONE).then(|| TimeDelta::from_nanos(nanos))
}

/// Writes all that is known beside the bytes.
pub(crate) fn write_meta(abi: &mut abi::Buffer, meta: &Meta) {
    abi.pts = meta.pts.map_or(NONE, Time::nanos);
    abi.dts = meta.dts.map_or(NONE, Time::nanos);
    abi.duration = meta.duration.map_or(NONE, TimeDelta::nanos);
    abi.offset = meta.offset.and_then(|at| i64::try_from(at).ok()).unwrap_or(NONE);
    abi.flags = meta.flags.bits().into();
}

/// Bytes in pieces.
pub(crate) struct Pieces(pub(crate) SmallVec<[Bytes; 2]>);

impl Owner for Pieces {
    fn slices(&self, each: &mut dyn FnMut(&[u8])) {
        self.0.iter().for_each(|bytes| each(bytes));
    }
}

/// Parts of other buffers, which they keep.
pub(crate) struct Part {
    pub(crate) slices: Vec<Slice>,
}

impl Owner for Part {
    fn slices(&self, each: &mut dyn FnMut(&[u8])) {
        self.slices.iter().for_each(|slice| each(slice.as_ref()));
    }
}

/// Bytes of our own that may be written while there is one holder.
struct Writable(Vec<u8>);

impl Owner for Writable {
    fn slices(&self, each: &mut dyn FnMut(&[u8])) {
        each(&self.0);
    }
}

/// A buffer with one reference.
pub(crate) fn buffer(owner: impl Owner, meta: Meta) -> NonNull<abi::Buffer> {
    share(Arc::new(owner), meta)
}

/// A buffer with one reference, whose bytes may be written.
pub(crate) fn writable(mut bytes: Vec<u8>, meta: Meta) -> NonNull<abi::Buffer> {
    let slices = SmallVec::from_iter([abi::Slice { data: bytes.as_mut_ptr(), len: bytes.len() as u64 }]);
    make(slices, Arc::new(Writable(bytes)), meta, true)
}

fn share(owner: Arc<dyn Owner>, meta: Meta) -> NonNull<abi::Buffer> {
    let mut slices = SmallVec::new();
    owner.slices(&mut |bytes| {
        if !bytes.is_empty() {
            slices.push(abi::Slice { data: bytes.as_ptr(), len: bytes.len() as u64 });
        }
    });
    make(slices, owner, meta, false)
}

fn make(slices: Slices, owner: Arc<dyn Owner>, meta: Meta, writable: bool) -> NonNull<abi::Buffer> {
    let abi = abi::Buffer {
        size: size_of::<abi::Buffer>() as u32,
        flags: 0,
        vtable: &raw const VTABLE,
        pts: NONE,
        dts: NONE,
        duration: NONE,
        offset: NONE,
        slices: std::ptr::null(),
        slice_count: slices.len() as u64,
    };
    let mut own = Box::new(OwnBuffer { abi, refs: AtomicUsize::new(1), slices, owner, writable });
    own.abi.slices = own.slices.as_ptr();
    write_meta(&mut own.abi, &meta);
    NonNull::from(Box::leak(own)).cast()
}

unsafe extern "C" fn add_ref(buffer: *mut abi::Buffer) {
    // SAFETY: in our vtable, so one of ours, and the caller holds a reference.
    unsafe { &*buffer.cast::<OwnBuffer>() }.refs.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn unref(buffer: *mut abi::Buffer) {
    let own: *mut OwnBuffer = buffer.cast();
    // SAFETY: as in `add_ref`.
    if unsafe { &*own }.refs.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: that was the last reference, and it was made from a box.
        let own = unsafe { Box::from_raw(own) };
        // What an owner of somebody else's does when it goes must not run into the host.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(own)));
    }
}

fn meta(abi: &abi::Buffer) -> Meta {
    Meta {
        pts: time(abi.pts),
        dts: time(abi.dts),
        duration: span(abi.duration),
        offset: u64::try_from(abi.offset).ok(),
        flags: millstream_core::BufferFlags::from_bits(abi.flags as u16),
    }
}

unsafe extern "C" fn edit(buffer: *mut abi::Buffer) -> *mut abi::Buffer {
    // SAFETY: as in `add_ref`.
    let own = unsafe { &*buffer.cast::<OwnBuffer>() };
    if own.refs.load(Ordering::Acquire) == 1 {
        return buffer;
    }
    // Bytes that two buffers share are nobody's to write.
    let other = share(own.owner.clone(), meta(&own.abi));
    // SAFETY: gives back the caller's reference.
    unsafe { unref(buffer) };
    other.as_ptr()
}

unsafe extern "C" fn make_writable(buffer: *mut abi::Buffer) -> *mut abi::Buffer {
    // SAFETY: as in `add_ref`.
    let own = unsafe { &*buffer.cast::<OwnBuffer>() };
    if own.writable && own.refs.load(Ordering::Acquire) == 1 && Arc::strong_count(&own.owner) == 1 {
        return buffer;
    }
    let mut all = Vec::with_capacity(own.slices.iter().map(|slice| slice.len as usize).sum());
    own.owner.slices(&mut |bytes| all.extend_from_slice(bytes));
    let other = writable(all, meta(&own.abi));
    // SAFETY: gives back the caller's reference.
    unsafe { unref(buffer) };
    other.as_ptr()
}

unsafe extern "C" fn native(buffer: *mut abi::Buffer, kind: Str) -> *mut c_void {
    // SAFETY: as in `add_ref`; the kind is text.
    let (own, kind) = unsafe { (&*buffer.cast::<OwnBuffer>(), kind.get()) };
    kind.map_or(std::ptr::null_mut(), |kind| own.owner.native(kind))
}
