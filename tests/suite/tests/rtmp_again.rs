//! Publications that a server does not take at the first attempt: what comes in the end is each thing once, in its order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use millstream_core::TimeDelta;
use millstream_rtmp::command::Connect;
use millstream_testkit::{Weather, fixture};
use millstream_tests::rtmp::SERVER;
use millstream_tests::rtmp_server::{Answer, Script, Server, is_head, media_of};
use millstream_tests::world::{CLIP, World};

const SENDERS: [&str; 3] = [
    "filesrc location=clip.flv ! rtmpsink location=rtmp://10.0.0.1/live/cam SETTINGS",
    "filesrc location=clip.flv ! flvdemux name=d flvmux name=m ! rtmpsink location=rtmp://10.0.0.1/live/cam SETTINGS d.video ! m.video d.audio ! m.audio",
    "filesrc location=clip.flv ! flvdemux name=d flvmux name=m ! rtmpsink location=rtmp://10.0.0.1/live/cam SETTINGS d.video ! clocksync ! m.video \
     d.audio ! clocksync ! m.audio",
];

/// Accepts from this connection on.
fn refuses(connections: u32) -> Script {
    let count = AtomicU32::new(0);
    let connect = Arc::new(move |_: &Connect| match count.fetch_add(1, Ordering::Relaxed) {
        at if at < connections => Answer::Reject("Not yet.".into()),
        _ => Answer::Accept,
    });
    Script { connect, ..Script::default() }
}

#[test]
fn what_waits_for_a_server_comes_once_and_whole() {
    let expected = media_of(std::fs::read(fixture(CLIP)).expect("the fixture is there"));
    for sender in SENDERS {
        for settings in ["", "backlog-size=100KB", "backlog-size=2KB"] {
            for (late, refused, segment) in
                [(0, 0, usize::MAX), (700, 0, usize::MAX), (0, 1, usize::MAX), (700, 2, 1000)]
            {
                let world = World::new(Weather { segment, ..Weather::default() });
                let mut pipeline = world.start(&sender.replace("SETTINGS", &format!("retries=9 {settings}")));
                if late > 0 {
                    world.pass(TimeDelta::from_millis(late));
                }
                let server = Server::start(world.runtime.env(), SERVER, refuses(refused));
                world.wait(&mut pipeline).unwrap_or_else(|error| panic!("{error}"));
                let log = server.log();
                let what = format!("{sender} {settings}, {late} ms late, refused {refused} times");
                let heads = log.media.iter().filter(|media| is_head(media)).count();
                assert_eq!(
                    (heads, log.metadata),
                    (expected.iter().filter(|media| is_head(media)).count(), 1),
                    "{what}"
                );
                assert_eq!(log.media.len(), expected.len(), "{what}");
            }
        }
    }
}
