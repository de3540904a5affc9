//! Why there is no way, in one word and in a sentence, and what to do.

use std::net::{IpAddr, SocketAddr};

use millstream_server::redirect::Place;
use serde::Serialize;

use super::{Answer, Pair};

/// Why media cannot flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// The endpoint is not reached by HTTP.
    Unreachable {
        /// What the system says.
        error: String,
    },
    /// A token is missing, or is not taken.
    Token {
        /// What the server says.
        said: String,
    },
    /// There is no such endpoint.
    NoEndpoint {
        /// The status.
        status: u16,
    },
    /// No codec is in common.
    NoCodec {
        /// What the server says.
        said: String,
    },
    /// There is no stream, or somebody else publishes it.
    Busy {
        /// What the server says.
        said: String,
    },
    /// The server refuses for another reason.
    Refused {
        /// The status.
        status: u16,
        /// What the server says.
        said: String,
    },
    /// The other end named no address.
    NoCandidates,
    /// The other end named nothing but names of multicast DNS, which mean something on its own network only.
    MdnsNames,
    /// The other end named addresses that are not those at which it is reached.
    WrongAddress {
        /// Those that it named.
        told: Vec<SocketAddr>,
        /// Where it was reached by HTTP.
        reached: IpAddr,
    },
    /// The other end named addresses of a private network, or of its own machine, that lead nowhere from outside.
    PrivateAddress {
        /// Those that it named.
        told: Vec<SocketAddr>,
    },
    /// Nobody has the UDP port: its machine says so.
    PortClosed {
        /// Which.
        remote: SocketAddr,
    },
    /// UDP is blocked: nothing comes back.
    UdpBlocked {
        /// Whom was asked.
        asked: Vec<SocketAddr>,
    },
    /// The other end answers checks with errors.
    StunError {
        /// The code (RFC 8489, 14.8).
        code: u16,
    },
    /// Checks come in, and answers do not get back.
    OneWay {
        /// From where.
        remote: SocketAddr,
    },
    /// There is a way, but DTLS does not come to an end.
    Dtls,
    /// A server of STUN or TURN is of no use.
    Server {
        /// What it did.
        error: String,
        /// What to do.
        hint: String,
    },
}

impl Reason {
    /// Why this end has not reached the other one, that named `told` and was reached at `reached` by HTTP, if it was.
    pub fn of_pairs(told: &[SocketAddr], names: usize, reached: Option<IpAddr>, pairs: &[Pair]) -> Self {
        let refused = pairs.iter().find(|pair| pair.answer == Answer::Refused);
        let error = pairs.iter().find_map(|pair| match pair.answer {
            Answer::Error { code, .. } => Some(code),
            _ => None,
        });
        if pairs.iter().any(|pair| matches!(pair.answer, Answer::Success { .. })) {
            return Self::Dtls;
        }
        if told.is_empty() {
            return if names > 0 { Self::MdnsNames } else { Self::NoCandidates };
        }
        if let Some(code) = error {
            return Self::StunError { code };
        }
        let is_private = |address: &SocketAddr| Place::of(address.ip()) != Place::Public;
        if let Some(reached) = reached.filter(|reached| !told.iter().any(|address| address.ip() == *reached)) {
            return match told.iter().all(is_private) && Place::of(reached) != Place::of(told[0].ip()) {
                true => Self::PrivateAddress { told: told.to_vec() },
                false => Self::WrongAddress { told: told.to_vec(), reached },
            };
        }
        if let Some(pair) = refused {
            return Self::PortClosed { remote: pair.remote };
        }
        if let Some(pair) = pairs.iter().find(|pair| pair.was_asked > 0) {
            return Self::OneWay { remote: pair.remote };
        }
        Self::UdpBlocked { asked: told.to_vec() }
    }

    /// The reason in a sentence.
    pub fn text(&self) -> String {
        match self {
            Self::Unreachable { error } => format!("the endpoint is not reached by HTTP: {error}"),
            Self::Token { said } => format!("the server wants a token, or another one: {said}"),
            Self::NoEndpoint { status } => format!("there is no such endpoint ({status})"),
            Self::NoCodec { said } => format!("no codec is in common: {said}"),
            Self::Busy { said } => format!("the stream cannot be had now: {said}"),
            Self::Refused { status, said } => format!("the server refuses ({status}): {said}"),
            Self::NoCandidates => "the server names no address for media".to_owned(),
            Self::MdnsNames => {
                "the other end names nothing but .local names, which mean something on its own network only".to_owned()
            }
            Self::WrongAddress { told, reached } => {
                format!(
                    "wrong advertised address: media are expected at {}, but the server is at {reached}",
                    list(told)
                )
            }
            Self::PrivateAddress { told } => format!("a private address is told to somebody outside: {}", list(told)),
            Self::PortClosed { remote } => {
                format!("the UDP port {} is closed: the machine at {} says so (ICMP)", remote.port(), remote.ip())
            }
            Self::UdpBlocked { asked } => format!("UDP is blocked: nothing comes back from {}", list(asked)),
            Self::StunError { code } => format!("the other end answers checks with the error {code}"),
            Self::OneWay { remote } => format!("checks come from {remote}, but answers to it do not arrive"),
            Self::Dtls => "there is a way, but the encrypted connection (DTLS) does not come to an end".to_owned(),
            Self::Server { error, .. } => error.clone(),
        }
    }

