//! What players of our server get, and when, on a virtual clock and a simulated network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millstream_core::{Time, TimeDelta};
use millstream_rtmp::command::PlayStart;
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::rtmp::{Client, SEND};
use millstream_tests::sim;
use millstream_tests::world::World;

const PLAY: Purpose = Purpose::Play { start: PlayStart::Live, duration: None };

/// Plays to the end: each message with the time at which it came.
fn play(world: &World) -> Vec<(Time, Media)> {
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", PLAY).await;
        let mut played = Vec::new();
        loop {
            match client.next().await.expect("no refusal") {
                Some(ClientEvent::Media { media, .. }) => played.push((env.clock.now(), media)),
                None | Some(ClientEvent::Ended { .. }) => return played,
                Some(_) => {}
            }
        }
    })
}

/// A server whose sink has these settings.
fn relay(world: &World, settings: &str) -> Pipeline {
    let relay = world.start(&format!(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! \
         rtmpserversink listen=10.0.0.1:1935 stream=cam {settings}"
    ));
    world.pass(TimeDelta::from_millis(1));
    relay
}

/// Plays the clip from a server with these settings.
fn play_with(settings: &str) -> Vec<(Time, Media)> {
    let world = World::new(Weather::default());
    let relay = relay(&world, settings);
    let sender = world.start(SEND);
    let played = play(&world);
    world.end(sender);
    world.end(relay);
    played
}

/// The times at which something came, each once.
fn arrivals(played: &[(Time, Media)]) -> Vec<Time> {
    let mut times: Vec<Time> = played.iter().map(|(time, _)| *time).collect();
    times.dedup();
    times
}

#[test]
fn what_comes_within_a_window_is_given_in_one_batch() {
    let played = play_with("batch-window=350ms");
    let times = arrivals(&played);
    let gaps: Vec<TimeDelta> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    // The last is the end, which nothing waits for.
    let (_, whole) = gaps.split_last().expect("many");
    assert!(whole.iter().all(|gap| *gap >= TimeDelta::from_millis(349)), "{gaps:?}");
    // 10 s of media.
    assert!((26..=31).contains(&times.len()), "{}", times.len());
    assert_eq!(played.len(), play_with("").len(), "nothing is lost by it");
}

#[test]
fn sound_waits_for_pictures_unless_it_is_told_not_to() {
    let [held, alone] = ["audio-hold=25ms", "audio-hold=0"].map(|settings| arrivals(&play_with(settings)).len());
    // 300 pictures, and sounds that are not on a picture's time.
    assert!(held <= 301 && alone > held + 100, "{held} {alone}");
}

#[test]
fn without_a_cache_nothing_is_given_before_the_next_key_frame() {
    for (settings, wait) in [("gop-cache=true", false), ("gop-cache=false", true)] {
        let world = World::new(Weather::default());
        let _relay = relay(&world, settings);
        let _sender = world.start(SEND);
        // Key frames come each second.
        world.pass(TimeDelta::from_millis(2500));
        let joined = world.runtime.env().clock.now();
        let played = play(&world);
        let first = played.iter().find(|(_, media)| media.kind == MediaKind::Video && media.payload.get(1) == Some(&1));
        let (at, media) = first.expect("pictures");
        assert_eq!(media.payload.first(), Some(&0x17), "a key frame (FLV 10.1, E.4.3.1)");
        assert_eq!(at.since(joined) > TimeDelta::from_millis(100), wait, "{settings}: {}", at.since(joined));
    }
}

/// Numbers of pictures by decoding time, of what a player got, in milliseconds.
fn pictures(played: &[(Time, Media)]) -> Vec<(u32, bool)> {
    let pictures =
        played.iter().filter(|(_, media)| media.kind == MediaKind::Video && media.payload.get(1) == Some(&1));
    pictures.map(|(_, media)| (media.timestamp, media.payload.first() == Some(&0x17))).collect()
}

/// Pictures of three players of one stream, with their times and whether they are key frames, and what was dropped, by reason.
struct Three {
    players: [Vec<(u32, bool)>; 3],
    dropped: BTreeMap<&'static str, u64>,
}

