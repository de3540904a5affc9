//! Edit lists (ISO/IEC 14496-12, 8.6.6): from times of media to the timeline of the movie.
//!
//! What is honoured is what writers use: empty edits ahead, which begin a track later, and where the first edit with media begins, which leaves
//! out the priming of an encoder and makes up for pictures in another order. Further edits would show parts of a file again or out of order;
//! they are counted, and the media go on as they lie.

use crate::wire::{Fields, Mp4Error};

/// Entries that are read. What is beyond the first with media is only counted.
const MAX_EDITS: u32 = 1 << 16;

/// One edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Units of the movie.
    pub duration: u64,
    /// Tick of the media where it begins; `None` for one that is empty.
    pub media_time: Option<u64>,
}

/// How media lie on the timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Units of the movie without media at the beginning.
    empty: u64,
    /// Tick of the media where the first edit with media begins.
    pub start: u64,
    /// Ticks at which the media begin on the timeline: the empty edits, in units of the track.
    pub delay: u64,
    /// Edits behind the first one with media: they are not followed.
    pub further: u32,
}

impl Edits {
    pub(super) fn read(mut elst: Fields<'_>) -> Result<Self, Mp4Error> {
        let (version, _) = elst.full()?;
        let count = elst.u32()?;
        let mut edits = Self::default();
        let mut begun = false;
        for _ in 0..count.min(MAX_EDITS) {
            let Edit { duration, media_time } = edit(&mut elst, version)?;
            match media_time {
                _ if begun => edits.further += 1,
                None => edits.empty = edits.empty.saturating_add(duration),
                Some(time) => (edits.start, begun) = (time, true),
            }
        }
        Ok(edits)
    }

    /// Makes ticks of the empty edits.
    pub(super) fn scale(&mut self, movie: u32, track: u32) {
        let ticks = u128::from(self.empty) * u128::from(track) / u128::from(movie.max(1));
        self.delay = u64::try_from(ticks).unwrap_or(u64::MAX);
    }

    /// The tick of the timeline at which a tick of the media is; less than 0 for what is ahead of the first edit.
    pub fn place(&self, media: i64) -> i64 {
        let signed = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX);
        media.saturating_sub(signed(self.start)).saturating_add(signed(self.delay))
    }
}

fn edit(elst: &mut Fields<'_>, version: u8) -> Result<Edit, Mp4Error> {
    let duration = elst.by_version(version)?;
    let media = if version == 0 { i64::from(elst.i32()?) } else { elst.u64()?.cast_signed() };
    // The rate is 1 but for a dwell, which shows one picture for long.
    elst.skip(4)?;
    Ok(Edit { duration, media_time: u64::try_from(media).ok() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FourCc;

    fn read(bytes: &[u8]) -> Edits {
        let mut edits = Edits::read(Fields::new(FourCc(*b"elst"), bytes, 0)).expect("edits");
        edits.scale(1000, 48_000);
        edits
    }

    #[test]
    fn priming_is_ahead_of_the_timeline_and_an_empty_edit_begins_later() {
        let one =
            |duration: u32, media: i32| [&duration.to_be_bytes()[..], &media.to_be_bytes(), &[0, 1, 0, 0]].concat();
        let priming = read(&[&[0, 0, 0, 0, 0, 0, 0, 1][..], &one(5000, 1024)].concat());
        assert_eq!((priming.place(0), priming.place(1024)), (-1024, 0));
        let late = read(&[&[0, 0, 0, 0, 0, 0, 0, 3][..], &one(500, -1), &one(5000, 0), &one(100, 7)].concat());
        assert_eq!((late.place(0), late.further), (24_000, 1));
    }

    #[test]
    fn times_of_64_bits() {
        let bytes = [&[1, 0, 0, 0, 0, 0, 0, 1][..], &1_u64.to_be_bytes(), &(1_u64 << 40).to_be_bytes(), &[0, 1, 0, 0]];
        assert_eq!(read(&bytes.concat()).start, 1 << 40);
    }
}
