//! What the dissector says of recorded and of made-up conversations, and what it does not say.

mod common;

use bytes::Bytes;
use common::{command, invoke};
use millstream_amf::Value;
use millstream_core::trace::{Layer, Side, TraceEvent};
use millstream_core::{Time, TimeDelta};
use millstream_flv::wire::Slices;
use millstream_rtmp::chunk::ChunkWriter;
use millstream_rtmp::command::{Invoke, Response, Status, code};
use millstream_rtmp::message::{Message, MessageType, UserControl, set_data_frame};
use millstream_rtmp::trace::Dissector;
use millstream_testkit::media::media_bytes;

fn events(dissector: &mut Dissector) -> Vec<TraceEvent> {
    dissector.flush();
    std::iter::from_fn(|| dissector.next_event()).collect()
}

fn lines(dissector: &mut Dissector) -> Vec<String> {
    events(dissector).iter().map(ToString::to_string).collect()
}

/// A conversation that is played by hand, its handshake done and told.
struct Talk {
    dissector: Dissector,
    client: ChunkWriter,
    server: ChunkWriter,
}

impl Talk {
    fn new() -> Self {
        let mut dissector = Dissector::default();
        dissector.take(Side::Client, [&[3][..], &[0; 1536]].concat().into(), Time::ZERO);
        dissector.take(Side::Server, [&[3][..], &[0; 2 * 1536]].concat().into(), Time::ZERO);
        dissector.take(Side::Client, vec![0; 1536].into(), Time::ZERO);
        assert_eq!(events(&mut dissector).len(), 6);
        Self { dissector, client: ChunkWriter::new(), server: ChunkWriter::new() }
    }

    fn say(&mut self, from: Side, message: &Message) {
        self.say_at(from, message, Time::ZERO);
    }

    fn say_at(&mut self, from: Side, message: &Message, now: Time) {
        let mut out = Slices::new();
        let writer = if from == Side::Client { &mut self.client } else { &mut self.server };
        writer.write(message, &mut out);
        self.dissector.take(from, out.take().concat().into(), now);
    }

