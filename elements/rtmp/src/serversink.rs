//! `rtmpserversink`: serves players.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{
    Buffer, BuildCx, Element, Error, Factory, Item, MessageKind, PadTemplate, Result, Secret, Sink, SinkCx, Time,
    TimeDelta,
};
use millstream_flv::live::FeedLimits;
use millstream_flv::wire::FlvReader;
use millstream_server::access::{Access, AccessSettings, CallbackFormat, Keys, default_callback_timeout};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::server::feed::{Content, Entry, Feed};
use crate::server::mounts::StreamName;
use crate::server::server_at;
use crate::server::tags::content_of;
use crate::serversrc::{check_name, default_app, default_listen};
use crate::session::MediaKind;
use crate::tls::ServerFiles;

/// How long players may take to be told of the end.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);
/// How often to look whether they have been.
const FAREWELL_STEP: TimeDelta = TimeDelta::from_millis(10);

/// Settings of `rtmpserversink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RtmpServerSinkSettings {
    /// Address and port to listen at. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// PEM file with the server's certificate and those between it and an authority: clients come by `rtmps://` then. The same for all
    /// elements of an address. Read again when it was renewed.
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of `tls-cert`.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// Application, the first part of the path: `live` in `rtmp://host/live/cam`.
    #[serde(default = "default_app")]
    pub app: String,
    /// Name of the stream, the rest of the path.
    pub stream: String,
    /// Gives players that join the group of pictures that has begun, so that they see something at once. Without it they wait for the
    /// next key frame.
    #[serde(default = "yes")]
    pub gop_cache: bool,
    /// Most bytes that wait for slow players, and that the group of pictures may have.
    #[serde(default = "default_backlog_size")]
    pub backlog_size: ByteSize,
    /// How far a player may fall behind before it goes on at the next key frame.
    #[serde(default = "default_backlog")]
    pub backlog: DurationSetting,
    /// How long sound may wait to be sent together with the next picture, which halves the number of writes. 0 sends it at once.
    #[serde(default = "default_audio_hold")]
    pub audio_hold: DurationSetting,
    /// Keys of who may play, in the query of the stream's name or of the application: `cam?key=SECRET` is what OBS calls a stream key.
    /// A list of keys for every stream, or a mapping from streams to a key or a list of keys. Without this and `keys-file` none is needed.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// A file with a stream and its key on each line, or a key for every stream. It is read again when it is needed, at most each second; one
    /// that cannot be read then leaves the last good keys in force.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
    /// URL that is asked before a client may play, by POST: 2xx allows, everything else refuses, and so does no answer.
    #[serde(default)]
    pub on_play: Option<Secret>,
    /// URL that is told when such a client has ended, in whatever way.
    #[serde(default)]
    pub on_stop: Option<Secret>,
    /// How both are posted to.
    #[serde(default)]
    pub callback_format: CallbackFormat,
    /// How long both may take.
    #[serde(default = "default_callback_timeout")]
    pub callback_timeout: DurationSetting,
}

impl RtmpServerSinkSettings {
    fn access(&self) -> AccessSettings {
        AccessSettings {
            keys: self.keys.clone(),
            keys_file: self.keys_file.clone(),
            on_begin: self.on_play.clone(),
            on_end: self.on_stop.clone(),
            format: self.callback_format,
            timeout: self.callback_timeout,
        }
    }

    fn check(&self) -> Result<()> {
        self.files()?;
        check_name("stream", &self.stream)?;
        self.access().check("on-play", "on-stop")
    }
}

fn yes() -> bool {
    true
}

fn default_backlog_size() -> ByteSize {
    ByteSize(16 << 20)
}

fn default_backlog() -> DurationSetting {
    DurationSetting::from_secs(8)
}

fn default_audio_hold() -> DurationSetting {
    DurationSetting::from_millis(25)
}

/// What is known of `rtmpserversink`.
pub fn factory() -> Factory {
    Factory::new("rtmpserversink", "Network/Sink", "Serves a stream to RTMP players", build)
        .pad(PadTemplate::sink("sink", media::FLV))
        .checked(RtmpServerSinkSettings::check)
        .details(
            "Players open `rtmp://HOST:PORT/APP/STREAM`. Who joins gets metadata, sequence headers and the group of pictures that has begun. \
             Players that come before the stream wait for it.\n\n\
             - Each message is cut into chunks once, for all players.\n\
             - A player that falls behind loses the oldest messages, goes on at a key frame, and holds nobody up; what it missed is counted.\n\
             - A player that takes nothing for 60 s is closed.\n\
             - Callbacks get what nginx-rtmp posts to `on_play` and `on_play_done`, or with `callback-format=json` what SRS posts to `on_play` \
             and `on_stop`.\n\n\
             Posts `players` with their `count` when one comes or goes.",
        )
        .example("filesrc location=in.flv ! clocksync ! rtmpserversink stream=cam")
}

