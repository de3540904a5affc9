//! `signalingserver`: rooms and calls on the shared HTTP listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::env::BoxFuture;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{BuildCx, Element, Env, Error, Factory, Result, Secret, Source, SourceCx, TimeDelta};
use millstream_server::access::{AccessSettings, CallbackFormat, Keys, default_callback_timeout};
use millstream_server::doors::Doors;
use millstream_server::http::{Mounted, Server, check_path};
use millstream_server::listen::{Guest, address, url};
use millstream_server::relays::{Relays, password_of};
use schemars::JsonSchema;
use serde::Deserialize;

use super::door::Door;
use super::hub::Hub;
use super::hubs::Hubs;
use super::page::call_page;
use super::socket::SignalRoute;
use crate::board::{Board, BoardSettings, Duplicates, RelayInfo};
use crate::message::{IceServer, Policy};

/// How long credentials of relays are good, in seconds: longer than any call.
const RELAY_TIME: i64 = 24 * 3600;

const NAME: &str = "signalingserver";

/// Shortest secret that signs, in bytes: RFC 7518, 3.2, asks for as many as the hash has.
const MIN_SECRET: usize = 32;

/// Settings of `signalingserver`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SignalingServerSettings {
    /// Address and port to listen at. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Path of the WebSocket: `/signal` in `ws://host:8080/signal`.
    #[serde(default = "default_path")]
    pub path: String,
    /// Path of the call page; without it there is none.
    #[serde(default = "default_page")]
    pub page: Option<String>,
    /// Signs tokens of identities (JWT with HS256) and of resumes; at least 32 bytes. Without it each start has another for resumes, and no token is taken.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// Keys of identities, said as `token`. A list of keys for every identity, or a mapping from identities to a key or a list of keys.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// A file with an identity and its key on each line, or a key for every identity. It is read again when it is needed, at most each second.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
    /// URL that is asked before somebody may come, by POST: 2xx allows, everything else refuses, and so does no answer.
    #[serde(default)]
    pub on_connect: Option<Secret>,
    /// URL that is told when somebody has gone for good.
    #[serde(default)]
    pub on_disconnect: Option<Secret>,
    /// How both are posted to.
    #[serde(default)]
    pub callback_format: CallbackFormat,
    /// How long both may take.
    #[serde(default = "default_callback_timeout")]
    pub callback_timeout: DurationSetting,
    /// Identities that may throw out and mute others; a `*` in one stands for anything. Signed tokens say so themselves.
    #[serde(default)]
    pub moderators: Vec<String>,
    /// Identities of programs that take and give media; a `*` in one stands for anything. Signed tokens say so themselves.
    #[serde(default)]
    pub workers: Vec<String>,
    /// Origins whose pages may come beside those of this listener, `https://example.org`; `*` for all.
    #[serde(default)]
    pub origins: Vec<String>,
    /// What happens when an identity comes that is here. Without it `replace` where identities are proved, else `allow`.
    #[serde(default)]
    pub duplicates: Option<Duplicates>,
    /// Members that a room may have.
    #[serde(default = "default_room_size")]
    #[schemars(range(min = 1, max = 1000))]
    pub room_size: u16,
    /// How many may be here in all.
    #[serde(default = "default_max_peers")]
    #[schemars(range(min = 1))]
    pub max_peers: u32,
    /// How long somebody whose connection is lost stays in rooms and calls.
    #[serde(default = "default_time")]
    pub resume_time: DurationSetting,
    /// How long a call rings.
    #[serde(default = "default_time")]
    pub ring_time: DurationSetting,
    /// STUN and TURN servers that browsers are told of beside those of this program, as URLs: `stun:host:3478`, `turn:host:3478?transport=udp`.
    #[serde(default)]
    pub ice_servers: Vec<String>,
    /// What those TURN servers sign names with that hold for a time: coturn's `static-auth-secret`.
    #[serde(default)]
    pub turn_secret: Option<Secret>,
    /// Codecs of pictures that rooms prefer, the best first: `VP8`, `H264`, `VP9`, `AV1`.
    #[serde(default)]
    pub video_codecs: Vec<String>,
}

fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

fn default_path() -> String {
    "/signal".into()
}

fn default_page() -> Option<String> {
    Some("/call".into())
}

fn default_room_size() -> u16 {
    16
}

fn default_max_peers() -> u32 {
    10_000
}

fn default_time() -> DurationSetting {
    DurationSetting::from_secs(30)
}

