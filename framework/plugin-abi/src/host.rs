//! What the host does for an element.

use core::ffi::c_void;

use crate::report::{ErrorRecord, Message};
use crate::{Buffer, Str};

/// Fixed caps: a handle that the host makes, counts and frees.
#[repr(C)]
#[derive(Debug)]
pub struct Caps {
    private: [u8; 0],
}

/// Levels of [`Host::log`].
pub mod level {
    /// Something failed.
    pub const ERROR: u32 = 1;
    /// Something is wrong and goes on.
    pub const WARN: u32 = 2;
    /// Rare, worth knowing.
    pub const INFO: u32 = 3;
    /// For whoever looks for a fault.
    pub const DEBUG: u32 = 4;
    /// For each buffer.
    pub const TRACE: u32 = 5;
}

/// The services of the host for one element. Valid from `create` until `destroy` has returned. All of it `[any]`: from any thread.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// Size of this struct.
    pub size: u32,
    /// Minor of the host's ABI; the major is the plugin's.
    pub abi_minor: u32,
    /// The host's own.
    pub instance: *mut c_void,
    /// `millstream`.
    pub name: Str,
    /// Its version.
    pub version: Str,
    /// An extension of the host by id and revision, or null.
    pub get_extension: Option<unsafe extern "C" fn(*const Self, id: Str, revision: u32) -> *const c_void>,
    /// Writes to the log.
    pub log: Option<unsafe extern "C" fn(*const Self, level: u32, target: Str, text: Str)>,
    /// Tells the error of the call that is about to return one. Outside of a call (from a thread of the element's own) the element fails.
    pub fail: Option<unsafe extern "C" fn(*const Self, *const ErrorRecord)>,
    /// Posts on the bus.
    pub post: Option<unsafe extern "C" fn(*const Self, *const Message)>,
    /// Asks for `wake` (of an aggregate `step`, of a source `produce`) soon, on the element's thread. Several may become one.
    pub wake: Option<unsafe extern "C" fn(*const Self)>,
    /// 1 when the element is to stop.
    pub is_cancelled: Option<unsafe extern "C" fn(*const Self) -> u32>,
    /// Time of the pipeline's clock, ns; says nothing of timestamps.
    pub now: Option<unsafe extern "C" fn(*const Self) -> i64>,
    /// ns since 1970-01-01T00:00:00Z.
    pub wall: Option<unsafe extern "C" fn(*const Self) -> i64>,
    /// Clock time at which the pipeline was started: the same for all its elements, also when one is built anew.
    pub base_time: Option<unsafe extern "C" fn(*const Self) -> i64>,
    /// A buffer of `len` zero bytes that may be written; null beyond what a buffer may hold.
    pub buffer_new: Option<unsafe extern "C" fn(*const Self, len: u64) -> *mut Buffer>,
    /// Caps of a text such as `video/x-raw, width=320`; null if it is none.
    pub caps_new: Option<unsafe extern "C" fn(*const Self, text: Str) -> *mut Caps>,
    /// One more reference.
    pub caps_ref: Option<unsafe extern "C" fn(*mut Caps)>,
    /// One reference less.
    pub caps_unref: Option<unsafe extern "C" fn(*mut Caps)>,
    /// Text of caps, as long as they are there.
    pub caps_text: Option<unsafe extern "C" fn(*const Caps) -> Str>,
    /// Media type of caps, as long as they are there.
    pub caps_media: Option<unsafe extern "C" fn(*const Caps) -> Str>,
    /// A field that is text; [`crate::status::EMPTY`] where it is not there or no text.
    pub caps_get_text: Option<unsafe extern "C" fn(*const Caps, field: Str, value: *mut Str) -> i32>,
    /// A field that is a whole number or a flag.
    pub caps_get_int: Option<unsafe extern "C" fn(*const Caps, field: Str, value: *mut i64) -> i32>,
    /// A field that is a fraction or a whole number.
    pub caps_get_fraction: Option<unsafe extern "C" fn(*const Caps, field: Str, num: *mut i64, den: *mut i64) -> i32>,
    /// A field that is bytes (`codec_data`), as long as the caps are there.
    pub caps_get_bytes:
        Option<unsafe extern "C" fn(*const Caps, field: Str, data: *mut *const u8, len: *mut u64) -> i32>,
    /// 1 when both are the same.
    pub caps_equal: Option<unsafe extern "C" fn(*const Caps, *const Caps) -> u32>,
}
