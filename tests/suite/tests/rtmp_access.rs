//! Who may publish and play: keys, files of keys and callbacks, on a simulated network; and that no secret is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use millstream_core::TimeDelta;
use millstream_core::net::Net;
use millstream_rtmp::command::{PlayStart, PublishType, code};
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::{Media, MediaKind, SessionError};
use millstream_runtime::Pipeline;
use millstream_server::http::client::Request;
use millstream_testkit::Weather;
use millstream_tests::logs::Logs;
use millstream_tests::rtmp::{Client, SERVER};
use millstream_tests::sim;
use millstream_tests::world::World;

const PUBLISH: Purpose = Purpose::Publish(PublishType::Live);
const PLAY: Purpose = Purpose::Play { start: PlayStart::Live, duration: None };

/// Where callbacks go.
const HOOKS: ([u8; 4], u16) = ([10, 0, 0, 9], 80);

/// How a client fared.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It publishes, or plays.
    In,
    /// It was told this, and then the connection was closed.
    Refused(String),
    /// Nothing came of it in 20 s.
    Waits,
}

/// Lets a client begin; it stays as long as what is given back.
fn begin(world: &World, url: &str, purpose: Purpose) -> (Fate, Client) {
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let mut client = Client::connect(&env, url, purpose).await;
        let alarm = env.clock.sleep_until(env.clock.now() + TimeDelta::from_secs(20));
        let fate = sim::race(fate(&mut client), alarm).await.unwrap_or(Fate::Waits);
        (fate, client)
    })
}

