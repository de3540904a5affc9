//! `rtmpsink`: publishes to a server.

mod delivery;

use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::{Meter, Meters};
use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{
    BuildCx, Element, Error, Factory, Item, MessageKind, PadId, PadTemplate, Request, Result, Sink, SinkCx, Time,
    TimeDelta,
};
use millstream_flv::live::{FeedLimits, count};
use millstream_flv::wire::FlvReader;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::client_settings::{client_settings, default_timeout};
use crate::command::PublishType;
use crate::connector::Connector;
use crate::leash::Leash;
use crate::liveness::Pulse;
use crate::server::feed::{Entry, Feed};
use crate::server::tags::content_of;
use crate::session::client::{ClientSettings, Purpose};
use crate::sink::delivery::Delivery;
use crate::tls::{Trust, available};
use crate::{RtmpUrl, Scheme};

/// Attempts to connect again of a job that is not live: a server that restarts comes back within these.
const RETRIES_OF_A_JOB: u32 = 3;

/// Why the server is not given something.
const MISSED: &str = "server too slow or away";
/// The same, where neither it nor the network is to blame.
const STOPPED: &str = "not sent before the pipeline stopped";

client_settings! {
/// Settings of `rtmpsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RtmpSinkSettings {
    /// Where to publish: `rtmp://HOST[:PORT]/APP/STREAM` or `rtmps://…`, with user, password and query as the server wants them.
    pub location: String,
    /// How long the server may take nothing although something waits for it. Then it counts as stalled, connected or not, and is connected
    /// to anew.
    #[serde(default = "default_timeout")]
    pub stall_timeout: DurationSetting,
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
        .checked(RtmpSinkSettings::check)
        .details(
            "A connection that is lost or takes nothing is made anew, after 0.5 s to 30 s. It begins with metadata, sequence headers and a key \
             frame, which encoders upstream are asked for.\n\n\
             - Fed by a live source, the element never holds that up: what the server does not take in time is left out, from the oldest to the next \
             key frame, and counted.\n\
             - Fed by files, it waits for the server, and for the next connection.\n\n\
             - A server that asks to move (Enhanced RTMP) gets what comes before the next key frame, and the one that it names gets the rest: \
             nothing is lost or sent twice. Where that one refuses, the stream stays.\n\
             - A server that lists the codecs that it takes (Enhanced RTMP), without one of the stream, is an error; one that lists nothing is sent \
             everything.\n\n\
             Alive is what takes bytes: `stalled` and `recovered` are told of the element. It posts `connected`, `disconnected` and `moved`.",
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

/// Refuses a limit in which nothing could ever happen.
pub(crate) fn positive(property: &'static str, limit: DurationSetting) -> Result<()> {
    if limit.as_nanos() > 0 {
        return Ok(());
    }
    Err(Error::settings(format!("`{property}` is 0")).on_property(property).hint("write a time such as 10s"))
}

impl RtmpSinkSettings {
    fn check(&self) -> Result<()> {
        positive("stall-timeout", self.stall_timeout)?;
        self.trust()?;
        location(&self.location).map(drop)
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
    /// For good.
    Failed(Error),
    Moved,
    Warning(Error),
    State(MessageKind),
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
                // A file waits; what is live does not.
                waits: !self.live,
            });
            // The stream is a key, which only its server may see: its place is named without it.
            let meter = Meters::add(&cx.env, "rtmpsink", &self.url.to_string());
            let (notices, heard) = mpsc::unbounded_channel();
            let nanos = |setting: DurationSetting| TimeDelta::from_nanos(setting.as_nanos());
            let stall = nanos(settings.stall_timeout);
            let pulse = Arc::new(Pulse::new(cx.env.clock.now()));
            let env = cx.env.clone();
            let leash = Leash::new(settings.redirect, &self.url);
            let delivery = Delivery {
                home: ClientSettings::new(self.url, Purpose::Publish(PublishType::Live)),
                connector: Connector {
                    env: env.clone(),
                    trust: self.trust,
                    timeout: nanos(settings.timeout),
                    stall,
                    leash,
                },
                retries: settings.retries.unwrap_or(if self.live { u32::MAX } else { RETRIES_OF_A_JOB }),
                live: self.live,
                feed: feed.clone(),
                pulse: pulse.clone(),
                notices: notices.clone(),
            };
            let behind = feed.clone();
            // Before anything comes: a feed keeps nothing for nobody.
            let cursor = feed.join();
            // The intake ends when nobody can tell it anything any more.
            let both = async move {
                let waits = || behind.is_behind();
                let tell = |kind| drop(notices.send(Notice::State(kind)));
                let (delivery, watch) = (delivery.run(cursor), pulse.watch(&env, stall, waits, tell));
                tokio::select! {
                    () = delivery => Ok(()),
                    () = watch => Ok(()),
                }
            };
            let (reader, wait) = (FlvReader::new(), !self.live);
            let intake =
                Intake { has_tags: false, meter, cx, feed, reader, wait, heard, is_connected: false, was_lost: false };
            // Delivery ends behind the end of the feed, which the intake brings.
            match tokio::try_join!(intake.run(), both) {
                Ok(_) | Err(Ended::Stopped) => Ok(()),
                Err(Ended::Failed(error)) => Err(error),
            }
        })
    }
}

