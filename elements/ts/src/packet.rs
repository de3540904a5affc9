//! The 188-byte transport packet. ISO/IEC 13818-1:2023, 2.4.3.2 and 2.4.3.3.
//!
//! ```text
//!  byte 0        1                2        3                  4 ..
//!  | 0x47 | TEI PUSI PRI PID(5) | PID(8) | SC(2) AFC(2) CC(4) | adaptation field | payload |
//! ```
//!
//! The adaptation field is in [`crate::adaptation`].

use crate::adaptation::AdaptationField;
use crate::error::ParseError;

/// Bytes of a transport packet.
pub const PACKET_SIZE: usize = 188;

/// Bytes of the packet header.
pub const HEADER_SIZE: usize = 4;

/// Bytes of a packet behind its header: payload, if there is no adaptation field.
pub const MAX_PAYLOAD: usize = PACKET_SIZE - HEADER_SIZE;

/// The first byte of each packet.
pub const SYNC_BYTE: u8 = 0x47;

/// A packet identifier: 13 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u16);

impl Pid {
    /// The program association table.
    pub const PAT: Self = Self(0);
    /// Null packets, which only fill the bit rate.
    pub const NULL: Self = Self(0x1FFF);
    /// How many PIDs there are.
    pub const COUNT: usize = 0x2000;

    /// A PID, if `value` has at most 13 bits.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        if value < 0x2000 { Some(Self(value)) } else { None }
    }

    /// The low 13 bits of a field whose other bits are reserved.
    #[must_use]
    pub const fn from_bits(field: u16) -> Self {
        Self(field & 0x1FFF)
    }

    /// The value, 0 to 0x1FFF.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// The four bytes that begin a packet. ISO/IEC 13818-1, 2.4.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHeader {
    /// A demodulator saw bit errors in this packet (transport_error_indicator).
    pub transport_error: bool,
    /// A PES packet begins with the payload, or a section begins in it (payload_unit_start_indicator).
    pub unit_start: bool,
    /// Of higher priority than other packets of the PID (transport_priority).
    pub priority: bool,
    /// Which stream or table this belongs to.
    pub pid: Pid,
    /// 0: in the clear (transport_scrambling_control, 2 bits).
    pub scrambling: u8,
    /// An adaptation field follows the header.
    pub has_adaptation: bool,
    /// A payload ends the packet.
    pub has_payload: bool,
    /// Counts the packets with payload of a PID, modulo 16 (continuity_counter).
    pub continuity: u8,
}

impl PacketHeader {
    /// A header of a clear packet with payload.
    #[must_use]
    pub const fn new(pid: Pid, unit_start: bool, continuity: u8) -> Self {
        Self {
            transport_error: false,
            unit_start,
            priority: false,
            pid,
            scrambling: 0,
            has_adaptation: false,
            has_payload: true,
            continuity: continuity & 0x0F,
        }
    }

    /// Reads a header. The sync byte is the caller's matter: it has found the packet by it.
    #[must_use]
    pub const fn parse(b: [u8; HEADER_SIZE]) -> Self {
        Self {
            transport_error: b[1] & 0x80 != 0,
            unit_start: b[1] & 0x40 != 0,
            priority: b[1] & 0x20 != 0,
            pid: Pid::from_bits(u16::from_be_bytes([b[1], b[2]])),
            scrambling: b[3] >> 6,
            has_adaptation: b[3] & 0x20 != 0,
            has_payload: b[3] & 0x10 != 0,
            continuity: b[3] & 0x0F,
        }
    }

    /// The wire form, sync byte first.
    #[must_use]
    pub const fn write(&self) -> [u8; HEADER_SIZE] {
        let [high, low] = self.pid.0.to_be_bytes();
        [
            SYNC_BYTE,
            (self.transport_error as u8) << 7 | (self.unit_start as u8) << 6 | (self.priority as u8) << 5 | high,
            low,
            (self.scrambling & 3) << 6
                | (self.has_adaptation as u8) << 5
                | (self.has_payload as u8) << 4
                | (self.continuity & 0x0F),
        ]
    }
}

/// A whole packet, borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: PacketHeader,
    /// The adaptation field, if the header announces one.
    pub adaptation: Option<AdaptationField<'a>>,
    /// The payload; empty if the header announces none.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet whose sync byte has been seen.
    ///
    /// # Errors
    /// If the adaptation field runs past the packet or ends before its own fields do.
    pub fn parse(bytes: &'a [u8; PACKET_SIZE]) -> Result<Self, ParseError> {
        let header = PacketHeader::parse([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let body = &bytes[HEADER_SIZE..];
        let (adaptation, rest) = if header.has_adaptation {
            let (field, rest) = AdaptationField::parse(body)?;
            (Some(field), rest)
        } else {
            (None, body)
        };
        let payload = if header.has_payload { rest } else { &[] };
        Ok(Self { header, adaptation, payload })
    }
}

/// A null packet: PID 0x1FFF, payload of 0xFF. ISO/IEC 13818-1, 2.4.1 (null packet) and table 2-3.
pub const NULL_PACKET: [u8; PACKET_SIZE] = {
    let mut packet = [0xFF; PACKET_SIZE];
    let header = PacketHeader::new(Pid::NULL, false, 0).write();
    packet[0] = header[0];
    packet[1] = header[1];
    packet[2] = header[2];
    packet[3] = header[3];
    packet
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bits_are_where_the_standard_has_them() {
        let header = PacketHeader::parse([0x47, 0xE1, 0x02, 0xBA]);
        assert_eq!(
            header,
            PacketHeader {
                transport_error: true,
                unit_start: true,
                priority: true,
                pid: Pid::from_bits(0x102),
                scrambling: 2,
                has_adaptation: true,
                has_payload: true,
                continuity: 10,
            }
        );
        assert_eq!(header.write(), [0x47, 0xE1, 0x02, 0xBA]);
    }

    #[test]
    fn null_packet_has_pid_1fff() {
        assert_eq!(NULL_PACKET[..5], [0x47, 0x1F, 0xFF, 0x10, 0xFF]);
    }

    #[test]
    fn packet_with_adaptation_only_has_no_payload() {
        let mut bytes = [0xFF; PACKET_SIZE];
        bytes[..6].copy_from_slice(&[0x47, 0x01, 0x00, 0x20, 183, 0x00]);
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.payload.is_empty());
        assert!(packet.adaptation.is_some());
    }

    #[test]
    fn ts_7_adaptation_of_one_and_of_183_bytes() {
        let mut bytes = [0xAA; PACKET_SIZE];
        bytes[..5].copy_from_slice(&[0x47, 0x01, 0x00, 0x30, 0]);
        assert_eq!(Packet::parse(&bytes).unwrap().payload.len(), 183);
        bytes[..6].copy_from_slice(&[0x47, 0x01, 0x00, 0x30, 182, 0]);
        assert_eq!(Packet::parse(&bytes).unwrap().payload.len(), 1);
        bytes[4] = 184;
        assert!(Packet::parse(&bytes).is_err());
    }
}
