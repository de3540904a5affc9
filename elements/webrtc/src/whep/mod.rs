//! `whepserversink`: serves a stream to WebRTC viewers over WHEP.
//!
//! | module | what |
//! | --- | --- |
//! | `settings` | what it is told |
//! | `stage` | what comes, made into packets once, and the group that has begun |
//! | `sender` | the running element |
//! | `door` | offers become sessions |
//! | `viewer` | one of them |

mod door;
mod sender;
mod settings;
mod stage;
mod viewer;

use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::{BuildCx, Element, Factory, PadId, PadTemplate, Result, Sink, SinkCx};
use millstream_server::access::{Access, Purpose};
use millstream_server::http::Server;
use millstream_server::listen::{Guest, address};

use self::door::Door;
use self::sender::Sender;
pub use self::settings::{Repair, WhepServerSinkSettings};
use self::stage::Stage;
use crate::http::{Endpoint, EndpointRoute, Sessions};
use crate::ports::Ports;

const NAME: &str = "whepserversink";

/// Pictures that are taken. AV1 is not among them: no browser has been seen to show what we send of it.
const VIDEO_CAPS: &str = "video/x-h264, stream-format=byte-stream, alignment=au; video/x-vp8; video/x-vp9";

/// Sound that is taken: AAC too, so that the reason why nobody hears it can be said.
const AUDIO_CAPS: &str =
    "audio/x-opus; audio/x-mulaw, rate=8000, channels=1; audio/x-alaw, rate=8000, channels=1; audio/mpeg";

/// What is known of `whepserversink`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Sink", "Serves a stream to WebRTC viewers over WHEP", build)
        .pad(PadTemplate::sink("video", VIDEO_CAPS).request().doc("The picture."))
        .pad(PadTemplate::sink("audio", AUDIO_CAPS).request().doc("The sound."))
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
             sent. An encoder before this element repairs both: `aacdec ! audioresample ! opusenc`.\n\n\
             Posts `players` with their `count` when one comes or goes.",
        )
        .example(
            "filesrc location=in.flv ! flvdemux name=d  d.video ! h264parse ! clocksync ! w.video  d.audio ! clocksync ! w.audio  \
             whepserversink name=w stream=cam repair=drop-audio",
        )
}

fn build(settings: WhepServerSinkSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let pads = (cx.sink("video"), cx.sink("audio"));
    Ok(Element::Sink(Box::new(WhepServerSink { settings, pads })))
}

struct WhepServerSink {
    settings: WhepServerSinkSettings,
    pads: (Option<PadId>, Option<PadId>),
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
            let stage = Arc::new(Stage::new(&settings, pads.0.is_some(), pads.1.is_some(), meter));
            let door = Door::new(&settings, stage.clone(), ports, cx.env.clone());
            let endpoint = Endpoint {
                env: cx.env.clone(),
                purpose: Purpose::Play,
                stream: (settings.app.clone(), settings.stream.clone()),
                access: access.clone(),
                path: path.clone(),
                lenient: settings.lenient,
                links: settings.links()?,
                sessions: Sessions::new(usize::try_from(settings.max_viewers).unwrap_or(usize::MAX)),
                opens: Arc::new(door),
            };
            let mounted = server.mount_folder(&path, Arc::new(EndpointRoute(Arc::new(endpoint))))?;
            tracing::info!(at = %server.local(), path, "serves viewers");
            cx.tell(|out| out.post(address(Guest::Player, "http", server.local(), &path)));
            let env = cx.env.clone();
            let ended = Sender::new(cx, stage.clone(), pads, &settings).run().await;
            drop(mounted);
            stage.end();
            if let Some(access) = access {
                access.all_told(&env).await;
            }
            ended
        })
    }
}
