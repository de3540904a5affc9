//! A peer, wherever the server is.

use std::sync::Arc;

use millstream_core::Result;

use super::hub::LocalPeer;
use super::remote::RemotePeer;
use crate::message::{ClientMessage, Envelope};

/// A peer of a server in this process, or elsewhere. It leaves when it goes.
pub enum Peer {
    /// In this process.
    Local(LocalPeer),
    /// Elsewhere.
    Remote(RemotePeer),
}

impl Peer {
    /// Says something.
    pub fn say(&self, message: ClientMessage) {
        match self {
            Self::Local(peer) => peer.say(message),
            Self::Remote(peer) => peer.say(&message),
        }
    }

    /// The next message; nothing when a server in this process has gone. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// Those of [`RemotePeer::hear`].
    pub async fn hear(&self) -> Result<Option<Arc<Envelope>>> {
        match self {
            Self::Local(peer) => Ok(peer.hear().await),
            Self::Remote(peer) => peer.hear().await.map(Some),
        }
    }

    /// Says good-bye, and waits until it is heard, for a while.
    pub async fn leave(self) {
        match self {
            Self::Local(peer) => peer.say(ClientMessage::Bye {}),
            Self::Remote(peer) => peer.leave().await,
        }
    }
}
