//! The adaptation field. ISO/IEC 13818-1:2023, 2.4.3.4 and 2.4.3.5.
//!
//! ```text
//! | length(8) | DI RAI ESPI PCR OPCR SPL PRIV EXT | PCR(48)? | OPCR(48)? | splice(8)? | private(8+n)? | ext? | 0xFF .. |
//! ```
//!
//! `length` counts the bytes behind itself; 0 is one byte of stuffing.

use crate::error::{ParseError, take, take_slice};
use crate::timestamp::Pcr;

const WHAT: &str = "adaptation field";

/// What an adaptation field says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdaptationField<'a> {
    /// The PID's counters, or the program's clock if this carries a PCR, jump here (discontinuity_indicator).
    pub discontinuity: bool,
    /// A decoder can start at the unit that begins here (random_access_indicator).
    pub random_access: bool,
    /// elementary_stream_priority_indicator.
    pub priority: bool,
    /// The program clock when this packet arrives.
    pub pcr: Option<Pcr>,
    /// The PCR of the stream that this was taken from.
    pub original_pcr: Option<Pcr>,
    /// Packets of this PID until a splice point.
    pub splice_countdown: Option<i8>,
    /// transport_private_data.
    pub private_data: Option<&'a [u8]>,
}

impl<'a> AdaptationField<'a> {
    /// Reads the field at the start of `body`; returns it and what follows it. The extension is skipped.
    ///
    /// # Errors
    /// If the field runs past `body`, or its parts past the field.
    pub fn parse(body: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        let [length] = take::<1>(body, 0, WHAT)?;
        let field = take_slice(body, 1, usize::from(length), WHAT)?;
        let rest = body.get(1 + usize::from(length)..).unwrap_or_default();
        let Some(&flags) = field.first() else { return Ok((Self::default(), rest)) };
        let mut this = Self {
            discontinuity: flags & 0x80 != 0,
            random_access: flags & 0x40 != 0,
            priority: flags & 0x20 != 0,
            ..Self::default()
        };
        let mut at = 1;
        if flags & 0x10 != 0 {
            this.pcr = Some(Pcr::parse(take::<6>(field, at, WHAT)?));
            at += 6;
        }
        if flags & 0x08 != 0 {
            this.original_pcr = Some(Pcr::parse(take::<6>(field, at, WHAT)?));
            at += 6;
        }
        if flags & 0x04 != 0 {
            this.splice_countdown = Some(take::<1>(field, at, WHAT)?[0].cast_signed());
            at += 1;
        }
        if flags & 0x02 != 0 {
            let [len] = take::<1>(field, at, WHAT)?;
            this.private_data = Some(take_slice(field, at + 1, usize::from(len), WHAT)?);
        }
        Ok((this, rest))
    }

    /// Bytes that the field needs, with its length byte. A field that says nothing needs one.
    #[must_use]
    pub fn min_size(&self) -> usize {
        if *self == Self::default() {
            return 1;
        }
        2 + 6 * usize::from(self.pcr.is_some())
            + 6 * usize::from(self.original_pcr.is_some())
            + usize::from(self.splice_countdown.is_some())
            + self.private_data.map_or(0, |data| 1 + data.len())
    }

    /// Fills all of `out` with the field and stuffing, or returns `false` if `out` is shorter than [`Self::min_size`] or longer
    /// than a packet has room for.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> bool {
        if out.len() < self.min_size() || out.len() > crate::packet::MAX_PAYLOAD {
            return false;
        }
        let Some((length, field)) = out.split_first_mut() else { return false };
        *length = field.len() as u8;
        let Some((flags, mut rest)) = field.split_first_mut() else { return true };
        *flags = u8::from(self.discontinuity) << 7
            | u8::from(self.random_access) << 6
            | u8::from(self.priority) << 5
            | u8::from(self.pcr.is_some()) << 4
            | u8::from(self.original_pcr.is_some()) << 3
            | u8::from(self.splice_countdown.is_some()) << 2
            | u8::from(self.private_data.is_some()) << 1;
        for pcr in [self.pcr, self.original_pcr].into_iter().flatten() {
            rest = put(rest, &pcr.write());
        }
        if let Some(count) = self.splice_countdown {
            rest = put(rest, &[count.cast_unsigned()]);
        }
        if let Some(data) = self.private_data {
            rest = put(rest, &[data.len() as u8]);
            rest = put(rest, data);
        }
        rest.fill(0xFF);
        true
    }
}

/// Copies `bytes` to the front of `out` (which `write` has seen to be long enough) and returns the rest.
fn put<'o>(out: &'o mut [u8], bytes: &[u8]) -> &'o mut [u8] {
    let (head, rest) = out.split_at_mut(bytes.len());
    head.copy_from_slice(bytes);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_survive_a_round_trip_at_every_length() {
        let field = AdaptationField {
            discontinuity: true,
            random_access: true,
            priority: true,
            pcr: Some(Pcr::from_ticks(123_456_789)),
            original_pcr: Some(Pcr::from_ticks(987_654_321)),
            splice_countdown: Some(-3),
            private_data: Some(b"abc"),
        };
        let least = field.min_size();
        assert_eq!(least, 2 + 12 + 1 + 4);
        for size in least..=184 {
            let mut bytes = vec![0; size];
            assert!(field.write(&mut bytes));
            let (back, rest) = AdaptationField::parse(&bytes).unwrap();
            assert_eq!((back, rest.len()), (field, 0));
        }
        assert!(!field.write(&mut vec![0; least - 1]));
    }

    #[test]
    fn parts_past_the_field_are_an_error() {
        // PCR announced, field one byte long.
        assert!(AdaptationField::parse(&[1, 0x10, 1, 2, 3, 4, 5, 6, 7]).is_err());
        // Private data longer than the field.
        assert!(AdaptationField::parse(&[3, 0x02, 200, 1, 2]).is_err());
    }
}
