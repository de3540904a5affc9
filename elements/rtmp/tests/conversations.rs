//! The conversations of the standard (RTMP 1.0, 7.2.1.1, 7.2.2.1 and 7.2.2.6) in the order of the wire, each direction, as the dissector
//! reads it: between our two ends, of our server with recorded clients, of our client with recorded servers.

mod common;

use bytes::Bytes;
use common::accept_all;
use common::ends::{META, PUBLISH, Pair, client, client_settings, pair, publishes};
use millstream_core::Time;
use millstream_core::trace::{Side, TraceEvent};
use millstream_rtmp::command::PlayStart;
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::server::{ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_rtmp::trace::Dissector;
use millstream_testkit::media::media_bytes;
use millstream_testkit::pair::Network;

const AUDIO_HEADER: &[u8] = &[0xAF, 0, 0x11, 0x90];
const VIDEO_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1];
const AUDIO: &[u8] = &[0xAF, 1, 0x21];
const KEY_FRAME: &[u8] = &[0x17, 1, 0, 0, 0, 1];

/// What is on the wire between two ends.
#[derive(Default)]
struct Wire {
    dissector: Dissector,
    said: Vec<(Side, String)>,
}

impl Wire {
    fn carry(&mut self, from: Side, output: Vec<Bytes>) -> Bytes {
        let bytes: Bytes = output.concat().into();
        self.dissector.take(from, bytes.clone(), Time::ZERO);
        bytes
    }

    /// Everything that was said, sums of media too.
    fn said(&mut self) -> Vec<(Side, String)> {
        self.dissector.flush();
        while let Some(event) = self.dissector.next_event() {
            self.said.push((event.from, short(&event)));
        }
        self.said.clone()
    }

    fn of(&mut self, from: Side) -> Vec<String> {
        self.said().into_iter().filter(|(side, _)| *side == from).map(|(_, text)| text).collect()
    }

    /// Each pair came in this order.
    fn assert_order(&mut self, pairs: &[(&str, &str)]) {
        let said = self.said();
        let place = |text: &str| {
            let (side, text) = text.split_once(' ').expect("a side and what it said");
            let found = said.iter().position(|(from, said)| from.as_str() == side && said == text);
            found.unwrap_or_else(|| panic!("{side}: {text} in {said:#?}"))
        };
        for (first, then) in pairs {
            assert!(place(first) < place(then), "{first}, then {then}: {said:#?}");
        }
    }
}

/// A name with what tells it from others: stream, question or code.
fn short(event: &TraceEvent) -> String {
    let name = &*event.name;
    match name {
        "_result" | "_error" => format!("{name} of {}", event.text("answers").unwrap_or("nothing")),
        "onStatus" => format!("{name} {}", event.text("code").unwrap_or_default()),
        _ if name.starts_with("User Control Stream") => {
            format!("{name} {}", event.number("stream id").unwrap_or_default())
        }
        _ => name.to_owned(),
    }
}

/// Our ends with a network between them, and what is on it.
fn ends(purpose: Purpose) -> (Pair, Wire) {
    (pair(purpose, Network::default()).keep_wire(), Wire::default())
}

fn run(pair: &mut Pair, wire: &mut Wire) {
    pair.run();
    for (from, bytes) in pair.take_wire() {
        wire.carry(from, vec![bytes]);
    }
}

fn media(kind: MediaKind, payload: &'static [u8]) -> Media {
    Media { kind, timestamp: 0, payload: Bytes::from_static(payload) }
}

/// Sequence headers, a sound and a picture.
fn stream() -> [Media; 4] {
    use MediaKind::{Audio, Video};
    [(Audio, AUDIO_HEADER), (Video, VIDEO_HEADER), (Audio, AUDIO), (Video, KEY_FRAME)].map(|(k, p)| media(k, p))
}

const CONNECT_OF_SERVER: [&str; 8] = [
    "S0",
    "S1",
    "S2",
    "Window Acknowledgement Size",
    "Set Peer Bandwidth",
    "Set Chunk Size",
    "User Control StreamBegin 0",
    "_result of connect",
];

/// What the figure of `connect` draws across both directions. The client's window needs no answer, and gets none.
const CONNECT_ACROSS: [(&str, &str); 6] = [
    ("client C1", "server S0"),
    ("server S1", "client C2"),
    ("client C2", "client connect"),
    ("client connect", "server Window Acknowledgement Size"),
    ("server Set Peer Bandwidth", "client Window Acknowledgement Size"),
    ("server User Control StreamBegin 0", "server _result of connect"),
];

/// What our client says up to `publish`.
const PUBLISH_OF_CLIENT: [&str; 10] = [
    "C0",
    "C1",
    "C2",
    "connect",
    "Set Chunk Size",
    "Window Acknowledgement Size",
    "releaseStream",
    "FCPublish",
    "createStream",
    "publish",
];

