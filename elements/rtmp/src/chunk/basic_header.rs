//! The basic header (RTMP 1.0, 5.3.1.1): format and chunk stream id.
//!
//! ```text
//!  0      2        8            16           24
//! +------+--------+
//! | fmt  | 2…63   |                              ids 2 to 63
//! +------+--------+------------+
//! | fmt  | 0      | id - 64    |                 ids 64 to 319
//! +------+--------+------------+------------+
//! | fmt  | 1      | (id-64)%256| (id-64)/256|    ids 64 to 65599
//! +------+--------+------------+------------+
//! ```

use bytes::BufMut;

/// Which fields the message header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 0: all.
    Full,
    /// 1: all but the message stream.
    SameStream,
    /// 2: only the difference of time.
    SameLength,
    /// 3: none.
    Same,
}

impl Format {
    /// Bytes of the message header.
    pub fn header_len(self) -> usize {
        match self {
            Self::Full => 11,
            Self::SameStream => 7,
            Self::SameLength => 3,
            Self::Same => 0,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "format {}", *self as u8)
    }
}

/// Format and chunk stream of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicHeader {
    /// The format of the message header.
    pub format: Format,
    /// The chunk stream, 2 to 65599.
    pub chunk_stream: u32,
}

impl BasicHeader {
    /// Reads a basic header and says how many bytes it took; nothing if they are not all there.
    #[inline]
    pub fn parse(data: &[u8]) -> Option<(Self, usize)> {
        let first = *data.first()?;
        let format = match first >> 6 {
            0 => Format::Full,
            1 => Format::SameStream,
            2 => Format::SameLength,
            _ => Format::Same,
        };
        let (chunk_stream, len) = match first & 0x3F {
            0 => (u32::from(*data.get(1)?) + 64, 2),
            1 => (u32::from(*data.get(2)?) * 256 + u32::from(*data.get(1)?) + 64, 3),
            id => (u32::from(id), 1),
        };
        Some((Self { format, chunk_stream }, len))
    }

    /// Appends the shortest form. Ids that cannot be said are clamped to 2 and 65599.
    pub fn write(&self, out: &mut impl BufMut) {
        let format = (self.format as u8) << 6;
        match self.chunk_stream.clamp(2, 65_599) {
            id @ 0..=63 => out.put_u8(format | id as u8),
            id @ 64..=319 => out.put_slice(&[format, (id - 64) as u8]),
            id => {
                let [low, high, ..] = (id - 64).to_le_bytes();
                out.put_slice(&[format | 1, low, high]);
            }
        }
    }

    /// Bytes that [`BasicHeader::write`] appends.
    pub fn len(chunk_stream: u32) -> usize {
        match chunk_stream {
            0..=63 => 1,
            64..=319 => 2,
            _ => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_c1_ids_of_one_two_and_three_bytes() {
        // The last but one is the example of the standard: 365 is 1 and a 16-bit 301, low byte first.
        let forms: [(u32, &[u8]); 8] = [
            (2, &[0x02]),
            (3, &[0x03]),
            (63, &[0x3F]),
            (64, &[0x00, 0]),
            (319, &[0x00, 255]),
            (320, &[0x01, 0, 1]),
            (365, &[0x01, 45, 1]),
            (65_599, &[0x01, 255, 255]),
        ];
        for (id, bytes) in forms {
            for (at, format) in [Format::Full, Format::SameStream, Format::SameLength, Format::Same].iter().enumerate()
            {
                let header = BasicHeader { format: *format, chunk_stream: id };
                let mut wire = Vec::new();
                header.write(&mut wire);
                assert_eq!((wire[0] & 0x3F, &wire[1..]), (bytes[0], &bytes[1..]), "id {id}");
                assert_eq!(usize::from(wire[0] >> 6), at);
                assert_eq!(BasicHeader::parse(&wire), Some((header, bytes.len())));
                assert_eq!(BasicHeader::len(id), bytes.len());
                (0..wire.len()).for_each(|cut| assert_eq!(BasicHeader::parse(&wire[..cut]), None));
            }
        }
    }

    #[test]
    fn rtmp_c1_an_id_below_320_in_three_bytes_is_the_same_stream() {
        let (header, len) = BasicHeader::parse(&[0x01, 36, 0]).unwrap();
        assert_eq!((header.chunk_stream, len), (100, 3));
    }
}
