//! The handshake (RTMP 1.0, 5.2): C0 + C1 → S0 + S1 + S2 → C2.
//!
//! C0 and S0 are one byte, the version. The others are 1536 bytes each:
//!
//! ```text
//!         0         4            8                                  1536
//!        +---------+------------+----------------------------------+
//!  C1 S1 | time    | zero       | 1528 random bytes                |  simple
//!        +---------+------------+----------------------------------+
//!        | time    | version    | 764 bytes key or digest | 764 …  |  with a digest
//!        +---------+------------+----------------------------------+
//!  C2 S2 | time of S1 or C1 | time2 | random bytes of S1 or C1     |  simple
//!        +------------------------------------------+--------------+
//!        | 1504 random bytes                        | HMAC, 32     |  with a digest
//!        +------------------------------------------+--------------+
//! ```
//!
//! The form with a [digest](Layout) came with Flash Player 9 and is in no standard. A client that wants it puts its version in the
//! place of `zero`; the server looks for the digest and, where there is none, falls back to the simple form.
//! Neither side compares C2 or S2 with what it sent: GStreamer changes some bytes of the echo, and gets away with it everywhere.

mod client;
mod digest;
mod error;
mod form;
mod random;
mod server;

pub use client::{ClientForm, ClientHandshake};
pub use digest::Layout;
pub use error::HandshakeError;
pub(crate) use form::{Answer, answer, layout};
pub(crate) use random::Random;
pub use server::ServerHandshake;

/// The version that the standard defines, and the only one that is spoken here.
pub const VERSION: u8 = 3;
/// Bytes of C1, S1, C2 and S2.
pub const PACKET_LEN: usize = 1536;
/// From this version on the first byte is a printable character or worse: another protocol (RTMP 1.0, 5.2.2).
const FIRST_TEXT_VERSION: u8 = 32;

/// What [`ServerHandshake::receive`] and [`ClientHandshake::receive`] did with the bytes given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many of the bytes belonged to the handshake. The rest are chunks; there is none before it is done.
    pub consumed: usize,
    /// Whether the handshake is complete.
    pub done: bool,
}

/// Collects a packet of fixed size from pieces.
#[derive(Clone)]
pub(crate) struct Gather {
    bytes: Box<[u8; PACKET_LEN]>,
    len: usize,
}

impl Gather {
    pub(crate) fn new() -> Self {
        Self { bytes: Box::new([0; PACKET_LEN]), len: 0 }
    }

    /// Takes what is still missing; the whole packet once it is there.
    pub(crate) fn take(&mut self, data: &mut &[u8]) -> Option<&[u8; PACKET_LEN]> {
        let (room, len) = (self.bytes.get_mut(self.len..).unwrap_or_default(), data.len());
        let taken = room.len().min(len);
        let (head, tail) = data.split_at(taken);
        room[..taken].copy_from_slice(head);
        self.len += taken;
        *data = tail;
        (self.len == PACKET_LEN).then_some(&*self.bytes)
    }
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {PACKET_LEN} bytes", self.len)
    }
}
