//! Limits of a server.

use std::net::IpAddr;

use crate::peers::Allowed;

/// What a server is told.
#[derive(Clone, PartialEq, Debug)]
pub struct TurnSettings {
    /// Whose credentials it takes.
    pub realm: String,
    /// Longest lifetime of an allocation in seconds. Clients refresh it.
    pub max_lifetime: u32,
    /// How long a nonce is good, in seconds.
    pub nonce_seconds: i64,
    /// Allocations of one user at a time.
    pub user_quota: usize,
    /// Allocations at a time.
    pub total_quota: usize,
    /// What is relayed to beside public addresses.
    pub allowed: Vec<Allowed>,
    /// Addresses that relays may have: a family for which there is none is refused.
    pub families: Vec<IpAddr>,
}
