//! Boxes as bytes (ISO/IEC 14496-12, 4.2), read within slices whose place in the file is known.
//!
//! | module | what |
//! | --- | --- |
//! | `header` | size and type of a box |
//! | `fields` | numbers of a box, one after the other |

mod fields;
mod header;

pub use fields::Fields;
pub use header::{BoxHeader, HeaderRead, MAX_HEADER};

/// Type of a box, a brand, a handler or a sample entry: four characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FourCc(pub [u8; 4]);

impl std::fmt::Display for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", byte.escape_ascii()))
    }
}

impl std::fmt::Debug for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Mp4Error {
    /// In words, with the box.
    pub what: String,
    /// Byte of the file.
    pub offset: u64,
}

impl Mp4Error {
    /// One at a byte of the file.
    pub fn new(offset: u64, what: impl Into<String>) -> Self {
        Self { what: what.into(), offset }
    }
}
