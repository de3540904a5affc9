//! A server that stops asks its clients to move (Enhanced RTMP v2, "Reconnect Request"), on a simulated network.

use std::sync::{Arc, Mutex};

use millstream_core::{Env, MessageKind, TimeDelta};
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::command::{Enhanced, PlayStart, PublishType, code};
use millstream_rtmp::session::client::{ClientEvent, ClientSettings, Purpose};
use millstream_rtmp::session::{Media, MediaKind, SessionError};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::rtmp::{Client, SEND, SERVER};
use millstream_tests::sim;
use millstream_tests::world::{CLIP_FRAMES, World, buffers, collected, messages};

/// Where the first server sends its clients.
const OTHER: ([u8; 4], u16) = ([10, 0, 0, 2], 1935);

const URL: &str = "rtmp://10.0.0.1/live/cam";
const PUBLISH: Purpose = Purpose::Publish(PublishType::Live);
const PLAY: Purpose = Purpose::Play { start: PlayStart::Live, duration: None };

/// Pictures that are published, 40 ms each; each 25th is a key frame.
const PICTURES: u32 = 250;
const GROUP: u32 = 25;

/// A picture that says its number.
fn picture(number: u32) -> Media {
    let first = if number.is_multiple_of(GROUP) { 0x17 } else { 0x27 };
    let payload = [&[first, 1, 0, 0, 0][..], &number.to_be_bytes()].concat();
    Media { kind: MediaKind::Video, timestamp: number * 40, payload: payload.into() }
}

fn number(media: &Media) -> Option<u32> {
    Some(u32::from_be_bytes(*media.payload.get(5..)?.first_chunk()?))
}

fn relays(world: &World, drain: &str) -> [Pipeline; 2] {
    let relays = [("10.0.0.1", drain), ("10.0.0.2", "")].map(|(at, drain)| {
        world.start(&format!(
            "rtmpserversrc listen={at}:1935 stream=cam eos-on-unpublish=true grace=2s {drain} ! \
             rtmpserversink listen={at}:1935 stream=cam {drain}"
        ))
    });
    world.pass(TimeDelta::from_millis(1));
    relays
}

/// Publishes all pictures. Asked to move, it opens the other connection, switches at a key frame, and only then leaves.
async fn publish(env: Env, moved: Arc<Mutex<Vec<u32>>>) {
    let mut old = begun(&env, SERVER, settings(PUBLISH)).await;
    let mut new: Option<Client> = None;
    for number in 0..PICTURES {
        if number.is_multiple_of(GROUP)
            && let Some(next) = new.take()
        {
            moved.lock().expect("no panic").push(number);
            old = next;
        }
        old.session.send_media(1, &picture(number));
        old.send().await;
        let next = env.clock.sleep_until(env.clock.now() + TimeDelta::from_millis(40));
        let asked = async {
            loop {
                if let Some(ClientEvent::Reconnect(settings)) = old.next().await.expect("no refusal") {
                    return settings;
                }
            }
        };
        if let Some(settings) = sim::race(asked, next).await {
            new = Some(begun(&env, OTHER, *settings).await);
        }
    }
}

fn settings(purpose: Purpose) -> ClientSettings {
    ClientSettings::new(RtmpUrl::parse(URL).expect("a URL"), purpose)
}

/// A client that publishes or plays.
async fn begun(env: &Env, address: ([u8; 4], u16), settings: ClientSettings) -> Client {
    let mut client = Client::connect_to(env, address, settings).await;
    loop {
        let event = client.next().await.expect("no refusal").expect("the server stays");
        if matches!(event, ClientEvent::Publishing { .. } | ClientEvent::Playing { .. }) {
            client.send().await;
            return client;
        }
    }
}

/// Plays to the end; asked to move, it does so when the other connection plays.
async fn play(env: Env, played: Arc<Mutex<Vec<u32>>>) {
    let mut client = begun(&env, SERVER, settings(PLAY)).await;
    loop {
        match client.next().await.expect("no refusal") {
            Some(ClientEvent::Media { media, .. }) => played.lock().expect("no panic").extend(number(&media)),
            Some(ClientEvent::Reconnect(settings)) => client = begun(&env, OTHER, *settings).await,
            None | Some(ClientEvent::Ended { .. }) => return,
            Some(_) => {}
        }
    }
}

#[test]
fn ert_11_clients_of_a_server_that_stops_move_and_no_frame_is_lost_or_doubled() {
    for weather in [Weather::default(), Weather { delay: TimeDelta::from_millis(15), ..Weather::default() }] {
        let world = World::new(weather);
        let [first, second] = relays(&world, "drain=10s drain-to=rtmp://10.0.0.2/live");
        let env = world.runtime.env().clone();
        let [moved, played] = [(); 2].map(|()| Arc::<Mutex<Vec<u32>>>::default());
        env.tasks.spawn(Box::pin(play(env.clone(), played.clone()))).detach();
        world.pass(TimeDelta::from_millis(200));
        env.tasks.spawn(Box::pin(publish(env.clone(), moved.clone()))).detach();
        world.pass(TimeDelta::from_millis(3000));
        first.stop();
        // It goes as soon as the last one has moved.
        let stopped = env.clock.now();
        world.end(first);
        assert!(env.clock.now().since(stopped) < TimeDelta::from_secs(4), "{}", env.clock.now().since(stopped));
        world.end(second);
        assert_eq!(moved.lock().unwrap().len(), 1);
        assert_eq!(*played.lock().unwrap(), (0..PICTURES).collect::<Vec<_>>());
    }
}

