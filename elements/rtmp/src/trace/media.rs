//! Media in sums.

use bytes::Bytes;
use millstream_core::trace::TraceFields;
use millstream_core::{Time, TimeDelta};
use millstream_flv::live::{Class, Head, classify};
use millstream_flv::wire::{TagKind, parse_audio, parse_video};

/// After so long a sum is told though nothing else was said: who watches wants to see that something moves.
const LONGEST: TimeDelta = TimeDelta::from_secs(10);

/// What one message of media is in a trace.
pub(super) enum Kind {
    /// The configuration of a codec: worth a line of its own.
    Header(&'static str, TraceFields),
    /// A frame, counted.
    Frame,
}

/// Says what a message is, and counts it if it is a frame.
pub(super) fn count(sum: &mut Option<Sum>, kind: TagKind, timestamp: u32, body: &Bytes, now: Time) -> Kind {
    let class = classify(kind, body);
    if let Class::Head(head) = class {
        return Kind::Header(header(head), described(kind, body));
    }
    let sum = sum.get_or_insert_with(|| Sum::new(now, timestamp));
    sum.add(kind, class, timestamp, body, now);
    Kind::Frame
}

/// Counts data that was told before.
pub(super) fn count_data(sum: &mut Option<Sum>, timestamp: u32, now: Time) {
    let sum = sum.get_or_insert_with(|| Sum::new(now, timestamp));
    (sum.until, sum.last) = (now, timestamp);
    sum.data = sum.data.saturating_add(1);
}

fn header(head: Head) -> &'static str {
    match head {
        Head::Video(_) => "video sequence header",
        Head::Audio(_) => "audio sequence header",
        Head::MetaData => "onMetaData",
    }
}

/// Codec, track and size of a sequence header.
fn described(kind: TagKind, body: &Bytes) -> TraceFields {
    let (codec, track) = match kind {
        TagKind::Video => parse_video(body)
            .ok()
            .and_then(|tag| tag.packets.first().map(|packet| (packet.codec.name(), packet.track_id))),
        _ => parse_audio(body)
            .ok()
            .and_then(|tag| tag.packets.first().map(|packet| (packet.codec.name(), packet.track_id))),
    }
    .unwrap_or(("unknown", 0));
    let mut fields: TraceFields = vec![("codec".into(), codec.into())];
    if track > 0 {
        fields.push(("track".into(), u32::from(track).into()));
    }
    fields.push(("bytes".into(), (body.len() as f64).into()));
    fields
}

/// Frames that went one way with nothing said between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    since: Time,
    until: Time,
    first: u32,
    last: u32,
    key: u32,
    inter: u32,
    video_bytes: u64,
    audio: u32,
    audio_bytes: u64,
    /// Data that was told before.
    data: u32,
}

impl Sum {
    fn new(now: Time, timestamp: u32) -> Self {
        Self {
            since: now,
            until: now,
            first: timestamp,
            last: timestamp,
            key: 0,
            inter: 0,
            video_bytes: 0,
            audio: 0,
            audio_bytes: 0,
            data: 0,
        }
    }

    fn add(&mut self, kind: TagKind, class: Class, timestamp: u32, body: &Bytes, now: Time) {
        (self.until, self.last) = (now, timestamp);
        let len = body.len() as u64;
        match (kind, class) {
            (TagKind::Video, Class::Key) => self.key = self.key.saturating_add(1),
            (TagKind::Video, _) => self.inter = self.inter.saturating_add(1),
            _ => self.audio = self.audio.saturating_add(1),
        }
        let bytes = if kind == TagKind::Video { &mut self.video_bytes } else { &mut self.audio_bytes };
        *bytes = bytes.saturating_add(len);
    }

    /// When it began.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// Whether it is to be told though nothing else was said.
    pub(super) fn is_long(&self, now: Time) -> bool {
        now - self.since >= LONGEST
    }

    /// The sum as fields; what there was none of is left out.
    pub(super) fn fields(&self) -> TraceFields {
        let mut fields = TraceFields::new();
        if self.key > 0 || self.inter > 0 {
            fields.push(("video key".into(), self.key.into()));
            fields.push(("video inter".into(), self.inter.into()));
            fields.push(("video bytes".into(), (self.video_bytes as f64).into()));
        }
        if self.audio > 0 {
            fields.push(("audio".into(), self.audio.into()));
            fields.push(("audio bytes".into(), (self.audio_bytes as f64).into()));
        }
        if self.data > 0 {
            fields.push(("repeated data".into(), self.data.into()));
        }
        fields.push(("seconds".into(), (self.until - self.since).seconds().into()));
        fields.push(("first timestamp".into(), self.first.into()));
        fields.push(("last timestamp".into(), self.last.into()));
        fields
    }
}
