//! A message stream that publishes.

use std::task::Context;

use millstream_server::access::Admitted;

use super::{Connection, Role};
use crate::command::code;
use crate::server::feed::Content;
use crate::server::mounts::{Ingest, Publication, StreamName};

/// What a message stream needs to publish.
pub(super) struct Publisher {
    publication: Publication,
    /// Its end is told when this goes.
    _admitted: Option<Admitted>,
}

impl Connection {
    /// The client publishes.
    pub(super) async fn publishes(
        &mut self,
        stream: u32,
        name: &StreamName,
        mut publication: Publication,
        admitted: Option<Admitted>,
    ) {
        tracing::info!(peer = %self.socket.peer(), stream = %name, "publishes");
        publication.begin().await;
        self.session.accept_publish(stream);
        self.set_role(stream, Role::Publishes(Box::new(Publisher { publication, _admitted: admitted })));
    }

    /// Media that comes ahead of the answer waits unread; that of a publisher that was refused has nowhere to go.
    pub(super) async fn ingest(&mut self, stream: u32, content: Content) {
        let own = self.streams.iter_mut().find(|own| own.id == stream);
        if let Some(Role::Publishes(publisher)) = own.map(|own| &mut own.role) {
            // Waiting is rare, and a task is as large as the largest thing that it may wait for.
            if let Err(content) = publisher.publication.try_send(Ingest::Content(content)) {
                Box::pin(publisher.publication.send(content)).await;
            }
        }
    }

    /// Asks publishers to move whose stream is to go on elsewhere. Who does not understand is told of the end instead.
    pub(super) fn ask_to_move(&mut self) {
        let to = |own: &mut super::Stream| match &mut own.role {
            Role::Publishes(publisher) => publisher.publication.moves().map(|to| (own.id, to)),
            Role::Plays(_) => None,
        };
        while let Some((id, to)) = self.streams.iter_mut().find_map(to) {
            if !self.session.request_reconnect(Some(&*to).filter(|to| !to.is_empty())) {
                self.leave(id);
                self.session.end_publish(id, code::UNPUBLISH_SUCCESS, "The server stops.");
                self.leave_if_idle();
            }
        }
    }

    /// Whether a publication is lost. Else wakes the caller when one is, as publishers may be silent.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> bool {
        self.streams.iter_mut().any(|stream| match &mut stream.role {
            Role::Publishes(publisher) => publisher.publication.poll_over(cx).is_ready(),
            Role::Plays(_) => false,
        })
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
