//! What form the packets of a watched handshake have; for traces.

use super::PACKET_LEN;
use super::digest::{self, Layout, Side};

/// How C2 or S2 answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// By repeating the random bytes.
    Echo,
    /// By a signature over the digest.
    Signed,
    /// By neither, which nobody minds.
    Other,
}

/// Where C1 or S1 has its digest, if it has one.
pub(crate) fn layout(packet: &[u8; PACKET_LEN], from: millstream_core::trace::Side) -> Option<Layout> {
    digest::find(packet, side(from)).map(|(layout, _)| layout)
}

/// How C2 or S2 answers `first`, the other end's first packet.
pub(crate) fn answer(
    packet: &[u8; PACKET_LEN],
    from: millstream_core::trace::Side,
    first: &[u8; PACKET_LEN],
) -> Answer {
    if packet[8..] == first[8..] {
        return Answer::Echo;
    }
    let Some((_, digest)) = digest::find(first, side(from.other())) else { return Answer::Other };
    let mut signed = *packet;
    digest::sign(&mut signed, &digest, side(from));
    if signed == *packet { Answer::Signed } else { Answer::Other }
}

fn side(side: millstream_core::trace::Side) -> Side {
    match side {
        millstream_core::trace::Side::Client => Side::Client,
        millstream_core::trace::Side::Server => Side::Server,
    }
}
