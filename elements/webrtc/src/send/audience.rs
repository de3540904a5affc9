//! Offers of viewers become sessions, each on a task of its own.

use std::sync::Arc;

use millstream_core::Env;
use millstream_core::meter::Kind;
use millstream_server::access::Admitted;

use super::stage::{NEEDS_PLUGIN, Stage};
use super::viewer::Viewer;
use crate::control::Controls;
use crate::driver::Driver;
use crate::http::Rejected;
use crate::ice::Reach;
use crate::offer::Offer;
use crate::session::{Carries, Codec, Format, Refused, Session, Setup, Track};

/// Lets viewers in.
pub(crate) struct Audience {
    stage: Arc<Stage>,
    reach: Arc<Reach>,
    env: Env,
}

impl Audience {
    pub(crate) fn new(stage: Arc<Stage>, reach: Arc<Reach>, env: Env) -> Self {
        Self { stage, reach, env }
    }

    /// How they are reached.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether a viewer may come now.
    pub(crate) fn admits(&self) -> Result<(), Rejected> {
        self.stage.codecs().map(|_| ())
    }

    /// Viewers that are there.
    pub(crate) fn len(&self) -> usize {
        self.stage.viewers()
    }

    /// The answer to the offer of a viewer, who is served from here on.
    pub(crate) fn take(
        &self,
        offer: &Offer,
        controls: Box<dyn Controls>,
        admitted: Option<Admitted>,
    ) -> Result<String, Rejected> {
        let (video, audio) = self.stage.codecs()?;
        // A track that the stream does not have is agreed to in what everybody has, and stays silent.
        let codecs = vec![video.unwrap_or(Codec::Vp8), audio.unwrap_or(Codec::Opus)];
        let setup = Setup { codecs, lite: true, carries: Carries::Packets, is_one_of_many: true, ..Setup::default() };
        let setup = self.reach.setup(setup);
        let now = self.env.clock.now();
        let mut session = Session::new(&setup, now);
        let answer = session.answer(offer)?;
        let mut ways = Vec::new();
        for track in session.tracks() {
            let wanted = if track.kind == Kind::Video { video } else { audio };
            let Some(wanted) = wanted else { continue };
            let format = self.stage.choose(track.kind, &session.formats(track.id));
            ways.push((track.clone(), format.ok_or_else(|| self.no_codec(&track, wanted))?));
        }
        let line = self.reach.line(&session.ufrag());
        let driver = Driver::new(session, line, self.env.clone());
        let mut viewer = Viewer::new(driver, ways, self.stage.join(), (controls, admitted), self.env.clone());
        self.env
            .tasks
            .spawn(Box::pin(async move {
                viewer.run().await;
            }))
            .detach();
        Ok(answer)
    }
    fn no_codec(&self, track: &Track, codec: Codec) -> Rejected {
        let kind = if track.kind == Kind::Video { "pictures" } else { "sound" };
        let name = codec.name();
        let mut text =
            format!("The {kind} of the stream are {name}, which is not in the offer in a form that can be sent.");
        if codec == Codec::H265 && self.stage.transcodes() {
            text += &format!(" {NEEDS_PLUGIN}");
        }
        Refused::NoCodec(text).into()
    }
}

/// The tracks of a viewer, and what each is sent in.
pub(super) type Ways = Vec<(Track, Format)>;