/// Why nothing more is delivered.
enum Ended {
    Failed(Error),
    /// The pipeline stops, and the server is not there.
    Stopped,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// From the pipeline into the feed.
struct Intake {
    cx: SinkCx,
    feed: Arc<Feed>,
    reader: FlvReader,
    /// The reader may have more of what came.
    has_tags: bool,
    meter: Arc<Meter>,
    /// For room, instead of leaving out.
    wait: bool,
    heard: mpsc::UnboundedReceiver<Notice>,
    is_connected: bool,
    /// A connection was lost since the last that was made.
    was_lost: bool,
}

impl Intake {
    async fn run(mut self) -> Result<(), Ended> {
        loop {
            let gone = self.cx.is_stopping() && !self.is_connected;
            let full = self.wait && !gone && !self.feed.has_room();
            tokio::select! {
                biased;
                Some(notice) = self.heard.recv() => self.tell(notice)?,
                () = self.feed.taken(), if full => {}
                () = async {}, if !full && self.has_tags => self.tags()?,
                item = self.cx.recv(), if !full => match item {
                    Some((_, item)) => self.item(item),
                    None => break,
                },
            }
            self.count_missed();
        }
        self.feed.end();
        loop {
            // Nobody waits for a server that is away to come back.
            if self.cx.is_stopping() && !self.is_connected {
                self.count_missed();
                self.count(STOPPED, self.feed.waiting());
                return Err(Ended::Stopped);
            }
            let Some(notice) = self.heard.recv().await else { break };
            self.tell(notice)?;
            self.count_missed();
        }
        // What was still to be sent when the stream ended.
        self.count_missed();
        Ok(())
    }

    fn count_missed(&mut self) {
        let missed = self.feed.take_missed().total();
        self.count(if self.cx.is_stopping() { STOPPED } else { MISSED }, missed);
    }

    fn count(&mut self, reason: &'static str, missed: u64) {
        if missed > 0 {
            self.cx.tell(|out| (0..missed).for_each(|_| out.dropped(reason, 0, None)));
            self.meter.dropped(reason, missed);
        }
    }

    fn tell(&mut self, notice: Notice) -> Result<()> {
        match &notice {
            Notice::Connected => {
                self.is_connected = true;
                self.meter.connected();
                // A live stream goes on with the next key frame: an encoder upstream makes it now.
                if std::mem::take(&mut self.was_lost) && !self.wait {
                    self.cx.tell(|out| out.request(PadId::FIRST, Request::KeyFrame));
                }
            }
            Notice::Lost(_) | Notice::Failed(_) => (self.is_connected, self.was_lost) = (false, true),
            Notice::Moved | Notice::Warning(_) | Notice::State(_) => {}
        }
        match notice {
            // That others stop too is no news.
            Notice::Lost(_) | Notice::Failed(_) if self.cx.is_stopping() => return Ok(()),
            Notice::Failed(error) => {
                self.count_missed();
                return Err(error);
            }
            notice => self.post(notice),
        }
        Ok(())
    }

    fn post(&mut self, notice: Notice) {
        self.cx.tell(|out| match notice {
            Notice::Connected => out.post(MessageKind::Element { name: "connected", fields: Vec::new() }),
            Notice::Lost(error) => {
                out.post(MessageKind::Element { name: "disconnected", fields: Vec::new() });
                out.warn(error);
            }
            Notice::Moved => out.post(MessageKind::Element { name: "moved", fields: Vec::new() }),
            Notice::Warning(error) => out.warn(error),
            Notice::State(kind) => out.post(kind),
            Notice::Failed(_) => {}
        });
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Buffer(buffer) => {
                buffer.payload.slices().iter().for_each(|slice| self.reader.push(slice.clone()));
                self.has_tags = true;
            }
            Item::StreamStart(_) | Item::Flush(_) => self.reader = FlvReader::new(),
            _ => {}
        }
    }

    /// Takes what has come as far as there is room: a file comes in blocks of many tags.
    fn tags(&mut self) -> Result<()> {
        while let Some(tag) = self.reader.next().map_err(|error| Error::malformed(error.to_string()))? {
            count(&self.meter, tag.kind, &tag.body, tag.timestamp);
            if let Some(content) = content_of(tag) {
                self.feed.push(Entry::new(content), false);
            }
            if self.wait && !self.feed.has_room() {
                return Ok(());
            }
        }
        self.has_tags = false;
        Ok(())
    }
}
