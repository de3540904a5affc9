//! `rtmpsink`: publishes to a server.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::{Meter, Meters};
use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{
    Buffer, BuildCx, Element, Env, Error, Factory, Item, MessageKind, PadTemplate, Result, Sink, SinkCx, Time,
    TimeDelta,
};
use millstream_flv::live::{FeedLimits, count};
use millstream_flv::wire::FlvReader;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::command::PublishType;
use crate::peer::{Backoff, Failure, Peer, Turn};
use crate::server::feed::{Cursor, Entry, Feed};
use crate::server::tags::content_of;
use crate::session::client::{ClientEvent, ClientSettings, Purpose};
use crate::tls::{Trust, available};
use crate::{RtmpUrl, Scheme};

/// Attempts to connect again of a job that is not live: a server that restarts comes back within these.
const RETRIES_OF_A_JOB: u32 = 3;

/// Why the server is not given something.
const MISSED: &str = "server too slow or away";

/// Settings of `rtmpsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RtmpSinkSettings {
    /// Where to publish: `rtmp://HOST[:PORT]/APP/STREAM` or `rtmps://…`, with user, password and query as the server wants them.
    pub location: String,
    /// PEM file with the authorities to trust instead of the public ones, for `rtmps://`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Checks the certificate of an `rtmps://` server. Without it whoever answers gets the stream and its key.
    #[serde(default = "crate::src::yes")]
    pub tls_verify: bool,
    /// How long the server may take to answer or to take anything.
    #[serde(default = "default_timeout")]
    pub timeout: DurationSetting,
    /// Attempts to connect again before the element fails. Without end when the source is live, 3 otherwise.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Most bytes that wait for the server.
    #[serde(default = "default_backlog_size")]
    pub backlog_size: ByteSize,
    /// How far a live stream may fall behind before it goes on at the next key frame.
    #[serde(default = "default_backlog")]
    pub backlog: DurationSetting,
}

pub(crate) fn default_timeout() -> DurationSetting {
    DurationSetting::from_secs(10)
}

fn default_backlog_size() -> ByteSize {
    ByteSize(8 << 20)
}

fn default_backlog() -> DurationSetting {
    DurationSetting::from_secs(8)
}

/// What is known of `rtmpsink`.
pub fn factory() -> Factory {
    Factory::new("rtmpsink", "Network/Sink", "Publishes to an RTMP server", build)
        .pad(PadTemplate::sink("sink", media::FLV))
        .checked(|settings: &RtmpSinkSettings| settings.trust().and(location(&settings.location)).map(drop))
        .details(
            "A connection that is lost or takes nothing is made anew, after 0.5 s to 30 s. It begins with metadata, sequence headers and a key \
             frame.\n\n\
             - Fed by a live source, the element never holds that up: what the server does not take in time is left out, from the oldest to the next \
             key frame, and counted.\n\
             - Fed by files, it waits for the server, and for the next connection.\n\n\
             Posts `connected` and `disconnected`.",
        )
        .example("filesrc location=in.flv ! clocksync ! rtmpsink location=rtmp://127.0.0.1/live/cam")
}

/// Reads the URL, whose errors do not repeat it.
pub(crate) fn location(text: &str) -> Result<RtmpUrl> {
    let url = RtmpUrl::parse(text).map_err(|error| Error::settings(error.to_string()).on_property("location"))?;
    if url.stream.reveal().is_empty() {
        let error = Error::settings("RTMP URL: expected a stream behind the application").on_property("location");
        return Err(error.hint("write rtmp://HOST/APP/STREAM"));
    }
    if url.scheme == Scheme::Rtmps {
        available("location")?;
    }
    Ok(url)
}

impl RtmpSinkSettings {
    fn trust(&self) -> Result<Trust> {
        Trust::new(self.ca_file.as_deref(), self.tls_verify)
    }
}

fn build(settings: RtmpSinkSettings, cx: &BuildCx) -> Result<Element> {
    let (url, trust) = (location(&settings.location)?, settings.trust()?);
    Ok(Element::Sink(Box::new(RtmpSink { settings, url, trust, live: cx.live })))
}

struct RtmpSink {
    settings: RtmpSinkSettings,
    url: RtmpUrl,
    trust: Trust,
    live: bool,
}

/// What the side of the connection tells the side of the pipeline.
enum Notice {
    Connected,
    Lost(Error),
}

impl Sink for RtmpSink {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let settings = &self.settings;
            if let Some(warning) = self.trust.warning().filter(|_| self.url.scheme == Scheme::Rtmps) {
                cx.tell(|out| out.warn(warning));
            }
            let feed = Feed::new(FeedLimits {
                bytes: usize::try_from(settings.backlog_size.0).unwrap_or(usize::MAX),
                backlog_ms: match self.live {
                    true => u32::try_from(Time::from_nanos(settings.backlog.as_nanos()).millis()).unwrap_or(u32::MAX),
                    false => u32::MAX,
                },
                gop_cache: self.live,
            });
            // The stream is a key, which only its server may see: its place is named without it.
            let meter = Meters::add(&cx.env, "rtmpsink", &self.url.to_string());
            let (notices, heard) = mpsc::unbounded_channel();
            let delivery = Delivery {
                settings: ClientSettings::new(self.url, Purpose::Publish(PublishType::Live)),
                trust: self.trust,
                patience: TimeDelta::from_nanos(settings.timeout.as_nanos()),
                retries: settings.retries.unwrap_or(if self.live { u32::MAX } else { RETRIES_OF_A_JOB }),
                live: self.live,
                cursor: feed.join(),
                feed: feed.clone(),
                env: cx.env.clone(),
                notices,
                backoff: Backoff::default(),
            };
            let intake = Intake { meter, cx, feed, reader: FlvReader::new(), wait: !self.live, heard };
            // Delivery ends behind the end of the feed, which the intake brings.
            tokio::try_join!(intake.run(), delivery.run()).map(drop)
        })
    }
}

