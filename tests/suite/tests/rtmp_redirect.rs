//! Where a server may lead our clients, and where not, on a simulated network.

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::{Error, MessageKind, TimeDelta};
use millstream_rtmp::command::Connect;
use millstream_testkit::{Weather, fixture};
use millstream_tests::rtmp_server::{Answer, Script, Server, media_of};
use millstream_tests::world::{CLIP, World, messages};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn redirects(to: &'static str) -> Script {
    let connect = Arc::new(move |connect: &Connect| match &*connect.app {
        "live" => Answer::Redirect(to.into()),
        _ => Answer::Accept,
    });
    Script { connect, ..Script::default() }
}

/// Both clients; `URL` and `SETTINGS` stand in the lines.
const CLIENTS: [&str; 2] = [
    "filesrc location=clip.flv ! rtmpsink location=URL retries=0 SETTINGS",
    "rtmpsrc location=URL retries=0 SETTINGS ! fakesink",
];

/// What comes of a client of a server at 10.0.0.1 that redirects, and how many connections came to where it leads.
fn led(client: &str, settings: &str, to: &'static str, listens: &str) -> (Result<(), Error>, usize) {
    let world = World::new(Weather::default());
    world.net.name("inside.example", address("127.0.0.1:0"));
    let env = world.runtime.env();
    let clip = Arc::new(media_of(std::fs::read(fixture(CLIP)).expect("the fixture is there")));
    let plays = |script: Script| Script { plays: Some((clip.clone(), TimeDelta::ZERO)), ..script };
    let _first = Server::start(env, address("10.0.0.1:1935"), plays(redirects(to)));
    let second = (listens != "10.0.0.1:1935").then(|| Server::start(env, address(listens), plays(Script::default())));
    let line = client.replace("URL", "rtmp://10.0.0.1/live/cam?key=s3cret").replace("SETTINGS", settings);
    let result = world.wait(&mut world.start(&line));
    (result, second.map_or(0, |second| second.log().connects.len()))
}

#[test]
fn sec_a_redirect_leads_where_the_operator_allows() {
    for client in CLIENTS {
        for (settings, to, listens) in [
            // To its own kind, and to public ones, by default.
            ("", "rtmp://10.0.0.2/live", "10.0.0.2:1935"),
            ("", "rtmp://192.168.7.7:81/live", "192.168.7.7:81"),
            ("redirect=public", "rtmp://203.0.113.5/live", "203.0.113.5:1935"),
            ("redirect=any", "rtmp://127.0.0.1/live", "127.0.0.1:1935"),
            ("redirect=any", "rtmp://inside.example/live", "127.0.0.1:1935"),
            ("redirect=same-host", "rtmp://10.0.0.1:81/other", "10.0.0.1:81"),
        ] {
            let (result, connects) = led(client, settings, to, listens);
            result.unwrap_or_else(|error| panic!("{settings} {to}: {error}"));
            assert_eq!(connects, 1, "{client} {settings} {to}");
        }
        let (result, _) = led(client, "redirect=same-host", "/other", "10.0.0.1:1935");
        result.expect("another application of the same server");
    }
}

#[test]
fn sec_a_redirect_leads_nowhere_else_and_the_error_says_so() {
    for client in CLIENTS {
        for (settings, to, listens, why) in [
            ("", "rtmp://127.0.0.1/live", "127.0.0.1:1935", "rtmp://127.0.0.1, this machine"),
            ("", "rtmp://inside.example:6379/live", "127.0.0.1:6379", "rtmp://inside.example:6379, this machine"),
            ("", "rtmp://169.254.169.254:80/live", "169.254.169.254:80", "an address of the link"),
            ("", "rtmp://[::ffff:127.0.0.1]/live", "[::ffff:127.0.0.1]:1935", "this machine"),
            ("redirect=same-host", "rtmp://10.0.0.2/live", "10.0.0.2:1935", "another host"),
            ("redirect=none", "rtmp://10.0.0.2/live", "10.0.0.2:1935", "elsewhere"),
            ("redirect=none", "rtmp://10.0.0.1:81/live", "10.0.0.1:81", "elsewhere"),
        ] {
            let (result, connects) = led(client, settings, to, listens);
            let error = result.expect_err("it is not followed");
            let text = format!("{error} {:?} {error:?}", error.hint_text());
            assert!(text.contains(why) && text.contains("`redirect: any`"), "{to}: {text}");
            assert!(!text.contains("s3cret"), "{text}");
            assert_eq!(connects, 0, "{client} {settings} {to}");
        }
    }
}

#[test]
fn sec_a_name_that_leads_elsewhere_later_is_not_followed_there() {
    let world = World::new(Weather::default());
    let env = world.runtime.env();
    world.net.name("moving.example", address("203.0.113.5:0"));
    let _first = Server::start(env, address("10.0.0.1:1935"), redirects("rtmp://moving.example/live"));
    let public = Server::start(env, address("203.0.113.5:1935"), Script::default());
    let inside = Server::start(env, address("127.0.0.1:1935"), Script::default());
    let line = "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video flvmux name=m ! \
                rtmpsink location=rtmp://10.0.0.1/live/cam retries=2";
    let mut sender = world.start(line);
    world.pass(TimeDelta::from_secs(2));
    world.net.name("moving.example", address("127.0.0.1:0"));
    world.net.cut(address("203.0.113.5:1935"));
    let error = world.wait(&mut sender).expect_err("there is nobody else");
    assert!(error.to_string().contains("this machine"), "{error}");
    assert!(!public.log().media.is_empty());
    assert!(inside.log().connects.is_empty(), "a name is looked up each time, and its address counts");
}

#[test]
fn sec_ert_11_a_server_that_asks_to_move_leads_no_further() {
    let world = World::new(Weather::default());
    let env = world.runtime.env();
    let asks = Script { move_at: Some((1000, Some("rtmp://127.0.0.1/live".into()))), ..Script::default() };
    let first = Server::start(env, address("10.0.0.1:1935"), asks);
    let inside = Server::start(env, address("127.0.0.1:1935"), Script::default());
    let line = "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video flvmux name=m ! \
                rtmpsink location=rtmp://10.0.0.1/live/cam";
    let mut sender = world.start(line);
    let mut bus = sender.bus().expect("the first to ask");
    world.wait(&mut sender).expect("the stream stays where it is");
    let warned = messages(&mut bus).into_iter().any(|message| match message.kind {
        MessageKind::Warning(error) => error.to_string().contains("this machine"),
        _ => false,
    });
    assert!(warned && inside.log().connects.is_empty());
    assert!(first.log().media.iter().any(|media| media.timestamp > 9000));
}
