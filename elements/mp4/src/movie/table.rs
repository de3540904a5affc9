//! Sample tables (ISO/IEC 14496-12, 8.6 and 8.7), read as they lie in the file: nothing is unfolded, so an hour of sound costs what its tables have
//! in the file.

use bytes::Bytes;

use crate::wire::{Fields, Mp4Error};

/// A table of entries of the same size.
#[derive(Clone, Debug, Default)]
struct Rows {
    bytes: Bytes,
    width: usize,
}

impl Rows {
    /// Of a box that counts its entries, of `width` bytes each.
    fn read(mut fields: Fields<'_>, width: usize, content: &Bytes) -> Result<Self, Mp4Error> {
        fields.full()?;
        let count = fields.u32()?;
        Self::of(fields, count, width, content)
    }

    fn of(mut fields: Fields<'_>, count: u32, width: usize, content: &Bytes) -> Result<Self, Mp4Error> {
        let bytes = fields.take(width.saturating_mul(count as usize))?;
        Ok(Self { bytes: content.slice_ref(bytes), width })
    }

    fn len(&self) -> usize {
        self.bytes.len().checked_div(self.width).unwrap_or(0)
    }

    fn row(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(self.width)?;
        self.bytes.get(start..start.checked_add(self.width)?)
    }

    /// A number of 32 bits in a row.
    fn u32(&self, index: usize, field: usize) -> Option<u32> {
        Some(u32::from_be_bytes(*self.row(index)?.get(field * 4..)?.first_chunk::<4>()?))
    }
}

/// Sizes of samples.
#[derive(Clone, Debug)]
enum Sizes {
    /// All the same: count and bytes.
    Same(u32, u32),
    /// `stsz`.
    Each(Rows),
    /// `stz2` with so many bits each.
    Compact { bits: u8, count: u32, bytes: Bytes },
}

impl Default for Sizes {
    fn default() -> Self {
        Self::Same(0, 0)
    }
}

/// Where the samples of a track lie, and when they are.
#[derive(Clone, Debug, Default)]
pub struct Table {
    durations: Rows,
    /// Offsets of composition, and whether they have a sign.
    offsets: Rows,
    signed: bool,
    /// Numbers of the samples that are sync samples; without it all are.
    syncs: Option<Rows>,
    chunks: Rows,
    runs: Rows,
    sizes: Sizes,
}

/// A sample: where it lies, and when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// First byte in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// Tick of decoding.
    pub dts: i64,
    /// Tick of composition.
    pub cts: i64,
    /// Ticks.
    pub duration: u32,
    /// Decoding can begin here.
    pub is_sync: bool,
    /// Its format, among the entries of the track.
    pub entry: u32,
}

impl Table {
    pub(super) fn read(mut stbl: Fields<'_>, content: &Bytes, _: u64) -> Result<Self, Mp4Error> {
        let mut table = Self::default();
        while let Some(found) = stbl.next_box()? {
            match &found.kind().0 {
                b"stts" => table.durations = Rows::read(found, 8, content)?,
                b"ctts" => {
                    // Version 0 has no sign in the standard, and one in what some writers make of it.
                    table.signed = found.rest().first() == Some(&1);
                    table.offsets = Rows::read(found, 8, content)?;
                }
                b"stss" => table.syncs = Some(Rows::read(found, 4, content)?),
                b"stsc" => table.runs = Rows::read(found, 12, content)?,
                b"stco" => table.chunks = Rows::read(found, 4, content)?,
                b"co64" => table.chunks = Rows::read(found, 8, content)?,
                b"stsz" => table.sizes = sizes(found, content)?,
                b"stz2" => table.sizes = compact_sizes(found, content)?,
                _ => {}
            }
        }
        Ok(table)
    }