impl SignalingServerSettings {
    fn check(&self) -> Result<()> {
        check_path(&self.path, "/signal").map_err(|error| error.on_property("path"))?;
        if let Some(page) = &self.page {
            check_path(page, "/call").map_err(|error| error.on_property("page"))?;
        }
        if self.secret.as_ref().is_some_and(|secret| secret.reveal().len() < MIN_SECRET) {
            let error = Error::settings(format!("the secret is shorter than {MIN_SECRET} bytes, and could be guessed"));
            return Err(error.on_property("secret").hint("make one: `openssl rand -base64 32`"));
        }
        let roles = [("moderators", &self.moderators), ("workers", &self.workers)];
        if let Some((name, _)) = roles.into_iter().find(|(_, list)| !list.is_empty() && self.keys_are_missing()) {
            let error = Error::settings("anybody could say that it is one of these");
            return Err(error
                .on_property(name)
                .hint("add `keys`, `keys-file` or `on-connect`, or say the role in signed tokens"));
        }
        if let Some(url) =
            self.ice_servers.iter().find(|url| !["stun:", "turn:", "turns:"].iter().any(|s| url.starts_with(s)))
        {
            let error = Error::settings(format!("`{url}` is no URL of a STUN or TURN server"));
            return Err(error.on_property("ice-servers").hint("write stun:HOST:PORT"));
        }
        if self.turn_secret.is_none() && self.ice_servers.iter().any(|url| is_turn(url)) {
            let error = Error::settings("browsers use no TURN server without a name and password");
            return Err(error
                .on_property("turn-secret")
                .hint("say the secret that the TURN server has for such names"));
        }
        self.access().check("on-connect", "on-disconnect")
    }

    fn keys_are_missing(&self) -> bool {
        self.keys.is_none() && self.keys_file.is_none() && self.on_connect.is_none()
    }

    fn access(&self) -> AccessSettings {
        AccessSettings {
            keys: self.keys.clone(),
            keys_file: self.keys_file.clone(),
            on_begin: self.on_connect.clone(),
            on_end: self.on_disconnect.clone(),
            format: self.callback_format,
            timeout: self.callback_timeout,
        }
    }

    fn board(&self) -> BoardSettings {
        let is_open = self.keys_are_missing() && self.secret.is_none();
        let usual = if is_open { Duplicates::Allow } else { Duplicates::Replace };
        let server = |url: &String| IceServer { urls: vec![url.clone()], username: None, credential: None };
        let nanos = |setting: DurationSetting| TimeDelta::from_nanos(setting.as_nanos());
        BoardSettings {
            max_peers: usize::try_from(self.max_peers).unwrap_or(usize::MAX),
            room_size: self.room_size.into(),
            duplicates: self.duplicates.unwrap_or(usual),
            resume_time: nanos(self.resume_time),
            ring_time: nanos(self.ring_time),
            ice_servers: self.ice_servers.iter().filter(|url| !is_turn(url)).map(server).collect(),
            policy: Policy { video: self.video_codecs.clone(), audio: Vec::new() },
            ..BoardSettings::default()
        }
    }
}

/// What is known of `signalingserver`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Service", "Lets browsers meet in rooms and call each other over WebRTC", build)
        .live(|_: &SignalingServerSettings| true)
        .checked(SignalingServerSettings::check)
        .details(
            "It has no pads: it is linked to nothing, and runs until the pipeline is stopped. Browsers open the call page, `http://HOST:PORT/call`; programs speak \
             the protocol of `docs/spec/signaling.md` at `ws://HOST:PORT/signal`. Sound and pictures go from browser to browser, not through the server. Browsers give a page the \
             camera only on `localhost` or over HTTPS: put a TLS proxy before it elsewhere.\n\n\
             - Everybody may come, unless `secret`, `keys`, `keys-file` or `on-connect` ask for a proof of who it is.\n\
             - Who loses the connection is `away`, and comes back to the same rooms and calls; with `secret`, after a restart of the server too.\n\
             - Callbacks get what those of `rtmpserversrc` get, with `connect` and `disconnect` as call (JSON: `on_connect`, `on_close`), the path as application, and the identity as stream.",
        )
        .example("signalingserver listen=127.0.0.1:8080")
}

fn build(settings: SignalingServerSettings, _: &BuildCx) -> Result<Element> {
    settings.check()?;
    Ok(Element::Source(Box::new(SignalingServer { settings })))
}

struct SignalingServer {
    settings: SignalingServerSettings,
}

impl Source for SignalingServer {
    fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let settings = self.settings;
            let server = Server::at(&cx.env, settings.listen)?;
            let hub = open(&cx.env, &settings, &server).await?;
            let _time = hub.keep_time();
            let _mounted = mount(&server, &settings, &hub)?;
            tracing::info!(at = %server.local(), path = settings.path, "lets people meet");
            if let Some(page) = &settings.page {
                cx.tell(|out| out.post(address(Guest::Caller, "http", server.local(), page)));
            }
            let found = Hubs::add(&cx.env, settings.listen, &settings.path, &hub);
            cx.stopped().await;
            drop(found);
            hub.end().await;
            Ok(())
        })
    }
}

