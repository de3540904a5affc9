//! `turnserver`: STUN and TURN over UDP and TCP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use millstream_core::env::BoxFuture;
use millstream_core::registry::Resource;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{BuildCx, Element, Env, Error, Factory, MessageKind, Result, Secret, Source, SourceCx};
use millstream_server::listen::accept;
use millstream_server::relays::Relays;
use schemars::JsonSchema;
use serde::Deserialize;

use super::hub::{Hub, Places, Socket};
use super::stream::serve;
use crate::credentials::Credentials;
use crate::peers::Allowed;
use crate::server::{Discovery, TurnServer, TurnSettings};

const NAME: &str = "turnserver";

/// Settings of `turnserver`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TurnServerSettings {
    /// Address and port to serve at, over UDP and TCP.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Addresses of this machine on which it relays, one of IPv4 and one of IPv6. Without any that of `listen`, or where that stands for all of them the first of the machine.
    #[serde(default)]
    pub relay_addresses: Option<Vec<IpAddr>>,
    /// The address that peers and clients see, where a router translates it one to one: that of a cloud's machine.
    #[serde(default)]
    pub external_address: Option<IpAddr>,
    /// A second address and port of this machine, from which answers come that show clients which kind of translation is on their way (RFC 5780): both
    /// are others than those of `listen`, over UDP. Without it the server cannot tell.
    #[serde(default)]
    pub alternate: Option<SocketAddr>,
    /// First port of relays.
    #[serde(default = "default_min_port")]
    #[schemars(range(min = 1))]
    pub min_port: u16,
    /// Last port of relays.
    #[serde(default = "default_max_port")]
    #[schemars(range(min = 1))]
    pub max_port: u16,
    /// Names the server to its clients.
    #[serde(default = "default_realm")]
    pub realm: String,
    /// Names and passwords that hold for ever.
    #[serde(default)]
    pub users: Option<BTreeMap<String, Secret>>,
    /// Signs names that hold for a time, `UNIXTIME:NAME`, whose password is the Base64 of their HMAC-SHA-1. A `signalingserver` of the same program needs none to know it.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// Longest time between two refreshes of an allocation.
    #[serde(default = "default_lifetime")]
    pub max_lifetime: DurationSetting,
    /// How long a nonce is good.
    #[serde(default = "default_nonce")]
    pub nonce_lifetime: DurationSetting,
    /// Allocations of one user at a time. Browsers make one for each URL and each interface.
    #[serde(default = "default_user_quota")]
    #[schemars(range(min = 1))]
    pub user_quota: u32,
    /// Allocations in all. Each has a socket and a port.
    #[serde(default = "default_total_quota")]
    #[schemars(range(min = 1))]
    pub total_quota: u32,
    /// What it relays to beside public addresses. Whoever has credentials reaches what this machine reaches there.
    #[serde(default)]
    pub allow_peers: Option<Vec<Allowed>>,
}

fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 3478).into()
}

fn default_min_port() -> u16 {
    49_152
}

fn default_max_port() -> u16 {
    65_535
}

fn default_realm() -> String {
    "millstream".into()
}

fn default_lifetime() -> DurationSetting {
    DurationSetting::from_secs(3600)
}

fn default_nonce() -> DurationSetting {
    DurationSetting::from_secs(600)
}

fn default_user_quota() -> u32 {
    16
}

fn default_total_quota() -> u32 {
    1000
}

impl TurnServerSettings {
    fn check(&self) -> Result<()> {
        if self.min_port > self.max_port {
            let error = Error::settings("the first port is behind the last");
            return Err(error.on_property("min-port").hint("write a range such as 50000 to 50999"));
        }
        // MD5 of name, realm and password has colons between them (RFC 8489, 9.2.2).
        if let Some(name) =
            self.users.iter().flatten().map(|(name, _)| name).find(|name| name.is_empty() || name.contains(':'))
        {
            let error = Error::settings(format!("`{name}` is no name of a user"));
            return Err(error.on_property("users").hint("names have no colon"));
        }
        self.check_alternate()?;
        if self.realm.is_empty() || self.realm.len() > 127 {
            return Err(Error::settings("a realm has 1 to 127 bytes").on_property("realm"));
        }
        let empty = self
            .users
            .iter()
            .flatten()
            .map(|(_, password)| password)
            .chain(&self.secret)
            .any(|secret| secret.reveal().is_empty());
        match empty {
            true => Err(Error::settings("a password or secret is empty").on_property("secret")),
            false => Ok(()),
        }
    }

    fn check_alternate(&self) -> Result<()> {
        let Some(other) = self.alternate else { return Ok(()) };
        let (ip, port) = (self.listen.ip(), self.listen.port());
        let is_vague = ip.is_unspecified() || other.ip().is_unspecified() || other.port() == 0;
        if is_vague || other.ip() == ip || other.port() == port || other.is_ipv4() != self.listen.is_ipv4() {
            let error =
                Error::settings("the second address has to differ in address and port, and both have to be said");
            let error = error.on_property("alternate");
            return Err(
                error.hint("write listen=192.0.2.1:3478 alternate=192.0.2.2:3479, with two addresses of this machine")
            );
        }
        Ok(())
    }

