//! An FLV file of H.264 and AAC as messages in chunks, with room for a stamp in each picture.

use anyhow::{Context, Result, bail};
use std::ops::Range;
use std::path::Path;

use super::wire;

/// Bytes of a message that a player keeps: enough for a stamp.
pub(super) const HEAD: usize = 64;
/// Chunk size of publishers: what OBS sets.
pub(super) const CHUNK_SIZE: usize = 4096;

/// Marks our SEI messages.
const MARK: &[u8; 16] = b"millstream-load1";
/// Where the mark is: behind the header of the tag (5), the length of the unit (4), its header, the type and the size of the SEI message.
const MARK_AT: usize = 5 + 4 + 3;
const TIME_AT: usize = MARK_AT + MARK.len();
const NUMBER_AT: usize = TIME_AT + 16;
const STAMP_END: usize = NUMBER_AT + 8;

/// What a picture says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Nanoseconds since the start of the load.
    pub(crate) at: u64,
    /// Pictures of this publisher before it.
    pub(crate) number: u32,
}

/// Whether the head of a video message is one of a key frame.
pub(super) fn is_key(head: &[u8]) -> bool {
    head.len() > 1 && head[0] >> 4 & 7 == 1 && head[1] == 1
}

/// The stamp in the head of a video message.
pub(super) fn read_stamp(head: &[u8]) -> Option<Stamp> {
    read_mark(head.get(MARK_AT - 3..)?)
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Digits of base 16: no start code can come of them.
fn put_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// One message in [`Clip::bytes`].
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its chunks.
    pub(super) bytes: Range<usize>,
    /// Milliseconds.
    pub(super) time: u32,
    /// Whether it is sent once, and not again with each turn of the clip.
    pub(super) once: bool,
    /// Whether it is a picture with a stamp.
    pub(super) picture: bool,
}

/// What publishers send.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(super) messages: Vec<Message>,
    pub(super) bytes: Vec<u8>,
    /// Milliseconds of one turn.
    pub(super) span: u32,
    /// Bytes of media in one second.
    pub(crate) rate: f64,
    /// Bytes of the largest group of pictures, sound included.
    pub(crate) group: u64,
}

impl Clip {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no FLV or holds no H.264.
    pub(crate) fn load(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no clip for a load", file.display()))
    }

    fn parse(file: &[u8]) -> Result<Self> {
        let mut rest = file.strip_prefix(b"FLV\x01").and_then(|rest| rest.get(9..)).context("no FLV")?;
        let mut clip = Self { messages: Vec::new(), bytes: Vec::new(), span: 0, rate: 0.0, group: 0 };
        let (mut pictures, mut group) = (Vec::new(), 0);
        while let Some((tag, behind)) = tag(rest) {
            rest = behind;
            if tag.kind == wire::VIDEO && is_key(tag.body) {
                group = 0;
            }
            let is_picture = clip.add(&tag);
            pictures.extend(is_picture.then_some(tag.time));
            group += tag.body.len() as u64;
            clip.group = clip.group.max(group);
        }
        let [first, second, .., last] = pictures[..] else { bail!("fewer than three pictures of H.264") };
        clip.span = last - first + (second - first).max(1);
        clip.rate = clip.bytes.len() as f64 * 1000.0 / f64::from(clip.span);
        Ok(clip)
    }

