//! Playing a recording: which bytes to read, and which tags are due.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_core::{Time, TimeDelta};
use millstream_flv::live::{Class, Head, classify};
use millstream_flv::wire::{FlvError, FlvReader, Tag, TagKind};

use super::map::{Key, Map};
use super::pace::Pace;

/// Bytes read at a time for playing: a second of a good picture.
const PLAY_BLOCK: usize = 256 << 10;
/// Bytes read at a time when a position is looked for.
const SCAN_BLOCK: usize = 1 << 20;

/// What is to be played of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Milliseconds from the start at which to begin: at the key frame at or before.
    pub start: u32,
    /// Milliseconds to play from there; 0 is a single frame, none is to the end.
    pub duration: Option<u32>,
    /// Timestamp of the first frame that is sent, in milliseconds.
    pub timestamp: u32,
}

/// What a client asked for, now that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The recording begins.
    Started,
    /// A seek succeeded, or went beyond the end.
    Sought(bool),
    /// It goes on after a pause.
    Resumed,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// To read up to `len` bytes at `offset`, and give them to [`Playback::supply`].
    Read {
        /// Offset in bytes from the start of the file.
        offset: u64,
        /// How many bytes at most.
        len: usize,
    },
    /// To tell the client.
    Answer(Answer),
    /// To send.
    Send(Tag),
    /// Nothing until this time.
    Wait(Time),
    /// Nothing until the client asks for something.
    Idle,
    /// All that was asked for has been sent. Told once; a seek begins again.
    End,
    /// The file is no FLV.
    Malformed,
}

/// A recording that is played to one client.
///
/// Positions are milliseconds from the first frame. The timestamps that are sent begin where [`Span`] says, wherever that is in the
/// recording, as with Flash Media Server: librtmp adds where it began. From a seek on they are positions, as ffmpeg and librtmp expect.
/// What is sent runs ahead of the clock by as much as the client buffers.
#[derive(Debug)]
pub struct Playback {
    map: Map,
    source: Source,
    /// Who looks for a position.
    search: Option<Search>,
    /// What the client is to be told once that is found.
    owed: VecDeque<Answer>,
    /// Headers to begin with.
    heads: VecDeque<Tag>,
    /// Read, and not due yet.
    next: Option<Tag>,
    pace: Pace,
    /// Where to end.
    end: Option<u32>,
    /// A single frame is wanted.
    single: bool,
    /// That was the last.
    last: bool,
    /// The position that was sent last, since the last seek.
    sent: Option<u32>,
    /// Where the client began or went to last.
    position: u32,
    /// What positions have more than timestamps, modulo 2^32.
    shift: u32,
    /// The first frame is still to be sent, and is to have this timestamp.
    begins: Option<u32>,
    /// The client has every frame up to here.
    has: Option<u32>,
    /// The index of the file promised a frame at or before this position.
    promised: Option<u32>,
    audio: bool,
    video: bool,
    /// Video goes on at a key frame.
    needs_key: bool,
    paused: bool,
    over: bool,
    /// What it is for that it is where it is.
    what: What,
    /// For one that takes the place of another: where its first frame is, once that is found.
    joins: Option<Option<u32>>,
}

/// A reader that goes on from somewhere.
#[derive(Debug)]
struct Source {
    reader: FlvReader,
    /// Where it began.
    from: u64,
    /// What to read next.
    at: u64,
    ended: bool,
}

impl Source {
    fn at(offset: u64) -> Self {
        let mut reader = FlvReader::new();
        if offset > 0 {
            reader.resume(offset);
        }
        Self { reader, from: offset, at: offset, ended: false }
    }

    fn supply(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            self.ended = true;
            self.reader.finish();
        } else {
            self.at += bytes.len() as u64;
            self.reader.push(bytes);
        }
    }
}

/// Looks for a position.
#[derive(Debug)]
struct Search {
    position: u32,
    /// Reads the file from where it has not been seen.
    scan: Option<Source>,
    /// What for.
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Start,
    Seek,
    /// The client has everything up to the position.
    Resume,
    /// It has that of another rate of the programme.
    Join,
}

impl Playback {
    /// Plays a span to a client that keeps `ahead` of what it shows.
    pub fn new(span: Span, ahead: TimeDelta, now: Time) -> Self {
        let mut playback = Self {
            map: Map::default(),
            source: Source::at(0),
            search: None,
            owed: VecDeque::from([Answer::Started]),
            heads: VecDeque::new(),
            next: None,
            pace: Pace::new(now, ahead),
            end: span.duration.map(|duration| span.start.saturating_add(duration)),
            single: span.duration == Some(0),
            last: false,
            sent: None,
            position: span.start,
            shift: 0,
            begins: Some(span.timestamp),
            has: None,
            promised: None,
            audio: true,
            video: true,
            needs_key: false,
            paused: false,
            over: false,
            what: What::Start,
            joins: None,
        };
        if span.start > 0 {
            playback.search = Some(Search { position: span.start, scan: None, what: What::Start });
        }
        playback
    }

