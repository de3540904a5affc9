//! `whepsrc`: plays from a server over WHEP (draft-ietf-wish-whep).

use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::meter::Kind;
use millstream_core::{BuildCx, Element, Env, Error, ErrorKind, Factory, PadTemplate, Result, Source, SourceCx};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::settings::client_settings;
use super::{Attempts, Caller, Failure, Met, Notice, Reins, Resource, Told, leave};
use crate::receive::{AUDIO_CAPS, About, Pads, Publication, Publications, Receiver, VIDEO_CAPS, check_codecs, codecs};
use crate::session::{Codec, Setup};
use crate::whep::yes;

const NAME: &str = "whepsrc";

client_settings! {
/// Settings of `whepsrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WhepSrcSettings {
    /// What to play: the URL of a WHEP endpoint, `http://…` or `https://…`. The path and the query may hold keys, and are never told.
    pub location: Secret,
    /// Codecs that are offered, of those that what is behind the pads takes. Without it all.
    #[serde(default)]
    pub codecs: Option<Vec<Codec>>,
    /// Attempts to connect again in a row before the element fails. Without end when left out.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Ends the stream when the server ends the session in good order; else asks again until there is more.
    #[serde(default = "yes")]
    pub eos_on_unpublish: bool,
}
}

impl WhepSrcSettings {
    fn check(&self) -> Result<()> {
        check_codecs(self.codecs.as_deref())?;
        self.endpoint().map(drop)
    }
}

/// What is known of `whepsrc`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Source", "Plays from a WHEP server", build)
        .pad(PadTemplate::src("video", VIDEO_CAPS).sometimes().doc("The picture."))
        .pad(PadTemplate::src("audio", AUDIO_CAPS).sometimes().doc("The sound."))
        .live(|_: &WhepSrcSettings| true)
        .checked(WhepSrcSettings::check)
        .details(
            "Posts an offer (draft-ietf-wish-whep) to receive what the linked pads take, with all its candidates, and receives media by UDP. A server that makes an \
             offer of its own instead (406) is answered.\n\n\
             - 307 and 308 are followed with the offer, the token included, as far as `redirect` allows; the address of the session has to be allowed, too, or \
             the session is left without DELETE.\n\
             - A session that is lost is made anew, after 0.5 s to 30 s, or when the server said (`Retry-After`), and the stream goes on on the \
             same timeline, behind a buffer with `discont`. So is one where the server has no such stream yet (404, 409) or is in trouble (5xx); \
             other refusals are final, with what the server says.\n\
             - Key frames, lost pictures, and the times of sound and pictures are as with `whipserversrc`.\n\
             - At the end and when it is stopped, the session is deleted.\n\n\
             Posts `connected` and `disconnected`.",
        )
        .example("whepsrc location=http://127.0.0.1:8080/whep/live/cam name=w  w.video ! h264parse ! m.video  flvmux name=m ! filesink location=cam.flv")
}

fn build(settings: WhepSrcSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let codecs = codecs(settings.codecs.as_deref(), cx);
    let (video, audio) = (cx.src("video"), cx.src("audio"));
    let linked = [(Kind::Video, video.is_some()), (Kind::Audio, audio.is_some())];
    let kinds = linked.into_iter().filter_map(|(kind, is_linked)| is_linked.then_some(kind)).collect();
    Ok(Element::Source(Box::new(WhepSrc { settings, codecs, kinds, pads: Pads::new(video, audio) })))
}

struct WhepSrc {
    settings: WhepSrcSettings,
    codecs: Vec<Codec>,
    kinds: Vec<Kind>,
    pads: Pads,
}

impl Source for WhepSrc {
    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let Self { settings, codecs, kinds, pads } = *self;
            let (env, caller) = (cx.env.clone(), settings.caller(cx.env.clone())?);
            let about = About { element: NAME, stream: caller.endpoint.place(), grace: None };
            let (publications, receiver) = mpsc::channel(1);
            let (notices, heard) = mpsc::unbounded_channel();
            let publisher = Publications { publications: receiver, presence: Arc::default() };
            let mut receiver = Receiver::new(about, cx, pads, publisher).for_client(heard);
            let mut client = Client {
                caller,
                codecs,
                kinds,
                attempts: Attempts::new(settings.retries.unwrap_or(u32::MAX)),
                ends: settings.eos_on_unpublish,
                publications,
                notices,
                env,
                resource: None,
            };
            let ended = tokio::select! {
                biased;
                ended = receiver.run() => ended,
                ended = client.run() => ended,
            };
            drop(receiver);
            client.leave().await;
            ended
        })
    }
}

/// Makes sessions with the server, one after the other.
struct Client {
    caller: Caller,
    codecs: Vec<Codec>,
    kinds: Vec<Kind>,
    attempts: Attempts,
    /// With the first session that the server ends in good order.
    ends: bool,
    publications: mpsc::Sender<Publication>,
    notices: mpsc::UnboundedSender<Notice>,
    env: Env,
    /// The session that there is.
    resource: Option<Resource>,
}

impl Client {
    async fn run(&mut self) -> Result<()> {
        loop {
            let failure = match self.play().await {
                Ok(true) if self.ends => return Ok(()),
                Ok(well) => self.lost(well),
                Err(failure) => failure.or_again_where_nothing_is(),
            };
            let (wait, error) = self.attempts.next(failure, &self.env)?;
            let _ = self.notices.send(Notice::Lost(error));
            self.env.clock.sleep_until(self.env.clock.now() + wait).await;
        }
    }

    async fn leave(&mut self) {
        leave(self.resource.take(), &self.env).await;
    }

    /// One session, to its end; true where the server has ended it in good order.
    async fn play(&mut self) -> std::result::Result<bool, Failure> {
        let setup = Setup { codecs: self.codecs.clone(), ..Setup::default() };
        let Met { session, line, tracks, resource, warnings } = self.caller.call(setup, &self.kinds, false).await?;
        self.resource = resource;
        warnings.into_iter().for_each(|warning| drop(self.notices.send(Notice::Warning(warning))));
        let (controls, mut told) = Reins::pair();
        let publication = Publication::new(session, line, tracks, controls);
        let _ = self.publications.send(publication).await;
        let mut ended_well = false;
        while let Some(told) = told.recv().await {
            match told {
                Told::Connected => self.attempts.connected(),
                Told::Ended { well } => ended_well = well,
            }
        }
        self.leave().await;
        Ok(ended_well)
    }

    fn lost(&self, well: bool) -> Failure {
        let place = self.caller.endpoint.place();
        let what =
            if well { "has ended the session" } else { "is not reached any more, or never was, for media by UDP" };
        Failure::passing(Error::new(ErrorKind::Peer, format!("{place} {what}")))
    }
}