async fn open(env: &Env, settings: &SignalingServerSettings, server: &Server) -> Result<Arc<Hub>> {
    let roles = [settings.moderators.clone(), settings.workers.clone()];
    let door = Door::open(env, &settings.access(), settings.secret.clone(), roles, &settings.path).await?;
    let key = || env.key().map_err(|error| Error::io("signaling needs random numbers", error));
    let fresh = key()?;
    let secret = match &settings.secret {
        Some(secret) => secret.reveal().as_bytes().to_vec(),
        None => key()?.to_vec(),
    };
    let relays = env.shared::<Relays>();
    let (others, secret_of_others) = (settings.ice_servers.clone(), settings.turn_secret.clone());
    let offer = RelayInfo::new(move |identity, unix| {
        let mut servers = relay_servers(&relays, identity, unix);
        servers.extend(secret_of_others.as_ref().and_then(|secret| other_servers(&others, secret, identity, unix)));
        servers
    });
    let board = Board::new(BoardSettings { relays: offer, ..settings.board() }, &secret, fresh);
    let counter = Doors::add(env, url("ws", server.local(), ""));
    Ok(Hub::new(env.clone(), door, counter, board))
}

/// The relays of this program, over UDP and TCP, each also as a STUN server.
fn relay_servers(relays: &Relays, identity: &str, unix: i64) -> Vec<IceServer> {
    let Some((username, credential)) = relays.credentials(identity, unix + RELAY_TIME) else { return Vec::new() };
    let turn = relays.all().into_iter().map(|at| IceServer {
        urls: vec![format!("turn:{at}?transport=udp"), format!("turn:{at}?transport=tcp")],
        username: Some(username.clone()),
        credential: Some(credential.clone()),
    });
    turn.collect()
}

/// TURN servers elsewhere, with a name and password for a time.
fn other_servers(urls: &[String], secret: &Secret, identity: &str, unix: i64) -> Option<IceServer> {
    let urls: Vec<String> = urls.iter().filter(|url| is_turn(url)).cloned().collect();
    let username = format!("{}:{identity}", unix + RELAY_TIME);
    let credential = Some(password_of(secret, &username));
    (!urls.is_empty()).then_some(IceServer { urls, username: Some(username), credential })
}

fn is_turn(url: &str) -> bool {
    url.starts_with("turn:") || url.starts_with("turns:")
}

fn mount(server: &Server, settings: &SignalingServerSettings, hub: &Arc<Hub>) -> Result<Vec<Mounted>> {
    let route = SignalRoute { hub: hub.clone(), origins: settings.origins.clone() };
    let mut mounted = vec![server.mount(&settings.path, Arc::new(route))?];
    if let Some(page) = &settings.page {
        mounted.push(server.mount_folder(page, Arc::new(call_page(page, &settings.path)))?);
    }
    Ok(mounted)
}

#[cfg(test)]
mod tests {
    use millstream_core::settings::{Node, NodeDeserializer};

    use super::*;

    fn checked(pairs: &[(&'static str, &str)]) -> Result<()> {
        let node = Node::map(pairs.iter().map(|(name, value)| (*name, Node::scalar(*value))));
        SignalingServerSettings::deserialize(NodeDeserializer::new(&node)).unwrap().check()
    }

    #[test]
    fn turn_1_servers_elsewhere_are_told_with_a_name_and_password_of_a_time() {
        let urls = ["stun:a", "turn:b?transport=udp", "turns:c"].map(str::to_owned);
        let told = other_servers(&urls, &"north".into(), "alice", 1_433_895_918 - RELAY_TIME).unwrap();
        assert_eq!(told.urls, urls[1..]);
        assert_eq!(told.username.as_deref(), Some("1433895918:alice"));
        // By another program: HMAC-SHA-1 with the key `north`, in Base64.
        assert_eq!(told.credential.as_deref(), Some("RqMvcGPYTJMGThVLSi4amT4zFtI="));
        assert_eq!(other_servers(&urls[..1], &"north".into(), "alice", 0), None);
    }

    #[test]
    fn what_cannot_work_or_protects_nothing_is_refused() {
        assert!(checked(&[]).is_ok());
        assert!(checked(&[("keys", "k"), ("moderators", "alice")]).is_ok());
        for (name, value) in [
            ("path", "signal"),
            ("page", "/healthz"),
            ("secret", "short"),
            ("moderators", "alice"),
            ("workers", "*"),
            ("ice-servers", "http://x"),
            ("ice-servers", "turn:host"),
            ("on-connect", "x"),
        ] {
            assert!(checked(&[(name, value)]).is_err(), "{name} {value}");
        }
    }
}