    /// Samples that the table has sizes for.
    pub fn len(&self) -> u32 {
        match &self.sizes {
            Sizes::Same(count, _) | Sizes::Compact { count, .. } => *count,
            Sizes::Each(rows) => u32::try_from(rows.len()).unwrap_or(u32::MAX),
        }
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples in order of decoding.
    pub fn samples(&self) -> Samples {
        Samples { table: self.clone(), at: Cursor::default() }
    }

    fn size(&self, index: u32) -> Option<u32> {
        match &self.sizes {
            Sizes::Same(count, size) => (index < *count).then_some(*size),
            Sizes::Each(rows) => rows.u32(index as usize, 0),
            Sizes::Compact { bits, count, bytes } if index < *count => match bits {
                4 => bytes
                    .get(index as usize / 2)
                    .map(|byte| u32::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 })),
                8 => bytes.get(index as usize).copied().map(u32::from),
                _ => Some(u16::from_be_bytes(*bytes.get(index as usize * 2..)?.first_chunk()?).into()),
            },
            Sizes::Compact { .. } => None,
        }
    }

    fn chunk(&self, index: usize) -> Option<u64> {
        match self.chunks.width {
            8 => Some(u64::from_be_bytes(*self.chunks.row(index)?.first_chunk()?)),
            _ => self.chunks.u32(index, 0).map(u64::from),
        }
    }
}

fn sizes(mut stsz: Fields<'_>, content: &Bytes) -> Result<Sizes, Mp4Error> {
    stsz.full()?;
    let (size, count) = (stsz.u32()?, stsz.u32()?);
    match size {
        0 => Rows::of(stsz, count, 4, content).map(Sizes::Each),
        size => Ok(Sizes::Same(count, size)),
    }
}

fn compact_sizes(mut stz2: Fields<'_>, content: &Bytes) -> Result<Sizes, Mp4Error> {
    stz2.full()?;
    stz2.skip(3)?;
    let at = stz2;
    let (bits, count) = (stz2.u8()?, stz2.u32()?);
    if ![4, 8, 16].contains(&bits) {
        return Err(at.error(&format!("has sizes of {bits} bits")));
    }
    let bytes = stz2.take((count as usize).saturating_mul(bits.into()).div_ceil(8))?;
    Ok(Sizes::Compact { bits, count, bytes: content.slice_ref(bytes) })
}

/// A place in a table of runs: its row, and what of it has been taken.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    row: usize,
    taken: u32,
}

impl Run {
    /// The value of the next one, in a table whose rows are a count and a value.
    fn next(&mut self, rows: &Rows) -> Option<u32> {
        while self.taken >= rows.u32(self.row, 0)? {
            (self.row, self.taken) = (self.row + 1, 0);
        }
        self.taken += 1;
        rows.u32(self.row, 1)
    }
}

#[derive(Clone, Debug, Default)]
struct Cursor {
    index: u32,
    dts: i64,
    duration: Run,
    offset: Run,
    sync: usize,
    /// Chunk, run of chunks, samples taken of the chunk, and where the next one lies.
    chunk: usize,
    run: usize,
    taken: u32,
    place: u64,
}

/// The samples of a track in order of decoding.
#[derive(Clone, Debug)]
pub struct Samples {
    table: Table,
    at: Cursor,
}

impl Samples {
    /// How many there have been.
    pub fn index(&self) -> u32 {
        self.at.index
    }

    /// Offset and entry of the next sample, which has `size` bytes.
    fn place(&mut self, size: u32) -> Option<(u64, u32)> {
        let Self { table, at } = self;
        loop {
            // Runs say from which chunk on, counted from 1, they hold.
            let next = table.runs.u32(at.run + 1, 0);
            if next.is_some_and(|first| first as usize <= at.chunk + 1) {
                at.run += 1;
                continue;
            }
            let (samples, entry) = (table.runs.u32(at.run, 1)?, table.runs.u32(at.run, 2)?);
            if at.taken >= samples {
                (at.chunk, at.taken) = (at.chunk + 1, 0);
                // A chunk of no samples is skipped; there is an end of them.
                table.chunk(at.chunk)?;
                continue;
            }
            if at.taken == 0 {
                at.place = table.chunk(at.chunk)?;
            }
            let offset = at.place;
            (at.place, at.taken) = (offset.checked_add(size.into())?, at.taken + 1);
            return Some((offset, entry.saturating_sub(1)));
        }
    }

    fn is_sync(&mut self, number: u32) -> bool {
        let Some(syncs) = &self.table.syncs else { return true };
        while syncs.u32(self.at.sync, 0).is_some_and(|sync| sync < number) {
            self.at.sync += 1;
        }
        syncs.u32(self.at.sync, 0) == Some(number)
    }
}

impl Iterator for Samples {
    type Item = Sample;

