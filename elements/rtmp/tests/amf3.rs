//! Whole conversations in AMF3, as ActionScript 3 has them with `objectEncoding = 3`: every byte of the client by hand, from AMF 3 (January
//! 2013) and AMF 0 (December 2007), and chunks from RTMP 1.0, 5.3.
//!
//! Messages of types 17 and 15 begin with a zero byte and go on in AMF0; `0x11` switches to AMF3 for one value. There a text is `06`, twice
//! its length plus one, and itself; an integer is `04` and seven bits a byte; a double is `05`; null, false and true are `01`, `02` and `03`.

mod common;

use common::{Served, words};
use millstream_amf::Value;
use millstream_flv::wire::{TagKind, parse_script};
use millstream_rtmp::command::{Command, Invoke, ObjectEncoding, PlayStart, PublishType, Response, code};
use millstream_rtmp::message::{DataFrame, Message};
use millstream_rtmp::session::MediaKind;
use millstream_rtmp::session::server::{ServerEvent, ServerSettings};

/// A message as chunks of 128 bytes: a header of 12 bytes, and `C0 + id` ahead of what is left.
fn message(chunk_stream: u8, kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u8;
    assert_eq!(usize::from(len), payload.len(), "short messages only");
    let mut bytes = vec![chunk_stream, 0, 0, 0, 0, 0, len, kind, stream, 0, 0, 0];
    for (at, chunk) in payload.chunks(128).enumerate() {
        bytes.extend((at > 0).then_some(0xC0 | chunk_stream));
        bytes.extend(chunk);
    }
    bytes
}

/// `connect` in AMF0 with 3 as objectEncoding: how Flash begins.
const CONNECT: &[u8] = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\
    \0\x08flashVer\x02\0\x0dWIN 32,0,0,10\0\x05tcUrl\x02\0\x0drtmp://h/live\
    \0\x0eobjectEncoding\0\x40\x08\0\0\0\0\0\0\0\0\x09";

/// The same in AMF3 as far as it goes: name, number, and an anonymous dynamic object (`0a 0b 01`).
const CONNECT_AMF3: &[u8] = b"\0\x11\x06\x0fconnect\x11\x04\x01\x11\x0a\x0b\x01\x07app\x06\x09live\
    \x11flashVer\x06\x1bWIN 32,0,0,10\x0btcUrl\x06\x1brtmp://h/live\x1dobjectEncoding\x04\x03\x01";

const CREATE_STREAM: &[u8] = b"\0\x02\0\x0ccreateStream\0\x40\0\0\0\0\0\0\0\x05";
const CREATE_STREAM_AMF3: &[u8] = b"\0\x11\x06\x19createStream\x11\x04\x02\x11\x01";
const PUBLISH: &[u8] = b"\0\x02\0\x07publish\0\x40\x08\0\0\0\0\0\0\x05\x02\0\x03cam\x02\0\x04live";
const PUBLISH_AMF3: &[u8] = b"\0\x11\x06\x0fpublish\x11\x04\x03\x11\x01\x11\x06\x07cam\x11\x06\x0drecord";

/// `@setDataFrame`, `onMetaData` and an object: width 1280, framerate 29.97, stereo true, encoder "AS3", no title.
const METADATA: &[u8] = b"\0\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x11\x0a\x0b\x01\x0bwidth\x04\x8a\x00\
    \x13framerate\x05\x40\x3d\xf8\x51\xeb\x85\x1e\xb8\x0dstereo\x03\x0fencoder\x06\x07AS3\x0btitle\x01\x01";

/// A cue point as an array with names (`09 01`), whose text repeats a string that was sent: index 1, `06 02`.
const CUE_POINT: &[u8] = b"\0\x11\x06\x15onCuePoint\x11\x09\x01\x09name\x06\x0bstart\x09type\x06\x02\x01";

