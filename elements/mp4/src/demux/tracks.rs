//! The tracks of a movie and the pads that they go to.

use std::collections::VecDeque;

use millstream_core::registry::LinkedPad;
use millstream_core::{
    Buffer, BufferFlags, Error, Item, Output, PadId, Payload, Result, Segment, StreamInfo, Time, TimeDelta,
};

use super::caps::caps;
use crate::movie::{Medium, Movie, Sample, Samples, Track};

/// A track that somebody takes, or nobody.
pub(super) struct Lane {
    /// Its number in the file, and its name as that of a pad.
    pub(super) id: u32,
    pub(super) name: String,
    pad: Option<PadId>,
    track: Track,
    samples: Samples,
    ahead: Option<Sample>,
    /// Samples of fragments.
    fragments: VecDeque<Sample>,
    /// The format that was announced.
    entry: Option<u32>,
    has_segment: bool,
    discont: bool,
}

impl Lane {
    fn new(track: &Track, name: String, pads: &[LinkedPad]) -> Self {
        let is_plain = name.ends_with("_0");
        let short = name.trim_end_matches("_0");
        let pad = pads.iter().find(|pad| pad.name == name || is_plain && pad.name == short).map(|pad| pad.id);
        let mut samples = track.table.samples();
        let ahead = samples.next();
        let (id, track, fragments) = (track.id, track.clone(), VecDeque::new());
        let name = if is_plain { short.to_owned() } else { name };
        Self { id, name, pad, track, samples, ahead, fragments, entry: None, has_segment: false, discont: false }
    }

    /// The next sample that has not been taken.
    pub(super) fn next(&self) -> Option<&Sample> {
        self.ahead.as_ref().or_else(|| self.fragments.front())
    }

    pub(super) fn take(&mut self) -> Option<Sample> {
        match self.ahead.take() {
            Some(sample) => {
                self.ahead = self.samples.next();
                Some(sample)
            }
            None => self.fragments.pop_front(),
        }
    }

    pub(super) fn add(&mut self, samples: Vec<Sample>) {
        self.fragments.extend(samples);
    }

    /// Begins anew with the first sample, on a timeline that has to be said again.
    pub(super) fn rewind(&mut self) {
        self.samples = self.track.table.samples();
        self.ahead = self.samples.next();
        self.fragments.clear();
        (self.has_segment, self.discont) = (false, true);
    }

    /// Leaves out what lies ahead of a place in the file, from where the input goes on.
    pub(super) fn skip_to(&mut self, offset: u64) {
        while self.next().is_some_and(|sample| sample.offset < offset) {
            self.take();
        }
        self.broken();
    }

    /// What comes next does not follow on what came.
    pub(super) fn broken(&mut self) {
        self.discont = true;
    }

    pub(super) fn is_linked(&self) -> bool {
        self.pad.is_some()
    }

    /// How far ahead of the timeline its first sample is.
    fn ahead_of_timeline(&self) -> TimeDelta {
        let first = self.next().map_or(0, |sample| sample.dts.min(sample.cts));
        let begin = self.time(self.track.edits.place(first), Time::ZERO);
        (Time::ZERO - begin).max(TimeDelta::ZERO)
    }

    fn time(&self, ticks: i64, origin: Time) -> Time {
        origin + Time::from_ticks(ticks, self.track.timescale).since(Time::ZERO)
    }

    /// Sends a sample, behind its format if that is new. `origin` is 0 of the movie on the timeline that goes out.
    pub(super) fn send(&mut self, sample: &Sample, payload: Payload, origin: Time, out: &mut Output) {
        let Some(pad) = self.pad else { return };
        if self.entry != Some(sample.entry) && !self.announce(sample.entry, pad, out) {
            return out.dropped("sample of a format that is not read", u64::from(sample.size), Some(sample.offset));
        }
        if !std::mem::replace(&mut self.has_segment, true) {
            out.push(pad, Item::Segment(Segment::time(Time::ZERO).into()));
        }
        let mut flags = BufferFlags::empty();
        flags.set(BufferFlags::KEYFRAME, sample.is_sync);
        flags.set(BufferFlags::DISCONT, std::mem::take(&mut self.discont));
        let place = |ticks| self.time(self.track.edits.place(ticks), origin);
        let duration = TimeDelta::from_ticks(sample.duration.into(), self.track.timescale);
        let (pts, dts) = (Some(place(sample.cts)), Some(place(sample.dts)));
        let offset = Some(sample.offset);
        out.buffer(pad, Buffer { payload, pts, dts, duration: Some(duration), offset, flags });
    }

    /// Sends the caps of a format; false if it is none that is read.
    fn announce(&mut self, entry: u32, pad: PadId, out: &mut Output) -> bool {
        let known = self.track.entries.get(entry as usize).and_then(caps);
        let Some(caps) = known else { return false };
        if self.entry.replace(entry).is_none() {
            let info = StreamInfo { id: self.name.clone(), language: self.track.language.clone() };
            out.push(pad, Item::StreamStart(info.into()));
        }
        out.caps(pad, caps);
        true
    }
}

/// All tracks.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) all: Vec<Lane>,
    /// 0 of the movie on the timeline that goes out.
    pub(super) origin: Time,
}

impl Lanes {
    /// The tracks of a movie, with the pads that are linked.
    pub(super) fn new(movie: &Movie, pads: &[LinkedPad]) -> Self {
        let mut counts = [0; 2];
        let lane = |track: &Track| {
            let (count, name) = match track.medium {
                Medium::Video => (&mut counts[0], "video"),
                Medium::Audio => (&mut counts[1], "audio"),
            };
            let lane = Lane::new(track, format!("{name}_{count}"), pads);
            *count += 1;
            lane
        };
        let all: Vec<Lane> = movie.tracks.iter().map(lane).collect();
        let ahead = all.iter().filter(|lane| lane.is_linked()).map(Lane::ahead_of_timeline).max();
        Self { all, origin: Time::ZERO + ahead.unwrap_or(TimeDelta::ZERO) }
    }

    /// Sends the beginnings of all linked streams, whose formats are known.
    pub(super) fn begin(&mut self, out: &mut Output) {
        for lane in &mut self.all {
            if let (Some(pad), entry) = (lane.pad, lane.next().map_or(0, |sample| sample.entry)) {
                lane.announce(entry, pad, out);
            }
        }
        out.streams_complete();
    }

    /// The track whose next sample lies first in the file.
    pub(super) fn first(&self) -> Option<usize> {
        let next = |(at, lane): (usize, &Lane)| Some((lane.next()?.offset, at));
        self.all.iter().enumerate().filter_map(next).min().map(|(_, at)| at)
    }

    /// Those that are linked and that are none of ours are named.
    pub(super) fn check(&self, movie: &Movie) -> Result<()> {
        if self.all.is_empty() {
            let others = if movie.others.is_empty() { String::new() } else { format!(": {}", movie.others.join(", ")) };
            return Err(Error::unsupported(format!("the file has neither pictures nor sound{others}")));
        }
        Ok(())
    }
}