    /// The next; `None` at the end, which is where any of the tables ends.
    fn next(&mut self) -> Option<Sample> {
        let size = self.table.size(self.at.index)?;
        let (offset, entry) = self.place(size)?;
        let duration = self.at.duration.next(&self.table.durations)?;
        let composition = self.at.offset.next(&self.table.offsets).unwrap_or(0);
        let composition = if self.table.signed { composition.cast_signed().into() } else { unsigned(composition) };
        let is_sync = self.is_sync(self.at.index.saturating_add(1));
        let dts = self.at.dts;
        self.at.index = self.at.index.saturating_add(1);
        self.at.dts = dts.saturating_add(duration.into());
        Some(Sample { offset, size, dts, cts: dts.saturating_add(composition), duration, is_sync, entry })
    }
}

/// An offset of version 0. Some writers put negative ones there, which would be 13 hours at the least otherwise (90 kHz).
fn unsigned(offset: u32) -> i64 {
    i64::from(offset.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FourCc;

    fn atom(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
    }

    fn samples(boxes: &[Vec<u8>]) -> Vec<Sample> {
        let bytes = Bytes::from(boxes.concat());
        let table = Table::read(Fields::new(FourCc(*b"stbl"), &bytes, 0), &bytes, 0).expect("tables");
        table.samples().collect()
    }

    #[test]
    fn chunks_durations_and_offsets_meet_in_samples() {
        let all = samples(&[
            atom(b"stts", &[0, 2, 3, 10, 2, 20]),
            atom(b"ctts", &[1 << 24, 2, 1, 5, 4, (-3_i32).cast_unsigned()]),
            atom(b"stss", &[0, 2, 1, 4]),
            // Two samples in chunks 1 and 2, one in those from 3 on, of the second format.
            atom(b"stsc", &[0, 2, 1, 2, 1, 3, 1, 2]),
            atom(b"stco", &[0, 3, 1000, 2000, 3000]),
            atom(b"stsz", &[0, 0, 5, 11, 12, 13, 14, 15]),
        ]);
        let seen: Vec<_> =
            all.iter().map(|one| (one.offset, one.size, one.dts, one.cts, one.is_sync, one.entry)).collect();
        assert_eq!(
            seen,
            [
                (1000, 11, 0, 5, true, 0),
                (1011, 12, 10, 7, false, 0),
                (2000, 13, 20, 17, false, 0),
                (2013, 14, 30, 27, true, 0),
                (3000, 15, 50, 47, false, 1)
            ]
        );
    }

    #[test]
    fn sizes_of_all_kinds_and_offsets_of_64_bits() {
        let with = |sizes: Vec<u8>, chunks: Vec<u8>| {
            let all = samples(&[atom(b"stts", &[0, 1, 9, 1]), atom(b"stsc", &[0, 1, 1, 9, 1]), chunks, sizes]);
            all.iter().map(|one| (one.offset, one.size)).collect::<Vec<_>>()
        };
        let far = atom(b"co64", &[0, 1, 1, 0]);
        assert_eq!(with(atom(b"stsz", &[0, 7, 2]), far), [(1 << 32, 7), ((1 << 32) + 7, 7)]);
        let near = || atom(b"stco", &[0, 1, 100]);
        assert_eq!(with(atom(b"stz2", &[0, 4, 3, 0x1230_0000]), near()), [(100, 1), (101, 2), (103, 3)]);
        assert_eq!(with(atom(b"stz2", &[0, 16, 2, 0x0102_0304]), near()), [(100, 0x102), (358, 0x304)]);
    }

    #[test]
    fn tables_that_do_not_fit_each_other_end_and_declared_counts_are_not_believed() {
        let none = samples(&[atom(b"stsz", &[0, 7, u32::MAX]), atom(b"stts", &[0, 1, u32::MAX, 1])]);
        assert_eq!(none, [], "there is no chunk");
        let empty = samples(&[
            atom(b"stsz", &[0, 7, 2]),
            atom(b"stts", &[0, 2, 0, 1, 2, 1]),
            atom(b"stsc", &[0, 1, 1, 0, 1]),
            atom(b"stco", &[0, 2, 1, 2]),
        ]);
        assert_eq!(empty, [], "chunks of no samples");
        let cut = Bytes::from(atom(b"stco", &[0, 1 << 30, 5]));
        assert!(Table::read(Fields::new(FourCc(*b"stbl"), &cut, 0), &cut, 0).is_err());
    }
}
