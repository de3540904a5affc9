//! The running element: what comes goes to the stage, what viewers want goes upstream.

use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Env, Error, ErrorKind, Item, MessageKind, PadId, Request, Result, SinkCx, Time, TimeDelta};

use super::Repair;
use super::anchor::Anchor;
use super::stage::{Stage, Trouble};

/// Key frames are asked for this often at most, for all viewers together.
const ASK: TimeDelta = TimeDelta::from_millis(500);

pub(crate) struct Sender {
    cx: SinkCx,
    stage: Arc<Stage>,
    video: Option<PadId>,
    repair: Repair,
    anchor: Anchor,
    asked: Option<Time>,
    wanted: bool,
    told: usize,
    dropped_sound: bool,
}

impl Sender {
    pub(crate) fn new(
        cx: SinkCx,
        stage: Arc<Stage>,
        (video, _): (Option<PadId>, Option<PadId>),
        repair: Repair,
    ) -> Self {
        Self {
            cx,
            stage,
            video,
            repair,
            anchor: Anchor::default(),
            asked: None,
            wanted: false,
            told: 0,
            dropped_sound: false,
        }
    }

    pub(crate) async fn run(mut self) -> Result<()> {
        let env = self.cx.env.clone();
        loop {
            let asks = self.wanted.then(|| self.asked.map_or(Time::ZERO, |asked| asked + ASK));
            tokio::select! {
                biased;
                item = self.cx.recv() => match item {
                    Some((pad, item)) => self.item(pad, item),
                    None => return Ok(()),
                },
                () = self.stage.changed.notified() => self.changed(),
                () = sleep(&env, asks) => self.ask(),
            }
        }
    }

    fn kind(&self, pad: PadId) -> Kind {
        if Some(pad) == self.video { Kind::Video } else { Kind::Audio }
    }

    fn item(&mut self, pad: PadId, item: Item) {
        let kind = self.kind(pad);
        match item {
            Item::StreamStart(_) => self.stage.begin(kind),
            Item::Caps(caps) => {
                if let Some(trouble) = self.stage.caps(kind, &caps) {
                    self.warn(&trouble);
                } else if kind == Kind::Audio && self.repair == Repair::DropAudio && !self.dropped_sound {
                    self.dropped_sound = true;
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
            _ => {}
        }
    }

    fn warn(&mut self, trouble: &Trouble) {
        let error = Error::new(ErrorKind::Unsupported, trouble.text());
        self.cx.tell(|out| out.warn(error));
    }

    fn changed(&mut self) {
        let viewers = self.stage.viewers();
        if viewers != std::mem::replace(&mut self.told, viewers) {
            let fields = vec![("count", viewers.to_string())];
            self.cx.tell(|out| out.post(MessageKind::Element { name: "players", fields }));
        }
        if let (Some(bits), Some(video)) = (self.stage.take_bitrate(), self.video) {
            self.cx.tell(|out| out.request(video, Request::Bitrate(bits)));
        }
        self.wanted |= self.stage.take_wanted();
        let now = self.cx.env.clock.now();
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