/// Our own elements, as publisher and as player, move on their own.
#[test]
fn ert_11_rtmpsink_and_rtmpsrc_move_from_our_server_and_not_a_frame_is_lost() {
    for weather in [Weather::default(), Weather { delay: TimeDelta::from_millis(15), ..Weather::default() }] {
        let world = World::new(weather);
        let [first, second] = relays(&world, "drain=10s drain-to=rtmp://10.0.0.2/live");
        let mut player = world.start(
            "rtmpsrc location=rtmp://10.0.0.1/live/cam ! flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio",
        );
        let [video, audio] = ["video", "audio"].map(|name| collected(&mut player, name));
        let mut heard = player.bus().expect("the first to ask");
        world.pass(TimeDelta::from_millis(200));
        let mut sender = world.start(SEND);
        let mut said = sender.bus().expect("the first to ask");
        world.pass(TimeDelta::from_millis(3300));
        first.stop();
        let stopped = world.runtime.env().clock.now();
        world.end(first);
        let took = world.runtime.env().clock.now().since(stopped);
        assert!(took < TimeDelta::from_secs(4), "both have left before the time is over: {took}");
        world.wait(&mut sender).expect("it ends well");
        world.end(second);
        world.wait(&mut player).expect("it ends well");
        for (who, bus) in [("rtmpsink", &mut said), ("rtmpsrc", &mut heard)] {
            let names = messages(bus).into_iter().filter_map(|message| match message.kind {
                MessageKind::Element { name, .. } => Some(name),
                MessageKind::Warning(error) => panic!("{who}: {error}"),
                _ => None,
            });
            let names: Vec<_> = names.filter(|name| ["moved", "disconnected"].contains(name)).collect();
            assert_eq!(names, ["moved"], "{who}");
        }
        let (video, audio) = (buffers(&video), buffers(&audio));
        assert_eq!((video.len(), audio.len()), CLIP_FRAMES, "{weather:?}");
        for buffers in [video, audio] {
            let times: Vec<_> = buffers.iter().map(|buffer| buffer.dts_or_pts()).collect();
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
        }
        assert!(sender.drops().is_empty(), "{:?}", sender.drops());
    }
}

#[test]
fn ert_11_who_does_not_understand_is_told_of_the_end_at_once() {
    let world = World::new(Weather::default());
    let [first, _second] = relays(&world, "drain=20s");
    let env = world.runtime.env().clone();
    let old = |purpose| ClientSettings { enhanced: Enhanced::default(), ..settings(purpose) };
    let (told, stopped) = world.runtime.block_on(async {
        let mut player = begun(&env, SERVER, old(PLAY)).await;
        let mut publisher = begun(&env, SERVER, old(PUBLISH)).await;
        first.stop();
        let stopped = env.clock.now();
        env.clock.sleep_until(stopped + TimeDelta::from_millis(100)).await;
        publisher.session.send_media(1, &picture(0));
        publisher.send().await;
        let told = loop {
            match publisher.next().await.expect("no refusal") {
                Some(ClientEvent::Status { status, .. }) => break status.code,
                Some(_) => {}
                None => panic!("closed without a word"),
            }
        };
        while !matches!(player.next().await.expect("no refusal"), None | Some(ClientEvent::Ended { .. })) {}
        (told, stopped)
    });
    assert_eq!(told, code::UNPUBLISH_SUCCESS);
    world.end(first);
    assert!(env.clock.now().since(stopped) < TimeDelta::from_secs(1));
}

#[test]
fn ert_11_who_does_not_move_is_served_until_time_is_over_and_nobody_new_is_taken() {
    let world = World::new(Weather::default());
    let [first, _second] = relays(&world, "drain=5s");
    let env = world.runtime.env().clone();
    let (asked, refused, stopped) = world.runtime.block_on(async {
        let mut publisher = begun(&env, SERVER, settings(PUBLISH)).await;
        let player = begun(&env, SERVER, settings(PLAY)).await;
        first.stop();
        let stopped = env.clock.now();
        env.clock.sleep_until(stopped + TimeDelta::from_millis(100)).await;
        publisher.session.send_media(1, &picture(0));
        let mut asked = Vec::new();
        while asked.is_empty() {
            if let Some(ClientEvent::Reconnect(settings)) = publisher.next().await.expect("no refusal") {
                asked.push(settings.url.to_string());
            }
        }
        let mut second = Client::connect_to(&env, SERVER, settings(PUBLISH)).await;
        let refused = loop {
            match second.next().await {
                Err(SessionError::Refused(status)) => break status.code,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        };
        // These two stay as they are.
        std::mem::forget((publisher, player));
        (asked, refused, stopped)
    });
    // The URL is shown without the stream.
    assert!(asked[0].starts_with("rtmp://10.0.0.1"), "{asked:?}");
    assert_eq!(refused, code::PUBLISH_BAD_NAME);
    world.end(first);
    let waited = env.clock.now().since(stopped);
    assert!(waited >= TimeDelta::from_secs(10) && waited < TimeDelta::from_secs(13), "both ends wait: {waited}");
}
