//! A stream that is recorded: tags in, an FLV file out.

use bytes::Bytes;
use millstream_flv::live::{Class, Head, classify};
use millstream_flv::wire::{
    FileHeader, FlvWriter, KeyframeIndex, MetaData, MetaDataSlot, Slices, TagKind, TimestampUnwrapper, parse_script,
};

/// Key frames that the index has room for: an hour of one a second. Longer recordings get a coarser index.
const INDEX_ENTRIES: usize = 3600;
/// Milliseconds from the last frame of a part to the first of the next.
const PART_GAP_MS: i64 = 20;
/// Where the flags for audio and video are in the header of a file.
const FLAGS_OFFSET: u64 = 4;

/// Makes a file of a publication, or of several one behind the other, on one timeline that begins with 0.
///
/// The file can be played while it grows. [`Tape::finish`] says what to write over its beginning when it is whole: duration, size, an index of
/// key frames, and whether there is audio and video.
#[derive(Debug)]
pub struct Tape {
    writer: FlvWriter,
    out: Slices,
    metadata: MetaData,
    slot: Option<MetaDataSlot>,
    index: KeyframeIndex,
    has_begun: bool,
    kinds: [bool; 2],
    time: TimestampUnwrapper,
    /// Unwrapped timestamp of the first frame of this part.
    base: Option<i64>,
    /// Milliseconds at which this part begins, and at which the last frame is.
    start: i64,
    end: Option<i64>,
}

impl Default for Tape {
    fn default() -> Self {
        Self {
            writer: FlvWriter::new(),
            out: Slices::new(),
            metadata: MetaData::default(),
            slot: None,
            index: KeyframeIndex::new(INDEX_ENTRIES),
            has_begun: false,
            kinds: [false; 2],
            time: TimestampUnwrapper::default(),
            base: None,
            start: 0,
            end: None,
        }
    }
}

impl Tape {
    /// What comes from now on has another timeline, and goes behind what there is.
    pub fn next_part(&mut self) {
        self.start = self.end.map_or(0, |end| end + PART_GAP_MS);
        self.base = None;
        self.time.reset();
    }

    /// Records a tag. Nothing is larger than a tag can be; what is, is left out.
    pub fn push(&mut self, kind: TagKind, timestamp: u32, body: &Bytes) {
        let class = classify(kind, body);
        if class == Class::Head(Head::MetaData) {
            return self.learn(kind, body);
        }
        self.begin();
        let time = self.place(class, timestamp);
        // Timestamps have 32 bits.
        let written = self.writer.tag(kind, time as u32, &[], std::slice::from_ref(body), &mut self.out);
        let [audio, video] = &mut self.kinds;
        *audio |= kind == TagKind::Audio;
        *video |= kind == TagKind::Video;
        if let (Ok(offset), Class::Key, TagKind::Video) = (written, class, kind) {
            self.index.push(time, offset);
        }
    }

    /// Whether there is anything to record so far.
    pub fn is_empty(&self) -> bool {
        !self.has_begun
    }

    /// What is to be written behind what was, in order.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.out.take()
    }

    /// The recording is whole: what is to be written where in the file, once everything else is.
    pub fn finish(&mut self) -> Vec<(u64, Bytes)> {
        self.metadata.duration = Some(self.end.unwrap_or(0) as f64 / 1000.0);
        self.metadata.file_size = Some(self.writer.offset() as f64);
        self.metadata.keyframes = Some(self.index.keyframes());
        let slot = self.slot.as_ref().and_then(|slot| slot.patch(&self.metadata));
        let mut header = Vec::new();
        let [audio, video] = self.kinds;
        FileHeader::new(audio, video).write(&mut header);
        let flags = header.get(FLAGS_OFFSET as usize).map(|flags| (FLAGS_OFFSET, Bytes::copy_from_slice(&[*flags])));
        flags.into_iter().chain(slot).collect()
    }

    /// Metadata that comes first is that of the file. Further metadata would be a stream of subtitles to ffmpeg.
    fn learn(&mut self, kind: TagKind, body: &Bytes) {
        let told = parse_script(kind, body).ok().and_then(|script| MetaData::from_script(&script));
        if let (false, Some(mut told)) = (self.has_begun, told) {
            told.forget_index();
            self.metadata = told;
        }
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        self.writer.file_header(FileHeader::new(true, true), &mut self.out);
        (self.metadata.duration, self.metadata.file_size) = (Some(0.0), Some(0.0));
        self.slot = self.writer.metadata(&self.metadata, INDEX_ENTRIES, 0, &mut self.out).ok();
    }

    /// Where a tag belongs. Headers ahead of the first frame may be as old as the stream; they say nothing of where it is.
    fn place(&mut self, class: Class, timestamp: u32) -> i64 {
        if let (Class::Head(_), None) = (class, self.base) {
            return self.start;
        }
        let now = self.time.unwrap(timestamp);
        let base = *self.base.get_or_insert(now);
        let time = self.start.saturating_add(now.saturating_sub(base)).max(self.start);
        self.end = self.end.max(Some(time));
        time
    }
}
