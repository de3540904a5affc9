//! AV1 in RTP (AOM, "RTP Payload Format For AV1", 4).
//!
//! ```text
//! | Z Y W W N - - - |  Z: goes on with an element of the packet before, Y: goes on in the next, W: elements or 0, N: a sequence begins
//! | length (leb128) | OBU element: the header without its size, then the OBU | ...    one element alone has no length (W = 1)
//! ```
//!
//! Each packet of a temporal unit but the last ends within an element. Receivers that are told nothing of frames by the dependency descriptor,
//! libwebrtc's among them, take a packet that does not end within one for the last of its frame.

use bytes::Bytes;
use millstream_codec::av1::{ObuType, Obus, write_leb128};

use super::MAX_PAYLOAD;

const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;
const ONE_ELEMENT: u8 = 0x10;
const NEW_SEQUENCE: u8 = 0x08;
/// `obu_has_size_field`.
const HAS_SIZE: u8 = 0x02;
/// Bytes of the length of an element, which is no longer than a packet.
const LENGTH: usize = 2;

/// Makes packets of temporal units, and sees to it that there is a sequence header before each key frame.
#[derive(Debug, Default)]
pub struct Packetizer {
    sequence: Option<Vec<u8>>,
}

impl Packetizer {
    /// Payloads of a temporal unit.
    pub fn payloads(&mut self, unit: &Bytes, is_key: bool) -> Vec<Vec<u8>> {
        let (mut elements, mut has_sequence) = (Vec::new(), false);
        for obu in Obus::new(unit).map_while(Result::ok) {
            let kind = obu.header.kind;
            // 5: these are not to be sent.
            if matches!(kind, ObuType::TEMPORAL_DELIMITER | ObuType::PADDING | ObuType::TILE_LIST) {
                continue;
            }
            let Some(element) = element(unit, obu.range.start, obu.payload, obu.header.layer.is_some()) else { break };
            if kind == ObuType::SEQUENCE_HEADER {
                self.sequence = Some(element.clone());
                has_sequence = true;
            }
            elements.push(element);
        }
        if let Some(sequence) = self.sequence.as_ref().filter(|_| is_key && !has_sequence && !elements.is_empty()) {
            elements.insert(0, sequence.clone());
        }
        let mut writer = Writer { is_key, ..Writer::default() };
        let count = elements.len();
        for (index, element) in elements.iter().enumerate() {
            writer.element(element, index + 1 == count);
        }
        writer.flush(false);
        writer.payloads
    }
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

#[derive(Default)]
struct Writer<'a> {
    payloads: Vec<Vec<u8>>,
    /// What the next packet has so far.
    pieces: Vec<&'a [u8]>,
    used: usize,
    continues: bool,
    is_key: bool,
}

impl<'a> Writer<'a> {
    fn element(&mut self, element: &'a [u8], is_last: bool) {
        let mut rest = element;
        while !rest.is_empty() {
            let room = (MAX_PAYLOAD - 1).saturating_sub(self.used + LENGTH);
            let take = match rest.len() {
                _ if room == 0 => 0,
                len if len > room => room,
                len if is_last || room - len > LENGTH => len,
                // The next element would not begin in this packet: this one goes on in the next.
                len => (len - 1).max(1),
            };
            let (piece, after) = rest.split_at(take);
            if take > 0 {
                self.pieces.push(piece);
                self.used += take + LENGTH;
            }
            if !after.is_empty() {
                self.flush(take > 0);
            }
            rest = after;
        }
    }

    /// Ends the packet.
    fn flush(&mut self, goes_on: bool) {
        let pieces = std::mem::take(&mut self.pieces);
        self.used = 0;
        let continues = std::mem::replace(&mut self.continues, goes_on);
        let mut header = if continues { CONTINUES } else { 0 };
        header |= if goes_on { GOES_ON } else { 0 };
        header |= if self.is_key && self.payloads.is_empty() { NEW_SEQUENCE } else { 0 };
        let payload = match pieces.as_slice() {
            [] => return,
            [one] => [&[header | ONE_ELEMENT], *one].concat(),
            several => {
                let mut payload = vec![header];
                for piece in several {
                    write_leb128(&mut payload, u32::try_from(piece.len()).unwrap_or(u32::MAX));
                    payload.extend_from_slice(piece);
                }
                payload
            }
        };
        self.payloads.push(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Temporal delimiter, sequence header of 2 bytes, frame of 3000 bytes.
    fn unit(with_sequence: bool) -> Bytes {
        let mut unit = vec![0x12, 0];
        unit.extend([0x0A, 2, 8, 9].iter().filter(|_| with_sequence));
        unit.extend([0x32, 0xB8, 0x17]);
        unit.extend([5; 3000]);
        unit.into()
    }

    #[test]
    fn obus_lose_their_size_and_a_frame_begins_in_the_packet_of_its_sequence() {
        let payloads = Packetizer::default().payloads(&unit(true), true);
        // Two elements with their lengths: 3 bytes, and what remains of the packet.
        assert_eq!(payloads[0][..7], [0x48, 3, 0x08, 8, 9, 0xD8, 0x08]);
        assert_eq!(payloads[0][7], 0x30);
        let headers: Vec<u8> = payloads[1..].iter().map(|payload| payload[0]).collect();
        assert_eq!(headers, [0xD0, 0x90]);
        assert!(payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
        let frame = payloads[0].len() - 7 + payloads[1..].iter().map(|payload| payload.len() - 1).sum::<usize>();
        assert_eq!(frame, 3001);
    }

    #[test]
    fn web_1_a_sequence_header_is_before_each_key_frame() {
        let mut packetizer = Packetizer::default();
        let first = packetizer.payloads(&unit(true), true);
        assert_eq!(packetizer.payloads(&unit(false), true), first, "it is said again where the encoder does not");
        assert_eq!(packetizer.payloads(&unit(false), false)[0][..2], [0x50, 0x30]);
    }

    #[test]
    fn no_packet_but_the_last_ends_with_an_element() {
        for len in 1090..1130 {
            let mut unit = vec![0x0A, (len & 0x7F) as u8 | 0x80, (len >> 7) as u8];
            unit.extend(vec![1; len]);
            unit.extend([0x32, 3, 1, 2, 3]);
            let payloads = Packetizer::default().payloads(&unit.into(), true);
            let (last, before) = payloads.split_last().expect("packets");
            assert!(before.iter().all(|payload| payload[0] & GOES_ON != 0), "{len}");
            assert!(last[0] & GOES_ON == 0 && payloads.iter().all(|payload| payload.len() <= MAX_PAYLOAD), "{len}");
        }
    }
}
