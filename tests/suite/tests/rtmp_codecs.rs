//! Peers that say which codecs they take (Enhanced RTMP v2, "Enhancing NetConnection connect Command"), and streams of others.

use std::sync::Arc;

use millstream_core::{Error, TimeDelta};
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::command::{Enhanced, FourCcFlags, PlayStart, Status, code};
use millstream_rtmp::session::SessionError;
use millstream_rtmp::session::client::{ClientEvent, ClientSettings, Purpose};
use millstream_server::doors::Doors;
use millstream_testkit::{Weather, fixture};
use millstream_tests::rtmp::{Client, SERVER};
use millstream_tests::rtmp_server::{Answer, Script, Server};
use millstream_tests::world::World;

fn list(names: &[&str]) -> Enhanced {
    Enhanced { four_cc_list: names.iter().map(|name| (*name).to_owned()).collect(), ..Enhanced::default() }
}

fn decodes(name: &str) -> Vec<(String, FourCcFlags)> {
    vec![(name.to_owned(), FourCcFlags::DECODE)]
}

fn world() -> World {
    let world = World::new(Weather::default());
    for clip in ["ehevc_aac.flv", "eav1_opus.flv"] {
        world.fs.insert(clip, std::fs::read(fixture(clip)).expect("the fixture is there"));
    }
    world
}

/// Publishes a clip to a server that says this of itself, and gives how much of it came.
fn publish(clip: &str, said: Enhanced) -> (Result<(), Error>, usize, usize) {
    let world = world();
    let script = Script { enhanced: Some(said), ..Script::default() };
    let server = Server::start(world.runtime.env(), SERVER, script);
    let line = format!("filesrc location={clip} ! rtmpsink location=rtmp://10.0.0.1/live/cam?key=s3cret");
    let result = world.wait(&mut world.start(&line));
    let log = server.log();
    (result, log.media.len(), log.connects.len())
}

#[test]
fn ert_13_rtmpsink_names_the_codec_that_a_server_does_not_take() {
    for (clip, said, codec, instead) in [
        ("ehevc_aac.flv", list(&["av01", "vp09"]), "HEVC (\"hvc1\")", "\"av01\", \"vp09\""),
        ("ehevc_aac.flv", Enhanced { video: decodes("av01"), ..Enhanced::default() }, "HEVC (\"hvc1\")", "\"av01\""),
        ("eav1_opus.flv", Enhanced { audio: decodes("fLaC"), ..list(&["av01"]) }, "Opus (\"Opus\")", "\"fLaC\""),
        ("eav1_opus.flv", list(&["av01", "ac-3"]), "Opus (\"Opus\")", "\"ac-3\""),
    ] {
        let (result, came, connects) = publish(clip, said);
        let error = result.expect_err("it is refused");
        let expected =
            format!("rtmp://10.0.0.1/live: the server does not take {codec}: it says that it takes {instead}");
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(error.hint_text().is_some());
        assert_eq!((came, connects), (0, 1), "{clip}: nothing is sent, and it is not tried again");
    }
}

#[test]
fn ert_13_a_server_that_lists_the_codec_or_nothing_is_sent_it() {
    for (clip, said) in [
        ("ehevc_aac.flv", Enhanced::default()),
        ("ehevc_aac.flv", Enhanced { caps_ex: 3, ..Enhanced::default() }),
        ("ehevc_aac.flv", list(&["*"])),
        ("ehevc_aac.flv", list(&["av01", "hvc1"])),
        // What it says of sound is nothing of pictures.
        ("ehevc_aac.flv", Enhanced { audio: decodes("Opus"), ..Enhanced::default() }),
        ("eav1_opus.flv", list(&["av01"])),
        ("eav1_opus.flv", Enhanced { audio: decodes("Opus"), video: decodes("*"), ..Enhanced::default() }),
        // Legacy codecs were never negotiated.
        ("clip.flv", list(&["av01", "Opus"])),
    ] {
        let (result, came, _) = publish(clip, said.clone());
        result.unwrap_or_else(|error| panic!("{clip} {said:?}: {error}"));
        assert!(came > 100, "{clip}");
    }
}

