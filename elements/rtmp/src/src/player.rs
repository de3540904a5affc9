//! From the server to the pad, over as many connections as it takes.

use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::meter::Meter;
use millstream_core::{
    Buffer, BufferFlags, Caps, Error, Item, MessageKind, PadId, Result, Segment, SourceCx, StreamInfo, Time, TimeDelta,
};

use millstream_flv::live::count;
use millstream_server::backoff::Backoff;

use super::RtmpSrcSettings;
use super::join::{Future, Overlap, Past, is_head};
use crate::Scheme;
use crate::connector::Connector;
use crate::moving::{Happened, Moving};
use crate::peer::{Failure, Turn};
use crate::server::feed::Content;
use crate::server::tags::content_of_data;
use crate::serversrc::file_header;
use crate::session::SessionError;
use crate::session::client::{ClientEvent, ClientSettings};
use crate::timeline::Timeline;

/// How long two connections may take to meet. Servers that send other things by one name never do.
const MEETING: TimeDelta = TimeDelta::from_secs(10);

/// How a connection went that did not fail.
enum Played {
    /// The stream is over, and that is the end.
    ToItsEnd,
    /// The pipeline wants no more.
    Unwanted(Error),
}

/// Why a connection is left.
enum Stop {
    Played(Played),
    Failure(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The element while it runs.
pub(super) struct Player {
    settings: RtmpSrcSettings,
    /// Where the user wants it from.
    home: ClientSettings,
    /// Where it is played from.
    place: ClientSettings,
    connector: Connector,
    meter: Arc<Meter>,
    cx: SourceCx,
    timeline: Timeline,
    past: Past,
    overlap: Overlap,
    /// Nothing of this connection but what describes it was given.
    fresh: bool,
    backoff: Backoff,
    /// When something of the stream came.
    heard: Option<Time>,
    stalled: bool,
}

/// What the next connection plays, and when both have to have met.
#[derive(Default)]
struct Next {
    future: Future,
    until: Option<Time>,
}

impl Player {
    pub(super) fn new(
        settings: RtmpSrcSettings,
        home: ClientSettings,
        connector: Connector,
        meter: Arc<Meter>,
        cx: SourceCx,
    ) -> Self {
        Self {
            settings,
            place: home.clone(),
            home,
            connector,
            meter,
            cx,
            timeline: Timeline::default(),
            past: Past::default(),
            overlap: Overlap::default(),
            fresh: true,
            backoff: Backoff::default(),
            heard: None,
            stalled: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<()> {
        self.start().await?;
        loop {
            let failure = match self.play().await {
                Stop::Played(Played::ToItsEnd) => return Ok(()),
                Stop::Played(Played::Unwanted(error)) => return Err(error),
                Stop::Failure(failure) => failure,
            };
            let is_final = failure.is_final() && self.heard.is_none();
            if is_final || self.backoff.attempts() >= self.settings.retries.unwrap_or(u32::MAX) {
                return Err(failure.into_error(&self.place.url));
            }
            self.look_for_stall(&failure);
            let wait = self.backoff.next(&self.connector.env);
            let hint = format!("tries again in {:.1} s", wait.to_std().as_secs_f64());
            let error = failure.into_error(&self.place.url).hint(hint);
            self.cx.tell(|out| {
                out.post(MessageKind::Element { name: "disconnected", fields: Vec::new() });
                out.warn(error);
            });
            let clock = self.connector.env.clock.clone();
            clock.sleep_until(clock.now() + wait).await;
        }
    }

    async fn start(&mut self) -> Result<()> {
        if let Some(warning) = self.connector.trust.warning().filter(|_| self.home.url.scheme == Scheme::Rtmps) {
            self.cx.tell(|out| out.warn(warning));
        }
        let id = self.home.url.to_string();
        self.cx.push(PadId::FIRST, Item::StreamStart(StreamInfo { id, language: None }.into())).await?;
        self.cx.push(PadId::FIRST, Item::Caps(Caps::new(media::FLV))).await?;
        self.cx.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into())).await?;
        let header = Buffer::new(file_header()).with_flags(BufferFlags::HEADER);
        self.cx.push(PadId::FIRST, Item::buffer(header)).await
    }

    fn now(&self) -> Time {
        self.connector.env.clock.now()
    }

    /// Plays until the stream ends or the connection is lost.
    async fn play(&mut self) -> Stop {
        let peer = match self.connector.clone().establish(self.place.clone()).await {
            Ok(peer) => peer,
            Err(failure) => {
                // Where it was moved to is nobody: it may be back where the user wanted it.
                self.place = self.home.clone();
                return failure.into();
            }
        };
        tracing::info!(url = %peer.settings().url, "plays");
        self.backoff.reset();
        self.begin();
        self.meter.connected();
        self.post("connected");
        let mut moving = Moving::new(peer);
        let Err(stop) = self.follow(&mut moving).await;
        if matches!(stop, Stop::Played(Played::ToItsEnd)) {
            // What it says to that does not matter any more.
            let _ = moving.close().await;
        }
        stop
    }

    /// Plays from one connection to the next, as servers ask.
    async fn follow(&mut self, moving: &mut Moving) -> Result<std::convert::Infallible, Stop> {
        let mut next = Next::default();
        loop {
            let clock = self.connector.env.clock.clone();
            let too_late = async {
                match next.until {
                    Some(until) => clock.sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let happened = tokio::select! {
                biased;
                happened = moving.happened(None) => happened,
                () = too_late => {
                    self.go(moving, &mut next, true).await?;
                    continue;
                }
            };
            match happened {
                Happened::Turn(Ok(Turn::Event(event))) => self.event(*event, moving, &mut next).await?,
                Happened::Turn(Err(failure)) => self.lost(failure.into(), moving, &mut next).await?,
                Happened::Opened => next = Next { future: Future::default(), until: None },
                Happened::Next(Turn::Event(event)) => {
                    if let Some(content) = content_of(*event) {
                        next.future.push(content);
                        if next.until.is_none() && next.future.has_key(&self.past) {
                            next.until = Some(self.now() + MEETING);
                        }
                        self.go(moving, &mut next, false).await?;
                    }
                }
                Happened::Refused(failure) => {
                    next = Next::default();
                    let hint = "the server asks to move, and where it leads nothing plays: the stream stays";
                    let error = failure.into_error(&moving.peer.settings().url).hint(hint);
                    self.cx.tell(|out| out.warn(error));
                }
                // What a server says that was left does not matter any more.
                Happened::Turn(Ok(_)) | Happened::Next(_) | Happened::Left(_) => {}
            }
        }
    }

    async fn event(&mut self, event: ClientEvent, moving: &mut Moving, next: &mut Next) -> Result<(), Stop> {
        match event {
            ClientEvent::Ended { .. } => self.lost(Stop::Played(Played::ToItsEnd), moving, next).await,
            ClientEvent::Reconnect(to) => {
                moving.asked(&self.connector, *to);
                Ok(())
            }
            event => {
                let Some(content) = content_of(event) else { return Ok(()) };
                self.give(content).await?;
                self.go(moving, next, false).await
            }
        }
    }

    /// The connection is over. The next one, if it comes to be, goes on.
    async fn lost(&mut self, stop: Stop, moving: &mut Moving, next: &mut Next) -> Result<(), Stop> {
        if moving.rescue(self.now()).await {
            return self.meet(moving, next).await;
        }
        let ends = self.settings.eos_on_unpublish;
        match stop {
            Stop::Played(_) if !ends => Ok(()),
            Stop::Played(played) => Err(Stop::Played(played)),
            // ffmpeg as a server ends like this.
            Stop::Failure(Failure::Closed) if ends => Err(Stop::Played(Played::ToItsEnd)),
            failure => Err(failure),
        }
    }

    /// Goes over to the next connection where both meet, or `anyhow`.
    async fn go(&mut self, moving: &mut Moving, next: &mut Next, anyhow: bool) -> Result<(), Stop> {
        if !moving.may_go() {
            return Ok(());
        }
        if anyhow || next.future.can_meet(&self.past) {
            moving.go(self.now());
            self.meet(moving, next).await?;
        }
        Ok(())
    }

    /// Goes on with the next connection.
    async fn meet(&mut self, moving: &mut Moving, next: &mut Next) -> Result<(), Stop> {
        let meeting = next.future.meets(&self.past).unwrap_or_else(|| next.future.latest(&self.past));
        *next = Next::default();
        self.place = ClientSettings { attempt: Default::default(), ..moving.peer.settings().clone() };
        self.post("moved");
        self.begin();
        for content in meeting {
            self.give(content).await?;
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.timeline.begin(self.now());
        (self.overlap, self.fresh) = (Overlap::default(), true);
    }

    /// A connection that begins with a key frame that was given goes on behind it, wherever it comes from.
    fn recognise(&mut self, content: &Content) {
        if is_head(content) || !std::mem::take(&mut self.fresh) {
            return;
        }
        if let Some(at) = self.past.when(content) {
            self.timeline.go_on(content.timestamp(), at);
            self.overlap = self.past.overlap();
        }
    }

    /// Gives something to the pipeline, unless the connection before has given it.
    async fn give(&mut self, content: Content) -> Result<(), Stop> {
        let now = self.now();
        self.heard(now);
        self.recognise(&content);
        let (content, time) = self.timeline.place(content, now);
        if !self.overlap.is_over(&content, time.millis(), &self.past) {
            return Ok(());
        }
        self.past.note(&content, time.millis());
        count(&self.meter, content.kind(), content.body(), time.millis() as u32);
        let buffer = self.timeline.buffer(&content, time);
        let pushed = self.cx.push(PadId::FIRST, Item::buffer(buffer)).await;
        pushed.map_err(|error| Stop::Played(Played::Unwanted(error)))
    }

    fn heard(&mut self, now: Time) {
        let before = self.heard.replace(now);
        if std::mem::take(&mut self.stalled) {
            let after = before.map_or(TimeDelta::ZERO, |before| now.since(before));
            self.cx.tell(|out| out.post(MessageKind::Recovered { after }));
        }
    }

    /// Tells of it when nothing has come for too long, whatever the reason.
    fn look_for_stall(&mut self, failure: &Failure) {
        let Some(heard) = self.heard.filter(|_| !self.stalled) else { return };
        let idle = self.now().since(heard);
        let silent = matches!(failure, Failure::Session(SessionError::Silent));
        if silent || idle >= self.connector.stall {
            self.stalled = true;
            self.cx.tell(|out| out.post(MessageKind::Stalled { idle }));
        }
    }

    fn post(&mut self, name: &'static str) {
        self.cx.tell(|out| out.post(MessageKind::Element { name, fields: Vec::new() }));
    }
}

fn content_of(event: ClientEvent) -> Option<Content> {
    match event {
        ClientEvent::Media { media, .. } => Some(Content::Media(media)),
        ClientEvent::Data { timestamp, data, .. } => content_of_data(timestamp, data),
        _ => None,
    }
}
