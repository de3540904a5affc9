//! The calls of an element.
//!
//! Thread classes: `[element]` functions of one element are never called two at a time, but not always on the same thread; `[any]`
//! functions may be called on any thread while another call runs.

use core::ffi::c_void;

use crate::{Buffer, Event, Inbox, Output, Request, Str};

/// What an element is.
pub mod shape {
    /// One input at a time, and it does not wait: `buffer`, `event`, `resume`, `wake`.
    pub const TRANSFORM: u32 = 1;
    /// Several inputs in step, or output that comes on threads of its own: `step`.
    pub const AGGREGATE: u32 = 2;
    /// Makes media; may wait: `produce`, on a thread of the host's.
    pub const SOURCE: u32 = 3;
    /// Takes media; may wait: `buffer`, `event`, on a thread of the host's.
    pub const SINK: u32 = 4;
}

/// What an aggregate wants next.
pub mod need {
    /// An item, the end or the absence of each of `pads`.
    pub const PADS: u32 = 0;
    /// The same, but `step` again at `until` whatever has come.
    pub const UNTIL: u32 = 1;
    /// `step` again when this output has gone out.
    pub const AGAIN: u32 = 2;
    /// Finished: everything has been sent, the ends included.
    pub const DONE: u32 = 3;
    /// An item of one of `pads`, or [`crate::Host::wake`]. The element is kept also after the end of its inputs.
    pub const WAKE: u32 = 4;
}

/// See [`need`].
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Need {
    /// Size of this struct.
    pub size: u32,
    /// See [`need`].
    pub kind: u32,
    /// A bit for each sink pad.
    pub pads: u64,
    /// Clock time, ns.
    pub until: i64,
}

/// What a source did.
pub mod produced {
    /// Call again when this output has gone out.
    pub const MORE: u32 = 0;
    /// Call again at `at`.
    pub const AT: u32 = 1;
    /// Nothing to do until a request or [`crate::Host::wake`].
    pub const IDLE: u32 = 2;
    /// All has been sent; the host ends the stream on every source pad.
    pub const EOS: u32 = 3;
}

/// See [`produced`].
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Produced {
    /// Size of this struct.
    pub size: u32,
    /// See [`produced`].
    pub kind: u32,
    /// Clock time, ns.
    pub at: i64,
}

/// An element, made by [`crate::Factory::create`]. Belongs to the plugin, which frees it in `destroy`.
///
/// The order of calls: `start`, then those of its shape, then (a source that is told to end) `drain`, then `stop`, then `destroy`. After a
/// call that failed only `stop` and `destroy` follow.
#[repr(C)]
#[derive(Debug)]
pub struct Element {
    /// Size of this struct.
    pub size: u32,
    /// See [`shape`].
    pub shape: u32,
    /// The plugin's own.
    pub data: *mut c_void,
    /// Once, before any item. May be null. `[element]`
    pub start: Option<unsafe extern "C" fn(*mut Self, *mut Output) -> i32>,
    /// A buffer on a sink pad, with its reference. Transforms and sinks. `[element]`
    pub buffer: Option<unsafe extern "C" fn(*mut Self, pad: u32, *mut Buffer, *mut Output) -> i32>,
    /// An event on a sink pad. Null: passed on. Transforms and sinks. `[element]`
    pub event: Option<unsafe extern "C" fn(*mut Self, pad: u32, *const Event, *mut Output) -> i32>,
    /// After [`crate::status::MORE`], when the output so far has gone out. Transforms. `[element]`
    pub resume: Option<unsafe extern "C" fn(*mut Self, *mut Output) -> i32>,
    /// Something came that the last need asked for, a pad ended, or its time has come. Aggregates. `[element]`
    pub step: Option<unsafe extern "C" fn(*mut Self, *mut Inbox, *mut Need, *mut Output) -> i32>,
    /// Makes a small amount of output. May wait, until `interrupt`. Sources. `[element]`
    pub produce: Option<unsafe extern "C" fn(*mut Self, *mut Produced, *mut Output) -> i32>,
    /// A request at a source pad. Null: passed upstream. `[element]`
    pub request: Option<unsafe extern "C" fn(*mut Self, pad: u32, *const Request, *mut Output) -> i32>,
    /// The time of `wake_at` has come, or [`crate::Host::wake`] was called. Transforms and sinks. `[element]`
    pub wake: Option<unsafe extern "C" fn(*mut Self, now: i64, *mut Output) -> i32>,
    /// The inputs were emptied by a flush, which goes on downstream afterwards. Aggregates. `[element]`
    pub flush: Option<unsafe extern "C" fn(*mut Self, *mut Output) -> i32>,
    /// The pipeline ends in good order: send what is held. Sources. `[element]`
    pub drain: Option<unsafe extern "C" fn(*mut Self, *mut Output) -> i32>,
    /// Whoever waits in a call of this element is to return soon: the pipeline ends, or a flush came. `[any]`
    pub interrupt: Option<unsafe extern "C" fn(*mut Self)>,
    /// Release what is outside: threads, devices, files. Returns within five seconds. `[element]`
    pub stop: Option<unsafe extern "C" fn(*mut Self)>,
    /// Free the element. `[element]`
    pub destroy: Option<unsafe extern "C" fn(*mut Self)>,
    /// An extension of the element by id and revision, or null. `[any]`
    pub get_extension: Option<unsafe extern "C" fn(*mut Self, id: Str, revision: u32) -> *const c_void>,
}