/// Three players of a stream, of which the last takes nothing for a while.
fn three_players(backlog: &str, pause: TimeDelta) -> Three {
    let world = World::new(Weather::default());
    let mut relay = relay(&world, backlog);
    let env = world.runtime.env().clone();
    let began = env.clock.now();
    let [quick, other, slow] = [(); 3].map(|()| Arc::<Mutex<Vec<(Time, Media)>>>::default());
    for (player, waits) in [(&quick, None), (&other, None), (&slow, Some(pause))] {
        let (env, played) = (env.clone(), player.clone());
        let task = env.tasks.clone().spawn(Box::pin(async move {
            let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", PLAY).await;
            let mut waits = waits;
            loop {
                match client.next().await.expect("no refusal") {
                    Some(ClientEvent::Media { media, .. }) => {
                        played.lock().expect("no panic").push((env.clock.now(), media));
                        if let Some(wait) = waits.take() {
                            // It takes nothing: the buffers of the network fill, then the server's.
                            env.clock.sleep_until(env.clock.now() + wait).await;
                        }
                    }
                    None | Some(ClientEvent::Ended { .. }) => return,
                    Some(_) => {}
                }
            }
        }));
        task.detach();
    }
    world.pass(TimeDelta::from_millis(1));
    world.end(world.start(SEND));
    // The clip has 10 s.
    let took = env.clock.now().since(began);
    assert!(took < TimeDelta::from_millis(10_500), "the publisher was not held up: {took}");
    let clock = env.clock.clone();
    let ended =
        world.runtime.block_on(sim::race(relay.wait(), clock.sleep_until(clock.now() + TimeDelta::from_secs(60))));
    ended.expect("it ends").expect("it ends well");
    let players = [quick, other, slow].map(|played| pictures(&played.lock().expect("no panic")));
    let mut dropped = BTreeMap::new();
    for (reason, count) in relay.drops().into_values().flatten() {
        *dropped.entry(reason).or_default() += count.times;
    }
    Three { players, dropped }
}

#[test]
fn rtmp_v6_a_slow_player_of_three_loses_only_its_own_and_goes_on_at_a_key_frame() {
    let Three { players: [quick, other, slow], dropped } = three_players("backlog=2s", TimeDelta::from_millis(7900));
    assert_eq!((quick.len(), other.len()), (300, 300));
    assert!(slow.len() < 290 && slow.iter().all(|picture| quick.contains(picture)), "{}", slow.len());
    // Each gap is of pictures that no other needs, or is followed by a key frame.
    let skipped = slow.windows(2).filter(|pair| pair[1].0 - pair[0].0 > 200).collect::<Vec<_>>();
    assert!(skipped.iter().all(|pair| pair[1].1) && skipped.len() == 1, "{skipped:?}");
    assert!(slow.last().is_some_and(|(time, _)| *time >= 9900), "it goes on to the end");
    assert_eq!(
        dropped.keys().copied().collect::<Vec<_>>(),
        ["slow player"],
        "too far behind to be spared single pictures"
    );
    assert!(dropped["slow player"] >= 300 - slow.len() as u64, "{dropped:?}");
}

#[test]
fn rtmp_v6_a_player_that_is_somewhat_slow_loses_only_pictures_that_no_other_needs() {
    let Three { players: [quick, other, slow], dropped } = three_players("backlog=6s", TimeDelta::from_millis(8500));
    assert_eq!((quick.len(), other.len()), (300, 300));
    let missed = quick.iter().filter(|picture| !slow.contains(picture)).count() as u64;
    assert!(missed > 0 && slow.iter().all(|picture| quick.contains(picture)));
    assert_eq!(dropped, BTreeMap::from([("slow player, disposable", missed)]));
    // Between pictures that no other needs stand some that others do.
    assert!(slow.windows(2).all(|pair| pair[1].0 - pair[0].0 < 200), "{slow:?}");
}

/// Timestamps of what a player got of a kind, headers left out.
fn times(played: &[Media], kind: MediaKind) -> Vec<u32> {
    let frames = played.iter().filter(|media| media.kind == kind && media.payload.get(1) == Some(&1));
    frames.map(|media| media.timestamp).collect()
}

/// The longest gap, and the frame behind it.
fn longest_gap(times: &[u32]) -> (u32, u32) {
    times.windows(2).map(|pair| (pair[1] - pair[0], pair[1])).max().expect("frames")
}

/// What a player says of what it wants.
type Wish = fn(&mut Client);