#[test]
fn ert_13_one_target_without_the_codec_ends_alone() {
    let world = world();
    let env = world.runtime.env();
    let takes = |said| Script { connect: Arc::new(|_| Answer::Accept), enhanced: Some(said), ..Script::default() };
    let all = Server::start(env, ([10, 0, 0, 2], 1935), takes(list(&["*"])));
    let some = Server::start(env, ([10, 0, 0, 3], 1935), takes(list(&["av01"])));
    let mut relay = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! tee name=t \
         t. ! rtmpsink name=all location=rtmp://10.0.0.2/live/cam t. ! rtmpsink name=some location=rtmp://10.0.0.3/live/cam",
    );
    world.pass(TimeDelta::from_millis(1));
    let send = "filesrc location=ehevc_aac.flv ! flvparse ! clocksync ! rtmpsink location=rtmp://10.0.0.1/live/cam";
    world.end(world.start(send));
    let error = world.wait(&mut relay).expect_err("one branch has failed");
    assert_eq!(error.element(), Some("some"));
    // Frames as `tests/fixtures/README.md` counts them, and two configurations.
    assert!(all.log().media.len() >= 120 + 189 && some.log().media.is_empty());
}

/// What comes to a player that says this of itself: media, or why not.
fn play(clip: &str, said: Enhanced, before: bool) -> (usize, Option<Status>, u64) {
    let world = world();
    let _relay =
        world.start("rtmpserversrc listen=10.0.0.1:1935 stream=cam ! rtmpserversink listen=10.0.0.1:1935 stream=cam");
    world.pass(TimeDelta::from_millis(1));
    let send = format!("filesrc location={clip} ! flvparse ! clocksync ! rtmpsink location=rtmp://10.0.0.1/live/cam");
    let mut sender = None;
    if !before {
        sender = Some(world.start(&send));
        world.pass(TimeDelta::from_secs(1));
    }
    let env = world.runtime.env().clone();
    let play = Purpose::Play { start: PlayStart::Live, duration: None };
    let url = RtmpUrl::parse("rtmp://10.0.0.1/live/cam").expect("a URL");
    let settings = ClientSettings { enhanced: said, ..ClientSettings::new(url, play) };
    let mut client = world.runtime.block_on(Client::connect_to(&env, SERVER, settings));
    world.runtime.block_on(async {
        while !matches!(client.next().await, Ok(Some(ClientEvent::StreamCreated { .. }))) {}
        client.send().await;
    });
    let sender = sender.unwrap_or_else(|| world.start(&send));
    let played = world.runtime.block_on(async {
        let mut came = 0;
        loop {
            match client.next().await {
                Ok(Some(ClientEvent::Media { .. })) if came >= 20 => return (came, None),
                Ok(Some(ClientEvent::Media { .. })) => came += 1,
                Ok(Some(ClientEvent::Status { status, .. })) if status.code == code::PLAY_FAILED => {
                    return (came, Some(status));
                }
                Ok(Some(_)) => {}
                Err(SessionError::Refused(status)) => return (came, Some(*status)),
                Ok(None) => panic!("closed without a word"),
                Err(error) => panic!("{error}"),
            }
        }
    });
    let refused = world.runtime.env().shared::<Doors>().all();
    let refused = refused.iter().filter_map(|door| door.read().closed.get("codec not listed").copied()).sum();
    drop(sender);
    (played.0, played.1, refused)
}

#[test]
fn ert_13_a_player_that_does_not_list_a_codec_is_told_and_counted() {
    for before in [false, true] {
        for (clip, said, codec) in [
            ("ehevc_aac.flv", list(&["av01"]), "HEVC"),
            ("eav1_opus.flv", Enhanced { audio: decodes("fLaC"), video: decodes("*"), ..Enhanced::default() }, "Opus"),
        ] {
            let (came, status, refused) = play(clip, said, before);
            let status = status.expect("it is refused");
            assert_eq!((came, &*status.code, refused), (0, code::PLAY_FAILED, 1), "{clip}, before: {before}");
            assert!(status.description.contains(codec) && status.description.contains("does not list"), "{status:?}");
        }
        for (clip, said) in [
            ("ehevc_aac.flv", Enhanced::default()),
            ("ehevc_aac.flv", list(&["av01", "hvc1"])),
            ("eav1_opus.flv", list(&["av01"])),
            ("clip.flv", list(&["av01"])),
        ] {
            let (came, status, refused) = play(clip, said, before);
            assert_eq!((came, status, refused), (20, None, 0), "{clip}, before: {before}");
        }
    }
}
