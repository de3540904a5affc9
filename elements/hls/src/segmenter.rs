//! Where Media Segments begin and end (RFC 8216, sections 3 and 4.3.3.1).
//!
//! One stream leads: the video, or the audio where there is none. Segments begin at its key frames, at or after the
//! target duration:
//!
//! ```text
//! frames   K . . . K . . . K . . . K        K key frame, . other frame
//! target   |-----|
//! segments |---------------|-------
//! ```
//!
//! `EXTINF` is the distance between the first timestamps of a segment and of the next one, so that the sum of all
//! durations is the length of the timeline, whatever the frames themselves say. Rounded to whole seconds it must not
//! exceed `EXT-X-TARGETDURATION`; where no key frame comes in time, a segment begins without one.

use millstream_core::{Time, TimeDelta};

/// A stream that starts or ends this much before or after the leading one is taken for the ordinary skew of an encoder
/// and does not move the ends of the presentation.
const SKEW: TimeDelta = TimeDelta::from_millis(500);

/// Timestamps of one stream that step back further than this begin a new timeline.
const BACKWARD_JUMP: TimeDelta = TimeDelta::from_millis(500);

/// What the segmenter has to know of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// When it is shown.
    pub pts: Time,
    /// When it is decoded.
    pub dts: Time,
    /// Decoding can start here.
    pub key: bool,
    /// How long it is shown, if known.
    pub duration: Option<TimeDelta>,
    /// It belongs to the stream that leads.
    pub leading: bool,
}

/// Why a segment ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A key frame came when the target was reached.
    KeyFrame,
    /// No key frame came in time: the next segment begins without one.
    NoKeyFrame,
    /// The leading stream made a pause; the next segment begins with another stream.
    Silence,
    /// The next segment is not on the same timeline, or has other tracks.
    Discontinuity,
    /// The end.
    End,
}

/// A segment is whole: what follows belongs to the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// What `EXTINF` says. Whole microseconds, and the sum over all segments is the length of the timeline.
    pub duration: TimeDelta,
    /// Why it ended.
    pub cause: Cause,
}

/// Decides where segments end, from the frames of all streams in decoding order.
#[derive(Clone, Debug)]
pub struct Segmenter {
    target: TimeDelta,
    /// The first duration that would be rounded above `EXT-X-TARGETDURATION`.
    limit: TimeDelta,
    independent: bool,
    segment: Option<Segment>,
    /// Last decoding time of the leading stream and of all others, on this timeline.
    last_dts: [Option<Time>; 2],
    /// Latest timestamp of all streams, on this timeline.
    newest: Option<Time>,
    /// Distance between the last two key frames of the leading stream.
    group: Option<TimeDelta>,
    last_key: Option<Time>,
    /// The last segment began without a key frame: the next key frame ends it, to be in step again.
    out_of_step: bool,
    /// The next frame begins a timeline or a set of tracks of its own.
    discontinuity: bool,
    /// The next key frame of the leading stream does.
    discontinuity_at_key: bool,
}

/// The segment that is being filled.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: Time,
    /// `start` is a timestamp of the leading stream.
    led: bool,
    /// It is the first one of its timeline.
    first: bool,
    /// A discontinuity is before it.
    changed: bool,
    /// The stream that led at its start is over.
    taken_over: bool,
    leading: Track,
    others: Track,
}

/// The frames of a segment, of the leading stream or of all others.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    highest: Option<Time>,
    /// Greatest distance between two timestamps that follow each other.
    step: TimeDelta,
    last_dts: Option<Time>,
    lasts: TimeDelta,
    end: Option<Time>,
}

