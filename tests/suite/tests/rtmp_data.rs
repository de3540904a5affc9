//! Data beside sound and pictures: texts, cue points and captions pass from a publisher to players of every kind.

use millstream_amf::Value;
use millstream_core::{BufferBox, TimeDelta};
use millstream_flv::wire::{FlvReader, Tag, TagKind, write_script};
use millstream_rtmp::command::PublishType;
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::rtmp::Client;
use millstream_tests::world::{World, buffers, collected};

const RELAY: &str = "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! tee name=t \
    t. ! rtmpserversink listen=10.0.0.1:1935 stream=cam t. ! httpflvsink listen=10.0.0.1:8080 path=/live/cam.flv";

/// Players, one a protocol. What they have is read back by the reader of FLV.
const PLAYERS: [&str; 2] = [
    "rtmpsrc location=rtmp://10.0.0.1/live/cam ! collect name=all",
    "httpflvsrc location=http://10.0.0.1:8080/live/cam.flv ! collect name=all",
];

fn script(name: &str, values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    write_script(name, values, &mut body);
    body
}

/// The handlers that Flash's players have, with values as encoders send them.
fn data() -> [Vec<u8>; 4] {
    let text = Value::object([("text", "Grüße".into()), ("language", "deu".into()), ("trackid", Value::from(2.0))]);
    let parameters = Value::object([("id", Value::from("ad-7"))]);
    let cue = Value::object([
        ("name", "break".into()),
        ("time", 1.25.into()),
        ("type", "event".into()),
        ("parameters", parameters),
    ]);
    let caption = [Value::from("708"), "/AM0AAAA".into()];
    [
        script("onTextData", &[text]),
        script("onCuePoint", &[Value::ecma_array([("name", Value::from("start"))])]),
        script("onCuePoint", &[cue]),
        script("onCaptionInfo", &caption),
    ]
}

fn tags(buffers: &[BufferBox]) -> Vec<Tag> {
    let mut reader = FlvReader::new();
    for slice in buffers.iter().flat_map(|buffer| buffer.payload.slices()) {
        reader.push(slice.clone());
    }
    std::iter::from_fn(|| reader.next().expect("FLV")).collect()
}

fn media(kind: MediaKind, timestamp: u32, bytes: &'static [u8]) -> Media {
    Media { kind, timestamp, payload: bytes.into() }
}

/// A stream of which every second has a key frame, sound, and one piece of data a quarter later.
async fn publish(world: &World) {
    let env = world.runtime.env();
    let mut client = Client::connect(env, "rtmp://10.0.0.1/live/cam", Purpose::Publish(PublishType::Live)).await;
    while !matches!(client.next().await, Ok(Some(ClientEvent::Publishing { .. }))) {}
    let head = script("onMetaData", &[Value::object([("width", Value::from(320.0))])]);
    client.session.send_metadata(1, 0, &head);
    client.session.send_media(1, &media(MediaKind::Video, 0, b"\x17\x00\0\0\0\x01\x42\x00\x1e"));
    client.session.send_media(1, &media(MediaKind::Audio, 0, b"\xaf\x00\x12\x10"));
    for (at, body) in (0..).map(|second| second * 1000).zip(data()) {
        client.session.send_media(1, &media(MediaKind::Video, at, b"\x17\x01\0\0\0\0\0\0\x01\x65"));
        client.session.send_media(1, &media(MediaKind::Audio, at, b"\xaf\x01\x21\x10"));
        client.session.send_data(1, at + 250, body.into());
        client.send().await;
        env.clock.sleep_until(env.clock.now() + TimeDelta::from_secs(1)).await;
    }
}

#[test]
fn rtmp_m11_text_cue_points_and_captions_pass_to_players_of_rtmp_and_http_flv() {
    let world = World::new(Weather { segment: 100, ..Weather::default() });
    let relay = world.start(RELAY);
    world.pass(TimeDelta::from_millis(1));
    let mut players: Vec<Pipeline> = PLAYERS.iter().map(|line| world.start(line)).collect();
    let all: Vec<_> = players.iter_mut().map(|player| collected(player, "all")).collect();
    world.pass(TimeDelta::from_millis(100));
    world.runtime.block_on(publish(&world));
    world.end(relay);
    players.into_iter().for_each(|player| world.end(player));
    for (line, collected) in PLAYERS.iter().zip(all) {
        let tags = tags(&buffers(&collected));
        let scripts: Vec<&Tag> = tags.iter().filter(|tag| tag.kind == TagKind::Script).collect();
        let (head, rest) = scripts.split_first().expect("metadata");
        assert!(head.body.starts_with(b"\x02\0\x0aonMetaData"), "{line}");
        let bodies: Vec<&[u8]> = rest.iter().map(|tag| &tag.body[..]).collect();
        assert_eq!(bodies, data(), "{line}: the very bytes, once each, in their order");
        // Each a quarter of a second behind the key frame ahead of it.
        let keys = tags.iter().filter(|tag| tag.kind == TagKind::Video && tag.body.get(1) == Some(&1));
        let times: Vec<_> = keys.map(|tag| tag.timestamp + 250).collect();
        assert_eq!(rest.iter().map(|tag| tag.timestamp).collect::<Vec<_>>(), times, "{line}");
    }
}
