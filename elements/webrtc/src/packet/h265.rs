//! H.265 in RTP (RFC 7798).
//!
//! ```text
//! single unit (4.4.1) | NAL unit header (16) | ...
//! AP (4.4.2)          | F 48 layer TID (16)  | size (16) | NAL unit | size (16) | NAL unit | ...
//! FU (4.4.3)          | F 49 layer TID (16)  | S E type  | piece of the NAL unit without its header
//! ```

use bytes::Bytes;
use millstream_codec::h265::{NAL_HEADER_BYTES, NalType};
use millstream_codec::nal::annex_b;

use super::MAX_PAYLOAD;
use super::h264::{fragments, keep};

const AP: u8 = 48;
const FU: u8 = 49;
/// Where the type is in the first byte of a header, and where in that of an FU.
const TYPE: u8 = 0x7E;
const FU_TYPE: u8 = 0x3F;
/// Access unit delimiter, end of sequence and of bitstream, filler data: nobody needs them (ITU-T H.265, table 7-1).
const LEFT_OUT: [NalType; 4] = [NalType::AUD, NalType(36), NalType(37), NalType(38)];
/// Bytes of a NAL unit's header.
const HEADER: usize = NAL_HEADER_BYTES;

/// Makes packets of access units in the byte stream format, and sees to it that the parameter sets are before each picture that decoding may
/// begin at.
#[derive(Debug, Default)]
pub struct Packetizer {
    vps: Vec<Bytes>,
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

impl Packetizer {
    /// Payloads of an access unit.
    pub fn payloads(&mut self, unit: &Bytes) -> Vec<Vec<u8>> {
        let (mut vps, mut sps, mut pps, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for nal in annex_b(unit).filter(|nal| nal.len() >= HEADER) {
            match NalType::of(&nal) {
                Some(NalType::VPS) => vps.push(nal),
                Some(NalType::SPS) => sps.push(nal),
                Some(NalType::PPS) => pps.push(nal),
                Some(kind) if !LEFT_OUT.contains(&kind) => rest.push(nal),
                _ => {}
            }
        }
        keep(&mut self.vps, vps);
        keep(&mut self.sps, sps);
        keep(&mut self.pps, pps);
        let mut payloads = Vec::new();
        if rest.iter().any(|nal| NalType::of(nal).is_some_and(NalType::is_irap)) {
            let sets: Vec<&Bytes> = self.vps.iter().chain(&self.sps).chain(&self.pps).collect();
            match aggregate(&sets) {
                Some(one) => payloads.push(one),
                None => sets.into_iter().for_each(|set| unit_payloads(set, &mut payloads)),
            }
        }
        rest.iter().for_each(|nal| unit_payloads(nal, &mut payloads));
        payloads
    }
}

/// One packet of several units, if they fit. Its layer and TID are the lowest of theirs (4.4.2), which those of parameter sets are.
fn aggregate(nals: &[&Bytes]) -> Option<Vec<u8>> {
    let size: usize = nals.iter().map(|nal| nal.len() + 2).sum();
    if nals.len() < 2 || size + HEADER > MAX_PAYLOAD {
        return None;
    }
    let (first, second) = (*nals.first()?.first()?, *nals.first()?.get(1)?);
    let mut payload = vec![first & !TYPE | AP << 1, second];
    for nal in nals {
        payload.extend(u16::try_from(nal.len()).ok()?.to_be_bytes());
        payload.extend_from_slice(nal);
    }
    Some(payload)
}

fn unit_payloads(nal: &Bytes, payloads: &mut Vec<Vec<u8>>) {
    let (Some((&[first, second], body)), true) = (nal.split_first_chunk::<HEADER>(), nal.len() > MAX_PAYLOAD) else {
        payloads.push(nal.to_vec());
        return;
    };
    fragments(body, &[first & !TYPE | FU << 1, second], first >> 1 & FU_TYPE, payloads);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::h264::tests::unit;

    #[test]
    fn web_1_parameter_sets_are_before_each_picture_that_decoding_may_begin_at() {
        let mut packetizer = Packetizer::default();
        let (vps, sps, pps) = (&[0x40, 1, 12][..], &[0x42, 1, 1, 2][..], &[0x44, 1, 3][..]);
        let (idr, slice) = (&[0x26, 1, 5, 6][..], &[0x02, 1, 7][..]);
        // 4.4.2: type 48, then each unit behind its size.
        let ap = [&[0x60, 1, 0, 3][..], vps, &[0, 4], sps, &[0, 3], pps].concat();
        let first = packetizer.payloads(&unit(&[&[0x46, 1, 0x50], vps, sps, pps, idr]));
        assert_eq!(first, [ap.clone(), idr.to_vec()]);
        assert_eq!(packetizer.payloads(&unit(&[slice])), [slice.to_vec()]);
        let cra = &[0x2A, 1, 9][..];
        assert_eq!(packetizer.payloads(&unit(&[cra])), [ap, cra.to_vec()], "they are said again");
    }

    #[test]
    fn a_large_unit_is_split_and_can_be_put_together() {
        let mut nal = vec![0x26, 1];
        nal.extend((0..10_000_u32).map(|byte| byte as u8 | 1));
        let payloads = Packetizer::default().payloads(&unit(&[&nal]));
        // 4.4.3: type 49, then S, E and the type of the unit, 19.
        assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD && payload[..2] == [0x62, 1]));
        let flags: Vec<u8> = payloads.iter().map(|payload| payload[2]).collect();
        assert_eq!((flags[0], flags[flags.len() - 1]), (0x93, 0x53));
        assert!(flags[1..flags.len() - 1].iter().all(|flags| *flags == 0x13));
        let together: Vec<u8> = payloads.iter().flat_map(|payload| payload[3..].to_vec()).collect();
        assert_eq!(together, nal[2..]);
    }
}
