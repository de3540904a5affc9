//! Elements that take in a publisher: one after the other, on one timeline.
//!
//! | module | what |
//! | --- | --- |
//! | `intake` | offers become sessions, and whose turn it is |
//! | `pads` | frames become buffers |

mod intake;
mod pads;

use std::sync::Arc;

use millstream_core::meter::{Kind, Meter, Meters};
use millstream_core::{Env, Item, MessageKind, Request, Result, SourceCx, Time, TimeDelta};
use millstream_server::access::Admitted;
use tokio::sync::mpsc;

pub use self::intake::DuplicatePolicy;
pub(crate) use self::intake::{Intake, MAX_SESSIONS, NotTaken, Presence, Publication};
pub(crate) use self::pads::{AUDIO_CAPS, Pads, VIDEO_CAPS, check_codecs, codecs};
use crate::client::{Notice, heard};
use crate::control::{Control, Controls};
use crate::diagnose::Unreached;
use crate::driver::Driver;
use crate::session::{Event, Frame, Track, TrackId};
use crate::timeline::Timeline;

/// Key frames are asked for this often at most: an encoder that is asked more often makes nothing else.
const ASK: TimeDelta = TimeDelta::from_millis(500);

pub(crate) struct Receiver {
    cx: SourceCx,
    pads: Pads,
    publications: mpsc::Receiver<Publication>,
    presence: Arc<Presence>,
    current: Option<Publisher>,
    timeline: Timeline,
    meter: Arc<Meter>,
    stream: String,
    /// The stream ends then, unless a publisher comes.
    until: Option<Time>,
    grace: Option<TimeDelta>,
    /// What a client has to tell: its publisher is the server that it has called.
    client: Option<mpsc::UnboundedReceiver<Notice>>,
}

/// What a receiver is of.
pub(crate) struct About {
    /// Name of the kind of element.
    pub(crate) element: &'static str,
    /// Name of the stream.
    pub(crate) stream: String,
    /// The stream ends when its publisher has not come back for so long.
    pub(crate) grace: Option<TimeDelta>,
}

/// Where publishers come from, and where it is said that there is one.
pub(crate) struct Publications {
    pub(crate) publications: mpsc::Receiver<Publication>,
    pub(crate) presence: Arc<Presence>,
}

/// Who publishes.
struct Publisher {
    driver: Driver,
    controls: Box<dyn Controls>,
    tracks: Vec<Track>,
    is_heard: bool,
    /// A key frame is wanted, and was asked for last at this time.
    wanted: bool,
    asked: Option<Time>,
    _admitted: Option<Admitted>,
}

enum Step {
    Publication(Option<Box<Publication>>),
    Control(Option<Control>),
    Event(Event),
    Request(Request),
    Notice(Notice),
    Ask,
    Over,
}

impl Receiver {
    pub(crate) fn new(about: About, cx: SourceCx, pads: Pads, publications: Publications) -> Self {
        let About { element, stream, grace } = about;
        let meter = Meters::add(&cx.env, element, &stream);
        let timeline = Timeline::new(cx.env.clock.now());
        let Publications { publications, presence } = publications;
        Self {
            cx,
            pads,
            publications,
            presence,
            current: None,
            timeline,
            meter,
            stream,
            until: None,
            grace,
            client: None,
        }
    }

    /// The same of a client, which takes leave of its server when it is stopped.
    pub(crate) fn for_client(self, notices: mpsc::UnboundedReceiver<Notice>) -> Self {
        Self { client: Some(notices), ..self }
    }

    pub(crate) async fn run(&mut self) -> Result<()> {
        loop {
            match self.step().await {
                Step::Publication(None) | Step::Over => return Ok(()),
                Step::Publication(Some(publication)) => self.begin(*publication).await?,
                Step::Control(None) => self.end(),
                Step::Event(Event::Closed) => {
                    if let Some(publisher) = &mut self.current {
                        publisher.controls.ended(publisher.driver.is_left());
                    }
                    self.end();
                }
                Step::Notice(notice) => self.cx.tell(|out| notice.post(out)),
                Step::Control(Some(control)) => self.control(control).await?,
                Step::Event(Event::Connected) => self.connected(),
                Step::Event(Event::Unreached(unreached)) => self.unreached(&unreached),
                Step::Event(Event::Frame(frame)) => self.frame(frame).await?,
                Step::Event(_) => {}
                Step::Request(Request::KeyFrame) => self.want_key(),
                Step::Request(Request::Bitrate(bits)) => self.ask_bitrate(bits),
                Step::Request(_) => {}
                Step::Ask => self.ask_key(),
            }
        }
    }

    async fn step(&mut self) -> Step {
        let env = self.cx.env.clone();
        let asks = self.current.as_ref().and_then(Publisher::asks);
        tokio::select! {
            biased;
            publication = self.publications.recv() => Step::Publication(publication.map(Box::new)),
            step = next(self.current.as_mut()) => step,
            request = self.cx.request_or_stop() => request.map_or(Step::Over, |(_, request)| Step::Request(request)),
            notice = heard(self.client.as_mut()) => Step::Notice(notice),
            () = sleep(&env, asks) => Step::Ask,
            () = sleep(&env, self.until) => Step::Over,
        }
    }

