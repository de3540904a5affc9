//! Workers and guests of a signaling server on other machines, on a simulated network and the virtual clock: who says what in which order, and what
//! becomes of media when connections and servers go.

use std::sync::{Arc, Mutex};

use millstream_core::meter::Kind;
use millstream_core::{Env, TimeDelta};
use millstream_graph::load_launch;
use millstream_signaling::client::Credentials;
use millstream_signaling::message::{
    CandidateInit, ClientMessage, Code, EndedReason, Envelope, ServerMessage, WelcomeState,
};
use millstream_signaling::shell::remote::RemotePeer;
use millstream_signaling::token::sign;
use millstream_testkit::Weather;
use millstream_tests::elements::registry;
use millstream_tests::sim;
use millstream_tests::world::{World, buffers, collected};
use millstream_webrtc::driver::Driver;
use millstream_webrtc::offer::Offer;
use millstream_webrtc::ports::Ports;
use millstream_webrtc::session::{Carries, Changes, Codec, Event, Format, Packet, Session, Setup, TrackId};
use serde_json::{Value, json};

const SERVER: &str = "signalingserver listen=10.0.0.1:8080 secret=0123456789abcdef0123456789abcdef";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const URL: &str = "ws://10.0.0.1:8080/signal";
const LISTEN: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);

/// Who publishes and plays.
const GUEST: [u8; 4] = [10, 0, 0, 2];

/// A signed token of this identity and role.
fn token(identity: &str, role: &str) -> String {
    sign(SECRET, &json!({ "sub": identity, "role": role, "exp": 4_000_000_000_i64 }))
}

/// A worker on another machine.
fn worker(element: &str) -> String {
    format!("{element} signaling={URL} token={} udp=10.0.0.3:5000 stream=cam", token(element, "worker"))
}

/// What all heard and said, in order.
type Said = Arc<Mutex<Vec<String>>>;

/// Somebody on another machine, with a session of ours for a browser's.
struct Guest {
    peer: RemotePeer,
    env: Env,
    /// Whose ports differ: what comes from one address belongs to one session.
    port: u16,
    said: Said,
    session: String,
    with: String,
    driver: Option<Driver>,
    tracks: Vec<(Kind, TrackId, Format)>,
}

impl Guest {
    fn new(world: &World, identity: &str) -> Self {
        let env = world.runtime.env();
        let env = env.clone().with_net(Arc::new(world.net.from(GUEST)), env.tasks.clone());
        let credentials = Credentials { identity: None, token: Some(token(identity, "guest").into()) };
        let peer = RemotePeer::at(&env, URL, credentials);
        let (session, with) = (String::new(), String::new());
        let port = 6000 + identity.len() as u16;
        Self { peer, env, port, said: Said::default(), session, with, driver: None, tracks: Vec::new() }
    }

    fn say(&self, message: ClientMessage) {
        let kind = serde_json::to_value(&message).expect("JSON")["type"].as_str().expect("a type").to_owned();
        self.said.lock().expect("no panic").push(format!("> {kind}"));
        self.peer.say(&message);
    }

    async fn hear(&self) -> Arc<Envelope> {
        let envelope = self.peer.hear().await.expect("the server stays");
        let value: Value = serde_json::from_str(&envelope.to_json()).expect("JSON");
        self.said.lock().expect("no panic").push(format!("< {}", value["type"].as_str().expect("a type")));
        envelope
    }

    /// The next message of which this makes something; the session goes on meanwhile.
    async fn until<T>(&mut self, find: impl Fn(&ServerMessage) -> Option<T>) -> T {
        loop {
            let mut driver = self.driver.take();
            let envelope = {
                let hearing = self.hear();
                tokio::pin!(hearing);
                loop {
                    tokio::select! {
                        biased;
                        envelope = &mut hearing => break envelope,
                        _ = next(driver.as_mut()) => {}
                    }
                }
            };
            self.driver = driver;
            if let Some(found) = find(&envelope.message) {
                return found;
            }
        }
    }

    async fn welcome(&mut self) -> WelcomeState {
        self.until(|message| match message {
            ServerMessage::Welcome { state, .. } => Some(*state),
            _ => None,
        })
        .await
    }

