//! One viewer: a session on a task of its own.

use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Env, Time, TimeDelta};
use millstream_server::access::Admitted;

use super::audience::Ways;
use super::stage::{Seat, Unit};
use crate::control::{Control, Controls};
use crate::driver::Driver;
use crate::session::{Event, Format, TrackId};

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
        ways: Ways,
        seat: Seat,
        (controls, _admitted): (Box<dyn Controls>, Option<Admitted>),
        env: Env,
    ) -> Self {
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
        }
    }

    pub(super) async fn run(&mut self) -> Over {
        loop {
            match self.step().await {
                Step::Over(over) => return over,
                Step::Event(Event::Closed) => {
                    self.controls.ended(self.driver.is_left());
                    return Over::Session;
                }
                Step::Unit(unit) if self.is_in_another_codec(&unit) => return Over::Codec,
                Step::Control(control) => self.driver.control(control),
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

    fn is_in_another_codec(&self, unit: &Unit) -> bool {
        self.way(unit.codec.kind()).is_some_and(|(_, format)| format.codec != unit.codec)
    }

    fn join(&mut self) {
        self.is_connected = true;
        self.connected = Some(self.env.clock.now());
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