    /// Another rate of the programme that `other` plays. It goes on with headers at the first key frame behind where the other is, which
    /// [`Playback::joins_at`] says as soon as it is found, and sends nothing before [`Playback::join`].
    #[must_use]
    pub fn behind(other: &Self) -> Self {
        let span = Span { start: 0, duration: None, timestamp: 0 };
        let mut playback = Self::new(span, TimeDelta::ZERO, Time::ZERO);
        playback.owed.clear();
        (playback.begins, playback.joins) = (None, Some(None));
        playback.end = other.end;
        playback.search = Some(Search { position: other.position(), scan: None, what: What::Join });
        playback
    }

    /// Position of the first frame of one that takes the place of another, once it is found.
    pub fn joins_at(&self) -> Option<u32> {
        self.joins.flatten()
    }

    /// Ends at a position, where another takes its place.
    pub fn end_at(&mut self, position: u32) {
        self.end = Some(position);
    }

    /// Takes the place of `other`, which has ended.
    pub fn join(&mut self, other: &Self) {
        self.joins = None;
        (self.pace, self.shift, self.paused) = (other.pace.clone(), other.shift, other.paused);
        (self.audio, self.video) = (other.audio, other.video);
        self.owed.extend(&other.owed);
    }

    /// Goes on at the key frame at or before a position, with headers.
    pub fn seek(&mut self, position: u32) {
        self.owed.push_back(Answer::Sought(true));
        self.search = Some(Search { position, scan: None, what: What::Seek });
    }

    /// Sends nothing until [`Playback::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on after a pause with what lies behind `timestamp`, where the client stands.
    pub fn resume(&mut self, timestamp: u32, now: Time) {
        self.paused = false;
        self.owed.push_back(Answer::Resumed);
        let position = timestamp.wrapping_add(self.shift);
        // What a client says that has got nothing since a seek is where it was before.
        let position = self.sent.map_or(self.position, |sent| sent.min(position));
        if self.sent.is_some_and(|sent| position < sent) && self.search.is_none() {
            self.search = Some(Search { position, scan: None, what: What::Resume });
        }
        self.pace.begin(now, position);
    }

    /// Whether audio and video are wanted. Video that is wanted again goes on at a key frame.
    pub fn receive(&mut self, audio: bool, video: bool) {
        self.needs_key |= video && !self.video;
        (self.audio, self.video) = (audio, video);
    }

    /// How much the client keeps ahead of what it shows.
    pub fn set_ahead(&mut self, ahead: TimeDelta) {
        self.pace.set_ahead(ahead);
    }

    /// The position that was sent last.
    pub fn position(&self) -> u32 {
        self.sent.unwrap_or(self.position)
    }

    /// Bytes that were read where [`Step::Read`] said; none at the end of the file.
    pub fn supply(&mut self, bytes: Bytes) {
        match self.search.as_mut().and_then(|search| search.scan.as_mut()) {
            Some(scan) => scan.supply(bytes),
            None => self.source.supply(bytes),
        }
    }

    /// What comes next.
    pub fn step(&mut self, now: Time) -> Step {
        // Each turn moves a search on, takes a tag, or ends.
        loop {
            if self.search.is_some() {
                if let Some(step) = self.look(now) {
                    return step;
                }
                continue;
            }
            if let Some(answer) = self.owed.pop_front() {
                return Step::Answer(answer);
            }
            if self.over || self.paused || self.joins_at().is_some() {
                return Step::Idle;
            }
            if self.last {
                return self.finish(Step::End);
            }
            let tag = match self.take() {
                Ok(Some(tag)) => tag,
                Ok(None) if self.source.ended => return self.finish(Step::End),
                Ok(None) => return Step::Read { offset: self.source.at, len: PLAY_BLOCK },
                Err(_) => return self.finish(Step::Malformed),
            };
            if let Some(step) = self.judge(tag, now) {
                return step;
            }
        }
    }

    fn finish(&mut self, how: Step) -> Step {
        (self.over, self.next, self.search) = (true, None, None);
        if how == Step::Malformed {
            self.owed.clear();
        }
        how
    }

    fn take(&mut self) -> Result<Option<Tag>, FlvError> {
        if let Some(tag) = self.next.take() {
            return Ok(Some(tag));
        }
        let tag = self.source.reader.next()?;
        if let Some(tag) = &tag {
            self.map.learn(self.source.from, tag);
        }
        Ok(tag)
    }

