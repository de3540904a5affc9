//! An FLV file of H.264 as packets of RTP (RFC 6184), with room for a stamp in each picture.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::Arc;

use crate::load::{Stamp, mark_room, pictures_of, read_mark, write_mark};

/// Bytes of payload in a packet: what WebRTC leaves of the least MTU.
const PAYLOAD: usize = 1150;

/// One packet of a picture.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) payload: Arc<[u8]>,
    /// The last of its picture.
    pub(super) marker: bool,
}

/// What is published.
#[derive(Debug)]
pub(crate) struct Pictures {
    /// Milliseconds of each picture, and its packets; the first is to be stamped.
    pub(super) list: Vec<(u32, Vec<Packet>)>,
    /// Milliseconds of one turn.
    pub(super) span: u32,
}

impl Pictures {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no FLV or holds no H.264.
    pub(crate) fn load(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let (sets, pictures) =
            pictures_of(&bytes).with_context(|| format!("{} is no clip for a load", file.display()))?;
        let [(first, ..), (second, ..), .., (last, ..)] = pictures[..] else {
            bail!("fewer than three pictures of H.264")
        };
        let span = last - first + (second - first).max(1);
        let packets = |(time, is_key, units): (u32, bool, Vec<Vec<u8>>)| {
            let sets = sets.iter().filter(|_| is_key).cloned();
            (time - first, packets(std::iter::once(mark_room()).chain(sets).chain(units)))
        };
        Ok(Self { list: pictures.into_iter().map(packets).collect(), span })
    }
}

/// Units in packets: whole ones, or in fragments (RFC 6184, 5.6 and 5.8).
fn packets(units: impl Iterator<Item = Vec<u8>>) -> Vec<Packet> {
    let mut packets = Vec::new();
    for unit in units {
        if unit.len() <= PAYLOAD {
            packets.push(Packet { payload: unit.into(), marker: false });
            continue;
        }
        let (header, body) = (unit[0], &unit[1..]);
        let count = body.chunks(PAYLOAD - 2).count();
        for (at, part) in body.chunks(PAYLOAD - 2).enumerate() {
            let (start, end) = (u8::from(at == 0) << 7, u8::from(at + 1 == count) << 6);
            let payload: Vec<u8> =
                [header & 0xe0 | 28, start | end | header & 0x1f].iter().chain(part).copied().collect();
            packets.push(Packet { payload: payload.into(), marker: false });
        }
    }
    if let Some(last) = packets.last_mut() {
        last.marker = true;
    }
    packets
}

/// The first packet of a picture with its stamp.
pub(super) fn stamped(packet: &Packet, stamp: Stamp) -> Arc<[u8]> {
    let mut payload = packet.payload.to_vec();
    write_mark(&mut payload, stamp);
    payload.into()
}

/// The stamp in a packet, which stands alone or is the first that is gathered in one.
pub(super) fn stamp(payload: &[u8]) -> Option<Stamp> {
    // Whole, or behind the header of an aggregate and what else is gathered in it (delimiter, parameter sets).
    match payload.first()? & 0x1f {
        6 => read_mark(payload),
        24 => {
            let mut rest = &payload[1..];
            loop {
                let (size, behind) = rest.split_first_chunk::<2>()?;
                let (unit, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
                if let Some(stamp) = read_mark(unit) {
                    return Some(stamp);
                }
                rest = behind;
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_units_are_cut_and_put_together_again() {
        let unit: Vec<u8> = std::iter::once(0x65).chain((0..3000).map(|at| at as u8)).collect();
        let packets = packets([mark_room(), unit.clone()].into_iter());
        assert_eq!(packets.len(), 1 + 3);
        assert_eq!(packets.iter().map(|packet| packet.marker).collect::<Vec<_>>(), [false, false, false, true]);
        let parts = &packets[1..];
        // FU indicator with the importance of the unit, FU header with start, nothing, end (RFC 6184, 5.8).
        assert_eq!(
            parts.iter().map(|part| (part.payload[0], part.payload[1])).collect::<Vec<_>>(),
            [(0x7c, 0x85), (0x7c, 5), (0x7c, 0x45)]
        );
        let body: Vec<u8> = parts.iter().flat_map(|part| part.payload[2..].to_vec()).collect();
        assert_eq!(body, unit[1..]);
    }

    #[test]
    fn a_stamp_is_found_alone_and_gathered() {
        let alone = Packet { payload: mark_room().into(), marker: false };
        let right = Stamp { at: 0x1234_5678_9abc, number: 7 };
        let payload = stamped(&alone, right);
        assert_eq!(stamp(&payload), Some(right));
        let mut gathered = vec![24, 0, 2, 9, 0xf0];
        gathered.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        gathered.extend_from_slice(&payload);
        assert_eq!(stamp(&gathered), Some(right));
        assert_eq!(stamp(&[24, 0, 9, 1]), None);
    }
}
