//! Servers of STUN and TURN: found through by this side, and told to clients (RFC 9725, 4.6).

use hyper::header::HeaderValue;
use millstream_core::{Error, Result, Secret};
use millstream_server::http::hyper;
use millstream_turn::uri::{Scheme, Uri};
use schemars::JsonSchema;
use serde::Deserialize;

/// A server of STUN or TURN.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IceServer {
    /// Its URL: `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp` or `?transport=tcp`. With `stuns:` and `turns:`, over TLS, for clients only.
    pub url: String,
    /// User name for TURN.
    #[serde(default)]
    pub username: Option<String>,
    /// Password for TURN.
    #[serde(default)]
    pub credential: Option<Secret>,
    /// Clients are told of it, where they are told of any; this side does not use it.
    #[serde(default)]
    pub client_only: bool,
}

/// Which ways this side is reached by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IceTransport {
    /// All that there are.
    #[default]
    All,
    /// Relays of `ice-servers` only: the other end does not learn where this one is.
    Relay,
}

impl IceServer {
    /// The value of a `Link` header.
    ///
    /// # Errors
    /// When it is no server of STUN or TURN.
    pub fn link(&self) -> Result<HeaderValue> {
        self.check()?;
        let mut link = format!("<{}>; rel=\"ice-server\"", self.url);
        if let Some(username) = &self.username {
            link += &format!("; username=\"{username}\"");
        }
        if let Some(credential) = &self.credential {
            link += &format!("; credential=\"{}\"; credential-type=\"password\"", credential.reveal());
        }
        let value = HeaderValue::try_from(link).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        value.map_err(|_| Error::settings("a server of STUN or TURN cannot be written").on_property("ice-servers"))
    }

    fn check(&self) -> Result<Uri> {
        let refused = |why: &str| {
            let error = Error::settings(format!("`{}` is no server of STUN or TURN: {why}", self.url));
            error.on_property("ice-servers").hint("write `stun:HOST:PORT` or `turn:HOST:PORT?transport=udp`")
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte));
        let words = [Some(self.url.as_str()), self.username.as_deref(), self.credential.as_ref().map(Secret::reveal)];
        if !words.into_iter().flatten().all(is_plain) {
            return Err(refused("it has a space, quotes or `<>`"));
        }
        Uri::read(&self.url).map_err(|error| refused(&error.to_string()))
    }

    /// Where it is, if this side uses it.
    ///
    /// # Errors
    /// When it is no server of STUN or TURN.
    pub fn used(&self) -> Result<Option<Uri>> {
        let uri = self.check()?;
        Ok((!self.client_only && !uri.is_secure).then_some(uri))
    }

    /// User name and password.
    pub(crate) fn credentials(&self) -> Option<(String, Secret)> {
        self.username.clone().zip(self.credential.clone())
    }
}

impl IceTransport {
    /// Looks at both settings of an element.
    ///
    /// # Errors
    /// When a server is none, or relays only are wanted and there is none.
    pub fn check(self, servers: Option<&[IceServer]>) -> Result<()> {
        let mut relays = false;
        for server in servers.into_iter().flatten() {
            relays |= server.used()?.is_some_and(|uri| uri.scheme == Scheme::Turn);
        }
        if self == Self::Relay && !relays {
            let error = Error::settings("relays only are wanted, and there is none").on_property("ice-transport");
            return Err(error.hint("name one in `ice-servers`: `turn:HOST:PORT`, with `username` and `credential`"));
        }
        Ok(())
    }
}
