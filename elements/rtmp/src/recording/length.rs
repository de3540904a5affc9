//! How long a recording is, by its two ends.

use bytes::Bytes;
use millstream_flv::wire::{FlvReader, MetaData, Tag, TagHeader, TagKind, parse_script};

/// Bytes of `PreviousTagSize` behind each tag.
const BACK_POINTER: u64 = 4;

/// Where the header of the last tag begins in a file of `len` bytes that ends with `tail`.
pub(crate) fn last_tag(len: u64, tail: &[u8]) -> Option<u64> {
    let size = u32::from_be_bytes(*tail.last_chunk()?);
    len.checked_sub(BACK_POINTER + u64::from(size))
}

/// Seconds of a recording: what it says of itself in its first bytes, else from the first frame in these to the last tag, whose header
/// is `last`. 0 if neither says.
pub(crate) fn length_of(head: Bytes, last: &[u8]) -> f64 {
    let (mut reader, mut first) = (FlvReader::new(), None);
    reader.push(head);
    while let Ok(Some(tag)) = reader.next() {
        if let Some(seconds) = told(&tag) {
            return seconds;
        }
        if matches!(tag.kind, TagKind::Audio | TagKind::Video) && first.is_none() {
            first = Some(tag.timestamp);
        }
    }
    let last = last.first_chunk().map(TagHeader::parse).filter(TagHeader::is_plausible);
    let since =
        first.zip(last).map(|(first, last)| last.timestamp.wrapping_sub(first)).filter(|since| *since < 1 << 31);
    f64::from(since.unwrap_or(0)) / 1000.0
}

fn told(tag: &Tag) -> Option<f64> {
    if !matches!(tag.kind, TagKind::Script | TagKind::ScriptAmf3) {
        return None;
    }
    let metadata = MetaData::from_script(&parse_script(tag.kind, &tag.body).ok()?)?;
    metadata.duration.filter(|seconds| *seconds > 0.0 && seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use millstream_flv::wire::{FileHeader, FlvWriter, Slices};

    use super::*;

    /// Sound from 5 s to 8.5 s, with or without metadata ahead.
    fn file(duration: Option<f64>) -> Vec<u8> {
        let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
        writer.file_header(FileHeader::new(true, false), &mut out);
        if let Some(duration) = duration {
            let metadata = MetaData { duration: Some(duration), ..MetaData::default() };
            writer.metadata(&metadata, 0, 0, &mut out).unwrap();
        }
        for timestamp in [5000, 7000, 8500] {
            writer.tag(TagKind::Audio, timestamp, &[], &[Bytes::from_static(b"\x2fsound")], &mut out).unwrap();
        }
        out.take().concat()
    }

    fn length(file: &[u8]) -> f64 {
        let last = last_tag(file.len() as u64, file).unwrap() as usize;
        length_of(Bytes::copy_from_slice(file), &file[last..last + TagHeader::LEN])
    }

    #[test]
    fn rtmp_m3_length_is_what_the_file_says_or_where_its_last_tag_is() {
        assert_eq!(length(&file(Some(3.75))), 3.75);
        assert_eq!(length(&file(Some(0.0))), 3.5, "a duration that was never filled in");
        assert_eq!(length(&file(None)), 3.5);
        assert_eq!(length_of(file(None).into(), b"no header at all"), 0.0);
        assert_eq!(length_of(Bytes::new(), &[]), 0.0);
        assert_eq!(last_tag(10, &[0xFF; 10]), None);
    }
}
