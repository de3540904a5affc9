//! Movie fragments (ISO/IEC 14496-12, 8.8): the samples that a `moof` box adds.

use bytes::Bytes;

use crate::movie::{Defaults, Movie, Sample};
use crate::wire::{Fields, FourCc, Mp4Error};

/// Samples of a fragment: 40 minutes of AAC. A run of samples that are all alike has no bytes for each, so its count is not to be believed.
const MAX_SAMPLES: usize = 1 << 17;

/// Flag of a sample that decoding cannot begin at (8.8.3.1).
const IS_NON_SYNC: u32 = 0x1_0000;

/// The samples that a fragment adds to a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The track.
    pub track: u32,
    /// Its samples, in order of decoding.
    pub samples: Vec<Sample>,
}

/// Reads fragments, each of which may go on where the one before ended.
#[derive(Clone, Debug, Default)]
pub struct Fragments {
    /// Tick behind the last sample of each track.
    next: Vec<(u32, i64)>,
}

/// What a `tfhd` says.
struct Head {
    base: u64,
    defaults: Defaults,
}

impl Fragments {
    /// Forgets where tracks were: the next fragment is from elsewhere.
    pub fn reset(&mut self) {
        self.next.clear();
    }

    /// The samples of a `moof` box that begins at `start`, and whose content lies at `offset`.
    ///
    /// # Errors
    /// When a box is cut or says what cannot be.
    pub fn read(&mut self, movie: &Movie, content: &Bytes, (start, offset): (u64, u64)) -> Result<Vec<Run>, Mp4Error> {
        let mut boxes = Fields::new(FourCc(*b"moof"), content, offset);
        let (mut runs, mut behind, mut room) = (Vec::new(), start, MAX_SAMPLES);
        while let Some(found) = boxes.next_box()? {
            if found.kind().0 == *b"traf" {
                behind = self.track(movie, found, (start, behind), (&mut runs, &mut room))?;
            }
        }
        Ok(runs)
    }

    /// One `traf`; gives the byte behind its last sample.
    fn track(
        &mut self,
        movie: &Movie,
        mut traf: Fields<'_>,
        (start, behind): (u64, u64),
        (runs, room): (&mut Vec<Run>, &mut usize),
    ) -> Result<u64, Mp4Error> {
        let mut tfhd = traf.require(b"tfhd")?;
        let (_, flags) = tfhd.full()?;
        let id = tfhd.u32()?;
        let track = movie.tracks.iter().find(|track| track.id == id);
        let head = head(tfhd, flags, track.map(|track| track.defaults).unwrap_or_default(), (start, behind))?;
        let mut dts = match traf.find(b"tfdt")? {
            Some(mut tfdt) => {
                let (version, _) = tfdt.full()?;
                tfdt.by_version(version)?.cast_signed().max(0)
            }
            None => self.next.iter().find(|(track, _)| *track == id).map_or(0, |(_, next)| *next),
        };
        let (mut place, mut samples) = (head.base, Vec::new());
        while let Some(found) = traf.next_box()? {
            if found.kind().0 == *b"trun" {
                (dts, place) = run(found, &head, dts, place, (&mut samples, room))?;
            }
        }
        // Tracks that the movie does not have are not remembered: a forged fragment has any number of them.
        if track.is_some() {
            self.next.retain(|(track, _)| *track != id);
            self.next.push((id, dts));
            runs.push(Run { track: id, samples });
        }
        Ok(place)
    }
}

/// Reads what is behind the track's number (8.8.7).
fn head(
    mut tfhd: Fields<'_>,
    flags: u32,
    mut defaults: Defaults,
    (start, behind): (u64, u64),
) -> Result<Head, Mp4Error> {
    let has = |flag: u32| flags & flag != 0;
    // Without either, the data of the first track are counted from the box, and those of the others follow on each other.
    let base = match (has(1), has(0x2_0000)) {
        (true, _) => tfhd.u64()?,
        (false, true) => start,
        (false, false) => behind,
    };
    if has(2) {
        defaults.entry = tfhd.u32()?.saturating_sub(1);
    }
    if has(8) {
        defaults.duration = tfhd.u32()?;
    }
    if has(0x10) {
        defaults.size = tfhd.u32()?;
    }
    if has(0x20) {
        defaults.flags = tfhd.u32()?;
    }
    Ok(Head { base, defaults })
}

