//! `whipserversrc`: accepts a publisher over WHIP (RFC 9725).
//!
//! | module | what |
//! | --- | --- |
//! | `settings` | what it is told |
//! | `page` | the page that publishes from a browser |
//! | `intake` | what is posted goes to the intake of publishers |

mod intake;
mod page;
mod settings;

use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::{BuildCx, Element, Factory, PadTemplate, Result, Source, SourceCx};
use millstream_server::access::{Access, Purpose};
use millstream_server::http::Server;
use millstream_server::listen::{Guest, address};

use self::page::publish_page;
pub use self::settings::WhipServerSrcSettings;
pub(crate) use self::settings::{default_app, default_grace, default_listen};
use crate::http::{Endpoint, EndpointRoute, Sessions};
use crate::ice::Reach;
use crate::ports::Ports;
use crate::receive::{AUDIO_CAPS, Intake, MAX_SESSIONS, Pads, Publications, Receiver, VIDEO_CAPS, codecs};
use crate::session::Codec;

const NAME: &str = "whipserversrc";

/// What is known of `whipserversrc`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Source", "Accepts a WebRTC publisher over WHIP", build)
        .pad(PadTemplate::src("video", VIDEO_CAPS).sometimes().doc("The picture."))
        .pad(PadTemplate::src("audio", AUDIO_CAPS).sometimes().doc("The sound."))
        .live(|_: &WhipServerSrcSettings| true)
        .checked(WhipServerSrcSettings::check)
        .details(
            "Browsers, OBS and ffmpeg (`-f whip`) publish to `http://HOST:PORT/whip/APP/STREAM` (RFC 9725), with a key as bearer token or in the \
             query. Media come by UDP to the same port unless `udp` names another.\n\n\
             - A browser publishes its camera or screen from the page at `http://HOST:PORT/publish/APP/STREAM`; from another machine over HTTPS only.\n\
             - Codecs are those of `codecs` that what is behind the pads accepts; a publisher that has none of them for a track is refused \
             (406) and told which there are. Sound or pictures that no pad takes are received and left out, counted.\n\
             - A key frame is asked for when a publisher has come, when something got lost, and when an element behind asks for one, at most \
             twice a second. Pictures that need what got lost are left out, counted.\n\
             - Sound and pictures are joined by the publisher's sender reports.\n\
             - A publisher that has not been heard for 3 s gives way to another one; one that is not reached any more for some seconds has left. \
             Who comes goes on on the same timeline, behind a buffer with `discont`.\n\
             - Offers without DTLS-SRTP, BUNDLE or rtcp-mux, and those with several tracks of a kind, are refused (422).\n\
             - A session is patched with candidates and restarts of ICE as RFC 9725 says; with `lenient` also by clients that leave out \
             `If-Match`.\n\n\
             Posts `published` and `unpublished` with the `stream`. Who is never reached is told of with `unreached`: the `reason`, what to do, and the pairs that were tried.",
        )
        .example("whipserversrc stream=cam name=w  w.video ! h264parse ! h.video  w.audio ! opusparse ! fakesink  hlssink name=h directory=cam")
}

fn build(settings: WhipServerSrcSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let codecs = codecs(settings.codecs.as_deref(), cx);
    let pads = Pads::new(cx.src("video"), cx.src("audio"));
    Ok(Element::Source(Box::new(WhipServerSrc { settings, codecs, pads })))
}

struct WhipServerSrc {
    settings: WhipServerSrcSettings,
    codecs: Vec<Codec>,
    pads: Pads,
}

impl Source for WhipServerSrc {
    fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { settings, codecs, pads } = *self;
            let server = Server::at(&cx.env, settings.listen)?;
            let ports = Ports::at(&cx.env, settings.udp_at(server.local()))?;
            let access = Access::open(&cx.env, &settings.access()).await?;
            let path = settings.path();
            let reach = Reach::open(&cx.env, ports, settings.ways())?;
            let gathered = reach.gathered();
            let (intake, publications) = Intake::new(settings.duplicate, codecs, reach, cx.env.clone());
            let publications = Publications { publications, presence: intake.presence() };
            let endpoint = Endpoint {
                env: cx.env.clone(),
                purpose: Purpose::Publish,
                stream: (settings.app.clone(), settings.stream.clone()),
                access: access.clone(),
                path: path.clone(),
                lenient: settings.lenient,
                links: settings.links()?,
                sessions: Sessions::new(MAX_SESSIONS),
                opens: Arc::new(intake),
            };
            let page = settings.page();
            let mounted = [
                server.mount_folder(&path, Arc::new(EndpointRoute(Arc::new(endpoint))))?,
                server.mount_folder(&page, Arc::new(publish_page(&page, &path)))?,
            ];
            tracing::info!(at = %server.local(), path, "waits for a publisher");
            cx.tell(|out| out.post(address(Guest::Publisher, "http", server.local(), &path)));
            let troubles = gathered.await;
            cx.tell(|out| troubles.iter().for_each(|trouble| out.warn(trouble.error())));
            let env = cx.env.clone();
            let mut receiver = Receiver::new(settings.about(), cx, pads, publications);
            let ended = receiver.run().await;
            drop(mounted);
            drop(receiver);
            if let Some(access) = access {
                access.all_told(&env).await;
            }
            ended
        })
    }
}
