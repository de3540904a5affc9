//! Writes files: header, tags, back pointers, and metadata that is filled in at the end.

use bytes::{BufMut, Bytes};
use millstream_amf::Value;

use super::error::EncodeError;
use super::file_header::FileHeader;
use super::metadata::{Keyframes, MetaData, ON_META_DATA};
use super::script::write_script;
use super::slices::Slices;
use super::tag::{TagHeader, TagKind};

/// Name of the property that takes the room which the key frame index does not use.
const FILLER: &str = "filler";
/// Appended to the name until the filler has the length that it has to have.
const FILLER_PAD: &str = "_";
/// Bytes of one number in a list.
const NUMBER: usize = 9;
/// Bytes of one entry of the index: two numbers.
const ENTRY: usize = 2 * NUMBER;
/// Bytes of the shortest filler: name, marker and count of an empty list.
const FILLER_HEAD: usize = 2 + FILLER.len() + 1 + 4;
/// Bytes around the entries: the `keyframes` object with two empty lists, and a filler that fills nothing.
const INDEX_ROOM: usize = 2 + 9 + 1 + (2 + 13 + 5) + (2 + 5 + 5) + 3 + FILLER_HEAD;

/// A sans-IO FLV writer: tags go in, slices come out.
///
/// ```
/// use bytes::Bytes;
/// use millstream_flv::wire::{FileHeader, FlvWriter, Slices, TagKind};
/// let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
/// writer.file_header(FileHeader::new(true, false), &mut out);
/// writer.tag(TagKind::Audio, 23, b"\xaf\x01", &[Bytes::from_static(b"\x42")], &mut out)?;
/// assert_eq!(out.take().concat(), b"FLV\x01\x04\0\0\0\x09\0\0\0\0\x08\0\0\x03\0\0\x17\0\0\0\0\xaf\x01\x42\0\0\0\x0e");
/// # Ok::<(), millstream_flv::wire::EncodeError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct FlvWriter {
    offset: u64,
}

impl FlvWriter {
    /// A writer at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offset in bytes of what comes next; at the end, the size of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends the file header and `PreviousTagSize0`.
    pub fn file_header(&mut self, header: FileHeader, out: &mut Slices) {
        let mut bytes = Vec::with_capacity(FileHeader::LEN + 4);
        header.write(&mut bytes);
        bytes.put_u32(0);
        self.copy(&bytes, out);
    }

    /// Appends a tag with its back pointer and returns the offset of the tag. The body is `head` (copied) and `payload` (slices,
    /// shared where large). `timestamp` is milliseconds modulo 2^32.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn tag(
        &mut self,
        kind: TagKind,
        timestamp: u32,
        head: &[u8],
        payload: &[Bytes],
        out: &mut Slices,
    ) -> Result<u64, EncodeError> {
        let size = payload.iter().fold(head.len(), |size, slice| size.saturating_add(slice.len()));
        let small = u32::try_from(size).ok().filter(|size| *size <= TagHeader::MAX_SIZE);
        let header = TagHeader::new(kind, small.ok_or(EncodeError::TooLarge { size })?, timestamp);
        let start = self.offset;
        let mut bytes = [0; TagHeader::LEN];
        header.write(&mut &mut bytes[..]);
        self.copy(&bytes, out);
        self.copy(head, out);
        for slice in payload {
            out.share(slice);
            self.offset += slice.len() as u64;
        }
        self.copy(&header.tag_size().to_be_bytes(), out);
        Ok(start)
    }

    /// Appends an `onMetaData` tag and, with `index_entries` above 0, leaves room for the duration, size and a key frame index
    /// of so many entries, to be filled in with [`MetaDataSlot::patch`] where the output can be rewritten.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] if metadata and index do not fit a tag.
    pub fn metadata(
        &mut self,
        data: &MetaData,
        index_entries: usize,
        timestamp: u32,
        out: &mut Slices,
    ) -> Result<MetaDataSlot, EncodeError> {
        let mut body = Vec::new();
        let room = if index_entries == 0 { None } else { Some(index_entries.saturating_mul(ENTRY) + INDEX_ROOM) };
        write_metadata(data, room.unwrap_or(0), &mut body);
        let start = self.tag(TagKind::Script, timestamp, &body, &[], out)?;
        let capacity = index_entries;
        Ok(MetaDataSlot { offset: start + TagHeader::LEN as u64, len: body.len(), capacity })
    }

    fn copy(&mut self, bytes: &[u8], out: &mut Slices) {
        out.copy(bytes);
        self.offset += bytes.len() as u64;
    }
}

