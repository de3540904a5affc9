//! How our side is reached: server-reflexive addresses and relays, on the virtual network with `turnserver` and on this machine with coturn.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Env, Message, MessageKind, TimeDelta};
use millstream_graph::load_yaml;
use millstream_graph::params::ParamSources;
use millstream_graph::source::SourceText;
use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::http::Client;
use millstream_testkit::{Weather, fixture};
use millstream_tests::elements::registry;
use millstream_tests::live::{self, Background, free_port, wait_for_port};
use millstream_tests::peers;
use millstream_tests::webrtc::request;
use millstream_tests::world::{World, messages};
use millstream_turn::uri::Uri;
use millstream_webrtc::diagnose::{EndpointReport, Filtering, Mapping, Nat, Reason, Try, try_endpoint, try_server};
use millstream_webrtc::driver::Driver;
use millstream_webrtc::ice::{IceServer, IceTransport, Reach, Ways};
use millstream_webrtc::ports::Ports;
use millstream_webrtc::session::{Codec, Event, Session, Setup};

/// Where media come from, which a test may close.
const MEDIA: ([u8; 4], u16) = ([10, 0, 0, 1], 9000);
const HTTP: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);
const VIEWER: ([u8; 4], u16) = ([10, 0, 0, 2], 5000);

/// A pipeline that shows a clip to viewers, with these lines of settings and elements beside.
fn show(runtime: &Runtime, clip: &str, settings: &str, more: &str) -> Pipeline {
    let text = format!(
        "elements:\n  file: {{ element: filesrc, location: {clip}, loop: true }}\n  \
         w:\n    element: whepserversink\n    stream: cam\n{settings}{more}\
         links:\n  - file ! flvdemux ! h264parse ! clocksync ! w.video\n"
    );
    let source = SourceText::new("a test", text);
    let loaded = load_yaml(source, &registry(), &ParamSources::default()).unwrap_or_else(|error| panic!("{error:?}"));
    runtime.start(&loaded.graph).unwrap_or_else(|error| panic!("{error}"))
}

fn world() -> World {
    let world = World::new(Weather::default());
    world.fs.insert("plain.flv", std::fs::read(fixture("video_only_h264.flv")).expect("the fixture"));
    world
}

/// `turnserver` of the virtual network.
const TURN: &str =
    "  t:\n    element: turnserver\n    listen: 10.0.0.3:3478\n    users: { alice: pw }\n    allow-peers: [private]\n";

fn simulated(transport: &str, more: &str) -> String {
    format!(
        "    listen: 10.0.0.1:8080\n    udp: 10.0.0.1:9000\n    ice-servers:\n      \
         - {{ url: \"turn:10.0.0.3:3478?transport={transport}\", username: alice, credential: pw }}\n{more}"
    )
}

/// The candidates of a session description, by their kind: `host`, `srflx`, `relay`.
fn candidates(sdp: &str, kind: &str) -> Vec<SocketAddr> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let of_kind = lines.map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[7] == kind);
    let ip = |words: &[&str]| words[4].parse::<IpAddr>().expect("an address");
    of_kind.map(|words| SocketAddr::new(ip(&words), words[5].parse().expect("a port"))).collect()
}

/// A viewer that is reached so, and its offer.
async fn viewer(env: &Env, at: SocketAddr, ways: Ways) -> (Arc<Reach>, Session, String) {
    let reach = Reach::open(env, Ports::at(env, at).expect("a port"), ways).expect("servers");
    assert_eq!(reach.gathered().await.to_vec(), []);
    let setup = reach.setup(Setup { codecs: vec![Codec::H264], ..Setup::default() });
    let mut session = Session::new(&setup, env.clock.now());
    let offer = session.offer(&[(Kind::Video, false, true)]).expect("an offer");
    (reach, session, offer)
}

/// Frames that a viewer gets of an answer, until it has this many; nothing if it gets none.
async fn watch(env: &Env, reach: &Reach, mut session: Session, answer: &str, frames: usize) -> Option<usize> {
    session.accept(answer).expect("an answer");
    let line = reach.line(&session.ufrag());
    let mut driver = Driver::new(session, line, env.clone());
    let mut seen = 0;
    while seen < frames {
        match driver.next().await {
            Event::Frame(_) => seen += 1,
            Event::Closed => return None,
            _ => {}
        }
    }
    Some(seen)
}

/// A viewer on the virtual network: the server's answer, and whether it sees anything.
fn view(world: &World, ways: Ways) -> (String, bool) {
    view_at(world, HTTP.into(), VIEWER.into(), ways, |offer| offer)
}