impl RtmpServerSinkSettings {
    fn files(&self) -> Result<Option<ServerFiles>> {
        ServerFiles::new(self.tls_cert.as_deref(), self.tls_key.as_deref())
    }
}

fn build(settings: RtmpServerSinkSettings, _: &BuildCx) -> Result<Element> {
    settings.check()?;
    Ok(Element::Sink(Box::new(RtmpServerSink { settings })))
}

struct RtmpServerSink {
    settings: RtmpServerSinkSettings,
}

impl Sink for RtmpServerSink {
    fn run(self: Box<Self>, cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let settings = self.settings;
            let server = server_at(&cx.env, settings.listen, settings.files()?.as_ref())?;
            server.ready(&cx.env).await?;
            let name = StreamName::new(&settings.app, &settings.stream);
            let feed = Feed::new(FeedLimits {
                bytes: usize::try_from(settings.backlog_size.0).unwrap_or(usize::MAX),
                backlog_ms: u32::try_from(Time::from_nanos(settings.backlog.as_nanos()).millis()).unwrap_or(u32::MAX),
                gop_cache: settings.gop_cache,
            });
            let access = Access::open(&cx.env, &settings.access()).await?;
            let lease = server.site.mounts.hand_out(&name, feed.clone(), access.clone())?;
            tracing::info!(at = %server.local, stream = %name, "serves players");
            let env = cx.env.clone();
            Sender::new(cx, feed, &settings).run().await?;
            drop(lease);
            // Players have a while to leave, and callbacks their limit.
            if let Some(access) = access {
                access.all_told(&env).await;
            }
            Ok(())
        })
    }
}

enum Event {
    /// An item, or the end.
    Item(Option<Item>),
    /// Sound that was held is to go out.
    Due,
    /// A player joined or left.
    Players,
}

/// The element while it runs.
struct Sender {
    cx: SinkCx,
    feed: Arc<Feed>,
    reader: FlvReader,
    hold: TimeDelta,
    /// When players hear of the sound that waits.
    due: Option<Time>,
}

impl Sender {
    fn new(cx: SinkCx, feed: Arc<Feed>, settings: &RtmpServerSinkSettings) -> Self {
        let hold = TimeDelta::from_nanos(settings.audio_hold.as_nanos());
        Self { cx, feed, reader: FlvReader::new(), hold, due: None }
    }

    async fn run(mut self) -> Result<()> {
        let mut players = 0;
        loop {
            match self.next().await {
                Event::Item(None) => break,
                Event::Item(Some(item)) => self.item(item)?,
                Event::Due => {
                    self.due = None;
                    self.feed.wake();
                }
                Event::Players => {
                    let now = self.feed.players();
                    if std::mem::replace(&mut players, now) != now {
                        let fields = vec![("count", now.to_string())];
                        self.cx.tell(|out| out.post(MessageKind::Element { name: "players", fields }));
                    }
                }
            }
            self.count_missed();
        }
        self.feed.end();
        self.farewell().await;
        self.count_missed();
        Ok(())
    }

    /// Lets players read to the end.
    async fn farewell(&mut self) {
        let clock = self.cx.env.clock.clone();
        let until = clock.now() + FAREWELL;
        while self.feed.players() > 0 && clock.now() < until {
            clock.sleep_until(clock.now() + FAREWELL_STEP).await;
        }
    }

    fn count_missed(&mut self) {
        let missed = self.feed.take_dropped();
        if missed > 0 {
            self.cx.tell(|out| (0..missed).for_each(|_| out.dropped("slow player", 0, None)));
        }
    }

    async fn next(&mut self) -> Event {
        let due = self.due.map(|due| self.cx.env.clock.sleep_until(due));
        let due = async {
            match due {
                Some(sleep) => sleep.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            item = self.cx.recv() => Event::Item(item.map(|(_, item)| item)),
            () = due => Event::Due,
            () = self.feed.news() => Event::Players,
        }
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
            if let Some(content) = content_of(tag) {
                self.push(content);
            }
        }
    }

    fn push(&mut self, content: Content) {
        let is_audio = matches!(&content, Content::Media(media) if media.kind == MediaKind::Audio);
        let quiet = is_audio && self.hold > TimeDelta::ZERO && self.feed.has_video();
        self.feed.push(Entry::new(content), quiet);
        self.due = if quiet { self.due.or_else(|| Some(self.cx.env.clock.now() + self.hold)) } else { None };
    }
}