    /// Sockets of all places, where there is a second address.
    fn discovery(&self, env: &Env, udp: &Socket) -> Result<Option<(Discovery, [Socket; 4])>> {
        let Some(other) = self.alternate else { return Ok(None) };
        let discovery = Discovery::new(udp.local(), other);
        let bind = |at: SocketAddr| {
            let bound = env.net.bind(at);
            bound.map_err(|error| Error::io(format!("cannot serve at {at}"), error).on_property("alternate"))
        };
        let [_, port, address, both] = discovery.places();
        Ok(Some((discovery, [udp.clone(), bind(port)?, bind(address)?, bind(both)?])))
    }

    /// Where relays are.
    fn places(&self, env: &Env) -> Result<Places> {
        let mut bind = self.relay_addresses.clone().unwrap_or_default();
        if bind.is_empty() && !self.listen.ip().is_unspecified() {
            bind.push(self.listen.ip());
        }
        if bind.is_empty() {
            let all = env.net.addresses().map_err(|error| Error::io("the addresses of this machine", error))?;
            let first = |is_v6: bool| all.iter().copied().find(|ip| ip.is_ipv6() == is_v6);
            bind.extend(first(false).into_iter().chain(first(true)));
        }
        if bind.is_empty() {
            let error = Error::settings("no address of this machine is known").on_property("relay-addresses");
            return Err(error.hint("say on which address it relays: `relay-addresses`"));
        }
        Ok(Places { bind, external: self.external_address, ports: (self.min_port, self.max_port) })
    }

    fn turn(&self, families: &[IpAddr]) -> TurnSettings {
        let seconds = |setting: DurationSetting| setting.as_nanos() / 1_000_000_000;
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        TurnSettings {
            realm: self.realm.clone(),
            max_lifetime: u32::try_from(seconds(self.max_lifetime)).unwrap_or(u32::MAX),
            nonce_seconds: seconds(self.nonce_lifetime),
            user_quota: count(self.user_quota),
            total_quota: count(self.total_quota),
            allowed: self.allow_peers.clone().unwrap_or_default(),
            families: families.to_vec(),
        }
    }
}

/// What is known of `turnserver`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Service", "Relays between browsers that reach each other in no other way", build)
        .live(|_: &TurnServerSettings| true)
        .checked(TurnServerSettings::check)
        .resources(|settings: &TurnServerSettings| vec![Resource::Listens(settings.listen.to_string())])
        .details(
            "It has no pads: it is linked to nothing, and runs until the pipeline is stopped. It tells clients their address (STUN, RFC 8489) and relays for those with credentials (TURN, RFC 8656), over UDP and TCP. \
             A `signalingserver` of the same program tells its clients of it, each with a name and password of its own that hold for a day: nothing needs to be configured for that.\n\n\
             - It relays to public addresses only, and to other relays of its own; `allow-peers` opens more.\n\
             - Datagrams are relayed over UDP only. TLS to the server, TCP to peers (RFC 6062) and DONT-FRAGMENT are left out.\n\
             - With `alternate` answers come from a second address and port too where they are asked for, which shows clients the kind of translation on their way (RFC 5780): `millstream doctor webrtc stun:HOST`.\n\n\
             Posts `address` for `relays` once it serves.",
        )
        .example("turnserver listen=127.0.0.1:3478")
}

fn build(settings: TurnServerSettings, _: &BuildCx) -> Result<Element> {
    settings.check()?;
    Ok(Element::Source(Box::new(TurnService { settings })))
}

struct TurnService {
    settings: TurnServerSettings,
}

impl Source for TurnService {
    fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let (env, settings) = (cx.env.clone(), self.settings);
            let refused = |error| Error::io(format!("cannot serve at {}", settings.listen), error);
            let listener = env.net.listen(settings.listen).map_err(refused)?;
            // Port 0 is chosen once, for both.
            let local = listener.local();
            let udp = env.net.bind(local).map_err(refused)?;
            let key = || env.key().map_err(|error| Error::io("a relay needs random numbers", error));
            let relays = env.shared::<Relays>();
            let shared = relays.secret(&env).map_err(|error| Error::io("a relay needs random numbers", error))?;
            let secrets = settings.secret.iter().cloned().chain([shared]).collect();
            let credentials = Credentials { users: settings.users.clone().unwrap_or_default(), secrets };
            let places = settings.places(&env)?;
            let server = TurnServer::new(settings.turn(&places.bind), credentials, key()?);
            let reached = reached(local, &settings, &places);
            let discovery = settings.discovery(&env, &udp)?;
            let hub = Hub::new(env.clone(), udp, discovery, places, server);
            let clients = hub.clone();
            let _accept = accept(listener, &env, move |stream| serve(stream, clients.clone()));
            let _datagrams = env.tasks.spawn(Box::pin(hub.clone().serve_datagrams()));
            let _places: Vec<_> =
                (1..4).map(|place| env.tasks.spawn(Box::pin(hub.clone().serve_place(place)))).collect();
            let _time = env.tasks.spawn(Box::pin(hub.keep_time()));
            let _announced = relays.announce(reached);
            tracing::info!(at = %local, "relays");
            let fields = vec![("for", "relays".to_owned()), ("url", format!("turn:{reached}"))];
            cx.tell(|out| out.post(MessageKind::Element { name: "address", fields }));
            cx.stopped().await;
            Ok(())
        })
    }
}

/// Where clients reach it.
fn reached(local: SocketAddr, settings: &TurnServerSettings, places: &Places) -> SocketAddr {
    let ip = settings.external_address.or_else(|| places.bind.first().copied());
    match ip.filter(|_| settings.external_address.is_some() || local.ip().is_unspecified()) {
        Some(ip) => SocketAddr::new(ip, local.port()),
        None => local,
    }
}