    fn command(&mut self, from: Side, invoke: &Invoke) -> String {
        self.say(from, &command(1, invoke));
        let mut lines = lines(&mut self.dissector);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

fn message(kind: MessageType, payload: &[u8]) -> Message {
    Message { chunk_stream: 4, kind, timestamp: 40, stream_id: 1, payload: Bytes::copy_from_slice(payload) }
}

/// The beginning of a recording: the handshake as it went, then all of the client and all of the server.
fn recorded(name: &str) -> Option<Vec<String>> {
    let client = media_bytes(&format!("rtmp/{name}.c2s.bin"))?;
    let server = media_bytes(&format!("rtmp/{name}.s2c.bin"))?;
    let mut dissector = Dissector::default();
    dissector.take(Side::Client, client.slice(..1537), Time::ZERO);
    dissector.take(Side::Server, server.slice(..3073), Time::ZERO);
    dissector.take(Side::Client, client.slice(1537..), Time::ZERO);
    dissector.take(Side::Server, server.slice(3073..), Time::ZERO);
    Some(lines(&mut dissector))
}

#[test]
fn rtmp_h4_h5_the_form_of_recorded_handshakes_is_told() {
    // ffmpeg asks with a digest and the server signs; OBS does neither, GStreamer's C2 is a near echo.
    let Some(ffmpeg) = recorded("ffmpeg51_publish_h264_aac") else { return };
    let version = "version=9.0.124.2, form=\"digest, then key\"";
    assert_eq!(ffmpeg[..2], ["client: C0 version=3".to_owned(), format!("client: C1 time=0, {version}")]);
    assert_eq!(ffmpeg[4], "server: S2 form=signed");
    let obs = recorded("obs29_publish").expect("beside the other");
    assert_eq!(obs[1], "client: C1 time=1495836, zero=0, form=simple");
    assert_eq!(obs[4], "server: S2 time=1495836, time2=0, form=\"echo of C1\"");
    assert_eq!(obs[5], "client: C2 time=1495836, time2=0, form=\"echo of S1\"");
}

#[test]
fn rtmp_m2_recorded_publishers_are_told_command_by_command() {
    let Some(obs) = recorded("obs29_publish") else { return };
    let names: Vec<&str> = obs.iter().map(|line| line.split(" transaction").next().unwrap_or_default()).collect();
    let place = |text: &str| names.iter().position(|line| line.starts_with(text)).unwrap_or_else(|| panic!("{text}"));
    let order = [
        "client: Set Chunk Size chunk size=4096",
        "client: connect",
        "client: releaseStream",
        "client: FCPublish",
        "client: createStream",
        "client: publish",
        "client: @setDataFrame onMetaData duration=0, fileSize=0, width=640, height=360",
        "client: audio sequence header codec=AAC",
        "client: video sequence header codec=H.264",
        "client: media video key=3, video inter=701",
    ];
    let places: Vec<usize> = order.iter().map(|text| place(text)).collect();
    assert!(places.is_sorted(), "{places:?} in {obs:#?}");
    // The name under which it was recorded.
    assert!(!obs.iter().any(|line| line.contains("obs29")), "{obs:#?}");
}

#[test]
fn segmentation_makes_no_difference() {
    let Some(client) = media_bytes("rtmp/gst_rtmp2sink_publish.c2s.bin") else { return };
    let told = |step: usize| {
        let mut dissector = Dissector::default();
        client.chunks(step).for_each(|piece| dissector.take(Side::Client, Bytes::copy_from_slice(piece), Time::ZERO));
        lines(&mut dissector)
    };
    let whole = told(client.len());
    assert!(whole.len() > 8);
    assert!([1, 7, 1537].into_iter().all(|step| told(step) == whole));
}

#[test]
fn control_messages_have_the_names_and_fields_of_the_standard() {
    let mut talk = Talk::new();
    let number = |n: u32| n.to_be_bytes().to_vec();
    for (kind, payload, line) in [
        (MessageType::Abort, number(6), "client: Abort Message chunk stream id=6"),
        (MessageType::Acknowledgement, number(9), "client: Acknowledgement sequence number=9"),
        (MessageType::WindowAcknowledgementSize, number(7), "client: Window Acknowledgement Size window size=7"),
        (
            MessageType::SetPeerBandwidth,
            [number(8), vec![0]].concat(),
            "client: Set Peer Bandwidth window size=8, limit type=hard",
        ),
        (MessageType::Other(99), vec![1, 2], "client: Message type 99 bytes=2"),
        (MessageType::Other(19), vec![], "client: Shared Object type=19, bytes=0"),
    ] {
        talk.say(Side::Client, &message(kind, &payload));
        assert_eq!(lines(&mut talk.dissector), [line]);
    }
    for (event, line) in [
        (UserControl::StreamBegin(1), "server: User Control StreamBegin stream id=1"),
        (UserControl::StreamIsRecorded(1), "server: User Control StreamIsRecorded stream id=1"),
        (UserControl::PingRequest(5), "server: User Control PingRequest timestamp=5"),
        (UserControl::Other(31), "server: User Control event type=31, bytes=0"),
    ] {
        talk.say(Side::Server, &event.to_message());
        assert_eq!(lines(&mut talk.dissector), [line]);
    }
    talk.say(Side::Server, &message(MessageType::UserControl, &[0, 0, 1]));
    assert!(lines(&mut talk.dissector)[0].starts_with("server: User Control malformed="));
}

#[test]
fn answers_say_what_they_answer() {
    let mut talk = Talk::new();
    talk.command(Side::Client, &invoke("createStream", 4.0, vec![]));
    talk.command(Side::Client, &invoke("getStreamLength", 5.0, vec!["cam".into()]));
    let answer = |id: f64, value: Value| Invoke::new("_result", id, Value::Null, vec![value]);
    assert_eq!(
        talk.command(Side::Server, &answer(5.0, 12.5.into())),
        "server: _result transaction id=5, answers=getStreamLength, value=12.5"
    );
    assert_eq!(
        talk.command(Side::Server, &answer(4.0, 1.0.into())),
        "server: _result transaction id=4, answers=createStream, stream id=1"
    );
    assert_eq!(talk.command(Side::Server, &answer(4.0, 1.0.into())), "server: _result transaction id=4, value=1");
}

#[test]
fn frames_are_summed_up_until_something_else_is_said() {
    let mut talk = Talk::new();
    let at = |ms: i64| Time::from_millis(ms);
    talk.say_at(Side::Client, &message(MessageType::Video, b"\x17\x00\0\0\0\x01"), at(0));
    talk.say_at(Side::Client, &message(MessageType::Video, b"\x17\x01\0\0\0\x01"), at(10));
    talk.say_at(Side::Client, &message(MessageType::Video, b"\x27\x01\0\0\0\x01"), at(40));
    talk.say_at(Side::Client, &message(MessageType::Audio, b"\xaf\x01\x21"), at(2510));
    talk.say_at(Side::Server, &UserControl::PingRequest(1).to_message(), at(3000));
    let told = events(&mut talk.dissector);
    let names: Vec<&str> = told.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["video sequence header", "media", "User Control PingRequest"]);
    let sum = &told[1];
    assert_eq!((sum.at, sum.layer), (at(10), Layer::Media));
    let numbers = ["video key", "video inter", "video bytes", "audio", "audio bytes", "seconds"];
    assert_eq!(numbers.map(|name| sum.number(name)), [1.0, 1.0, 12.0, 1.0, 3.0, 2.5].map(Some));
    // Who watches sees something every now and then.
    talk.say_at(Side::Client, &message(MessageType::Audio, b"\xaf\x01\x21"), at(4000));
    talk.say_at(Side::Client, &message(MessageType::Audio, b"\xaf\x01\x21"), at(4000) + TimeDelta::from_secs(10));
    assert_eq!(talk.dissector.next_event().and_then(|event| event.number("audio")), Some(2.0));
}

#[test]
fn data_that_is_sent_again_and_again_is_told_once() {
    let mut talk = Talk::new();
    let data = set_data_frame(b"\x02\0\x0AonMetaData\x08\0\0\0\x01\0\x05width\0\x40\x74\0\0\0\0\0\0\0\0\x09");
    (0..3).for_each(|_| talk.say(Side::Client, &message(MessageType::Data, &data)));
    let told = lines(&mut talk.dissector);
    assert_eq!(told[0], "client: @setDataFrame onMetaData width=320");
    assert!(told.len() == 2 && told[1].starts_with("client: media repeated data=2"), "{told:?}");
}

#[test]
fn what_is_no_rtmp_is_said_once() {
    let mut dissector = Dissector::default();
    dissector.take(Side::Client, Bytes::from_static(b"GET / HTTP/1.1\r\n"), Time::ZERO);
    dissector.take(Side::Client, Bytes::from_static(b"Host: x\r\n"), Time::ZERO);
    let told = lines(&mut dissector);
    assert_eq!(told, ["client: C0 version=71", "client: not understood reason=\"this is not RTMP\""]);
    let mut talk = Talk::new();
    // Chunk stream 3 without a header before.
    talk.dissector.take(Side::Client, Bytes::from_static(&[0xC3, 0, 0]), Time::ZERO);
    talk.dissector.take(Side::Client, Bytes::from_static(&[0xC3, 0, 0]), Time::ZERO);
    let told = lines(&mut talk.dissector);
    assert!(told.len() == 1 && told[0].starts_with("client: not understood"), "{told:?}");
}

/// Everything that could hold a key does, and none is shown.
#[test]
fn secrets_are_not_told() {
    const KEY: &str = "k3y-of-somebody";
    let key = || Value::from(format!("{KEY}?token={KEY}&user=bob"));
    let object = |entries: Vec<(&str, Value)>| Value::object(entries);
    let status = |code: &str, text: String| Status::error(code, &text);
    let mut talk = Talk::new();
    let mut said = Vec::new();
    let connect = object(vec![
        ("app", format!("live?authmod=adobe&user=bob&response={KEY}").into()),
        ("tcUrl", format!("rtmp://bob:{KEY}@host/live/{KEY}?a={KEY}").into()),
        ("swfUrl", format!("http://host/x.swf?{KEY}").into()),
        ("pageUrl", format!("http://bob:{KEY}@host/").into()),
        ("flashVer", "FMLE/3.0".into()),
        ("token", KEY.into()),
        ("nested", object(vec![("deep", vec_of(KEY))])),
    ]);
    let arguments = vec!["bob".into(), KEY.into()];
    said.push(talk.command(Side::Client, &Invoke::new("connect", 1.0, connect, arguments)));
    let challenge = format!("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob&salt={KEY}");
    let rejected = Response::error(1.0, &status(code::CONNECT_REJECTED, challenge));
    said.push(talk.command(Side::Server, &millstream_rtmp::command::Command::Response(rejected).to_invoke(0.0)));
    let redirect =
        object(vec![("code", 302.0.into()), ("redirect", format!("rtmp://u:{KEY}@h/live/{KEY}?{KEY}").into())]);
    let redirected = object(vec![("level", "error".into()), ("code", code::CONNECT_REJECTED.into()), ("ex", redirect)]);
    said.push(talk.command(Side::Server, &Invoke::new("_error", 1.0, Value::Null, vec![redirected])));
    for name in ["releaseStream", "FCPublish", "FCUnpublish", "FCSubscribe", "getStreamLength", "publish", "play"] {
        said.push(talk.command(Side::Client, &invoke(name, 2.0, vec![key(), "live".into()])));
    }
    let options = object(vec![("streamName", key()), ("oldStreamName", KEY.into()), ("transition", "switch".into())]);
    said.push(talk.command(Side::Client, &invoke("play2", 2.0, vec![options])));
    said.push(talk.command(Side::Client, &invoke("deleteStream", 2.0, vec![key()])));
    said.push(talk.command(Side::Client, &invoke("anything", 2.0, vec![key(), vec_of(KEY)])));
    said.push(talk.command(Side::Client, &invoke(KEY, 2.0, vec![])));
    let started = status(code::PUBLISH_START, format!("/live/{KEY} is now published."));
    said.push(talk.command(Side::Server, &millstream_rtmp::command::Command::OnStatus(started).to_invoke(0.0)));
    let odd = object(vec![("level", KEY.into()), ("code", format!("{KEY}?").into()), ("details", KEY.into())]);
    said.push(talk.command(Side::Server, &invoke("onStatus", 0.0, vec![odd])));
    let reconnect =
        object(vec![("code", code::CONNECT_RECONNECT_REQUEST.into()), ("tcUrl", format!("live/{KEY}").into())]);
    said.push(talk.command(Side::Server, &invoke("onStatus", 0.0, vec![reconnect])));
    let mut meta = Vec::new();
    let values = object(vec![("title", KEY.into()), ("encoder", format!("x {KEY}").into()), (KEY, 1.0.into())]);
    ["onMetaData".into(), values].iter().for_each(|value| millstream_amf::amf0::write(value, &mut meta));
    talk.say(Side::Client, &message(MessageType::Data, &meta));
    let mut named = Vec::new();
    [KEY.into(), Value::from(KEY)].iter().for_each(|value| millstream_amf::amf0::write(value, &mut named));
    talk.say(Side::Client, &message(MessageType::Data, &named));
    said.extend(lines(&mut talk.dissector));
    for line in &said {
        assert!(!line.contains(KEY) && !line.contains("bob") && !line.contains("needauth"), "{line}");
    }
    assert!(said[0].contains("app=live?…, tcUrl=rtmp://***@host/live/…, swfUrl=http://host/x.swf?…"), "{}", said[0]);
    assert!(said[1].contains("description=\"[ AccessManager.Reject ] : [ authmod=adobe ] : ?…\""), "{}", said[1]);
    assert!(said[2].contains("redirect=rtmp://***@h/live/…"), "{}", said[2]);
    assert!(said.iter().any(|line| line.contains("publishing name=***?…, publishing type=live")), "{said:#?}");
}

fn vec_of(text: &str) -> Value {
    Value::StrictArray(vec![text.into(), 7.0.into()])
}

#[test]
fn a_secret_that_is_known_before_is_never_told() {
    let mut talk = Talk::new();
    talk.dissector.hide("s3cret");
    let app = Value::object([("app", Value::from("s3cret")), ("tcUrl", "rtmp://host/s3cret".into())]);
    let line = talk.command(Side::Client, &Invoke::new("connect", 1.0, app, vec![]));
    assert_eq!(line, "client: connect transaction id=1, app=***, tcUrl=rtmp://host/***");
}