impl Segmenter {
    /// Cuts at key frames from `target` on, with `target_duration` (seconds, at least 1) as the limit.
    ///
    /// With `independent`, no segment begins without a key frame: then [`Segmenter::frame`] may let a segment grow
    /// beyond the limit, which [`Segmenter::exceeds`] tells.
    pub fn new(target: TimeDelta, target_duration: u32, independent: bool) -> Self {
        let limit = TimeDelta::from_secs(target_duration.max(1).into()) + TimeDelta::from_millis(500);
        Self {
            target,
            limit,
            independent,
            segment: None,
            last_dts: [None; 2],
            newest: None,
            group: None,
            last_key: None,
            out_of_step: false,
            discontinuity: false,
            discontinuity_at_key: false,
        }
    }

    /// The tracks, or their format, change with the next frame: it begins a new segment.
    pub fn discontinuity(&mut self) {
        self.discontinuity = self.segment.is_some();
    }

    /// A stream that does not lead has another format from its frame at `pts` on. The next key frame of the leading stream begins the new
    /// segment, so that it can be decoded; none does if the leading stream has just changed too, as it does when an encoder starts anew.
    pub fn follower_changed(&mut self, pts: Time) {
        self.discontinuity_at_key = self.segment.is_some_and(|segment| {
            let skew = pts.since(segment.start);
            !(segment.changed && segment.led && skew < SKEW && -skew < SKEW)
        });
    }

    /// The leading stream is over, and another one leads from the next frame on. It ends the open segment only where it must: sound
    /// that goes on a little longer than the pictures is no segment of its own.
    pub fn leader_changed(&mut self) {
        (self.last_key, self.group) = (None, None);
        if let Some(segment) = &mut self.segment {
            segment.taken_over = true;
        }
    }

    /// True when this frame does not go on from what came before: its stream steps back, or all streams make a hole that
    /// is longer than a segment may be.
    pub fn is_jump(&self, frame: &Frame) -> bool {
        let back = self.last_dts[usize::from(frame.leading)].is_some_and(|last| last.since(frame.dts) > BACKWARD_JUMP);
        let hole = self.newest.is_some_and(|newest| frame.dts.min(frame.pts).since(newest) >= self.limit);
        back || hole
    }

    /// Takes the next frame. A [`Cut`] ends the segment before this frame.
    pub fn frame(&mut self, frame: Frame) -> Option<Cut> {
        let at_key = self.discontinuity_at_key && frame.leading && frame.key;
        let changed = std::mem::take(&mut self.discontinuity) || at_key;
        self.discontinuity_at_key &= !changed;
        let jump = self.is_jump(&frame);
        if changed || jump {
            (self.last_dts, self.newest, self.last_key, self.group) = ([None; 2], None, None, None);
        }
        if frame.leading && frame.key {
            self.group = self.last_key.map(|last| frame.pts.since(last)).filter(|d| d.nanos() > 0);
            self.last_key = Some(frame.pts);
        }
        let cut = self.decide(&frame, changed, jump);
        if let Some(cut) = cut {
            self.out_of_step = matches!(cut.cause, Cause::NoKeyFrame | Cause::Silence);
            self.segment = None;
        }
        let after_change = cut.is_some_and(|cut| cut.cause == Cause::Discontinuity);
        self.add(&frame, cut.is_none() || after_change, after_change);
        cut
    }

    /// True when the open segment has lasted longer than `EXT-X-TARGETDURATION` allows, which happens only to
    /// independent segments.
    pub fn exceeds(&self) -> bool {
        let Some(segment) = &self.segment else { return false };
        let highest = segment.leading.highest.max(segment.others.highest);
        highest.is_some_and(|highest| highest.since(segment.start) >= self.limit)
    }

    /// The end of all streams: ends the open segment.
    pub fn finish(&mut self) -> Option<Cut> {
        let segment = self.segment.take()?;
        Some(Cut { duration: self.alone(&segment), cause: Cause::End })
    }

