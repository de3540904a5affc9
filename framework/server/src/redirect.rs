//! Where a server may lead its client: by a redirect, or by asking it to move.
//!
//! Whoever runs a server chooses these addresses, and the client is inside of networks that the server does not reach: a redirect to
//! `169.254.169.254` or to a database at 127.0.0.1 would make the client its hands. What counts is the address that is connected to, and not
//! the name, which may have another one the next time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::Deserialize;

/// Where the server may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// Nowhere.
    None,
    /// To the host of the URL only: other ports and paths of it.
    SameHost,
    /// To public addresses, and to those of the kind that the server itself has: a server of a private network may lead to another one of
    /// private networks, but not to this machine.
    #[default]
    Public,
    /// Anywhere.
    Any,
}

/// Where an address is, seen from a client (the registries of RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anybody's.
    Public,
    /// Of a private network, or shared by the customers of a provider.
    Private,
    /// Of the link, where clouds have what describes their machines.
    Link,
    /// This machine.
    Machine,
    /// No machine's at all, such as multicast.
    Nowhere,
}

impl Place {
    /// Where an address is.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // Systems connect to 0.0.0.0 as to themselves.
            [0 | 127, ..] => Self::Machine,
            [169, 254, ..] => Self::Link,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            // Providers' (RFC 6598), protocols' (RFC 6890) and benchmarks' (RFC 2544).
            [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] => Self::Private,
            [224..=255, ..] => Self::Nowhere,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let segments = address.segments();
        let v4 = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match segments {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Machine,
            // IPv4 in another dress: mapped (RFC 4291), translated (RFC 6052), tunnelled (RFC 3056).
            [0, 0, 0, 0, 0, 0 | 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => v4(high, low),
            [0x2002, high, low, ..] => v4(high, low),
            [0x64, 0xFF9B, 1, ..] => Self::Private,
            [0xFE80..=0xFEBF, ..] => Self::Link,
            // Unique local (RFC 4193), and what was site local.
            [0xFC00..=0xFDFF | 0xFEC0..=0xFEFF, ..] => Self::Private,
            // Teredo hides an address of IPv4; multicast.
            [0x2001, 0, ..] | [0xFF00..=0xFFFF, ..] => Self::Nowhere,
            _ => Self::Public,
        }
    }

    /// As a word of an error.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Link => "an address of the link",
            Self::Machine => "this machine",
            Self::Nowhere => "no address of a machine",
        }
    }
}

impl Redirects {
    /// Whether a client of a server at `from`, as far as that is known, may be led to `to`.
    pub fn allows(self, from: Option<IpAddr>, to: IpAddr) -> bool {
        match self {
            Self::None | Self::SameHost => false,
            Self::Public => {
                let place = Place::of(to);
                place == Place::Public || from.is_some_and(|from| Place::of(from) == place)
            }
            Self::Any => true,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SameHost => "same-host",
            Self::Public => "public",
            Self::Any => "any",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::of(text.parse().unwrap())
    }

    #[test]
    fn sec_addresses_are_where_the_registries_say() {
        for (expected, addresses) in [
            (Place::Public, "1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 11.0.0.1 2606:4700::1111"),
            (
                Place::Private,
                "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.9.9 198.18.0.1 192.0.0.8",
            ),
            (Place::Private, "fd00::1 fc00::1 fec0::1 ::ffff:10.0.0.1 64:ff9b::192.168.0.1 2002:a00:1:: 64:ff9b:1::1"),
            (Place::Link, "169.254.169.254 fe80::1 febf::1 ::ffff:169.254.169.254 2002:a9fe:a9fe::1"),
            (Place::Machine, "127.0.0.1 127.9.9.9 0.0.0.0 0.1.2.3 ::1 :: ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1"),
            (Place::Nowhere, "224.0.0.1 239.1.2.3 255.255.255.255 240.0.0.1 ff02::1 2001:0:1::1"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(place(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn sec_a_server_leads_to_public_addresses_and_to_its_own_kind() {
        let allows = |from: &str, to: &str| Redirects::Public.allows(from.parse().ok(), to.parse().unwrap());
        assert!(allows("1.1.1.1", "8.8.8.8") && allows("10.0.0.1", "8.8.8.8") && allows("10.0.0.1", "192.168.0.1"));
        assert!(allows("127.0.0.1", "::1") && allows("?", "8.8.8.8"));
        assert!(!allows("1.1.1.1", "10.0.0.1") && !allows("10.0.0.1", "127.0.0.1") && !allows("?", "10.0.0.1"));
        assert!(!allows("127.0.0.1", "169.254.169.254") && !allows("10.0.0.1", "169.254.169.254"));
        for policy in [Redirects::None, Redirects::SameHost] {
            assert!(!policy.allows(Some([1, 1, 1, 1].into()), [1, 1, 1, 1].into()));
        }
        assert!(Redirects::Any.allows(None, [127, 0, 0, 1].into()));
    }
}
