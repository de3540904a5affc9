//! A server of STUN or TURN, tried from here, and which kind of translation of addresses is on the way (RFC 5780, 4).
//!
//! ```text
//! mapping    what is seen of one socket by   ADDRESS:PORT   OTHER:PORT   OTHER:OTHER PORT     4.3
//! filtering  what answers get through from   ADDRESS:PORT   ADDRESS:OTHER PORT   OTHER:OTHER PORT     4.4
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use millstream_core::{Env, Secret, TimeDelta};
use millstream_turn::client::{CHANGE_IP, CHANGE_PORT, ClientError, Event, Seen};
use millstream_turn::server::Transport;
use millstream_turn::shell::relay::{Relay, RelaySettings};
use millstream_turn::uri::{Scheme, Uri};
use serde::Serialize;
use tokio::sync::mpsc;

use super::Reason;
use crate::ports::Ports;

/// How long an answer may take that may well not come: three attempts (RFC 8489, 6.2.1).
const MAYBE: TimeDelta = TimeDelta::from_secs(3);

/// What of the other end decides which address it sees (RFC 4787, 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// There is no translation.
    None,
    /// Nothing: every other end sees the same.
    EndpointIndependent,
    /// Its address.
    AddressDependent,
    /// Its address and port: what one server sees helps nobody else. Only a relay does.
    AddressAndPortDependent,
}

/// Who gets through to an address that was translated (RFC 4787, 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filtering {
    /// Anybody.
    EndpointIndependent,
    /// Who has an address that was sent to.
    AddressDependent,
    /// Who has an address and port that was sent to.
    AddressAndPortDependent,
}

/// The translation on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Nat {
    /// Which address others see; nothing where the server has no other address to tell it from.
    pub mapping: Option<Mapping>,
    /// Who gets through; nothing as well.
    pub filtering: Option<Filtering>,
}

/// What came of trying a server.
#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// The server.
    pub server: String,
    /// The socket that was asked from.
    pub local: Option<SocketAddr>,
    /// What the server sees of it.
    pub mapped: Option<SocketAddr>,
    /// The translation on the way.
    pub nat: Option<Nat>,
    /// The relay that it gave.
    pub relay: Option<SocketAddr>,
    /// Why it is of no use.
    #[serde(skip)]
    pub reason: Option<Reason>,
}

/// Asks a server for everything that it is for, with this much time for each answer that has to come.
pub async fn try_server(env: &Env, uri: &Uri, login: Option<(String, Secret)>, patience: TimeDelta) -> ServerReport {
    let server = uri.to_string();
    let mut report = ServerReport { server, local: None, mapped: None, nat: None, relay: None, reason: None };
    if uri.is_secure {
        report.reason = Some(Reason::Server {
            error: "TLS to servers of STUN and TURN is not spoken here".to_owned(),
            hint: "try the same server without it: `stun:` or `turn:`".to_owned(),
        });
        return report;
    }
    let seen = match uri.transport {
        Transport::Udp => look(env, uri, patience, &mut report).await,
        Transport::Tcp => Ok(()),
    };
    let relay = match (seen, uri.scheme) {
        (Err(error), _) => Err(error),
        (Ok(()), Scheme::Stun) => return report,
        (Ok(()), Scheme::Turn) => relay(env, uri, login, patience).await,
    };
    match relay {
        Ok(relay) => report.relay = Some(relay),
        Err(error) => report.reason = Some(reason(&error)),
    }
    report
}

fn reason(error: &ClientError) -> Reason {
    Reason::Server { error: format!("the server is of no use: {error}"), hint: error.hint().to_owned() }
}

