//! `flvparse`: FLV bytes as tags, nothing taken apart.

use bytes::{Bytes, BytesMut};
use millstream_core::caps::media;
use millstream_core::item::SegmentFormat;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Payload,
    Result, Segment, Time, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::live::{Class, classify};
use crate::wire::{FileHeader, FlvReader, Tag, TagHeader, TagKind, TimestampUnwrapper};

/// Tags that go out in one call; a block of a file may hold thousands.
const MAX_TAGS: usize = 32;

/// Settings of `flvparse`: none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FlvParseSettings {}

/// What is known of `flvparse`.
pub fn factory() -> Factory {
    Factory::new("flvparse", "Codec/Parser/Video", "Cuts FLV into tags, a buffer each", build)
        .pad(PadTemplate::sink("sink", "video/x-flv; application/octet-stream"))
        .pad(PadTemplate::src("src", media::FLV))
        .details(
            "Gives files the form in which servers deliver streams: file header, then a tag a buffer, with timestamps, key frames and headers \
             marked. Damaged places are passed over as `flvdemux` does it, and counted.\n\n\
             Where the input says `discont` (after a seek, or a file that loops) timestamps may go back; so does the output.",
        )
        .example("filesrc location=in.flv ! flvparse ! fakesink")
}

fn build(_: FlvParseSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::Transform(Box::<FlvParse>::default()))
}

#[derive(Default)]
struct FlvParse {
    reader: FlvReader,
    unwrapper: TimestampUnwrapper,
    /// Stream start, caps and segment have been sent.
    announced: Announced,
    /// The next tag does not follow on the one before.
    discont: bool,
    /// Something has come since the start of the stream.
    begun: bool,
    file_header: bool,
    /// The latest timestamp that went out.
    last: Option<Time>,
    /// There are pictures: sound is no place to begin at.
    pictures: bool,
    ended: bool,
}

#[derive(Default)]
struct Announced {
    caps: bool,
    segment: bool,
}

impl Transform for FlvParse {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => {
                self.push(&buffer);
                self.run(out)
            }
            Item::Eos => {
                self.reader.finish();
                self.ended = true;
                self.run(out)
            }
            Item::StreamStart(_) => {
                *self = Self { discont: self.begun, ..Self::default() };
                out.forward(item);
                Ok(Flow::Done)
            }
            Item::Segment(segment) if segment.format == SegmentFormat::Time => {
                self.announce_caps(out);
                self.announced.segment = true;
                out.forward(Item::Segment(segment));
                Ok(Flow::Done)
            }
            // What the bytes are was known, and tags have a timeline of their own.
            Item::Caps(_) | Item::Segment(_) => Ok(Flow::Done),
            Item::Flush(_) => {
                self.reader = FlvReader::new();
                (self.discont, self.ended) = (true, false);
                out.forward(item);
                Ok(Flow::Done)
            }
            item => {
                out.forward(item);
                Ok(Flow::Done)
            }
        }
    }

    fn resume(&mut self, out: &mut Output) -> Result<Flow> {
        self.run(out)
    }
}

impl FlvParse {
    fn push(&mut self, buffer: &Buffer) {
        if buffer.flags.contains(BufferFlags::DISCONT) && self.begun {
            match buffer.offset {
                Some(0) => self.reader = FlvReader::new(),
                // Where live tags go on behind a break there is a tag, or another header.
                offset => self.reader.resume(offset.unwrap_or_default()),
            }
            self.unwrapper.reset();
            self.discont = true;
        }
        self.begun = true;
        buffer.payload.slices().iter().for_each(|slice| self.reader.push(slice.clone()));
    }

    fn run(&mut self, out: &mut Output) -> Result<Flow> {
        for _ in 0..MAX_TAGS {
            let tag = self.reader.next().map_err(|error| Error::malformed(error.to_string()));
            while let Some(dropped) = self.reader.next_dropped() {
                out.dropped("damaged or unreadable FLV", dropped.bytes, Some(dropped.offset));
                self.discont |= self.begun;
            }
            match tag? {
                Some(tag) => self.tag(&tag, out),
                None if std::mem::take(&mut self.ended) => {
                    out.forward(Item::Eos);
                    return Ok(Flow::Done);
                }
                None => return Ok(Flow::Done),
            }
        }
        Ok(Flow::More)
    }

    /// The time of a tag. It goes back only where the input said that it would.
    fn place(&mut self, timestamp: u32, flags: BufferFlags) -> Time {
        let time = Time::from_millis(self.unwrapper.unwrap(timestamp));
        if flags.contains(BufferFlags::HEADER) {
            return time;
        }
        let anew = flags.contains(BufferFlags::DISCONT);
        let time = self.last.filter(|_| !anew).map_or(time, |last| last.max(time));
        self.last = Some(time);
        time
    }

    fn announce_caps(&mut self, out: &mut Output) {
        if !std::mem::replace(&mut self.announced.caps, true) {
            out.caps(PadId::FIRST, Caps::new(media::FLV));
        }
    }

