//! What ends a handshake.

/// The peer does not speak RTMP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The first byte of the client is no version but text of another protocol, perhaps HTTP on a shared port.
    #[error("handshake byte 0: expected an RTMP version below 32, found {0:#04x}; the client speaks another protocol")]
    NotRtmp(u8),
    /// The server did not choose the version that was asked for.
    #[error("handshake byte 0: asked for RTMP version 3, the server chose {0}")]
    Version(u8),
}