/// What it sees, and which translation that shows.
async fn look(env: &Env, uri: &Uri, patience: TimeDelta, report: &mut ServerReport) -> Result<(), ClientError> {
    let unreachable = |error: &dyn std::fmt::Display| ClientError::Unreachable(error.to_string());
    let all = env.net.resolve(&uri.host, uri.port).await.map_err(|error| unreachable(&error))?;
    let server = *all.first().ok_or(ClientError::Unreachable("it has no address".to_owned()))?;
    let ports = toward(env, server).map_err(|error| unreachable(&error))?;
    let mut first = Err(ClientError::Silent);
    for local in ports.addresses() {
        first = asked(env, patience, ports.ask(env, local, server, 0)).await;
        if let Ok(seen) = first {
            (report.local, report.mapped) = (Some(local), Some(seen.mapped));
            report.nat = Some(nat(env, &ports, local, server, seen).await);
            break;
        }
    }
    first.map(|_| ())
}

/// Sockets from which an address is reached.
///
/// # Errors
/// Those of the network.
pub(super) fn toward(env: &Env, server: SocketAddr) -> millstream_core::Result<Arc<Ports>> {
    let ip: IpAddr = match (server.ip().is_loopback(), server.is_ipv4()) {
        (true, _) => server.ip(),
        (false, true) => Ipv4Addr::UNSPECIFIED.into(),
        (false, false) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Ports::at(env, SocketAddr::new(ip, 0))
}

async fn asked<T>(
    env: &Env,
    patience: TimeDelta,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let late = env.clock.now() + patience;
    tokio::select! {
        answer = answer => answer,
        () = env.clock.sleep_until(late) => Err(ClientError::Silent),
    }
}

/// RFC 5780, 4.3 and 4.4.
async fn nat(env: &Env, ports: &Ports, local: SocketAddr, server: SocketAddr, seen: Seen) -> Nat {
    let Some(other) = seen.other else {
        let mapping = (seen.mapped == local).then_some(Mapping::None);
        return Nat { mapping, filtering: None };
    };
    let ask = |to, change| asked(env, MAYBE, ports.ask(env, local, to, change));
    // Filtering first: what is asked of the other address opens the way for its answers.
    let filtering = if ask(server, CHANGE_IP | CHANGE_PORT).await.is_ok() {
        Filtering::EndpointIndependent
    } else if ask(server, CHANGE_PORT).await.is_ok() {
        Filtering::AddressDependent
    } else {
        Filtering::AddressAndPortDependent
    };
    Nat { mapping: mapping(local, server, other, seen, ask).await, filtering: Some(filtering) }
}

async fn mapping<F>(
    local: SocketAddr,
    server: SocketAddr,
    other: SocketAddr,
    seen: Seen,
    ask: impl Fn(SocketAddr, u32) -> F,
) -> Option<Mapping>
where
    F: Future<Output = Result<Seen, ClientError>>,
{
    if seen.mapped == local {
        return Some(Mapping::None);
    }
    let second = ask(SocketAddr::new(other.ip(), server.port()), 0).await.ok()?;
    if second.mapped == seen.mapped {
        return Some(Mapping::EndpointIndependent);
    }
    let third = ask(other, 0).await.ok()?;
    Some(if third.mapped == second.mapped { Mapping::AddressDependent } else { Mapping::AddressAndPortDependent })
}

/// Asks for a relay, and gives it back.
async fn relay(
    env: &Env,
    uri: &Uri,
    credentials: Option<(String, Secret)>,
    patience: TimeDelta,
) -> Result<SocketAddr, ClientError> {
    let (sender, mut events) = mpsc::unbounded_channel();
    let settings = RelaySettings { uri: uri.clone(), credentials, from: Vec::new(), is_v6: false };
    // Nobody listens any more once the first has come.
    let _relay = Relay::open(env, settings, Arc::new(move |event| drop(sender.send(event))));
    let answer = async {
        loop {
            match events.recv().await {
                Some(Event::Allocated { relayed, .. }) => return Ok(relayed),
                Some(Event::Failed(error)) => return Err(error),
                Some(_) => {}
                None => return Err(ClientError::Silent),
            }
        }
    };
    asked(env, patience, answer).await
}