    fn tag(&mut self, tag: &Tag, out: &mut Output) {
        self.announce_caps(out);
        if !std::mem::replace(&mut self.announced.segment, true) {
            out.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into()));
        }
        if !std::mem::replace(&mut self.file_header, true) {
            out.buffer(PadId::FIRST, Buffer::new(file_header()).with_flags(BufferFlags::HEADER));
        }
        let class = classify(tag.kind, &tag.body);
        self.pictures |= tag.kind == TagKind::Video;
        let mut flags = match class {
            Class::Head(_) => BufferFlags::HEADER,
            Class::Key => BufferFlags::KEYFRAME,
            Class::Frame if tag.kind == TagKind::Audio && !self.pictures => BufferFlags::KEYFRAME,
            Class::Frame => BufferFlags::empty(),
        };
        if self.discont && !flags.contains(BufferFlags::HEADER) {
            self.discont = false;
            flags |= BufferFlags::DISCONT;
        }
        let time = Some(self.place(tag.timestamp, flags));
        let buffer = Buffer::new(whole(tag)).with_times(time, time).with_flags(flags);
        // Headers may be as old as the file, and say nothing of where media is.
        let header = flags.contains(BufferFlags::HEADER);
        out.buffer(PadId::FIRST, if header { buffer.with_times(None, None) } else { buffer });
    }
}

/// The tag as it stands in a file.
fn whole(tag: &Tag) -> Payload {
    // A body is as long as 24 bits can say.
    let header = TagHeader::new(tag.kind, tag.body.len() as u32, tag.timestamp);
    let mut around = BytesMut::with_capacity(TagHeader::LEN + 4);
    header.write(&mut around);
    let head = around.split();
    around.extend_from_slice(&header.tag_size().to_be_bytes());
    [head.freeze(), tag.body.clone(), around.freeze()].into_iter().collect()
}

/// Header of an FLV stream, and the size of the tag before the first.
fn file_header() -> Bytes {
    let mut header = BytesMut::with_capacity(FileHeader::LEN + 4);
    FileHeader::new(true, true).write(&mut header);
    header.extend_from_slice(&[0; 4]);
    header.freeze()
}

#[cfg(test)]
mod tests {
    use millstream_testkit::Harness;

    use super::*;

    /// Metadata, the configuration of a picture, a key frame, sound, a frame.
    fn file() -> Vec<u8> {
        let tags = [
            (18, 0, &b"\x02\x00\x0aonMetaData\x05"[..]),
            (9, 0, b"\x17\x00\0\0\0\x01"),
            (9, 0, b"\x17\x01\0\0\0\x01"),
            (8, 21, b"\xaf\x01\x42"),
            (9, 40, b"\x27\x01\0\0\0\x01"),
        ];
        let mut file = file_header().to_vec();
        for (kind, timestamp, body) in tags {
            let body = Bytes::from_static(body);
            let kind = TagKind::from_tag_type(kind).unwrap();
            file.extend_from_slice(&whole(&Tag { kind, timestamp, body, offset: 0 }).contiguous());
        }
        file
    }

    #[test]
    fn tags_come_out_as_they_went_in_and_say_what_they_are() {
        for step in [1, 7, 1000] {
            let file = file();
            let mut h = Harness::new(&factory(), "");
            h.push("sink", Item::StreamStart(Default::default())).unwrap();
            h.push("sink", Item::Segment(Segment::bytes(0).into())).unwrap();
            h.push_bytes("sink", &file.clone().into(), step).unwrap();
            h.push("sink", Item::Eos).unwrap();
            h.assert_contract();
            let names: Vec<_> = h.items().map(|(_, item)| item.name()).take(3).collect();
            assert_eq!(names, ["stream-start", "caps", "segment"]);
            let buffers = h.take_buffers("src");
            let flags: Vec<_> = buffers.iter().map(|b| format!("{:?}", b.flags)).collect();
            assert_eq!(flags, ["header", "header", "header", "keyframe", "none", "none"]);
            let times: Vec<_> = buffers.iter().filter_map(|b| b.pts).map(Time::millis).collect();
            assert_eq!(times, [0, 21, 40]);
            let bytes: Vec<u8> = buffers.iter().flat_map(|b| b.payload.contiguous()).collect();
            assert_eq!(bytes, file);
        }
    }

    #[test]
    fn a_file_that_loops_goes_back_and_says_so() {
        let mut h = Harness::new(&factory(), "");
        h.push("sink", Item::StreamStart(Default::default())).unwrap();
        for flags in [BufferFlags::empty(), BufferFlags::DISCONT] {
            h.push_buffer("sink", Buffer { offset: Some(0), ..Buffer::new(file()).with_flags(flags) }).unwrap();
        }
        let buffers = h.take_buffers("src");
        let second: Vec<_> = buffers[6..].iter().map(|b| (b.pts.map(Time::millis), format!("{:?}", b.flags))).collect();
        assert_eq!(second[2], (Some(0), "keyframe+discont".to_owned()), "{second:?}");
        h.assert_contract();
    }

    #[test]
    fn what_is_no_flv_is_refused() {
        let mut h = Harness::new(&factory(), "");
        h.push("sink", Item::StreamStart(Default::default())).unwrap();
        let error = h.push_buffer("sink", Buffer::new(vec![0x47; 188])).unwrap_err();
        assert_eq!(error.kind(), millstream_core::ErrorKind::Malformed);
    }
}