    /// Adds a tag; whether it is a picture.
    fn add(&mut self, tag: &Tag<'_>) -> bool {
        let (kind, body) = (tag.kind, tag.body);
        let is_avc = kind == wire::VIDEO && body.len() > 9 && body[0] & 15 == 7;
        let picture = is_avc && body[1] == 1;
        if kind == wire::VIDEO && body.len() > 1 && body[0] & 15 == 7 && body[1] == 2 {
            return false; // the end of the sequence, which does not end
        }
        let config = body.len() > 1 && body[1] == 0 && (is_avc || kind == wire::AUDIO && body[0] >> 4 == 10);
        let body = match kind {
            wire::VIDEO if picture => with_room(body),
            wire::DATA => [b"\x02\x00\x0d@setDataFrame", body].concat(),
            _ => body.to_vec(),
        };
        let chunks = match kind {
            wire::AUDIO => wire::AUDIO_CHUNKS,
            wire::VIDEO => wire::VIDEO_CHUNKS,
            _ => wire::DATA_CHUNKS,
        };
        let start = self.bytes.len();
        wire::message(&mut self.bytes, chunks, kind, 0, tag.time, CHUNK_SIZE, &body);
        let once = config || kind == wire::DATA;
        self.messages.push(Message { bytes: start..self.bytes.len(), time: tag.time, once, picture });
        picture
    }
}

/// Writes time, stream and stamp into the chunks of a message.
pub(super) fn fill(chunks: &mut [u8], time: u32, stream: u32, stamp: Option<Stamp>) {
    chunks[1..4].copy_from_slice(&time.min(wire::EXTENDED - 1).to_be_bytes()[1..]);
    chunks[8..12].copy_from_slice(&stream.to_le_bytes());
    if let Some(Stamp { at, number }) = stamp {
        put_hex(&mut chunks[wire::HEADER + TIME_AT..wire::HEADER + NUMBER_AT], at);
        put_hex(&mut chunks[wire::HEADER + NUMBER_AT..wire::HEADER + STAMP_END], u64::from(number));
    }
}

/// The picture behind an SEI message that is still to be filled.
fn with_room(body: &[u8]) -> Vec<u8> {
    let unit = mark_room();
    [&body[..5], &(unit.len() as u32).to_be_bytes(), &unit, &body[5..]].concat()
}

/// A unit of SEI with a message of user data (ITU-T H.264, D.1.7) that is still to be filled.
pub(crate) fn mark_room() -> Vec<u8> {
    const PAYLOAD: usize = STAMP_END - MARK_AT;
    // Header of the unit, type and size of the message, its payload, trailing bits.
    [&[6, 5, PAYLOAD as u8][..], MARK, &[b'0'; PAYLOAD - 16], &[0x80]].concat()
}

/// Fills a unit of [`mark_room`].
pub(crate) fn write_mark(unit: &mut [u8], stamp: Stamp) {
    const AT: usize = 3 + 16;
    put_hex(&mut unit[AT..AT + 16], stamp.at);
    put_hex(&mut unit[AT + 16..AT + 24], stamp.number.into());
}

/// What [`write_mark`] wrote, if the unit is one of those.
pub(crate) fn read_mark(unit: &[u8]) -> Option<Stamp> {
    let stamp = unit.get(3..3 + STAMP_END - MARK_AT)?.strip_prefix(MARK)?;
    let (at, number) = (hex(&stamp[..16])?, hex(&stamp[16..])?);
    Some(Stamp { at, number: number as u32 })
}

/// A picture of H.264: milliseconds, whether it is a key frame, and its units.
pub(crate) type Picture = (u32, bool, Vec<Vec<u8>>);

/// The parameter sets and the pictures of an FLV file of H.264, in order of decoding.
///
/// # Errors
/// When it is none.
pub(crate) fn pictures_of(file: &[u8]) -> Result<(Vec<Vec<u8>>, Vec<Picture>)> {
    let mut rest = file.strip_prefix(b"FLV\x01").and_then(|rest| rest.get(9..)).context("no FLV")?;
    let (mut sets, mut pictures) = (Vec::new(), Vec::new());
    while let Some((tag, behind)) = tag(rest) {
        rest = behind;
        let is_avc = tag.kind == wire::VIDEO && tag.body.len() > 9 && tag.body[0] & 15 == 7;
        match tag.body[..] {
            [_, 0, ..] if is_avc => sets = parameter_sets(&tag.body[5..]).context("a configuration that is cut")?,
            [_, 1, ..] if is_avc => pictures.push((tag.time, is_key(tag.body), units::<4>(&tag.body[5..]))),
            _ => {}
        }
    }
    Ok((sets, pictures))
}

