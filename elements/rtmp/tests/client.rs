//! The client's end: by hand on the wire order in each direction, and against recorded servers.

mod common;

use bytes::Bytes;
use common::{HANDSHAKE, Reader, control, words};
use millstream_amf::Value;
use millstream_core::{Time, TimeDelta};
use millstream_flv::wire::Slices;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::chunk::ChunkWriter;
use millstream_rtmp::command::{
    Command, ConnectResult, Enhanced, Invoke, ObjectEncoding, PlayStart, PublishType, Response, Status, code,
};
use millstream_rtmp::message::{Control, Message, MessageType, PeerLimit, UserControl};
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::{Media, MediaKind, Phase, SessionError};
use millstream_testkit::media::media_bytes;

const PUBLISH: Purpose = Purpose::Publish(PublishType::Live);
const PLAY: Purpose = Purpose::Play { start: PlayStart::LiveOrRecorded, duration: None };

fn settings(url: &str, purpose: Purpose) -> ClientSettings {
    ClientSettings::new(RtmpUrl::parse(url).expect("a URL"), purpose)
}

/// A client, and a server that is played by hand.
struct Serving {
    client: ClientSession,
    writer: ChunkWriter,
    reader: Reader,
}

impl Serving {
    /// The handshake is done, `connect` is sent.
    fn new(settings: ClientSettings) -> Self {
        let mut client = ClientSession::new(settings, 1, Time::ZERO);
        let mut reader = Reader::default();
        assert!(reader.read(client.output()).is_empty());
        client.receive([&[3][..], &[0; 2 * 1536]].concat().into(), Time::ZERO).expect("a handshake");
        Self { client, writer: ChunkWriter::new(), reader }
    }

    /// The same, `connect` accepted.
    fn connected(purpose: Purpose) -> Self {
        let mut serving = Self::new(settings("rtmp://host/live/cam", purpose));
        serving.send(&answer(&connect_result()));
        serving.sent();
        serving
    }

    /// The same, on message stream 1 as far as the purpose goes.
    fn started(purpose: Purpose) -> Self {
        let mut serving = Self::connected(purpose);
        let transaction = if purpose == PUBLISH { 4.0 } else { 2.0 };
        serving.send(&answer(&Response::result(transaction, Value::Null, vec![1.0.into()])));
        let code = if purpose == PUBLISH { code::PUBLISH_START } else { code::PLAY_START };
        let events = serving.send(&status(1, &Status::new(code, "")));
        assert_eq!(events.len(), 1);
        serving.sent();
        serving
    }

    fn try_send(&mut self, message: &Message) -> Result<Vec<ClientEvent>, SessionError> {
        let mut out = Slices::new();
        self.writer.write(message, &mut out);
        self.client.receive(out.take().concat().into(), Time::ZERO)?;
        std::iter::from_fn(|| self.client.next_event().transpose()).collect()
    }

    fn send(&mut self, message: &Message) -> Vec<ClientEvent> {
        self.try_send(message).expect("a session that goes on")
    }

    fn sent(&mut self) -> Vec<Message> {
        let output = self.client.output();
        self.reader.read(output)
    }

    fn sent_words(&mut self) -> Vec<String> {
        words(&self.sent())
    }
}

fn connect_result() -> Response {
    ConnectResult::new(ObjectEncoding::Amf0, Enhanced::default()).to_response(1.0)
}

fn answer(response: &Response) -> Message {
    common::command(0, &Command::Response(response.clone()).to_invoke(0.0))
}

fn status(stream: u32, status: &Status) -> Message {
    common::command(stream, &Command::OnStatus(status.clone()).to_invoke(0.0))
}

fn rejection(description: &str) -> Message {
    answer(&Response::error(1.0, &Status::error(code::CONNECT_REJECTED, description)))
}

fn invoke_of(message: &Message) -> Invoke {
    Invoke::parse(message.kind, &message.payload).expect("a command")
}

