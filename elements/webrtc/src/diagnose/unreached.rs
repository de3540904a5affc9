//! A session of ours that nobody has reached: what its element tells of it.

use std::net::SocketAddr;

use millstream_core::MessageKind;
use millstream_server::redirect::Place;

use super::{Answer, Pair};

/// Pairs that are named: the rest is counted.
const MAX_NAMED: usize = 8;

/// Why a session of this side has never been connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Addresses at which the other end was told to find this one.
    pub told: Vec<SocketAddr>,
    /// Addresses that the other end named.
    pub remote: Vec<SocketAddr>,
    /// Names of multicast DNS among them.
    pub names: usize,
    /// The pairs that were tried, by either end.
    pub pairs: Vec<Pair>,
    /// What failed on a way that was found.
    pub failure: Option<String>,
}

impl Unreached {
    /// The reason: its name, in a sentence, and what to do.
    pub fn reason(&self) -> (&'static str, String, &'static str) {
        let told = list(&self.told);
        if self.told.is_empty() {
            let hint = "look whether a server of `ice-servers` is of no use, or let `ice-transport` be `all`";
            return ("no-candidates", "no address could be told to the other end".to_owned(), hint);
        }
        if let Some(failure) = &self.failure {
            let text = format!("there is a way, but the encrypted connection (DTLS) failed: {failure}");
            return ("dtls", text, "the other end's certificate has to be one with ECDSA, and that of its description");
        }
        if self.pairs.iter().any(|pair| matches!(pair.answer, Answer::Success { .. })) {
            let hint = "look for a firewall that drops large datagrams; only certificates with ECDSA are taken";
            return (
                "dtls",
                "there is a way, but the encrypted connection (DTLS) did not come to an end".to_owned(),
                hint,
            );
        }
        if let Some(pair) = self.pairs.iter().find(|pair| pair.was_asked > 0) {
            let text = format!("checks came from {} to {}, and our answers did not arrive", pair.remote, pair.local);
            return ("one-way", text, "let UDP go out too; answers have to come from the address that was told");
        }
        let is_public = |address: &SocketAddr| Place::of(address.ip()) == Place::Public;
        if self.remote.iter().any(is_public) && !self.told.iter().any(is_public) {
            let text = format!("the other end is outside, and was told nothing but private addresses: {told}");
            let hint =
                "set `advertise` to the address outside and forward the UDP port, or name a relay in `ice-servers`";
            return ("private-address", text, hint);
        }
        let text = format!("nothing came to {told}: the address that is told is wrong, or UDP is blocked on the way");
        let hint =
            "look at `udp` and `advertise`, and let UDP pass; `millstream doctor webrtc URL` at the client tells more";
        ("nothing-came", text, hint)
    }

    /// As a message on the bus: `unreached`.
    pub fn message(&self, stream: Option<&str>) -> MessageKind {
        let (reason, text, hint) = self.reason();
        let mut pairs: Vec<String> = self.pairs.iter().take(MAX_NAMED).map(Pair::to_string).collect();
        if self.pairs.len() > MAX_NAMED {
            pairs.push(format!("{} more", self.pairs.len() - MAX_NAMED));
        }
        let names = if self.names > 0 { format!(", {} .local names", self.names) } else { String::new() };
        let mut fields = vec![
            ("reason", reason.to_owned()),
            ("text", text),
            ("hint", hint.to_owned()),
            ("told", list(&self.told)),
            ("remote", format!("{}{names}", list(&self.remote))),
            ("pairs", pairs.join("; ")),
        ];
        fields.extend(stream.map(|stream| ("stream", stream.to_owned())));
        tracing::warn!("a session was never reached: {}; {}", fields[1].1, fields[2].1);
        MessageKind::Element { name: "unreached", fields }
    }
}

fn list(all: &[SocketAddr]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
