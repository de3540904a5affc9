//! `whipsink`: publishes to a server over WHIP (RFC 9725).

use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::meter::Meters;
use millstream_core::{BuildCx, Element, Error, ErrorKind, Factory, Result, Sink, SinkCx};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Attempts;
use super::settings::client_settings;
use crate::send::{Client, Delivery, Pads, Repair, Sender, Stage, with_pads};
use crate::whep::yes;

const NAME: &str = "whipsink";

/// Attempts to connect again of a job that is not live: a server that restarts comes back within these.
const RETRIES_OF_A_JOB: u32 = 3;

client_settings! {
/// Settings of `whipsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WhipSinkSettings {
    /// Where to publish: the URL of a WHIP endpoint, `http://…` or `https://…`. The path and the query may hold keys, and are never told.
    pub location: Secret,
    /// Attempts to connect again in a row before the element fails. Without end when the source is live, 3 otherwise.
    #[serde(default)]
    pub retries: Option<u32>,
    /// What becomes of a stream with B-frames or AAC. With `refuse` the element fails.
    #[serde(default)]
    pub repair: Repair,
    /// Begins with the group of pictures that has begun, in fast motion. Without it the server gets nothing to see before the next key frame.
    #[serde(default = "yes")]
    pub gop_cache: bool,
}
}

impl WhipSinkSettings {
    fn check(&self) -> Result<()> {
        self.endpoint().map(drop)
    }
}

/// What is known of `whipsink`.
pub fn factory() -> Factory {
    with_pads(Factory::new(NAME, "Network/Sink", "Publishes to a WHIP server", build))
        .detours(|settings: &WhipSinkSettings| settings.repair.detours())
        .checked(WhipSinkSettings::check)
        .details(
            "Posts an offer (RFC 9725) of the codecs that come, with all its candidates, and sends media by UDP to where the answer says. Frames are made into packets \
             as `whepserversink` does it: parameter sets before each IDR picture, what got lost is sent again (NACK), key frames that the server \
             asks for are asked for upstream, at most twice a second.\n\n\
             - 307 and 308 are followed with the offer, the token included, as far as `redirect` allows; the address of the session has to be allowed, too, or \
             the session is left without DELETE.\n\
             - A session that is lost is made anew, after 0.5 s to 30 s, or when the server said (`Retry-After` of 503, 409 and 429). Refusals of other kinds \
             are final, with what the server says.\n\
             - Fed by a live source, the element never holds that up: what comes while there is no session is left out. Fed by files, it waits; \
             put `clocksync` before it.\n\
             - At the end and when it is stopped, the session is deleted.\n\
             - WebRTC carries neither B-frames nor AAC: see `repair`. Where codecs change, a new session is made.\n\n\
             Posts `connected` and `disconnected`.",
        )
        .example(
            "whepsrc name=i location=http://127.0.0.1:8081/whep/live/cam  i.video ! w.video  i.audio ! w.audio  \
             whipsink name=w location=http://127.0.0.1:8080/whip/live/cam",
        )
}

fn build(settings: WhipSinkSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let pads = Pads::of(cx);
    Ok(Element::Sink(Box::new(WhipSink { settings, pads, live: cx.live })))
}

struct WhipSink {
    settings: WhipSinkSettings,
    pads: Pads,
    live: bool,
}

impl Sink for WhipSink {
    fn run(self: Box<Self>, cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { settings, pads, live } = *self;
            let caller = settings.caller(cx.env.clone())?;
            let place = caller.endpoint.place();
            let meter = Meters::add(&cx.env, NAME, &place);
            let stage =
                Arc::new(Stage::new(settings.repair, settings.gop_cache, pads.linked(), meter.clone()).for_one());
            let (notices, heard) = mpsc::unbounded_channel();
            let attempts = Attempts::new(settings.retries.unwrap_or(if live { u32::MAX } else { RETRIES_OF_A_JOB }));
            let mut delivery = Delivery::new(caller, stage.clone(), attempts, notices);
            let client = Client { notices: heard, waits: !live, meter };
            let mut sender = Sender::new(cx, stage.clone(), pads).for_one(client);
            let ended = {
                let delivering = delivery.run();
                tokio::pin!(delivering);
                tokio::select! {
                    biased;
                    ended = &mut delivering => ended,
                    () = sender.serve() => {
                        stage.end();
                        match sender.is_connected() {
                            // The rest, and the end of the session.
                            true => delivering.await,
                            false if sender.is_stopping() => Ok(()),
                            false => Err(Error::new(ErrorKind::Peer, format!("{place} was not there at the end of the stream"))),
                        }
                    }
                }
            };
            stage.end();
            delivery.leave().await;
            ended
        })
    }
}