fn response(message: &Message) -> Response {
    match Command::from_invoke(Invoke::parse(message.kind, &message.payload).expect("a command")) {
        Command::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

/// Connects, and creates message stream 1.
fn connected(kind: u8, connect: &[u8], create_stream: &[u8]) -> Served {
    let mut served = Served::new(ServerSettings::default());
    let events = served.feed(&message(3, kind, 0, connect));
    let [ServerEvent::Connect(connect)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&*connect.app, connect.tc_url.as_deref()), ("live", Some("rtmp://h/live")));
    assert_eq!((connect.flash_ver.as_deref(), connect.object_encoding), (Some("WIN 32,0,0,10"), ObjectEncoding::Amf3));
    let sent = served.sent();
    let expected = ["WindowAcknowledgementSize", "SetPeerBandwidth", "SetChunkSize", "StreamBegin(0)", "_result"];
    assert_eq!(words(&sent), expected);
    let result = response(&sent[4]);
    assert_eq!((result.transaction, &*result.status().code), (1.0, code::CONNECT_SUCCESS));
    assert_eq!(result.value().get("objectEncoding"), Some(&Value::Number(3.0)));
    assert!(served.feed(&message(3, 17, 0, create_stream)).is_empty());
    let sent = served.sent();
    assert_eq!((words(&sent), response(&sent[0]).transaction), (vec!["_result".to_owned()], 2.0));
    assert_eq!(response(&sent[0]).value().as_f64(), Some(1.0));
    served
}

#[test]
fn rtmp_m9_a_whole_conversation_of_publish_in_amf3() {
    for (kind, connect, create_stream, publish, how) in [
        (20, CONNECT, CREATE_STREAM, PUBLISH, PublishType::Live),
        (17, CONNECT_AMF3, CREATE_STREAM_AMF3, PUBLISH_AMF3, PublishType::Record),
        (20, CONNECT, CREATE_STREAM_AMF3, PUBLISH, PublishType::Live),
    ] {
        let mut served = connected(kind, connect, create_stream);
        let events = served.feed(&message(8, 17, 1, publish));
        let [ServerEvent::Publish { stream: 1, publish }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((publish.name.reveal(), publish.kind), ("cam", how));
        assert_eq!(served.sent_words(), ["StreamBegin(1)", "onStatus NetStream.Publish.Start"]);
        let events = served.feed(&message(4, 15, 1, METADATA));
        let [ServerEvent::Data { data: DataFrame::Set(data), .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(data.name, "onMetaData");
        // Players get AMF0: the name, and an object by AMF 0, 2.5.
        let expected = b"\x02\0\x0aonMetaData\x03\0\x05width\0\x40\x94\0\0\0\0\0\0\
            \0\x09framerate\0\x40\x3d\xf8\x51\xeb\x85\x1e\xb8\0\x06stereo\x01\x01\0\x07encoder\x02\0\x03AS3\
            \0\x05title\x05\0\0\x09";
        assert_eq!(data.body, &expected[..]);
        let media = [message(4, 8, 1, b"\xaf\x00\x12\x10"), message(6, 9, 1, b"\x17\x00\0\0\0\x01")].concat();
        let kinds: Vec<MediaKind> = served
            .feed(&media)
            .into_iter()
            .filter_map(|event| if let ServerEvent::Media { media, .. } = event { Some(media.kind) } else { None })
            .collect();
        assert_eq!(kinds, [MediaKind::Audio, MediaKind::Video]);
        let events = served.feed(&message(4, 15, 1, CUE_POINT));
        let [ServerEvent::Data { data: DataFrame::Pass(data), .. }] = &events[..] else { panic!("{events:?}") };
        let script = parse_script(TagKind::Script, &data.body).expect("AMF0");
        let text = |name| script.values[0].get(name).and_then(Value::as_str);
        assert_eq!((&*script.name, text("name"), text("type")), ("onCuePoint", Some("start"), Some("start")));
        // A shared object, which nobody here has, is stepped over.
        assert!(served.feed(&message(3, 16, 0, b"\0\0\x01x\0\0\0\0\0\0\0\0\0\0\0\0")).is_empty());
        let events = served.feed(&message(3, 17, 0, b"\0\x02\0\x0cdeleteStream\0\0\0\0\0\0\0\0\0\x05\x11\x04\x01"));
        assert!(matches!(&events[..], [ServerEvent::Unpublish { stream: 1 }]), "{events:?}");
    }
}

#[test]
fn rtmp_m9_a_whole_conversation_of_play_in_amf3() {
    // start -2000 as an integer of 29 bits, duration -1 as a double, reset true.
    let play = b"\0\x11\x06\x09play\x11\x04\x04\x11\x01\x11\x06\x0fcam?k=v\x11\x04\xff\xff\xf8\x30\
        \x11\x05\xbf\xf0\0\0\0\0\0\0\x11\x03";
    let mut served = connected(20, CONNECT, CREATE_STREAM_AMF3);
    let events = served.feed(&message(8, 17, 1, play));
    let [ServerEvent::Play { stream: 1, play }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((play.name.reveal(), play.start, play.duration), ("cam?k=v", PlayStart::LiveOrRecorded, None));
    let expected = ["SetChunkSize", "StreamBegin(1)", "onStatus NetStream.Play.Reset", "onStatus NetStream.Play.Start"];
    assert_eq!(served.sent_words(), expected);
    // pause true at 3500 ms; receiveVideo false; seek to 3.0 as a double.
    for (invoke, event) in [
        (
            &b"\0\x11\x06\x0bpause\x11\x04\x00\x11\x01\x11\x03\x11\x04\x9b\x2c"[..],
            "Pause { stream: 1, pause: true, milliseconds: 3500.0 }",
        ),
        (b"\0\x11\x06\x19receiveVideo\x11\x04\x00\x11\x01\x11\x02", "Receive { stream: 1, audio: true, video: false }"),
        (
            b"\0\x11\x06\x09seek\x11\x04\x00\x11\x01\x11\x05\x40\x08\0\0\0\0\0\0",
            "Seek { stream: 1, milliseconds: 3.0 }",
        ),
    ] {
        let events = served.feed(&message(8, 17, 1, invoke));
        assert_eq!(events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>(), [event]);
    }
    let said = served.sent_words();
    assert!(said.contains(&"onStatus NetStream.Pause.Notify".to_owned()), "{said:?}");
    let events = served.feed(&message(3, 17, 0, b"\0\x11\x06\x17closeStream\x11\x04\x00\x11\x01"));
    assert!(events.is_empty(), "stream 0 plays nothing");
    let events = served.feed(&message(8, 17, 1, b"\0\x11\x06\x17closeStream\x11\x04\x00\x11\x01"));
    assert!(matches!(&events[..], [ServerEvent::Stop { stream: 1 }]), "{events:?}");
}
