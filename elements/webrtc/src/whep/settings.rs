//! Settings of `whepserversink`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hyper::header::HeaderValue;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{Result, Secret};
use millstream_server::access::{AccessSettings, CallbackFormat, Keys, default_callback_timeout};
use millstream_server::http::{check_path, hyper};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ice::{IceServer, IceTransport, Ways};
use crate::send::{Adapt, Repair};
use crate::whip::{default_app, default_listen};

/// Settings of `whepserversink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WhepServerSinkSettings {
    /// Address and port to listen at for HTTP. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Address and port to send media from, by UDP; `0.0.0.0` stands for every address of the machine. Without it those of `listen`.
    /// Elements with the same one share it.
    #[serde(default)]
    pub udp: Option<SocketAddr>,
    /// Further addresses at which the machine is reached, behind a router that forwards the UDP port.
    #[serde(default)]
    pub advertise: Option<Vec<IpAddr>>,
    /// Servers of STUN and TURN through which this side is reached too: by the address that they see, or a relay, and that viewers are told of. With any ICE is done in full.
    #[serde(default)]
    pub ice_servers: Option<Vec<IceServer>>,
    /// Which ways this side is reached by.
    #[serde(default)]
    pub ice_transport: IceTransport,
    /// Application, the last part but one of the path: `live` in `http://host:8080/whep/live/cam`.
    #[serde(default = "default_app")]
    pub app: String,
    /// Name of the stream, the last part of the path.
    pub stream: String,
    /// What becomes of a stream with B-frames or AAC.
    #[serde(default)]
    pub repair: Repair,
    /// Whose network decides the bitrate that an encoder upstream is asked for. A viewer that comes decides nothing in its first seconds.
    #[serde(default)]
    pub adapt: Adapt,
    /// Gives viewers that join the group of pictures that has begun, so that they see something at once. Without it they wait for the next
    /// key frame.
    #[serde(default = "yes")]
    pub gop_cache: bool,
    /// Shows the stream on the listener's watch page, and names it at `/readyz`.
    #[serde(default = "yes")]
    pub listed: bool,
    /// Most viewers at a time. One more is refused.
    #[schemars(range(min = 1))]
    #[serde(default = "default_max_viewers")]
    pub max_viewers: u32,
    /// Takes requests without `If-Match`, or in a session without its bearer token, for such that have the right one, as some clients need it.
    #[serde(default)]
    pub lenient: bool,
    /// Keys of who may play, as bearer token or in the query: `?key=SECRET`. A list of keys for every stream, or a mapping from streams to a
    /// key or a list of keys. Without this and `keys-file` none is needed.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// A file with a stream and its key on each line, or a key for every stream. It is read again when it is needed, at most each second; one
    /// that cannot be read then leaves the last good keys in force.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
    /// URL that is asked before a client may play, by POST: 2xx allows, everything else refuses, and so does no answer.
    #[serde(default)]
    pub on_play: Option<Secret>,
    /// URL that is told when such a client has ended, in whatever way.
    #[serde(default)]
    pub on_stop: Option<Secret>,
    /// How both are posted to.
    #[serde(default)]
    pub callback_format: CallbackFormat,
    /// How long both may take.
    #[serde(default = "default_callback_timeout")]
    pub callback_timeout: DurationSetting,
}

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn default_max_viewers() -> u32 {
    1000
}

impl WhepServerSinkSettings {
    pub(super) fn check(&self) -> Result<()> {
        check_path(&self.path(), "/whep/live/cam").map_err(|error| error.on_property("stream"))?;
        self.links()?;
        self.ice_transport.check(self.ice_servers.as_deref())?;
        self.access().check("on-play", "on-stop")
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.app.trim_matches('/'), self.stream)
    }

    pub(super) fn path(&self) -> String {
        format!("/whep/{}", self.name())
    }

    pub(super) fn ways(&self) -> Ways {
        Ways::new(self.ice_servers.as_deref(), self.ice_transport, self.advertise.as_deref())
    }

    pub(super) fn links(&self) -> Result<Vec<HeaderValue>> {
        self.ice_servers.iter().flatten().map(IceServer::link).collect()
    }

    pub(super) fn access(&self) -> AccessSettings {
        AccessSettings {
            keys: self.keys.clone(),
            keys_file: self.keys_file.clone(),
            on_begin: self.on_play.clone(),
            on_end: self.on_stop.clone(),
            format: self.callback_format,
            timeout: self.callback_timeout,
        }
    }
}
