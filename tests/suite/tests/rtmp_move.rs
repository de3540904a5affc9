//! Servers that ask their clients to move (Enhanced RTMP v2, "Reconnect Request"), and what arrives: every frame, once.

use std::sync::Arc;

use millstream_core::{Message, MessageKind, Time, TimeDelta};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_runtime::Bus;
use millstream_testkit::{Weather, fixture};
use millstream_tests::rtmp_server::{Answer, Script, Server, is_head, is_key, media_of};
use millstream_tests::world::{CLIP, CLIP_FRAMES, World, buffers, collected, messages};

const A: ([u8; 4], u16) = ([10, 0, 0, 1], 1935);
const B: ([u8; 4], u16) = ([10, 0, 0, 2], 1935);
const C: ([u8; 4], u16) = ([10, 0, 0, 3], 1935);
const TO_B: &str = "rtmp://10.0.0.2/live";

/// A file at its pace, and the same through a relay of ours, which makes it live.
const SENDERS: [&str; 2] = [
    "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
     flvmux name=m ! rtmpsink location=rtmp://10.0.0.1/live/cam?k=v",
    "rtmpserversrc listen=10.0.0.9:1935 stream=cam eos-on-unpublish=true grace=0s ! rtmpsink location=rtmp://10.0.0.1/live/cam?k=v",
];

fn clip() -> Vec<Media> {
    media_of(std::fs::read(fixture(CLIP)).expect("the fixture is there"))
}

fn world() -> World {
    World::new(Weather { delay: TimeDelta::from_millis(15), ..Weather::default() })
}

/// Publishes the clip by one of [`SENDERS`], to its end.
fn publish(world: &World, sender: &str) -> Vec<Message> {
    let mut sender_pipeline = world.start(sender);
    let mut bus: Bus = sender_pipeline.bus().expect("the first to ask");
    if sender.contains("10.0.0.9") {
        world.pass(TimeDelta::from_millis(1));
        world.end(world.start(&SENDERS[0].replace("10.0.0.1", "10.0.0.9")));
    }
    world.end(sender_pipeline);
    messages(&mut bus)
}

/// The frames of one kind, without configurations, and their times.
fn frames<'a>(media: impl IntoIterator<Item = &'a Media>, kind: MediaKind) -> Vec<(u32, bytes::Bytes)> {
    let media = media.into_iter().filter(|media| media.kind == kind && !is_head(media));
    media.map(|media| (media.timestamp, media.payload.clone())).collect()
}

/// What came is what was sent: each frame, once, in its order, and at its time.
fn assert_whole<'a>(media: impl IntoIterator<Item = &'a Media> + Clone, what: &str) {
    let sent = clip();
    assert_eq!((frames(&sent, MediaKind::Video).len(), frames(&sent, MediaKind::Audio).len()), CLIP_FRAMES);
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let (came, sent) = (frames(media.clone(), kind), frames(&sent, kind));
        assert_eq!(came.len(), sent.len(), "{what}: {kind:?}");
        assert!(came == sent, "{what}: {kind:?} differs");
    }
}

fn told(messages: &[Message], wanted: &str) -> usize {
    messages.iter().filter(|m| matches!(&m.kind, MessageKind::Element { name, .. } if *name == wanted)).count()
}

fn hints(messages: &[Message]) -> Vec<String> {
    let hint = |message: &Message| match &message.kind {
        MessageKind::Warning(error) => error.hint_text().map(str::to_owned),
        _ => None,
    };
    messages.iter().filter_map(hint).collect()
}

#[test]
fn ert_11_a_publisher_moves_without_a_frame_lost_or_doubled() {
    for sender in SENDERS {
        for at in [0, 1234, 3000] {
            let world = world();
            let env = world.runtime.env();
            let a = Server::start(env, A, Script { move_at: Some((at, Some(TO_B.into()))), ..Script::default() });
            let b = Server::start(env, B, Script::default());
            let messages = publish(&world, sender);
            let (a, b) = (a.log(), b.log());
            let what = format!("asked at {at}");
            assert_whole(a.media.iter().chain(&b.media), &what);
            assert_eq!((a.unpublished, b.unpublished, told(&messages, "moved")), (1, 1, 1), "{what}");
            assert_eq!((b.names.as_slice(), b.metadata), (&["cam?k=v".to_owned()][..], 1), "{what}");
            // Configurations of both, then the key frame.
            let heads = b.media.iter().take_while(|media| is_head(media)).count();
            assert_eq!(heads, 2, "{what}");
            assert!(is_key(&b.media[heads]) && !a.media.is_empty(), "{what}");
        }
    }
}

