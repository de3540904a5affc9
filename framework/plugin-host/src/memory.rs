//! Buffers across the border: ours in the plugin's hands, the plugin's in ours. No byte is copied on either way.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use millstream_core::{Buffer, BufferBox, BufferFlags, Payload, Time, TimeDelta};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::status;
use smallvec::SmallVec;

use crate::services::violation;

/// Shells of buffers that a thread keeps for the next ones.
const MAX_KEPT: usize = 64;

/// Largest buffer that a plugin may ask for or send, in bytes: a picture of 16,384 by 16,384 pixels with 16 bits a channel.
const MAX_BYTES: u64 = 4 << 30;

/// Bytes that were copied because a plugin wanted to write what somebody else still holds.
static COPIED: AtomicU64 = AtomicU64::new(0);

/// Media bytes that had to be copied so far, in this process.
pub fn copied_bytes() -> u64 {
    COPIED.load(Ordering::Relaxed)
}

/// One of our buffers as a plugin sees it. The ABI's struct comes first, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct HostBuffer {
    abi: abi::Buffer,
    refs: AtomicUsize,
    /// `None` while the shell is kept for the next buffer.
    inner: Option<BufferBox>,
    slices: SmallVec<[abi::Slice; 2]>,
}

thread_local! {
    /// Boxed, because a plugin knows their addresses.
    #[allow(clippy::vec_box, reason = "what is kept is the box")]
    static KEPT: RefCell<Vec<Box<HostBuffer>>> = const { RefCell::new(Vec::new()) };
}

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

fn nanos(time: Option<Time>) -> i64 {
    time.map_or(abi::NONE, Time::nanos)
}

/// A time of the ABI.
pub(crate) fn time(nanos: i64) -> Option<Time> {
    (nanos != abi::NONE).then(|| Time::from_nanos(nanos))
}

/// A span of the ABI.
pub(crate) fn span(nanos: i64) -> Option<TimeDelta> {
    (nanos != abi::NONE).then(|| TimeDelta::from_nanos(nanos))
}

impl HostBuffer {
    fn empty() -> Box<Self> {
        let abi = abi::Buffer {
            size: size_of::<abi::Buffer>() as u32,
            flags: 0,
            vtable: &raw const VTABLE,
            pts: abi::NONE,
            dts: abi::NONE,
            duration: abi::NONE,
            offset: abi::NONE,
            slices: std::ptr::null(),
            slice_count: 0,
        };
        Box::new(Self { abi, refs: AtomicUsize::new(1), inner: None, slices: SmallVec::new() })
    }

    fn fill(&mut self, buffer: BufferBox) {
        self.abi.flags = buffer.flags.bits().into();
        self.abi.pts = nanos(buffer.pts);
        self.abi.dts = nanos(buffer.dts);
        self.abi.duration = buffer.duration.map_or(abi::NONE, TimeDelta::nanos);
        self.abi.offset = buffer.offset.and_then(|at| i64::try_from(at).ok()).unwrap_or(abi::NONE);
        self.point_to_slices(&buffer.payload);
        self.inner = Some(buffer);
    }

    fn point_to_slices(&mut self, payload: &Payload) {
        self.slices.clear();
        let slices = payload.slices().iter();
        self.slices.extend(slices.map(|bytes| abi::Slice { data: bytes.as_ptr(), len: bytes.len() as u64 }));
        self.abi.slices = self.slices.as_ptr();
        self.abi.slice_count = self.slices.len() as u64;
    }

    /// Copies the bytes that somebody else holds too.
    fn unshare(&mut self) {
        let Some(inner) = &mut self.inner else { return };
        let own = |bytes: Bytes| match bytes.try_into_mut() {
            Ok(own) => own.freeze(),
            Err(shared) => {
                COPIED.fetch_add(shared.len() as u64, Ordering::Relaxed);
                BytesMut::from(&shared[..]).freeze()
            }
        };
        let slices: SmallVec<[Bytes; 2]> = inner.payload.slices().iter().cloned().collect();
        // Only now may they be the last holders.
        inner.payload = Payload::new();
        let payload: Payload = slices.into_iter().map(own).collect();
        inner.payload = payload.clone();
        self.point_to_slices(&payload);
    }
}

/// Puts the fields that a plugin may have changed into the buffer.
fn write_back(abi: &abi::Buffer, buffer: &mut Buffer) {
    buffer.flags = BufferFlags::from_bits(abi.flags as u16);
    buffer.pts = time(abi.pts);
    buffer.dts = time(abi.dts);
    buffer.duration = span(abi.duration);
    buffer.offset = u64::try_from(abi.offset).ok();
}

