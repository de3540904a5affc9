//! What `rtmpsrc` asks for: live or recorded, from where, how long; against our own server, on a virtual clock.

use bytes::Bytes;
use millstream_core::{BufferBox, TimeDelta};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::rtmp::SEND;
use millstream_tests::sim;
use millstream_tests::world::{CLIP_FRAMES, World, buffers, collected};

/// A server with recordings of the clip as `live/clip` and `live/cam`.
fn world() -> (World, Pipeline) {
    let world = World::new(Weather::default());
    let clip = world.fs.get("clip.flv").expect("the clip");
    for name in ["rec/live/clip.flv", "rec/live/cam.flv"] {
        world.fs.insert(name, clip.clone());
    }
    let server = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=other ! rtmpserversink listen=10.0.0.1:1935 stream=other vod=rec",
    );
    world.pass(TimeDelta::from_millis(1));
    (world, server)
}

/// Passes on what is published as `live/cam`.
fn relay(world: &World) -> Pipeline {
    let relay = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! \
         rtmpserversink listen=10.0.0.1:1935 stream=cam",
    );
    world.pass(TimeDelta::from_millis(1));
    relay
}

/// Pictures and sounds: their bytes, with the decoding time in milliseconds.
type Frames = [Vec<(i64, Bytes)>; 2];

/// What `rtmpsrc` with these settings gives until it ends, or for this long.
fn pulled(world: &World, settings: &str, patience: Option<TimeDelta>) -> Frames {
    let mut player = world.start(&format!(
        "rtmpsrc {settings} ! flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio"
    ));
    let handles = ["video", "audio"].map(|name| collected(&mut player, name));
    match patience {
        None => world.end(player),
        Some(patience) => world.pass(patience),
    }
    handles.map(|handle| {
        let frame = |buffer: &BufferBox| Some((buffer.dts_or_pts()?.millis(), sim::bytes_of([&**buffer])));
        buffers(&handle).iter().filter_map(frame).collect()
    })
}

fn bodies(frames: &[(i64, Bytes)]) -> Vec<&Bytes> {
    frames.iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn rtmp_m6_rtmpsrc_plays_a_part_of_a_recording() {
    let (world, _server) = world();
    let location = "location=rtmp://10.0.0.1/live/clip";
    let [whole, sounds] = pulled(&world, location, None);
    assert_eq!((whole.len(), sounds.len()), CLIP_FRAMES);
    // ffprobe finds a key frame on each second, and 30 pictures in it. A part begins at the key frame at or before its start.
    for (settings, part) in
        [("start=3s", 90..300), ("start=3500ms", 90..300), ("start=3s stop=5s", 90..150), ("stop=2s", 0..60)]
    {
        let [video, audio] = pulled(&world, &format!("{location} {settings}"), None);
        assert_eq!(bodies(&video), bodies(&whole[part]), "{settings}");
        let end = video.last().map_or(0, |(time, _)| *time);
        assert_eq!(video.first().map(|(time, _)| *time), Some(0), "{settings}: a part has a timeline of its own");
        // As much sound as pictures, and nothing between left out.
        let first = sounds.iter().position(|(_, bytes)| Some(bytes) == audio.first().map(|(_, bytes)| bytes));
        let expected = &sounds[first.expect("a sound of the clip")..][..audio.len()];
        assert_eq!(bodies(&audio), bodies(expected), "{settings}");
        assert!(audio.last().is_some_and(|(time, _)| (end - 30..end + 100).contains(time)), "{settings}: {end}");
    }
}

#[test]
fn rtmp_m6_rtmpsrc_live_passes_over_recordings_and_without_it_what_is_live_comes_first() {
    let (world, _server) = world();
    let second = TimeDelta::from_secs(1);
    // Nobody publishes it yet, and there is a recording of the name.
    let cam = "location=rtmp://10.0.0.1/live/cam";
    let [video, _] = pulled(&world, &format!("{cam} live=true"), Some(second + second));
    assert!(video.is_empty(), "it waits for what is live");
    let [whole, _] = pulled(&world, cam, None);
    assert_eq!(whole.len(), CLIP_FRAMES.0, "the recording");
    // Now it is published: 4 s later what is live is at its fourth second, and the recording would begin at its first.
    let live = relay(&world);
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_millis(4500));
    for settings in ["live=true", ""] {
        let [video, _] = pulled(&world, &format!("{cam} {settings} stop=1s"), None);
        assert!(video.first().is_some_and(|(time, _)| *time >= 4000 && time % 1000 == 0), "{settings}");
        assert!((30..=31).contains(&video.len()), "a second of it: {}", video.len());
    }
    let [video, _] = pulled(&world, &format!("{cam} start=1s stop=2s"), None);
    assert_eq!(bodies(&video), bodies(&whole[30..60]), "a place is one of the recording");
    world.end(sender);
    world.end(live);
}

#[test]
fn rtmp_m6_rtmpsrc_that_plays_what_is_live_to_its_end_has_all_of_it() {
    let (world, _server) = world();
    let live = relay(&world);
    let mut player = world.start(
        "rtmpsrc location=rtmp://10.0.0.1/live/cam live=true ! flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio",
    );
    let handles = ["video", "audio"].map(|name| collected(&mut player, name));
    world.pass(TimeDelta::from_secs(1));
    world.end(world.start(SEND));
    world.end(live);
    world.end(player);
    let [video, audio] = handles.map(|handle| buffers(&handle).len());
    assert_eq!((video, audio), CLIP_FRAMES);
}
