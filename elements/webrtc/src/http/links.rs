//! Servers of STUN and TURN that clients are told of (RFC 9725, 4.6).

use hyper::header::HeaderValue;
use millstream_core::{Error, Result, Secret};
use millstream_server::http::hyper;
use schemars::JsonSchema;
use serde::Deserialize;

/// A server of STUN or TURN that clients are told of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IceServer {
    /// Its URL: `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`.
    pub url: String,
    /// User name for TURN.
    #[serde(default)]
    pub username: Option<String>,
    /// Password for TURN.
    #[serde(default)]
    pub credential: Option<Secret>,
}

impl IceServer {
    /// The value of a `Link` header.
    ///
    /// # Errors
    /// When it is no server of STUN or TURN.
    pub fn link(&self) -> Result<HeaderValue> {
        let is_known = ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| self.url.starts_with(scheme));
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte));
        let words = [Some(self.url.as_str()), self.username.as_deref(), self.credential.as_ref().map(Secret::reveal)];
        if !is_known || !words.into_iter().flatten().all(is_plain) {
            let error =
                Error::settings(format!("`{}` is no server of STUN or TURN", self.url)).on_property("ice-servers");
            return Err(error.hint("write `stun:HOST:PORT` or `turn:HOST:PORT?transport=udp`"));
        }
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
}