/// Gives a buffer to a plugin: the one reference to it.
pub(crate) fn give(buffer: BufferBox) -> *mut abi::Buffer {
    // During the end of a thread there is nothing kept any more.
    let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
    let mut host = kept.unwrap_or_else(HostBuffer::empty);
    *host.refs.get_mut() = 1;
    host.fill(buffer);
    Box::into_raw(host).cast()
}

/// Keeps the shell of a buffer whose last reference is gone.
fn keep(host: Box<HostBuffer>) {
    let _ = KEPT.try_with(move |kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < MAX_KEPT {
            kept.push(host);
        }
    });
}

/// Takes a buffer from a plugin, with the plugin's reference.
///
/// # Safety
/// `buffer` is null or a buffer as the ABI describes it, of which the caller holds a reference.
pub(crate) unsafe fn take(buffer: *mut abi::Buffer) -> Result<BufferBox, &'static str> {
    if buffer.is_null() {
        return Err("a buffer that is null");
    }
    // SAFETY: a buffer of either side begins with its size, flags and vtable.
    if unsafe { (*buffer).vtable } == &raw const VTABLE {
        let host: *mut HostBuffer = buffer.cast();
        // SAFETY: only `give` and `buffer_new` make buffers with this vtable; one that was given back is an empty shell for a while.
        if unsafe { &*host }.refs.load(Ordering::Acquire) == 0 {
            return Err("a buffer that it has given back already");
        }
        // SAFETY: as above, and the caller holds a reference.
        return Ok(unsafe { take_ours(host) });
    }
    // SAFETY: promised by the caller.
    unsafe { take_theirs(buffer) }.map(BufferBox::new)
}

/// # Safety
/// As [`take`], for a buffer of ours.
unsafe fn take_ours(host: *mut HostBuffer) -> BufferBox {
    // SAFETY: the caller holds a reference, so it is there.
    let shared = unsafe { &*host }.refs.load(Ordering::Acquire) != 1;
    if shared {
        // SAFETY: as above; nobody may write to a buffer that is shared.
        let mut copy = unsafe { (*host).inner.clone() }.unwrap_or_else(|| BufferBox::new(Buffer::default()));
        // SAFETY: as above.
        write_back(unsafe { &(*host).abi }, &mut copy);
        // SAFETY: gives back the caller's reference.
        unsafe { unref(host.cast()) };
        return copy;
    }
    // SAFETY: the only reference is the caller's, and it made it from a box.
    let mut host = unsafe { Box::from_raw(host) };
    let mut buffer = host.inner.take().unwrap_or_else(|| BufferBox::new(Buffer::default()));
    write_back(&host.abi, &mut buffer);
    *host.refs.get_mut() = 0;
    keep(host);
    buffer
}

/// A buffer of a plugin, of which we hold a reference.
struct Theirs(*mut abi::Buffer);

// SAFETY: the ABI demands that a buffer may be held and released on any thread.
unsafe impl Send for Theirs {}
// SAFETY: its bytes are not written while somebody else holds it.
unsafe impl Sync for Theirs {}

impl Drop for Theirs {
    fn drop(&mut self) {
        // SAFETY: the vtable was checked in `take_theirs`, and this is our reference.
        unsafe { release(self.0) };
    }
}

/// Gives back a reference.
///
/// # Safety
/// `buffer` is null or a buffer of which the caller holds a reference.
pub(crate) unsafe fn release(buffer: *mut abi::Buffer) {
    // SAFETY: promised by the caller.
    let unref = unsafe { buffer.as_ref().and_then(|b| b.vtable.as_ref()) }.and_then(|vtable| vtable.unref);
    if let Some(unref) = unref {
        // SAFETY: promised by the caller.
        unsafe { unref(buffer) };
    }
}

/// The bytes of one slice of a plugin's buffer.
struct Piece<K> {
    _keep: K,
    data: *const u8,
    len: usize,
}

// SAFETY: what keeps the bytes may be sent, and they are not written.
unsafe impl<K: Send> Send for Piece<K> {}
// SAFETY: as above.
unsafe impl<K: Sync> Sync for Piece<K> {}

