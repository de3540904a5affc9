//! A message stream that wants to publish or play: whether it may.

use millstream_core::env::BoxFuture;
use millstream_server::access::{Admitted, Denied, Purpose};

use super::Connection;
use crate::Secret;
use crate::command::{Play, Publish, PublishType, code};
use crate::server::admission::{Verdict, query_of};
use crate::server::mounts::{Refusal, StreamName};

/// A publisher that asked whether it may.
pub(super) struct Asking {
    stream: u32,
    name: StreamName,
    /// Of the name and the application.
    query: Secret,
    kind: PublishType,
    pub(super) verdict: BoxFuture<'static, Verdict>,
}

impl Connection {
    /// The client wants to publish.
    pub(super) async fn ask_to_publish(&mut self, stream: u32, publish: Publish) {
        let (asked, kind) = (publish.name, publish.kind);
        let name = StreamName::new(&self.app.0, asked.reveal());
        let query = self.guest.query(&query_of(&asked));
        match self.site.mounts.door(&name) {
            Err(refusal) => self.refuse_publisher(stream, &name, refusal),
            Ok(None) => self.publish(stream, &name, &query, kind, None).await,
            Ok(Some(access)) => {
                let verdict = self.guest.ask(&self.env, access, Purpose::Publish, &name, &query_of(&asked));
                self.asking = Some(Box::new(Asking { stream, name, query, kind, verdict }));
            }
        }
    }

    /// The client wants to play. It waits until the stream is there, and is asked about then.
    pub(super) fn ask_to_play(&mut self, stream: u32, play: Play) {
        if StreamName::new(&self.app.0, play.name.reveal()).stream().is_empty() {
            return self.not_played(stream, code::PLAY_FAILED, "The stream has no name.");
        }
        self.play(stream, play);
    }

    pub(super) async fn answered(&mut self, verdict: Verdict) {
        let Some(asking) = self.asking.take() else { return };
        // What it sent meanwhile was not read.
        self.heard = self.env.clock.now();
        let Asking { stream, name, query, kind, .. } = *asking;
        match verdict {
            Ok(admitted) => self.publish(stream, &name, &query, kind, admitted).await,
            Err(denied) => {
                self.warn_of(&name, "publish", denied);
                self.session.refuse_publish(stream, code::PUBLISH_DENIED, &denied.to_string());
            }
        }
    }

    /// The client may publish, if the stream is free.
    async fn publish(
        &mut self,
        stream: u32,
        name: &StreamName,
        query: &Secret,
        kind: PublishType,
        admitted: Option<Admitted>,
    ) {
        match self.site.mounts.publish(name, query) {
            Ok(publication) => self.publishes(stream, name, publication, kind, admitted).await,
            Err(refusal) => self.refuse_publisher(stream, name, refusal),
        }
    }

    fn refuse_publisher(&mut self, stream: u32, name: &StreamName, refusal: Refusal) {
        let (code, reason) = refusal.status();
        tracing::info!(peer = %self.socket.peer(), stream = %name, "refused: {reason}");
        self.session.refuse_publish(stream, code, reason);
    }

    /// Somebody may be trying keys.
    pub(super) fn warn_of(&self, name: &StreamName, what: &'static str, denied: Denied) {
        tracing::warn!(peer = %self.socket.peer(), stream = %name, "may not {what}: {denied}");
    }
}
