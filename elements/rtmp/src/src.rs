//! `rtmpsrc`: plays from a server.

mod join;
mod player;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{BuildCx, Element, Error, Factory, PadTemplate, Result, Source, SourceCx, TimeDelta};
use schemars::JsonSchema;
use serde::Deserialize;

use self::player::Player;
use crate::RtmpUrl;
use crate::client_settings::{client_settings, default_timeout, yes};
use crate::command::PlayStart;
use crate::connector::Connector;
use crate::leash::Leash;
use crate::session::client::{ClientSettings, Purpose};
use crate::sink::{location, positive};
use crate::tls::Trust;

client_settings! {
/// Settings of `rtmpsrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RtmpSrcSettings {
    /// What to play: `rtmp://HOST[:PORT]/APP/STREAM` or `rtmps://…`, with user, password and query as the server wants them.
    pub location: String,
    /// Plays only what is live. Without it a recording of this name is played where nothing is live.
    #[serde(default)]
    pub live: bool,
    /// Where to begin in a recording. The server begins at the key frame there or before.
    #[serde(default)]
    pub start: Option<DurationSetting>,
    /// Where to end in a recording; of what is live, how long to play.
    #[serde(default)]
    pub stop: Option<DurationSetting>,
    /// How long the server may send nothing while it plays. Then it counts as stalled, and is connected to anew.
    #[serde(default = "default_timeout")]
    pub stall_timeout: DurationSetting,
    /// Attempts to connect again in a row before the element fails. Without end when left out.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Ends the stream when the server says that it is over, or closes the connection in good order; else waits until it is published
    /// again.
    #[serde(default = "yes")]
    pub eos_on_unpublish: bool,
}
}

/// What is known of `rtmpsrc`.
pub fn factory() -> Factory {
    Factory::new("rtmpsrc", "Network/Source", "Plays from an RTMP server", build)
        .pad(PadTemplate::src("src", media::FLV))
        .live(|_: &RtmpSrcSettings| true)
        .checked(RtmpSrcSettings::check)
        .details(
            "Gives FLV, a tag a buffer, as it comes. A connection that is lost or silent is made anew, after 0.5 s to 30 s, and the stream goes on \
             on the same timeline.\n\n\
             A server that asks to move (Enhanced RTMP) is played from until the one that it names plays too. Where both send the same \
             key frame the stream goes over, and nothing is lost or comes twice.\n\n\
             Alive is what sends: `stalled` and `recovered` are told of the element. It posts `connected`, `disconnected` and `moved`.",
        )
        .example("rtmpsrc location=rtmp://127.0.0.1/live/cam ! filesink location=cam.flv")
}

impl RtmpSrcSettings {
    fn check(&self) -> Result<()> {
        positive("stall-timeout", self.stall_timeout)?;
        let nanos = |setting: Option<DurationSetting>| setting.map_or(0, |setting| setting.as_nanos());
        if self.live && self.start.is_some() {
            let error = Error::settings("what is live has no place to begin at").on_property("start");
            return Err(error.hint("leave out `start` or `live`"));
        }
        if self.stop.is_some() && nanos(self.stop) <= nanos(self.start) {
            return Err(Error::settings("`stop` is not behind `start`").on_property("stop"));
        }
        self.trust()?;
        location(&self.location).map(drop)
    }

    /// `play` as librtmp asks for it: −2, −1 or a time, and how long.
    fn purpose(&self) -> Purpose {
        let millis = |setting: DurationSetting| setting.as_nanos() as f64 / 1e6;
        let begin = self.start.map_or(0.0, millis);
        let start = match self.start {
            Some(_) => PlayStart::Recorded(begin),
            None if self.live => PlayStart::Live,
            None => PlayStart::LiveOrRecorded,
        };
        Purpose::Play { start, duration: self.stop.map(|stop| millis(stop) - begin) }
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
        let nanos = |setting: DurationSetting| TimeDelta::from_nanos(setting.as_nanos());
        let stall = nanos(self.settings.stall_timeout);
        let purpose = self.settings.purpose();
        let home = ClientSettings { silence_timeout: Some(stall), ..ClientSettings::new(self.url, purpose) };
        let leash = Leash::new(self.settings.redirect, &home.url);
        let connector =
            Connector { env: cx.env.clone(), trust: self.trust, timeout: nanos(self.settings.timeout), stall, leash };
        // The stream is a key, which only its server may see: its place is named without it.
        let meter = Meters::add(&cx.env, "rtmpsrc", &home.url.to_string());
        Box::pin(Player::new(self.settings, home, connector, meter, cx).run())
    }
}
