//! Settings that clients have, declared once.

use millstream_core::settings::units::DurationSetting;
use millstream_core::{Error, Result, Secret};
use millstream_server::http::client::Request;
use millstream_server::http::hyper::header::HeaderValue;

/// Declares a settings struct that begins with a `location`, with those of a connection behind that, and `fn endpoint(&self)`.
macro_rules! client_settings {
    ($(#[$meta:meta])* pub struct $name:ident { $(#[$doc:meta])* pub location: Secret, $($own:tt)* }) => {
        $(#[$meta])*
        pub struct $name {
            $(#[$doc])*
            pub location: millstream_core::Secret,
            /// Key that the server wants, as bearer token (RFC 6750). It goes to where the server leads, too.
            #[serde(default)]
            pub token: Option<millstream_core::Secret>,
            /// Address and port of this machine for media, by UDP; `0.0.0.0` stands for every address, port 0 for any. Without it every address of
            /// the kind that the server has.
            #[serde(default)]
            pub udp: Option<std::net::SocketAddr>,
            /// Servers of STUN and TURN that this side is reached through, too. Without any, those that the server told of with the last session, by UDP.
            #[serde(default)]
            pub ice_servers: Option<Vec<crate::ice::IceServer>>,
            /// Which ways this side is reached by: all, or relays of `ice-servers` only.
            #[serde(default)]
            pub ice_transport: crate::ice::IceTransport,
            /// Where the server may lead, by a redirect or with the address of the session; `public` when left out. Nothing but `any` leads away
            /// from TLS.
            #[serde(default)]
            pub redirect: millstream_server::redirect::Redirects,
            /// How long the server may take to answer.
            #[serde(default = "crate::client::settings::default_timeout")]
            pub timeout: millstream_core::settings::units::DurationSetting,
            /// Takes answers with another status than 201, of another type than `application/sdp`, and without the address of a session, as some
            /// servers give them. A session without an address is left without a word.
            #[serde(default)]
            pub lenient: bool,
            $($own)*
        }

        impl $name {
            fn endpoint(&self) -> millstream_core::Result<crate::client::exchange::Endpoint> {
                self.ice_transport.check(self.ice_servers.as_deref())?;
                let (request, token) =
                    crate::client::settings::check(&self.location, self.token.as_ref(), self.timeout)?;
                Ok(crate::client::exchange::Endpoint {
                    request: request.redirects(self.redirect),
                    token,
                    secrets: crate::client::settings::secrets(&self.location, self.token.as_ref()),
                    patience: millstream_core::TimeDelta::from_nanos(self.timeout.as_nanos()),
                    lenient: self.lenient,
                })
            }

            fn caller(&self, env: millstream_core::Env) -> millstream_core::Result<crate::client::Caller> {
                let ways = crate::ice::Ways::new(self.ice_servers.as_deref(), self.ice_transport, None);
                Ok(crate::client::Caller::new(self.endpoint()?, self.udp, ways, env))
            }
        }
    };
}

pub(super) use client_settings;

pub(super) fn default_timeout() -> DurationSetting {
    DurationSetting::from_secs(10)
}

/// Looks at what both have.
pub(super) fn check(
    location: &Secret,
    token: Option<&Secret>,
    timeout: DurationSetting,
) -> Result<(Request, Option<HeaderValue>)> {
    if timeout.as_nanos() <= 0 {
        let error = Error::settings("`timeout` is 0").on_property("timeout");
        return Err(error.hint("write a time such as 10s"));
    }
    let request = Request::get(location.reveal()).map_err(|error| error.on_property("location"))?;
    Ok((request, token.map(bearer).transpose()?))
}

/// Longest part of a path that is no key.
const MAX_WORD: usize = 8;

/// What is not to be told again, should the server say it: token, query, and parts of the path that may be keys.
pub(super) fn secrets(location: &Secret, token: Option<&Secret>) -> Vec<Secret> {
    let (path, query) = location.reveal().split_once('?').unwrap_or((location.reveal(), ""));
    let values = query.split('&').filter_map(|one| one.split_once('=').map(|(_, value)| value));
    let parts = path.split('/').skip(3).filter(|part| part.len() > MAX_WORD);
    let mut all: Vec<Secret> = token.into_iter().cloned().collect();
    all.extend([query].into_iter().chain(values).chain(parts).filter(|one| !one.is_empty()).map(Secret::from));
    all
}

/// `Authorization` of a token (RFC 6750, 2.1).
fn bearer(token: &Secret) -> Result<HeaderValue> {
    let token = token.reveal();
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| is_plain);
    let mut value = value.ok_or_else(|| {
        let error = Error::settings("a bearer token has letters, digits and signs of ASCII only, and no spaces");
        error.on_property("token")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