async fn fate(client: &mut Client) -> Fate {
    loop {
        match client.next().await {
            Ok(Some(ClientEvent::Publishing { .. } | ClientEvent::Playing { .. })) => return Fate::In,
            Ok(Some(_)) => {}
            Ok(None) => panic!("closed without a word"),
            Err(SessionError::Refused(status)) => {
                assert!(client.next().await.expect("no more errors").is_none(), "it is closed");
                return Fate::Refused(status.code);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn denied() -> Fate {
    Fate::Refused(code::PUBLISH_DENIED.to_owned())
}

fn may_not_play() -> Fate {
    Fate::Refused(code::PLAY_FAILED.to_owned())
}

/// A server by hand for callbacks: what it was asked, and what it answers.
struct Hooks {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hooks {
    /// Answers each request by this. Nothing is no answer at all.
    fn answering(world: &World, answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let mut listener = world.net.listen(SocketAddr::from(HOOKS)).expect("a free address");
        let (env, all, answer) = (world.runtime.env().clone(), asked.clone(), Arc::new(answer));
        let accept = env.tasks.clone().spawn(Box::pin(async move {
            while let Ok(mut stream) = listener.accept().await {
                let (all, answer) = (all.clone(), answer.clone());
                let one = env.tasks.spawn(Box::pin(async move {
                    let mut request = BytesMut::with_capacity(64 << 10);
                    while !is_whole(&request) {
                        if stream.read(&mut request).await.is_ok_and(|len| len == 0) {
                            return;
                        }
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    let answer = answer(&request);
                    all.lock().expect("no panic").push(request);
                    if answer.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }));
                one.detach();
            }
        }));
        accept.detach();
        Self { asked }
    }

    /// Path and body of each request, in order.
    fn asked(&self) -> Vec<(String, String)> {
        let asked = self.asked.lock().expect("no panic");
        let parts = |request: &String| {
            let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
            (path, request.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
        };
        asked.iter().map(parts).collect()
    }

    fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|(path, _)| path).collect()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

/// A server of one stream whose ends have these settings.
fn relay(world: &World, publish: &str, play: &str) -> Pipeline {
    let relay = world.start(&format!(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam {publish} ! rtmpserversink listen=10.0.0.1:1935 stream=cam {play}"
    ));
    world.pass(TimeDelta::from_millis(1));
    relay
}

#[test]
fn rtmp_m5_who_has_no_key_is_refused_and_closed() {
    let world = World::new(Weather::default());
    let _relay = relay(&world, "keys=k1", "keys=p1");
    for (url, fate) in [
        ("rtmp://10.0.0.1/live/cam", denied()),
        ("rtmp://10.0.0.1/live/cam?key=", denied()),
        ("rtmp://10.0.0.1/live/cam?key=k", denied()),
        ("rtmp://10.0.0.1/live/cam?key=p1", denied()),
        ("rtmp://10.0.0.1/live/cam?k=k1", denied()),
        ("rtmp://10.0.0.1/live/cam?a=b&key=k1", Fate::In),
        ("rtmp://10.0.0.1/live/cam?key=%6b1", Fate::In),
    ] {
        assert_eq!(begin(&world, url, PUBLISH).0, fate, "{url}");
        world.pass(TimeDelta::from_millis(1));
    }
    for (url, fate) in [
        ("rtmp://10.0.0.1/live/cam?key=k1", may_not_play()),
        ("rtmp://10.0.0.1/live/cam", may_not_play()),
        ("rtmp://10.0.0.1/live/cam?key=p1", Fate::In),
    ] {
        assert_eq!(begin(&world, url, PLAY).0, fate, "{url}");
    }
}

#[test]
fn rtmp_m5_a_second_publisher_of_a_name_is_told_so_and_closed() {
    let world = World::new(Weather::default());
    let _relay = relay(&world, "", "");
    let (first, _stays) = begin(&world, "rtmp://10.0.0.1/live/cam", PUBLISH);
    assert_eq!(first, Fate::In);
    let second = begin(&world, "rtmp://10.0.0.1/live/cam", PUBLISH).0;
    assert_eq!(second, Fate::Refused(code::PUBLISH_BAD_NAME.to_owned()));
}

#[test]
fn rtmp_m5_a_file_of_keys_is_read_again_and_a_broken_one_leaves_the_last_good_keys() {
    let world = World::new(Weather::default());
    let logs = Logs::keep();
    world.fs.insert("keys", b"# who may\ncam one\nother two\n".to_vec());
    let _relay = relay(&world, "keys-file=keys", "");
    let publish = |key: &str| {
        world.pass(TimeDelta::from_secs(2));
        begin(&world, &format!("rtmp://10.0.0.1/live/cam?key={key}"), PUBLISH).0
    };
    assert_eq!([publish("one"), publish("two")], [Fate::In, denied()]);
    world.fs.insert("keys", b"cam three\n".to_vec());
    assert_eq!([publish("one"), publish("three")], [denied(), Fate::In]);
    world.fs.insert("keys", b"cam my three secrets\n".to_vec());
    assert_eq!([publish("three"), publish("my"), publish("three")], [Fate::In, denied(), Fate::In]);
    let warnings = logs.text().matches("the last good keys stay in force").count();
    assert_eq!(warnings, 1, "once for each time that it breaks");
    world.fs.insert("keys", b"four\n".to_vec());
    assert_eq!([publish("three"), publish("four")], [denied(), Fate::In]);
    assert!(!logs.text().contains("secrets"));
}

#[test]
fn rtmp_m5_callbacks_are_asked_at_the_begin_and_told_of_each_end_once() {
    let world = World::new(Weather::default());
    let hooks = Hooks::answering(&world, |request| if request.contains("key=good") { OK } else { FORBIDDEN });
    let _relay = relay(
        &world,
        "on-publish=http://10.0.0.9/publish on-unpublish=http://10.0.0.9/unpublish",
        "on-play=http://10.0.0.9/play?token=t on-stop=http://10.0.0.9/stop",
    );
    let (bad, _) = begin(&world, "rtmp://10.0.0.1/live/cam?key=bad", PUBLISH);
    assert_eq!((bad, hooks.paths()), (denied(), vec!["/publish".to_owned()]));
    let (publisher, lost) = begin(&world, "rtmp://10.0.0.1/live/cam?key=good&app=other", PUBLISH);
    let (player, stays) = begin(&world, "rtmp://10.0.0.1/live/cam?key=good", PLAY);
    assert_eq!(
        (publisher, player, begin(&world, "rtmp://10.0.0.1/live/cam", PLAY).0),
        (Fate::In, Fate::In, may_not_play())
    );
    assert_eq!(hooks.paths()[1..], ["/publish", "/play?token=t", "/play?token=t"]);
    // The one says goodbye, the other's machine loses its power.
    drop(stays);
    world.pass(TimeDelta::from_secs(1));
    world.net.cut(SocketAddr::from(SERVER));
    world.pass(TimeDelta::from_secs(1));
    drop(lost);
    world.pass(TimeDelta::from_secs(60));
    assert_eq!(hooks.paths()[4..], ["/stop", "/unpublish"]);
    let bodies: Vec<String> = hooks.asked().into_iter().map(|(_, body)| body).collect();
    let field = |at: usize, name: &str| -> Vec<String> {
        let values = bodies[at].split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        values.map(str::to_owned).collect()
    };
    // A client does not speak for the server.
    assert_eq!(
        (field(1, "app"), field(1, "name"), field(1, "key")),
        (vec!["live".into()], vec!["cam".into()], vec!["good".into()])
    );
    assert_eq!([field(1, "call"), field(5, "call")].concat(), ["publish", "publish_done"]);
    assert_eq!([field(2, "call"), field(4, "call")].concat(), ["play", "play_done"]);
    assert_eq!((field(1, "clientid"), field(2, "clientid")), (field(5, "clientid"), field(4, "clientid")));
    assert_eq!(field(1, "addr"), ["10.0.0.1"]);
}

#[test]
fn rtmp_m5_a_callback_without_an_answer_refuses_in_time() {
    let world = World::new(Weather::default());
    let hooks = Hooks::answering(&world, |_| "");
    let _relay = relay(&world, "on-publish=http://10.0.0.9/slow callback-timeout=3s", "on-play=http://10.0.0.8/nobody");
    let clock = world.runtime.env().clock.clone();
    let asked_at = clock.now();
    assert_eq!(begin(&world, "rtmp://10.0.0.1/live/cam", PUBLISH).0, denied());
    assert_eq!(clock.now().since(asked_at), TimeDelta::from_secs(3), "on the virtual clock");
    assert_eq!(begin(&world, "rtmp://10.0.0.1/live/cam", PLAY).0, may_not_play());
    assert_eq!(hooks.paths(), ["/slow"]);
}

#[test]
fn rtmp_m5_callbacks_in_json_refuse_by_code() {
    let world = World::new(Weather::default());
    let hooks = Hooks::answering(&world, |request| {
        if request.contains("?key=good") {
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"code\":0}"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"code\":403}"
        }
    });
    let _relay = relay(&world, "on-publish=http://10.0.0.9/srs callback-format=json", "");
    assert_eq!(begin(&world, "rtmp://10.0.0.1/live/cam", PUBLISH).0, denied());
    assert_eq!(begin(&world, "rtmp://10.0.0.1/live/cam?key=good", PUBLISH).0, Fate::In);
    let asked = hooks.asked();
    let json: serde_json::Value = serde_json::from_str(&asked[1].1).expect("JSON");
    assert_eq!((json["action"].as_str(), json["stream"].as_str()), (Some("on_publish"), Some("cam")));
}

#[test]
fn flv_5_http_players_need_keys_too() {
    let world = World::new(Weather::default());
    let hooks = Hooks::answering(&world, |_| OK);
    let _server = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam ! \
         httpflvsink listen=10.0.0.1:80 path=/live/cam.flv keys=k1 on-play=http://10.0.0.9/play on-stop=http://10.0.0.9/stop",
    );
    world.pass(TimeDelta::from_millis(1));
    let (_, mut publisher) = begin(&world, "rtmp://10.0.0.1/live/cam", PUBLISH);
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let media = Media { kind: MediaKind::Video, timestamp: 0, payload: vec![0x17, 1, 0, 0, 0, 7].into() };
        publisher.session.send_media(1, &media);
        publisher.send().await;
        for (path, status) in [("", 403), ("?key=", 403), ("?key=k2", 403), ("?key=k1", 200)] {
            let request = Request::get(&format!("http://10.0.0.1/live/cam.flv{path}")).expect("a URL");
            let response = request.send(&env).await.expect("an answer");
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
    });
    world.pass(TimeDelta::from_secs(1));
    let asked = hooks.asked();
    let fields = |at: usize| asked[at].1.split('&').take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(hooks.paths(), ["/play", "/stop"]);
    assert_eq!([fields(0), fields(1)], ["call=play app=live name=cam", "call=play_done app=live name=cam"]);
}

#[test]
fn no_secret_is_in_logs_messages_or_refusals() {
    const SECRETS: [&str; 5] = ["k3yOfOne", "wr0ngKey", "t0kenOfHook", "appK3y", "fileK3y"];
    let logs = Logs::keep();
    let world = World::new(Weather::default());
    world.fs.insert("keys", b"cam fileK3y\n".to_vec());
    let _hooks = Hooks::answering(&world, |request| if request.contains("/ok") { OK } else { FORBIDDEN });
    let mut relay = relay(
        &world,
        "keys=k3yOfOne keys-file=keys on-publish=http://10.0.0.9/ok?t0kenOfHook on-unpublish=http://10.0.0.8/t0kenOfHook",
        "keys=k3yOfOne on-play=http://10.0.0.9/no?t0kenOfHook",
    );
    let mut bus = relay.bus().expect("a bus");
    let mut told = String::new();
    for (url, purpose) in [
        ("rtmp://10.0.0.1/live/cam?key=wr0ngKey", PUBLISH),
        ("rtmp://10.0.0.1/live?key=appK3y/cam?key=wr0ngKey", PUBLISH),
        ("rtmp://10.0.0.1/live/cam?key=fileK3y", PUBLISH),
        ("rtmp://10.0.0.1/live/cam?key=k3yOfOne", PUBLISH),
        ("rtmp://10.0.0.1/live/cam?key=k3yOfOne", PLAY),
        ("rtmp://10.0.0.1/live/cam?key=wr0ngKey", PLAY),
        ("rtmp://10.0.0.1/live/k3yOfOne?key=wr0ngKey", PLAY),
    ] {
        told.push_str(&format!("{:?}\n", begin(&world, url, purpose).0));
    }
    // Our own client, whose errors are for people.
    let mut client =
        world.start("filesrc location=clip.flv ! rtmpsink location=rtmp://10.0.0.1/live/cam?key=wr0ngKey retries=0");
    let error = world.runtime.block_on(client.wait()).expect_err("it is refused");
    told.push_str(&format!("{error} {error:?}\n"));
    world.pass(TimeDelta::from_secs(30));
    while let Some(message) = bus.try_next() {
        told.push_str(&format!("{message:?}\n"));
    }
    let logged = logs.text();
    assert!(logged.contains("may not publish: The key is missing or wrong.") && logged.contains("stream=live/cam"));
    assert!(logged.contains("peer=10.0.0.1:") && logged.contains("could not be told") && told.contains("published"));
    for secret in SECRETS {
        for (what, text) in [("logs", &logged), ("messages", &told)] {
            // A name that is somebody's key cannot be known to be one.
            let lines = text.lines().filter(|line| line.contains(secret) && !line.contains("stream=live/k3yOfOne"));
            assert_eq!(lines.collect::<Vec<_>>(), Vec::<&str>::new(), "{secret} in {what}");
        }
    }
}