/// The same of a server and a viewer at these addresses, whose offer is changed on the way.
fn view_at(
    world: &World,
    http: SocketAddr,
    at: SocketAddr,
    ways: Ways,
    change: impl FnOnce(String) -> String,
) -> (String, bool) {
    world.runtime.block_on(async {
        let env = world.runtime.env();
        let net = world.net.from(at.ip());
        let env = env.clone().with_net(Arc::new(net.clone()), env.tasks.clone());
        let (reach, session, offer) = viewer(&env, at, ways).await;
        let offer = change(offer);
        let mut client = Client::connect(&net, http).await;
        let length = offer.len();
        client
            .send(&format!("POST /whep/live/cam HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{offer}"))
            .await;
        let head = client.head().await;
        let answer = String::from_utf8(client.body(&head).await.to_vec()).expect("text");
        assert_eq!(head.status(), 201, "{answer}");
        let seen = watch(&env, &reach, session, &answer, 20).await;
        (answer, seen.is_some())
    })
}

fn turn(transport: &str) -> Vec<IceServer> {
    let url = format!("turn:10.0.0.3:3478?transport={transport}");
    vec![IceServer { url, username: Some("alice".into()), credential: Some("pw".into()), client_only: false }]
}

#[test]
fn web_3_media_go_over_a_relay_only_by_udp_and_by_tcp() {
    for transport in ["udp", "tcp"] {
        let world = world();
        let settings = simulated(transport, "    ice-transport: relay\n");
        let _pipeline = show(&world.runtime, "plain.flv", &settings, TURN);
        // Nothing comes and goes where the server really is.
        world.net.silence(MEDIA.into());
        world.pass(TimeDelta::from_secs(1));
        let (answer, sees) = view(&world, Ways::default());
        assert!(candidates(&answer, "host").is_empty() && candidates(&answer, "srflx").is_empty(), "{answer}");
        let relays = candidates(&answer, "relay");
        assert_eq!(
            relays.iter().map(|relay| relay.ip()).collect::<Vec<_>>(),
            [IpAddr::from([10, 0, 0, 3])],
            "{answer}"
        );
        assert!(sees, "over {transport} {answer}");
    }
}

#[test]
fn web_3_udp_blocked_means_turn_over_tcp_for_either_side() {
    let world = world();
    let _pipeline = show(&world.runtime, "plain.flv", "    listen: 10.0.0.1:8080\n    udp: 10.0.0.1:9000\n", TURN);
    world.pass(TimeDelta::from_secs(1));
    // The viewer's own UDP leads nowhere; the server reaches the relay.
    world.net.silence(VIEWER.into());
    let (_, sees) = view(&world, Ways { servers: turn("tcp"), ..Ways::default() });
    assert!(sees, "the viewer has a relay");
    drop(_pipeline);
    let world = self::world();
    let _pipeline = show(&world.runtime, "plain.flv", &simulated("tcp", ""), TURN);
    world.net.silence(MEDIA.into());
    world.pass(TimeDelta::from_secs(1));
    let (answer, sees) = view(&world, Ways::default());
    assert!(!candidates(&answer, "host").is_empty(), "it offers both ways: {answer}");
    assert!(sees, "the server has a relay");
}

#[test]
fn web_3_both_sides_over_relays_only() {
    let world = world();
    let _pipeline = show(&world.runtime, "plain.flv", &simulated("udp", "    ice-transport: relay\n"), TURN);
    world.pass(TimeDelta::from_secs(1));
    let (_, sees) = view(&world, Ways { servers: turn("udp"), transport: IceTransport::Relay, ..Ways::default() });
    assert!(sees);
}

#[test]
fn web_3_a_server_that_does_not_answer_costs_its_candidates_only_and_is_named() {
    let world = world();
    let settings = simulated(
        "udp",
        "      - { url: \"stun:10.0.0.9:3478\" }\n      - { url: \"turn:10.0.0.3:3478\", username: alice, credential: south }\n",
    );
    let mut pipeline = show(&world.runtime, "plain.flv", &settings, TURN);
    let mut bus = pipeline.bus().expect("a bus");
    world.pass(TimeDelta::from_secs(6));
    let said = format!("{:?}", messages(&mut bus));
    assert!(said.contains("stun:10.0.0.9:3478 is of no use: it does not answer"), "{said}");
    assert!(said.contains("it refuses the user name or the password (401)") && !said.contains("south"), "{said}");
    let (answer, sees) = view(&world, Ways::default());
    assert_eq!(candidates(&answer, "relay").len(), 1, "{answer}");
    assert!(sees);
}

