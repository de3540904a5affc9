//! What can be wrong with the payload of one message. The connection goes on.

use super::MessageType;

/// A payload that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?} message, byte {offset}: expected {expected}")]
pub struct MessageError {
    /// The message's type.
    pub kind: MessageType,
    /// Offset in bytes in the payload.
    pub offset: usize,
    /// What should have stood there.
    pub expected: &'static str,
}

impl MessageError {
    pub(crate) fn new(kind: MessageType, offset: usize, expected: &'static str) -> Self {
        Self { kind, offset, expected }
    }
}
