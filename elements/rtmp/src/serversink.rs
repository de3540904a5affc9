//! `rtmpserversink`: serves players.

use std::net::SocketAddr;
use std::path::PathBuf;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{BuildCx, Element, Factory, PadTemplate, Result, Sink, SinkCx, TimeDelta};
use millstream_flv::live::{FeedLimits, Hold, Serving};
use millstream_server::access::Access;
use millstream_server::listen::{Guest, address};
use millstream_server::player_settings;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::server::feed::{Entry, Feed};
use crate::server::mounts::StreamName;
use crate::server::server_at;
use crate::server::settings::listener_settings;
use crate::server::tags::content_of;
use crate::serversrc::{check_name, default_app, default_listen};
use crate::tls::ServerFiles;

listener_settings! {
in player_settings!
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
    /// Directory of recordings, which are played too: `DIR/APP/NAME.flv` at `rtmp://HOST:PORT/APP/NAME`. A live stream of the same name has
    /// precedence. Keys and callbacks hold for them too.
    #[serde(default)]
    pub vod: Option<PathBuf>,
    /// How long players may take to move when the pipeline stops. They are asked to (Enhanced RTMP v2, "Reconnect Request") if they
    /// understand it, and served meanwhile. 0 asks nobody. A pipeline that stops takes 30 s at most in all.
    #[serde(default)]
    pub drain: DurationSetting,
    /// URL to move to, `rtmp://HOST/APP`, or relative to where they are. Without it they are asked to connect anew to where they are.
    #[serde(default)]
    pub drain_to: String,
}
}

impl RtmpServerSinkSettings {
    fn check(&self) -> Result<()> {
        self.files()?;
        self.limits().check()?;
        check_name("stream", &self.stream)?;
        self.players().access.check("on-play", "on-stop")
    }
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
             - A player that takes nothing for 60 s is closed. Connections that are closed are counted by reason at `/metrics`.\n\
             - A player that lists the codecs that it takes (Enhanced RTMP), without one of the stream, is told so with NetStream.Play.Failed; one \
             that lists nothing is sent everything.\n\
             - Callbacks get what nginx-rtmp posts to `on_play` and `on_play_done`, or with `callback-format=json` what SRS posts to `on_play` \
             and `on_stop`.\n\
             - With `vod`, players seek and pause in recordings, and are sent them at the speed of time, as far ahead as they keep.\n\n\
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
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let settings = self.settings;
            let server = server_at(&cx.env, settings.listen, settings.files()?.as_ref())?;
            server.ready(&cx.env).await?;
            let limits = server.site.gate.narrow(settings.limits());
            let name = StreamName::new(&settings.app, &settings.stream);
            let players = settings.players();
            let feed = Feed::new(FeedLimits::new(players.backlog_size, players.backlog, players.gop_cache));
            let access = Access::open(&cx.env, &players.access).await?;
            let recordings = &server.site.recordings;
            let recordings = settings.vod.as_ref().map(|dir| recordings.serve(&settings.app, dir, access.clone()));
            let recordings = recordings.transpose()?;
            let lease = server.site.mounts.hand_out(&name, feed.clone(), access.clone())?;
            tracing::info!(at = %server.local, stream = %name, "serves players");
            let scheme = if settings.tls_cert.is_some() { "rtmps" } else { "rtmp" };
            cx.tell(|out| out.post(address(Guest::Player, scheme, server.local, &format!("/{name}"))));
            let meter = Meters::add(&cx.env, "rtmpserversink", &name.to_string());
            let hold = Hold::new(nanos(players.audio_hold), nanos(players.batch_window));
            let mut serving = Serving::new(cx, feed, hold, |tag| content_of(tag).map(Entry::new)).metered(meter);
            serving.restart_timestamps(players.restart_timestamps);
            serving.run().await?;
            let drain = nanos(settings.drain);
            if drain > TimeDelta::ZERO {
                serving.drain(&settings.drain_to, drain).await;
            }
            serving.farewell().await;
            drop((lease, recordings, limits));
            // Players have a while to leave, and callbacks their limit.
            if let Some(access) = access {
                access.all_told(serving.env()).await;
            }
            Ok(())
        })
    }
}

fn nanos(setting: DurationSetting) -> TimeDelta {
    TimeDelta::from_nanos(setting.as_nanos())
}
