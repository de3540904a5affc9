//! The timeline of the output.

use millstream_core::{Buffer, BufferFlags, Caps, Dropped, PadId, Time, TimeDelta};

use super::tag;

/// Distance between frames while it is not known: that of 25 pictures a second.
const DEFAULT_INTERVAL: TimeDelta = TimeDelta::from_millis(40);

/// A longer distance says nothing about the rate of a stream.
const MAX_INTERVAL: TimeDelta = TimeDelta::from_millis(200);

/// What was sent on one source pad.
#[derive(Default)]
struct Sent {
    last: Option<Time>,
    interval: Option<TimeDelta>,
    caps: Option<Caps>,
    /// The header of the FLV file has been sent.
    file_header: bool,
    /// The next buffer follows on a splice.
    fresh: bool,
}

/// Puts one input behind the other.
pub(super) struct Timeline {
    sent: Vec<Sent>,
    /// What the timestamps of the input need added.
    shift: TimeDelta,
    /// Where the input was entered, on its own timeline.
    entered: Time,
    /// Where that is on the output, and when it was.
    spliced: Option<(Time, Time)>,
    /// The first timestamp of the output, and when it was.
    start: Option<(Time, Time)>,
    /// Time in which nobody sent is on the timeline too.
    keeps_gaps: bool,
}

impl Timeline {
    pub(super) fn new(pads: usize, keeps_gaps: bool) -> Self {
        let sent = (0..pads).map(|_| Sent::default()).collect();
        Self { sent, shift: TimeDelta::ZERO, entered: Time::ZERO, spliced: None, start: None, keeps_gaps }
    }

    /// The first timestamp of the output.
    pub(super) fn start(&self) -> Time {
        self.start.map(|(place, _)| place).unwrap_or_default()
    }

    /// An input is entered at this time of its own; the first keeps its timestamps. `again` is true where it is the input from before:
    /// then its pace goes on.
    pub(super) fn splice(&mut self, first: Time, now: Time, again: bool) {
        let end = |sent: &Sent| sent.last.map(|last| last + sent.interval.unwrap_or(DEFAULT_INTERVAL));
        let behind = self.sent.iter().filter_map(end).max().unwrap_or(first);
        let (start, at) = *self.start.get_or_insert((behind, now));
        let place = if self.keeps_gaps { behind.max(start + now.since(at)) } else { behind };
        (self.shift, self.entered) = (place.since(first), first);
        let paced = self.spliced.filter(|_| again).map(|(before, at)| at + place.since(before));
        self.spliced = Some((place, paced.unwrap_or(now)));
        self.sent.iter_mut().for_each(|sent| sent.fresh = true);
    }

    /// When something of the input is to be sent at the pace of its timestamps.
    pub(super) fn due(&self, time: Time) -> Option<Time> {
        let (place, at) = self.spliced?;
        Some(at + (time + self.shift).since(place))
    }

    pub(super) fn is_new_caps(&mut self, src: PadId, caps: &Caps) -> bool {
        let Some(sent) = self.sent.get_mut(src.index()) else { return false };
        sent.caps.replace(caps.clone()).as_ref() != Some(caps)
    }

    /// A buffer where it belongs; an error for what has no place: sound from before the picture that the input was entered at.
    pub(super) fn place(&mut self, src: PadId, mut buffer: Buffer, tags: bool) -> Result<Buffer, Dropped> {
        let bytes = buffer.payload.len() as u64;
        let left_out = |reason| Dropped { reason, bytes, offset: None };
        let Some(sent) = self.sent.get_mut(src.index()) else { return Err(left_out("no such pad")) };
        if tags && tag::is_file_header(&buffer.payload) {
            let again = std::mem::replace(&mut sent.file_header, true);
            let place = sent.last.or(self.spliced.map(|(place, _)| place));
            (buffer.pts, buffer.dts) = (place, place);
            return if again { Err(left_out("file header of a further input")) } else { Ok(buffer) };
        }
        let header = buffer.flags.contains(BufferFlags::HEADER);
        let Some(time) = buffer.dts_or_pts().or(header.then_some(self.entered)) else { return Ok(buffer) };
        let earliest = self.spliced.map_or(time + self.shift, |(place, _)| place);
        let mut dts = time + self.shift;
        if header {
            // Headers may be as old as the input; they stand where media goes on.
            dts = dts.max(sent.last.unwrap_or(earliest)).max(earliest);
        } else if time < self.entered {
            return Err(left_out("before the splice"));
        }
        dts = dts.max(sent.last.unwrap_or(dts));
        buffer.pts = buffer.pts.map(|pts| dts + pts.since(time)).or(header.then_some(dts));
        buffer.dts = Some(dts);
        if !header {
            if std::mem::take(&mut sent.fresh) && sent.last.is_some() {
                buffer.flags |= BufferFlags::DISCONT;
            }
            let step = sent.last.map(|last| dts.since(last));
            sent.interval = step.filter(|s| *s > TimeDelta::ZERO && *s <= MAX_INTERVAL).or(sent.interval);
            sent.last = Some(dts);
        }
        if tags {
            buffer.payload = tag::retimed(&buffer.payload, dts);
        }
        Ok(buffer)
    }
}
