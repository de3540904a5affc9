//! `whepserversink`: serves a stream to WebRTC viewers over WHEP.
//!
//! | module | what |
//! | --- | --- |
//! | `settings` | what it is told |

mod settings;

use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::{BuildCx, Element, Factory, Result, Sink, SinkCx};
use millstream_server::access::{Access, Purpose};
use millstream_server::http::Server;
use millstream_server::http::watch::Way;
use millstream_server::listen::{Guest, address};

pub use self::settings::WhepServerSinkSettings;
pub(crate) use self::settings::{default_max_viewers, yes};
use crate::http::{Endpoint, EndpointRoute, Opens, Rejected, Sessions, Visitor};
use crate::ice::Reach;
use crate::offer::Offer;
use crate::ports::Ports;
use crate::send::{Audience, Pads, Sender, Stage, with_pads};

const NAME: &str = "whepserversink";

/// What is known of `whepserversink`.
pub fn factory() -> Factory {
    with_pads(Factory::new(NAME, "Network/Sink", "Serves a stream to WebRTC viewers over WHEP", build))
        .detours(|settings: &WhepServerSinkSettings| settings.repair.detours())
        .checked(WhepServerSinkSettings::check)
        .details(
            "Browsers post their offer to `http://HOST:PORT/whep/APP/STREAM` (draft-ietf-wish-whep), with a key as bearer token or in the query. Media \
             go by UDP from the same port unless `udp` names another.\n\n\
             - Frames are made into packets once, for all viewers. H.264 has its parameter sets before each IDR picture.\n\
             - Who joins begins with the group of pictures that has begun, in fast motion, and is there at once; without `gop-cache` with the next key \
             frame, which is asked for upstream, for all viewers together at most twice a second.\n\
             - What got lost is sent again when a viewer asks for it (NACK). A viewer that has lost more gets the group that has begun once more.\n\
             - A viewer that falls behind loses frames up to the next key frame, and holds nobody up.\n\
             - Who comes before the stream has begun is told so (409, Retry-After); who has no codec of it, too (406).\n\
             - WebRTC carries neither pictures that are shown in another order than they come (B-frames) nor AAC. `repair` says what becomes of such \
             a stream: `refuse` tells those who come (422) and the bus why there is nothing to see, `drop-audio` leaves out sound that cannot be \
             sent, `transcode` encodes anew: elements are put before the pads (`repairgate`, then `aacdec` and `opusenc`, or `gst`), as `millstream graph` \
             shows. AAC becomes Opus without further ado; for pictures the plugin of GStreamer has to be there, with `decodebin3` and `x264enc`.\n\n\
             The watch page of the listener (`/watch`) plays it.\n\n\
             Posts `players` with their `count` when one comes or goes. Who is never reached is told of with `unreached`: the `reason`, what to do, and the pairs that were tried.",
        )
        .example(
            "filesrc location=in.flv ! flvdemux name=d  d.video ! h264parse ! clocksync ! w.video  d.audio ! clocksync ! w.audio  \
             whepserversink name=w stream=cam repair=drop-audio",
        )
}

fn build(settings: WhepServerSinkSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let pads = Pads::of(cx);
    Ok(Element::Sink(Box::new(WhepServerSink { settings, pads })))
}

impl Opens for Audience {
    fn open(&self, offer: &Offer, visitor: Visitor) -> Result<String, Rejected> {
        self.take(offer, Box::new(visitor.place), visitor.admitted)
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        self.reach().ready()
    }
}

struct WhepServerSink {
    settings: WhepServerSinkSettings,
    pads: Pads,
}

impl Sink for WhepServerSink {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { settings, pads } = *self;
            let server = Server::at(&cx.env, settings.listen)?;
            let ports = Ports::at(&cx.env, settings.udp.unwrap_or(server.local()))?;
            let access = Access::open(&cx.env, &settings.access()).await?;
            let path = settings.path();
            let meter = Meters::add(&cx.env, NAME, &settings.name());
            let _listing = server.list(Way::WebRtc, &path, meter.clone(), settings.listed);
            let stage =
                Arc::new(Stage::new(settings.repair, settings.gop_cache, pads.linked(), meter).adapts(settings.adapt));
            let reach = Reach::open(&cx.env, ports, settings.ways())?;
            let gathered = reach.gathered();
            let audience = Audience::new(stage.clone(), reach, cx.env.clone());
            let endpoint = Endpoint {
                env: cx.env.clone(),
                purpose: Purpose::Play,
                stream: (settings.app.clone(), settings.stream.clone()),
                access: access.clone(),
                path: path.clone(),
                lenient: settings.lenient,
                links: settings.links()?,
                sessions: Sessions::new(usize::try_from(settings.max_viewers).unwrap_or(usize::MAX)),
                opens: Arc::new(audience),
            };
            let mounted = server.mount_folder(&path, Arc::new(EndpointRoute(Arc::new(endpoint))))?;
            tracing::info!(at = %server.local(), path, "serves viewers");
            cx.tell(|out| out.post(address(Guest::Player, "http", server.local(), &path)));
            let troubles = gathered.await;
            cx.tell(|out| troubles.iter().for_each(|trouble| out.warn(trouble.error())));
            let env = cx.env.clone();
            let ended = Sender::new(cx, stage.clone(), pads).run().await;
            drop(mounted);
            stage.end();
            if let Some(access) = access {
                access.all_told(&env).await;
            }
            ended
        })
    }
}