    async fn answer(&mut self) -> String {
        self.until(|message| match message {
            ServerMessage::Answer { sdp, .. } => Some(sdp.clone()),
            ServerMessage::Ended { message, .. } => panic!("it has ended: {message:?}"),
            _ => None,
        })
        .await
    }

    fn setup(&self, sends: bool) -> (Arc<Ports>, Setup) {
        let ports = Ports::at(&self.env, (GUEST, self.port).into()).expect("a port");
        let carries = if sends { Carries::Packets } else { Carries::Frames };
        let codecs = vec![Codec::Vp8, Codec::Opus];
        let addresses = ports.addresses();
        (ports, Setup { codecs, carries, addresses, ..Setup::default() })
    }

    /// `publish` or `play`, up to `ready`.
    async fn begin(&mut self, wish: ClientMessage, sends: bool, kinds: &[Kind]) {
        self.say(wish);
        (self.session, self.with) = self
            .until(|message| match message {
                ServerMessage::Init { session, peer, .. } => Some((session.clone(), peer.clone())),
                ServerMessage::Error { message, .. } => panic!("{message}"),
                ServerMessage::Ended { message, .. } => panic!("it has ended: {message:?}"),
                _ => None,
            })
            .await;
        let (ports, setup) = self.setup(sends);
        let mut session = Session::new(&setup, self.env.clock.now());
        let tracks: Vec<_> = kinds.iter().map(|kind| (*kind, sends, !sends)).collect();
        let sdp = session.offer(&tracks).expect("an offer");
        self.say(ClientMessage::Offer { session: Some(self.session.clone()), to: None, sdp });
        session.accept(&self.answer().await).expect("an answer");
        let line = ports.line(&session.ufrag());
        self.driver = Some(Driver::new(session, line, self.env.clone()));
        self.learn();
        self.until(|message| matches!(message, ServerMessage::Ready { .. }).then_some(())).await;
    }

    fn learn(&mut self) {
        let driver = self.driver.as_mut().expect("a session");
        self.tracks = driver.with(|session| {
            let all = session.tracks();
            let way = |track: millstream_webrtc::session::Track| {
                Some((track.kind, track.id, *session.formats(track.id).first()?))
            };
            all.into_iter().filter_map(way).collect()
        });
    }

    /// Waits for an offer, and answers it in a session that is there or a new one. Gives the offer.
    async fn answer_offer(&mut self) -> String {
        let find = |message: &ServerMessage| match message {
            ServerMessage::Offer { session, from, sdp, .. } => Some((session.clone(), from.clone(), sdp.clone())),
            _ => None,
        };
        let (id, from, sdp) = self.until(find).await;
        (self.session, self.with) = (id.clone(), from);
        let offer = Offer::read(&sdp).expect("an offer");
        let answer = match &mut self.driver {
            Some(driver) => driver.now(|session| session.answer(&offer)).expect("an answer"),
            None => {
                let (ports, setup) = self.setup(false);
                let mut session = Session::new(&setup, self.env.clock.now());
                let answer = session.answer(&offer).expect("an answer");
                let line = ports.line(&session.ufrag());
                self.driver = Some(Driver::new(session, line, self.env.clone()));
                answer
            }
        };
        let line = answer.lines().find(|line| line.starts_with("a=candidate:")).expect("a candidate");
        let candidate = CandidateInit {
            candidate: line[2..].to_owned(),
            sdp_mid: Some("0".to_owned()),
            sdp_m_line_index: None,
            username_fragment: None,
        };
        // Too early, and then once more.
        let candidate = ClientMessage::Candidate { session: id.clone(), candidate: Some(candidate) };
        self.say(candidate.clone());
        self.say(ClientMessage::Answer { session: id, sdp: answer });
        self.say(candidate);
        sdp
    }

    /// How many pictures and sounds come in a time.
    async fn watch(&mut self, time: TimeDelta) -> (usize, usize) {
        let events = self.wait(time).await;
        let count = |kind| {
            events.iter().filter(|event| matches!(event, Event::Frame(frame) if frame.codec.kind() == kind)).count()
        };
        (count(Kind::Video), count(Kind::Audio))
    }

    fn track(&self, kind: Kind) -> TrackId {
        self.tracks.iter().find(|track| track.0 == kind).expect("a track").1
    }