#[test]
fn web_3_what_a_stun_server_sees_is_told_and_reached() {
    let world = world();
    // The server is behind a router that gives it another address, and lets everybody in there.
    let outside: SocketAddr = ([203, 0, 113, 5], 6000).into();
    world.net.move_datagrams(MEDIA.into(), outside);
    let settings = "    listen: 10.0.0.1:8080\n    udp: 10.0.0.1:9000\n    ice-servers:\n      - { url: \"stun:10.0.0.3:3478\" }\n";
    let _pipeline = show(&world.runtime, "plain.flv", settings, TURN);
    world.pass(TimeDelta::from_secs(1));
    let (answer, sees) = view(&world, Ways::default());
    assert_eq!((candidates(&answer, "host"), candidates(&answer, "srflx")), (vec![MEDIA.into()], vec![outside]));
    assert!(!answer.contains("a=ice-lite"), "RFC 8445, 2.5: who is lite has host candidates only");
    assert!(sees);
}

#[test]
fn web_3_host_candidates_of_ipv4_and_ipv6_and_viewers_with_mdns_names() {
    let world = world();
    let six = |last: u16, port: u16| SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, last], port));
    let _four = show(&world.runtime, "plain.flv", "    listen: 10.0.0.1:8080\n", "");
    let _six = show(&world.runtime, "plain.flv", "    listen: \"[fd00::1]:8080\"\n", "");
    world.pass(TimeDelta::from_secs(1));
    let (answer, sees) = view(&world, Ways::default());
    assert!(answer.contains("a=ice-lite") && sees, "{answer}");
    let (answer, sees) = view_at(&world, six(1, 8080), six(2, 5000), Ways::default(), |offer| offer);
    assert_eq!(candidates(&answer, "host"), [six(1, 8080)]);
    assert!(sees);
    // Browsers hide their addresses (RFC 8828): the server cannot ask there, and is asked.
    let hide = |offer: String| {
        let hidden = offer.replace("10.0.0.2 5000 typ", "1f4a9d2e-0000-4000-8000-0123456789ab.local 5000 typ");
        assert!(hidden.contains(".local 5000") && !hidden.contains("10.0.0.2 5000"), "{hidden}");
        hidden
    };
    let (_, sees) = view_at(&world, HTTP.into(), VIEWER.into(), Ways::default(), hide);
    assert!(sees);
}

/// What a doctor behind a router says of it; `move_to` is where the router makes it come from.
fn nat_seen(move_to: Option<SocketAddr>) -> Nat {
    let world = world();
    let line = "turnserver listen=10.0.0.3:3478 alternate=10.0.0.4:3479";
    let _server = world.start(line);
    world.pass(TimeDelta::from_millis(10));
    let net = world.net.from([10, 0, 0, 2]);
    let env = world.runtime.env();
    let env = env.clone().with_net(Arc::new(net.clone()), env.tasks.clone());
    // Ports are given one after the other.
    let before = env.net.bind(([10, 0, 0, 2], 0).into()).expect("a port").local();
    if let Some(seen) = move_to {
        world.net.move_datagrams(SocketAddr::new(before.ip(), before.port() + 1), seen);
    }
    let uri = Uri::read("stun:10.0.0.3").expect("a server");
    let report = world.runtime.block_on(try_server(&env, &uri, None, TimeDelta::from_secs(5)));
    assert_eq!(report.reason, None);
    assert_eq!(report.mapped, move_to.or(report.local), "{report:?}");
    report.nat.expect("it was looked at")
}

#[test]
fn turn_1_doctor_tells_the_translation_on_the_way() {
    let open = Some(Filtering::EndpointIndependent);
    assert_eq!(nat_seen(None), Nat { mapping: Some(Mapping::None), filtering: open });
    let outside = ([203, 0, 113, 9], 77).into();
    assert_eq!(nat_seen(Some(outside)), Nat { mapping: Some(Mapping::EndpointIndependent), filtering: open });
}

/// What a doctor at the viewer says of our server, and what our server says of it.
fn diagnose(settings: &str, silent: &[SocketAddr]) -> (EndpointReport, Vec<Message>) {
    let world = world();
    let settings = format!("    listen: 10.0.0.1:8080\n{settings}");
    let mut pipeline = show(&world.runtime, "plain.flv", &settings, "");
    let mut bus = pipeline.bus().expect("a bus");
    world.pass(TimeDelta::from_secs(1));
    silent.iter().for_each(|address| world.net.silence(*address));
    let wanted = Try {
        url: "http://10.0.0.1:8080/whep/live/cam".to_owned(),
        stream: None,
        token: None,
        publishes: false,
        codecs: vec![Codec::H264],
        ways: Ways::default(),
        patience: TimeDelta::from_secs(10),
    };
    let env = world.runtime.env();
    let env = env.clone().with_net(Arc::new(world.net.from([10, 0, 0, 2])), env.tasks.clone());
    let report = world.runtime.block_on(try_endpoint(&env, &wanted));
    // The server waits for 30 s before it gives up.
    world.pass(TimeDelta::from_secs(40));
    (report, messages(&mut bus))
}

