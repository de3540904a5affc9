//! The C ABI between millstream and its plugins, version [`ABI_MAJOR`].[`ABI_MINOR`].
//!
//! The contract is `docs/spec/plugin-abi.md`; `include/millstream_plugin.h` is the same for C and C++. Nothing in here does anything:
//! these are the types that both sides agree on. `millstream-plugin-sdk` is the safe face for plugin authors, `millstream-plugin-host`
//! the side of millstream.
//!
//! | module | what |
//! | --- | --- |
//! | [`plugin`] | the exported symbol, the factory, what an element is created from |
//! | [`element`] | the calls of an element |
//! | [`host`] | what the host does for an element: log, bus, clock, wake-up, caps, memory |
//! | [`output`] | how an element sends, and how an aggregate receives |
//! | [`buffer`] | reference-counted media |
//! | [`event`] | everything else that flows, and requests |
//! | [`report`] | errors and messages |
//! | [`layout`] | names, offsets and sizes of it all, for the lock file and the C probe |
//!
//! Rules that hold everywhere: a struct begins with its size and grows at the end only, except those that say that they are frozen;
//! integers have a fixed width; text is UTF-8 with a length and without an end mark; times are nanoseconds in an `i64`, [`NONE`] for none;
//! a function pointer that is missing is null, and what lies beyond the `size` of a struct is missing.
#![allow(
    unsafe_code,
    reason = "C types: function pointers that take raw pointers, and text that points into memory of the other side"
)]

pub mod buffer;
pub mod element;
pub mod event;
pub mod host;
pub mod layout;
pub mod output;
pub mod plugin;
pub mod report;

pub use buffer::{Buffer, BufferVtable, Slice};
pub use element::{Element, Need, Produced};
pub use event::{Event, Pair, Request};
pub use host::{Caps, Host};
pub use output::{Inbox, Item, Output, Peek};
pub use plugin::{Create, Factory, Pad, Plugin};
pub use report::{ErrorRecord, Message};

/// Plugins of another major do not load.
pub const ABI_MAJOR: u32 = 1;
/// Plugins of a newer minor do not load; each minor only adds.
pub const ABI_MINOR: u32 = 0;
/// First eight bytes of the exported symbol: `MSPLGIN1` in memory of a little-endian machine.
pub const MAGIC: u64 = 0x314e_4947_4c50_534d;
/// Name of the exported symbol, with the end mark that loaders want.
pub const SYMBOL: &[u8] = b"millstream_plugin\0";
/// Id of [`Factory`].
pub const FACTORY_ID: &str = "millstream.elements/1";
/// No time, no offset.
pub const NONE: i64 = i64::MIN;
/// Every pad.
pub const ALL_PADS: u32 = u32::MAX;

/// What a call gives back.
pub mod status {
    /// Done.
    pub const OK: i32 = 0;
    /// There is more: `resume` is wanted.
    pub const MORE: i32 = 1;
    /// Nothing is there.
    pub const EMPTY: i32 = 2;
    /// Failed; what went wrong was told with `fail`.
    pub const ERROR: i32 = -1;
    /// Failed by a mistake of the program that was caught: a panic, an exception.
    pub const PANIC: i32 = -2;
    /// The element is to stop: nothing that is sent arrives any more.
    pub const CANCELLED: i32 = -3;
    /// An argument is false: a pad that is not there, a size that cannot be, a call outside of its time.
    pub const INVALID: i32 = -4;
    /// Not known here.
    pub const UNSUPPORTED: i32 = -5;
}

/// Text: `len` bytes of UTF-8 at `ptr`. Frozen. Belongs to whoever gave it, and is valid as long as the function that takes or gives it says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// First byte; may be anything when `len` is 0.
    pub ptr: *const u8,
    /// Bytes.
    pub len: u64,
}

// SAFETY: a pointer and a length; who looks through it does that under the rules of the function that gave it.
unsafe impl Send for Str {}
// SAFETY: as above, nothing is written through it.
unsafe impl Sync for Str {}

impl Str {
    /// No text.
    pub const EMPTY: Self = Self { ptr: std::ptr::null(), len: 0 };

    /// Text that lives as long as `text`.
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() as u64 }
    }

    /// The text, if it is UTF-8 and not of an impossible length.
    ///
    /// # Safety
    /// `ptr` points to `len` bytes that stay as they are for `'a`, or `len` is 0.
    pub unsafe fn get<'a>(self) -> Option<&'a str> {
        if self.len == 0 {
            return Some("");
        }
        let len = usize::try_from(self.len).ok().filter(|len| *len <= MAX_TEXT && !self.ptr.is_null())?;
        // SAFETY: promised by the caller; null and lengths beyond any text are excluded.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, len) };
        std::str::from_utf8(bytes).ok()
    }
}

/// Longest text that either side takes, in bytes: the description of all elements of a plugin with thousands of them.
pub const MAX_TEXT: usize = 64 << 20;

/// Whether `$field` of a struct at `$ptr` is within the size that its maker gave it.
#[macro_export]
macro_rules! has_field {
    ($size:expr, $type:ty, $field:ident) => {
        ($size as usize) >= ::core::mem::offset_of!($type, $field) + $crate::size_of_field(|s: &$type| &s.$field)
    };
}

/// Size of what `field` gives, without a value. For [`has_field`].
#[doc(hidden)]
pub const fn size_of_field<S, T>(_field: fn(&S) -> &T) -> usize {
    size_of::<T>()
}
