//! Several streams one after the other on one message stream, and what is left of a stream that was played.

mod common;

use common::{Served, invoke};
use millstream_rtmp::session::server::{PlayEnd, ServerEvent, ServerSettings};
use millstream_rtmp::session::{Phase, SessionError};

fn playing() -> Served {
    let mut served = Served::connected(ServerSettings::default());
    served.command(0, &invoke("createStream", 2.0, vec![]));
    served.command(1, &invoke("play", 3.0, vec!["cam".into()]));
    served.sent();
    served
}

#[test]
fn rtmp_m6_only_the_first_of_a_playlist_resets_and_the_last_completes_it() {
    let mut served = playing();
    let next = vec!["next".into(), 0.0.into(), (-1.0).into(), false.into()];
    served.command(1, &invoke("play", 0.0, next.clone()));
    served.sent();
    served.server.end_of_item(1);
    served.server.accept_play(1, true);
    let begin = ["SetChunkSize", "StreamIsRecorded(1)", "StreamBegin(1)", "onStatus NetStream.Play.Start"];
    assert_eq!(served.sent_words(), [&["Data"][..], &begin].concat());
    served.server.end_play(1, PlayEnd::Complete);
    assert_eq!(served.sent_words(), ["Data", "StreamEof(1)", "onStatus NetStream.Play.Stop"]);
    // What is complete may be sought in, and be followed by more.
    assert_eq!(
        served.command(1, &invoke("seek", 0.0, vec![0.0.into()])),
        [ServerEvent::Seek { stream: 1, milliseconds: 0.0 }]
    );
    served.server.end_play(1, PlayEnd::Complete);
    assert_eq!(
        served.sent_words(),
        ["onStatus NetStream.Seek.Notify", "Data", "StreamEof(1)", "onStatus NetStream.Play.Stop"]
    );
    assert_eq!(served.command(1, &invoke("play", 0.0, next)).len(), 1);
}

#[test]
fn rtmp_m6_a_connection_with_nothing_left_to_play_is_closed_in_time() {
    let mut served = playing();
    assert_eq!(served.server.deadline(), None);
    served.server.end_play(1, PlayEnd::Complete);
    let deadline = served.server.deadline().expect("a time to go");
    served.server.answer_seek(1, true);
    assert_eq!(served.server.deadline(), None, "it plays again");
    served.server.end_play(1, PlayEnd::Complete);
    assert_eq!(served.server.handle_timeout(deadline), Err(SessionError::Timeout(Phase::Stream)));
}