#[test]
fn ert_11_a_target_may_be_relative_redirect_and_move_on() {
    let world = world();
    let env = world.runtime.env();
    let asks = Script { move_at: Some((1000, Some("two".into()))), ..Script::default() };
    let elsewhere = asks.clone();
    // The application decides: the first asks to move to another one of the same server, which redirects.
    let connect = Arc::new(|connect: &millstream_rtmp::command::Connect| match &*connect.app {
        "live" => Answer::Accept,
        _ => Answer::Redirect("rtmp://10.0.0.3/three".into()),
    });
    let a = Server::start(env, A, Script { connect, ..elsewhere });
    let c = Server::start(env, C, Script { move_at: Some((6000, Some(TO_B.into()))), ..Script::default() });
    let b = Server::start(env, B, Script::default());
    let messages = publish(&world, SENDERS[0]);
    let (a, b, c) = (a.log(), b.log(), c.log());
    let apps = |log: &millstream_tests::rtmp_server::Log| -> Vec<String> {
        log.connects.iter().map(|connect| connect.app.clone()).collect()
    };
    assert_eq!(
        (apps(&a), apps(&c), apps(&b)),
        (vec!["live".into(), "two".into()], vec!["three".into()], vec!["live".into()])
    );
    assert_eq!(told(&messages, "moved"), 2);
    assert_whole(a.media.iter().chain(&c.media).chain(&b.media), "two moves");
}

#[test]
fn ert_11_where_the_new_server_refuses_the_stream_stays() {
    for sender in SENDERS {
        for refuses in [true, false] {
            let world = world();
            let env = world.runtime.env();
            let a = Server::start(env, A, Script { move_at: Some((1000, Some(TO_B.into()))), ..Script::default() });
            // Or there is none at all.
            let b = refuses.then(|| Server::start(env, B, Script { refuses: true, ..Script::default() }));
            let messages = publish(&world, sender);
            assert_whole(&a.log().media, "it stays");
            assert!(b.is_none_or(|b| b.log().media.is_empty()));
            assert!(hints(&messages).iter().any(|hint| hint.contains("it stays")), "{messages:?}");
            assert_eq!((told(&messages, "moved"), told(&messages, "disconnected")), (0, 0));
        }
    }
}

#[test]
fn ert_11_where_the_old_server_closes_early_nothing_is_doubled_and_what_is_missed_is_little() {
    let world = world();
    let env = world.runtime.env();
    let leaves = Script { move_at: Some((1000, Some(TO_B.into()))), close_at: Some(1300), ..Script::default() };
    let (a, b) = (Server::start(env, A, leaves), Server::start(env, B, Script::default()));
    let messages = publish(&world, SENDERS[1]);
    let (a, b) = (a.log(), b.log());
    let all: Vec<Media> = a.media.iter().chain(&b.media).cloned().collect();
    let (came, sent) = (frames(&all, MediaKind::Video), frames(&clip(), MediaKind::Video));
    assert!(came.iter().all(|frame| sent.contains(frame)) && came.is_sorted_by(|a, b| a.0 < b.0));
    // The rest of one group of pictures.
    assert!(came.len() > 230 && b.media.iter().any(is_key), "{}", came.len());
    assert_eq!((told(&messages, "moved"), told(&messages, "disconnected")), (1, 0));
}

#[test]
fn ert_11_servers_that_send_a_stream_to_and_fro_are_not_followed_for_ever() {
    let world = world();
    let env = world.runtime.env();
    let to = |url: &str| Script { move_at: Some((0, Some(url.into()))), ..Script::default() };
    let a = Server::start(env, A, to(TO_B));
    let b = Server::start(env, B, to("rtmp://10.0.0.1/live"));
    let messages = publish(&world, SENDERS[0]);
    let mut all: Vec<Media> = a.log().media.iter().chain(&b.log().media).cloned().collect();
    all.sort_by_key(|media| media.timestamp);
    for kind in [MediaKind::Video, MediaKind::Audio] {
        assert!(frames(&all, kind) == frames(&clip(), kind), "{kind:?}");
    }
    assert!((1..=5).contains(&told(&messages, "moved")), "{}", told(&messages, "moved"));
}

