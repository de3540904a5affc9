//! The digest inside C1 and S1, and the signature at the end of C2 and S2.
//!
//! C1 and S1 hold two blocks of 764 bytes behind their first eight bytes, a key (used by RTMPE only, random here) and a digest:
//!
//! ```text
//!  digest block:  | four bytes whose sum, modulo 728, is an offset | … offset … | digest, 32 | … |
//! ```
//!
//! The digest is the HMAC-SHA256 of the 1504 other bytes of the packet. C2 and S2 end with the HMAC-SHA256 of their first 1504 bytes
//! under a key made of the digest of the packet that they answer.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::PACKET_LEN;

/// Bytes of a digest.
pub(super) const DIGEST_LEN: usize = 32;
/// Bytes of C2 and S2 ahead of the signature.
const SIGNED_LEN: usize = PACKET_LEN - DIGEST_LEN;
/// Room for the offset of the digest: the block less its four bytes and the digest.
const OFFSETS: usize = 764 - 4 - DIGEST_LEN;

/// Key of the client: a name, and 32 bytes that the signature needs too.
pub(super) const CLIENT_KEY: &[u8; 62] = b"Genuine Adobe Flash Player 001\
    \xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57\x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36\xCF\xEB\x31\xAE";
/// Key of the server: a name, and the same 32 bytes.
pub(super) const SERVER_KEY: &[u8; 68] = b"Genuine Adobe Flash Media Server 001\
    \xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57\x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36\xCF\xEB\x31\xAE";

/// Which of the two sides signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    /// The key of the digest in C1 or S1: the name alone.
    fn digest_key(self) -> &'static [u8] {
        match self {
            Self::Client => &CLIENT_KEY[..30],
            Self::Server => &SERVER_KEY[..36],
        }
    }

    /// The key of the signature in C2 or S2.
    fn signature_key(self) -> &'static [u8] {
        match self {
            Self::Client => CLIENT_KEY,
            Self::Server => SERVER_KEY,
        }
    }
}

/// Where the block with the digest begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// At byte 8, ahead of the key: what ffmpeg sends.
    DigestFirst,
    /// At byte 772, behind the key.
    KeyFirst,
}

impl Layout {
    pub(super) const ALL: [Self; 2] = [Self::DigestFirst, Self::KeyFirst];

    fn block(self) -> usize {
        match self {
            Self::DigestFirst => 8,
            Self::KeyFirst => 772,
        }
    }

    /// Where the digest of this packet is: 776 + 727 + 32 is the end of the packet at most.
    fn digest_at(self, packet: &[u8; PACKET_LEN]) -> usize {
        let block = self.block();
        let sum: usize = packet[block..block + 4].iter().map(|byte| usize::from(*byte)).sum();
        block + 4 + sum % OFFSETS
    }
}

/// Looks for a digest of `side` in both layouts.
pub(super) fn find(packet: &[u8; PACKET_LEN], side: Side) -> Option<(Layout, [u8; DIGEST_LEN])> {
    Layout::ALL.into_iter().find_map(|layout| {
        let at = layout.digest_at(packet);
        let digest = digest(packet, at, side);
        (packet[at..at + DIGEST_LEN] == digest).then_some((layout, digest))
    })
}

/// Puts the digest of `side` into a packet that is otherwise finished, and returns it.
pub(super) fn put(packet: &mut [u8; PACKET_LEN], layout: Layout, side: Side) -> [u8; DIGEST_LEN] {
    let at = layout.digest_at(packet);
    let digest = digest(packet, at, side);
    packet[at..at + DIGEST_LEN].copy_from_slice(&digest);
    digest
}

/// Puts the signature of `side` at the end of C2 or S2; `answered` is the digest of S1 or C1.
pub(super) fn sign(packet: &mut [u8; PACKET_LEN], answered: &[u8; DIGEST_LEN], side: Side) {
    let key = hmac(side.signature_key(), &[answered]);
    let signature = hmac(&key, &[&packet[..SIGNED_LEN]]);
    packet[SIGNED_LEN..].copy_from_slice(&signature);
}

fn digest(packet: &[u8; PACKET_LEN], at: usize, side: Side) -> [u8; DIGEST_LEN] {
    hmac(side.digest_key(), &[&packet[..at], &packet[at + DIGEST_LEN..]])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_testkit::media::media_bytes;

    /// A packet of a recorded session by its place in the stream.
    fn packet(file: &str, nth: usize) -> Option<[u8; PACKET_LEN]> {
        let bytes = media_bytes(file)?;
        bytes.get(1 + nth * PACKET_LEN..)?.first_chunk().copied()
    }

    #[test]
    fn rtmp_h5_digests_of_ffmpeg_and_of_a_server_are_recognised() {
        let Some(c1) = packet("rtmp/ffmpeg51_play.c2s.bin", 0) else { return };
        let (layout, digest) = find(&c1, Side::Client).expect("ffmpeg sends a digest");
        assert_eq!(layout, Layout::DigestFirst);
        assert_eq!(find(&c1, Side::Server), None);
        let s1 = packet("rtmp/ffmpeg51_play.s2c.bin", 0).unwrap();
        assert!(find(&s1, Side::Server).is_some(), "node-media-server answers with a digest");
        // What that server signed is signed here to the same bytes.
        let s2 = packet("rtmp/ffmpeg51_play.s2c.bin", 1).unwrap();
        let mut ours = s2;
        ours[SIGNED_LEN..].fill(0);
        sign(&mut ours, &digest, Side::Server);
        assert!(ours == s2);
    }

    #[test]
    fn rtmp_h5_both_layouts_are_produced_and_found_wherever_the_offset_lies() {
        for layout in Layout::ALL {
            for step in 0..=255 {
                let mut packet = [0x5A; PACKET_LEN];
                packet[layout.block()..layout.block() + 4].copy_from_slice(&[step, 255, step, 255]);
                let digest = put(&mut packet, layout, Side::Client);
                assert_eq!(find(&packet, Side::Client), Some((layout, digest)));
                packet[PACKET_LEN - 1] ^= 1;
                assert_eq!(find(&packet, Side::Client), None);
            }
        }
    }
}
