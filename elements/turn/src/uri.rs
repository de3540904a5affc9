//! `stun:` and `turn:` (RFC 7064, RFC 7065).
//!
//! ```text
//! stun:HOST[:PORT]
//! turn:HOST[:PORT][?transport=udp|tcp]
//! ```

use std::fmt;
use std::net::Ipv6Addr;

use crate::server::Transport;

/// Where servers are if nothing is said (RFC 8489, 18.6).
const PORT: u16 = 3478;
/// The same over TLS.
const SECURE_PORT: u16 = 5349;

/// Longest name of a host (RFC 1035, 2.3.4).
const MAX_HOST: usize = 255;

/// What a server is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// It tells one's address.
    Stun,
    /// It relays.
    Turn,
}

/// A server of STUN or TURN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri {
    /// What for.
    pub scheme: Scheme,
    /// `stuns:`, `turns:`.
    pub is_secure: bool,
    /// Name or address, that of IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How it is reached.
    pub transport: Transport,
}

/// Why text is no such URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UriError {
    /// It begins with something else.
    #[error("it begins neither with `stun:` nor with `turn:`")]
    Scheme,
    /// There is no host, or none that can be.
    #[error("it has no host")]
    Host,
    /// The port is none.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// Something else than `transport=udp` or `transport=tcp` follows.
    #[error("behind its `?` there is neither `transport=udp` nor `transport=tcp`")]
    Transport,
}

impl Uri {
    /// Reads one. What many write, `stun://host`, is taken too.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let (scheme, is_secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (Scheme::Stun, false),
            "stuns" => (Scheme::Stun, true),
            "turn" => (Scheme::Turn, false),
            "turns" => (Scheme::Turn, true),
            _ => return Err(UriError::Scheme),
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let transport = match (scheme, query) {
            (Scheme::Turn, None) if is_secure => Transport::Tcp,
            (_, None) | (Scheme::Turn, Some("transport=udp")) => Transport::Udp,
            (Scheme::Turn, Some("transport=tcp")) => Transport::Tcp,
            _ => return Err(UriError::Transport),
        };
        let (host, port) = host_and_port(place)?;
        let port = port.unwrap_or(if is_secure { SECURE_PORT } else { PORT });
        Ok(Self { scheme, is_secure, host, port, transport })
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), UriError> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0).ok_or(UriError::Port);
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        host.parse::<Ipv6Addr>().map_err(|_| UriError::Host)?;
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host.to_owned(), None)),
            (_, Some(text)) => Ok((host.to_owned(), Some(port(text)?))),
            _ => Err(UriError::Port),
        };
    }
    let (host, port) = match place.split_once(':') {
        Some((host, text)) => (host, Some(port(text)?)),
        None => (place, None),
    };
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    match !host.is_empty() && host.len() <= MAX_HOST && is_plain {
        true => Ok((host.to_owned(), port)),
        false => Err(UriError::Host),
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Turn { "turn" } else { "stun" };
        let s = if self.is_secure { "s" } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}{s}:{open}{}{close}:{}", self.host, self.port)?;
        match (self.scheme, self.transport) {
            (Scheme::Stun, _) => Ok(()),
            (_, Transport::Udp) => write!(f, "?transport=udp"),
            (_, Transport::Tcp) => write!(f, "?transport=tcp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_1_uris_are_those_of_rfc_7064_and_7065() {
        for (text, written) in [
            // RFC 7064, B; RFC 7065, B
            ("stun:example.org", "stun:example.org:3478"),
            ("stuns:example.org", "stuns:example.org:5349"),
            ("stun:example.org:8000", "stun:example.org:8000"),
            ("turn:example.org", "turn:example.org:3478?transport=udp"),
            ("turns:example.org", "turns:example.org:5349?transport=tcp"),
            ("turn:example.org:8000?transport=tcp", "turn:example.org:8000?transport=tcp"),
            ("turn:[2001:db8::1]:9?transport=udp", "turn:[2001:db8::1]:9?transport=udp"),
            ("TURN://192.0.2.1", "turn:192.0.2.1:3478?transport=udp"),
        ] {
            assert_eq!(Uri::read(text).map(|uri| uri.to_string()), Ok(written.to_owned()), "{text}");
        }
        for (text, error) in [
            ("http://example.org", UriError::Scheme),
            ("example.org", UriError::Scheme),
            ("stun:", UriError::Host),
            ("stun:a b", UriError::Host),
            ("stun:user@example.org", UriError::Host),
            ("stun:[example.org]", UriError::Host),
            ("stun:a:0", UriError::Port),
            ("stun:a:x", UriError::Port),
            ("stun:[::1]9", UriError::Port),
            ("stun:a?transport=udp", UriError::Transport),
            ("turn:a?transport=sctp", UriError::Transport),
        ] {
            assert_eq!(Uri::read(text), Err(error), "{text}");
        }
    }
}
