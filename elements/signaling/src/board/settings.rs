//! Limits of a board.

use std::fmt;
use std::sync::Arc;

use millstream_core::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::{IceServer, Policy};

/// What happens when an identity comes that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// The older one goes.
    #[default]
    Replace,
    /// The newer one is refused.
    Refuse,
    /// Both are there.
    Allow,
}

/// The relays that there are for an identity at a time, in seconds since 1970, with credentials.
type Offer = dyn Fn(&str, i64) -> Vec<IceServer> + Send + Sync;

/// Says which relays there are.
#[derive(Clone, Default)]
pub struct RelayInfo(Option<Arc<Offer>>);

impl RelayInfo {
    /// As this says.
    pub fn new(offer: impl Fn(&str, i64) -> Vec<IceServer> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(offer)))
    }

    pub(super) fn for_whom(&self, identity: &str, unix: i64) -> Vec<IceServer> {
        self.0.as_ref().map(|offer| offer(identity, unix)).unwrap_or_default()
    }
}

impl fmt::Debug for RelayInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayInfo")
    }
}

/// What a board is told. The constants are those of `docs/spec/signaling.md`, which has their reasons.
#[derive(Clone, Debug)]
pub struct BoardSettings {
    /// Peers at a time.
    pub max_peers: usize,
    /// Members of a room.
    pub room_size: usize,
    /// One identity twice.
    pub duplicates: Duplicates,
    /// How long a peer may be away.
    pub resume_time: TimeDelta,
    /// How long a call rings.
    pub ring_time: TimeDelta,
    /// How long a connection may wait with its hello.
    pub hello_time: TimeDelta,
    /// How long a worker may wait with its init.
    pub init_time: TimeDelta,
    /// What clients may use to reach others, beside what `relays` says.
    pub ice_servers: Vec<IceServer>,
    /// Makes credentials of relays.
    pub relays: RelayInfo,
    /// What rooms prefer to begin with.
    pub policy: Policy,
}

impl Default for BoardSettings {
    fn default() -> Self {
        Self {
            max_peers: 10_000,
            room_size: 16,
            duplicates: Duplicates::default(),
            resume_time: TimeDelta::from_secs(30),
            ring_time: TimeDelta::from_secs(30),
            hello_time: TimeDelta::from_secs(10),
            init_time: TimeDelta::from_secs(10),
            ice_servers: Vec::new(),
            relays: RelayInfo::default(),
            policy: Policy::default(),
        }
    }
}