/// Where the `onMetaData` body of a file stands, for rewriting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaDataSlot {
    offset: u64,
    len: usize,
    capacity: usize,
}

impl MetaDataSlot {
    /// How many index entries there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes to write over the body, and their offset in the file. Where the index takes more room than was left, every
    /// other entry goes until it fits, at last the index itself. Nothing if not even the rest fits.
    pub fn patch(&self, data: &MetaData) -> Option<(u64, Bytes)> {
        let mut data = data.clone();
        loop {
            if let Some(body) = self.fit(&data) {
                return Some((self.offset, body.into()));
            }
            match &mut data.keyframes {
                Some(index) if index.times.len() > 1 => index.thin(),
                Some(_) => data.keyframes = None,
                None => return None,
            }
        }
    }

    fn fit(&self, data: &MetaData) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(self.len);
        write_metadata(data, 0, &mut body);
        let gap = self.len.checked_sub(body.len())?;
        if gap > 0 && gap < FILLER_HEAD {
            return None;
        }
        body.clear();
        write_metadata(data, gap, &mut body);
        (body.len() == self.len).then_some(body)
    }
}

/// Collects a key frame index of bounded size: when it is full, every other entry goes, and from then on only every second,
/// fourth ... key frame is taken.
#[derive(Debug, Clone)]
pub struct KeyframeIndex {
    entries: Vec<(f64, f64)>,
    capacity: usize,
    stride: u64,
    seen: u64,
}

impl KeyframeIndex {
    /// An index of at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity, stride: 1, seen: 0 }
    }

    /// Adds the tag of a key frame: its time in milliseconds and its offset in the file.
    pub fn push(&mut self, time_ms: i64, position: u64) {
        let turn = self.seen;
        self.seen += 1;
        if self.capacity == 0 || !turn.is_multiple_of(self.stride) {
            return;
        }
        if self.entries.len() == self.capacity {
            let mut keep = false;
            self.entries.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
            if !turn.is_multiple_of(self.stride) || self.entries.len() == self.capacity {
                return;
            }
        }
        self.entries.push((time_ms as f64 / 1000.0, position as f64));
    }

    /// The index as metadata has it.
    pub fn keyframes(&self) -> Keyframes {
        let (times, positions) = self.entries.iter().copied().unzip();
        Keyframes { times, positions }
    }
}

/// The script body, with a property of exactly `filler` bytes at the end if that is not 0.
///
/// The filler is a list of zeros, which readers take as they take the lists of the index. A text they would show, or refuse as too
/// long (libavformat reads no further than a text of 1024 bytes). Zeros have 9 bytes each; the name makes up the rest.
fn write_metadata(data: &MetaData, filler: usize, out: &mut Vec<u8>) {
    let mut properties = data.to_properties();
    if let Some(room) = filler.checked_sub(FILLER_HEAD) {
        let name = FILLER.to_owned() + &FILLER_PAD.repeat(room % NUMBER);
        properties.push((name, Value::StrictArray(vec![Value::Number(0.0); room / NUMBER])));
    }
    write_script(ON_META_DATA, &[Value::ecma_array(properties)], out);
}