#[test]
fn rtmp_h3_client_sends_nothing_but_c2_before_s2() {
    let mut client = ClientSession::new(settings("rtmp://host/live/cam", PUBLISH), 1, Time::ZERO);
    assert_eq!(client.output().concat().len(), 1 + 1536);
    client.receive([&[3][..], &[0; 1536 + 1535]].concat().into(), Time::ZERO).unwrap();
    assert_eq!(client.output().concat().len(), 1536);
    client.receive(Bytes::from_static(&[0]), Time::ZERO).unwrap();
    assert!(client.has_output());
}

#[test]
fn rtmp_m1_conversation_of_connect_and_publish() {
    let mut serving = Serving::new(settings("rtmp://host/live/cam?k=1", PUBLISH));
    let sent = serving.sent();
    assert_eq!(words(&sent), ["connect", "SetChunkSize"]);
    let connect = invoke_of(&sent[0]);
    let text = |name| connect.object.get(name).and_then(Value::as_str);
    assert_eq!((connect.transaction, text("app"), text("tcUrl")), (1.0, Some("live"), Some("rtmp://host/live")));
    assert_eq!(text("type"), Some("nonprivate"));
    // The client answers the peer bandwidth with its window, and does not wait for the result to do so.
    serving.send(&Control::WindowAcknowledgementSize(5_000_000).to_message());
    assert!(serving.sent().is_empty());
    serving.send(&Control::SetPeerBandwidth { window: 5_000_000, limit: PeerLimit::Dynamic }.to_message());
    assert_eq!(serving.sent_words(), ["WindowAcknowledgementSize"]);
    serving.send(&UserControl::StreamBegin(0).to_message());
    assert!(matches!(serving.send(&answer(&connect_result()))[..], [ClientEvent::Connected(_)]));
    let sent = serving.sent();
    assert_eq!(words(&sent), ["releaseStream", "FCPublish", "createStream"]);
    assert_eq!(invoke_of(&sent[0]).secret(0).reveal(), "cam?k=1");
    // Refused preambles are nothing.
    let failed = Status::error(code::CALL_FAILED, "");
    assert!(serving.send(&answer(&Response::error(2.0, &failed))).is_empty());
    let transaction = invoke_of(&sent[2]).transaction;
    let events = serving.send(&answer(&Response::result(transaction, Value::Null, vec![7.0.into()])));
    assert_eq!(events, [ClientEvent::StreamCreated { stream: 7 }]);
    let sent = serving.sent();
    assert_eq!((words(&sent), sent[0].stream_id), (vec!["publish".to_owned()], 7));
    let publish = invoke_of(&sent[0]);
    assert_eq!((publish.secret(0).reveal(), publish.argument(1).as_str()), ("cam?k=1", Some("live")));
    serving.send(&UserControl::StreamBegin(7).to_message());
    let events = serving.send(&status(7, &Status::new(code::PUBLISH_START, "")));
    assert_eq!(events, [ClientEvent::Publishing { stream: 7 }]);
    // Metadata, audio, video: until the stream is complete.
    serving.client.send_metadata(7, 0, b"\x02\0\x0AonMetaData\x05");
    for (kind, len) in [(MediaKind::Audio, 2), (MediaKind::Video, 100_000)] {
        serving.client.send_media(7, &Media { kind, timestamp: 5, payload: vec![1; len].into() });
    }
    assert_eq!(serving.sent_words(), ["Data", "Audio", "Video"]);
    serving.client.close();
    assert_eq!(serving.sent_words(), ["FCUnpublish", "deleteStream"]);
    assert!(serving.client.is_closing());
}

