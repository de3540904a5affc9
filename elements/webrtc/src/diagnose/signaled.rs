//! A stream of a signaling server, asked for as a client does: `play` or `publish`, `init`, `offer`, `answer` (`docs/spec/signaling.md`).

use millstream_core::{Env, Error};
use millstream_server::http::client::within;
use millstream_signaling::client::Credentials;
use millstream_signaling::message::{ClientMessage, ServerMessage};
use millstream_signaling::shell::remote::RemotePeer;

use super::{Reason, Try};

/// Asks for the stream and offers; the answer, and the peer that is to take leave.
pub(super) async fn ask(env: &Env, wanted: &Try, stream: &str, offer: String) -> Result<(String, RemotePeer), Reason> {
    let credentials = Credentials { identity: None, token: wanted.token.clone() };
    let peer = RemotePeer::at(env, &wanted.url, credentials);
    let stream = stream.to_owned();
    peer.say(&match wanted.publishes {
        true => ClientMessage::Publish { stream },
        false => ClientMessage::Play { stream },
    });
    let answered = converse(&peer, offer);
    let told = within(env, wanted.patience, "the signaling server", async { Ok(answered.await) }).await;
    match told {
        Ok(Ok(answer)) => Ok((answer, peer)),
        Ok(Err(reason)) => Err(reason),
        Err(error) => Err(Reason::Unreachable { error: error.to_string() }),
    }
}

async fn converse(peer: &RemotePeer, offer: String) -> Result<String, Reason> {
    loop {
        match &peer.hear().await.map_err(|error| ended(&error))?.message {
            ServerMessage::Init { session, .. } => {
                peer.say(&ClientMessage::Offer { session: Some(session.clone()), to: None, sdp: offer.clone() });
            }
            ServerMessage::Answer { sdp, .. } => return Ok(sdp.clone()),
            ServerMessage::Ended { message, reason, .. } => {
                let said = message.clone().unwrap_or_else(|| format!("the session has ended: {reason:?}"));
                // The words are those of our workers.
                let is_codec = said.contains("codec") || said.contains("in a form that can be sent");
                return Err(if is_codec { Reason::NoCodec { said } } else { Reason::Busy { said } });
            }
            ServerMessage::Error { message, .. } => return Err(Reason::Busy { said: message.clone() }),
            _ => {}
        }
    }
}

/// The server will not do: it refuses whoever comes like this, or is none.
fn ended(error: &Error) -> Reason {
    let said = error.to_string();
    match said.contains("token") || said.contains("allowed") || said.contains("key") {
        true => Reason::Token { said },
        false => Reason::Unreachable { error: said },
    }
}
