//! What a listener takes from clients that are many, slow, silent or large, on a virtual clock and a simulated network.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use millstream_core::net::{Net, NetStream};
use millstream_core::{Env, TimeDelta};
use millstream_rtmp::command::{PlayStart, PublishType};
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_server::doors::{Counts, Doors};
use millstream_testkit::Weather;
use millstream_tests::elements::Collected;
use millstream_tests::logs::Logs;
use millstream_tests::rtmp::{Client, RECEIVE, SEND, SERVER};
use millstream_tests::sim;
use millstream_tests::world::{CLIP_FRAMES, World, buffers, collected};

const RELAY: &str = "rtmpserversrc listen=10.0.0.1:1935 stream=cam ! tee name=t t. ! rtmpserversink listen=10.0.0.1:1935 stream=cam \
     t. ! flvdemux name=d d.video ! collect name=video";

/// What the listener has counted.
fn counts(env: &Env) -> Counts {
    let doors = env.shared::<Doors>().all();
    let [door] = &doors[..] else { panic!("one listener") };
    assert_eq!(door.url(), "rtmp://10.0.0.1:1935");
    door.read()
}

/// A client that got as far as its purpose wants.
async fn client(env: &Env, purpose: Purpose) -> Client {
    let mut client = Client::connect(env, "rtmp://10.0.0.1/live/cam", purpose).await;
    loop {
        match client.next().await.expect("it keeps to the protocol").expect("the server stays") {
            ClientEvent::Publishing { .. } | ClientEvent::Playing { .. } => return client,
            _ => {}
        }
    }
}

/// Whether the other end closes within some time, whatever it sends.
async fn is_closed(env: &Env, socket: &mut Box<dyn NetStream>, within: TimeDelta) -> bool {
    let all = async {
        let mut input = BytesMut::with_capacity(1 << 16);
        while socket.read(&mut input).await.is_ok_and(|read| read > 0) {
            input.clear();
        }
    };
    sim::race(all, env.clock.sleep_until(env.clock.now() + within)).await.is_some()
}

/// Sends a byte now and then, and notes how long that was possible.
fn trickle(env: &Env, mut socket: Box<dyn NetStream>, pause: TimeDelta, closed: &Arc<Mutex<Vec<TimeDelta>>>) {
    let (own, closed, began) = (env.clone(), closed.clone(), env.clock.now());
    let task = env.tasks.spawn(Box::pin(async move {
        while !is_closed(&own, &mut socket, pause).await {
            let _ = socket.write_all(&[0]).await;
        }
        closed.lock().unwrap_or_else(PoisonError::into_inner).push(own.clock.now().since(began));
    }));
    task.detach();
}

#[test]
fn rtmp_h6_sec_peers_of_a_byte_a_minute_do_not_disturb_a_stream_wherever_they_are() {
    let world = World::new(Weather::default());
    let mut relay = world.start(RELAY);
    let video = collected(&mut relay, "video");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let closed = Arc::<Mutex<Vec<TimeDelta>>>::default();
    // C0, C1 and C2 of zeros; then the header of a command of 100 bytes, and its first byte.
    let handshake = [&[3][..], &[0; 1536 + 1536]].concat();
    let command = [&handshake[..], &[3, 0, 0, 0, 0, 0, 100, 20, 0, 0, 0, 0, 2]].concat();
    world.runtime.block_on(async {
        for at in 0..300 {
            let mut socket = env.net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens");
            let sent = [&[3][..], &handshake, &command][at % 3];
            socket.write_all(sent).await.expect("there is room");
            trickle(&env, socket, TimeDelta::from_secs(60), &closed);
        }
        // One that connects, asks for nothing, and is never done with a message.
        let mut idle = Client::connect(&env, "rtmp://10.0.0.1/live/cam", Purpose::Connect).await;
        while !matches!(idle.next().await, Ok(Some(ClientEvent::Connected(_)))) {}
        idle.stream.write_all(&[3, 0, 0, 0, 0, 0, 100, 20, 0, 0, 0, 0, 2]).await.expect("there is room");
        trickle(&env, idle.stream, TimeDelta::from_secs(10), &closed);
    });
    world.end(world.start(SEND));
    assert_eq!(buffers(&video).len(), CLIP_FRAMES.0);
    world.pass(TimeDelta::from_secs(40));
    let closed = std::mem::take(&mut *closed.lock().expect("no panic"));
    assert_eq!(closed.len(), 301, "all are closed");
    // 10 s for the handshake, then 30 s to ask for something, and 2 s to leave.
    assert!(closed.iter().all(|time| *time <= TimeDelta::from_secs(42)), "{closed:?}");
    let counts = counts(&env);
    assert_eq!((counts.closed["handshake took too long"], counts.closed["asked for nothing"]), (100, 201));
}