#[test]
fn rtmp_m5_wire_order_of_connect_and_publish_between_our_ends() {
    let (mut pair, mut wire) = ends(PUBLISH);
    run(&mut pair, &mut wire);
    let stream_id = publishes(&pair).unwrap_or_else(|| panic!("{:?}", pair.client.events));
    pair.client.session.send_metadata(stream_id, 0, META);
    stream().iter().for_each(|media| pair.client.session.send_media(stream_id, media));
    run(&mut pair, &mut wire);
    pair.client.session.close();
    run(&mut pair, &mut wire);
    let media = ["@setDataFrame onMetaData", "audio sequence header", "video sequence header", "media"];
    let client = [&PUBLISH_OF_CLIENT[..], &media, &["FCUnpublish", "deleteStream"]].concat();
    assert_eq!(wire.of(Side::Client), client);
    let server = [
        "_result of releaseStream",
        "_result of FCPublish",
        "onFCPublish",
        "_result of createStream",
        "User Control StreamBegin 1",
        "onStatus NetStream.Publish.Start",
        "_result of FCUnpublish",
        "onStatus NetStream.Unpublish.Success",
    ];
    let mut said = wire.of(Side::Server);
    // What the server answers to `deleteStream` is its affair.
    said.truncate(CONNECT_OF_SERVER.len() + server.len());
    assert_eq!(said, [&CONNECT_OF_SERVER[..], &server].concat());
    wire.assert_order(&CONNECT_ACROSS);
    wire.assert_order(&[
        ("client createStream", "server _result of createStream"),
        ("server _result of createStream", "client publish"),
        ("client publish", "server User Control StreamBegin 1"),
        ("server User Control StreamBegin 1", "client @setDataFrame onMetaData"),
        ("server onStatus NetStream.Publish.Start", "client media"),
    ]);
}

#[test]
fn rtmp_m5_wire_order_of_play_between_our_ends() {
    for recorded in [false, true] {
        let (mut pair, mut wire) = ends(Purpose::Play { start: PlayStart::LiveOrRecorded, duration: None });
        pair.server.session.recorded = recorded;
        run(&mut pair, &mut wire);
        pair.server.session.send_data(1, 0, &Bytes::from_static(META));
        stream().iter().for_each(|media| pair.server.session.send_media(1, media));
        run(&mut pair, &mut wire);
        let client = ["C0", "C1", "C2", "connect", "Window Acknowledgement Size", "createStream"];
        let play = ["User Control SetBufferLength", "play"];
        assert_eq!(wire.of(Side::Client), [&client[..], &play].concat());
        let answer: Vec<&str> = [
            "_result of createStream",
            "Set Chunk Size",
            "User Control StreamIsRecorded 1",
            "User Control StreamBegin 1",
            "onStatus NetStream.Play.Reset",
            "onStatus NetStream.Play.Start",
            "onMetaData",
            "audio sequence header",
            "video sequence header",
            "media",
        ]
        .into_iter()
        .filter(|text| recorded || !text.contains("Recorded"))
        .collect();
        assert_eq!(wire.of(Side::Server), [&CONNECT_OF_SERVER[..], &answer].concat(), "recorded: {recorded}");
        wire.assert_order(&CONNECT_ACROSS);
        wire.assert_order(&[
            ("client createStream", "server _result of createStream"),
            ("server _result of createStream", "client play"),
            ("client play", "server User Control StreamBegin 1"),
        ]);
    }
}

/// The segments of a recording, in the order in which both ends sent them: side, and bytes.
fn segments(name: &str) -> Option<Vec<(Side, Bytes)>> {
    let mut client = media_bytes(&format!("rtmp/{name}.c2s.bin"))?;
    let mut server = media_bytes(&format!("rtmp/{name}.s2c.bin"))?;
    let timing = media_bytes(&format!("rtmp/{name}.timing.jsonl"))?;
    let timing = String::from_utf8(timing.to_vec()).expect("text");
    let segment = |line: &str| {
        // [seconds, "c2s", bytes]
        let words: Vec<&str> = line.trim_matches(['[', ']']).split(", ").collect();
        let [_, way, len] = words[..] else { panic!("{line}") };
        let len: usize = len.parse().expect("a number");
        match way {
            "\"c2s\"" => (Side::Client, client.split_to(len)),
            _ => (Side::Server, server.split_to(len)),
        }
    };
    Some(timing.lines().map(segment).collect())
}

/// Our server in the place of the one that was recorded: it is given what the client sent, segment by segment.
fn replayed(name: &str) -> Option<(Wire, ServerSession)> {
    let (mut wire, mut server) = (Wire::default(), ServerSession::new(ServerSettings::default(), 7, Time::ZERO));
    for (_, bytes) in segments(name)?.into_iter().filter(|(side, _)| *side == Side::Client) {
        server.receive(wire.carry(Side::Client, vec![bytes]), Time::ZERO).expect("RTMP");
        accept_all(&mut server).expect("a client that behaves");
        wire.carry(Side::Server, server.output());
    }
    Some((wire, server))
}