/// Units behind their lengths.
fn units<const LENGTH: usize>(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() {
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let Some((unit, rest)) = rest.split_at_checked(length) else { break };
        units.extend((!unit.is_empty()).then(|| unit.to_vec()));
        bytes = rest;
    }
    units
}

/// Those of a decoder configuration record (ISO/IEC 14496-15, 5.3.3.1), of one sequence and one picture parameter set.
fn parameter_sets(record: &[u8]) -> Option<Vec<Vec<u8>>> {
    let first = record.get(6..)?;
    let length = usize::from(u16::from_be_bytes([*first.first()?, *first.get(1)?]));
    let second = first.get(2 + length + 1..)?;
    Some([&units::<2>(first)[..1], &units::<2>(second)[..1]].concat())
}

struct Tag<'a> {
    kind: u8,
    time: u32,
    body: &'a [u8],
}

/// The first tag of some bytes that is sound, picture or data, and what is behind it.
fn tag(mut bytes: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    loop {
        let (header, rest) = bytes.split_first_chunk::<11>()?;
        let [kind, a, b, c, t1, t2, t3, t0, ..] = *header;
        let (body, rest) = rest.split_at_checked(u32::from_be_bytes([0, a, b, c]) as usize)?;
        bytes = rest.get(4..).unwrap_or_default();
        let kind = kind & 0x1f;
        if !body.is_empty() && [wire::AUDIO, wire::VIDEO, wire::DATA].contains(&kind) {
            return Some((Tag { kind, time: u32::from_be_bytes([t0, t1, t2, t3]), body }, bytes));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A clip of a configuration and three pictures of 5000 bytes, 40 ms apart, the first a key frame.
    pub(in crate::load) fn clip() -> Clip {
        let mut file = b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
        let mut add = |time: u32, head: &[u8], size: usize| {
            let mut body = head.to_vec();
            body.resize(size, 0x55);
            file.push(9);
            file.extend_from_slice(&(size as u32).to_be_bytes()[1..]);
            file.extend_from_slice(&time.to_be_bytes()[1..]);
            file.extend_from_slice(&[0; 4]);
            file.extend_from_slice(&body);
            file.extend_from_slice(&(size as u32 + 11).to_be_bytes());
        };
        add(0, &[0x17, 0, 0, 0, 0], 20);
        add(0, &[0x17, 1, 0, 0, 0], 5000);
        add(40, &[0x27, 1, 0, 0, 0], 5000);
        add(80, &[0x27, 1, 0, 0, 0], 5000);
        Clip::parse(&file).expect("a clip")
    }

    #[test]
    fn pictures_get_room_for_a_stamp_that_is_read_again() {
        let clip = clip();
        assert_eq!((clip.messages.len(), clip.span), (4, 120));
        assert_eq!(clip.messages.iter().map(|m| (m.once, m.picture)).filter(|m| m.1).count(), 3);
        let mut chunks = clip.bytes[clip.messages[1].bytes.clone()].to_vec();
        let stamp = Stamp { at: 0x0123_4567_89ab_cdef, number: 77 };
        fill(&mut chunks, 1000, 5, Some(stamp));
        assert_eq!(chunks[..12], [6, 0, 3, 0xe8, 0, 0x13, 0xb8, 9, 5, 0, 0, 0]);
        let head = &chunks[wire::HEADER..][..HEAD];
        assert_eq!(read_stamp(head), Some(stamp));
        assert!(is_key(head));
        // The unit of the SEI message ends where the picture goes on.
        assert_eq!(head[5..9], 44u32.to_be_bytes());
        assert_eq!((head[9 + 43], head[9 + 44]), (0x80, 0x55));
    }

    #[test]
    fn what_is_no_clip_is_refused() {
        assert!(Clip::parse(b"RIFF").is_err());
        assert!(Clip::parse(b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00").is_err());
    }
}