    fn decide(&self, frame: &Frame, changed: bool, jump: bool) -> Option<Cut> {
        let segment = self.segment?;
        let elapsed = frame.pts.since(segment.start);
        // A hole before this frame that no segment can span. Without it, the segment would have ended earlier.
        let hole = elapsed >= self.limit && (!self.independent || (frame.leading && frame.key));
        if jump || hole {
            return Some(Cut { duration: self.alone(&segment), cause: Cause::Discontinuity });
        }
        if changed {
            return Some(Cut { duration: self.clamp(segment.start, frame.pts), cause: Cause::Discontinuity });
        }
        let cause =
            if frame.leading { self.lead(&segment, frame, elapsed)? } else { self.follow(&segment, frame, elapsed)? };
        Some(Cut { duration: self.clamp(segment.start, frame.pts), cause })
    }

    fn lead(&self, segment: &Segment, frame: &Frame, elapsed: TimeDelta) -> Option<Cause> {
        if frame.key {
            // A cut here is early when the next key frame would come too late.
            let next = elapsed + self.group.unwrap_or(TimeDelta::ZERO);
            let due = elapsed >= self.target && !segment.taken_over;
            let now = due || self.out_of_step || next >= self.limit;
            let begun = segment.leading.highest.is_some() || elapsed >= SKEW;
            return (now && begun && elapsed > TimeDelta::ZERO).then_some(Cause::KeyFrame);
        }
        // Only a picture that is shown after all before it can begin a segment.
        let step = segment.leading.highest.map_or(TimeDelta::ZERO, |highest| frame.pts.since(highest));
        if self.independent || step <= TimeDelta::ZERO {
            return None;
        }
        let late = elapsed + step.max(segment.leading.step) >= self.limit;
        (late || self.group_is_long_and_split_here(elapsed)).then_some(Cause::NoKeyFrame)
    }

    /// Groups of pictures that are known to be too long are split evenly, so that every one begins a segment.
    fn group_is_long_and_split_here(&self, elapsed: TimeDelta) -> bool {
        let Some(group) = self.group.filter(|group| *group >= self.limit) else { return false };
        // The pieces stay below the limit, which is excluded itself.
        let pieces = group.nanos() / self.limit.nanos().max(1) + 1;
        elapsed.nanos() >= group.nanos() / pieces
    }

    /// Other streams end a segment only when the leading one is silent for longer than the segment may be.
    fn follow(&self, segment: &Segment, frame: &Frame, elapsed: TimeDelta) -> Option<Cause> {
        let late = !self.independent && elapsed + segment.others.step >= self.limit;
        let waiting = segment.leading.highest.is_none() && elapsed >= self.target && frame.key;
        (late || waiting).then_some(Cause::Silence)
    }

    fn add(&mut self, frame: &Frame, first: bool, changed: bool) {
        let fresh = Segment {
            start: frame.pts,
            led: frame.leading,
            first,
            changed,
            taken_over: false,
            leading: Track::default(),
            others: Track::default(),
        };
        let segment = self.segment.get_or_insert(fresh);
        if frame.leading && !segment.led {
            segment.led = true;
            let skew = frame.pts.since(segment.start);
            if segment.first && skew < SKEW && -skew < SKEW {
                segment.start = frame.pts;
            }
        }
        let track = if frame.leading { &mut segment.leading } else { &mut segment.others };
        track.add(frame);
        self.last_dts[usize::from(frame.leading)] = Some(frame.dts);
        self.newest = self.newest.max(Some(frame.pts));
    }

    /// How long a segment lasts that nothing follows: up to the end of its last frame.
    fn alone(&self, segment: &Segment) -> TimeDelta {
        let end = segment.end();
        // A single frame of unknown duration has to be shown for some time.
        self.clamp(segment.start, if end > segment.start { end } else { segment.start + self.target })
    }

    /// A duration in whole microseconds, below the limit.
    fn clamp(&self, start: Time, end: Time) -> TimeDelta {
        const US: u32 = 1_000_000;
        let us = end.ticks(US).saturating_sub(start.ticks(US)).clamp(0, self.limit.ticks(US) - 1);
        TimeDelta::from_ticks(us, US)
    }
}

