//! AV1 in RTP (AOM, "RTP Payload Format For AV1", 4).
//!
//! ```text
//! | Z Y W W N - - - |  Z: goes on with an element of the packet before, Y: goes on in the next, W: elements, N: a sequence begins
//! | OBU element: the header without its size, then the OBU |      one in each packet (W = 1), so that no length is needed
//! ```

use bytes::Bytes;
use millstream_codec::av1::{ObuType, Obus};

use super::{MAX_PAYLOAD, pieces};

const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;
const ONE_ELEMENT: u8 = 0x10;
const NEW_SEQUENCE: u8 = 0x08;
/// `obu_has_size_field`.
const HAS_SIZE: u8 = 0x02;

/// Payloads of a temporal unit.
pub fn payloads(unit: &Bytes, is_key: bool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for obu in Obus::new(unit).map_while(Result::ok) {
        // 5: these are not to be sent.
        if matches!(obu.header.kind, ObuType::TEMPORAL_DELIMITER | ObuType::PADDING | ObuType::TILE_LIST) {
            continue;
        }
        let Some(element) = element(unit, obu.range.start, obu.payload, obu.header.layer.is_some()) else { break };
        let parts = pieces(&element, MAX_PAYLOAD - 1);
        let last = parts.len() - 1;
        for (index, part) in parts.enumerate() {
            let mut header = ONE_ELEMENT;
            header |= if index > 0 { CONTINUES } else { 0 };
            header |= if index < last { GOES_ON } else { 0 };
            header |= if is_key && all.is_empty() { NEW_SEQUENCE } else { 0 };
            all.push([&[header], part].concat());
        }
    }
    all
}

/// An OBU as an element has it: without its size.
fn element(unit: &[u8], at: usize, payload: std::ops::Range<usize>, has_extension: bool) -> Option<Vec<u8>> {
    let mut element = vec![unit.get(at)? & !HAS_SIZE];
    if has_extension {
        element.push(*unit.get(at + 1)?);
    }
    element.extend_from_slice(unit.get(payload)?);
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obus_lose_their_size_and_delimiters_are_left_out() {
        // Temporal delimiter, sequence header of 2 bytes, frame of 3000 bytes.
        let mut unit = vec![0x12, 0, 0x0A, 2, 8, 9, 0x32, 0xB8, 0x17];
        unit.extend([5; 3000]);
        let payloads = payloads(&unit.into(), true);
        assert_eq!(payloads[0], [0x18, 0x08, 8, 9]);
        let headers: Vec<u8> = payloads[1..].iter().map(|payload| payload[0]).collect();
        assert_eq!(headers, [0x50, 0xD0, 0x90]);
        assert_eq!(payloads[1..].iter().map(|payload| payload.len() - 1).sum::<usize>(), 3001);
        assert_eq!(payloads[1][1], 0x30);
    }
}
