//! Servers of STUN and TURN: found through by this side, and told to clients (RFC 9725, 4.6).

use hyper::header::{self, HeaderMap, HeaderValue};
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

/// Most servers that are taken of a response.
const MAX_SERVERS: usize = 16;

impl IceServer {
    /// Those that a response tells of, in `Link` headers of `rel="ice-server"` (RFC 8288, RFC 9725 4.6). What is none of STUN or TURN is left out.
    pub fn of(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(Self::of_value).take(MAX_SERVERS).collect()
    }

    /// Those of one `Link` header.
    pub fn of_value(value: &str) -> impl Iterator<Item = Self> {
        parts(value, ',').into_iter().filter_map(Self::of_link)
    }

    fn of_link(link: &str) -> Option<Self> {
        let (url, rest) = link.trim_start().strip_prefix('<')?.split_once('>')?;
        let parameter = |name: &str| {
            let one = parts(rest, ';').into_iter().find_map(|one| {
                let (key, value) = one.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
            })?;
            let quoted = one.strip_prefix('"').and_then(|one| one.strip_suffix('"'));
            Some(quoted.map_or_else(|| one.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\")))
        };
        let is_its = parameter("rel")?.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("ice-server"));
        let credential = parameter("credential").map(Secret::from);
        let server = Self { url: url.to_owned(), username: parameter("username"), credential, client_only: false };
        (is_its && server.link().is_ok()).then_some(server)
    }

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

/// Parts of a text at a sign, but not within quotes or angle brackets (RFC 8288, 3).
fn parts(text: &str, at: char) -> Vec<&str> {
    let (mut all, mut begin, mut quoted, mut escaped, mut inside) = (Vec::new(), 0, false, false, false);
    for (index, one) in text.char_indices() {
        match one {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !inside => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            _ if one == at && !quoted && !inside => {
                all.extend(text.get(begin..index));
                begin = index + one.len_utf8();
            }
            _ => {}
        }
    }
    all.extend(text.get(begin..));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whip_6_servers_of_stun_and_turn_are_read_of_link_headers() {
        // RFC 9725, 4.6, figure 8, and what else links may be.
        let headers = HeaderMap::from_iter(
            [
                "<stun:stun.example.net>; rel=\"ice-server\"",
                "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"user\"; credential=\"myPassword\"; \
                 credential-type=\"password\", <turns:turn.example.net?transport=tcp>; rel=ice-server; username=\"a;b,c\"; credential=p",
                "<https://example.net/>; rel=\"ice-server\", <stun:other>; rel=\"next\", nonsense, <stun:x",
            ]
            .map(|link| (header::LINK, HeaderValue::from_static(link))),
        );
        let seen = IceServer::of(&headers);
        let words: Vec<_> = seen
            .iter()
            .map(|one| (one.url.as_str(), one.username.as_deref(), one.credential.as_ref().map(Secret::reveal)))
            .collect();
        assert_eq!(
            words,
            [
                ("stun:stun.example.net", None, None),
                ("turn:turn.example.net?transport=udp", Some("user"), Some("myPassword")),
                ("turns:turn.example.net?transport=tcp", Some("a;b,c"), Some("p")),
            ]
        );
        let again: HeaderMap = seen.iter().map(|one| (header::LINK, one.link().unwrap())).collect();
        assert_eq!(IceServer::of(&again), seen);
    }
}
