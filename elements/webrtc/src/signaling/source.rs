//! `webrtcsrc`: takes in a publisher that comes through our signaling.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{BuildCx, Element, Factory, PadTemplate, Result, Secret, Source, SourceCx, TimeDelta};
use millstream_signaling::message::Purpose;
use schemars::JsonSchema;
use serde::Deserialize;

use super::settings::{At, check};
use super::worker::{Host, Work, Worker};
use crate::control::Controls;
use crate::ice::{IceServer, IceTransport, Reach, Ways};
use crate::offer::Offer;
use crate::ports::Ports;
use crate::receive::{
    AUDIO_CAPS, About, DuplicatePolicy, Intake, Pads, Publications, Receiver, VIDEO_CAPS, check_codecs, codecs,
};
use crate::session::Codec;
use crate::whip::default_grace;

const NAME: &str = "webrtcsrc";

/// Settings of `webrtcsrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebRtcSrcSettings {
    /// `listen` of the `signalingserver` that publishers come to, in the same process: `127.0.0.1:8080` without it.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// `path` of it: `/signal` without it.
    #[serde(default)]
    pub path: Option<String>,
    /// URL of a signaling server in another process or on another machine, in place of `listen` and `path`: `wss://HOST/signal`.
    #[serde(default)]
    pub signaling: Option<String>,
    /// Who the element is at a server elsewhere. Without it that says the token, or the element makes one up.
    #[serde(default)]
    pub identity: Option<String>,
    /// What proves that at a server elsewhere: a key, or a signed token with the role `worker`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Address and port to receive media at, by UDP; `0.0.0.0` stands for every address of the machine. Without it those of `listen`; with `signaling` any port of every address.
    /// Elements with the same one share it.
    #[serde(default)]
    pub udp: Option<SocketAddr>,
    /// Further addresses at which the machine is reached, behind a router that forwards the UDP port.
    #[serde(default)]
    pub advertise: Option<Vec<IpAddr>>,
    /// Servers of STUN and TURN through which this side is reached too: by the address that they see, or a relay. With any ICE is done in full.
    #[serde(default)]
    pub ice_servers: Option<Vec<IceServer>>,
    /// Which ways this side is reached by.
    #[serde(default)]
    pub ice_transport: IceTransport,
    /// Name of the stream that publishers say.
    pub stream: String,
    /// Joins this room, and takes in its members only. Those may offer to the element directly, too.
    #[serde(default)]
    pub room: Option<String>,
    /// Codecs that are accepted, of those that what is behind the pads takes. Without it all.
    #[serde(default)]
    pub codecs: Option<Vec<Codec>>,
    /// What happens to a second publisher.
    #[serde(default)]
    pub duplicate: DuplicatePolicy,
    /// Ends the stream when its publisher has left and not come back within `grace`; else waits for the next one.
    #[serde(default)]
    pub eos_on_unpublish: bool,
    /// How long a publisher that left may take to come back.
    #[serde(default = "default_grace")]
    pub grace: DurationSetting,
}

impl WebRtcSrcSettings {
    fn check(&self) -> Result<()> {
        check(&self.stream, self.room.as_deref())?;
        self.at().check()?;
        self.ice_transport.check(self.ice_servers.as_deref())?;
        check_codecs(self.codecs.as_deref())
    }

    fn about(&self) -> About {
        let grace = self.eos_on_unpublish.then(|| TimeDelta::from_nanos(self.grace.as_nanos()));
        About { element: NAME, stream: self.stream.clone(), grace }
    }

    fn ways(&self) -> Ways {
        Ways::new(self.ice_servers.as_deref(), self.ice_transport, self.advertise.as_deref())
    }

    fn at(&self) -> At<'_> {
        At {
            listen: self.listen,
            path: self.path.as_deref(),
            signaling: self.signaling.as_deref(),
            identity: self.identity.as_deref(),
            token: self.token.as_ref(),
        }
    }

    fn work(&self) -> Work {
        Work {
            element: NAME,
            place: self.at().place(),
            stream: self.stream.clone(),
            purpose: Purpose::Publish,
            room: self.room.clone(),
            offers: false,
        }
    }
}