#[test]
fn rtmp_m5_wire_order_of_recorded_publishers_at_our_server() {
    let publishers =
        ["obs29_publish", "ffmpeg51_publish_h264_aac", "ffmpeg9_publish_hevc_aac", "gst_rtmp2sink_publish"];
    for name in publishers {
        let Some((mut wire, server)) = replayed(name) else { return };
        assert_eq!(wire.of(Side::Server)[..CONNECT_OF_SERVER.len()], CONNECT_OF_SERVER, "{name}");
        wire.assert_order(&CONNECT_ACROSS[..3]);
        wire.assert_order(&[
            ("client connect", "server _result of connect"),
            ("client createStream", "server _result of createStream"),
            // At once: before these clients go on, and they wait for it.
            ("client publish", "server User Control StreamBegin 1"),
            ("server User Control StreamBegin 1", "server onStatus NetStream.Publish.Start"),
            ("server onStatus NetStream.Publish.Start", "client @setDataFrame onMetaData"),
            ("client @setDataFrame onMetaData", "client audio sequence header"),
            ("client audio sequence header", "client media"),
            ("client video sequence header", "client media"),
        ]);
        // Only GStreamer announces a window; the others were answered all the same.
        let announces = wire.of(Side::Client).iter().any(|text| text == "Window Acknowledgement Size");
        assert_eq!(announces, name.starts_with("gst"), "{name}");
        assert_eq!((server.stats().malformed, server.stats().ignored), (0, 0), "{name}");
    }
}

#[test]
fn rtmp_m5_wire_order_of_recorded_players_at_our_server() {
    for name in ["ffmpeg51_play", "rtmpdump_play"] {
        let Some((mut wire, _)) = replayed(name) else { return };
        let server = wire.of(Side::Server);
        assert_eq!(server[..CONNECT_OF_SERVER.len()], CONNECT_OF_SERVER, "{name}");
        let answer = [
            "Set Chunk Size",
            "User Control StreamBegin 1",
            "onStatus NetStream.Play.Reset",
            "onStatus NetStream.Play.Start",
        ];
        let end = server.len().saturating_sub(answer.len());
        assert_eq!(server[end..], answer, "{name}");
        wire.assert_order(&[
            ("client createStream", "server _result of createStream"),
            ("server _result of createStream", "client play"),
            ("client play", "server onStatus NetStream.Play.Start"),
        ]);
    }
}

/// A client that reads nothing and says all at once, windows and acknowledgements left out: everything is answered, in order, and no
/// picture is lost.
#[test]
fn rtmp_m5_everything_at_once_is_answered_and_early_media_is_taken() {
    let Some(segments) = segments("obs29_publish") else { return };
    let all: Vec<Bytes> = segments.into_iter().filter(|(side, _)| *side == Side::Client).map(|(_, b)| b).collect();
    let (mut wire, mut server) = (Wire::default(), ServerSession::new(ServerSettings::default(), 7, Time::ZERO));
    server.receive(wire.carry(Side::Client, all), Time::ZERO).expect("RTMP");
    let events = accept_all(&mut server).expect("a client that behaves");
    wire.carry(Side::Server, server.output());
    // The manifest's count of frames.
    let frames = events.iter().filter(|event| matches!(event, ServerEvent::Media { .. })).count();
    assert_eq!((frames, server.stats().ignored), (705 + 1101, 0));
    let answers = [
        "_result of releaseStream",
        "_result of FCPublish",
        "onFCPublish",
        "_result of createStream",
        "User Control StreamBegin 1",
        "onStatus NetStream.Publish.Start",
    ];
    let mut said = wire.of(Side::Server);
    said.retain(|text| text != "Acknowledgement");
    assert_eq!(said, [&CONNECT_OF_SERVER[..], &answers].concat());
}

/// Our client is given what node-media-server said to encoders that use the same transaction ids.
#[test]
fn rtmp_m5_our_client_is_complete_towards_recorded_servers() {
    for name in ["obs29_publish", "ffmpeg51_publish_h264_aac", "ffmpeg9_publish_hevc_aac"] {
        let Some(segments) = segments(name) else { return };
        let (mut wire, mut client) = (Wire::default(), client(client_settings(PUBLISH)));
        wire.carry(Side::Client, client.output());
        let mut publishing = 0;
        for (_, bytes) in segments.into_iter().filter(|(side, _)| *side == Side::Server) {
            client.receive(wire.carry(Side::Server, vec![bytes]), Time::ZERO).expect("RTMP");
            while let Some(event) = client.next_event().expect("a server that agrees") {
                publishing += usize::from(matches!(event, ClientEvent::Publishing { stream: 1 }));
            }
            wire.carry(Side::Client, client.output());
        }
        let said = PUBLISH_OF_CLIENT.map(str::to_owned).to_vec();
        assert_eq!((wire.of(Side::Client), publishing), (said, 1), "{name}");
        wire.assert_order(&[
            ("server Set Peer Bandwidth", "client Window Acknowledgement Size"),
            ("server _result of connect", "client createStream"),
            ("client publish", "server onStatus NetStream.Publish.Start"),
        ]);
    }
}
