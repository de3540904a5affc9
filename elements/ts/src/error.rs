//! What can be wrong with the wire form of a transport stream.

use thiserror::Error;

/// A packet, table or PES header that cannot be read. Offsets count from the start of the unit that was being read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The unit ends before one of its fields does.
    #[error("{what} needs {needed} bytes, {available} are there")]
    Truncated {
        /// The unit or field.
        what: &'static str,
        /// Bytes from the start of the unit to the end of the field.
        needed: usize,
        /// Bytes of the unit that are there.
        available: usize,
    },
    /// A field holds what the standard does not allow.
    #[error("byte {at} of {what}: expected {expected}")]
    Invalid {
        /// The unit.
        what: &'static str,
        /// Byte offset of the field in the unit.
        at: usize,
        /// What the standard asks for.
        expected: &'static str,
    },
    /// A section's CRC32 does not fit its bytes.
    #[error("section CRC is {found:#010x}, its bytes give {computed:#010x}")]
    Crc {
        /// The CRC in the section.
        found: u32,
        /// The CRC of the bytes before it.
        computed: u32,
    },
}

/// Reads `N` bytes at `at`, or says what was cut.
pub(crate) fn take<const N: usize>(data: &[u8], at: usize, what: &'static str) -> Result<[u8; N], ParseError> {
    data.get(at..).and_then(<[u8]>::first_chunk::<N>).copied().ok_or(ParseError::Truncated {
        what,
        needed: at.saturating_add(N),
        available: data.len(),
    })
}

/// The bytes `at..at + len`, or what was cut.
pub(crate) fn take_slice<'a>(
    data: &'a [u8],
    at: usize,
    len: usize,
    what: &'static str,
) -> Result<&'a [u8], ParseError> {
    let needed = at.saturating_add(len);
    data.get(at..needed).ok_or(ParseError::Truncated { what, needed, available: data.len() })
}
