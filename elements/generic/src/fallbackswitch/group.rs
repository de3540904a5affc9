//! One input: its pads, what has to go ahead of its media, and whether it is alive.

use millstream_core::{Buffer, BufferFlags, Caps, Inbox, PadId, Time, TimeDelta};

use super::tag;

/// Headers that are kept for a pad; beyond it the oldest goes.
const MAX_HEADERS: usize = 16;

/// Largest header that is kept.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// An input whose timestamps step further back or ahead than this has begun anew, as has one that says `DISCONT` and steps back at all.
const MAX_STEP_BACK: TimeDelta = TimeDelta::from_millis(1000);
const MAX_STEP_AHEAD: TimeDelta = TimeDelta::from_secs(10);

/// What a pad carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Whole,
    Video,
    Audio,
}

impl Kind {
    /// Kind and number of a sink pad.
    pub(super) fn of(name: &str) -> Option<(Self, u16)> {
        let (kind, number) = name.split_once('_')?;
        let kind = match kind {
            "sink" => Self::Whole,
            "video" => Self::Video,
            "audio" => Self::Audio,
            _ => return None,
        };
        Some((kind, number.parse().ok()?))
    }

    pub(super) fn src(self) -> &'static str {
        match self {
            Self::Whole => "src",
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// One stream of an input.
struct Stream {
    pad: PadId,
    src: PadId,
    caps: Option<Caps>,
    headers: Vec<Buffer>,
    /// Where the input stands, since it is shown.
    last: Option<Time>,
    /// FLV tags of pictures have come.
    pictures: bool,
}

/// One input.
pub(super) struct Group {
    pub(super) number: u16,
    /// It waits while it is not shown.
    pub(super) slate: bool,
    streams: Vec<Stream>,
    seen: Option<Time>,
    since: Option<Time>,
    alive: bool,
    /// Its timestamps jumped while it was shown: it goes on with its next key frame.
    broken: bool,
}

impl Group {
    pub(super) fn new(number: u16, slate: bool, kind: Kind, pad: PadId, src: PadId) -> Self {
        let mut group =
            Self { number, slate, streams: Vec::new(), seen: None, since: None, alive: false, broken: false };
        group.add(kind, pad, src);
        group
    }

    /// Adds a stream. The picture comes first: it says where the input can be entered.
    pub(super) fn add(&mut self, _: Kind, pad: PadId, src: PadId) {
        self.streams.push(Stream { pad, src, caps: None, headers: Vec::new(), last: None, pictures: false });
    }

    fn stream(&mut self, pad: PadId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.pad == pad)
    }

    pub(super) fn pads(&self) -> impl Iterator<Item = PadId> {
        self.streams.iter().map(|stream| stream.pad)
    }

    pub(super) fn src(&self, pad: PadId) -> Option<PadId> {
        self.streams.iter().find(|stream| stream.pad == pad).map(|stream| stream.src)
    }

    /// Finds out whether it is alive. Before the first `timeout` has passed, whatever has not been heard of may still come.
    pub(super) fn look(&mut self, inbox: &Inbox, now: Time, begun: Time, timeout: TimeDelta) {
        let media = |pad: PadId| inbox.peek(pad).is_some_and(|item| item.bytes() > 0);
        if self.pads().any(media) {
            self.seen = Some(now);
        }
        let over = self.is_over(inbox);
        let alive = match self.slate {
            true => !over,
            false => !over && now.since(self.seen.unwrap_or(begun)) < timeout,
        };
        if !alive {
            self.since = None;
        } else if self.seen.is_some() && self.since.is_none() {
            self.since = Some(now);
        }
        self.alive = alive;
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive
    }

    /// Since when it has been alive.
    pub(super) fn alive_since(&self) -> Option<Time> {
        self.since
    }

    pub(super) fn dies_at(&self, timeout: TimeDelta, begun: Time) -> Option<Time> {
        (self.alive && !self.slate).then(|| self.seen.unwrap_or(begun) + timeout)
    }

    pub(super) fn is_over(&self, inbox: &Inbox) -> bool {
        self.pads().all(|pad| inbox.is_over(pad))
    }

    /// A stream starts: what was kept of the one before is void.
    pub(super) fn start(&mut self, pad: PadId) {
        if let Some(stream) = self.stream(pad) {
            stream.headers.clear();
            stream.pictures = false;
        }
    }

    pub(super) fn caps(&mut self, pad: PadId, caps: Caps) {
        if let Some(stream) = self.stream(pad) {
            stream.caps = Some(caps);
        }
    }

    /// The caps of each source pad.
    pub(super) fn announced(&self) -> Vec<(PadId, Option<Caps>)> {
        self.streams.iter().map(|stream| (stream.src, stream.caps.clone())).collect()
    }

    /// Whether the buffers of a pad are FLV tags, which hold a timestamp of their own.
    pub(super) fn has_tags(&self, pad: PadId) -> bool {
        self.streams.iter().any(|s| s.pad == pad && s.caps.as_ref().is_some_and(tag::is_flv))
    }

    /// True for a header, which is kept for the time when the input is shown.
    pub(super) fn keep_header(&mut self, pad: PadId, buffer: &Buffer) -> bool {
        let Some(stream) = self.stream(pad) else { return false };
        if !buffer.flags.contains(BufferFlags::HEADER) {
            return false;
        }
        if buffer.payload.len() <= MAX_HEADER_BYTES {
            stream.headers.retain(|header| header.payload != buffer.payload);
            if stream.headers.len() == MAX_HEADERS {
                stream.headers.remove(0);
            }
            stream.headers.push(buffer.clone());
        }
        true
    }

    /// What goes ahead of media, by sink pad.
    pub(super) fn headers(&self) -> impl Iterator<Item = (PadId, Buffer)> {
        self.streams.iter().flat_map(|stream| stream.headers.iter().map(|header| (stream.pad, header.clone())))
    }

    /// True where the input can be entered: a key frame of its first stream. In FLV every sound is one, and counts only
    /// where there are no pictures.
    pub(super) fn can_begin(&mut self, pad: PadId, buffer: &Buffer) -> bool {
        let has_tags = self.has_tags(pad);
        let Some(stream) = self.streams.first_mut().filter(|stream| stream.pad == pad) else { return false };
        if has_tags {
            let picture =
                tag::is_picture(&buffer.payload) || stream.headers.iter().any(|h| tag::is_picture(&h.payload));
            stream.pictures |= picture;
            if stream.pictures && !tag::is_picture(&buffer.payload) {
                return false;
            }
        }
        buffer.is_keyframe() || stream.caps.as_ref().is_some_and(Caps::is_audio)
    }

    /// True while what comes does not go on where the input was.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Looks at where a buffer of the input that is shown stands. True while it waits for a key frame to go on with.
    pub(super) fn breaks(&mut self, pad: PadId, buffer: &Buffer) -> bool {
        let last = self.stream(pad).and_then(|stream| stream.last);
        if let (Some(time), Some(last)) = (buffer.dts_or_pts(), last) {
            let step = time.since(last);
            let said = buffer.flags.contains(BufferFlags::DISCONT) && step < TimeDelta::ZERO;
            self.broken |= said || step < -MAX_STEP_BACK || step > MAX_STEP_AHEAD;
        }
        self.broken
    }

    /// It is shown from here on.
    pub(super) fn begin(&mut self, first: Time) {
        self.broken = false;
        self.streams.iter_mut().for_each(|stream| stream.last = Some(first));
    }

    pub(super) fn follow(&mut self, pad: PadId, buffer: &Buffer) {
        if let Some(stream) = self.stream(pad) {
            stream.last = buffer.dts_or_pts().or(stream.last);
        }
    }
}