const PLAY: &str = "rtmpsrc location=rtmp://10.0.0.1/live/cam ! flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio";

/// Plays the clip from A, which asks to move to B, and gives the frames that came.
fn play(from: Script, to: Script) -> ([usize; 2], Vec<Vec<Time>>, Vec<Message>) {
    let world = world();
    let media = Arc::new(clip());
    let env = world.runtime.env();
    let plays = |script: Script| {
        let late = script.plays.as_ref().map_or(TimeDelta::ZERO, |(_, late)| *late);
        Script { plays: Some((media.clone(), late)), ..script }
    };
    let _a = Server::start(env, A, plays(from));
    let _b = Server::start(env, B, plays(to));
    let mut player = world.start(PLAY);
    let mut bus = player.bus().expect("the first to ask");
    let collects = ["video", "audio"].map(|name| collected(&mut player, name));
    world.end(player);
    let times = collects
        .map(|collected| buffers(&collected).iter().filter_map(|buffer| buffer.dts_or_pts()).collect::<Vec<_>>());
    (times.each_ref().map(Vec::len), times.into(), messages(&mut bus))
}

fn late(millis: i64) -> Option<(Arc<Vec<Media>>, TimeDelta)> {
    Some((Arc::default(), TimeDelta::from_millis(millis)))
}

#[test]
fn ert_11_a_player_moves_without_a_frame_lost_or_doubled() {
    for (lag_a, lag_b, cache, base) in [
        (0, 0, true, 0),
        (0, 0, false, 0),
        (0, 700, true, 1_000_000),
        (700, 0, true, u32::MAX - 4000),
        (700, 0, false, 0),
        (0, 700, false, 77),
    ] {
        let from = Script { move_at: Some((3000, Some(TO_B.into()))), plays: late(lag_a), ..Script::default() };
        let to = Script { plays: late(lag_b), cache, base, ..Script::default() };
        let (counts, times, messages) = play(from, to);
        let what = format!("{lag_a} {lag_b} {cache} {base}");
        assert_eq!((counts[0], counts[1]), CLIP_FRAMES, "{what}");
        assert_eq!(told(&messages, "moved"), 1, "{what}");
        for times in times {
            let steps: Vec<i64> = times.windows(2).map(|pair| pair[1].since(pair[0]).millis()).collect();
            assert!(steps.iter().all(|step| (1..=60).contains(step)), "{what}: one timeline: {steps:?}");
        }
    }
}

#[test]
fn ert_11_a_player_stays_where_the_new_server_refuses() {
    let from = Script { move_at: Some((3000, Some(TO_B.into()))), ..Script::default() };
    let (counts, _, messages) = play(from, Script { refuses: true, ..Script::default() });
    assert_eq!((counts[0], counts[1]), CLIP_FRAMES);
    assert!(hints(&messages).iter().any(|hint| hint.contains("stays")));
}

#[test]
fn ert_11_a_player_whose_server_closes_early_goes_on_where_it_was() {
    let from = Script { move_at: Some((3000, Some(TO_B.into()))), close_at: Some(3000), ..Script::default() };
    let (counts, _, messages) = play(from, Script { plays: late(100), base: 5000, ..Script::default() });
    assert_eq!((counts[0], counts[1]), CLIP_FRAMES);
    assert_eq!((told(&messages, "moved"), told(&messages, "disconnected")), (1, 0));
}

#[test]
fn a_connection_that_breaks_repeats_nothing_that_was_played() {
    let world = world();
    let media = Arc::new(clip());
    let plays = Script { plays: Some((media, TimeDelta::ZERO)), base: 9_000, ..Script::default() };
    let _server = Server::start(world.runtime.env(), A, plays);
    let mut player = world.start(PLAY);
    let video = collected(&mut player, "video");
    // There is a key frame every second; it is back before the next.
    world.pass(TimeDelta::from_millis(3400));
    world.net.cut(A.into());
    world.end(player);
    let times: Vec<Time> = buffers(&video).iter().filter_map(|buffer| buffer.dts_or_pts()).collect();
    // The server gives who joins the group of pictures that has begun, so nothing is missed either.
    assert_eq!(times.len(), CLIP_FRAMES.0);
    assert!(times.windows(2).all(|pair| (1..=60).contains(&pair[1].since(pair[0]).millis())), "{times:?}");
}
