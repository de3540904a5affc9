//! What `doctor webrtc` found, for people: a line for each thing.

use millstream_webrtc::diagnose::{EndpointReport, Filtering, Mapping, Nat, Pair, Reason, ServerReport, Told};

/// Lines of a word and what it is about.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, word: &str, what: &str) {
        self.0.push_str(&format!("{word:10}{what}\n"));
    }

    fn reason(&mut self, reason: Option<&Reason>, good: &str) {
        match reason {
            None => self.add("good", good),
            Some(reason) => {
                self.add("reason", &reason.text());
                self.add("change", &reason.hint());
            }
        }
    }
}

pub(super) fn endpoint(found: &EndpointReport) -> String {
    let mut lines = Lines::default();
    let status = match (found.status, found.answered) {
        (Some(status), _) => format!("answers {status}"),
        (None, true) => "answers".to_owned(),
        (None, false) => "does not answer".to_owned(),
    };
    let reached = found.reached.map(|ip| format!(" ({ip})")).unwrap_or_default();
    lines.add("endpoint", &format!("{}{reached} {status}", found.endpoint));
    for server in &found.ice_servers {
        lines.add("tells of", server);
    }
    for trouble in &found.troubles {
        lines.add("trouble", trouble);
    }
    if !found.codecs.is_empty() {
        let tracks: Vec<String> = found.codecs.iter().map(|codecs| codecs.join(", ")).collect();
        lines.add("codecs", &format!("in common: {}", tracks.join("; ")));
    }
    if found.answered {
        lines.add("here", &candidates(&found.local, 0));
        lines.add("there", &candidates(&found.remote, found.names));
    }
    for pair in &found.pairs {
        lines.add("pair", &Pair::to_string(pair));
    }
    lines.reason(found.reason.as_ref(), "there is a connection: media could flow");
    lines.0
}

fn candidates(told: &[Told], names: usize) -> String {
    let mut all: Vec<String> = told.iter().map(|told| format!("{} {}", told.kind, told.address)).collect();
    if names > 0 {
        all.push(format!("{names} .local names"));
    }
    if all.is_empty() { "no candidates".to_owned() } else { all.join(", ") }
}

pub(super) fn server(found: &ServerReport) -> String {
    let mut lines = Lines::default();
    lines.add("server", &found.server);
    if let (Some(local), Some(mapped)) = (found.local, found.mapped) {
        lines.add("seen as", &format!("{mapped}, asked from {local}"));
    }
    if let Some(nat) = &found.nat {
        lines.add("nat", &mapping(nat));
        if let Some(filtering) = nat.filtering {
            lines.add("", self::filtering(filtering));
        }
    }
    if let Some(relay) = found.relay {
        lines.add("relay", &format!("given at {relay}"));
    }
    lines.reason(found.reason.as_ref(), "it does what it is for");
    lines.0
}

fn mapping(nat: &Nat) -> String {
    let text = match nat.mapping {
        Some(Mapping::None) => "none: the server sees the address that this machine has",
        Some(Mapping::EndpointIndependent) => "endpoint-independent mapping: others reach what a STUN server sees",
        Some(Mapping::AddressDependent) => {
            "address-dependent mapping: others see another address; a relay (TURN) may be needed"
        }
        Some(Mapping::AddressAndPortDependent) => {
            "address- and port-dependent mapping (\"symmetric\"): only others without it are reached directly, else by a relay (TURN)"
        }
        None => "there is one; of which kind cannot be told, as the server has no other address (RFC 5780)",
    };
    text.to_owned()
}

fn filtering(filtering: Filtering) -> &'static str {
    match filtering {
        Filtering::EndpointIndependent => "endpoint-independent filtering: anybody gets through",
        Filtering::AddressDependent => "address-dependent filtering: who was sent to gets through",
        Filtering::AddressAndPortDependent => {
            "address- and port-dependent filtering: who was sent to gets through, from that port only"
        }
    }
}
