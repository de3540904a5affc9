//! A live stream to several servers, of which one is gone: it is told of in time, hurts nobody, and comes back at a key frame.

use std::net::SocketAddr;

use millstream_core::{Message, MessageKind, Time, TimeDelta};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::rtmp_server::{Script, Server, is_head, is_key};
use millstream_tests::world::{CLIP_FRAMES, World, messages};

const SEND: &str = "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
                    flvmux name=m ! rtmpsink location=rtmp://10.0.0.9/live/cam";
const LIMIT: TimeDelta = TimeDelta::from_secs(2);

fn target(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 1935).into()
}

/// A relay from one publisher to three servers. It ends with the publication if it is to.
fn relay(world: &World, ends: bool) -> Pipeline {
    let branch = |number: u8| {
        format!(
            " t. ! rtmpsink name=to{number} location=rtmp://10.0.0.{number}/live/cam stall-timeout=2s timeout=2s retries=100"
        )
    };
    let source = format!("rtmpserversrc listen=10.0.0.9:1935 stream=cam eos-on-unpublish={ends} grace=1s ! tee name=t");
    world.start(&format!("{source}{}{}{}", branch(1), branch(2), branch(3)))
}

/// What an element told of being alive, and when, while simulated time passes.
fn watch(world: &World, pipeline: &mut Pipeline, for_millis: i64) -> Vec<(Time, String, MessageKind)> {
    let mut bus = pipeline.bus().expect("the first to ask");
    let mut told = Vec::new();
    for _ in 0..for_millis / 50 {
        world.pass(TimeDelta::from_millis(50));
        let now = world.runtime.env().clock.now();
        told.extend(messages(&mut bus).into_iter().map(|Message { element, kind }| (now, element.to_string(), kind)));
    }
    told
}

#[test]
fn one_of_three_targets_is_a_black_hole_for_a_while() {
    let world = World::new(Weather { delay: TimeDelta::from_millis(10), ..Weather::default() });
    let env = world.runtime.env();
    let servers = [1, 2, 3].map(|number| Server::start(env, target(number), Script::default()));
    let mut pipeline = relay(&world, true);
    world.pass(TimeDelta::from_millis(1));
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_millis(1500));
    let gone = world.runtime.env().clock.now();
    world.net.silence(target(3));
    let mut bus_told = Vec::new();
    let restore = world.net.clone();
    let watched = {
        let clock = world.runtime.env().clock.clone();
        world.runtime.env().tasks.spawn(Box::pin(async move {
            clock.sleep_until(clock.now() + TimeDelta::from_millis(4500)).await;
            restore.restore(target(3));
        }))
    };
    bus_told.extend(watch(&world, &mut pipeline, 9500));
    drop(watched);
    world.end(sender);
    world.wait(&mut pipeline).expect("no target failed");
    for server in &servers[..2] {
        let log = server.log();
        let count = |video: bool| {
            log.media
                .iter()
                .filter(|m| !is_head(m) && (m.kind == millstream_rtmp::session::MediaKind::Video) == video)
                .count()
        };
        assert_eq!((count(true), count(false)), CLIP_FRAMES, "the others lose nothing");
        assert_eq!(log.connects.len(), 1);
    }
    let state = |(at, element, kind): &(Time, String, MessageKind)| match kind {
        MessageKind::Stalled { idle } => Some((*at, element.clone(), true, *idle)),
        MessageKind::Recovered { after } => Some((*at, element.clone(), false, *after)),
        _ => None,
    };
    let states: Vec<_> = bus_told.iter().filter_map(state).collect();
    let [(stalled, by, true, idle), (recovered, again, false, after)] = states.as_slice() else { panic!("{states:?}") };
    assert_eq!((by.as_str(), again.as_str(), *idle), ("to3", "to3", LIMIT));
    // What fits in the buffers of the network is taken before nothing moves.
    assert!(stalled.since(gone) < LIMIT + TimeDelta::from_secs(3), "{stalled:?}");
    assert!(recovered > stalled && *after > LIMIT);
    let log = servers[2].log();
    assert!(log.connects.len() >= 2);
    let first_again =
        log.media.iter().rposition(|media| media.payload.get(1) == Some(&0)).expect("configurations, again");
    assert!(is_key(&log.media[first_again + 1]), "it goes on at a key frame");
    assert!(log.media.last().is_some_and(|media| media.timestamp > 9500), "to the end");
    let drops = pipeline.drops();
    assert!(drops["to3"]["server too slow or away"].times > 0 && drops.len() == 1, "{drops:?}");
}