#[test]
fn rtmp_h6_sec_a_publisher_that_trickles_bytes_of_one_message_frees_its_name() {
    let world = World::new(Weather::default());
    let _receiver = world.start(RECEIVE);
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let closed = Arc::<Mutex<Vec<TimeDelta>>>::default();
    world.runtime.block_on(async {
        let mut publisher = client(&env, Purpose::Publish(PublishType::Live)).await;
        // A picture of a megabyte, of which one byte has come.
        publisher.stream.write_all(&[4, 0, 0, 0, 0x10, 0, 0, 9, 1, 0, 0, 0, 0x17]).await.expect("there is room");
        trickle(&env, publisher.stream, TimeDelta::from_secs(5), &closed);
    });
    world.pass(TimeDelta::from_secs(34));
    assert_eq!(closed.lock().expect("no panic").len(), 1);
    assert_eq!(counts(&env).closed["sent nothing"], 1);
    world.runtime.block_on(client(&env, Purpose::Publish(PublishType::Live)));
}

#[test]
fn a_long_message_over_a_slow_link_is_no_silence() {
    let world = World::new(Weather::default());
    let mut receiver = world.start("rtmpserversrc listen=10.0.0.1:1935 stream=cam ! collect name=all");
    let all = collected(&mut receiver, "all");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let picture: Vec<u8> = [0x17, 1, 0, 0, 0].into_iter().chain((0..500_000_u32).map(|at| at as u8)).collect();
    world.runtime.block_on(async {
        let mut publisher = client(&env, Purpose::Publish(PublishType::Live)).await;
        let media = Media { kind: MediaKind::Video, timestamp: 0, payload: picture.clone().into() };
        publisher.session.send_media(1, &media);
        let bytes = publisher.session.output().concat();
        // 8 kbit/s: more than eight minutes for one message.
        for second in bytes.chunks(1000) {
            publisher.stream.write_all(second).await.expect("the server stays");
            env.clock.sleep_until(env.clock.now() + TimeDelta::from_secs(1)).await;
        }
    });
    // Behind the header of an FLV stream: a tag header of 11 bytes, the body, and 4 bytes.
    let buffers = buffers(&all);
    assert_eq!(buffers.last().map(|buffer| buffer.payload.len()), Some(picture.len() + 15));
}

#[test]
fn sec_a_player_that_reads_nothing_is_closed_after_a_minute_and_counted_and_the_stream_goes_on() {
    let world = World::new(Weather::default());
    let mut relay = world.start(RELAY);
    let video = collected(&mut relay, "video");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_secs(1));
    let play = Purpose::Play { start: PlayStart::Live, duration: None };
    let mut stalled = world.runtime.block_on(client(&env, play));
    assert_eq!(counts(&env).open, 2);
    world.end(sender);
    assert_eq!(buffers(&video).len(), CLIP_FRAMES.0, "the stream was not held up");
    // The network takes a part of the clip, and nothing behind it moves. The first minute is not over at 58 s from the end.
    world.pass(TimeDelta::from_secs(48));
    assert_eq!((counts(&env).open, counts(&env).closed.get("took nothing")), (1, None));
    world.pass(TimeDelta::from_secs(15));
    assert_eq!((counts(&env).open, counts(&env).closed.get("took nothing")), (0, Some(&1)));
    assert!(world.runtime.block_on(is_closed(&env, &mut stalled.stream, TimeDelta::from_secs(1))));
}