impl<K> AsRef<[u8]> for Piece<K> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: checked in `pieces`; the bytes live as long as the buffer that is kept.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// # Safety
/// As [`take`], for a buffer of the plugin's.
unsafe fn take_theirs(buffer: *mut abi::Buffer) -> Result<Buffer, &'static str> {
    // SAFETY: promised by the caller.
    let (size, vtable) = unsafe { ((*buffer).size, (*buffer).vtable.as_ref()) };
    let Some(vtable) = vtable else { return Err("a buffer without vtable") };
    if vtable.size < size_of::<abi::BufferVtable>() as u32 || vtable.ref_.is_none() || vtable.unref.is_none() {
        return Err("a buffer whose vtable is too small or has no ref and unref");
    }
    let keep = Theirs(buffer);
    if (size as usize) < size_of::<abi::Buffer>() {
        return Err("a buffer that is smaller than the struct of ABI 1.0");
    }
    if let Some(map) = vtable.map {
        // SAFETY: a function of the buffer's maker, and we hold a reference.
        if unsafe { map(buffer) } != status::OK {
            return Err("a buffer whose bytes cannot be mapped");
        }
    }
    // SAFETY: the size has been checked, and we hold a reference.
    let abi = unsafe { &*buffer };
    let slices = checked_slices(abi)?;
    let mut made = Buffer::default();
    write_back(abi, &mut made);
    match slices {
        [one] => made.payload.push(piece(one, keep)?),
        many => {
            let keep = Arc::new(keep);
            for slice in many {
                made.payload.push(piece(slice, keep.clone())?);
            }
        }
    }
    Ok(made)
}

fn checked_slices(abi: &abi::Buffer) -> Result<&[abi::Slice], &'static str> {
    if abi.slice_count == 0 {
        return Ok(&[]);
    }
    if abi.slice_count > abi::buffer::MAX_SLICES || abi.slices.is_null() || !abi.slices.is_aligned() {
        return Err("a buffer with more slices than can be, or none where it says some");
    }
    // SAFETY: not null, aligned, and of a number that can be; the maker promises that they are there.
    let slices = unsafe { std::slice::from_raw_parts(abi.slices, abi.slice_count as usize) };
    let total = slices.iter().try_fold(0_u64, |sum, slice| sum.checked_add(slice.len));
    match total {
        Some(total) if total <= MAX_BYTES => Ok(slices),
        _ => Err("a buffer of more bytes than can be"),
    }
}

fn piece<K: Send + Sync + 'static>(slice: &abi::Slice, keep: K) -> Result<Bytes, &'static str> {
    if slice.len == 0 {
        return Ok(Bytes::new());
    }
    if slice.data.is_null() {
        return Err("a buffer with bytes at address 0");
    }
    Ok(Bytes::from_owner(Piece { _keep: keep, data: slice.data, len: slice.len as usize }))
}

/// A new buffer of zeros for a plugin to write.
pub(crate) fn new_zeroed(len: u64) -> *mut abi::Buffer {
    if len > MAX_BYTES {
        return std::ptr::null_mut();
    }
    let bytes = BytesMut::zeroed(len as usize).freeze();
    give(BufferBox::new(Buffer::new(bytes)))
}

