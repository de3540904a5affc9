//! What can be wrong with AMF bytes.

/// A value that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("AMF byte {offset}: {kind}")]
pub struct AmfError {
    /// Offset in bytes from the start of the reader's input.
    pub offset: usize,
    /// What is wrong there.
    pub kind: AmfErrorKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmfErrorKind {
    /// The input ends inside a field.
    #[error("expected {expected}, but the message ends")]
    Truncated {
        /// Name of the missing field.
        expected: &'static str,
    },
    /// An AMF0 marker that the standard reserves or does not define.
    #[error("unknown AMF0 marker {0:#04x}")]
    Marker0(u8),
    /// An AMF3 marker that the standard does not define.
    #[error("unknown AMF3 marker {0:#04x}")]
    Marker3(u8),
    /// A reference to a string, class or object that was not sent before.
    #[error("reference {index} to one of {known} {what}")]
    Reference {
        /// What is referred to.
        what: &'static str,
        /// Index as sent.
        index: u32,
        /// How many there are.
        known: usize,
    },
    /// A reference in a message that holds objects of both formats, which count them apart: once the message is a [`Value`](crate::Value),
    /// nothing says any longer which count is meant.
    #[error("reference {0} in a message with objects of both AMF0 and AMF3")]
    MixedReference(u32),
    /// An object whose class serialises itself.
    #[error("externalizable class \"{0}\", whose bytes only that class can read")]
    Externalizable(String),
    /// Values are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("values nested deeper than {}", crate::MAX_DEPTH)]
    TooDeep,
    /// More values than [`MAX_VALUES`](crate::MAX_VALUES).
    #[error("more than {} values", crate::MAX_VALUES)]
    TooManyValues,
    /// References to strings and classes expand to more bytes than [`MAX_EXPANSION`](crate::MAX_EXPANSION).
    #[error("references expand to more than {} bytes", crate::MAX_EXPANSION)]
    Expansion,
}
