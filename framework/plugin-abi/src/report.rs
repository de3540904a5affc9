//! Errors and messages. The host copies what it is given before the call returns.

use crate::Str;
use crate::event::Pair;

/// Kinds of errors: what should be done about them.
pub mod error {
    /// The input breaks its own format.
    pub const MALFORMED: u32 = 1;
    /// The timeline broke and cannot be bridged.
    pub const DISCONTINUITY: u32 = 2;
    /// A named limit was reached.
    pub const LIMIT: u32 = 3;
    /// Valid, but not for this element.
    pub const UNSUPPORTED: u32 = 4;
    /// The other end of a connection misbehaved.
    pub const PEER: u32 = 5;
    /// The operating system refused.
    pub const IO: u32 = 6;
    /// The user's settings cannot work.
    pub const SETTINGS: u32 = 7;
    /// The element itself is wrong.
    pub const BUG: u32 = 8;
}

/// What went wrong, and what may help.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct ErrorRecord {
    /// Size of this struct.
    pub size: u32,
    /// See [`error`].
    pub kind: u32,
    /// Begins in lower case, and names the party to blame.
    pub message: Str,
    /// A repair that the user can carry out, or empty.
    pub hint: Str,
    /// The property to blame, or empty.
    pub property: Str,
    /// What lies behind it: debug text, an error of the system; or empty.
    pub cause: Str,
    /// Byte in the input, or [`crate::NONE`].
    pub offset: i64,
}

/// Kinds of [`Message`].
pub mod message {
    /// Something is wrong, and the element goes on: `error`.
    pub const WARNING: u32 = 1;
    /// Something that programs may want to know: `name`, `pairs`.
    pub const ELEMENT: u32 = 2;
    /// Where a job stands: `time`, `duration`.
    pub const PROGRESS: u32 = 3;
    /// Nothing has moved for `duration`.
    pub const STALLED: u32 = 4;
    /// Something moves again after `duration`.
    pub const RECOVERED: u32 = 5;
    /// Input was left out: `name` is the reason, `bytes`, `offset`.
    pub const DROPPED: u32 = 6;
    /// Output comes `duration` later than input, from now on.
    pub const LATENCY: u32 = 7;
    /// A buffer was `duration` too late for its time: counted, and shown when it goes on.
    pub const LATE: u32 = 8;
}

/// Something for the bus.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Message {
    /// Size of this struct.
    pub size: u32,
    /// See [`message`].
    pub kind: u32,
    /// The error of a warning.
    pub error: *const ErrorRecord,
    /// Name of a message, reason of a drop.
    pub name: Str,
    /// Fields.
    pub pairs: *const Pair,
    /// How many.
    pub pair_count: u64,
    /// ns.
    pub time: i64,
    /// ns.
    pub duration: i64,
    /// Bytes left out.
    pub bytes: u64,
    /// Where they began, or [`crate::NONE`].
    pub offset: i64,
}
