//! The server's end by hand: the conversations of RTMP 1.0, 7.2, on the wire order in each direction, and what goes wrong.

mod common;

use common::{Served, accept_all, control, invoke, media, words};
use millstream_amf::Value;
use millstream_core::{Time, TimeDelta};
use millstream_rtmp::command::{Command, Enhanced, Invoke, PublishType, Response, Status, caps_ex, code};
use millstream_rtmp::message::{Control, DataFrame, Message, MessageType, PeerLimit, UserControl};
use millstream_rtmp::session::server::{PlayEnd, ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::session::{MediaKind, Phase, SessionError};

fn served() -> Served {
    Served::new(ServerSettings::default())
}

/// Connected, with message stream 1, and nothing unread.
fn with_stream() -> Served {
    let mut served = Served::connected(ServerSettings::default());
    served.command(0, &invoke("createStream", 2.0, vec![]));
    served.sent();
    served
}

fn publishing() -> Served {
    let mut served = with_stream();
    served.command(1, &invoke("publish", 3.0, vec!["cam".into(), "live".into()]));
    served.sent();
    served
}

fn playing() -> Served {
    let mut served = with_stream();
    served.command(1, &invoke("play", 3.0, vec!["cam".into()]));
    served.sent();
    served
}

fn response(message: &Message) -> Response {
    match Command::from_invoke(Invoke::parse(message.kind, &message.payload).expect("a command")) {
        Command::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rtmp_m1_conversation_of_connect() {
    let mut served = served();
    let events = served.command(0, &invoke("connect", 1.0, vec![]));
    assert!(matches!(&events[..], [ServerEvent::Connect(connect)] if connect.app == "live"));
    let sent = served.sent();
    let expected = ["WindowAcknowledgementSize", "SetPeerBandwidth", "SetChunkSize", "StreamBegin(0)", "_result"];
    assert_eq!(words(&sent), expected);
    assert_eq!(control(&sent[1]), Control::SetPeerBandwidth { window: 2_500_000, limit: PeerLimit::Dynamic });
    let result = response(&sent[4]);
    assert_eq!((result.success, result.transaction, &*result.status().code), (true, 1.0, code::CONNECT_SUCCESS));
    assert!(result.object.get("fmsVer").is_some() && result.object.get("capabilities").is_some());
    // The client's window comes whenever it comes, or never.
    assert!(served.send(&Control::WindowAcknowledgementSize(5000).to_message()).is_empty());
    assert!(served.sent().len() <= 1);
}

#[test]
fn rtmp_m1_other_transaction_ids_and_no_properties() {
    for object in [Value::Null, Value::Undefined] {
        let mut served = served();
        served.command(0, &Invoke::new("connect", 7.0, object, vec![]));
        assert_eq!(response(served.sent().last().unwrap()).transaction, 7.0);
    }
}

#[test]
fn rtmp_m1_connect_is_answered_once_and_nothing_ahead_of_it() {
    let mut served = served();
    served.command(0, &invoke("createStream", 2.0, vec![]));
    served.command(1, &invoke("publish", 2.0, vec!["cam".into()]));
    assert!(served.sent().is_empty());
    served.command(0, &invoke("connect", 1.0, vec![]));
    assert_eq!(served.sent().len(), 5);
    assert!(served.command(0, &invoke("connect", 1.0, vec![])).is_empty());
    assert!(served.sent().is_empty());
}

#[test]
fn rtmp_m5_conversation_of_publish() {
    let mut served = Served::connected(ServerSettings::default());
    served.sent();
    served.command(0, &invoke("createStream", 4.0, vec![]));
    let sent = served.sent();
    assert_eq!((response(&sent[0]).transaction, response(&sent[0]).value()), (4.0, &Value::Number(1.0)));
    let events = served.command(1, &invoke("publish", 5.0, vec!["cam".into(), "live".into()]));
    let [ServerEvent::Publish { stream: 1, publish }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((publish.name.reveal(), publish.kind), ("cam", PublishType::Live));
    // Both at once: encoders send no metadata before they have read the second.
    let sent = served.sent();
    assert_eq!(words(&sent), ["StreamBegin(1)", "onStatus NetStream.Publish.Start"]);
    assert_eq!((sent[0].stream_id, sent[1].stream_id), (0, 1));
    let meta = b"\x02\0\x0D@setDataFrame\x02\0\x0AonMetaData\x05";
    let events = served.send(&media(MessageType::Data, 1, 0, meta));
    assert!(matches!(&events[..], [ServerEvent::Data { data: DataFrame::Set(data), .. }] if data.name == "onMetaData"));
    let events = served.send(&media(MessageType::Audio, 1, 0, &[0xAF, 0]));
    assert!(matches!(&events[..], [ServerEvent::Media { media, .. }] if media.kind == MediaKind::Audio));
    let mut out = millstream_flv::wire::Slices::new();
    served.writer.set_chunk_size(4096, &mut out);
    assert!(served.feed(&out.take().concat()).is_empty());
    let events = served.send(&media(MessageType::Video, 1, 40, &[0x17; 5000]));
    let [ServerEvent::Media { stream: 1, media }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((media.kind, media.timestamp, media.payload.len()), (MediaKind::Video, 40, 5000));
    assert!(served.sent().is_empty());
}

#[test]
fn rtmp_m5_conversation_of_play_live_and_recorded() {
    for (recorded, reset) in [(false, true), (true, true), (true, false)] {
        let mut served = with_stream();
        let arguments = vec!["cam".into(), (-2000.0).into(), (-1.0).into(), reset.into()];
        let message = common::command(1, &invoke("play", 5.0, arguments));
        let mut out = millstream_flv::wire::Slices::new();
        served.writer.write(&message, &mut out);
        served.server.receive(out.take().concat().into(), Time::ZERO).unwrap();
        let Ok(Some(ServerEvent::Play { stream: 1, .. })) = served.server.next_event() else { panic!() };
        assert!(served.sent().is_empty(), "play before publish waits");
        served.server.accept_play(1, recorded);
        let mut expected = vec!["SetChunkSize", "StreamIsRecorded(1)", "StreamBegin(1)"];
        expected.extend(["onStatus NetStream.Play.Reset", "onStatus NetStream.Play.Start"]);
        expected.retain(|word| (recorded || !word.contains("Recorded")) && (reset || !word.contains("Reset")));
        assert_eq!(served.sent_words(), expected);
        // Then audio and video.
        for (kind, payload) in [(MediaKind::Audio, 2), (MediaKind::Video, 70_000)] {
            let media = millstream_rtmp::session::Media { kind, timestamp: 9, payload: vec![1; payload].into() };
            served.server.send_media(1, &media);
        }
        assert_eq!(served.sent_words(), ["Audio", "Video"]);
    }
}

#[test]
fn rtmp_m2_every_subset_of_the_preamble_in_any_order() {
    let preamble = ["releaseStream", "FCPublish", "createStream", "_checkbw"];
    for set in 0_u32..16 {
        let mut names: Vec<&str> = (0..4).filter(|bit| set >> bit & 1 == 1).map(|bit| preamble[bit]).collect();
        for _ in 0..names.len().max(1) {
            let mut served = Served::connected(ServerSettings::default());
            served.sent();
            for (place, name) in names.iter().enumerate() {
                served.command(0, &invoke(name, 2.0 + place as f64, vec!["cam".into()]));
                let sent = served.sent();
                assert!(response(&sent[0]).success && response(&sent[0]).transaction == 2.0 + place as f64, "{name}");
                let callback = if *name == "FCPublish" { vec!["_result", "onFCPublish"] } else { vec!["_result"] };
                assert_eq!(words(&sent), callback);
            }
            // Even without createStream.
            let events = served.command(1, &invoke("publish", 0.0, vec!["cam".into()]));
            assert!(matches!(events[..], [ServerEvent::Publish { stream: 1, .. }]));
            assert_eq!(served.sent_words().last().unwrap(), "onStatus NetStream.Publish.Start");
            if !names.is_empty() {
                names.rotate_left(1);
            }
        }
    }
}

#[test]
fn rtmp_m4_several_streams_on_one_connection() {
    let mut served = Served::connected(ServerSettings { streams: 3, ..ServerSettings::default() });
    served.sent();
    let mut ids = Vec::new();
    for transaction in 2..6 {
        served.command(0, &invoke("createStream", f64::from(transaction), vec![]));
        let answer = response(&served.sent()[0]);
        ids.push(answer.success.then(|| answer.value().as_f64().unwrap()));
    }
    assert_eq!(ids, [Some(1.0), Some(3.0), Some(4.0), None]);
    served.command(1, &invoke("publish", 0.0, vec!["one".into()]));
    served.command(3, &invoke("publish", 0.0, vec!["two".into()]));
    for id in [1, 3] {
        let events = served.send(&media(MessageType::Audio, id, 0, &[1]));
        assert!(matches!(events[..], [ServerEvent::Media { stream, .. }] if stream == id));
    }
    // Nobody publishes on 4, and there is more than one who does.
    assert!(served.send(&media(MessageType::Audio, 4, 0, &[1])).is_empty());
    assert_eq!(served.server.stats().ignored, 1);
}

#[test]
fn rtmp_m5_refusals_say_why_and_close_after_the_last_byte() {
    for (code, words) in [
        (code::PUBLISH_BAD_NAME, ["onStatus NetStream.Publish.BadName"]),
        (code::PUBLISH_DENIED, ["onStatus NetStream.Publish.Denied"]),
    ] {
        let mut served = with_stream();
        let mut out = millstream_flv::wire::Slices::new();
        served.writer.write(&common::command(1, &invoke("publish", 3.0, vec!["cam".into()])), &mut out);
        served.writer.write(&media(MessageType::Audio, 1, 0, &[1]), &mut out);
        served.server.receive(out.take().concat().into(), Time::ZERO).unwrap();
        assert!(matches!(served.server.next_event(), Ok(Some(ServerEvent::Publish { .. }))));
        served.server.refuse_publish(1, code, "no");
        assert!(served.server.is_closing());
        assert_eq!(served.server.next_event(), Ok(None), "media of a refused publisher is not read");
        assert_eq!(served.sent_words(), words);
    }
}

#[test]
fn rtmp_m5_connect_rejected_and_redirected() {
    let ask = || {
        let mut served = served();
        let mut out = millstream_flv::wire::Slices::new();
        served.writer.write(&common::command(0, &invoke("connect", 1.0, vec![])), &mut out);
        served.server.receive(out.take().concat().into(), Time::ZERO).unwrap();
        assert!(matches!(served.server.next_event(), Ok(Some(ServerEvent::Connect(_)))));
        served
    };
    let mut served = ask();
    served.server.reject_connect("no");
    let answer = response(&served.sent()[0]);
    assert_eq!((answer.success, &*answer.status().code), (false, code::CONNECT_REJECTED));
    let mut served = ask();
    served.server.redirect_connect("rtmp://other/live");
    let status = response(&served.sent()[0]).status();
    let target = status.get("ex").unwrap();
    assert_eq!(target.get("code").and_then(Value::as_f64), Some(302.0));
    assert_eq!(target.get("redirect").and_then(Value::as_str), Some("rtmp://other/live"));
    assert!(served.server.is_closing());
}

#[test]
fn rtmp_m5_play_of_an_unknown_stream_is_refused_and_another_may_be_asked_for() {
    let mut served = with_stream();
    served.command(1, &invoke("play", 3.0, vec!["cam".into()]));
    served.sent();
    served.server.refuse_play(1, code::PLAY_STREAM_NOT_FOUND, "no");
    assert_eq!(served.sent_words(), ["onStatus NetStream.Play.StreamNotFound"]);
    assert!(!served.server.is_closing());
    assert_eq!(served.command(1, &invoke("play", 4.0, vec!["other".into()])).len(), 1);
}

#[test]
fn rtmp_m6_player_controls() {
    let mut served = playing();
    let events = served.command(1, &invoke("pause", 0.0, vec![true.into(), 1500.0.into()]));
    assert_eq!(events, [ServerEvent::Pause { stream: 1, pause: true, milliseconds: 1500.0 }]);
    served.command(1, &invoke("pause", 0.0, vec![false.into(), 1500.0.into()]));
    let events = served.command(1, &invoke("seek", 0.0, vec![9000.0.into()]));
    assert_eq!(events, [ServerEvent::Seek { stream: 1, milliseconds: 9000.0 }]);
    served.server.answer_seek(1, false);
    let expected = ["Pause.Notify", "Unpause.Notify", "Seek.Notify", "Seek.Failed"]
        .map(|word| format!("onStatus NetStream.{word}"));
    assert_eq!(served.sent_words(), expected);
    let options = Value::object([("streamName", Value::from("high")), ("transition", "switch".into())]);
    let events = served.command(1, &invoke("play2", 0.0, vec![options]));
    assert!(matches!(&events[..], [ServerEvent::Play2 { stream: 1, play }] if play.name.reveal() == "high"));
}

#[test]
fn rtmp_m6_receive_audio_and_video() {
    let mut served = playing();
    let events = served.command(1, &invoke("receiveVideo", 0.0, vec![false.into()]));
    assert_eq!(events, [ServerEvent::Receive { stream: 1, audio: true, video: false }]);
    assert!(served.sent().is_empty(), "not wanting is not answered");
    let events = served.command(1, &invoke("receiveAudio", 0.0, vec![false.into()]));
    assert_eq!(events, [ServerEvent::Receive { stream: 1, audio: false, video: false }]);
    let events = served.command(1, &invoke("receiveVideo", 0.0, vec![true.into()]));
    assert_eq!(events, [ServerEvent::Receive { stream: 1, audio: false, video: true }]);
    assert_eq!(served.sent_words(), ["onStatus NetStream.Seek.Notify", "onStatus NetStream.Play.Start"]);
}

#[test]
fn rtmp_m6_a_playlist_grows_by_play_without_reset() {
    let mut served = playing();
    let arguments = |reset: bool| vec!["next".into(), 0.0.into(), (-1.0).into(), reset.into()];
    let events = served.command(1, &invoke("play", 0.0, arguments(false)));
    assert!(matches!(&events[..], [ServerEvent::Play { play, .. }] if !play.reset));
    let events = served.command(1, &invoke("play", 0.0, arguments(true)));
    assert!(matches!(&events[..], [ServerEvent::Stop { stream: 1 }, ServerEvent::Play { play, .. }] if play.reset));
}

#[test]
fn rtmp_m7_every_way_to_unpublish_releases_the_name() {
    let ways: [(u32, Invoke); 6] = [
        (0, invoke("FCUnpublish", 6.0, vec!["cam".into()])),
        (0, invoke("deleteStream", 7.0, vec![1.0.into()])),
        (0, invoke("deleteStream", 0.0, vec!["cam".into()])),
        (1, invoke("closeStream", 0.0, vec![])),
        (1, invoke("publish", 0.0, vec![false.into()])),
        (0, invoke("close", 0.0, vec![])),
    ];
    for (stream, way) in ways {
        let mut served = publishing();
        let events = served.command(stream, &way);
        assert_eq!(events[0], ServerEvent::Unpublish { stream: 1 }, "{way:?}");
        // Told once.
        served.server.disconnected();
        assert_eq!(served.server.next_event(), Ok(None), "{way:?}");
    }
    let mut served = publishing();
    served.server.disconnected();
    assert_eq!(served.server.next_event(), Ok(Some(ServerEvent::Unpublish { stream: 1 })), "loss of the connection");
}

#[test]
fn rtmp_m7_types_of_publishing_and_publishing_again() {
    let mut served = publishing();
    let events = served.command(1, &invoke("publish", 0.0, vec!["tape".into(), "record".into()]));
    let [ServerEvent::Unpublish { stream: 1 }, ServerEvent::Publish { publish, .. }] = &events[..] else { panic!() };
    assert_eq!(publish.kind, PublishType::Record);
}

#[test]
fn rtmp_m3_play_ends_with_status_and_eof() {
    let mut served = playing();
    served.server.end_play(1, PlayEnd::Unpublished);
    assert_eq!(served.sent_words(), ["StreamEof(1)", "onStatus NetStream.Play.UnpublishNotify"]);
    let mut served = playing();
    served.server.end_play(1, PlayEnd::Complete);
    assert_eq!(served.sent_words(), ["Data", "StreamEof(1)", "onStatus NetStream.Play.Stop"]);
    served.server.end_play(1, PlayEnd::Complete);
    assert!(served.sent().is_empty(), "once");
}

#[test]
fn rtmp_m3_stream_length_and_buffer() {
    let mut served = with_stream();
    served.command(0, &invoke("getStreamLength", 3.0, vec!["cam".into()]));
    let answer = response(&served.sent()[0]);
    assert_eq!((answer.transaction, answer.value()), (3.0, &Value::Number(0.0)));
    let events = served.send(&UserControl::SetBufferLength { stream_id: 1, milliseconds: 300 }.to_message());
    assert_eq!(events, [ServerEvent::BufferLength { stream: 1, milliseconds: 300 }]);
}

#[test]
fn rtmp_m15_calls_go_both_ways() {
    let mut served = with_stream();
    let events = served.command(0, &invoke("add", 9.0, vec![1.0.into(), 2.0.into()]));
    let [ServerEvent::Call { request: Some(request), stream: 0, invoke: call }] = &events[..] else { panic!() };
    assert_eq!((&*call.name, call.number(1)), ("add", Some(2.0)));
    served.server.answer_call(*request, Ok(3.0.into()));
    let answer = response(&served.sent()[0]);
    assert_eq!((answer.transaction, answer.value()), (9.0, &Value::Number(3.0)));
    let events = served.command(0, &invoke("tell", 0.0, vec![]));
    assert!(matches!(&events[..], [ServerEvent::Call { request: None, .. }]));
    let transaction = served.server.call("ask", vec![]);
    assert_eq!(served.sent_words(), ["ask"]);
    let answer = Response::result(transaction, Value::Null, vec![5.0.into()]);
    let events = served.command(0, &Command::Response(answer.clone()).to_invoke(0.0));
    assert_eq!(events, [ServerEvent::Answer(answer)]);
    let failed = Status::error(code::CALL_FAILED, "no");
    served.command(0, &invoke("nothing", 10.0, vec![]));
    served.server.answer_call(*request, Err(&failed));
    assert!(!response(&served.sent()[0]).success);
}

#[test]
fn rtmp_c10_acknowledges_cumulatively_once_a_window_and_never_piles_up() {
    let mut served = publishing();
    served.send(&Control::WindowAcknowledgementSize(10_000).to_message());
    served.sent();
    let mut sequences = Vec::new();
    for step in 0..40 {
        served.send(&media(MessageType::Audio, 1, step, &[0; 1000]));
        sequences.extend(served.sent().iter().map(control));
    }
    assert!((3..=4).contains(&sequences.len()), "{sequences:?}");
    let received = served.server.stats().received;
    let Control::Acknowledgement(last) = sequences[sequences.len() - 1] else { panic!() };
    assert!(u64::from(last) <= received && received - u64::from(last) < 12_000, "all bytes, handshake included");
    // Not asked for output, it keeps one number.
    (0..1000).for_each(|step| drop(served.send(&media(MessageType::Audio, 1, step, &[0; 1000]))));
    let sent = served.sent();
    assert_eq!(words(&sent), ["Acknowledgement"]);
    assert_eq!(control(&sent[0]), Control::Acknowledgement(served.server.stats().received as u32));
}

#[test]
fn rtmp_c10_counts_what_the_client_acknowledges() {
    let mut served = playing();
    let sent = served.server.stats().sent;
    served.server.note_sent(100_000);
    served.send(&Control::Acknowledgement(sent as u32 + 60_000).to_message());
    assert_eq!(served.server.stats().unacknowledged, 40_000);
}

#[test]
fn rtmp_c11_peer_bandwidth_is_answered_when_it_changes() {
    let mut served = with_stream();
    let set = |window, limit| Control::SetPeerBandwidth { window, limit }.to_message();
    // The server announced 2.5 MB by itself.
    served.send(&set(2_500_000, PeerLimit::Hard));
    assert!(served.sent().is_empty());
    served.send(&set(1000, PeerLimit::Soft));
    served.send(&set(1000, PeerLimit::Hard));
    served.send(&set(3000, PeerLimit::Dynamic));
    let answers: Vec<_> = served.sent().iter().map(control).collect();
    assert_eq!(answers, [1000, 3000].map(Control::WindowAcknowledgementSize));
    assert_eq!(served.server.stats().peer_limit, Some(3000));
}

#[test]
fn rtmp_c12_pings_are_answered_and_unknown_events_ignored() {
    let mut served = publishing();
    served.send(&UserControl::PingRequest(77).to_message());
    assert_eq!(served.sent_words(), ["PingResponse(77)"]);
    for event in [31, 32, 99] {
        assert!(served.send(&UserControl::Other(event).to_message()).is_empty());
    }
    served.send(&Message::control(MessageType::UserControl, bytes::Bytes::from_static(&[0])));
    assert!(served.sent().is_empty());
    assert_eq!(served.server.stats().malformed, 1);
}

#[test]
fn rtmp_c12_a_publisher_that_answers_no_ping_stays() {
    let settings = ServerSettings { ping_interval: Some(TimeDelta::from_secs(10)), ..ServerSettings::default() };
    let mut served = Served::connected(settings);
    served.command(1, &invoke("publish", 0.0, vec!["cam".into()]));
    served.sent();
    let mut pings = 0;
    for _ in 0..1000 {
        let deadline = served.server.deadline().unwrap();
        served.server.handle_timeout(deadline).unwrap();
        pings += served.sent().len();
    }
    assert_eq!(pings, 1000);
    // Nor does what it does not read pile up.
    for _ in 0..1000 {
        served.server.handle_timeout(served.server.deadline().unwrap()).unwrap();
    }
    assert_eq!(served.sent().len(), 1);
}

#[test]
fn rtmp_h3_nothing_but_the_handshake_before_c2_is_read() {
    let mut server = ServerSession::new(ServerSettings::default(), 1, Time::ZERO);
    server.receive([&[3][..], &[0; 1536 + 1535]].concat().into(), Time::ZERO).unwrap();
    assert_eq!(server.output().concat().len(), 1 + 2 * 1536);
    assert_eq!(server.next_event(), Ok(None));
    server.handle_timeout(Time::from_millis(100)).unwrap();
    assert!(server.output().is_empty());
}

#[test]
fn rtmp_h6_a_byte_a_minute_does_not_keep_a_connection() {
    let mut server = ServerSession::new(ServerSettings::default(), 1, Time::ZERO);
    let mut now = Time::ZERO;
    let error = loop {
        server.receive(bytes::Bytes::from_static(&[3]), now).unwrap();
        now += TimeDelta::from_millis(900);
        if let Err(error) = server.handle_timeout(now) {
            break error;
        }
    };
    assert_eq!(error, SessionError::Timeout(Phase::Handshake));
    assert!(now <= Time::from_millis(11_000));
}

#[test]
fn rtmp_h6_a_client_that_never_publishes_is_dropped_and_one_that_does_is_not() {
    let idle = Served::connected(ServerSettings::default());
    let deadline = idle.server.deadline().unwrap();
    let mut server = idle.server;
    assert_eq!(server.handle_timeout(deadline), Err(SessionError::Timeout(Phase::Stream)));
    let mut served = publishing();
    assert_eq!(served.server.deadline(), None);
    served.now = Time::from_millis(3_600_000);
    served.command(1, &invoke("closeStream", 0.0, vec![]));
    assert_eq!(served.server.deadline(), Some(Time::from_millis(3_630_000)));
}

#[test]
fn flood_of_questions_without_reading_answers_ends_the_session() {
    let mut served = with_stream();
    let ping = UserControl::PingRequest(1).to_message();
    let mut out = millstream_flv::wire::Slices::new();
    (0..10_000).for_each(|_| served.writer.write(&ping, &mut out));
    served.server.receive(out.take().concat().into(), Time::ZERO).unwrap();
    assert!(matches!(accept_all(&mut served.server), Err(SessionError::Flood { .. })));
}

#[test]
fn rtmp_m10_damaged_and_unknown_messages_are_skipped() {
    let mut served = publishing();
    for (kind, payload) in [
        (MessageType::Command, &b"\x02\0\x04play\xFF"[..]),
        (MessageType::Command, b""),
        (MessageType::CommandAmf3, b"\0\x11\xFF"),
        (MessageType::DataAmf3, &[0, 0, 0, 0]),
        (MessageType::Other(19), b"shared object"),
        (MessageType::Other(99), b""),
    ] {
        assert!(served.send(&media(kind, 1, 0, payload)).is_empty(), "{kind:?}");
    }
    assert_eq!((served.server.stats().malformed, served.server.stats().ignored), (4, 2));
    assert_eq!(served.send(&media(MessageType::Audio, 1, 0, &[1])).len(), 1);
}

#[test]
fn rtmp_v4_empty_audio_is_an_event_like_any() {
    assert_eq!(publishing().send(&media(MessageType::Audio, 1, 0, &[])).len(), 1);
}

#[test]
fn rtmp_m12_aggregates_are_taken_apart() {
    let mut served = publishing();
    let inner = [media(MessageType::Audio, 9, 100, &[1; 50]), media(MessageType::Video, 9, 110, &[2; 300])];
    let outer = Message { stream_id: 1, timestamp: 1000, ..millstream_rtmp::message::aggregate(&inner).unwrap() };
    let events = served.send(&outer);
    let times = events.iter().map(|event| match event {
        ServerEvent::Media { stream: 1, media } => media.timestamp,
        other => panic!("{other:?}"),
    });
    assert_eq!(times.collect::<Vec<_>>(), [1000, 1010]);
    let cut = Message { payload: outer.payload.slice(..outer.payload.len() - 10), ..outer };
    assert_eq!(served.send(&cut).len(), 1);
    assert_eq!(served.server.stats().malformed, 1);
}

#[test]
fn ert_10_capabilities_are_exchanged_and_never_required() {
    let mut served = served();
    let object = Value::object([("app", "live".into()), ("capsEx", Value::from(5.0))]);
    let events = served.command(0, &Invoke::new("connect", 1.0, object, vec![]));
    let [ServerEvent::Connect(connect)] = &events[..] else { panic!() };
    assert_eq!(connect.enhanced.caps_ex, 5);
    let result = response(served.sent().last().unwrap());
    for object in [&result.object, result.value()] {
        assert_eq!(object.get("capsEx").and_then(Value::as_f64), Some(15.0));
        assert_eq!(object.get("videoFourCcInfoMap").and_then(|map| map.get("*")).and_then(Value::as_f64), Some(4.0));
        assert!(object.get("fourCcList").is_some_and(|list| list.items() == Some(&["*".into()])));
    }
    // OBS says nothing, and its HEVC is taken.
    let mut served = publishing();
    assert_eq!(served.server.enhanced(), &Enhanced::default());
    assert_eq!(served.send(&media(MessageType::Video, 1, 0, b"\x90hvc1")).len(), 1);
}

#[test]
fn ert_11_reconnect_request_only_to_those_who_understand() {
    assert!(!publishing().server.request_reconnect(None));
    let mut served = served();
    let object = Value::object([("capsEx", Value::from(f64::from(caps_ex::RECONNECT)))]);
    served.command(0, &Invoke::new("connect", 1.0, object, vec![]));
    served.command(1, &invoke("publish", 0.0, vec!["cam".into()]));
    served.sent();
    assert!(served.server.request_reconnect(Some("//other/live")));
    let sent = served.sent();
    let invoke = Invoke::parse(sent[0].kind, &sent[0].payload).unwrap();
    assert_eq!(
        (&*invoke.name, invoke.transaction, &invoke.object, sent[0].stream_id),
        ("onStatus", 0.0, &Value::Null, 0)
    );
    let info = invoke.argument(0);
    assert_eq!(info.get("code").and_then(Value::as_str), Some("NetConnection.Connect.ReconnectRequest"));
    assert_eq!(info.get("level").and_then(Value::as_str), Some("status"));
    assert_eq!(info.get("tcUrl").and_then(Value::as_str), Some("//other/live"));
    // What still comes is taken.
    assert_eq!(served.send(&media(MessageType::Audio, 1, 0, &[1])).len(), 1);
}

#[test]
fn secrets_are_in_no_debug_text() {
    let mut served = with_stream();
    let events = served.command(1, &invoke("publish", 3.0, vec!["s3cret?token=s3cret".into(), "live".into()]));
    let mut shown = format!("{events:?} {:?}", served.server);
    let events = served.command(0, &invoke("login", 3.0, vec!["s3cret".into()]));
    shown.push_str(&format!("{events:?}"));
    assert!(!shown.contains("s3cret"), "{shown}");
}