    async fn begin(&mut self, publication: Publication) -> Result<()> {
        if self.current.is_some() {
            self.end();
        }
        let Publication { session, line, tracks, controls, admitted } = publication;
        let driver = Driver::new(session, line, self.cx.env.clone());
        self.presence.heard(self.cx.env.clock.now());
        self.timeline.begin();
        self.pads.renew();
        self.start(&tracks).await?;
        // Who publishes is known to send nothing else.
        self.cx.tell(|out| out.streams_complete());
        self.until = None;
        let publisher =
            Publisher { driver, controls, tracks, is_heard: false, wanted: false, asked: None, _admitted: admitted };
        self.current = Some(publisher);
        Ok(())
    }

    fn end(&mut self) {
        if let Some(publisher) = self.current.take() {
            if let Some(unreached) = publisher.driver.given_up() {
                self.unreached(&unreached);
            }
            if publisher.is_heard {
                self.tell("unpublished");
            }
            self.presence.left();
            self.until = self.grace.map(|grace| self.cx.env.clock.now() + grace);
        }
    }

    fn unreached(&mut self, unreached: &Unreached) {
        let message = unreached.message(Some(&self.stream));
        self.cx.tell(|out| out.post(message));
    }

    fn tell(&mut self, name: &'static str) {
        if self.client.is_some() {
            // A client tells of the end by itself, with the reason.
            if name == "published" {
                self.cx.tell(|out| Notice::Connected.post(out));
            }
            return;
        }
        let stream = self.stream.clone();
        self.cx.tell(|out| out.post(MessageKind::Element { name, fields: vec![("stream", stream)] }));
    }

    fn connected(&mut self) {
        self.meter.connected();
        if let Some(publisher) = &mut self.current
            && !std::mem::replace(&mut publisher.is_heard, true)
        {
            publisher.controls.connected();
            self.tell("published");
            self.want_key();
        }
    }

    async fn start(&mut self, tracks: &[Track]) -> Result<()> {
        for track in tracks {
            if let Some(pad) = self.pads.of(track.kind)
                && let Some(start) = pad.start(&format!("{:?}", track.kind).to_lowercase())
            {
                self.cx.push(pad.id, start).await?;
            }
        }
        Ok(())
    }

    async fn control(&mut self, control: Control) -> Result<()> {
        let Some(publisher) = &mut self.current else { return Ok(()) };
        let negotiates = matches!(control, Control::Offer { .. } | Control::Answer(_));
        publisher.driver.control(control);
        if !negotiates {
            return Ok(());
        }
        // Tracks may have come and gone.
        let mut tracks = publisher.driver.with(|session| session.tracks());
        tracks.retain(|track| track.receives);
        publisher.tracks.clone_from(&tracks);
        self.start(&tracks).await?;
        for kind in [Kind::Video, Kind::Audio] {
            if let Some(pad) = self.pads.of(kind)
                && !tracks.iter().any(|track| track.kind == kind)
                && pad.stop()
            {
                // Nobody waits for what does not come any more; a track of that kind may begin anew.
                self.cx.push(pad.id, Item::Absent).await?;
            }
        }
        if self.pads.waits() {
            self.want_key();
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Frame) -> Result<()> {
        self.presence.heard(self.cx.env.clock.now());
        let (kind, bytes) = (frame.codec.kind(), frame.data.len());
        let Some(pad) = self.pads.of(kind) else {
            self.cx.tell(|out| out.dropped("no pad takes it", bytes as u64, None));
            return Ok(());
        };
        // A frame that is left out moves the clocks all the same.
        let pts = self.timeline.place(&frame, pad.last);
        if !pad.admits(&frame) {
            self.cx.tell(|out| out.dropped("picture that needs what is missing", bytes as u64, None));
            self.want_key();
            return Ok(());
        }
        self.meter.codec(kind, frame.codec.name());
        self.meter.frame(kind, frame.is_key, bytes, pts.millis() as u32);
        let id = pad.id;
        let items: Vec<Item> = pad.items(frame, pts).collect();
        for item in items {
            self.cx.push(id, item).await?;
        }
        Ok(())
    }

    fn want_key(&mut self) {
        let now = self.cx.env.clock.now();
        if let Some(publisher) = &mut self.current {
            publisher.wanted = true;
            if publisher.asks().is_some_and(|at| at <= now) {
                self.ask_key();
            }
        }
    }

    fn ask_key(&mut self) {
        let now = self.cx.env.clock.now();
        // As long as pictures wait for it, it is asked for again.
        let waits = self.pads.waits();
        let Some(publisher) = &mut self.current else { return };
        publisher.asked = Some(now);
        publisher.wanted = waits;
        if let Some(track) = publisher.track(Kind::Video) {
            publisher.driver.now(|session| session.request_key_frame(track));
        }
    }

    fn ask_bitrate(&mut self, bits: u64) {
        let Some(publisher) = &mut self.current else { return };
        if let Some(track) = publisher.track(Kind::Video) {
            publisher.driver.now(|session| session.request_bitrate(track, bits));
        }
    }
}

impl Publisher {
    fn track(&self, kind: Kind) -> Option<TrackId> {
        self.tracks.iter().find(|track| track.kind == kind).map(|track| track.id)
    }

    /// When a key frame is to be asked for.
    fn asks(&self) -> Option<Time> {
        (self.wanted && self.is_heard).then(|| self.asked.map_or(Time::ZERO, |asked| asked + ASK))
    }
}

async fn next(publisher: Option<&mut Publisher>) -> Step {
    let Some(publisher) = publisher else { return std::future::pending().await };
    tokio::select! {
        biased;
        control = publisher.controls.asked() => Step::Control(control),
        event = publisher.driver.next() => Step::Event(event),
    }
}

async fn sleep(env: &Env, until: Option<Time>) {
    match until {
        Some(until) => env.clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}