    /// Goes on in an open session with another offer.
    async fn offer_again(&mut self, act: impl FnOnce(&mut Session) -> Option<String>) {
        let sdp = self.driver.as_mut().expect("a session").now(act).expect("an offer");
        self.say(ClientMessage::Offer { session: Some(self.session.clone()), to: None, sdp });
        let answer = self.answer().await;
        self.driver.as_mut().expect("a session").now(|session| session.accept(&answer)).expect("an answer");
        self.learn();
    }

    /// Sends pictures and sound for a time: 20 ms each, all of them keys; what is heard meanwhile is waited for later.
    async fn send(&mut self, count: usize, kinds: &[Kind]) {
        for _ in 0..count {
            let now = self.env.clock.now();
            let driver = self.driver.as_mut().expect("a session");
            for (kind, id, format) in self.tracks.iter().filter(|track| kinds.contains(&track.0)) {
                let payload: &[u8] = if *kind == Kind::Video { &VP8_KEY } else { &[0xFC, 1, 2, 3, 4] };
                let packet = Packet { payload: payload.into(), marker: true };
                let ticks = now.ticks(format.codec.rate()) as u32;
                driver.now(|session| session.send(*id, format, &[packet], ticks, now));
            }
            self.wait(TimeDelta::from_millis(20)).await;
        }
    }

    async fn wait(&mut self, time: TimeDelta) -> Vec<Event> {
        let end = self.env.clock.sleep_until(self.env.clock.now() + time);
        tokio::pin!(end);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = &mut end => return events,
                event = next(self.driver.as_mut()) => {
                    assert!(!matches!(event, Event::Closed), "the session goes on");
                    events.push(event);
                }
            }
        }
    }

    fn order(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().expect("no panic"))
    }
}

async fn next(driver: Option<&mut Driver>) -> Event {
    match driver {
        Some(driver) => driver.next().await,
        None => std::future::pending().await,
    }
}

/// RFC 7741, 4.2 and RFC 6386, 9.1: the descriptor of a first partition, then the head of a key frame of 16 × 16.
const VP8_KEY: [u8; 12] = [0x10, 0x10, 0, 0, 0x9D, 0x01, 0x2A, 16, 0, 16, 0, 0];

/// Frames of each kind that a pipeline has taken in so far.
fn count(collected: &millstream_tests::elements::Collected) -> usize {
    buffers(collected).len()
}

fn run<T>(world: &World, test: impl AsyncFnOnce() -> T) -> T {
    world.runtime.block_on(test())
}

const INTO: &str = "w.video ! collect name=v  w.audio ! collect name=a";
const BOTH: [Kind; 2] = [Kind::Video, Kind::Audio];

fn publish(stream: &str) -> ClientMessage {
    ClientMessage::Publish { stream: stream.into() }
}

#[test]
fn sig_1_sig_3_a_worker_elsewhere_and_its_media_outlive_a_restart_of_the_server() {
    let world = World::new(Weather::default());
    let server = world.start(SERVER);
    let mut pipeline = world.start(&format!("{} name=w eos-on-unpublish=true grace=1s {INTO}", worker("webrtcsrc")));
    let [video, audio] = ["v", "a"].map(|name| collected(&mut pipeline, name));
    let mut guest = Guest::new(&world, "alice");
    world.pass(TimeDelta::from_secs(3));
    run(&world, async || {
        assert_eq!(guest.welcome().await, WelcomeState::New);
        guest.begin(publish("cam"), true, &BOTH).await;
        guest.send(100, &BOTH).await;
    });
    let conversation = ["< welcome", "> publish", "< init", "> offer", "< answer", "< ready"];
    assert_eq!(guest.order(), conversation);
    assert!(count(&audio) >= 99 && count(&video) >= 95);
    // Media go on while there is no server at all.
    drop(server);
    run(&world, async || guest.send(100, &BOTH).await);
    assert_eq!((count(&audio), count(&video)), (100, 100));
    let _server = world.start(SERVER);
    run(&world, async || {
        guest.send(100, &BOTH).await;
        assert_eq!(guest.welcome().await, WelcomeState::Restored, "the server trusts the token of its predecessor");
        let (session, with) = (guest.session.clone(), guest.with.clone());
        guest.say(ClientMessage::Reopen { session, with, polite: true });
        guest.until(|message| matches!(message, ServerMessage::Opened { .. }).then_some(())).await;
        // What the session is negotiated by works as before.
        guest.offer_again(Session::offer_restart).await;
        guest.send(50, &BOTH).await;
        let session = guest.session.clone();
        guest.say(ClientMessage::Hangup { session });
    });
    assert_eq!(guest.order(), ["< welcome", "> reopen", "< opened", "> offer", "< answer", "> hangup"]);
    world.end(pipeline);
    let sounds = count(&audio);
    assert!(sounds >= 149, "{sounds}: nothing is lost of the 150 packets since");
}

