//! `doctor webrtc URL`: tries a server of WHIP, WHEP, STUN or TURN as a client does, and says what stands in the way.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use millstream::core::settings::units::DurationSetting;
use millstream::core::{Secret, TimeDelta};
use millstream::runtime::Runtime;
use millstream_turn::client::Binding;
use millstream_turn::uri::Uri;
use millstream_webrtc::diagnose::{Answer, EndpointReport, Reason, ServerReport, Try, try_endpoint, try_server};
use millstream_webrtc::ice::{IceServer, IceTransport, Ways};
use millstream_webrtc::session::Codec;
use serde_json::json;

use super::super::{Exit, Outcome, report, terminal};
use super::text;

/// How long a machine may take to say that a port of it is closed.
const ICMP: Duration = Duration::from_millis(400);

/// Addresses whose ports are looked at: each may take that long.
const MAX_LOOKED_AT: usize = 8;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream doctor webrtc http://127.0.0.1:8080/whep/live/cam
  millstream doctor webrtc https://example.org/whip/live/cam --token KEY
  millstream doctor webrtc https://example.org/whep/live/cam --codecs vp8,opus    # as a browser without H.264
  millstream doctor webrtc ws://127.0.0.1:8080/signal --stream cam
  millstream doctor webrtc stun:stun.example.org
  millstream doctor webrtc 'turn:turn.example.org?transport=tcp' --username alice --credential PASSWORD

An endpoint of WHIP, whose path has `whip` in it, is offered to publish: a stream without a publisher has one for a moment.
Secrets are better given as MILLSTREAM_TOKEN and MILLSTREAM_CREDENTIAL in the environment than on the command line.

Exit code 0: media could flow; 1: they could not, and it is said why; 2: this is nothing that can be tried.")]
pub(super) struct Args {
    /// An endpoint of WHIP or WHEP (http, https), a signaling server (ws, wss), or a server (stun:, turn:)
    url: String,
    /// The stream at a signaling server
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Bearer token for the endpoint
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Offer to publish, whatever the path says
    #[arg(long)]
    publish: bool,
    /// Codecs to offer instead of all: h264, h265, vp8, vp9, av1, opus, pcmu, pcma
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = codec)]
    codecs: Vec<Codec>,
    /// A server of STUN or TURN to be reached through; may be repeated
    #[arg(long, value_name = "URL")]
    ice_server: Vec<String>,
    /// User name for TURN
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password for TURN
    #[arg(long, value_name = "PASSWORD")]
    credential: Option<String>,
    /// Go over relays only
    #[arg(long, requires = "ice_server")]
    relay: bool,
    /// How long the answer and the way may take, each
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: TimeDelta,
    /// What to print
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn codec(name: &str) -> Result<Codec, String> {
    let found = Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name.trim()));
    found.ok_or_else(|| format!("`{name}` is no codec of WebRTC that is known here"))
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let setting: DurationSetting = text.parse().map_err(|error| format!("{error}"))?;
    let time = TimeDelta::from_nanos(setting.as_nanos());
    if time > TimeDelta::ZERO { Ok(time) } else { Err("expected a time above zero, such as 5s".to_owned()) }
}

/// What can be tried.
enum Target {
    Endpoint,
    Server(Uri),
}

pub(super) fn run(args: &Args) -> Outcome {
    if is_signaling(&args.url) && args.stream.is_none() {
        report::error("a signaling server has many streams", Some("say which one: --stream cam"));
        return Ok(Exit::Usage);
    }
    let target = match target(&args.url) {
        Ok(target) => target,
        Err((error, hint)) => {
            report::error(&error, Some(hint));
            return Ok(Exit::Usage);
        }
    };
    let runtime = Runtime::new()?;
    let done = match target {
        Target::Endpoint => endpoint(&runtime, args),
        Target::Server(uri) => server(&runtime, args, &uri),
    };
    runtime.shut_down();
    done
}

fn is_signaling(url: &str) -> bool {
    url.starts_with("ws://") || url.starts_with("wss://")
}

