//! The running element: what comes goes to the stage, what viewers want goes upstream.

use std::sync::Arc;

use millstream_core::meter::{Kind, Meter};
use millstream_core::{Env, Error, ErrorKind, Item, MessageKind, PadId, Request, Result, SinkCx, Time, TimeDelta};
use tokio::sync::mpsc;

use super::Pads;
use super::anchor::Anchor;
use super::stage::{Stage, Trouble};
use crate::client::{Notice, heard};

/// Key frames are asked for this often at most, for all viewers together.
const ASK: TimeDelta = TimeDelta::from_millis(500);

/// How often it is looked whether the pipeline stops, while a server is waited for.
const LOOK: TimeDelta = TimeDelta::from_millis(250);

/// The other side of a sender that serves one server, as a client.
pub(crate) struct Client {
    /// What is to be told.
    pub(crate) notices: mpsc::UnboundedReceiver<Notice>,
    /// Waits for the server instead of leaving out what it does not get.
    pub(crate) waits: bool,
    /// Counts connections.
    pub(crate) meter: Arc<Meter>,
}

pub(crate) struct Sender {
    cx: SinkCx,
    client: Option<Client>,
    /// There is a server, for a client.
    is_connected: bool,
    stage: Arc<Stage>,
    pads: Pads,
    /// Where pictures come from now.
    video: Option<PadId>,
    anchor: Anchor,
    asked: Option<Time>,
    wanted: bool,
    told: usize,
}

impl Sender {
    pub(crate) fn new(cx: SinkCx, stage: Arc<Stage>, pads: Pads) -> Self {
        let ([video, _], (client, is_connected)) = (pads.video, (None, false));
        let anchor = Anchor::default();
        Self { cx, client, is_connected, stage, pads, video, anchor, asked: None, wanted: false, told: 0 }
    }

    /// The same for one server.
    pub(crate) fn for_one(self, client: Client) -> Self {
        Self { client: Some(client), ..self }
    }

    pub(crate) async fn run(mut self) -> Result<()> {
        self.serve().await;
        Ok(())
    }

    /// Until the end of what comes.
    pub(crate) async fn serve(&mut self) {
        let env = self.cx.env.clone();
        loop {
            let asks = self.wanted.then(|| self.asked.map_or(Time::ZERO, |asked| asked + ASK));
            let waits = self.waits().then(|| env.clock.now() + LOOK);
            tokio::select! {
                biased;
                notice = heard(self.client.as_mut().map(|client| &mut client.notices)) => self.heard(notice),
                () = sleep(&env, waits), if waits.is_some() => {}
                item = self.cx.recv(), if waits.is_none() => match item {
                    Some((pad, item)) => self.item(pad, item),
                    None => return,
                },
                () = self.stage.changed.notified() => self.changed(),
                () = sleep(&env, asks) => self.ask(),
            }
        }
    }

    /// Whether the pipeline was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.cx.is_stopping()
    }

    /// Whether there is a server, for a client.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether nothing is taken until there is a server. It has to be known what the stream is made of before one is asked.
    fn waits(&self) -> bool {
        let waits = self.client.as_ref().is_some_and(|client| client.waits);
        waits && !self.is_connected && !self.cx.is_stopping() && self.stage.codecs().is_ok()
    }

    fn heard(&mut self, notice: Notice) {
        self.is_connected = match notice {
            Notice::Connected => true,
            Notice::Lost(_) => false,
            Notice::Warning(_) => self.is_connected,
        };
        if let (Notice::Connected, Some(client)) = (&notice, &self.client) {
            client.meter.connected();
            self.wanted = true;
        }
        // That others stop too is no news.
        if !(matches!(notice, Notice::Lost(_)) && self.cx.is_stopping()) {
            self.cx.tell(|out| notice.post(out));
        }
    }

    fn item(&mut self, pad: PadId, item: Item) {
        let kind = self.pads.kind(pad);
        match item {
            Item::StreamStart(_) => self.stage.begin(kind),
            Item::Caps(caps) => {
                if kind == Kind::Video {
                    self.video = Some(pad);
                }
                if let Some(trouble) = self.stage.caps(kind, &caps) {
                    self.warn(&trouble);
                }
            }
            Item::Buffer(buffer) => {
                let now = self.cx.env.clock.now();
                let at = self.anchor.place(buffer.pts.or(buffer.dts).unwrap_or_default(), now);
                match self.stage.push(kind, &buffer, at) {
                    Ok(true) => {}
                    Ok(false) => {
                        let bytes = buffer.payload.len() as u64;
                        self.cx.tell(|out| out.dropped("not for WebRTC", bytes, None));
                    }
                    Err(trouble) => self.warn(&trouble),
                }
            }
            Item::Absent | Item::Eos => self.stage.ended(kind),
            _ => {}
        }
    }

    fn warn(&mut self, trouble: &Trouble) {
        let error = Error::new(ErrorKind::Unsupported, self.stage.text(trouble));
        self.cx.tell(|out| out.warn(error));
    }

    fn changed(&mut self) {
        let viewers = self.stage.viewers();
        // A server is none.
        if self.client.is_none() && viewers != std::mem::replace(&mut self.told, viewers) {
            let fields = vec![("count", viewers.to_string())];
            self.cx.tell(|out| out.post(MessageKind::Element { name: "players", fields }));
        }
        for viewer in self.stage.take_unreached() {
            self.cx.tell(|out| out.post(viewer.message(None)));
        }
        let now = self.cx.env.clock.now();
        if let (Some(bits), Some(video)) = (self.stage.take_bitrate(now), self.video) {
            self.cx.tell(|out| out.request(video, Request::Bitrate(bits)));
        }
        self.wanted |= self.stage.take_wanted();
        if self.wanted && self.asked.is_none_or(|asked| asked + ASK <= now) {
            self.ask();
        }
    }

    fn ask(&mut self) {
        self.wanted = false;
        self.asked = Some(self.cx.env.clock.now());
        if let Some(video) = self.video {
            self.cx.tell(|out| out.request(video, Request::KeyFrame));
        }
    }
}

async fn sleep(env: &Env, until: Option<Time>) {
    match until {
        Some(until) => env.clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}
