//! One viewer: a session on a task of its own.

use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Env, Time, TimeDelta};
use millstream_server::access::Admitted;

use super::audience::Ways;
use super::stage::{Seat, Unit};
use crate::control::{Control, Controls};
use crate::driver::Driver;
use crate::session::{Changes, Event, Format, TrackId};

/// Between the pictures of the group that has begun, when they are sent at once: players decode them as fast as they can, and show the last.
const FAST: TimeDelta = TimeDelta::from_millis(1);

/// The group that has begun is sent again this often at most.
const AGAIN: TimeDelta = TimeDelta::from_secs(2);

/// Packets handed over at a time: what a session has room for at once it keeps room for.
const BURST: usize = 8;

/// A frame that goes out so much after its turn is too late: the viewer is behind, and goes on at the next key frame.
const LATE: TimeDelta = TimeDelta::from_secs(3);

/// Before this, what a viewer says of its way is a first guess, which is far too low, and decides nothing.
const SETTLED: TimeDelta = TimeDelta::from_secs(5);

pub(super) struct Viewer {
    driver: Driver,
    ways: Ways,
    seat: Seat,
    controls: Box<dyn Controls>,
    _admitted: Option<Admitted>,
    env: Env,
    is_connected: bool,
    connected: Option<Time>,
    /// Pictures wait for a key frame.
    waits: bool,
    /// The number of the picture that came last.
    last: Option<u32>,
    repeated: Option<Time>,
    /// Which tracks it has, and what is done about those that it has not.
    agreement: Agreement,
}

/// What a viewer has agreed to beside its ways.
#[derive(Default)]
struct Agreement {
    /// Kinds that it does not get: it did not ask for them, or has no codec of them.
    without: Vec<Kind>,
    /// Tracks that were turned off, since the stream has nothing for them any more.
    off: Vec<TrackId>,
    /// An offer of ours is not answered yet.
    offers: bool,
    /// The version of the stage that was looked at.
    version: u64,
}

/// Why a viewer is served no longer.
pub(super) enum Over {
    /// The stream is over.
    Stream,
    /// The stream goes on in another codec than was agreed on.
    Codec,
    /// The session is.
    Session,
}

enum Step {
    Over(Over),
    Event(Event),
    Unit(Arc<Unit>),
    Control(Control),
}

impl Viewer {
    pub(super) fn new(
        driver: Driver,
        (ways, [video, audio]): (Ways, [bool; 2]),
        seat: Seat,
        (controls, _admitted): (Box<dyn Controls>, Option<Admitted>),
        env: Env,
    ) -> Self {
        // What the stream had when it came it could have asked for.
        let known = [(Kind::Video, video), (Kind::Audio, audio)].into_iter().filter(|(_, is_known)| *is_known);
        let is_without = |kind: &Kind| !ways.is_empty() && !ways.iter().any(|(track, _)| track.kind == *kind);
        let without = known.map(|(kind, _)| kind).filter(is_without).collect();
        let agreement = Agreement { without, version: seat.stage().version(), ..Agreement::default() };
        Self {
            driver,
            ways,
            seat,
            controls,
            _admitted,
            env,
            is_connected: false,
            connected: None,
            waits: true,
            last: None,
            repeated: None,
            agreement,
        }
    }

    pub(super) async fn run(&mut self) -> Over {
        loop {
            match self.step().await {
                Step::Over(over) => {
                    let given_up = self.driver.given_up();
                    given_up.into_iter().for_each(|viewer| self.seat.stage().unreached(viewer));
                    return over;
                }
                Step::Event(Event::Closed) => {
                    self.controls.ended(self.driver.is_left());
                    return Over::Session;
                }
                Step::Unit(unit) if !self.follows(&unit) => return Over::Codec,
                Step::Control(control) => self.control(control),
                Step::Event(Event::Connected) => self.join(),
                Step::Event(Event::Unreached(viewer)) => self.seat.stage().unreached(*viewer),
                Step::Event(Event::KeyFrameWanted(_)) => self.key_wanted(),
                Step::Event(Event::Bitrate(bits)) => self.bears(bits),
                Step::Event(_) => {}
                Step::Unit(unit) => self.unit(&unit),
            }
        }
    }

    async fn step(&mut self) -> Step {
        tokio::select! {
            biased;
            event = self.driver.next() => Step::Event(event),
            control = self.controls.asked() => control.map_or(Step::Over(Over::Session), Step::Control),
            unit = self.seat.next() => unit.map_or(Step::Over(Over::Stream), Step::Unit),
        }
    }

