//! How an element sends, and how an aggregate receives. Valid during the call that they are given to.

use core::ffi::c_void;

use crate::{Buffer, Event, Request, Str};

/// Where an element puts what it makes. Never waits: what was sent goes out after the call.
#[repr(C)]
#[derive(Debug)]
pub struct Output {
    /// Size of this struct.
    pub size: u32,
    /// Linked source pads.
    pub src_pads: u32,
    /// The host's own.
    pub host: *mut c_void,
    /// Clock time when the batch began, ns: for deadlines.
    pub now: i64,
    /// Sends a buffer on a source pad. Takes the reference, also when it fails.
    pub push_buffer: Option<unsafe extern "C" fn(*mut Self, pad: u32, *mut Buffer) -> i32>,
    /// Sends an event on a source pad, or on [`crate::ALL_PADS`].
    pub push_event: Option<unsafe extern "C" fn(*mut Self, pad: u32, *const Event) -> i32>,
    /// Sends a request upstream on a sink pad, or on [`crate::ALL_PADS`].
    pub request: Option<unsafe extern "C" fn(*mut Self, pad: u32, *const Request) -> i32>,
    /// Asks for `wake` at a time; a later call replaces an earlier one.
    pub wake_at: Option<unsafe extern "C" fn(*mut Self, time: i64) -> i32>,
    /// Asks for no further input before a time.
    pub hold_until: Option<unsafe extern "C" fn(*mut Self, time: i64) -> i32>,
    /// Says that every stream that will come has started.
    pub streams_complete: Option<unsafe extern "C" fn(*mut Self) -> i32>,
    /// Counts input that is left out; `offset` may be [`crate::NONE`].
    pub dropped: Option<unsafe extern "C" fn(*mut Self, reason: Str, bytes: u64, offset: i64) -> i32>,
}

/// What can still come on a pad: see [`Inbox::state`].
pub mod state {
    /// Items may come.
    pub const OPEN: u32 = 0;
    /// No stream here, at least for now.
    pub const ABSENT: u32 = 1;
    /// The end has been received.
    pub const EOS: u32 = 2;
}

/// What was taken from an [`Inbox`]: either a buffer, with its reference, or an event, which is valid until the next call.
#[repr(C)]
#[derive(Debug)]
pub struct Item {
    /// Size of this struct.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// A buffer, or null.
    pub buffer: *mut Buffer,
    /// An event, or null.
    pub event: *const Event,
}

/// What waits at the head of a pad.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Peek {
    /// Size of this struct.
    pub size: u32,
    /// 0 for a buffer, else the kind of the event.
    pub kind: u32,
    /// Decoding time, or presentation time, or start of a gap, ns; or [`crate::NONE`].
    pub time: i64,
    /// Bytes of media.
    pub bytes: u64,
    /// Flags of a buffer.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// The inputs of an aggregate: a queue for each sink pad.
#[repr(C)]
#[derive(Debug)]
pub struct Inbox {
    /// Size of this struct.
    pub size: u32,
    /// Linked sink pads.
    pub pads: u32,
    /// The host's own.
    pub host: *mut c_void,
    /// Takes the head of a pad; [`crate::status::EMPTY`] if there is none. Ends and absences are no items: see `state`.
    pub pop: Option<unsafe extern "C" fn(*mut Self, pad: u32, *mut Item) -> i32>,
    /// Looks at the head of a pad; [`crate::status::EMPTY`] if there is none.
    pub peek: Option<unsafe extern "C" fn(*mut Self, pad: u32, *mut Peek) -> i32>,
    /// What can still come on a pad, behind what waits: see [`state`].
    pub state: Option<unsafe extern "C" fn(*mut Self, pad: u32) -> u32>,
    /// Items that wait on a pad.
    pub len: Option<unsafe extern "C" fn(*mut Self, pad: u32) -> u64>,
}