#[test]
fn sig_1_a_worker_whose_socket_is_lost_resumes_and_nothing_is_said_twice() {
    let world = World::new(Weather::default());
    let _server = world.start(SERVER);
    let mut pipeline = world.start(&format!("{} name=w eos-on-unpublish=true grace=1s {INTO}", worker("webrtcsrc")));
    let audio = collected(&mut pipeline, "a");
    let mut guest = Guest::new(&world, "alice");
    world.pass(TimeDelta::from_secs(3));
    run(&world, async || {
        guest.begin(publish("cam"), true, &BOTH).await;
        guest.send(50, &BOTH).await;
        guest.order();
        world.net.cut(LISTEN.into());
        // Said while nobody hears it, and heard when both are back: once.
        guest.offer_again(Session::offer_restart).await;
        guest.send(100, &BOTH).await;
        let session = guest.session.clone();
        guest.say(ClientMessage::Hangup { session });
        guest.until(|message| matches!(message, ServerMessage::Ended { .. }).then_some(())).await;
    });
    assert_eq!(guest.order(), ["> offer", "< welcome", "< answer", "> hangup", "< ended"]);
    world.end(pipeline);
    assert!(count(&audio) >= 149);
}

#[test]
fn sig_3_a_worker_elsewhere_that_is_stopped_takes_leave() {
    let world = World::new(Weather::default());
    let _server = world.start(SERVER);
    let pipeline = world.start(&format!("{} name=w {INTO}", worker("webrtcsrc")));
    let mut guest = Guest::new(&world, "alice");
    world.pass(TimeDelta::from_secs(3));
    run(&world, async || {
        guest.begin(publish("cam"), true, &BOTH).await;
        guest.send(10, &BOTH).await;
        pipeline.stop();
        // At once, and not when the time to resume is over.
        let heard = guest.until(|message| match message {
            ServerMessage::Ended { reason, .. } => Some(*reason),
            _ => None,
        });
        let patience = world.runtime.env().clock.sleep_until(world.runtime.env().clock.now() + TimeDelta::from_secs(2));
        assert_eq!(sim::race(heard, patience).await, Some(EndedReason::HungUp));
        let nobody = publish("cam");
        guest.say(nobody);
        let code = guest.until(|message| match message {
            ServerMessage::Error { code, .. } => Some(*code),
            _ => None,
        });
        assert_eq!(code.await, Code::NoWorker);
    });
    world.end(pipeline);
}

#[test]
fn sig_3_a_worker_that_may_not_serve_says_which_setting_is_wrong() {
    for (token, property, words) in [
        (token("alice", "guest"), "token", "only workers serve streams"),
        ("wrong".to_owned(), "token", "a token is needed"),
    ] {
        let world = World::new(Weather::default());
        let _server = world.start(SERVER);
        let mut pipeline =
            world.start(&format!("webrtcsrc signaling={URL} token={token} udp=10.0.0.3:5000 stream=cam name=w {INTO}"));
        let error = world.wait(&mut pipeline).expect_err("it may not");
        assert_eq!(error.property(), Some(property), "{error}");
        assert!(error.to_string().contains(words) && !error.to_string().contains(&token), "{error}");
    }
}

