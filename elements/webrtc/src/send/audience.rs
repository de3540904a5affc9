//! Offers of viewers become sessions, each on a task of its own.

use std::sync::Arc;

use millstream_core::Env;
use millstream_core::meter::Kind;
use millstream_server::access::Admitted;
use millstream_server::http::hyper::StatusCode;

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
        let mut session = self.session(video, audio, controls.may_offer());
        let answer = session.answer(offer)?;
        let mut ways = Vec::new();
        for track in session.tracks() {
            let wanted = if track.kind == Kind::Video { video } else { audio };
            let Some(wanted) = wanted else { continue };
            let format = self.stage.choose(track.kind, &session.formats(track.id));
            ways.push((track.clone(), format.ok_or_else(|| self.no_codec(&track, wanted))?));
        }
        self.serve(session, ways, (controls, admitted), [video.is_some(), audio.is_some()]);
        Ok(answer)
    }

    /// An offer of the stream to somebody who may answer, and is served then.
    pub(crate) fn offer(&self, controls: Box<dyn Controls>) -> Result<String, Rejected> {
        let (video, audio) = self.stage.codecs()?;
        let mut session = self.session(video, audio, true);
        let there = [(Kind::Video, video), (Kind::Audio, audio)].into_iter().filter(|(_, codec)| codec.is_some());
        let tracks: Vec<_> = there.map(|(kind, _)| (kind, true, false)).collect();
        let nothing = || Rejected::new(StatusCode::CONFLICT, "There is nothing to offer.");
        let offer = session.offer(&tracks).ok_or_else(nothing)?;
        self.serve(session, Vec::new(), (controls, None), [video.is_some(), audio.is_some()]);
        Ok(offer)
    }

    /// A track that the stream does not have is agreed to in what everybody has, and stays silent. Who may be offered something later agrees to all
    /// codecs that can be sent; a thousand viewers who may not do without what each of them costs.
    fn session(&self, video: Option<Codec>, audio: Option<Codec>, grows: bool) -> Session {
        let codecs = match grows {
            true => Codec::ALL.to_vec(),
            false => vec![video.unwrap_or(Codec::Vp8), audio.unwrap_or(Codec::Opus)],
        };
        let setup = Setup { codecs, lite: true, carries: Carries::Packets, is_one_of_many: true, ..Setup::default() };
        Session::new(&self.reach.setup(setup), self.env.clock.now())
    }

    fn serve(
        &self,
        mut session: Session,
        ways: Ways,
        signals: (Box<dyn Controls>, Option<Admitted>),
        known: [bool; 2],
    ) {
        let line = self.reach.line(&session.ufrag());
        let driver = Driver::new(session, line, self.env.clone());
        let mut viewer = Viewer::new(driver, (ways, known), self.stage.join(), signals, self.env.clone());
        self.env
            .tasks
            .spawn(Box::pin(async move {
                viewer.run().await;
            }))
            .detach();
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