unsafe extern "C" fn add_ref(buffer: *mut abi::Buffer) {
    // SAFETY: in our vtable, so one of ours, and the caller holds a reference.
    unsafe { &*buffer.cast::<HostBuffer>() }.refs.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn unref(buffer: *mut abi::Buffer) {
    let host: *mut HostBuffer = buffer.cast();
    // SAFETY: as in `add_ref`.
    match unsafe { &*host }.refs.fetch_sub(1, Ordering::AcqRel) {
        1 => {
            // SAFETY: that was the last reference, and it was made from a box.
            let mut host = unsafe { Box::from_raw(host) };
            host.inner = None;
            keep(host);
        }
        0 => {
            // SAFETY: an empty shell that is kept for the next buffer, as its count of 0 shows.
            unsafe { &*host }.refs.store(0, Ordering::Release);
            violation("gave back a buffer more often than it had references");
        }
        _ => {}
    }
}

unsafe extern "C" fn edit(buffer: *mut abi::Buffer) -> *mut abi::Buffer {
    // SAFETY: as in `add_ref`.
    if unsafe { &*buffer.cast::<HostBuffer>() }.refs.load(Ordering::Acquire) == 1 {
        return buffer;
    }
    // SAFETY: takes the caller's reference.
    give(unsafe { take_ours(buffer.cast()) })
}

unsafe extern "C" fn make_writable(buffer: *mut abi::Buffer) -> *mut abi::Buffer {
    // SAFETY: as in `edit`.
    let own = unsafe { edit(buffer) };
    // SAFETY: `edit` gives the only reference.
    unsafe { &mut *own.cast::<HostBuffer>() }.unshare();
    own
}

unsafe extern "C" fn native(_: *mut abi::Buffer, _: abi::Str) -> *mut c_void {
    std::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &Bytes) -> BufferBox {
        let mut buffer = Buffer::new(bytes.clone()).with_times(Some(Time::from_millis(5)), None);
        buffer.flags = BufferFlags::KEYFRAME;
        BufferBox::new(buffer)
    }

    fn fields(raw: *mut abi::Buffer) -> (u32, i64, i64, u64) {
        // SAFETY: the tests hold a reference.
        unsafe { ((*raw).flags, (*raw).pts, (*raw).dts, (*raw).slice_count) }
    }

    fn take_back(raw: *mut abi::Buffer) -> BufferBox {
        // SAFETY: the tests hold a reference, and give it.
        unsafe { take(raw) }.unwrap_or_else(|what| panic!("{what}"))
    }

    #[test]
    fn a_buffer_goes_there_and_back_with_all_that_is_known_of_it() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let raw = give(buffer(&bytes));
        assert_eq!(fields(raw), (abi::buffer::KEYFRAME, 5_000_000, abi::NONE, 1));
        // SAFETY: we hold a reference, and there is a slice.
        assert_eq!(unsafe { (*(*raw).slices).data }, bytes.as_ptr(), "not copied");
        let back = take_back(raw);
        assert_eq!(*back, *buffer(&bytes));
        assert_eq!(back.payload.slices()[0].as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn flags_are_those_of_the_abi() {
        let pairs = [
            (BufferFlags::KEYFRAME, abi::buffer::KEYFRAME),
            (BufferFlags::HEADER, abi::buffer::HEADER),
            (BufferFlags::DISCONT, abi::buffer::DISCONT),
            (BufferFlags::CORRUPTED, abi::buffer::CORRUPTED),
            (BufferFlags::DROPPABLE, abi::buffer::DROPPABLE),
        ];
        pairs.into_iter().for_each(|(ours, theirs)| assert_eq!(u32::from(ours.bits()), theirs));
    }

    #[test]
    fn a_buffer_that_is_shared_is_left_to_its_other_holder() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let raw = give(buffer(&bytes));
        // SAFETY: we hold a reference, and then two.
        let edited = unsafe {
            add_ref(raw);
            edit(raw)
        };
        assert_ne!(raw, edited);
        // SAFETY: `edit` gave the only reference.
        unsafe { (*edited).pts = 7 };
        assert_eq!((fields(raw).1, fields(edited).1), (5_000_000, 7));
        let (first, second) = (take_back(raw), take_back(edited));
        assert_eq!((first.pts, second.pts), (Some(Time::from_millis(5)), Some(Time::from_nanos(7))));
        assert_eq!(first.payload.slices()[0].as_ptr(), second.payload.slices()[0].as_ptr(), "the bytes are shared");
    }

    #[test]
    fn bytes_are_copied_for_writing_only_where_somebody_else_holds_them() {
        let raw = give(BufferBox::new(Buffer::new(vec![1; 64])));
        // SAFETY: we hold a reference.
        let before = unsafe { (*(*raw).slices).data };
        // SAFETY: as above; it gives another one.
        let own = unsafe { make_writable(raw) };
        // SAFETY: as above.
        assert_eq!(unsafe { (*(*own).slices).data }, before, "nobody else holds them");
        drop(take_back(own));
        let kept = Bytes::from(vec![1; 64]);
        // SAFETY: `give` gives a reference.
        let copy = unsafe { make_writable(give(buffer(&kept))) };
        // SAFETY: the only reference, and a slice of 64 bytes that may be written.
        unsafe { (*(*copy).slices).data.cast_mut().write(9) };
        assert_eq!((kept[0], take_back(copy).payload.slices()[0][0]), (1, 9));
    }

    #[test]
    fn what_a_buffer_holds_goes_with_its_last_reference_on_any_thread() {
        let bytes = Bytes::from(vec![0; 10]);
        let raw = give(buffer(&bytes));
        // SAFETY: two references are given back, one of them elsewhere.
        unsafe {
            add_ref(raw);
            unref(raw);
        }
        assert!(!bytes.is_unique());
        let address = raw as usize;
        // SAFETY: the last reference.
        let elsewhere = std::thread::spawn(move || unsafe { unref(address as *mut abi::Buffer) });
        elsewhere.join().unwrap();
        assert!(bytes.is_unique());
    }

    #[test]
    fn a_buffer_that_was_given_back_is_not_taken() {
        let raw = give(BufferBox::new(Buffer::new(vec![1])));
        // SAFETY: our reference, then once too often: the shell is still there.
        unsafe { unref(raw) };
        // SAFETY: as a faulty plugin does.
        assert_eq!(unsafe { take(raw) }.err(), Some("a buffer that it has given back already"));
        // SAFETY: as above.
        assert_eq!(unsafe { take(std::ptr::null_mut()) }.err(), Some("a buffer that is null"));
    }

    #[test]
    fn a_buffer_of_a_size_that_cannot_be_is_not_made() {
        assert!(new_zeroed(MAX_BYTES + 1).is_null());
        let made = take_back(new_zeroed(3));
        assert_eq!(made.payload.slices(), [Bytes::from_static(&[0; 3])]);
    }
}
