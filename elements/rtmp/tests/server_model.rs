//! Clients that say anything in any order: what begins ends once, and every answer belongs to a question.

mod common;

use std::collections::BTreeMap;

use common::{Served, invoke, media};
use millstream_amf::Value;
use millstream_rtmp::command::{Command, Invoke};
use millstream_rtmp::message::MessageType;
use millstream_rtmp::session::server::{ServerEvent, ServerSettings};
use proptest::prelude::*;

const NAMES: [&str; 20] = [
    "connect",
    "createStream",
    "releaseStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "getStreamLength",
    "_checkbw",
    "publish",
    "play",
    "play2",
    "pause",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "deleteStream",
    "closeStream",
    "onStatus",
    "_result",
    "anything",
];

fn argument() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..5_i32).prop_map(|number| f64::from(number).into()),
        prop::sample::select(vec!["cam", "other", "live", ""]).prop_map(Value::from),
        Just(Value::object([("streamName", Value::from("cam"))])),
    ]
}

/// A command or media, and the message stream that it goes on.
fn step() -> impl Strategy<Value = (u32, Option<Invoke>)> {
    let arguments = prop::collection::vec(argument(), 0..4);
    let command = (prop::sample::select(NAMES.to_vec()), 0..5_u32, arguments);
    let command =
        command.prop_map(|(name, transaction, arguments)| Some(invoke(name, f64::from(transaction), arguments)));
    (0..5_u32, prop_oneof![4 => command, 1 => Just(None)])
}

/// What each message stream is used for, by the events alone.
#[derive(Default)]
struct Model(BTreeMap<u32, &'static str>);

impl Model {
    fn follow(&mut self, event: &ServerEvent) {
        match event {
            ServerEvent::Publish { stream, .. } => {
                assert_eq!(self.0.insert(*stream, "publish"), None, "begins twice");
            }
            ServerEvent::Play { stream, play } => {
                let before = self.0.insert(*stream, "play");
                assert!(before.is_none() || (before == Some("play") && !play.reset), "begins twice");
            }
            ServerEvent::Unpublish { stream } => assert_eq!(self.0.remove(stream), Some("publish")),
            ServerEvent::Stop { stream } => assert_eq!(self.0.remove(stream), Some("play")),
            ServerEvent::Media { stream, .. } | ServerEvent::Data { stream, .. } => {
                assert_eq!(self.0.get(stream), Some(&"publish"), "media of nobody");
            }
            ServerEvent::Pause { stream, .. }
            | ServerEvent::Seek { stream, .. }
            | ServerEvent::Receive { stream, .. } => {
                assert_eq!(self.0.get(stream), Some(&"play"), "a player's command without a player");
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn rtmp_m7_what_begins_ends_once_whatever_a_client_says(steps in prop::collection::vec(step(), 1..60)) {
        let mut served = Served::connected(ServerSettings { streams: 4, ..ServerSettings::default() });
        served.sent();
        let mut model = Model::default();
        for (stream, step) in &steps {
            let events = match step {
                Some(invoke) => served.command(*stream, invoke),
                None => served.send(&media(MessageType::Audio, *stream, 0, &[1])),
            };
            events.iter().for_each(|event| model.follow(event));
            // createStream is answered in any case, as without the id it would be for nothing.
            let wants = |invoke: &Invoke| invoke.transaction != 0.0 || invoke.name == "createStream";
            let asked = step.as_ref().filter(|invoke| wants(invoke)).map(|invoke| invoke.transaction);
            for message in served.sent() {
                let Ok(invoke) = Invoke::parse(message.kind, &message.payload) else { continue };
                if let Command::Response(response) = Command::from_invoke(invoke) {
                    prop_assert_eq!(asked, Some(response.transaction), "an answer to nothing");
                }
            }
        }
        served.server.disconnected();
        while let Ok(Some(event)) = served.server.next_event() {
            model.follow(&event);
        }
        prop_assert!(model.0.is_empty(), "left open: {:?}", model.0);
    }
}
