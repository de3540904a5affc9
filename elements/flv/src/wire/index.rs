//! A whole file in memory, written again with metadata that is true.

use bytes::Bytes;

use super::error::FlvError;
use super::file_header::FileHeader;
use super::metadata::MetaData;
use super::packet::PacketKind;
use super::reader::FlvReader;
use super::script::parse_script;
use super::slices::Slices;
use super::tag::{Tag, TagKind};
use super::timestamp::TimestampUnwrapper;
use super::video::parse_video;
use super::writer::{FlvWriter, KeyframeIndex, is_filler};

/// How many index entries the copy gets at most: ten hours of a key frame every two seconds.
const MAX_ENTRIES: usize = 18_000;

/// Copies a file: same media, sound header flags, one `onMetaData` with the true duration and size and a key frame index. Other
/// script tags stay. What the reader drops is not in the copy.
///
/// ```
/// let file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x12\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\x0e";
/// assert!(millstream_flv::wire::add_index(&bytes::Bytes::from_static(file)).is_ok());
/// ```
///
/// # Errors
/// [`FlvError`] if the input is not FLV.
pub fn add_index(file: &Bytes) -> Result<Vec<u8>, FlvError> {
    let tags = read_tags(file)?;
    let (mut metadata, first) = match tags.iter().position(|tag| metadata_of(tag).is_some()) {
        Some(at) => (tags.get(at).and_then(metadata_of).unwrap_or_default(), Some(at)),
        None => (MetaData::default(), None),
    };
    let has = |kind| tags.iter().any(|tag| tag.kind == kind);
    let keys = tags.iter().filter(|tag| is_key(tag)).count().min(MAX_ENTRIES);
    metadata.forget_index();
    let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
    writer.file_header(FileHeader::new(has(TagKind::Audio), has(TagKind::Video)), &mut out);
    // Room for a duration and size that the source may not have had.
    (metadata.duration, metadata.file_size) = (Some(0.0), Some(0.0));
    // What was read from a tag fits a tag; an index of the maximal size fits beside it unless the metadata is absurd.
    let slot = writer.metadata(&metadata, keys, 0, &mut out).ok();
    let mut index = KeyframeIndex::new(keys);
    let mut time = TimestampUnwrapper::default();
    let (mut start, mut end) = (None, 0);
    for (_, tag) in tags.iter().enumerate().filter(|(at, _)| Some(*at) != first) {
        let now = time.unwrap(tag.timestamp);
        if matches!(tag.kind, TagKind::Audio | TagKind::Video) {
            end = now.max(end).max(*start.get_or_insert(now));
        }
        let written = writer.tag(tag.kind, tag.timestamp, &[], std::slice::from_ref(&tag.body), &mut out);
        if let (Ok(position), true) = (written, is_key(tag)) {
            index.push(now, position);
        }
    }
    metadata.duration = Some(end.saturating_sub(start.unwrap_or(end)) as f64 / 1000.0);
    metadata.file_size = Some(writer.offset() as f64);
    metadata.keyframes = Some(index.keyframes());
    let mut copy = out.take().concat();
    if let Some((offset, bytes)) = slot.and_then(|slot| slot.patch(&metadata))
        && let Some(body) = copy.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()))
    {
        body.copy_from_slice(&bytes);
    }
    Ok(copy)
}

impl MetaData {
    /// Drops the index of key frames, and the room that a writer left for one.
    pub fn forget_index(&mut self) {
        self.keyframes = None;
        self.other.retain(|(name, _)| !is_filler(name));
    }
}

fn read_tags(file: &Bytes) -> Result<Vec<Tag>, FlvError> {
    let mut reader = FlvReader::new();
    reader.push(file.clone());
    reader.finish();
    let mut tags = Vec::new();
    while let Some(tag) = reader.next()? {
        tags.push(tag);
    }
    Ok(tags)
}

fn metadata_of(tag: &Tag) -> Option<MetaData> {
    match tag.kind {
        TagKind::Script | TagKind::ScriptAmf3 => MetaData::from_script(&parse_script(tag.kind, &tag.body).ok()?),
        TagKind::Audio | TagKind::Video => None,
    }
}

fn is_key(tag: &Tag) -> bool {
    tag.kind == TagKind::Video
        && parse_video(&tag.body).is_ok_and(|video| {
            video.packets.iter().any(|packet| matches!(packet.kind, PacketKind::Frame { key: true, .. }))
        })
}