#[test]
fn sig_3_settings_of_workers_that_cannot_be_are_refused_by_name() {
    let source = |settings: &str| format!("webrtcsrc name=w {settings} {INTO}");
    let sink = |settings: &str| format!("appsrc caps=video/x-vp8 ! w.video webrtcsink name=w {settings}");
    for (line, property, words) in [
        (source("stream=cam listen=127.0.0.1:8080 signaling=ws://a/signal"), "signaling", "named twice"),
        (sink("stream=cam path=/s signaling=wss://a/signal"), "signaling", "named twice"),
        (source("stream=cam signaling=http://a/signal"), "signaling", "no URL of a signaling server"),
        (source("stream=cam signaling=ws:///signal"), "signaling", "no URL of a signaling server"),
        (source("stream=cam signaling=ws://a/signal?token=x"), "signaling", "said as `token`"),
        (source("stream=cam token=x"), "token", "needs no proof"),
        (sink("stream=cam identity=x"), "identity", "needs no proof"),
        (sink("stream=cam path=signal"), "path", "no path"),
        (source("stream=c*m"), "stream", "without `*`"),
        (sink("stream=''"), "stream", "1 to 256 bytes"),
        (sink(&format!("stream=cam room={}", "r".repeat(65))), "room", "1 to 64 characters"),
        (sink("stream=cam offer-members=true"), "offer-members", "no room"),
        (sink("stream=cam max-viewers=0"), "max-viewers", "1"),
    ] {
        let error = load_launch(&line, &registry()).expect_err(&line).to_string();
        assert!(error.contains(words) && error.contains(property), "{line}: {error}");
    }
}

/// The names of the items that came, each once in a row.
fn course(collected: &millstream_tests::elements::Collected) -> Vec<&'static str> {
    let mut names: Vec<_> = collected.take().iter().map(millstream_core::Item::name).collect();
    names.dedup();
    names
}

fn add_audio(session: &mut Session) -> Option<String> {
    session.offer_changes(&Changes { add: vec![(Kind::Audio, true, false)], ..Changes::default() })
}

fn turn(track: TrackId, sends: bool) -> impl FnOnce(&mut Session) -> Option<String> {
    move |session| session.offer_changes(&Changes { turn: vec![(track, sends, false)], ..Changes::default() })
}

#[test]
fn sig_3_tracks_come_and_go_in_a_session_that_publishes() {
    let world = World::new(Weather::default());
    let _server = world.start(SERVER);
    let mut pipeline = world.start(&format!("{} name=w {INTO}", worker("webrtcsrc")));
    let [video, audio] = ["v", "a"].map(|name| collected(&mut pipeline, name));
    let mut guest = Guest::new(&world, "alice");
    world.pass(TimeDelta::from_secs(3));
    run(&world, async || {
        guest.begin(publish("cam"), true, &[Kind::Video]).await;
        guest.send(50, &BOTH).await;
        assert_eq!((count(&video) > 40, count(&audio)), (true, 0));
        guest.order();
        guest.offer_again(add_audio).await;
        assert_eq!(guest.order(), ["> offer", "< answer"]);
        guest.send(50, &BOTH).await;
        assert_eq!(course(&audio), ["stream-start", "caps", "segment", "buffer"]);
        let sound = guest.track(Kind::Audio);
        guest.offer_again(turn(sound, false)).await;
        guest.send(50, &[Kind::Video]).await;
        assert_eq!(course(&audio), ["absent"], "nobody waits for what has ended");
        guest.offer_again(turn(sound, true)).await;
        guest.send(50, &BOTH).await;
        assert_eq!(course(&audio), ["stream-start", "caps", "segment", "buffer"]);
        assert!(count(&video) >= 149, "the pictures go on meanwhile");
        // One track of each kind: the session goes on without the second.
        let second = |session: &mut Session| {
            session.offer_changes(&Changes { add: vec![(Kind::Video, true, false)], ..Changes::default() })
        };
        let sdp = guest.driver.as_mut().expect("a session").now(second).expect("an offer");
        guest.say(ClientMessage::Offer { session: Some(guest.session.clone()), to: None, sdp });
        let why = guest.until(|message| match message {
            ServerMessage::Ended { message, .. } => message.clone(),
            _ => None,
        });
        assert_eq!(why.await, "There is one track of each kind at most.");
    });
    drop(pipeline);
}