/// From the pipeline into the feed.
struct Intake {
    cx: SinkCx,
    feed: Arc<Feed>,
    reader: FlvReader,
    meter: Arc<Meter>,
    /// For room, instead of leaving out.
    wait: bool,
    heard: mpsc::UnboundedReceiver<Notice>,
}

impl Intake {
    async fn run(mut self) -> Result<()> {
        loop {
            let full = self.wait && !self.feed.has_room();
            tokio::select! {
                biased;
                Some(notice) = self.heard.recv() => self.tell(notice),
                () = self.feed.taken(), if full => {}
                item = self.cx.recv(), if !full => match item {
                    Some((_, item)) => self.item(item)?,
                    None => break,
                },
            }
            self.count_missed();
        }
        self.feed.end();
        while let Some(notice) = self.heard.recv().await {
            self.tell(notice);
        }
        // What was still to be sent when the stream ended.
        self.count_missed();
        Ok(())
    }

    fn count_missed(&mut self) {
        let missed = self.feed.take_missed().total();
        if missed > 0 {
            self.cx.tell(|out| (0..missed).for_each(|_| out.dropped(MISSED, 0, None)));
            self.meter.dropped(MISSED, missed);
        }
    }

    fn tell(&mut self, notice: Notice) {
        if matches!(notice, Notice::Connected) {
            self.meter.connected();
        }
        self.cx.tell(|out| match notice {
            Notice::Connected => out.post(MessageKind::Element { name: "connected", fields: Vec::new() }),
            Notice::Lost(error) => {
                out.post(MessageKind::Element { name: "disconnected", fields: Vec::new() });
                out.warn(error);
            }
        });
    }

    fn item(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Buffer(buffer) => self.buffer(&buffer)?,
            Item::StreamStart(_) | Item::Flush(_) => self.reader = FlvReader::new(),
            _ => {}
        }
        Ok(())
    }

    fn buffer(&mut self, buffer: &Buffer) -> Result<()> {
        buffer.payload.slices().iter().for_each(|slice| self.reader.push(slice.clone()));
        loop {
            let tag = self.reader.next().map_err(|error| Error::malformed(error.to_string()))?;
            let Some(tag) = tag else { return Ok(()) };
            count(&self.meter, tag.kind, &tag.body, tag.timestamp);
            if let Some(content) = content_of(tag) {
                self.feed.push(Entry::new(content), false);
            }
        }
    }
}

/// From the feed to the server, over as many connections as it takes.
struct Delivery {
    settings: ClientSettings,
    trust: Trust,
    patience: TimeDelta,
    retries: u32,
    live: bool,
    cursor: Cursor,
    feed: Arc<Feed>,
    env: Env,
    notices: mpsc::UnboundedSender<Notice>,
    backoff: Backoff,
}

impl Delivery {
    async fn run(mut self) -> Result<()> {
        loop {
            let Err(failure) = self.publish().await else { return Ok(()) };
            // A live stream that has ended meanwhile has nothing that is worth a further attempt.
            let over = self.live && self.feed.is_ended();
            if failure.is_final() || over || self.backoff.attempts() >= self.retries {
                return Err(failure.into_error(&self.settings.url));
            }
            let wait = self.backoff.next(&self.env);
            let hint = format!("tries again in {:.1} s", wait.to_std().as_secs_f64());
            let _ = self.notices.send(Notice::Lost(failure.into_error(&self.settings.url).hint(hint)));
            self.env.clock.sleep_until(self.env.clock.now() + wait).await;
            self.cursor.begin_anew(self.live);
        }
    }

    /// Publishes on one connection, to the end of the stream.
    async fn publish(&mut self) -> Result<(), Failure> {
        let mut settings = self.settings.clone();
        let mut peer = Peer::connect(&self.env, settings.clone(), &self.trust, self.patience).await?;
        loop {
            match peer.turn(Some(&mut self.cursor)).await? {
                Turn::Taken => {}
                Turn::Ended => return peer.close().await,
                Turn::Event(event) => match *event {
                    ClientEvent::Publishing { .. } => {
                        tracing::info!(url = %settings.url, "publishes");
                        self.backoff.reset();
                        let _ = self.notices.send(Notice::Connected);
                    }
                    ClientEvent::TryAgain(next) => {
                        settings = *next;
                        peer = Peer::connect(&self.env, settings.clone(), &self.trust, self.patience).await?;
                    }
                    ClientEvent::Reconnect(next) => {
                        tracing::info!(url = %next.url, "the server asks to move");
                        self.settings = *next;
                        peer.close().await?;
                        peer = Peer::connect(&self.env, self.settings.clone(), &self.trust, self.patience).await?;
                        self.cursor.begin_anew(false);
                    }
                    _ => {}
                },
            }
        }
    }
}
