//! Extensions: structs that one side may have, asked for by id and revision. What a revision says never changes; there may be others beside it.

use crate::{Host, Str};

/// Id of [`Losses`].
pub const LOSSES: &str = "millstream.losses";

/// Extension [`LOSSES`] of the host, revision 1: tells of many losses at once, where a library counts them itself.
#[repr(C)]
#[derive(Debug)]
pub struct Losses {
    /// Size of this struct.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// `times` pieces of input, `bytes` in all or 0, were left out for a reason: counts as that many messages
    /// [`DROPPED`](crate::report::message::DROPPED). `[any]`
    pub add: Option<unsafe extern "C" fn(*const Host, reason: Str, times: u64, bytes: u64)>,
}