/// What is known of `webrtcsrc`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Source", "Accepts a WebRTC publisher through our signaling", build)
        .pad(PadTemplate::src("video", VIDEO_CAPS).sometimes().doc("The picture."))
        .pad(PadTemplate::src("audio", AUDIO_CAPS).sometimes().doc("The sound."))
        .live(|_: &WebRtcSrcSettings| true)
        .checked(WebRtcSrcSettings::check)
        .details(
            "A worker of the `signalingserver` with the same `listen` and `path`, which runs in the same pipeline or in another one of this process, or of one \
             elsewhere that `signaling` names. Who publishes says `publish` with the `stream` there, and goes on as `docs/spec/signaling.md` has it: `init`, `offer`, `answer`, `candidate`, `ready`. \
             Who may is what the tokens of the server say.\n\n\
             - The answer has the candidates of this side inside; those of the publisher may come at any time. A further offer in the session begins ICE \
             anew, changes codecs, adds tracks or removes them: what is removed becomes absent behind the pads, and may begin anew.\n\
             - A publisher whose connection to the server is lost goes on publishing, and resumes the conversation. One that hangs up, or is not reached any \
             more for some seconds, has left.\n\
             - With `room` the element is a member of that room, so that everybody sees that it is there, and takes in members only.\n\
             - At a server elsewhere the element shows its `token`. Media go on while that server is away, and conversations when it is back.\n\
             - Codecs, key frames, times, and the next publisher are as with `whipserversrc`. Who cannot be taken in is refused with the reason.\n\n\
             Posts `published` and `unpublished` with the `stream`. Who is never reached is told of with `unreached`: the `reason`, what to do, and the pairs that were tried.",
        )
        .example("signalingserver  webrtcsrc stream=cam name=w  w.video ! h264parse ! h.video  w.audio ! opusparse ! fakesink  hlssink name=h directory=cam")
}

fn build(settings: WebRtcSrcSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let codecs = codecs(settings.codecs.as_deref(), cx);
    let pads = Pads::new(cx.src("video"), cx.src("audio"));
    Ok(Element::Source(Box::new(WebRtcSrc { settings, codecs, pads })))
}

struct WebRtcSrc {
    settings: WebRtcSrcSettings,
    codecs: Vec<Codec>,
    pads: Pads,
}

impl Host for Intake {
    fn admits(&self) -> Result<(), String> {
        Self::admits(self).map_err(|error| error.to_string())
    }

    fn open(&self, offer: &Offer, controls: Box<dyn Controls>) -> Result<String, String> {
        offer.check_publishes().map_err(|error| error.to_string())?;
        self.take(offer, controls, None).map_err(|error| error.to_string())
    }

    fn goes_on(&self, offer: &Offer) -> Result<(), String> {
        offer.check_publishes_on().map_err(|error| error.to_string())
    }
}

impl Source for WebRtcSrc {
    fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { settings, codecs, pads } = *self;
            let (_server, at) = settings.at().place().open(&cx.env)?;
            let ports = Ports::at(&cx.env, settings.udp.unwrap_or(at))?;
            let reach = Reach::open(&cx.env, ports, settings.ways())?;
            let troubles = reach.gathered().await;
            cx.tell(|out| troubles.iter().for_each(|trouble| out.warn(trouble.error())));
            let (intake, publications) = Intake::new(settings.duplicate, codecs, reach, cx.env.clone());
            let publications = Publications { publications, presence: intake.presence() };
            let worker = Worker::new(cx.env.clone(), settings.work(), Arc::new(intake));
            tracing::info!(stream = settings.stream, "waits for a publisher through signaling");
            let mut receiver = Receiver::new(settings.about(), cx, pads, publications);
            worker.run(receiver.run()).await
        })
    }
}