#[test]
fn rtmp_m3_conversation_of_play() {
    let mut serving = Serving::new(ClientSettings { subscribe: true, ..settings("rtmp://host/live/cam", PLAY) });
    let connect = serving.sent();
    assert_eq!(words(&connect), ["connect"]);
    assert!(
        ["fpad", "audioCodecs", "videoCodecs", "videoFunction", "capabilities", "flashVer"]
            .iter()
            .all(|name| invoke_of(&connect[0]).object.get(name).is_some())
    );
    serving.send(&answer(&connect_result()));
    let sent = serving.sent();
    assert_eq!(words(&sent), ["WindowAcknowledgementSize", "FCSubscribe", "createStream"]);
    serving.send(&answer(&Response::result(invoke_of(&sent[2]).transaction, Value::Null, vec![1.0.into()])));
    let sent = serving.sent();
    assert_eq!(words(&sent), ["SetBufferLength { stream_id: 1, milliseconds: 3000 }", "play"]);
    assert_eq!(invoke_of(&sent[1]).number(1), Some(-2000.0));
    let mut out = Slices::new();
    serving.writer.set_chunk_size(4096, &mut out);
    serving.client.receive(out.take().concat().into(), Time::ZERO).unwrap();
    let recorded = UserControl::StreamIsRecorded(1);
    assert_eq!(serving.send(&recorded.to_message()), [ClientEvent::UserControl(recorded)]);
    serving.send(&UserControl::StreamBegin(1).to_message());
    let reset = Status::new(code::PLAY_RESET, "");
    assert_eq!(serving.send(&status(1, &reset)), [ClientEvent::Status { stream: 1, status: reset }]);
    assert_eq!(serving.send(&status(1, &Status::new(code::PLAY_START, ""))), [ClientEvent::Playing { stream: 1 }]);
    for (kind, len) in [(MessageType::Audio, 10), (MessageType::Video, 9000)] {
        let events = serving.send(&common::media(kind, 1, 5, &vec![1; len]));
        assert!(matches!(&events[..], [ClientEvent::Media { stream: 1, media }] if media.payload.len() == len));
    }
    assert_eq!(serving.client.deadline(), None);
}

#[test]
fn rtmp_m3_media_on_stream_0_and_without_a_status_is_played() {
    let mut serving = Serving::connected(PLAY);
    serving.send(&answer(&Response::result(2.0, Value::Null, vec![1.0.into()])));
    let events = serving.send(&common::media(MessageType::Audio, 0, 5, &[1]));
    assert!(matches!(events[..], [ClientEvent::Playing { stream: 1 }, ClientEvent::Media { stream: 1, .. }]));
}

#[test]
fn rtmp_m3_every_end_of_playing_is_told_once() {
    let complete = b"\x02\0\x0ConPlayStatus\x03\0\x04code\x02\0\x17NetStream.Play.Complete\0\0\x09";
    let ends = [
        status(1, &Status::new(code::PLAY_STOP, "")),
        status(1, &Status::new(code::PLAY_UNPUBLISH_NOTIFY, "")),
        UserControl::StreamEof(1).to_message(),
        common::media(MessageType::Data, 1, 0, complete),
        common::command(0, &common::invoke("onFCUnsubscribe", 0.0, vec![])),
    ];
    for end in &ends {
        let mut serving = Serving::started(PLAY);
        let mut events = serving.send(end);
        ends.iter().for_each(|other| events.extend(serving.send(other)));
        let told = events.iter().filter(|event| matches!(event, ClientEvent::Ended { stream: 1 })).count();
        assert_eq!(told, 1, "{end:?}");
        // A publisher that returns is heard.
        let events = serving.send(&common::media(MessageType::Audio, 1, 5, &[1]));
        assert_eq!(events.len(), 2);
    }
}