    /// Sends a tag, puts it off, or leaves it out.
    fn judge(&mut self, tag: Tag, now: Time) -> Option<Step> {
        let class = classify(tag.kind, &tag.body);
        let position = self.map.position(tag.timestamp);
        if let (Some(None), Class::Head(_)) = (self.joins, class) {
            self.heads.push_back(tag);
            return None;
        }
        if class == Class::Head(Head::MetaData) {
            // At any other time it is a stream of subtitles to ffmpeg.
            return Some(Step::Send(Tag { timestamp: 0, ..tag }));
        }
        if let Class::Head(_) = class {
            // It carries the time of what it is for.
            let last = position.max(self.sent.unwrap_or(0)).wrapping_sub(self.shift);
            return Some(Step::Send(Tag { timestamp: self.begins.unwrap_or(last), ..tag }));
        }
        if let Some(promised) = self.promised.take()
            && (position > promised || (self.map.has_video() && class != Class::Key))
        {
            return self.search_again();
        }
        if self.end.is_some_and(|end| position >= end) && !self.single {
            return Some(self.finish(Step::End));
        }
        if self.has.is_some_and(|has| position <= has) {
            return None;
        }
        if self.joins == Some(None) {
            let is_first = if self.map.has_video() { class == Class::Key } else { tag.kind == TagKind::Audio };
            if is_first {
                (self.joins, self.position, self.next) = (Some(Some(position)), position, Some(tag));
            }
            return None;
        }
        let due = self.pace.due(position);
        if due > now {
            self.next = Some(tag);
            return Some(Step::Wait(due));
        }
        if !self.is_wanted(tag.kind, class) {
            return None;
        }
        if let Some(timestamp) = self.begins.take() {
            self.shift = position.wrapping_sub(timestamp);
        }
        let timestamp = position.wrapping_sub(self.shift);
        if let Some(head) = self.heads.pop_front() {
            self.next = Some(tag);
            let is_metadata = matches!(head.kind, TagKind::Script | TagKind::ScriptAmf3);
            return Some(Step::Send(Tag { timestamp: if is_metadata { 0 } else { timestamp }, ..head }));
        }
        self.sent = self.sent.max(Some(position));
        self.last = self.single && (tag.kind == TagKind::Video || !self.map.has_video());
        Some(Step::Send(Tag { timestamp, ..tag }))
    }

    fn is_wanted(&mut self, kind: TagKind, class: Class) -> bool {
        match kind {
            TagKind::Audio => self.audio,
            TagKind::Video => {
                self.needs_key &= class != Class::Key;
                self.video && !self.needs_key
            }
            TagKind::Script | TagKind::ScriptAmf3 => true,
        }
    }

    /// The index of the file led to a later frame than it said.
    fn search_again(&mut self) -> Option<Step> {
        self.map.distrust();
        self.search = Some(Search { position: self.position, scan: None, what: self.what });
        None
    }

    /// Moves a search on; nothing when it is over.
    fn look(&mut self, now: Time) -> Option<Step> {
        // Each turn reads a tag, or ends.
        loop {
            let search = self.search.as_mut()?;
            if self.map.complete && self.map.last < search.position {
                return self.search_failed();
            }
            let told = self.map.told(search.position).filter(|_| search.position > 0);
            let start = (search.position == 0).then(Key::default);
            if let Some(key) = told.or(start).or_else(|| self.map.found(search.position)) {
                self.promised = told.map(|_| search.position);
                return self.go_on(key, now);
            }
            let scan = search.scan.get_or_insert_with(|| Source::at(self.map.seen));
            match scan.reader.next() {
                Ok(Some(tag)) => self.map.learn(scan.from, &tag),
                Ok(None) if scan.ended => self.map.complete = true,
                Ok(None) => return Some(Step::Read { offset: scan.at, len: SCAN_BLOCK }),
                Err(_) => return Some(self.finish(Step::Malformed)),
            }
        }
    }

    /// Goes on at a key frame that was found.
    fn go_on(&mut self, key: Key, now: Time) -> Option<Step> {
        let Search { position, what, .. } = self.search.take()?;
        let resumes = what == What::Resume;
        let has = (resumes || what == What::Join).then_some(position);
        self.what = what;
        if what == What::Seek {
            (self.begins, self.shift) = (None, 0);
        }
        (self.source, self.next) = (Source::at(key.offset), None);
        self.heads = if resumes { VecDeque::new() } else { self.map.heads_at(key.offset).into() };
        self.needs_key = key.offset > 0 && self.map.has_video() && has.is_none();
        (self.position, self.has, self.sent) = (position, has, resumes.then_some(position));
        (self.over, self.last) = (false, false);
        if what != What::Join {
            self.pace.begin(now, position);
        }
        None
    }

    /// The position lies behind the end. What begins there ends at once; a seek changes nothing.
    fn search_failed(&mut self) -> Option<Step> {
        self.search = None;
        self.last |= self.owed.front() == Some(&Answer::Started) || self.joins.is_some();
        for answer in &mut self.owed {
            if *answer == Answer::Sought(true) {
                *answer = Answer::Sought(false);
            }
        }
        None
    }
}
