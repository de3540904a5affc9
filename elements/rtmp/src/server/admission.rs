//! May a client publish or play this? The one place that says so.
//!
//! The answer may take its time. Until then nothing more is read from the client: media that comes early waits in the network, which
//! bounds it, and is not lost. Players on the same connection go on.

use std::net::SocketAddr;

use millstream_core::env::BoxFuture;

use crate::Secret;
use crate::command::PublishType;

/// What a client wants to do with its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Publish(PublishType),
    Play,
}

/// A client that wants something.
#[derive(Debug)]
pub(super) struct Request {
    /// Its address.
    pub(super) peer: SocketAddr,
    /// Application, without its query.
    pub(super) app: String,
    /// Query of the application; empty without.
    #[expect(dead_code, reason = "for who decides by keys")]
    pub(super) app_query: Secret,
    /// Name of the stream, with its query.
    pub(super) name: Secret,
    pub(super) purpose: Purpose,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// The reason is for the client.
    Denied(&'static str),
}

/// Decides. To be polled where the client is served.
pub(super) fn admit(request: Request) -> BoxFuture<'static, Verdict> {
    Box::pin(async move {
        tracing::debug!(peer = %request.peer, app = %request.app, purpose = ?request.purpose, "asks");
        // A name that is none can be nobody's.
        let named = !request.name.reveal().split('?').next().unwrap_or_default().trim_matches('/').is_empty();
        if named { Verdict::Allowed } else { Verdict::Denied("The stream has no name.") }
    })
}
