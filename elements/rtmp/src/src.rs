//! `rtmpsrc`: plays from a server.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::{Meter, Meters};
use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Element, Error, Factory, Item, MessageKind, PadId, PadTemplate, Result,
    Segment, Source, SourceCx, StreamInfo, Time, TimeDelta,
};
use millstream_flv::live::count;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::PlayStart;
use crate::peer::{Backoff, Failure, Peer, Turn};
use crate::server::feed::Content;
use crate::server::tags::{buffer_of, content_of_data};
use crate::serversrc::file_header;
use crate::session::client::{ClientEvent, ClientSettings, Purpose};
use crate::sink::{default_timeout, location};
use crate::timeline::Timeline;
use crate::tls::Trust;
use crate::{RtmpUrl, Scheme};

/// Settings of `rtmpsrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RtmpSrcSettings {
    /// What to play: `rtmp://HOST[:PORT]/APP/STREAM` or `rtmps://…`, with user, password and query as the server wants them.
    pub location: String,
    /// PEM file with the authorities to trust instead of the public ones, for `rtmps://`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Checks the certificate of an `rtmps://` server. Without it whoever answers gets the stream and its key.
    #[serde(default = "yes")]
    pub tls_verify: bool,
    /// How long the server may take to answer, and how long it may send nothing while it plays.
    #[serde(default = "default_timeout")]
    pub timeout: DurationSetting,
    /// Attempts to connect again in a row before the element fails. Without end when left out.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Ends the stream when the server says that it is over, or closes the connection in good order; else waits until it is published
    /// again.
    #[serde(default = "yes")]
    pub eos_on_unpublish: bool,
}

pub(crate) fn yes() -> bool {
    true
}

/// What is known of `rtmpsrc`.
pub fn factory() -> Factory {
    Factory::new("rtmpsrc", "Network/Source", "Plays from an RTMP server", build)
        .pad(PadTemplate::src("src", media::FLV))
        .live(|_: &RtmpSrcSettings| true)
        .checked(|settings: &RtmpSrcSettings| settings.trust().and(location(&settings.location)).map(drop))
        .details(
            "Gives FLV, a tag a buffer, as it comes. A connection that is lost or silent is made anew, after 0.5 s to 30 s, and the stream goes on \
             on the same timeline.\n\n\
             Posts `connected` and `disconnected`.",
        )
        .example("rtmpsrc location=rtmp://127.0.0.1/live/cam ! filesink location=cam.flv")
}

impl RtmpSrcSettings {
    fn trust(&self) -> Result<Trust> {
        Trust::new(self.ca_file.as_deref(), self.tls_verify)
    }
}

fn build(settings: RtmpSrcSettings, _: &BuildCx) -> Result<Element> {
    let (url, trust) = (location(&settings.location)?, settings.trust()?);
    Ok(Element::Source(Box::new(RtmpSrc { settings, url, trust })))
}

struct RtmpSrc {
    settings: RtmpSrcSettings,
    url: RtmpUrl,
    trust: Trust,
}

impl Source for RtmpSrc {
    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        let patience = TimeDelta::from_nanos(self.settings.timeout.as_nanos());
        let play = Purpose::Play { start: PlayStart::LiveOrRecorded, duration: None };
        let client = ClientSettings { silence_timeout: Some(patience), ..ClientSettings::new(self.url, play) };
        // The stream is a key, which only its server may see: its place is named without it.
        let meter = Meters::add(&cx.env, "rtmpsrc", &client.url.to_string());
        let player = Player {
            meter,
            settings: self.settings,
            client,
            trust: self.trust,
            patience,
            cx,
            timeline: Timeline::default(),
            backoff: Backoff::default(),
        };
        Box::pin(player.run())
    }
}

/// How a connection went that did not fail.
enum Played {
    /// The stream is over, and that is the end.
    ToItsEnd,
    /// The pipeline wants no more.
    Unwanted(Error),
}

