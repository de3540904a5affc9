//! `httpflvsink`: serves a stream to HTTP-FLV players.

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{
    Buffer, BuildCx, Element, Error, Factory, Item, MessageKind, PadTemplate, Result, Sink, SinkCx, Time, TimeDelta,
};
use millstream_flv::live::{Feed, FeedLimits};
use millstream_flv::wire::FlvReader;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::player::{Entry, FlvRoute};
use millstream_server::http::{Server, check_path};

/// How long players may take to be sent the end.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);
/// How often to look whether they have been.
const FAREWELL_STEP: TimeDelta = TimeDelta::from_millis(10);

/// Settings of `httpflvsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpFlvSinkSettings {
    /// Address and port to listen at. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Path of the URL, by custom `/APP/STREAM.flv`: `/live/cam.flv` in `http://host:8080/live/cam.flv`.
    pub path: String,
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
}

fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
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

impl HttpFlvSinkSettings {
    fn check(&self) -> Result<()> {
        check_path(&self.path, "/live/cam.flv").map_err(|error| error.on_property("path"))
    }

    fn limits(&self) -> FeedLimits {
        FeedLimits {
            bytes: usize::try_from(self.backlog_size.0).unwrap_or(usize::MAX),
            backlog_ms: u32::try_from(Time::from_nanos(self.backlog.as_nanos()).millis()).unwrap_or(u32::MAX),
            gop_cache: self.gop_cache,
        }
    }
}

/// What is known of `httpflvsink`.
pub fn factory() -> Factory {
    Factory::new("httpflvsink", "Network/Sink", "Serves a stream to HTTP-FLV players", build)
        .pad(PadTemplate::sink("sink", media::FLV))
        .checked(HttpFlvSinkSettings::check)
        .details(
            "Players open `http://HOST:PORT/PATH`: mpegts.js and flv.js in a browser, VLC, ffmpeg. Who joins gets metadata, sequence headers \
             and the group of pictures that has begun. Players that come before the first picture wait for it; before the pipeline \
             runs there is nothing at the path (404).\n\n\
             - Any page may read the stream (CORS).\n\
             - A player that falls behind loses the oldest tags, goes on at a key frame, and holds nobody up; what it missed is counted.\n\
             - A player that takes nothing for 60 s is closed.\n\
             - `/healthz` at the same address answers `ok`.\n\n\
             Posts `players` with their `count` when one comes or goes.",
        )
        .example("filesrc location=in.flv ! clocksync ! httpflvsink path=/live/cam.flv")
}

fn build(settings: HttpFlvSinkSettings, _: &BuildCx) -> Result<Element> {
    settings.check()?;
    Ok(Element::Sink(Box::new(HttpFlvSink { settings })))
}

struct HttpFlvSink {
    settings: HttpFlvSinkSettings,
}

impl Sink for HttpFlvSink {
    fn run(self: Box<Self>, cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let settings = self.settings;
            let server = Server::at(&cx.env, settings.listen)?;
            let feed = Feed::new(settings.limits());
            let mounted = server.mount(&settings.path, Arc::new(FlvRoute(feed.clone())))?;
            tracing::info!(at = %server.local(), path = settings.path, "serves players");
            // Players hear of the end however this ends, by its error too.
            let feed = EndedWhenDropped(feed);
            let mut sender = Sender { cx, feed: &feed.0, reader: FlvReader::new(), players: 0 };
            sender.run().await?;
            feed.0.end();
            // Who comes now would wait for nothing.
            drop(mounted);
            sender.farewell().await;
            Ok(())
        })
    }
}

struct EndedWhenDropped(Arc<Feed<Entry>>);

impl Drop for EndedWhenDropped {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The element while it runs.
struct Sender<'a> {
    cx: SinkCx,
    feed: &'a Feed<Entry>,
    reader: FlvReader,
    /// How many players were told of.
    players: usize,
}

impl Sender<'_> {
    async fn run(&mut self) -> Result<()> {
        loop {
            let item = tokio::select! {
                biased;
                item = self.cx.recv() => item,
                () = self.feed.news() => {
                    self.count_players();
                    continue;
                }
            };
            let Some((_, item)) = item else { return Ok(()) };
            self.item(&item)?;
            self.count_missed();
        }
    }

    /// Lets players read to the end.
    async fn farewell(&mut self) {
        let clock = self.cx.env.clock.clone();
        let until = clock.now() + FAREWELL;
        while self.feed.players() > 0 && clock.now() < until {
            clock.sleep_until(clock.now() + FAREWELL_STEP).await;
        }
        self.count_missed();
    }

    /// What players missed is known when they go on.
    fn count_missed(&mut self) {
        let missed = self.feed.take_dropped();
        if missed > 0 {
            self.cx.tell(|out| (0..missed).for_each(|_| out.dropped("slow player", 0, None)));
        }
    }

    fn count_players(&mut self) {
        let now = self.feed.players();
        if std::mem::replace(&mut self.players, now) != now {
            let fields = vec![("count", now.to_string())];
            self.cx.tell(|out| out.post(MessageKind::Element { name: "players", fields }));
        }
    }

    fn item(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer)?,
            Item::StreamStart(_) | Item::Flush(_) => self.reader = FlvReader::new(),
            _ => {}
        }
        Ok(())
    }

    fn buffer(&mut self, buffer: &Buffer) -> Result<()> {
        buffer.payload.slices().iter().for_each(|slice| self.reader.push(slice.clone()));
        while let Some(tag) = self.reader.next().map_err(|error| Error::malformed(error.to_string()))? {
            self.feed.push(Entry::new(tag), false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &str) -> Result<()> {
        let settings = HttpFlvSinkSettings {
            listen: default_listen(),
            path: path.to_owned(),
            gop_cache: true,
            backlog_size: default_backlog_size(),
            backlog: default_backlog(),
        };
        settings.check()
    }

    #[test]
    fn a_path_that_nobody_could_ask_for_is_refused() {
        assert!(checked("/live/cam.flv").is_ok());
        for path in ["", "/", "live/cam.flv", "/live//cam.flv", "/../cam.flv", "/cam.flv?key=1", "/healthz"] {
            assert!(checked(path).is_err(), "{path}");
        }
    }
}
