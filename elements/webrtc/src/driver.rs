//! A session, its way to the sockets and the clock, brought together.

use std::collections::VecDeque;

use millstream_core::{Env, Time, TimeDelta};

use crate::control::Control;
use crate::diagnose::{Checks, Pair, Unreached};
use crate::ports::Line;
use crate::session::{Event, IceState, Output, Session};

/// How long the other end may take until it is reached for the first time. Browsers try for 15 s and then wait some.
const FIRST_REACHED: TimeDelta = TimeDelta::from_secs(30);

/// Who leaves before this has changed its mind, and has not been kept out.
const TRIED: TimeDelta = TimeDelta::from_secs(5);

/// How long the other end may be lost until the session is over. ICE has tried for some seconds when it says so.
const LOST: TimeDelta = TimeDelta::from_secs(5);

/// Datagrams that are taken in before what comes of them is looked at.
const BATCH: usize = 64;

/// Runs a session: [`Driver::next`] has what happens in it.
pub struct Driver {
    session: Session,
    line: Line,
    env: Env,
    /// When it began.
    began: Time,
    /// What was tried, until the other end was reached.
    checks: Checks,
    events: VecDeque<Event>,
    deadline: Time,
    /// When it is over unless the other end is reached.
    lost: Option<Time>,
    is_over: bool,
    /// The other end took leave.
    is_left: bool,
}

impl Driver {
    /// Runs a session on a line that has its name.
    pub fn new(session: Session, line: Line, env: Env) -> Self {
        let began = env.clock.now();
        let lost = Some(began + FIRST_REACHED);
        let mut driver = Self {
            began,
            session,
            line,
            env,
            checks: Checks::default(),
            events: VecDeque::new(),
            deadline: Time::MAX,
            lost,
            is_over: false,
            is_left: false,
        };
        driver.drain();
        driver
    }

    /// Does something with the session, and sends what comes of it.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        let done = act(&mut self.session);
        self.drain();
        done
    }

    /// The same at the present time, which the session is told first.
    pub fn now<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        self.session.timeout(self.env.clock.now());
        self.drain();
        self.with(act)
    }

    /// Whether it is over because the other end took leave.
    pub(crate) fn is_left(&self) -> bool {
        self.is_left
    }

    /// The pairs of candidates that were tried until the other end was reached.
    pub fn pairs(&self) -> &[Pair] {
        self.checks.pairs()
    }

    /// What was tried, if the other end has given up now without having been reached: it has taken leave after a while.
    pub(crate) fn given_up(&self) -> Option<Unreached> {
        let has_tried = self.env.clock.now() - self.began >= TRIED;
        (has_tried && !self.is_over && !self.checks.is_settled()).then(|| self.session.unreached(self.checks.pairs()))
    }

    /// Does what the address of the session was asked for.
    pub(crate) fn control(&mut self, control: Control) {
        match control {
            Control::Candidates(candidates) => self.candidates(&candidates),
            Control::Restart { ufrag, password, candidates, answer } => {
                let restarted = self.now(|session| session.restart(&ufrag, &password));
                if restarted.is_ok() {
                    let name = self.session.ufrag();
                    self.line.rename(&name);
                    self.candidates(&candidates);
                }
                // Who has asked may have gone.
                let _ = answer.send(restarted);
            }
            Control::Answer(sdp) => {
                if let Err(error) = self.now(|session| session.accept(&sdp)) {
                    tracing::debug!(%error, "an answer is left out");
                }
            }
            Control::Offer { offer, answer } => {
                let answered = self.now(|session| session.answer(&offer));
                // It may have begun ICE anew.
                let name = self.session.ufrag();
                self.line.rename(&name);
                let _ = answer.send(answered);
            }
        }
    }

    /// Candidates of the other end; those that cannot be are left out (RFC 9725, 4.3.2).
    fn candidates(&mut self, candidates: &[String]) {
        for candidate in candidates {
            if let Err(error) = self.now(|session| session.add_remote_candidate(candidate)) {
                tracing::debug!(%error, "a candidate is left out");
            }
        }
    }

    /// What happens next; [`Event::Closed`] once at the end, and then nothing any more. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.is_over {
                std::future::pending::<()>().await;
            }
            let until = self.lost.map_or(self.deadline, |lost| lost.min(self.deadline));
            tokio::select! {
                biased;
                first = self.line.receive() => {
                    let now = self.env.clock.now();
                    let mut next = Some(first);
                    for _ in 0..BATCH {
                        let Some(datagram) = next else { break };
                        self.checks.received(&datagram);
                        self.session.receive(now, &datagram);
                        self.drain();
                        next = self.line.try_receive();
                    }
                }
                () = self.env.clock.sleep_until(until) => {
                    let now = self.env.clock.now();
                    if self.lost.is_some_and(|lost| lost <= now) {
                        self.over();
                    } else {
                        self.session.timeout(now);
                        self.drain();
                    }
                }
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll() {
                Output::Send(datagram) => {
                    self.checks.sent(&datagram);
                    self.line.send(&datagram);
                }
                Output::Event(event) => self.note(event),
                Output::Wait(until) => {
                    self.deadline = until;
                    break;
                }
            }
        }
        if !self.session.is_alive() {
            self.over();
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Closed => {
                self.is_left |= !self.is_over && self.session.has_not_failed();
                return self.over();
            }
            Event::Connected => {
                self.checks.settle();
                self.lost = None;
            }
            Event::Ice(IceState::Connected | IceState::Completed) => self.lost = None,
            Event::Ice(IceState::Disconnected) => self.lost = Some(self.env.clock.now() + LOST),
            _ => {}
        }
        self.events.push_back(event);
    }

    fn over(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            if !self.checks.is_settled() {
                let unreached = self.session.unreached(self.checks.pairs());
                self.events.push_back(Event::Unreached(Box::new(unreached)));
            }
            self.events.push_back(Event::Closed);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Who is there hears of the end.
        self.session.close();
        for _ in 0..BATCH {
            match self.session.poll() {
                Output::Send(datagram) => self.line.send(&datagram),
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
    }
}
