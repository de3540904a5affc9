//! `webrtcsink`: serves viewers that come through our signaling.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::{BuildCx, Element, Error, Factory, Result, Secret, Sink, SinkCx};
use millstream_signaling::message::Purpose;
use schemars::JsonSchema;
use serde::Deserialize;

use super::settings::{At, check};
use super::worker::{Host, Work, Worker};
use crate::control::Controls;
use crate::ice::{IceServer, IceTransport, Reach, Ways};
use crate::offer::Offer;
use crate::ports::Ports;
use crate::send::{Adapt, Audience, Pads, Repair, Sender, Stage, with_pads};
use crate::whep::{default_max_viewers, yes};

const NAME: &str = "webrtcsink";

/// Settings of `webrtcsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebRtcSinkSettings {
    /// `listen` of the `signalingserver` that viewers come to, in the same process: `127.0.0.1:8080` without it.
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
    /// Name of the stream that viewers say.
    pub stream: String,
    /// Joins this room, and serves its members only. Those may offer to the element directly, too.
    #[serde(default)]
    pub room: Option<String>,
    /// Offers the stream to every member of `room` that is no worker, as it comes; without it members `play` it.
    #[serde(default)]
    pub offer_members: bool,
    /// Address and port to send media from, by UDP; `0.0.0.0` stands for every address of the machine. Without it those of `listen`; with `signaling` any port of every address.
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
    /// What becomes of a stream with B-frames or AAC.
    #[serde(default)]
    pub repair: Repair,
    /// Whose network decides the bitrate that an encoder upstream is asked for. A viewer that comes decides nothing in its first seconds.
    #[serde(default)]
    pub adapt: Adapt,
    /// Gives viewers that join the group of pictures that has begun, so that they see something at once. Without it they wait for the next
    /// key frame.
    #[serde(default = "yes")]
    pub gop_cache: bool,
    /// Most viewers at a time. One more is refused.
    #[schemars(range(min = 1))]
    #[serde(default = "default_max_viewers")]
    pub max_viewers: u32,
}

impl WebRtcSinkSettings {
    fn check(&self) -> Result<()> {
        check(&self.stream, self.room.as_deref())?;
        self.at().check()?;
        if self.offer_members && self.room.is_none() {
            let error = Error::settings("there is no room whose members could be offered the stream");
            return Err(error.on_property("offer-members").hint("name the `room`"));
        }
        self.ice_transport.check(self.ice_servers.as_deref())
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
        let (stream, room) = (self.stream.clone(), self.room.clone());
        let offers = self.offer_members;
        Work { element: NAME, place: self.at().place(), stream, purpose: Purpose::Play, room, offers }
    }
}

/// What is known of `webrtcsink`.
pub fn factory() -> Factory {
    with_pads(Factory::new(NAME, "Network/Sink", "Serves a stream to WebRTC viewers through our signaling", build))
        .detours(|settings: &WebRtcSinkSettings| settings.repair.detours())
        .checked(WebRtcSinkSettings::check)
        .details(
            "A worker of the `signalingserver` with the same `listen` and `path`, which runs in the same pipeline or in another one of this process, or of one \
             elsewhere that `signaling` names. A viewer says `play` with the `stream` there, and goes on as `docs/spec/signaling.md` has it: `init`, `offer`, `answer`, `candidate`, `ready`. Who may \
             is what the tokens of the server say.\n\n\
             - A viewer offers to receive; the answer has the candidates of this side inside, those of the viewer may come at any time. A further offer in \
             the session begins ICE anew. Sound or pictures that begin later, end, or begin anew are offered to the viewer in the session, and a codec \
             that both agreed on is changed without a word.\n\
             - Who comes before the stream has begun, has no codec of it, or finds `max-viewers` there, is refused with the reason.\n\
             - With `room` the element is a member of that room, so that everybody sees that it is there, and serves members only.\n\
             - At a server elsewhere the element shows its `token`. Media go on while that server is away, and conversations when it is back.\n\
             - Packets made once, the group that has begun, lost packets, viewers that fall behind, and `repair` are as with `whepserversink`.\n\n\
             Posts `players` with their `count` when one comes or goes. Who is never reached is told of with `unreached`: the `reason`, what to do, and the pairs that were tried.",
        )
        .example(
            "signalingserver  filesrc location=in.flv ! flvdemux name=d  d.video ! h264parse ! clocksync ! w.video  webrtcsink name=w stream=cam",
        )
}

fn build(settings: WebRtcSinkSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let pads = Pads::of(cx);
    Ok(Element::Sink(Box::new(WebRtcSink { settings, pads })))
}

struct WebRtcSink {
    settings: WebRtcSinkSettings,
    pads: Pads,
}

/// Viewers that come, as many as may.
struct Seats {
    audience: Audience,
    most: usize,
}

impl Host for Seats {
    fn admits(&self) -> Result<(), String> {
        if self.audience.len() >= self.most {
            return Err("There is no room for another viewer.".to_owned());
        }
        self.audience.admits().map_err(|rejected| rejected.text)
    }

    fn open(&self, offer: &Offer, controls: Box<dyn Controls>) -> Result<String, String> {
        self.admits()?;
        offer.check_plays().map_err(|error| error.to_string())?;
        self.audience.take(offer, controls, None).map_err(|rejected| rejected.text)
    }

    fn goes_on(&self, _: &Offer) -> Result<(), String> {
        Ok(())
    }

    fn offer(&self, controls: Box<dyn Controls>) -> Result<String, String> {
        self.admits()?;
        self.audience.offer(controls).map_err(|rejected| rejected.text)
    }
}

impl Sink for WebRtcSink {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { settings, pads } = *self;
            let (_server, at) = settings.at().place().open(&cx.env)?;
            let ports = Ports::at(&cx.env, settings.udp.unwrap_or(at))?;
            let meter = Meters::add(&cx.env, NAME, &settings.stream);
            let stage =
                Arc::new(Stage::new(settings.repair, settings.gop_cache, pads.linked(), meter).adapts(settings.adapt));
            let reach = Reach::open(&cx.env, ports, settings.ways())?;
            let troubles = reach.gathered().await;
            cx.tell(|out| troubles.iter().for_each(|trouble| out.warn(trouble.error())));
            let audience = Audience::new(stage.clone(), reach, cx.env.clone());
            let seats = Seats { audience, most: usize::try_from(settings.max_viewers).unwrap_or(usize::MAX) };
            let worker = Worker::new(cx.env.clone(), settings.work(), Arc::new(seats));
            tracing::info!(stream = settings.stream, "serves viewers through signaling");
            let sender = Sender::new(cx, stage.clone(), pads);
            let ended = worker.run(sender.run()).await;
            stage.end();
            ended
        })
    }
}