fn target(url: &str) -> Result<Target, (String, &'static str)> {
    const HINT: &str = "give the URL of a WHIP or WHEP endpoint (http://HOST/whep/APP/STREAM), stun:HOST or turn:HOST";
    if url.starts_with("http://") || url.starts_with("https://") || is_signaling(url) {
        return Ok(Target::Endpoint);
    }
    match Uri::read(url) {
        Ok(uri) => Ok(Target::Server(uri)),
        Err(error) => Err((format!("this cannot be tried: {error}"), HINT)),
    }
}

/// A secret of the command line or, better, of the environment.
fn secret(given: Option<&String>, variable: &str) -> Option<Secret> {
    given.cloned().or_else(|| std::env::var(variable).ok()).map(Secret::from)
}

fn endpoint(runtime: &Runtime, args: &Args) -> Outcome {
    let credential = secret(args.credential.as_ref(), "MILLSTREAM_CREDENTIAL");
    let server = |url: &String| IceServer {
        url: url.clone(),
        username: args.username.clone(),
        credential: credential.clone(),
        client_only: false,
    };
    let transport = if args.relay { IceTransport::Relay } else { IceTransport::All };
    let servers: Vec<IceServer> = args.ice_server.iter().map(server).collect();
    if let Err(error) = transport.check(Some(&servers)) {
        report::error(&error.to_string(), None);
        return Ok(Exit::Usage);
    }
    let path = args.url.split(['?', '#']).next().unwrap_or_default();
    let wanted = Try {
        url: args.url.clone(),
        stream: args.stream.clone().filter(|_| is_signaling(&args.url)),
        token: secret(args.token.as_ref(), "MILLSTREAM_TOKEN"),
        publishes: args.publish || path.contains("/whip"),
        codecs: if args.codecs.is_empty() { Codec::ALL.to_vec() } else { args.codecs.clone() },
        ways: Ways { servers, transport, ..Ways::default() },
        patience: args.timeout,
    };
    let mut found = runtime.block_on(try_endpoint(runtime.env(), &wanted));
    look_at_ports(&mut found);
    tell(args.format, &found, &text::endpoint(&found), found.reason.as_ref())
}

fn server(runtime: &Runtime, args: &Args, uri: &Uri) -> Outcome {
    let credential = secret(args.credential.as_ref(), "MILLSTREAM_CREDENTIAL");
    let login = args.username.clone().zip(credential);
    let found: ServerReport = runtime.block_on(try_server(runtime.env(), uri, login, args.timeout));
    tell(args.format, &found, &text::server(&found), found.reason.as_ref())
}

fn tell(format: Format, found: &impl serde::Serialize, text: &str, reason: Option<&Reason>) -> Outcome {
    match format {
        Format::Text => terminal::print(text)?,
        Format::Json => {
            let mut value = serde_json::to_value(found)?;
            if let (Some(reason), Some(object)) = (reason, value.as_object_mut()) {
                let mut details = serde_json::to_value(reason)?;
                object.insert("reason".to_owned(), details["reason"].take());
                object.insert("text".to_owned(), json!(reason.text()));
                object.insert("hint".to_owned(), json!(reason.hint()));
                details.as_object_mut().map(|details| details.remove("reason"));
                object.insert("details".to_owned(), details);
            }
            terminal::print_json(&value)?;
        }
    }
    Ok(if reason.is_none() { Exit::Done } else { Exit::Failed })
}

/// Where nothing came back: whether the machine there says that the port is closed. The sockets of sessions, which belong to no one peer, do not hear of it.
fn look_at_ports(found: &mut EndpointReport) {
    let hosts: Vec<SocketAddr> =
        found.local.iter().filter(|told| told.kind == "host").map(|told| told.address).collect();
    let silent = |answer: &Answer| *answer == Answer::None;
    let pairs = found.pairs.iter_mut().filter(|pair| silent(&pair.answer) && hosts.contains(&pair.local));
    for pair in pairs.take(MAX_LOOKED_AT) {
        if is_closed(pair.remote) {
            pair.answer = Answer::Refused;
        }
    }
    found.review();
}

fn is_closed(remote: SocketAddr) -> bool {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let ask = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect(remote)?;
        socket.set_read_timeout(Some(ICMP))?;
        socket.send(Binding::new([0; 12], 0, millstream::core::Time::ZERO).bytes())?;
        socket.recv(&mut [0; 64])
    };
    ask().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