#[test]
fn sec_connections_beyond_a_limit_are_closed_and_named_and_those_that_are_there_go_on() {
    let world = World::new(Weather::default());
    let logs = Logs::keep();
    let mut receiver = world.start(&RECEIVE.replace("stream=cam", "stream=cam max-connections=3"));
    let video = collected(&mut receiver, "video");
    world.pass(TimeDelta::from_millis(1));
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_secs(1));
    let env = world.runtime.env().clone();
    let closed = world.runtime.block_on(connect(&env, &env.net, 10));
    world.end(sender);
    world.end(receiver);
    assert_eq!((closed, buffers(&video).len()), (8, CLIP_FRAMES.0));
    assert!(logs.text().contains("there are 3 connections, which is `max-connections`"), "{}", logs.text());
    assert!(
        logs.text().contains("refused=8") && !logs.text().contains("refused=7"),
        "a flood is no flood of log lines"
    );
}

/// Connects so often, and says how many were closed at once. The others stay until all have come.
async fn connect(env: &Env, net: &Arc<dyn Net>, times: usize) -> usize {
    let mut sockets = Vec::new();
    let mut closed = 0;
    for _ in 0..times {
        let mut socket = net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens");
        closed += usize::from(is_closed(env, &mut socket, TimeDelta::from_millis(1)).await);
        sockets.push(socket);
    }
    closed
}

#[test]
fn sec_connections_of_one_address_are_limited_and_others_are_let_in() {
    let world = World::new(Weather::default());
    // The narrowest of the two elements holds, for both.
    let relay = RELAY.replace("1935 stream=cam !", "1935 stream=cam max-connections-per-address=9 !");
    let relay = relay.replace("1935 stream=cam t.", "1935 stream=cam max-connections-per-address=2 t.");
    let _relay = world.start(&relay);
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let [flooder, other] = [66, 77].map(|last| Arc::new(world.net.from([10, 0, 9, last])) as Arc<dyn Net>);
    let refused = world.runtime.block_on(async {
        let flood = connect(&env, &flooder, 20).await;
        let again = connect(&env, &flooder, 2).await;
        (flood, again, connect(&env, &other, 2).await)
    });
    assert_eq!(refused, (18, 0, 0), "places come free");
    assert_eq!(counts(&env).closed["max-connections-per-address"], 18);
}

#[test]
fn sec_messages_beyond_a_limit_and_slow_handshakes_end_a_connection() {
    let world = World::new(Weather::default());
    let limits = "stream=cam max-message-size=64KiB max-unread=100KiB handshake-timeout=2s";
    let mut receiver = world.start(&format!("rtmpserversrc listen=10.0.0.1:1935 {limits} ! collect name=all"));
    let all = receiver.handle::<Collected>("all").expect("a collect");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let media = |len: usize| {
        let payload = [vec![0x17, 1, 0, 0, 0], vec![7; len - 5]].concat().into();
        Media { kind: MediaKind::Video, timestamp: 0, payload }
    };
    world.runtime.block_on(async {
        for (len, is_taken) in [(64 << 10, true), ((64 << 10) + 1, false)] {
            let mut publisher = client(&env, Purpose::Publish(PublishType::Live)).await;
            publisher.session.send_media(1, &media(len));
            publisher.send().await;
            let moment = TimeDelta::from_millis(1);
            assert_eq!(is_closed(&env, &mut publisher.stream, moment).await, !is_taken, "{len}");
        }
        // Two messages of 64 KiB, neither whole: the chunk size in force is the client's, 128 bytes never ends one.
        let mut publisher = client(&env, Purpose::Publish(PublishType::Live)).await;
        let header = |id: u8| [id, 0, 0, 0, 1, 0, 0, 9, 1, 0, 0, 0];
        let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
        for id in [8, 9] {
            bytes.extend(header(id));
            bytes.extend([7; 0xFFFF]);
        }
        publisher.stream.write_all(&bytes).await.expect("there is room");
        assert!(is_closed(&env, &mut publisher.stream, TimeDelta::from_millis(1)).await);
        let mut slow = env.net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens");
        slow.write_all(&[3, 0, 0]).await.expect("there is room");
        assert!(!is_closed(&env, &mut slow, TimeDelta::from_millis(1900)).await);
        assert!(is_closed(&env, &mut slow, TimeDelta::from_millis(200)).await);
    });
    let counts = counts(&env);
    assert_eq!((counts.closed["broke the protocol"], counts.closed["handshake took too long"]), (2, 1));
    let taken = buffers(&all).iter().filter(|buffer| buffer.payload.len() >= 64 << 10).count();
    assert_eq!(taken, 1);
}