#[test]
fn what_nobody_takes_is_counted_to_the_last_message() {
    let world = World::new(Weather::default());
    let env = world.runtime.env();
    let servers = [1, 2].map(|number| Server::start(env, target(number), Script::default()));
    // Nobody is at the third address.
    let mut pipeline = relay(&world, true);
    world.pass(TimeDelta::from_millis(1));
    let sender = world.start(SEND);
    let told = watch(&world, &mut pipeline, 9000);
    world.end(sender);
    let failed = world.wait(&mut pipeline).expect_err("one branch has failed");
    assert_eq!(failed.element(), Some("to3"));
    let stalls: Vec<_> = told.iter().filter(|(_, _, kind)| matches!(kind, MessageKind::Stalled { .. })).collect();
    assert!(matches!(stalls.as_slice(), [(at, by, _)] if by == "to3" && *at < Time::from_millis(4000)), "{stalls:?}");
    let log = servers[0].log();
    let taken = (log.media.len() + log.metadata) as u64;
    // All that the others took.
    assert_eq!(pipeline.drops()["to3"]["server too slow or away"].times, taken);
}

#[test]
fn attempts_come_less_and_less_often_and_not_all_at_once() {
    let world = World::new(Weather::default());
    let mut pipeline = relay(&world, false);
    let told = watch(&world, &mut pipeline, 120_000);
    let attempts = |name: &str| -> Vec<Time> {
        let lost = |kind: &MessageKind| matches!(kind, MessageKind::Element { name: "disconnected", .. });
        told.iter().filter(|(_, by, kind)| by == name && lost(kind)).map(|(at, ..)| *at).collect()
    };
    let all = ["to1", "to2", "to3"].map(attempts);
    for attempts in &all {
        let waits: Vec<i64> = attempts.windows(2).map(|pair| pair[1].since(pair[0]).millis()).collect();
        assert!(waits.iter().all(|wait| (300..=30_100).contains(wait)) && waits.last() > Some(&20_000), "{waits:?}");
    }
    assert!(all[0] != all[1] && all[1] != all[2], "each at times of its own");
}

/// Stops a pipeline: how long it takes to end well, what its elements warn of, and why things were left out.
fn stopped(world: &World, mut pipeline: Pipeline) -> (TimeDelta, Vec<String>, Vec<&'static str>) {
    let mut bus = pipeline.bus().expect("the first to ask");
    let clock = world.runtime.env().clock.clone();
    // What is told before the end is no matter of the end.
    messages(&mut bus);
    let begun = clock.now();
    pipeline.stop();
    world.wait(&mut pipeline).expect("it ends well");
    let warning = |message: Message| match message.kind {
        MessageKind::Warning(error) => Some(error.to_string()),
        _ => None,
    };
    let warnings = messages(&mut bus).into_iter().filter_map(warning).collect();
    (clock.now().since(begun), warnings, pipeline.drops().values().flat_map(|drops| drops.keys().copied()).collect())
}

/// As in `pipelines/demo.yaml`, where the server that is published to stops too, perhaps first.
#[test]
fn a_server_that_stops_with_the_pipeline_is_no_fault() {
    let world = World::new(Weather::default());
    let pipeline = world.start(&format!("{SEND} retries=1  rtmpserversrc listen=10.0.0.9:1935 stream=cam ! fakesink"));
    world.pass(TimeDelta::from_millis(3000));
    let (took, warnings, drops) = stopped(&world, pipeline);
    assert_eq!(warnings, Vec::<String>::new());
    assert!(drops.iter().all(|reason| *reason == "not sent before the pipeline stopped"), "{drops:?}");
    assert!(took < TimeDelta::from_secs(1), "{took}");
}

#[test]
fn a_pipeline_that_stops_does_not_wait_for_a_server_that_is_away() {
    let world = World::new(Weather::default());
    let source = "rtmpserversrc listen=10.0.0.9:1935 stream=cam ! rtmpsink location=rtmp://10.0.0.1/live/cam";
    let relay = world.start(source);
    world.pass(TimeDelta::from_millis(1));
    let _sender = world.start(SEND);
    // Long enough for attempts that are far apart.
    world.pass(TimeDelta::from_millis(9000));
    let (took, warnings, drops) = stopped(&world, relay);
    assert_eq!(warnings, Vec::<String>::new());
    // What was too old for a live stream was left out before.
    assert!(drops.contains(&"not sent before the pipeline stopped"), "{drops:?}");
    assert!(took < TimeDelta::from_secs(1), "{took}");
}
