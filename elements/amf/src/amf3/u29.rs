//! U29: one to four bytes, seven bits in the first three, eight in the fourth (AMF 3, 1.3.1).

use bytes::BufMut;

use crate::error::AmfError;
use crate::source::Source;

/// The largest U29.
pub(super) const MAX: u32 = (1 << 29) - 1;

pub(super) fn read(source: &mut Source<'_>, expected: &'static str) -> Result<u32, AmfError> {
    let mut value = 0;
    for _ in 0..3 {
        let byte = source.u8(expected)?;
        value = value << 7 | u32::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value << 8 | u32::from(source.u8(expected)?))
}

/// Appends the low 29 bits of `value`.
pub(super) fn write(value: u32, out: &mut impl BufMut) {
    let value = value & MAX;
    let seven = |shift: u32| (value >> shift) as u8 & 0x7F;
    match value {
        0..0x80 => out.put_u8(seven(0)),
        0x80..0x4000 => out.put_slice(&[0x80 | seven(7), seven(0)]),
        0x4000..0x20_0000 => out.put_slice(&[0x80 | seven(14), 0x80 | seven(7), seven(0)]),
        _ => out.put_slice(&[0x80 | seven(22), 0x80 | seven(15), 0x80 | seven(8), value as u8]),
    }
}

/// A U29 as a signed 29-bit number in two's complement.
pub(super) fn to_signed(value: u32) -> i32 {
    (value << 3) as i32 >> 3
}

/// Whether a number fits 29 signed bits.
pub(super) fn fits_signed(value: i32) -> bool {
    value << 3 >> 3 == value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m9_u29_boundaries_of_the_standard() {
        for (value, wire) in [
            (0, &[0][..]),
            (0x7F, &[0x7F]),
            (0x80, &[0x81, 0x00]),
            (0x3FFF, &[0xFF, 0x7F]),
            (0x4000, &[0x81, 0x80, 0x00]),
            (0x1F_FFFF, &[0xFF, 0xFF, 0x7F]),
            (0x20_0000, &[0x80, 0xC0, 0x80, 0x00]),
            (0x3FFF_FFFF & MAX, &[0xFF, 0xFF, 0xFF, 0xFF]),
        ] {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(out, wire);
            assert_eq!(read(&mut Source::new(wire), "").unwrap(), value);
        }
    }

    #[test]
    fn rtmp_m9_integers_are_signed() {
        assert_eq!(to_signed(MAX), -1);
        assert_eq!(to_signed(1 << 28), -(1 << 28));
        assert_eq!(to_signed((1 << 28) - 1), (1 << 28) - 1);
        assert!(fits_signed(-(1 << 28)) && !fits_signed(1 << 28));
    }
}