/// One `trun` (8.8.8); gives the tick and the byte behind its last sample.
fn run(
    mut trun: Fields<'_>,
    head: &Head,
    mut dts: i64,
    mut place: u64,
    (samples, room): (&mut Vec<Sample>, &mut usize),
) -> Result<(i64, u64), Mp4Error> {
    let (_, flags) = trun.full()?;
    let has = |flag: u32| flags & flag != 0;
    let at = trun;
    let count = trun.u32()?;
    *room = room.checked_sub(count as usize).ok_or_else(|| {
        at.error(&format!("says {count} samples, and a fragment with more than {MAX_SAMPLES} is not read"))
    })?;
    if has(1) {
        let at = trun;
        let offset = i64::from(trun.i32()?);
        place = head.base.checked_add_signed(offset).ok_or_else(|| at.error("has samples ahead of the file"))?;
    }
    let first_flags = if has(4) { Some(trun.u32()?) } else { None };
    for index in 0..count {
        let Defaults { entry, duration, size, flags } = head.defaults;
        let duration = if has(0x100) { trun.u32()? } else { duration };
        let size = if has(0x200) { trun.u32()? } else { size };
        let own = if has(0x400) { trun.u32()? } else { first_flags.filter(|_| index == 0).unwrap_or(flags) };
        // As with `ctts`, a sign is there in version 0 too, for those who write one.
        let composition = if has(0x800) { i64::from(trun.i32()?) } else { 0 };
        let is_sync = own & IS_NON_SYNC == 0;
        let cts = dts.saturating_add(composition);
        samples.push(Sample { offset: place, size, dts, cts, duration, is_sync, entry });
        dts = dts.saturating_add(duration.into());
        let at = trun;
        place = place.checked_add(size.into()).ok_or_else(|| at.error("has samples behind all files"))?;
    }
    Ok((dts, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movie::{Edits, Medium, Table, Track};

    fn atom(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
    }

    fn nest(kind: &[u8; 4], boxes: &[Vec<u8>]) -> Vec<u8> {
        let body = boxes.concat();
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
    }

    fn movie() -> Movie {
        let track = |id| Track {
            id,
            medium: Medium::Audio,
            timescale: 48_000,
            language: None,
            entries: Vec::new(),
            edits: Edits::default(),
            table: Table::default(),
            defaults: Defaults { entry: 0, duration: 1024, size: 7, flags: 0 },
        };
        Movie { tracks: vec![track(1), track(2)], ..Movie::default() }
    }

    fn read(fragments: &mut Fragments, boxes: &[Vec<u8>]) -> Result<Vec<Run>, Mp4Error> {
        fragments.read(&movie(), &boxes.concat().into(), (5000, 5008))
    }

    #[test]
    fn runs_have_their_place_from_the_box_and_their_time_from_tfdt() {
        let first = nest(
            b"traf",
            &[
                atom(b"tfhd", &[0x2_0000, 1]),
                atom(b"tfdt", &[1 << 24, 1, 0]),
                // Data offset, first flags, sizes and offsets of composition.
                atom(b"trun", &[0xA05, 2, 100, 0x2000000, 11, 3, 12, (-4_i32).cast_unsigned()]),
            ],
        );
        let mut fragments = Fragments::default();
        let runs = read(&mut fragments, &[first]).expect("a run");
        let seen: Vec<_> = runs[0].samples.iter().map(|one| (one.offset, one.size, one.dts, one.cts)).collect();
        let begin = 1_i64 << 32;
        assert_eq!(seen, [(5100, 11, begin, begin + 3), (5111, 12, begin + 1024, begin + 1020)]);
        // Without `tfdt` the next fragment goes on, and without a base it lies behind the box's beginning.
        let next = nest(b"traf", &[atom(b"tfhd", &[0, 1]), atom(b"trun", &[1, 1, 60])]);
        let runs = read(&mut fragments, &[next]).expect("a run");
        assert_eq!((runs[0].samples[0].dts, runs[0].samples[0].offset), (begin + 2048, 5060));
    }

    #[test]
    fn tracks_without_a_place_follow_on_each_other() {
        let one = nest(b"traf", &[atom(b"tfhd", &[0, 1]), atom(b"trun", &[1, 3, 100])]);
        let two = nest(b"traf", &[atom(b"tfhd", &[0x20, 2, 0x1_0000]), atom(b"trun", &[0, 1])]);
        let runs = read(&mut Fragments::default(), &[one, two]).expect("runs");
        assert_eq!((runs[1].samples[0].offset, runs[1].samples[0].is_sync), (5100 + 3 * 7, false));
    }

    #[test]
    fn sec_counts_are_not_believed() {
        let many = nest(b"traf", &[atom(b"tfhd", &[0, 1]), atom(b"trun", &[0, u32::MAX])]);
        assert!(read(&mut Fragments::default(), &[many]).expect_err("too many").what.contains("4294967295"));
        let again = vec![atom(b"trun", &[0, 100_000]); 2];
        let often = nest(b"traf", &[vec![atom(b"tfhd", &[0, 1])], again].concat());
        assert!(read(&mut Fragments::default(), &[often]).is_err());
    }
}
