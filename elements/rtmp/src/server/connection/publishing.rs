//! A message stream that publishes.

use super::{Connection, Role};
use crate::command::code;
use crate::server::feed::Content;
use crate::server::mounts::{Ingest, Publication, Refusal, StreamName};

/// What a message stream needs to publish.
pub(super) struct Publisher {
    publication: Publication,
}

impl Connection {
    /// The client may publish, if the stream is free.
    pub(super) async fn publish(&mut self, stream: u32, name: &StreamName) {
        let peer = self.socket.peer();
        let (code, reason) = match self.site.mounts.publish(name) {
            Ok(mut publication) => {
                tracing::info!(%peer, stream = %name, "publishes");
                publication.begin().await;
                self.session.accept_publish(stream);
                return self.set_role(stream, Role::Publishes(Box::new(Publisher { publication })));
            }
            Err(Refusal::Taken) => (code::PUBLISH_BAD_NAME, "The stream has a publisher."),
            Err(Refusal::Unknown) => (code::PUBLISH_DENIED, "Nothing takes this stream in."),
        };
        tracing::info!(%peer, stream = %name, "refused: {reason}");
        self.session.refuse_publish(stream, code, reason);
    }

    /// Media that comes ahead of the answer waits unread; that of a publisher that was refused has nowhere to go.
    pub(super) async fn ingest(&mut self, stream: u32, content: Content) {
        let own = self.streams.iter_mut().find(|own| own.id == stream);
        if let Some(Role::Publishes(publisher)) = own.map(|own| &mut own.role) {
            publisher.publication.send(Ingest::Content(content)).await;
        }
    }

    /// Ends publications that another took over, or that nothing takes in any more.
    pub(super) fn end_lost_publications(&mut self) {
        let is_over = |role: &Role| matches!(role, Role::Publishes(publisher) if publisher.publication.is_over());
        while let Some(at) = self.streams.iter().position(|stream| is_over(&stream.role)) {
            let id = self.streams.remove(at).id;
            self.session.end_publish(
                id,
                code::PUBLISH_BAD_NAME,
                "Another publishes the stream now, or nothing takes it in.",
            );
            self.leave_if_idle();
        }
    }
}