#[test]
fn rtmp_m6_a_live_player_that_wants_no_video_or_no_audio_gets_none_and_video_again_from_a_key_frame() {
    let world = World::new(Weather::default());
    let relay = relay(&world, "");
    let sender = world.start(SEND);
    let env = world.runtime.env().clone();
    let played = world.runtime.block_on(async {
        let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", PLAY).await;
        // When to say what, by the time of what comes.
        let mut says: Vec<(u32, Wish)> = vec![
            (1500, |client| client.session.receive_video(1, false)),
            (3300, |client| client.session.receive_video(1, true)),
            (5500, |client| client.session.receive_audio(1, false)),
            (7500, |client| client.session.receive_audio(1, true)),
        ];
        let mut played = Vec::new();
        loop {
            match client.next().await.expect("no refusal") {
                Some(ClientEvent::Media { media, .. }) => {
                    if says.first().is_some_and(|(at, _)| media.timestamp >= *at) {
                        says.remove(0).1(&mut client);
                        client.send().await;
                    }
                    played.push(media);
                }
                None | Some(ClientEvent::Ended { .. }) => return played,
                Some(_) => {}
            }
        }
    });
    world.end(sender);
    world.end(relay);
    let [video, audio] = [MediaKind::Video, MediaKind::Audio].map(|kind| times(&played, kind));
    // Key frames come each second, so the first behind 3300 is at 4000.
    assert_eq!(longest_gap(&video).1, 4000, "{video:?}");
    assert!((2300..=2500).contains(&longest_gap(&video).0), "{video:?}");
    assert_eq!(longest_gap(&audio).1 / 100, 75, "{audio:?}");
    assert!((1900..=2100).contains(&longest_gap(&audio).0), "{audio:?}");
    for times in [&video, &audio] {
        let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] > 100).count();
        assert_eq!(gaps, 1, "each goes on while the other is not wanted: {times:?}");
    }
    let again = played.iter().position(|media| media.kind == MediaKind::Video && media.timestamp == 4000);
    let again = &played[again.expect("it goes on")..];
    let first = again.iter().find(|media| media.kind == MediaKind::Video && media.payload.get(1) == Some(&1));
    assert_eq!(first.and_then(|media| media.payload.first()), Some(&0x17), "a key frame (FLV 10.1, E.4.3.1)");
}

#[test]
fn rtmp_v5_who_joins_late_gets_metadata_headers_and_the_whole_group_of_pictures_at_once() {
    let world = World::new(Weather::default());
    let relay = relay(&world, "");
    let sender = world.start(SEND);
    // Key frames come each second: the group has begun half a second ago.
    world.pass(TimeDelta::from_millis(2500));
    let env = world.runtime.env().clone();
    let joined = env.clock.now();
    let (said, first_at, played) = world.runtime.block_on(async {
        let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", PLAY).await;
        let (mut said, mut first_at, mut played) = (Vec::new(), None, Vec::new());
        loop {
            match client.next().await.expect("no refusal") {
                Some(ClientEvent::Data { .. }) => said.push("data"),
                Some(ClientEvent::Media { media, .. }) => {
                    said.push(match (media.kind, media.payload.get(1)) {
                        (MediaKind::Video, Some(0)) => "video header",
                        (MediaKind::Audio, Some(0)) => "audio header",
                        (MediaKind::Video, _) => "picture",
                        (MediaKind::Audio, _) => "sound",
                    });
                    first_at.get_or_insert(env.clock.now());
                    played.push(media);
                }
                None | Some(ClientEvent::Ended { .. }) => return (said, first_at, played),
                Some(_) => {}
            }
        }
    });
    world.end(sender);
    world.end(relay);
    assert_eq!(first_at, Some(joined), "at once: no time passes on this network");
    let mut heads = said[..3].to_vec();
    heads.sort_unstable();
    assert_eq!(heads, ["audio header", "data", "video header"], "{:?}", &said[..10]);
    assert_eq!((said[0], said[3]), ("data", "picture"));
    assert!(!said[3..].iter().any(|word| word.ends_with("header")), "none comes twice");
    let pictures = times(&played, MediaKind::Video);
    // 30 pictures a second, of which the first two seconds are over.
    assert_eq!((pictures.first(), pictures.len()), (Some(&2000), 300 - 60));
    let key = played.iter().find(|media| media.kind == MediaKind::Video && media.payload.get(1) == Some(&1));
    assert_eq!(key.and_then(|media| media.payload.first()), Some(&0x17), "a key frame (FLV 10.1, E.4.3.1)");
    assert!(played.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp + 25), "in order");
    assert!(longest_gap(&times(&played, MediaKind::Audio)).0 < 30);
}