impl Segment {
    fn end(&self) -> Time {
        let leading = self.leading.end.unwrap_or(self.start);
        match self.others.end {
            Some(others) if others.since(leading) >= SKEW || self.leading.end.is_none() => others,
            _ => leading,
        }
    }
}

impl Track {
    fn add(&mut self, frame: &Frame) {
        let step = self.highest.map_or(TimeDelta::ZERO, |highest| frame.pts.since(highest));
        self.step = self.step.max(step).max(frame.duration.unwrap_or(TimeDelta::ZERO));
        self.highest = self.highest.max(Some(frame.pts));
        // A frame that does not say how long it lasts is taken for as long as the one decoded before it.
        let before = self.last_dts.map(|last| frame.dts.since(last)).filter(|d| d.nanos() > 0);
        self.lasts = frame.duration.or(before).unwrap_or(self.lasts);
        self.last_dts = Some(frame.dts);
        self.end = self.end.max(Some(frame.pts + self.lasts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: i64) -> TimeDelta {
        TimeDelta::from_millis(ms)
    }

    fn video(at: i64, key: bool) -> Frame {
        Frame { pts: Time::from_millis(at), dts: Time::from_millis(at), key, duration: None, leading: true }
    }

    fn audio(at: i64) -> Frame {
        Frame { key: true, duration: Some(ms(20)), leading: false, ..video(at, true) }
    }

    /// Milliseconds and cause of every segment.
    fn run(segmenter: &mut Segmenter, frames: impl IntoIterator<Item = Frame>) -> Vec<(i64, Cause)> {
        let mut cuts: Vec<_> = frames.into_iter().filter_map(|frame| segmenter.frame(frame)).collect();
        cuts.extend(segmenter.finish());
        cuts.iter().map(|cut| (cut.duration.millis(), cut.cause)).collect()
    }

    /// 25 pictures a second, a key frame every `group` milliseconds.
    fn pictures(range: std::ops::Range<i64>, group: i64) -> impl Iterator<Item = Frame> {
        let start = range.start;
        range.step_by(40).map(move |at| video(at, (at - start) % group == 0))
    }

    fn two_seconds() -> Segmenter {
        Segmenter::new(ms(2000), 3, false)
    }

    #[test]
    fn hls_11_segments_begin_at_key_frames_from_the_target_on() {
        let cuts = run(&mut two_seconds(), pictures(1000..10_000, 1000));
        use Cause::{End, KeyFrame};
        assert_eq!(cuts, [(2000, KeyFrame), (2000, KeyFrame), (2000, KeyFrame), (2000, KeyFrame), (1000, End)]);
        let cuts = run(&mut two_seconds(), pictures(0..6000, 1200));
        assert_eq!(cuts, [(2400, KeyFrame), (2400, KeyFrame), (1200, End)]);
    }

    #[test]
    fn hls_11_a_key_frame_before_the_target_is_taken_when_the_next_would_be_too_late() {
        let cuts = run(&mut two_seconds(), pictures(0..5400, 1800));
        assert_eq!(cuts, [(1800, Cause::KeyFrame), (1800, Cause::KeyFrame), (1800, Cause::End)]);
    }

    #[test]
    fn hls_1_long_groups_are_cut_below_the_target_duration_and_then_evenly() {
        use Cause::{End, KeyFrame, NoKeyFrame};
        let cuts = run(&mut two_seconds(), pictures(0..12_000, 4000));
        assert_eq!(
            cuts,
            [
                (3480, NoKeyFrame),
                (520, KeyFrame),
                (2000, NoKeyFrame),
                (2000, KeyFrame),
                (2000, NoKeyFrame),
                (2000, End),
            ]
        );
        let cuts = run(&mut two_seconds(), pictures(0..60_000, 1_000_000));
        assert!(cuts.iter().all(|(ms, _)| *ms < 3500), "{cuts:?}");
        assert_eq!(cuts.iter().map(|(ms, _)| ms).sum::<i64>(), 60_000);
    }

    #[test]
    fn hls_1_rounded_durations_never_exceed_the_target_duration() {
        let mut noise = 88_172_645_463_325_252_u64;
        let mut below = |bound: u64| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise % bound
        };
        for _ in 0..300 {
            let (step, group, independent) = (below(900) as i64 + 1, below(200) + 1, below(4) == 0);
            let mut segmenter = Segmenter::new(ms(below(4000) as i64 + 100), 3, independent);
            let mut at = below(100_000) as i64 - 50_000;
            for index in 0..300 {
                at += below(2 * step as u64) as i64 + if below(100) == 0 { below(9000) as i64 - 3000 } else { 1 };
                let frame = Frame { leading: below(3) > 0, ..video(at, index % group == 0) };
                let cut = segmenter.frame(frame);
                if segmenter.exceeds() {
                    assert!(independent);
                    break;
                }
                assert!(cut.is_none_or(|cut| cut.duration < ms(3500) && cut.duration >= ms(0)), "{cut:?}");
            }
        }
    }

    #[test]
    fn hls_5_independent_segments_wait_for_key_frames() {
        let mut segmenter = Segmenter::new(ms(2000), 3, true);
        assert!(pictures(0..3500, 4000).all(|frame| segmenter.frame(frame).is_none() && !segmenter.exceeds()));
        assert_eq!(segmenter.frame(video(3520, false)), None);
        assert!(segmenter.exceeds());
    }

    #[test]
    fn hls_11_audio_only_is_cut_by_time() {
        let frames = (0..300).map(|n| Frame { leading: true, ..audio(n * 20) });
        assert_eq!(
            run(&mut two_seconds(), frames),
            [(2000, Cause::KeyFrame), (2000, Cause::KeyFrame), (2000, Cause::End)]
        );
    }

    #[test]
    fn hls_11_sound_that_outlasts_the_pictures_stays_in_the_last_segment() {
        let mut segmenter = two_seconds();
        let mut frames: Vec<_> = pictures(0..4000, 2000).chain((0..195).map(|n| audio(n * 20))).collect();
        frames.sort_by_key(|frame| frame.dts);
        let cuts: Vec<_> = frames.into_iter().filter_map(|frame| segmenter.frame(frame)).collect();
        assert_eq!(cuts.len(), 1, "at 2 s");
        segmenter.leader_changed();
        let sound = |range: std::ops::Range<i64>| range.map(|n| Frame { leading: true, ..audio(n * 20) });
        assert_eq!(run(&mut segmenter.clone(), sound(195..205)), [(2100, Cause::End)]);
        let cuts = run(&mut segmenter, sound(195..400));
        assert_eq!(
            cuts,
            [(3480, Cause::KeyFrame), (2000, Cause::KeyFrame), (520, Cause::End)],
            "up to the limit, then as ever"
        );
    }

    #[test]
    fn hls_11_small_skew_does_not_move_the_timeline() {
        for skew in [-400, -20, 0, 20, 400] {
            let mut frames: Vec<_> = pictures(1000..5000, 2000).collect();
            frames.extend((0..200).map(|n| audio(1000 + skew + n * 20)));
            frames.sort_by_key(|frame| frame.dts);
            let cuts = run(&mut two_seconds(), frames);
            assert_eq!(cuts, [(2000, Cause::KeyFrame), (2000, Cause::End)], "{skew}");
        }
    }

    #[test]
    fn hls_11_late_video_and_late_audio() {
        let mut frames: Vec<_> = pictures(5000..9000, 2000).chain((0..450).map(|n| audio(n * 20))).collect();
        frames.sort_by_key(|frame| frame.dts);
        use Cause::{End, KeyFrame, Silence};
        let cuts = run(&mut two_seconds(), frames);
        assert_eq!(cuts, [(2000, Silence), (2000, Silence), (1000, KeyFrame), (2000, KeyFrame), (2000, End)]);
        let mut frames: Vec<_> = pictures(0..6000, 2000).chain((150..400).map(|n| audio(n * 20))).collect();
        frames.sort_by_key(|frame| frame.dts);
        let cuts = run(&mut two_seconds(), frames);
        assert_eq!(cuts, [(2000, KeyFrame), (2000, KeyFrame), (3480, Silence), (520, End)], "audio goes on to 8 s");
    }

    #[test]
    fn hls_11_video_that_falls_silent_is_bridged_by_audio() {
        let video = pictures(0..1000, 1000).chain(pictures(9000..10_000, 1000));
        let mut frames: Vec<_> = video.chain((0..500).map(|n| audio(n * 20))).collect();
        frames.sort_by_key(|frame| frame.dts);
        let cuts = run(&mut two_seconds(), frames);
        assert_eq!(cuts.iter().map(|(ms, _)| ms).sum::<i64>(), 10_000, "{cuts:?}");
        assert!(cuts.iter().all(|(_, cause)| *cause != Cause::Discontinuity), "{cuts:?}");
        assert_eq!(cuts.last(), Some(&(1000, Cause::End)), "the key frame after the pause begins a segment");
    }

    #[test]
    fn hls_3_jumps_and_changes_are_discontinuities() {
        for to in [0, 3000, 60_000] {
            let frames = pictures(10_000..14_000, 2000).chain(pictures(to..to + 2000, 2000));
            let cuts = run(&mut two_seconds(), frames);
            use Cause::{Discontinuity, End, KeyFrame};
            assert_eq!(cuts, [(2000, KeyFrame), (2000, Discontinuity), (2000, End)], "{to}");
        }
        let mut segmenter = two_seconds();
        assert_eq!(pictures(0..400, 400).filter_map(|frame| segmenter.frame(frame)).count(), 0);
        segmenter.discontinuity();
        assert_eq!(segmenter.frame(video(400, true)), Some(Cut { duration: ms(400), cause: Cause::Discontinuity }));
        assert_eq!(segmenter.frame(video(440, false)), None, "the change is over");
    }

    #[test]
    fn hls_11_reordered_pictures_do_not_jump() {
        // Decoding order I P B B at two pictures a second: timestamps step back by a second.
        let at = |dts: i64, pts: i64, key| Frame { pts: Time::from_millis(pts), key, ..video(dts, key) };
        let group = |g: i64| {
            [
                at(g, g + 500, true),
                at(g + 500, g + 2000, false),
                at(g + 1000, g + 1000, false),
                at(g + 1500, g + 1500, false),
            ]
        };
        let frames = (0..5).flat_map(|n| group(n * 2000));
        let cuts = run(&mut two_seconds(), frames);
        assert_eq!(cuts.len(), 5, "{cuts:?}");
        assert!(cuts.iter().all(|(ms, _)| *ms == 2000), "{cuts:?}");
    }

    #[test]
    fn durations_add_up_to_the_timeline() {
        // 30000/1001 pictures a second on a 90 kHz clock.
        let frames = (0_i64..900).map(|n| {
            let at = Time::from_ticks(n * 3003, 90_000);
            Frame { pts: at, dts: at, ..video(0, n % 50 == 0) }
        });
        let mut segmenter = two_seconds();
        let cuts: Vec<_> = frames.filter_map(|frame| segmenter.frame(frame)).collect();
        let sum: i64 = cuts.iter().map(|cut| cut.duration.nanos()).sum();
        let last_start = Time::from_ticks(cuts.len() as i64 * 100 * 3003, 90_000);
        assert_eq!(sum / 1000, last_start.ticks(1_000_000), "no rounding error adds up");
    }
}
