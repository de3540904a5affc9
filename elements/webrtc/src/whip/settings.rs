//! Settings of `whipserversrc`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hyper::header::HeaderValue;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{Result, Secret, TimeDelta};
use millstream_server::access::{AccessSettings, CallbackFormat, Keys, default_callback_timeout};
use millstream_server::http::{check_path, hyper};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ice::{IceServer, IceTransport, Ways};
use crate::receive::{About, DuplicatePolicy, check_codecs};
use crate::session::Codec;

/// Settings of `whipserversrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WhipServerSrcSettings {
    /// Address and port to listen at for HTTP. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Address and port to receive media at, by UDP; `0.0.0.0` stands for every address of the machine. Without it those of `listen`.
    /// Elements with the same one share it.
    #[serde(default)]
    pub udp: Option<SocketAddr>,
    /// Further addresses at which the machine is reached, behind a router that forwards the UDP port.
    #[serde(default)]
    pub advertise: Option<Vec<IpAddr>>,
    /// Servers of STUN and TURN through which this side is reached too: by the address that they see, or a relay, and that publishers are told of. With any ICE is done in full.
    #[serde(default)]
    pub ice_servers: Option<Vec<IceServer>>,
    /// Which ways this side is reached by.
    #[serde(default)]
    pub ice_transport: IceTransport,
    /// Application, the last part but one of the path: `live` in `http://host:8080/whip/live/cam`.
    #[serde(default = "default_app")]
    pub app: String,
    /// Name of the stream, the last part of the path.
    pub stream: String,
    /// Codecs that are accepted, of those that what is behind the pads takes. Without it all.
    #[serde(default)]
    pub codecs: Option<Vec<Codec>>,
    /// What happens to a second publisher.
    #[serde(default)]
    pub duplicate: DuplicatePolicy,
    /// Ends the stream when its publisher has left and not come back within `grace`; else waits for the next one.
    #[serde(default)]
    pub eos_on_unpublish: bool,
    /// How long a publisher that left may take to come back.
    #[serde(default = "default_grace")]
    pub grace: DurationSetting,
    /// Takes requests without `If-Match`, or in a session without its bearer token, for such that have the right one, as some clients need it.
    #[serde(default)]
    pub lenient: bool,
    /// Keys of who may publish, as bearer token or in the query: `?key=SECRET`. A list of keys for every stream, or a mapping from streams to a
    /// key or a list of keys. Without this and `keys-file` none is needed.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// A file with a stream and its key on each line, or a key for every stream. It is read again when it is needed, at most each second; one
    /// that cannot be read then leaves the last good keys in force.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
    /// URL that is asked before a client may publish, by POST: 2xx allows, everything else refuses, and so does no answer.
    #[serde(default)]
    pub on_publish: Option<Secret>,
    /// URL that is told when such a client has ended, in whatever way.
    #[serde(default)]
    pub on_unpublish: Option<Secret>,
    /// How both are posted to.
    #[serde(default)]
    pub callback_format: CallbackFormat,
    /// How long both may take.
    #[serde(default = "default_callback_timeout")]
    pub callback_timeout: DurationSetting,
}

/// Default of `listen`.
pub(crate) fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

/// Default of `app`.
pub(crate) fn default_app() -> String {
    "live".to_owned()
}

pub(crate) fn default_grace() -> DurationSetting {
    DurationSetting::from_secs(5)
}

impl WhipServerSrcSettings {
    pub(super) fn check(&self) -> Result<()> {
        check_path(&self.path(), "/whip/live/cam").map_err(|error| error.on_property("stream"))?;
        check_codecs(self.codecs.as_deref())?;
        self.links()?;
        self.ice_transport.check(self.ice_servers.as_deref())?;
        self.access().check("on-publish", "on-unpublish")
    }

    pub(super) fn path(&self) -> String {
        format!("/whip/{}/{}", self.app.trim_matches('/'), self.stream)
    }

    pub(super) fn about(&self) -> About {
        let stream = format!("{}/{}", self.app.trim_matches('/'), self.stream);
        let grace = self.eos_on_unpublish.then(|| TimeDelta::from_nanos(self.grace.as_nanos()));
        About { element: super::NAME, stream, grace }
    }

    /// Where the page that publishes is.
    pub(super) fn page(&self) -> String {
        format!("/publish/{}/{}", self.app.trim_matches('/'), self.stream)
    }

    pub(super) fn ways(&self) -> Ways {
        Ways::new(self.ice_servers.as_deref(), self.ice_transport, self.advertise.as_deref())
    }

    pub(super) fn links(&self) -> Result<Vec<HeaderValue>> {
        self.ice_servers.iter().flatten().map(IceServer::link).collect()
    }

    /// Where media are received, for a listener that is at `local`.
    pub(super) fn udp_at(&self, local: SocketAddr) -> SocketAddr {
        self.udp.unwrap_or(local)
    }

    pub(super) fn access(&self) -> AccessSettings {
        AccessSettings {
            keys: self.keys.clone(),
            keys_file: self.keys_file.clone(),
            on_begin: self.on_publish.clone(),
            on_end: self.on_unpublish.clone(),
            format: self.callback_format,
            timeout: self.callback_timeout,
        }
    }
}
