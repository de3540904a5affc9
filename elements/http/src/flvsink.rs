//! `httpflvsink`: serves a stream to HTTP-FLV players.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{BuildCx, Element, Factory, PadTemplate, Result, Sink, SinkCx, TimeDelta};
use millstream_flv::live::{Feed, FeedLimits, Hold, Serving};
use millstream_server::access::Access;
use millstream_server::http::watch::Way;
use millstream_server::http::{Server, check_path};
use millstream_server::listen::{Guest, address};
use millstream_server::player_settings;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::player::{Entry, FlvRoute};

const NAME: &str = "httpflvsink";

player_settings! {
/// Settings of `httpflvsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpFlvSinkSettings {
    /// Address and port to listen at. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Path of the URL, by custom `/APP/STREAM.flv`: `/live/cam.flv` in `http://host:8080/live/cam.flv`.
    pub path: String,
    /// Shows the stream on the listener's watch page, and names it at `/readyz`.
    #[serde(default = "yes")]
    pub listed: bool,
    /// Directory with `hls.js` and `mpegts.js`, with which the watch page of the listener plays then instead of by itself.
    #[serde(default)]
    pub watch_scripts: Option<PathBuf>,
}
}

fn yes() -> bool {
    true
}

fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

impl HttpFlvSinkSettings {
    fn check(&self) -> Result<()> {
        check_path(&self.path, "/live/cam.flv").map_err(|error| error.on_property("path"))?;
        self.players().access.check("on-play", "on-stop")
    }
}

fn nanos(setting: DurationSetting) -> TimeDelta {
    TimeDelta::from_nanos(setting.as_nanos())
}

/// What is known of `httpflvsink`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Sink", "Serves a stream to HTTP-FLV players", build)
        .pad(PadTemplate::sink("sink", media::FLV))
        .checked(HttpFlvSinkSettings::check)
        .details(
            "Players open `http://HOST:PORT/PATH`: mpegts.js and flv.js in a browser, VLC, ffmpeg; or \
             `ws://HOST:PORT/PATH`, a WebSocket with the same bytes. Who joins gets metadata, sequence headers \
             and the group of pictures that has begun. Players that come before the first picture wait for it; before the pipeline \
             runs there is nothing at the path (404).\n\n\
             - Any page may read the stream (CORS).\n\
             - A player that falls behind loses the oldest tags, goes on at a key frame, and holds nobody up; what it missed is counted.\n\
             - A player that takes nothing for 60 s is closed.\n\
             - Callbacks get what nginx-rtmp posts to `on_play` and `on_play_done`, or with `callback-format=json` what SRS posts to `on_play` \
             and `on_stop`: application and stream are the last two parts of the path, without `.flv`.\n\
             - `/watch` at the same address is a page that lists and plays its streams; `/healthz` answers `ok`, `/readyz` whether all \
             streams come, `/metrics` numbers for Prometheus.\n\n\
             Posts `players` with their `count` when one comes or goes.",
        )
        .example("filesrc location=in.flv ! clocksync ! httpflvsink path=/live/cam.flv")
}

fn build(settings: HttpFlvSinkSettings, _: &BuildCx) -> Result<Element> {
    settings.check()?;
    Ok(Element::Sink(Box::new(HttpFlvSink { settings })))
}

/// Name of the stream at a path: `live/cam` of `/live/cam.flv`.
pub(crate) fn name_of(path: &str) -> &str {
    let name = path.trim_start_matches('/');
    name.strip_suffix(".flv").unwrap_or(name)
}

struct HttpFlvSink {
    settings: HttpFlvSinkSettings,
}

impl Sink for HttpFlvSink {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let settings = self.settings;
            let server = Server::at(&cx.env, settings.listen)?;
            let players = settings.players();
            let access = Access::open(&cx.env, &players.access).await?;
            let feed = Feed::new(FeedLimits::new(players.backlog_size, players.backlog, players.gop_cache));
            let route = FlvRoute { feed: feed.clone(), access: access.clone(), env: cx.env.clone() };
            let mounted = server.mount(&settings.path, Arc::new(route))?;
            let meter = Meters::add(&cx.env, NAME, name_of(&settings.path));
            let _listing = server.list(Way::Flv, &settings.path, meter.clone(), settings.listed);
            if let Some(scripts) = settings.watch_scripts {
                server.play_with(scripts);
            }
            tracing::info!(at = %server.local(), path = settings.path, "serves players");
            cx.tell(|out| out.post(address(Guest::Player, "http", server.local(), &settings.path)));
            // Players hear of the end however this ends, by its error too.
            let ended = EndedWhenDropped(feed.clone());
            let hold = Hold::new(nanos(players.audio_hold), nanos(players.batch_window));
            let mut serving = Serving::new(cx, feed, hold, |tag| Some(Entry::new(tag))).metered(meter);
            serving.restart_timestamps(players.restart_timestamps);
            serving.run().await?;
            drop(ended);
            // Who comes now would wait for nothing.
            drop(mounted);
            serving.farewell().await;
            if let Some(access) = access {
                access.all_told(serving.env()).await;
            }
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

#[cfg(test)]
mod tests {
    use millstream_core::settings::{Node, NodeDeserializer};

    use super::*;

    fn checked(path: &str) -> Result<()> {
        let node = Node::map([("path", Node::scalar(path))]);
        let settings = HttpFlvSinkSettings::deserialize(NodeDeserializer::new(&node)).unwrap();
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
