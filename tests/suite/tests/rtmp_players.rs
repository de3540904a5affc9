//! What players of our server get, and when, on a virtual clock and a simulated network.

use millstream_core::{Time, TimeDelta};
use millstream_rtmp::command::PlayStart;
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::rtmp::{Client, SEND};
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