struct Player {
    settings: RtmpSrcSettings,
    client: ClientSettings,
    trust: Trust,
    patience: TimeDelta,
    cx: SourceCx,
    timeline: Timeline,
    backoff: Backoff,
    meter: Arc<Meter>,
}

impl Player {
    async fn run(mut self) -> Result<()> {
        self.start().await?;
        loop {
            let failure = match self.play().await {
                Ok(Played::ToItsEnd) => return Ok(()),
                Ok(Played::Unwanted(error)) => return Err(error),
                Err(failure) => failure,
            };
            if failure.is_final() || self.backoff.attempts() >= self.settings.retries.unwrap_or(u32::MAX) {
                return Err(failure.into_error(&self.client.url));
            }
            let wait = self.backoff.next(&self.cx.env);
            let hint = format!("tries again in {:.1} s", wait.to_std().as_secs_f64());
            let error = failure.into_error(&self.client.url).hint(hint);
            self.cx.tell(|out| {
                out.post(MessageKind::Element { name: "disconnected", fields: Vec::new() });
                out.warn(error);
            });
            self.cx.env.clock.sleep_until(self.cx.env.clock.now() + wait).await;
        }
    }

    async fn start(&mut self) -> Result<()> {
        if let Some(warning) = self.trust.warning().filter(|_| self.client.url.scheme == Scheme::Rtmps) {
            self.cx.tell(|out| out.warn(warning));
        }
        let id = self.client.url.to_string();
        self.cx.push(PadId::FIRST, Item::StreamStart(StreamInfo { id, language: None }.into())).await?;
        self.cx.push(PadId::FIRST, Item::Caps(Caps::new(media::FLV))).await?;
        self.cx.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into())).await?;
        let header = Buffer::new(file_header()).with_flags(BufferFlags::HEADER);
        self.cx.push(PadId::FIRST, Item::buffer(header)).await
    }

    /// Plays on one connection.
    async fn play(&mut self) -> std::result::Result<Played, Failure> {
        let mut peer = Peer::connect(&self.cx.env, self.client.clone(), &self.trust, self.patience).await?;
        let mut playing = false;
        loop {
            let event = match peer.turn(None).await {
                Ok(Turn::Event(event)) => event,
                Ok(_) => continue,
                // ffmpeg as a server ends like this.
                Err(Failure::Closed) if playing && self.settings.eos_on_unpublish => return Ok(Played::ToItsEnd),
                Err(failure) => return Err(failure),
            };
            let content = match *event {
                ClientEvent::Playing { .. } => {
                    tracing::info!(url = %self.client.url, "plays");
                    playing = true;
                    self.meter.connected();
                    self.backoff.reset();
                    self.timeline.begin(self.cx.env.clock.now());
                    self.cx.tell(|out| out.post(MessageKind::Element { name: "connected", fields: Vec::new() }));
                    continue;
                }
                ClientEvent::Media { media, .. } => Some(Content::Media(media)),
                ClientEvent::Data { timestamp, data, .. } => content_of_data(timestamp, data),
                ClientEvent::Ended { .. } if self.settings.eos_on_unpublish => {
                    // What it says to that does not matter any more.
                    let _ = peer.close().await;
                    return Ok(Played::ToItsEnd);
                }
                ClientEvent::TryAgain(next) => {
                    peer = Peer::connect(&self.cx.env, *next, &self.trust, self.patience).await?;
                    continue;
                }
                ClientEvent::Reconnect(next) => {
                    self.client = *next;
                    peer = Peer::connect(&self.cx.env, self.client.clone(), &self.trust, self.patience).await?;
                    continue;
                }
                _ => continue,
            };
            let Some(content) = content else { continue };
            let (content, time) = self.timeline.place(content, self.cx.env.clock.now());
            count(&self.meter, content.kind(), content.body(), time.millis() as u32);
            if let Err(error) = self.cx.push(PadId::FIRST, Item::buffer(buffer_of(&content, time))).await {
                return Ok(Played::Unwanted(error));
            }
        }
    }
}
