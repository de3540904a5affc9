//! Where a signaling server is found, which elements have in common.

use std::net::{Ipv4Addr, SocketAddr};

use millstream_core::{Env, Error, Result, Secret, TimeDelta};
use millstream_server::http::{Server, check_path};
use millstream_signaling::client::Credentials;

use crate::whip::default_listen;

/// How long a server in this process may take to start. Elements of a pipeline start together.
pub(super) const PATIENCE: TimeDelta = TimeDelta::from_secs(10);

/// Longest name of a stream or room that signaling carries, in bytes and characters.
const MAX_STREAM: usize = 256;
const MAX_ROOM: usize = 64;

/// Of a server in this process.
const PATH: &str = "/signal";

/// Every address of the machine, and any port.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Where a server is, as the settings of an element say it.
pub(super) struct At<'a> {
    pub(super) listen: Option<SocketAddr>,
    pub(super) path: Option<&'a str>,
    pub(super) signaling: Option<&'a str>,
    pub(super) identity: Option<&'a str>,
    pub(super) token: Option<&'a Secret>,
}

/// Where a server is.
pub(super) enum Place {
    /// In this process, with the same `listen` and `path`.
    Here { listen: SocketAddr, path: String },
    /// At a URL.
    There { url: String, credentials: Credentials },
}

impl At<'_> {
    pub(super) fn check(&self) -> Result<()> {
        if let Some(path) = self.path {
            check_path(path, PATH).map_err(|error| error.on_property("path"))?;
        }
        let Some(url) = self.signaling else {
            let lone = [("identity", self.identity.is_some()), ("token", self.token.is_some())];
            return match lone.into_iter().find(|(_, is_there)| *is_there) {
                Some((property, _)) => {
                    let error = Error::settings("an element in the process of its signaling server needs no proof");
                    Err(error.on_property(property).hint("leave it out, or name the server with `signaling`"))
                }
                None => Ok(()),
            };
        };
        if self.listen.is_some() || self.path.is_some() {
            let error = Error::settings("the signaling server is named twice").on_property("signaling");
            return Err(error.hint(
                "`listen` and `path` name one in this process, `signaling` one elsewhere: leave one of both out",
            ));
        }
        let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':']);
        let is_url = ["ws://", "wss://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(has_host));
        if !is_url || url.contains(['?', '#', '@']) {
            let error = Error::settings("this is no URL of a signaling server").on_property("signaling");
            return Err(
                error.hint("write wss://HOST/signal, without a query: what proves the identity is said as `token`")
            );
        }
        Ok(())
    }

    /// After a check.
    pub(super) fn place(&self) -> Place {
        match self.signaling {
            Some(url) => {
                let (identity, token) = (self.identity.map(str::to_owned), self.token.cloned());
                Place::There { url: url.to_owned(), credentials: Credentials { identity, token } }
            }
            None => Place::Here {
                listen: self.listen.unwrap_or_else(default_listen),
                path: self.path.unwrap_or(PATH).to_owned(),
            },
        }
    }
}

impl Place {
    /// The listener in this process, and where media go unless `udp` says it.
    pub(super) fn open(&self, env: &Env) -> Result<(Option<std::sync::Arc<Server>>, SocketAddr)> {
        Ok(match self {
            Self::Here { listen, .. } => {
                let server = Server::at(env, *listen)?;
                let local = server.local();
                (Some(server), local)
            }
            Self::There { .. } => (None, ANYWHERE),
        })
    }
}

/// Looks at the names that all of them have.
pub(super) fn check(stream: &str, room: Option<&str>) -> Result<()> {
    let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_plain(stream) || stream.len() > MAX_STREAM || stream.contains('*') {
        let error = Error::settings(format!("a stream has a name of 1 to {MAX_STREAM} bytes, without `*`"));
        return Err(error.on_property("stream").hint("write stream=cam"));
    }
    if room.is_some_and(|room| !is_plain(room) || room.chars().count() > MAX_ROOM) {
        let error = Error::settings(format!("a room has a name of 1 to {MAX_ROOM} characters"));
        return Err(error.on_property("room").hint("write room=lobby, or leave it out"));
    }
    Ok(())
}

/// Nobody is there.
pub(super) fn no_server(listen: SocketAddr, path: &str) -> Error {
    Error::settings(format!("there is no signaling server at {listen} with the path {path} in this process"))
        .on_property("listen")
        .hint("add `signalingserver` with the same `listen` and `path` to this pipeline, or to one that runs with it, or name one elsewhere with `signaling`")
}