#[test]
fn rtmp_m5_refusals_end_the_session_with_their_code() {
    for code in [code::PUBLISH_BAD_NAME, code::PUBLISH_DENIED, "NetStream.Publish.Whatever"] {
        let mut serving = Serving::connected(PUBLISH);
        serving.send(&answer(&Response::result(4.0, Value::Null, vec![1.0.into()])));
        let error = serving.try_send(&status(1, &Status::error(code, "s3cret"))).unwrap_err();
        assert!(matches!(&error, SessionError::Refused(status) if status.code == code));
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    for transaction in [4.0, 5.0] {
        let mut serving = Serving::connected(PUBLISH);
        if transaction == 5.0 {
            serving.send(&answer(&Response::result(4.0, Value::Null, vec![1.0.into()])));
        }
        let refused = Response::error(transaction, &Status::error(code::CALL_FAILED, ""));
        assert!(serving.try_send(&answer(&refused)).is_err(), "createStream or publish");
    }
    let close = common::command(0, &common::invoke("close", 0.0, vec![]));
    assert_eq!(Serving::started(PUBLISH).try_send(&close), Err(SessionError::Closed));
    let refused = Serving::new(settings("rtmp://host/live/cam", PUBLISH)).try_send(&rejection("no such application"));
    assert!(matches!(refused, Err(SessionError::Refused(_))));
}

#[test]
fn rtmp_m14_authentication_connects_twice_more() {
    let first = settings("rtmp://me:pw@host/live/cam", PUBLISH);
    let mut next = first;
    for (description, query) in [
        ("[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ", "live?authmod=adobe&user=me"),
        (
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=S&challenge=C&opaque=O",
            "live?authmod=adobe&user=me&challenge=",
        ),
    ] {
        let mut serving = Serving::new(next.clone());
        serving.sent();
        let events = serving.send(&rejection(description));
        let [ClientEvent::TryAgain(settings)] = &events[..] else { panic!("{events:?}") };
        assert!(serving.client.is_closing());
        // What the server says behind it is not heard.
        assert!(serving.send(&common::command(0, &common::invoke("close", 0.0, vec![]))).is_empty());
        next = (**settings).clone();
        let connect = invoke_of(&Serving::new(next.clone()).sent()[0]);
        let app = connect.object.get("app").and_then(Value::as_str).unwrap();
        assert!(app.starts_with(query), "{app}");
        let tc_url = connect.object.get("tcUrl").and_then(Value::as_str).unwrap();
        assert!(tc_url.starts_with("rtmp://host/live?authmod=adobe"), "{tc_url}");
        let shown = format!("{events:?} {:?}", serving.client);
        assert!(!shown.contains("pw") && !shown.contains("authmod"), "{shown}");
    }
    let refused = Serving::new(next).try_send(&rejection("[ authmod=adobe ] : ?reason=authfailed&opaque=O"));
    assert!(matches!(refused, Err(SessionError::Authentication(_))));
}

#[test]
fn rtmp_m14_redirects_are_followed_up_to_a_limit() {
    let mut next = settings("rtmp://host/live/cam", PUBLISH);
    let mut hops = 0;
    let error = loop {
        let mut serving = Serving::new(next.clone());
        let target =
            Value::object([("code", Value::from(302.0)), ("redirect", format!("rtmp://hop{hops}/live").into())]);
        let extra = vec![("ex".to_owned(), target)];
        let refusal = Status { extra, ..Status::error(code::CONNECT_REJECTED, "Connection failed") };
        match serving.try_send(&answer(&Response::error(1.0, &refusal))) {
            Ok(events) => {
                let [ClientEvent::TryAgain(settings)] = &events[..] else { panic!("{events:?}") };
                assert_eq!((&*settings.url.host, settings.url.stream.reveal()), (&*format!("hop{hops}"), "cam"));
                next = (**settings).clone();
            }
            Err(error) => break error,
        }
        hops += 1;
    };
    assert_eq!((hops, error), (5, SessionError::Redirects(5)));
}

#[test]
fn ert_11_reconnect_request_comes_as_settings_and_the_connection_goes_on() {
    let mut serving = Serving::started(PUBLISH);
    for (tc_url, host) in [(Some("//other/live"), "other"), (None, "host"), (Some("http://nothing"), "host")] {
        let extra = tc_url.map(|url| ("tcUrl".to_owned(), Value::from(url))).into_iter().collect();
        let request = Status { extra, ..Status::new(code::CONNECT_RECONNECT_REQUEST, "") };
        let events = serving.send(&status(0, &request));
        let [ClientEvent::Reconnect(settings)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((&*settings.url.host, settings.url.stream.reveal(), settings.purpose), (host, "cam", PUBLISH));
        serving
            .client
            .send_media(1, &Media { kind: MediaKind::Audio, timestamp: 5, payload: Bytes::from_static(&[1]) });
        assert_eq!(serving.sent_words(), ["Audio"]);
    }
}

#[test]
fn ert_10_client_says_what_it_can_and_hears_what_the_server_can() {
    let mut serving = Serving::new(settings("rtmp://host/live/cam", PUBLISH));
    let connect = invoke_of(&serving.sent()[0]);
    assert_eq!(connect.object.get("capsEx").and_then(Value::as_f64), Some(15.0));
    assert!(connect.object.get("fourCcList").is_some() && connect.object.get("audioFourCcInfoMap").is_some());
    let result = ConnectResult::new(ObjectEncoding::Amf0, Enhanced { caps_ex: 3, ..Enhanced::default() });
    serving.send(&answer(&result.to_response(1.0)));
    assert_eq!(serving.client.enhanced().caps_ex, 3);
}

#[test]
fn rtmp_c10_client_acknowledges_and_takes_any_acknowledgement() {
    let mut serving = Serving::started(PLAY);
    serving.send(&Control::WindowAcknowledgementSize(10_000).to_message());
    (0..30).for_each(|time| drop(serving.send(&common::media(MessageType::Audio, 1, time, &[0; 1000]))));
    let sent = serving.sent();
    assert_eq!(words(&sent), ["Acknowledgement"]);
    assert_eq!(control(&sent[0]), Control::Acknowledgement(serving.client.stats().received as u32));
    for sequence in [0, u32::MAX, 5, 5, 5] {
        assert!(serving.send(&Control::Acknowledgement(sequence).to_message()).is_empty());
    }
}

#[test]
fn rtmp_c12_client_answers_pings() {
    let mut serving = Serving::started(PLAY);
    serving.send(&UserControl::PingRequest(9).to_message());
    assert_eq!(serving.sent_words(), ["PingResponse(9)"]);
}

#[test]
fn rtmp_m15_calls_go_both_ways() {
    let mut serving = Serving::started(PLAY);
    let transaction = serving.client.call("add", Value::Null, vec![1.0.into()]);
    assert_eq!(invoke_of(&serving.sent()[0]).transaction, transaction);
    let sum = Response::result(transaction, Value::Null, vec![2.0.into()]);
    assert_eq!(serving.send(&answer(&sum)), [ClientEvent::Answer(sum.clone())]);
    assert!(serving.send(&answer(&sum)).is_empty(), "once");
    let ask = common::invoke("ask", 8.0, vec![]);
    assert_eq!(serving.send(&common::command(0, &ask)), [ClientEvent::Call(ask)]);
    serving.client.answer_call(8.0, Ok(5.0.into()));
    let answer = invoke_of(&serving.sent()[0]);
    assert_eq!((&*answer.name, answer.transaction, answer.number(0)), ("_result", 8.0, Some(5.0)));
    // A bandwidth check is answered without anybody's help.
    assert!(serving.send(&common::command(0, &common::invoke("_onbwcheck", 9.0, vec!["x".into()]))).is_empty());
    assert_eq!(serving.sent_words(), ["_result"]);
}

#[test]
fn rtmp_m6_player_controls_are_sent() {
    let mut serving = Serving::started(PLAY);
    serving.client.pause(1, true, 100.0);
    serving.client.seek(1, 5000.0);
    serving.client.receive_audio(1, false);
    serving.client.receive_video(1, true);
    serving.client.play2(1, millstream_rtmp::command::Play2::default());
    serving.client.close_stream(1);
    let sent = serving.sent();
    assert_eq!(words(&sent), ["pause", "seek", "receiveAudio", "receiveVideo", "play2", "closeStream"]);
    assert!(sent.iter().all(|message| message.stream_id == 1));
}

#[test]
fn rtmp_h6_each_answer_has_its_time() {
    let mut client = ClientSession::new(settings("rtmp://host/live/cam", PUBLISH), 1, Time::ZERO);
    assert_eq!(client.handle_timeout(client.deadline().unwrap()), Err(SessionError::Timeout(Phase::Handshake)));
    let mut serving = Serving::new(settings("rtmp://host/live/cam", PUBLISH));
    let deadline = serving.client.deadline().unwrap();
    assert_eq!(serving.client.handle_timeout(deadline), Err(SessionError::Timeout(Phase::Connect)));
    let mut serving = Serving::connected(PUBLISH);
    let deadline = serving.client.deadline().unwrap();
    assert_eq!(serving.client.handle_timeout(deadline), Err(SessionError::Timeout(Phase::Stream)));
}

#[test]
fn silence_is_noticed_only_where_it_is_asked_for() {
    assert_eq!(Serving::started(PLAY).client.deadline(), None);
    let silence_timeout = Some(TimeDelta::from_secs(5));
    let mut serving = Serving::new(ClientSettings { silence_timeout, ..settings("rtmp://host/live/cam", PLAY) });
    serving.send(&answer(&connect_result()));
    serving.send(&answer(&Response::result(2.0, Value::Null, vec![1.0.into()])));
    serving.send(&status(1, &Status::new(code::PLAY_START, "")));
    assert_eq!(serving.client.handle_timeout(Time::from_millis(4999)), Ok(()));
    assert_eq!(serving.client.deadline(), Some(Time::from_millis(5000)));
    assert_eq!(serving.client.handle_timeout(Time::from_millis(5000)), Err(SessionError::Silent));
}

/// A recorded server against our client, in pieces: what the client makes of it.
fn replay(file: &str, url: &str, purpose: Purpose, step: usize) -> Option<(Vec<ClientEvent>, Vec<String>)> {
    let server = media_bytes(file)?;
    let mut client = ClientSession::new(settings(url, purpose), 1, Time::ZERO);
    let (mut events, mut sent, mut reader) = (Vec::new(), Vec::new(), Reader::default());
    sent.extend(words(&reader.read(client.output())));
    for at in (0..server.len()).step_by(step) {
        client.receive(server.slice(at..server.len().min(at + step)), Time::ZERO).expect("a handshake");
        while let Some(event) = client.next_event().expect("a server that agrees") {
            events.push(event);
        }
        sent.extend(words(&reader.read(client.output())));
    }
    assert!(server.len() > HANDSHAKE);
    Some((events, sent))
}

#[test]
fn rtmp_m15_recorded_servers_let_our_client_publish() {
    // The transaction ids are those of the client that was recorded, and ours are the same: 4 for createStream, but 2 where
    // GStreamer asked.
    for file in ["ffmpeg51_publish_h264_aac", "ffmpeg9_publish_hevc_aac", "obs29_publish"] {
        for step in [1, 100, 10_000] {
            let file = format!("rtmp/{file}.s2c.bin");
            let Some((events, sent)) = replay(&file, "rtmp://host/live/cam", PUBLISH, step) else { return };
            assert!(matches!(
                events[..],
                [
                    ClientEvent::Connected(_),
                    ClientEvent::StreamCreated { stream: 1 },
                    ClientEvent::Publishing { stream: 1 }
                ]
            ));
            let expected = [
                "connect",
                "SetChunkSize",
                "WindowAcknowledgementSize",
                "releaseStream",
                "FCPublish",
                "createStream",
                "publish",
            ];
            assert_eq!(sent, expected, "{file} in pieces of {step}");
        }
    }
}

#[test]
fn rtmp_m15_recorded_servers_play_to_our_client() {
    // What an independent decoder counted in the recordings. Transaction 2 is createStream for us as for the clients recorded.
    for (file, video, audio) in [("rtmp/ffmpeg51_play.s2c.bin", 53, 89), ("rtmp/rtmpdump_play.s2c.bin", 147, 252)] {
        for step in [1, 1000, 300_000] {
            let Some((events, sent)) = replay(file, "rtmp://host/live/pub", PLAY, step) else { return };
            let count = |wanted| {
                let is =
                    |event: &&ClientEvent| matches!(event, ClientEvent::Media { media, .. } if media.kind == wanted);
                events.iter().filter(is).count()
            };
            assert_eq!((count(MediaKind::Video), count(MediaKind::Audio)), (video, audio), "{file}");
            assert_eq!(events.iter().filter(|event| matches!(event, ClientEvent::Playing { .. })).count(), 1);
            let data = events.iter().filter(|event| matches!(event, ClientEvent::Data { .. })).count();
            assert_eq!(data, 2, "|RtmpSampleAccess and metadata");
            assert_eq!(sent[..3], ["connect", "WindowAcknowledgementSize", "createStream"]);
        }
    }
}

#[test]
fn rtmp_m15_recorded_ffmpeg_server_plays_to_our_client() {
    let Some((events, _)) = replay("rtmp/fq__ffmpeg_server_stream.bin", "rtmp://host/test_stream", PLAY, 500) else {
        return;
    };
    let audio = events.iter().filter(|event| matches!(event, ClientEvent::Media { .. })).count();
    assert_eq!(audio, 410);
}