    /// What to change.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => "look at the host and port of the URL, and whether the server runs".to_owned(),
            Self::Token { .. } => "give the key with --token".to_owned(),
            Self::NoEndpoint { .. } => "look at the path: /whip/APP/STREAM publishes, /whep/APP/STREAM plays".to_owned(),
            Self::NoCodec { .. } => "encode the stream as what the client has (H.264 or VP8, and Opus), or let the server take more codecs".to_owned(),
            Self::Busy { .. } => "wait until the stream has begun, or publish another name".to_owned(),
            Self::Refused { .. } => "what the server says is to be changed at the client".to_owned(),
            Self::NoCandidates => "set `udp` of the server to an address of its machine, or give it a relay in `ice-servers`".to_owned(),
            Self::MdnsNames => "give both ends a STUN server in `ice-servers`, or let the page use the camera, so that the browser tells its address".to_owned(),
            Self::WrongAddress { reached, .. } => format!("set `advertise` of the server to {reached}, and forward the UDP port to it"),
            Self::PrivateAddress { .. } => "set `advertise` of the server to its address outside and forward the UDP port, or give it a relay in `ice-servers`".to_owned(),
            Self::PortClosed { .. } => "start the server on this UDP port, or forward the port to the machine that it runs on".to_owned(),
            Self::UdpBlocked { asked } => format!(
                "let UDP to {} pass in the firewalls on the way, or use TURN over TCP: `turn:HOST:PORT?transport=tcp` in `ice-servers`",
                ports(asked)
            ),
            Self::StunError { .. } => "the address belongs to another session or program: look which one has the UDP port".to_owned(),
            Self::OneWay { .. } => "let UDP go out of the server's machine too, or look at `advertise`: answers have to come from where the checks went".to_owned(),
            Self::Dtls => "look for a firewall that drops large datagrams, and whether the other end has a certificate with ECDSA".to_owned(),
            Self::Server { hint, .. } => hint.clone(),
        }
    }
}

fn list(all: &[SocketAddr]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn ports(all: &[SocketAddr]) -> String {
    let mut ports: Vec<u16> = all.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!("port {}", ports.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(remote: &str, answer: Answer, was_asked: u32) -> Pair {
        let at = |text: &str| text.parse().expect("an address");
        Pair { local: at("192.0.2.7:5000"), remote: at(remote), asked: 5, answer, was_asked }
    }

    #[test]
    fn web_3_each_failure_has_its_reason() {
        let seen = |told: &[&str], names, reached: &str, pairs: &[Pair]| {
            let told: Vec<SocketAddr> = told.iter().map(|text| text.parse().expect("an address")).collect();
            Reason::of_pairs(&told, names, reached.parse().ok(), pairs)
        };
        let at = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        let (server, other) = ("203.0.113.5:8080", "198.51.100.9:8080");
        let none = |remote| [pair(remote, Answer::None, 0)];
        let blocked = Reason::UdpBlocked { asked: vec![at(server)] };
        for (reason, expected) in [
            (seen(&[], 0, "203.0.113.5", &[]), Reason::NoCandidates),
            (seen(&[], 2, "203.0.113.5", &[]), Reason::MdnsNames),
            (seen(&[server], 0, "203.0.113.5", &none(server)), blocked.clone()),
            (seen(&[server], 0, "", &none(server)), blocked),
            (
                seen(&[other], 0, "203.0.113.5", &none(other)),
                Reason::WrongAddress { told: vec![at(other)], reached: at(server).ip() },
            ),
            (
                seen(&["10.0.0.5:8080"], 0, "203.0.113.5", &none("10.0.0.5:8080")),
                Reason::PrivateAddress { told: vec![at("10.0.0.5:8080")] },
            ),
            (
                seen(&[server], 0, "203.0.113.5", &[pair(server, Answer::Refused, 0)]),
                Reason::PortClosed { remote: at(server) },
            ),
            (
                seen(&[server], 0, "203.0.113.5", &[pair(server, Answer::None, 3)]),
                Reason::OneWay { remote: at(server) },
            ),
            (seen(&[server], 0, "203.0.113.5", &[pair(server, Answer::Success { seen: None }, 3)]), Reason::Dtls),
            (
                seen(
                    &[server],
                    0,
                    "203.0.113.5",
                    &[pair(server, Answer::Error { code: 401, reason: String::new() }, 0)],
                ),
                Reason::StunError { code: 401 },
            ),
        ] {
            assert_eq!(reason, expected);
            assert!(!reason.text().is_empty() && !reason.hint().is_empty());
        }
    }
}
