//! A stream for one server: sessions with it, one after the other.

use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Env, Error, ErrorKind, Result, TimeDelta};
use tokio::sync::mpsc;

use super::audience::Ways;
use super::stage::Stage;
use super::viewer::{Over, Viewer};
use crate::client::{Attempts, Caller, Failure, Met, Notice, Reins, Resource, Told};
use crate::driver::Driver;
use crate::session::{Carries, Codec, Setup};

/// How long the last pictures may take until the session is ended, those that are asked for again among them.
const LAST: TimeDelta = TimeDelta::from_millis(300);

/// What a session is over for.
enum Ended {
    /// The stream is, and has been sent.
    Stream,
    /// The stream goes on in another codec.
    Codec,
    /// The server does not take any more of it.
    Server { well: bool },
}

/// Sends a stream to one server.
pub(crate) struct Delivery {
    caller: Caller,
    stage: Arc<Stage>,
    attempts: Attempts,
    notices: mpsc::UnboundedSender<Notice>,
    env: Env,
    /// The session that there is.
    resource: Option<Resource>,
}

impl Delivery {
    pub(crate) fn new(
        caller: Caller,
        stage: Arc<Stage>,
        attempts: Attempts,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        let env = caller.env.clone();
        Self { caller, stage, attempts, notices, env, resource: None }
    }

    /// Sends the stream to its end, over as many sessions as it takes.
    ///
    /// # Errors
    /// When the stream cannot be sent over WebRTC, or the server does not take it as often as was tried.
    pub(crate) async fn run(&mut self) -> Result<()> {
        loop {
            let stage = self.stage.clone();
            let Some(codecs) = stage.begun().await? else { return Ok(()) };
            let failure = match self.publish(codecs).await {
                Ok(Ended::Stream) => return Ok(()),
                Ok(Ended::Codec) => continue,
                Ok(Ended::Server { well }) => self.lost(well),
                Err(failure) => failure,
            };
            let (wait, error) = self.attempts.next(failure, &self.env)?;
            self.tell(Notice::Lost(error));
            self.env.clock.sleep_until(self.env.clock.now() + wait).await;
        }
    }

    /// Ends the session that there is.
    pub(crate) async fn leave(&mut self) {
        if let Some(resource) = self.resource.take() {
            resource.delete(&self.env).await;
        }
    }

    async fn publish(&mut self, (video, audio): (Option<Codec>, Option<Codec>)) -> Result<Ended, Failure> {
        let codecs: Vec<Codec> = video.into_iter().chain(audio).collect();
        let kinds: Vec<Kind> = codecs.iter().map(|codec| codec.kind()).collect();
        let setup = Setup { codecs, carries: Carries::Packets, ..Setup::default() };
        let Met { mut session, line, tracks, resource, warnings } = self.caller.call(setup, &kinds, true).await?;
        self.resource = resource;
        let mut ways = Ways::new();
        for track in tracks {
            let wanted = if track.kind == Kind::Video { video } else { audio };
            match self.stage.choose(track.kind, &session.formats(track.id)) {
                Some(format) => ways.push((track, format)),
                None => return Err(self.unsuited(wanted).await),
            }
        }
        warnings.into_iter().for_each(|warning| self.tell(Notice::Warning(warning)));
        let driver = Driver::new(session, line, self.env.clone());
        let (reins, told) = Reins::pair();
        let mut viewer = Viewer::new(driver, (ways, [true; 2]), self.stage.join(), (reins, None), self.env.clone());
        let ended = self.watch(&mut viewer, told).await;
        if matches!(ended, Ended::Stream) {
            viewer.linger(LAST).await;
        }
        drop(viewer);
        self.leave().await;
        Ok(ended)
    }

    /// Until a session is over.
    async fn watch(&mut self, viewer: &mut Viewer, mut told: mpsc::UnboundedReceiver<Told>) -> Ended {
        let mut left_well = false;
        let over = {
            let running = viewer.run();
            tokio::pin!(running);
            loop {
                tokio::select! {
                    biased;
                    Some(told) = told.recv() => match told {
                        Told::Connected => {
                            self.attempts.connected();
                            self.tell(Notice::Connected);
                        }
                        Told::Ended { well } => left_well = well,
                    },
                    over = &mut running => break over,
                }
            }
        };
        while let Ok(told) = told.try_recv() {
            left_well |= told == Told::Ended { well: true };
        }
        match over {
            Over::Stream => Ended::Stream,
            Over::Codec => Ended::Codec,
            Over::Session => Ended::Server { well: left_well },
        }
    }

    async fn unsuited(&mut self, codec: Option<Codec>) -> Failure {
        self.leave().await;
        let (name, place) = (codec.map_or("", Codec::name), self.caller.endpoint.place());
        Failure::lasting(Error::unsupported(format!("{place} takes no {name} in a form that can be sent")))
    }

    fn lost(&self, well: bool) -> Failure {
        let place = self.caller.endpoint.place();
        let what =
            if well { "has ended the session" } else { "is not reached any more, or never was, for media by UDP" };
        Failure::passing(Error::new(ErrorKind::Peer, format!("{place} {what}")))
    }

    fn tell(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}
