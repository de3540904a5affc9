//! A message stream that publishes.

use std::task::{Context, Poll};

use millstream_server::access::Admitted;
use tokio::sync::mpsc;

use super::{Connection, Role};
use crate::command::{PublishType, Status, code};
use crate::server::feed::Content;
use crate::server::mounts::{Ingest, Publication, StreamName};
use crate::server::recorder::Note;

/// What a message stream needs to publish.
pub(super) struct Publisher {
    publication: Publication,
    notes: mpsc::UnboundedReceiver<Note>,
    is_recorded: bool,
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
        kind: PublishType,
        admitted: Option<Admitted>,
    ) {
        tracing::info!(peer = %self.socket.peer(), stream = %name, "publishes");
        let (notes, noted) = mpsc::unbounded_channel();
        publication.begin(kind, notes).await;
        self.session.accept_publish(stream);
        self.set_role(
            stream,
            Role::Publishes(Box::new(Publisher { publication, notes: noted, is_recorded: false, _admitted: admitted })),
        );
    }

    /// Media that comes ahead of the answer waits unread; that of a publisher that was refused has nowhere to go.
    pub(super) async fn ingest(&mut self, stream: u32, content: Content) {
        if let Some(Role::Publishes(publisher)) = self.role(stream) {
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

    /// What comes of a recording.
    pub(super) fn poll_notes(&mut self, cx: &mut Context<'_>) -> Poll<(u32, Note)> {
        for stream in &mut self.streams {
            if let Role::Publishes(publisher) = &mut stream.role
                && let Poll::Ready(Some(note)) = publisher.notes.poll_recv(cx)
            {
                return Poll::Ready((stream.id, note));
            }
        }
        Poll::Pending
    }

    pub(super) fn noted(&mut self, stream: u32, note: Note) {
        let status = match note {
            Note::Started => Status::new(code::RECORD_START, "Recording."),
            Note::NoAccess => Status::error(code::RECORD_NO_ACCESS, "This name cannot be recorded."),
            Note::Failed => Status::error(code::RECORD_FAILED, "The stream is not recorded any further."),
        };
        self.session.notify(stream, &status);
        if let Some(Role::Publishes(publisher)) = self.role(stream) {
            publisher.is_recorded = note == Note::Started;
        }
    }

    /// The client ends its publication.
    pub(super) fn end_recording(&mut self, stream: u32) {
        if let Some(Role::Publishes(publisher)) = self.role(stream)
            && publisher.is_recorded
        {
            self.session.notify(stream, &Status::new(code::RECORD_STOP, "Recorded."));
        }
    }

    fn role(&mut self, stream: u32) -> Option<&mut Role> {
        self.streams.iter_mut().find(|own| own.id == stream).map(|own| &mut own.role)
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