/// A field of the message `unreached`.
fn unreached(messages: &[Message], field: &str) -> Option<String> {
    messages.iter().find_map(|message| match &message.kind {
        MessageKind::Element { name: "unreached", fields } => {
            fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value.clone())
        }
        _ => None,
    })
}

#[test]
fn web_3_a_wrong_advertised_address_is_named_by_doctor_and_by_the_server() {
    let other: SocketAddr = ([10, 0, 0, 9], 9000).into();
    let settings = "    udp: 10.0.0.9:9000\n    advertise: [10.0.0.7]\n";
    let (report, said) = diagnose(settings, &[other]);
    let told = vec![SocketAddr::from(([10, 0, 0, 7], 9000)), other];
    assert_eq!(report.reason, Some(Reason::WrongAddress { told: told.clone(), reached: [10, 0, 0, 1].into() }));
    assert!(report.reason.is_some_and(|reason| reason.hint().contains("set `advertise` of the server to 10.0.0.1")));
    let tried: Vec<SocketAddr> = report.pairs.iter().filter(|pair| pair.asked > 0).map(|pair| pair.remote).collect();
    assert!(told.iter().all(|told| tried.contains(told)), "both were tried: {tried:?}");
    assert_eq!(unreached(&said, "reason").as_deref(), Some("nothing-came"), "{said:?}");
    let text = unreached(&said, "text").unwrap_or_default();
    assert!(text.contains("nothing came to 10.0.0.9:9000, 10.0.0.7:9000"), "{text}");
    assert!(unreached(&said, "remote").is_some_and(|remote| remote.starts_with("10.0.0.2:")), "{said:?}");
}

#[test]
fn web_3_doctor_says_that_udp_is_blocked_and_that_all_is_well() {
    let (report, said) = diagnose("    udp: 10.0.0.1:9000\n", &[MEDIA.into()]);
    assert_eq!(report.reason, Some(Reason::UdpBlocked { asked: vec![MEDIA.into()] }));
    assert_eq!(unreached(&said, "reason").as_deref(), Some("nothing-came"), "{said:?}");
    let (report, said) = diagnose("    udp: 10.0.0.1:9000\n", &[]);
    assert_eq!((report.connected, report.reason), (true, None));
    assert_eq!(unreached(&said, "reason"), None);
}

/// coturn with a user, on these ports.
fn coturn(port: u16) -> Background {
    let mut command = Command::new(peers::need("turnserver"));
    let port = format!("--listening-port={port}");
    command.args([
        "-n",
        "--listening-ip=127.0.0.1",
        &port,
        "--relay-ip=127.0.0.1",
        "--lt-cred-mech",
        "--user=alice:pw",
    ]);
    command.args(["--realm=test", "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout"]);
    Background::start(&mut command)
}

/// Our server over coturn: the answer that a viewer gets, and whether it sees anything.
fn over_coturn(transport: &str, more: &str) -> (String, bool) {
    let (runtime, turn, http) = (Runtime::new().expect("a runtime"), free_port(), free_port());
    let _coturn = coturn(turn);
    wait_for_port(turn);
    let settings = format!(
        "    listen: 127.0.0.1:{http}\n    ice-servers:\n      - {{ url: \"stun:127.0.0.1:{turn}\" }}\n      \
         - {{ url: \"turn:127.0.0.1:{turn}?transport={transport}\", username: alice, credential: pw }}\n{more}"
    );
    let clip = fixture("video_only_h264.flv");
    let _pipeline = show(&runtime, &clip.display().to_string(), &settings, "");
    wait_for_port(http);
    let seen = live::in_time(&runtime, async {
        let env = runtime.env();
        let (reach, session, offer) = viewer(env, ([127, 0, 0, 1], 0).into(), Ways::default()).await;
        let headers = [("Content-Type", "application/sdp")];
        let answer = live::wait("the stream does not begin", || {
            let response = request(([127, 0, 0, 1], http).into(), "POST", "/whep/live/cam", &headers, &offer);
            (response.status == 201).then_some(response.body)
        });
        let seen = watch(env, &reach, session, &answer, 20).await;
        (answer, seen.is_some())
    });
    seen.expect("it ends")
}

#[test]
fn web_3_coturn_relays_for_our_server_by_udp_and_by_tcp() {
    for transport in ["udp", "tcp"] {
        let (answer, sees) = over_coturn(transport, "    ice-transport: relay\n");
        assert!(candidates(&answer, "host").is_empty(), "{answer}");
        assert_eq!(candidates(&answer, "relay").len(), 1, "{answer}");
        assert!(sees, "over {transport} {answer}");
    }
}
