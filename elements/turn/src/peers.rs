//! Whom the server relays to.
//!
//! A relay is inside of networks that its clients do not reach (CVE-2020-26262 in coturn): by default it relays to public addresses only, whatever
//! dress a private one wears.

use std::net::IpAddr;

use millstream_server::redirect::Place;
use schemars::JsonSchema;
use serde::Deserialize;

/// Addresses that are not public, and that are relayed to nevertheless.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Allowed {
    /// Private networks and those shared by a provider's customers: 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7.
    Private,
    /// The link: 169.254/16, fe80::/10. Clouds have what describes their machines there.
    Link,
    /// This machine: 127/8, 0/8, ::1, ::.
    Loopback,
}

/// Whether the server relays to an address.
pub fn may_reach(address: IpAddr, allowed: &[Allowed]) -> bool {
    match Place::of(address) {
        Place::Public => true,
        Place::Private => allowed.contains(&Allowed::Private),
        Place::Link => allowed.contains(&Allowed::Link),
        Place::Machine => allowed.contains(&Allowed::Loopback),
        Place::Nowhere => false,
    }
}