    /// Sends again what is asked for, for so long: the stream is over, and its last pictures may be under way.
    pub(super) async fn linger(&mut self, time: TimeDelta) {
        let until = self.env.clock.sleep_until(self.env.clock.now() + time);
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => return,
                event = self.driver.next() => if matches!(event, Event::Closed) { return },
            }
        }
    }

    fn bears(&self, bits: u64) {
        let now = self.env.clock.now();
        if self.connected.is_some_and(|connected| now - connected >= SETTLED) {
            self.seat.bears(bits);
        }
    }

    fn control(&mut self, control: Control) {
        if matches!(control, Control::Offer { .. } | Control::Answer(_)) {
            self.agreement.offers = false;
        }
        self.driver.control(control);
    }

    /// Whether it can be sent what the stream is in now. A stream may begin later than its viewers, and go on in another codec.
    fn follows(&mut self, unit: &Unit) -> bool {
        if self.agreement.version != self.seat.stage().version() {
            self.turn_off();
        }
        let kind = unit.codec.kind();
        match self.way(kind) {
            Some((_, format)) if format.codec == unit.codec => return true,
            None if !self.is_connected || self.agreement.without.contains(&kind) => return true,
            _ => {}
        }
        self.adopt(kind)
    }

    /// Finds a way for a kind; false when a way that there was leads nowhere any more.
    fn adopt(&mut self, kind: Kind) -> bool {
        let had = self.way(kind).is_some();
        let off = std::mem::take(&mut self.agreement.off);
        let tracks = self.driver.with(|session| session.tracks());
        let track = tracks.iter().find(|track| track.kind == kind && (track.sends || off.contains(&track.id)));
        self.agreement.off = off;
        let Some(track) = track else {
            let add = Changes { add: vec![(kind, true, false)], ..Changes::default() };
            if !tracks.iter().any(|track| track.kind == kind) && self.propose(&add) {
                return true;
            }
            self.agreement.without.extend((!self.agreement.offers).then_some(kind));
            return !had;
        };
        if !track.sends {
            self.propose(&Changes { turn: vec![(track.id, true, false)], ..Changes::default() });
            return true;
        }
        let formats = self.driver.with(|session| session.formats(track.id));
        let Some(format) = self.seat.stage().choose(kind, &formats) else {
            self.agreement.without.push(kind);
            return !had;
        };
        self.agreement.off.retain(|off| *off != track.id);
        self.ways.retain(|(way, _)| way.kind != kind);
        self.ways.push((track.clone(), format));
        if kind == Kind::Video {
            (self.waits, self.last) = (true, None);
            self.seat.stage().want_key();
        }
        true
    }

    /// Offers that tracks are turned off of which the stream has nothing any more, where the other end can be offered something.
    fn turn_off(&mut self) {
        self.agreement.version = self.seat.stage().version();
        let stage = self.seat.stage().clone();
        let gone: Vec<_> = self.ways.iter().filter(|(track, _)| !stage.has(track.kind)).cloned().collect();
        let turn: Vec<_> = gone.iter().map(|(track, _)| (track.id, false, false)).collect();
        if !turn.is_empty() && self.propose(&Changes { turn, ..Changes::default() }) {
            self.ways.retain(|(track, _)| stage.has(track.kind));
            self.agreement.off.extend(gone.iter().map(|(track, _)| track.id));
        }
    }

    /// Offers changes, if that can be done now.
    fn propose(&mut self, changes: &Changes) -> bool {
        if self.agreement.offers || !self.is_connected || !self.controls.may_offer() {
            return false;
        }
        let Some(offer) = self.driver.now(|session| session.offer_changes(changes)) else { return false };
        self.agreement.offers = true;
        self.controls.offer(offer);
        true
    }

    fn join(&mut self) {
        self.is_connected = true;
        self.connected = Some(self.env.clock.now());
        for kind in [Kind::Video, Kind::Audio] {
            if self.way(kind).is_none() && self.seat.stage().has(kind) && !self.agreement.without.contains(&kind) {
                self.adopt(kind);
            }
        }
        self.controls.connected();
        self.seat.skip();
        self.repeat();
    }

    /// Sends the group that has begun, or asks for another one where there is none.
    fn repeat(&mut self) {
        let group = self.seat.stage().group();
        self.waits = group.is_empty();
        if self.waits {
            self.seat.stage().want_key();
            return;
        }
        self.repeated = Some(self.env.clock.now());
        self.seat.skip();
        let (Some(way), Some(newest)) = (self.way(Kind::Video), group.last()) else { return };
        let (pts, at) = (newest.pts, newest.at);
        for (left, unit) in (0..group.len()).rev().zip(&group) {
            let before = TimeDelta::from_nanos(FAST.nanos().saturating_mul(i64::try_from(left).unwrap_or(i64::MAX)));
            self.send(&way, unit, pts - before, at - before);
        }
        self.last = Some(newest.number);
    }

    fn key_wanted(&mut self) {
        let now = self.env.clock.now();
        // A server keeps what it gets, and would have it twice.
        let repeats = self.is_connected && !self.seat.stage().is_for_one();
        if repeats && self.repeated.is_none_or(|repeated| repeated + AGAIN <= now) {
            self.repeat();
        }
        self.seat.stage().want_key();
    }

    fn unit(&mut self, unit: &Arc<Unit>) {
        let kind = unit.codec.kind();
        let Some(way) = self.way(kind).filter(|_| self.is_connected) else { return };
        if kind == Kind::Video {
            let ahead = unit.number.wrapping_sub(self.last.unwrap_or(unit.number.wrapping_sub(1))).cast_signed();
            // What was in the group has been sent.
            if ahead <= 0 {
                return;
            }
            let is_late = ahead > 1 || self.env.clock.now() - unit.at > LATE;
            self.waits = !unit.is_key && (self.waits || is_late);
            self.last = Some(unit.number);
            if self.waits {
                self.seat.stage().want_key();
                return;
            }
        }
        self.send(&way, unit, unit.pts, unit.at);
    }

    fn way(&self, kind: Kind) -> Option<(TrackId, Format)> {
        self.ways.iter().find(|(track, _)| track.kind == kind).map(|(track, format)| (track.id, *format))
    }

    fn send(&mut self, (track, format): &(TrackId, Format), unit: &Unit, pts: Time, at: Time) {
        if unit.codec != format.codec {
            return;
        }
        // RFC 3550, 5.1: the clock of RTP wraps around.
        let ticks = pts.ticks(unit.codec.rate()) as u32;
        for packets in unit.packets.chunks(BURST) {
            self.driver.now(|session| session.send(*track, format, packets, ticks, at));
        }
    }
}
