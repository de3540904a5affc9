//! H.264 in RTP (RFC 6184).
//!
//! ```text
//! single unit   | NAL unit header | ...
//! STAP-A (5.7.1)| F NRI 24 | size (16) | NAL unit | size (16) | NAL unit | ...
//! FU-A (5.8)    | F NRI 28 | S E R type | piece of the NAL unit without its header
//! ```

use bytes::Bytes;
use millstream_codec::h264::NalType;
use millstream_codec::nal::annex_b;

use super::{MAX_PAYLOAD, pieces};

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// `forbidden_zero_bit` and `nal_ref_idc` of a unit's header.
const NRI: u8 = 0xE0;
const TYPE: u8 = 0x1F;
const START: u8 = 0x80;
const END: u8 = 0x40;

/// Parameter sets that are kept: encoders have one or two of each.
const MAX_SETS: usize = 16;

/// Makes packets of access units in the byte stream format, and sees to it that the parameter sets are before each IDR picture, as browsers
/// that join need them.
#[derive(Debug, Default)]
pub struct Packetizer {
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

impl Packetizer {
    /// `profile_idc`, the constraint flags and `level_idc` of the stream, as `profile-level-id` has them (8.1).
    pub fn profile_level_id(&self) -> Option<u32> {
        let bytes = self.sps.first()?.get(1..4)?;
        Some(bytes.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)))
    }

    /// Payloads of an access unit.
    pub fn payloads(&mut self, unit: &Bytes) -> Vec<Vec<u8>> {
        let (mut sps, mut pps, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for nal in annex_b(unit) {
            match NalType::of(&nal) {
                Some(NalType::Sps) => sps.push(nal),
                Some(NalType::Pps) => pps.push(nal),
                Some(NalType::Aud | NalType::Filler | NalType::EndOfSequence | NalType::EndOfStream) | None => {}
                Some(_) => rest.push(nal),
            }
        }
        keep(&mut self.sps, sps);
        keep(&mut self.pps, pps);
        let mut payloads = Vec::new();
        if rest.iter().any(|nal| NalType::of(nal) == Some(NalType::Idr)) {
            let sets: Vec<&Bytes> = self.sps.iter().chain(&self.pps).collect();
            match stap(&sets) {
                Some(one) => payloads.push(one),
                None => sets.into_iter().for_each(|set| unit_payloads(set, &mut payloads)),
            }
        }
        rest.iter().for_each(|nal| unit_payloads(nal, &mut payloads));
        payloads
    }
}

/// Parameter sets that have come take the place of those before.
pub(super) fn keep(sets: &mut Vec<Bytes>, new: Vec<Bytes>) {
    if !new.is_empty() {
        *sets = new;
        sets.truncate(MAX_SETS);
    }
}

/// One packet of several units, if they fit.
fn stap(nals: &[&Bytes]) -> Option<Vec<u8>> {
    let size: usize = nals.iter().map(|nal| nal.len() + 2).sum();
    if nals.len() < 2 || size >= MAX_PAYLOAD {
        return None;
    }
    let importance = nals.iter().filter_map(|nal| nal.first()).map(|header| header & NRI & 0x60).max()?;
    let mut payload = vec![importance | STAP_A];
    for nal in nals {
        payload.extend(u16::try_from(nal.len()).ok()?.to_be_bytes());
        payload.extend_from_slice(nal);
    }
    Some(payload)
}

fn unit_payloads(nal: &Bytes, payloads: &mut Vec<Vec<u8>>) {
    let Some((header, body)) = nal.split_first() else { return };
    if nal.len() <= MAX_PAYLOAD {
        payloads.push(nal.to_vec());
        return;
    }
    fragments(body, &[header & NRI | FU_A], header & TYPE, payloads);
}

/// Packets with the pieces of a unit: before each a header, then where the unit begins and ends, and its type.
pub(super) fn fragments(body: &[u8], header: &[u8], kind: u8, payloads: &mut Vec<Vec<u8>>) {
    let all = pieces(body, MAX_PAYLOAD - header.len() - 1);
    let last = all.len() - 1;
    for (index, piece) in all.enumerate() {
        let start = if index == 0 { START } else { 0 };
        let end = if index == last { END } else { 0 };
        payloads.push([header, &[start | end | kind], piece].concat());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn unit(nals: &[&[u8]]) -> Bytes {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect::<Vec<u8>>().into()
    }

    #[test]
    fn web_1_parameter_sets_are_before_each_idr_picture() {
        let mut packetizer = Packetizer::default();
        let (sps, pps, idr, slice) = (&[0x67, 1, 2, 3][..], &[0x68, 4][..], &[0x65, 5, 6][..], &[0x41, 7][..]);
        // RFC 6184, 5.7.1: header, then each unit behind its size.
        let stap = [&[0x78, 0, 4][..], sps, &[0, 2], pps].concat();
        let first = packetizer.payloads(&unit(&[&[0x09, 0xF0], sps, pps, idr]));
        assert_eq!(first, [stap.clone(), idr.to_vec()]);
        assert_eq!(packetizer.payloads(&unit(&[slice])), [slice.to_vec()]);
        let without = packetizer.payloads(&unit(&[idr]));
        assert_eq!(without, [stap, idr.to_vec()], "they are said again where the encoder does not");
    }

    #[test]
    fn a_large_unit_is_split_and_can_be_put_together() {
        let mut nal = vec![0x65];
        nal.extend((0..10_000_u32).map(|byte| byte as u8 | 1));
        let payloads = Packetizer::default().payloads(&unit(&[&nal]));
        assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD && payload[0] == 0x7C));
        let flags: Vec<u8> = payloads.iter().map(|payload| payload[1]).collect();
        assert_eq!((flags[0], flags[flags.len() - 1]), (0x85, 0x45));
        assert!(flags[1..flags.len() - 1].iter().all(|flags| *flags == 0x05));
        let together: Vec<u8> = payloads.iter().flat_map(|payload| payload[2..].to_vec()).collect();
        assert_eq!(together, nal[1..]);
    }
}