/// Somebody publishes pictures into a pipeline that shows them to others.
async fn on_air(world: &World, sink: &str) -> (Guest, Guest, [millstream_runtime::Pipeline; 2]) {
    let server = world.start(SERVER);
    let line = format!(
        "{} name=in  {} {sink} name=out  in.video ! out.video  in.audio ! out.audio",
        worker("webrtcsrc"),
        worker("webrtcsink")
    );
    let pipeline = world.start(&line);
    let [mut alice, bob] = ["alice", "bob"].map(|name| Guest::new(world, name));
    alice.wait(TimeDelta::from_secs(3)).await;
    alice.begin(publish("cam"), true, &[Kind::Video]).await;
    alice.send(50, &BOTH).await;
    (alice, bob, [server, pipeline])
}

const SECOND: TimeDelta = TimeDelta::from_secs(1);

#[test]
fn sig_3_what_begins_later_or_ends_is_offered_to_who_plays() {
    let world = World::new(Weather::default());
    run(&world, async || {
        let (mut alice, mut bob, _running) = on_air(&world, "").await;
        let play = ClientMessage::Play { stream: "cam".into() };
        tokio::join!(bob.begin(play, false, &[Kind::Video]), alice.send(60, &BOTH));
        let (_, (pictures, sounds)) = tokio::join!(alice.send(50, &BOTH), bob.watch(SECOND));
        assert!(pictures > 40 && sounds == 0, "{pictures} {sounds}");
        bob.order();
        // Sound begins, which Bob has no track for: one is offered.
        alice.offer_again(add_audio).await;
        let (_, offer) = tokio::join!(alice.send(50, &BOTH), bob.answer_offer());
        assert_eq!(offer.matches("m=audio").count(), 1, "{offer}");
        let (_, (pictures, sounds)) = tokio::join!(alice.send(50, &BOTH), bob.watch(SECOND));
        assert!(pictures > 40 && sounds > 40, "{pictures} {sounds}");
        // It ends, and begins anew.
        let sound = alice.track(Kind::Audio);
        alice.offer_again(turn(sound, false)).await;
        let (_, offer) = tokio::join!(alice.send(50, &[Kind::Video]), bob.answer_offer());
        assert!(offer.contains("a=inactive"), "{offer}");
        alice.offer_again(turn(sound, true)).await;
        let (_, offer) = tokio::join!(alice.send(50, &BOTH), bob.answer_offer());
        assert!(!offer.contains("a=inactive"), "{offer}");
        let (_, (pictures, sounds)) = tokio::join!(alice.send(50, &BOTH), bob.watch(SECOND));
        assert!(pictures > 40 && sounds > 40, "{pictures} {sounds}");
        let mut said = bob.order();
        said.retain(|one| !one.ends_with("candidate"));
        assert_eq!(said, ["< offer", "> answer", "< offer", "> answer", "< offer", "> answer"]);
    });
}

#[test]
fn sig_3_pull_a_worker_offers_to_who_joins_and_candidates_go_both_ways() {
    let world = World::new(Weather::default());
    run(&world, async || {
        let (mut alice, mut bob, _running) = on_air(&world, "room=stage offer-members=true").await;
        bob.say(ClientMessage::Join { room: "stage".into() });
        let ready = async {
            bob.answer_offer().await;
            bob.until(|message| matches!(message, ServerMessage::Ready { .. }).then_some(())).await;
        };
        tokio::join!(ready, alice.send(60, &BOTH));
        let said = bob.order();
        let position =
            |what: &str| said.iter().position(|one| one == what).unwrap_or_else(|| panic!("{what}: {said:?}"));
        assert_eq!(said[position("> join")..][..3], ["> join", "< welcome", "< joined"], "{said:?}");
        for two in
            [["< joined", "< offer"], ["< offer", "< candidate"], ["< offer", "> answer"], ["> answer", "< ready"]]
        {
            assert!(position(two[0]) < position(two[1]), "{two:?}: {said:?}");
        }
        let (_, (pictures, _)) = tokio::join!(alice.send(50, &BOTH), bob.watch(SECOND));
        assert!(pictures > 40, "{pictures}");
        bob.say(ClientMessage::Leave { room: "stage".into() });
        bob.until(|message| matches!(message, ServerMessage::Ended { .. }).then_some(())).await;
    });
}
