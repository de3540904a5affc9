//! Caps as handles: a plugin reads them through functions of ours, and makes them from text.

use std::sync::Arc;

use millstream_core::{Caps, Value};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{Str, status};

/// What a handle points to.
struct Handle {
    caps: Caps,
    text: String,
}

/// A handle with one reference.
pub(crate) fn to_handle(caps: &Caps) -> *mut abi::Caps {
    let handle = Handle { caps: caps.clone(), text: caps.to_string() };
    Arc::into_raw(Arc::new(handle)).cast_mut().cast()
}

/// The caps of a handle.
///
/// # Safety
/// `caps` is null or a handle of ours that is held.
pub(crate) unsafe fn of_handle(caps: *const abi::Caps) -> Option<Caps> {
    // SAFETY: promised by the caller.
    unsafe { handle(caps) }.map(|handle| handle.caps.clone())
}

/// # Safety
/// As [`of_handle`], for as long as the result is used.
unsafe fn handle<'a>(caps: *const abi::Caps) -> Option<&'a Handle> {
    // SAFETY: promised by the caller: handles are only made by `to_handle`.
    unsafe { caps.cast::<Handle>().as_ref() }
}

pub(crate) unsafe extern "C" fn new(_: *const abi::Host, text: Str) -> *mut abi::Caps {
    // SAFETY: text of the plugin, valid during the call.
    let caps = unsafe { text.get() }.and_then(|text| text.parse::<Caps>().ok());
    caps.map_or(std::ptr::null_mut(), |caps| to_handle(&caps))
}

pub(crate) unsafe extern "C" fn add_ref(caps: *mut abi::Caps) {
    if !caps.is_null() {
        // SAFETY: a handle of ours that the caller holds.
        unsafe { Arc::increment_strong_count(caps.cast::<Handle>()) };
    }
}

pub(crate) unsafe extern "C" fn unref(caps: *mut abi::Caps) {
    if !caps.is_null() {
        // SAFETY: a handle of ours, and the caller gives up its reference.
        unsafe { Arc::decrement_strong_count(caps.cast::<Handle>()) };
    }
}

pub(crate) unsafe extern "C" fn text(caps: *const abi::Caps) -> Str {
    // SAFETY: the caller holds the handle.
    unsafe { handle(caps) }.map_or(Str::EMPTY, |handle| Str::new(&handle.text))
}

pub(crate) unsafe extern "C" fn media(caps: *const abi::Caps) -> Str {
    // SAFETY: the caller holds the handle.
    unsafe { handle(caps) }.map_or(Str::EMPTY, |handle| Str::new(handle.caps.media()))
}

/// Reads a field and puts what `read` finds where the plugin wants it.
///
/// # Safety
/// `caps` is null or held, `field` is text, and `write` may be called.
unsafe fn field<'a, T: 'a>(
    caps: *const abi::Caps,
    field: Str,
    read: impl FnOnce(&'a Value) -> Option<T>,
    write: impl FnOnce(T),
) -> i32 {
    // SAFETY: promised by the caller.
    let (handle, name) = unsafe { (handle(caps), field.get()) };
    let (Some(handle), Some(name)) = (handle, name) else { return status::INVALID };
    match handle.caps.get(name).and_then(read) {
        Some(value) => {
            write(value);
            status::OK
        }
        None => status::EMPTY,
    }
}

pub(crate) unsafe extern "C" fn get_text(caps: *const abi::Caps, name: Str, value: *mut Str) -> i32 {
    if value.is_null() {
        return status::INVALID;
    }
    // SAFETY: the caller holds the handle; `value` is not null and the plugin's to be written.
    unsafe { field(caps, name, Value::as_text, |text| value.write(Str::new(text))) }
}

pub(crate) unsafe extern "C" fn get_int(caps: *const abi::Caps, name: Str, value: *mut i64) -> i32 {
    if value.is_null() {
        return status::INVALID;
    }
    let read = |value: &Value| match value {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    };
    // SAFETY: as in `get_text`.
    unsafe { field(caps, name, read, |number| value.write(number)) }
}

pub(crate) unsafe extern "C" fn get_fraction(caps: *const abi::Caps, name: Str, num: *mut i64, den: *mut i64) -> i32 {
    if num.is_null() || den.is_null() {
        return status::INVALID;
    }
    let write = |(n, d)| {
        // SAFETY: neither is null, and both are the plugin's to be written.
        unsafe {
            num.write(n);
            den.write(d);
        }
    };
    // SAFETY: as in `get_text`.
    unsafe { field(caps, name, Value::as_fraction, write) }
}

pub(crate) unsafe extern "C" fn get_bytes(
    caps: *const abi::Caps,
    name: Str,
    data: *mut *const u8,
    len: *mut u64,
) -> i32 {
    if data.is_null() || len.is_null() {
        return status::INVALID;
    }
    let write = |bytes: &bytes::Bytes| {
        // SAFETY: neither is null, and both are the plugin's to be written.
        unsafe {
            data.write(bytes.as_ptr());
            len.write(bytes.len() as u64);
        }
    };
    // SAFETY: as in `get_text`.
    unsafe { field(caps, name, Value::as_bytes, write) }
}

pub(crate) unsafe extern "C" fn equal(a: *const abi::Caps, b: *const abi::Caps) -> u32 {
    // SAFETY: the caller holds both handles.
    let (a, b) = unsafe { (handle(a), handle(b)) };
    u32::from(matches!((a, b), (Some(a), Some(b)) if a.caps == b.caps))
}
