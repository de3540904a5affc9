//! The error of every parser in this crate: which unit, at which bit, and what was wrong.

use thiserror::Error;

/// A bitstream unit that cannot be read.
///
/// `bit` counts from the first byte of the unit. For H.264, H.265 and H.266 it counts in the RBSP, that is after the
/// emulation prevention bytes were taken out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{unit}: {kind} (byte {}, bit {})", .bit / 8, .bit % 8)]
pub struct CodecError {
    /// The syntax structure in the words of its standard, for example `H.264 SPS`.
    pub unit: &'static str,
    /// Offset in bits from the start of the unit.
    pub bit: u64,
    /// What was found there.
    pub kind: ErrorKind,
}

/// Why a unit cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ErrorKind {
    /// The data end inside the unit.
    #[error("expected {wanted} more bits, the data hold {have}")]
    Truncated {
        /// Bits the syntax asks for at this place.
        wanted: u64,
        /// Bits that are left.
        have: u64,
    },
    /// A value its standard does not allow. The text says what was expected.
    #[error("{0}")]
    Invalid(&'static str),
    /// A count or size beyond what this crate is willing to hold.
    #[error("{what} is {value}, over the limit of {limit}")]
    OverLimit {
        /// The counted thing.
        what: &'static str,
        /// The value that was read.
        value: u64,
        /// The named limit it exceeds.
        limit: u64,
    },
    /// Allowed by the standard, not implemented here.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}

impl CodecError {
    /// An error `byte` whole bytes into `unit`.
    pub(crate) fn at_byte(unit: &'static str, byte: usize, kind: ErrorKind) -> Self {
        Self { unit, bit: (byte as u64).saturating_mul(8), kind }
    }

    /// True when more data could make the unit readable.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self.kind, ErrorKind::Truncated { .. })
    }
}