/// True for the properties that only take room.
pub(super) fn is_filler(name: &str) -> bool {
    name.strip_prefix(FILLER).is_some_and(|rest| rest.len() < NUMBER && rest.chars().all(|c| FILLER_PAD.contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FlvReader, parse_script};

    fn slot(data: &MetaData, entries: usize) -> (Vec<u8>, MetaDataSlot) {
        let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
        writer.file_header(FileHeader::new(true, true), &mut out);
        let slot = writer.metadata(data, entries, 0, &mut out).unwrap();
        let file = out.take().concat();
        assert_eq!(writer.offset(), file.len() as u64);
        (file, slot)
    }

    fn read_metadata(file: &[u8]) -> MetaData {
        let mut reader = FlvReader::new();
        reader.push(Bytes::copy_from_slice(file));
        let tag = reader.next().unwrap().unwrap();
        let script = parse_script(tag.kind, &tag.body).unwrap();
        assert_eq!((script.damage.as_ref(), reader.stats().wrong_previous_tag_size), (None, 0));
        MetaData::from_script(&script).unwrap()
    }

    #[test]
    fn flv_6_index_and_duration_are_patched_in_place() {
        for capacity in [1, 2, 100, 3640, 3700, 5000] {
            for used in [0, 1, capacity / 2, capacity] {
                let start =
                    MetaData { width: Some(640.0), duration: Some(0.0), file_size: Some(0.0), ..MetaData::default() };
                let (mut file, slot) = slot(&start, capacity);
                assert_eq!(read_metadata(&file).keyframes, None);
                let mut index = KeyframeIndex::new(slot.capacity());
                (0..used).for_each(|i| index.push(i as i64 * 2000, i as u64));
                let end =
                    MetaData { duration: Some(9.5), file_size: Some(1e6), keyframes: Some(index.keyframes()), ..start };
                let (offset, bytes) = slot.patch(&end).expect("room was left");
                let at = offset as usize;
                file[at..at + bytes.len()].copy_from_slice(&bytes);
                let read = read_metadata(&file);
                assert_eq!((read.duration, read.width, &read.keyframes), (Some(9.5), Some(640.0), &end.keyframes));
            }
        }
    }

    #[test]
    fn flv_6_filler_has_any_length() {
        let mut empty = Vec::new();
        write_metadata(&MetaData::default(), 0, &mut empty);
        for filler in (FILLER_HEAD..200).chain(65_520..65_580) {
            let mut body = Vec::new();
            write_metadata(&MetaData::default(), filler, &mut body);
            assert_eq!(body.len(), empty.len() + filler);
            let script = parse_script(TagKind::Script, &body).unwrap();
            assert_eq!(script.damage, None);
            assert!(script.values[0].properties().unwrap().iter().all(|(name, _)| is_filler(name)));
        }
    }

    #[test]
    fn flv_6_what_does_not_fit_is_not_patched() {
        let (_, slot) = slot(&MetaData::default(), 0);
        assert_eq!(slot.patch(&MetaData { duration: Some(1.0), ..MetaData::default() }), None);
        assert!(slot.patch(&MetaData::default()).is_some());
    }

    #[test]
    fn flv_6_index_makes_room_for_longer_metadata() {
        let (_, slot) = slot(&MetaData::default(), 10);
        let numbers: Vec<_> = (0..10).map(f64::from).collect();
        let keyframes = Some(Keyframes { times: numbers.clone(), positions: numbers });
        let other = vec![("encoder".into(), Value::String("x".repeat(60)))];
        let (_, body) = slot.patch(&MetaData { keyframes, other, ..MetaData::default() }).expect("less index fits");
        let script = parse_script(TagKind::Script, &body).unwrap();
        let times = MetaData::from_script(&script).unwrap().keyframes.unwrap().times;
        assert_eq!(times, [0.0, 2.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn flv_6_full_index_thins_evenly() {
        let mut index = KeyframeIndex::new(10);
        (0..1000).for_each(|i| index.push(i * 1000, i as u64));
        let keyframes = index.keyframes();
        assert!((5..=10).contains(&keyframes.times.len()));
        let steps: Vec<_> = keyframes.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step == steps[0]), "{steps:?}");
    }

    #[test]
    fn flv_2_too_large_a_body_is_refused() {
        let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
        let half = Bytes::from(vec![0; 1 << 23]);
        let error = writer.tag(TagKind::Video, 0, &[], &[half.clone(), half.clone()], &mut out);
        assert_eq!(error, Err(EncodeError::TooLarge { size: 1 << 24 }));
        assert_eq!((writer.offset(), out.len()), (0, 0));
        assert!(writer.tag(TagKind::Video, 0, &[], &[half.slice(1..), half], &mut out).is_ok());
    }
}
