//! Limits of a board.

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

/// What a board is told. The constants are those of `docs/spec/signaling.md`, which has their reasons.
#[derive(Clone, PartialEq, Debug)]
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
    /// What clients may use to reach others.
    pub ice_servers: Vec<IceServer>,
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
            policy: Policy::default(),
        }
    }
}
