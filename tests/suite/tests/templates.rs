//! A pipeline for each published stream: templates on a virtual clock and a simulated network.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_core::net::NetStream;
use millstream_core::{
    BuildCx, Element, Env, Error, Factory, Flow, Fs, Item, Output, PadId, PadTemplate, Registry, TimeDelta, Transform,
};
use millstream_graph::params::ParamSources;
use millstream_graph::source::SourceText;
use millstream_graph::{Template, load_launch, load_yaml};
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::command::{Publish, code};
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::{Media, MediaKind, SessionError};
use millstream_runtime::{InstanceEvent, InstanceEvents, Instances, Pipeline, Runtime};
use millstream_testkit::{MemFs, SimNet};
use millstream_tests::elements::registry;
use millstream_tests::sim;
use schemars::JsonSchema;
use serde::Deserialize;

/// The server's machine.
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 1935);

/// Simulated time within which anything here happens.
const PATIENCE: TimeDelta = TimeDelta::from_secs(120);

/// Each stream into a file of its own.
const RECORD: &str = "
name: rec
elements:
  in: { element: rtmpserversrc, listen: '10.0.0.1:1935', stream: '*', grace: 2s, max-streams: 300 }
  out: { element: filesink, location: 'rec/${app}/${stream}.flv' }
links: [in ! out]
";

struct World {
    runtime: Runtime,
    fs: MemFs,
}

/// A running template, and what happens to it.
struct Served {
    instances: Instances,
    events: InstanceEvents,
}

impl World {
    fn new() -> Self {
        let fs = MemFs::new();
        let runtime = Runtime::simulated(7, Arc::new(fs.clone())).expect("a runtime");
        for directory in ["rec/live", "rec/other", "rec/third", "rec/blue", "rec/green", "rec/red and blue"] {
            fs.create_dir_all(directory.as_ref()).expect("a directory");
        }
        Self { runtime: runtime.with_net(|env| Arc::new(SimNet::new(env.clock.clone()))), fs }
    }

    fn serve(&self, text: &str) -> Served {
        self.try_serve(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_serve(&self, text: &str) -> Result<Served, Error> {
        let mut instances = self.runtime.serve(&template(text))?;
        let events = instances.events().expect("nobody took them");
        Ok(Served { instances, events })
    }

    fn start(&self, line: &str) -> Pipeline {
        let graph = load_launch(line, &registry()).unwrap_or_else(|error| panic!("{error}")).graph;
        self.runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"))
    }

    fn pass(&self, time: TimeDelta) {
        let clock = &self.runtime.env().clock;
        self.runtime.block_on(async { clock.sleep_until(clock.now() + time).await });
    }

    /// Publishes; the status of a server that refuses.
    fn publish(&self, app: &str, name: &str) -> Result<Publisher, (String, String)> {
        let env = self.runtime.env().clone();
        let alarm = env.clock.sleep_until(env.clock.now() + PATIENCE);
        self.runtime.block_on(sim::race(Publisher::connect(&env, app, name), alarm)).expect("an answer")
    }

    fn send(&self, publisher: &mut Publisher, bodies: &[Bytes]) {
        self.runtime.block_on(publisher.send(bodies));
        self.pass(TimeDelta::from_millis(50));
    }

    /// Stops it, and waits until it has ended.
    fn stop(&self, served: &mut Served) {
        served.instances.stop();
        let clock = &self.runtime.env().clock;
        let ended = self.runtime.block_on(async {
            let alarm = clock.sleep_until(clock.now() + TimeDelta::from_secs(40));
            sim::race(served.instances.wait(), alarm).await
        });
        ended.expect("within the limits of a pipeline").expect("no error");
    }

    /// Bodies of the tags in a recording, without sequence of times.
    fn recorded(&self, path: &str) -> Vec<Bytes> {
        let file = self.fs.get(path).unwrap_or_else(|| panic!("{path} is not among {:?}", self.fs.paths()));
        // FLV 10.1, E.2 and E.3: a header of 9 bytes, and ahead of each tag the size of the one before it.
        let (mut at, mut bodies) = (13, Vec::new());
        while let Some(header) = file.get(at..at + 11) {
            let size = usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
            bodies.push(Bytes::copy_from_slice(&file[at + 11..at + 11 + size]));
            at += 11 + size + 4;
        }
        assert_eq!(at, file.len(), "{path} ends with a whole tag");
        bodies
    }
}

impl Served {
    fn names(&self) -> Vec<String> {
        self.instances.list().into_iter().map(|one| one.name.to_string()).collect()
    }

    /// What happened: `+name` was started, `-name` ended, `!name: why` failed.
    fn happened(&mut self) -> Vec<String> {
        let mut list = Vec::new();
        while let Some(event) = self.events.try_next() {
            match event {
                InstanceEvent::Started { instance } => list.push(format!("+{instance}")),
                InstanceEvent::Ended { instance, error: None, .. } => list.push(format!("-{instance}")),
                InstanceEvent::Ended { instance, error: Some(error), .. } => list.push(format!("!{instance}: {error}")),
                InstanceEvent::Message { .. } => {}
            }
        }
        list
    }
}

fn template(text: &str) -> Template {
    let mut registry = registry();
    add_mine(&mut registry);
    let loaded = load_yaml(SourceText::new("t.yaml", text), &registry, &ParamSources::default());
    loaded.unwrap_or_else(|error| panic!("{error}")).template.expect("a template")
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MineSettings {
    /// What it does at its third buffer, or before.
    does: String,
}

/// An element that blows up.
fn add_mine(registry: &mut Registry) {
    let build = |settings: MineSettings, _: &BuildCx| match settings.does.as_str() {
        "panic-when-built" => panic!("built"),
        "fail-when-built" => Err(Error::settings("it cannot be built")),
        _ => Ok(Element::Transform(Box::new(Mine { does: settings.does, seen: 0 }))),
    };
    let mine = Factory::new("mine", "Test/Filter", "Blows up", build)
        .checked(|settings: &MineSettings| match settings.does.as_str() {
            "refused" => Err(Error::settings("no such thing").on_property("does")),
            _ => Ok(()),
        })
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough();
    registry.add(mine);
}

struct Mine {
    does: String,
    seen: u32,
}

impl Transform for Mine {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> millstream_core::Result<Flow> {
        self.seen += u32::from(matches!(item, Item::Buffer(_)));
        match self.does.as_str() {
            "panic" if self.seen == 3 => panic!("the third"),
            "fail" if self.seen == 3 => return Err(Error::malformed("the third")),
            _ => out.forward(item),
        }
        Ok(Flow::Done)
    }
}

/// A publisher by hand.
struct Publisher {
    stream: Box<dyn NetStream>,
    session: ClientSession,
    env: Env,
    id: u32,
    time: u32,
}

impl Publisher {
    async fn connect(env: &Env, app: &str, name: &str) -> Result<Self, (String, String)> {
        let url = RtmpUrl::parse(&format!("rtmp://10.0.0.1/{app}/x")).expect("a URL");
        let stream = env.net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens");
        let session = ClientSession::new(ClientSettings::new(url, Purpose::Connect), 1, env.clock.now());
        let mut own = Self { stream, session, env: env.clone(), id: 0, time: 0 };
        loop {
            match own.next().await {
                Ok(Some(ClientEvent::Connected(_))) => own.session.create_stream(),
                Ok(Some(ClientEvent::StreamCreated { stream })) => {
                    own.id = stream;
                    own.session.publish(stream, Publish { name: name.into(), ..Publish::default() });
                }
                Ok(Some(ClientEvent::Publishing { .. })) => return Ok(own),
                Ok(Some(_)) => {}
                Err(SessionError::Refused(status)) => return Err((status.code, status.description)),
                Ok(None) => return Err(("closed".into(), String::new())),
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn next(&mut self) -> Result<Option<ClientEvent>, SessionError> {
        loop {
            if let Some(event) = self.session.next_event()? {
                return Ok(Some(event));
            }
            self.flush().await;
            let mut input = BytesMut::with_capacity(1 << 12);
            if self.stream.read(&mut input).await.expect("it is not broken") == 0 {
                return Ok(None);
            }
            self.session.receive(input.freeze(), self.env.clock.now())?;
        }
    }

    async fn flush(&mut self) {
        for bytes in self.session.output() {
            // A server that ended the stream may have closed.
            let _ = self.stream.write_all(&bytes).await;
        }
    }

    async fn send(&mut self, bodies: &[Bytes]) {
        for body in bodies {
            self.time += 40;
            let media = Media { kind: MediaKind::Video, timestamp: self.time, payload: body.clone() };
            self.session.send_media(self.id, &media);
        }
        self.flush().await;
    }
}

/// Key frames of AVC (FLV 10.1, E.4.3.1) that tell whose they are.
fn bodies(whose: &str, count: u32) -> Vec<Bytes> {
    let body = |n: u32| [&[0x17, 1, 0, 0, 0][..], format!("{whose} {n}").as_bytes(), &[7; 900]].concat().into();
    (0..count).map(body).collect()
}

#[test]
fn two_hundred_streams_at_once_are_each_byte_equal() {
    let world = World::new();
    let mut served = world.serve(RECORD);
    let mut publishers: Vec<_> =
        (0..200).map(|n| (format!("cam{n}"), world.publish("live", &format!("cam{n}")).expect("taken in"))).collect();
    assert_eq!(served.instances.list().len(), 200);
    // In turns, so that all are under way together.
    for part in 0..5 {
        for (name, publisher) in &mut publishers {
            world.runtime.block_on(publisher.send(&bodies(name, 50)[part * 10..part * 10 + 10]));
        }
        world.pass(TimeDelta::from_millis(400));
    }
    drop(publishers);
    world.pass(TimeDelta::from_secs(3));
    assert_eq!(served.names(), [""; 0], "all are gone with their publishers");
    for n in 0..200 {
        let name = format!("cam{n}");
        assert_eq!(world.recorded(&format!("rec/live/{name}.flv")), bodies(&name, 50), "{name}");
    }
    let happened = served.happened();
    assert_eq!(happened.iter().filter(|event| event.starts_with('+')).count(), 200);
    assert_eq!(happened.iter().filter(|event| event.starts_with('-')).count(), 200);
}

#[test]
fn media_that_come_before_the_instance_runs_are_not_lost() {
    let world = World::new();
    let _served = world.serve(RECORD);
    // More than the intake holds, in one write behind the answer.
    let mut publisher = world.publish("live", "cam").expect("taken in");
    world.send(&mut publisher, &bodies("cam", 500));
    drop(publisher);
    world.pass(TimeDelta::from_secs(3));
    assert_eq!(world.recorded("rec/live/cam.flv"), bodies("cam", 500));
}

#[test]
fn an_instance_that_fails_or_panics_ends_alone() {
    let world = World::new();
    let mut served = world.serve(
        "
name: rec
elements:
  in: { element: rtmpserversrc, listen: '10.0.0.1:1935', stream: '*', grace: 2s }
  mine: { element: mine, does: '${stream}' }
  out: { element: filesink, location: 'rec/${stream}.flv' }
links: [in ! mine ! out]
",
    );
    let mut good = world.publish("live", "good").expect("taken in");
    world.send(&mut good, &bodies("good", 10)[..5]);
    for bad in ["panic", "fail", "panic-when-built", "fail-when-built"] {
        let mut publisher = world.publish("live", bad).expect("taken in");
        world.send(&mut publisher, &bodies(bad, 10));
        assert_eq!(served.names(), ["rec/live/good"], "{bad}");
        // The publisher hears of it: what it sends has nowhere to go.
        let ended = world.runtime.block_on(async {
            loop {
                match publisher.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return true,
                }
            }
        });
        assert!(ended, "{bad}");
    }
    world.send(&mut good, &bodies("good", 10)[5..]);
    // A name whose instance failed is free.
    assert!(world.publish("live", "fail").is_ok());
    drop(good);
    world.pass(TimeDelta::from_secs(3));
    assert_eq!(world.recorded("rec/good.flv"), bodies("good", 10));
    let happened = served.happened();
    for (name, why) in [
        ("panic", "panic"),
        ("fail", "the third"),
        ("panic-when-built", "panicked"),
        ("fail-when-built", "cannot be built"),
    ] {
        let failed = happened.iter().filter(|event| event.starts_with(&format!("!rec/live/{name}: ")));
        assert!(failed.clone().count() == 1 && failed.clone().all(|event| event.contains(why)), "{name}: {happened:?}");
    }
    assert!(happened.contains(&"-rec/live/good".to_owned()));
    assert!(world.fs.get("rec/panic.flv").is_none(), "half of a stream does not look like a whole one");
}

#[test]
fn a_publisher_that_returns_within_the_grace_time_continues_its_instance() {
    let world = World::new();
    let mut served = world.serve(RECORD);
    let mut first = world.publish("live", "cam").expect("taken in");
    world.send(&mut first, &bodies("one", 20));
    drop(first);
    world.pass(TimeDelta::from_millis(1500));
    let mut second = world.publish("live", "cam").expect("taken in");
    world.send(&mut second, &bodies("two", 20));
    drop(second);
    assert_eq!(served.happened(), ["+rec/live/cam"]);
    world.pass(TimeDelta::from_millis(1900));
    assert_eq!(served.names(), ["rec/live/cam"]);
    world.pass(TimeDelta::from_millis(200));
    assert_eq!((served.names(), served.happened()), (vec![], vec!["-rec/live/cam".to_owned()]));
    assert_eq!(world.recorded("rec/live/cam.flv"), [bodies("one", 20), bodies("two", 20)].concat());
    // Now it is a stream of its own.
    let mut third = world.publish("live", "cam").expect("taken in");
    world.send(&mut third, &bodies("three", 20));
    drop(third);
    world.pass(TimeDelta::from_secs(3));
    assert_eq!(served.happened(), ["+rec/live/cam", "-rec/live/cam"]);
    assert_eq!(world.recorded("rec/live/cam.flv"), bodies("three", 20));
}

#[test]
fn a_publisher_that_comes_while_an_instance_of_its_name_ends_waits_for_that_and_loses_nothing() {
    let world = World::new();
    let mut served = world.serve(&RECORD.replace("grace: 2s", "grace: 0s").replace(
        "links: [in ! out]",
        // Buffers that are late keep the instance for a while after its source has ended.
        "  late: { element: tardy, time: 100ms }\nlinks: [in ! queue ! late ! out]",
    ));
    let mut wanted = Vec::new();
    for turn in 0..2 {
        wanted = bodies(&format!("turn {turn}"), 20);
        let mut publisher = world.publish("live", "cam").expect("taken in");
        world.send(&mut publisher, &wanted);
        drop(publisher);
        world.pass(TimeDelta::from_millis(1));
    }
    world.pass(TimeDelta::from_secs(60));
    let turns = ["+rec/live/cam", "-rec/live/cam"].repeat(2);
    assert_eq!(served.happened(), turns, "one after the other");
    assert_eq!(world.recorded("rec/live/cam.flv"), wanted);
}

#[test]
fn more_streams_than_the_limit_are_refused_and_told_so() {
    let world = World::new();
    let served = world.serve(&RECORD.replace("max-streams: 300", "max-streams: 2"));
    let first = world.publish("live", "a").expect("taken in");
    let _second = world.publish("live", "b").expect("taken in");
    let (code, why) = world.publish("live", "c").err().expect("refused");
    assert_eq!(code, code::PUBLISH_DENIED);
    assert!(why.contains("as many streams as it takes"), "{why}");
    assert_eq!(served.names(), ["rec/live/a", "rec/live/b"]);
    let (code, _) = world.publish("live", "b").err().expect("it has a publisher");
    assert_eq!(code, code::PUBLISH_BAD_NAME);
    drop(first);
    world.pass(TimeDelta::from_secs(1));
    assert!(world.publish("live", "c").is_err(), "`a` may come back within the grace time");
    world.pass(TimeDelta::from_secs(2));
    assert!(world.publish("live", "c").is_ok());
}

#[test]
fn sec_path_tricks_in_app_and_stream_are_refused_and_leave_no_file() {
    let world = World::new();
    let text = RECORD.replace("stream: '*'", "app: '*', stream: '*'");
    let served = world.serve(&text);
    let long = "x".repeat(129);
    let names = [
        ".",
        "..",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a/../../b",
        "a/./b",
        "..\\..\\x",
        "a\\b",
        "C:\\x",
        "-",
        ".hidden",
        "x\0",
        "x\0/../y",
        "a\nb",
        "a\u{1b}[2J",
        "%2e%2e%2fx",
        "..%2f..%2fx",
        "%2fetc%2fpasswd",
        "a//b",
        &long,
    ];
    for name in names {
        let (code, why) = world.publish("live", name).err().unwrap_or_else(|| panic!("{name:?} was taken in"));
        assert_eq!(code, code::PUBLISH_BAD_NAME, "{name:?}: {why}");
        assert!(why.contains("cannot have this name"), "{name:?}: {why}");
    }
    for app in ["..", ".hidden", "a\\..", "live/..", "../live", "a/b", "-"] {
        let (code, why) = world.publish(app, "cam").err().unwrap_or_else(|| panic!("{app:?} was taken in"));
        assert!(code == code::PUBLISH_BAD_NAME && why.contains("cannot have this name"), "{app:?}: {code} {why}");
    }
    assert_eq!((served.names(), world.fs.paths()), (vec![], vec![]), "nothing was started, nothing written");
    // What is only odd stays below its directory.
    for name in ["a..b", "a b", "mp4:cam", "Küche", "~root", "$HOME", "${app}", "a;b", "'", "\""] {
        let mut publisher = world.publish("live", name).unwrap_or_else(|why| panic!("{name:?}: {why:?}"));
        world.send(&mut publisher, &bodies(name, 3));
        drop(publisher);
        world.pass(TimeDelta::from_secs(3));
        assert_eq!(world.recorded(&format!("rec/live/{name}.flv")), bodies(name, 3), "{name:?}");
    }
}

#[test]
fn sec_names_stay_below_the_directory_of_hls() {
    let world = World::new();
    let served = world.serve(
        "
elements:
  in: { element: rtmpserversrc, listen: '10.0.0.1:1935', app: '*', stream: '*', grace: 0s }
  demux: flvdemux
  hls: { element: hlssink, directory: 'hls/${app}/${stream}' }
links: [in ! demux, demux.video ! h264parse ! hls.video]
",
    );
    for (app, name) in [("..", "x"), ("live", ".."), ("live", "../../x"), ("live", "x/../../../y"), ("live", "\\..\\x")]
    {
        assert!(world.publish(app, name).is_err(), "{app} {name}");
    }
    assert!(world.fs.paths().is_empty() && served.names().is_empty());
    assert!(world.publish("other", "cam").is_ok());
    assert_eq!(served.names(), ["t/other/cam"], "without a name the file's is taken");
}

#[test]
fn query_parameters_are_variables_and_cannot_lead_out_of_a_directory_either() {
    let world = World::new();
    let served = world.serve(&RECORD.replace("rec/${app}/${stream}.flv", "rec/${query.room}/${stream}.flv"));
    let refused = |name: &str, app: &str, part: &str| {
        let (code, why) = world.publish(app, name).err().unwrap_or_else(|| panic!("{name} was taken in"));
        assert!(code == code::PUBLISH_DENIED && why.contains(part), "{name}: {code} {why}");
        assert!(!why.contains("s3cret"), "{why}");
    };
    refused("cam", "live", "needs a query parameter");
    refused("cam?rooms=s3cret", "live", "needs a query parameter");
    for value in ["../s3cret", "..%2Fs3cret", "..", "", "%00s3cret", "a%5Cs3cret", "%ff"] {
        refused(&format!("cam?room={value}"), "live", "has a value that the server cannot use");
    }
    for (app, name, path) in [
        ("live", "cam?k=1&room=blue", "rec/blue/cam.flv"),
        ("live?room=green", "cam2", "rec/green/cam2.flv"),
        ("live?room=green", "cam3?room=red%20and+blue", "rec/red and blue/cam3.flv"),
    ] {
        let mut publisher = world.publish(app, name).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        world.send(&mut publisher, &bodies(name, 3));
        assert!(served.names().iter().all(|name| !name.contains('?') && !name.contains("room")));
        drop(publisher);
        world.pass(TimeDelta::from_secs(3));
        assert_eq!(world.recorded(path), bodies(name, 3));
    }
}

#[test]
fn keys_open_the_streams_of_a_template_and_wrong_ones_start_nothing() {
    let world = World::new();
    let served = world.serve(&RECORD.replace("grace: 2s", "grace: 2s, keys: { cam: k3y, other: '0ther' }"));
    for name in ["cam", "cam?key=wrong", "cam?key=0ther", "third?key=k3y", "..?key=k3y"] {
        let (_, why) = world.publish("live", name).err().unwrap_or_else(|| panic!("{name} was taken in"));
        assert!(!why.contains("k3y"), "{why}");
        assert!(served.names().is_empty(), "{name}");
    }
    let first = world.publish("live", "cam?key=k3y").expect("taken in");
    drop(first);
    world.pass(TimeDelta::from_secs(1));
    assert!(world.publish("live", "cam").is_err(), "who returns needs the key too");
    assert!(world.publish("live", "cam?key=k3y").is_ok());
    assert_eq!(served.names(), ["rec/live/cam"]);
}

#[test]
fn values_that_an_element_refuses_are_refused_at_publish() {
    let world = World::new();
    let served = world.serve(
        &RECORD.replace("links: [in ! out]", "  mine: { element: mine, does: '${stream}' }\nlinks: [in ! mine ! out]"),
    );
    let (code, why) = world.publish("live", "refused").err().expect("refused");
    assert!(code == code::PUBLISH_BAD_NAME && why.contains("cannot use this name"), "{code} {why}");
    assert!(served.names().is_empty());
    assert!(world.publish("live", "cam").is_ok());
}

#[test]
fn a_stream_taken_in_by_name_comes_before_templates_and_a_named_application_before_any() {
    let world = World::new();
    let _named = world.start("rtmpserversrc listen=10.0.0.1:1935 app=live stream=cam ! filesink location=named.flv");
    let any = world.serve(&RECORD.replace("stream: '*'", "app: '*', stream: '*'").replace("name: rec", "name: any"));
    let live = world.serve(&RECORD.replace("name: rec", "name: live"));
    let other =
        world.serve(&RECORD.replace("stream: '*'", "app: other, stream: '*'").replace("name: rec", "name: other"));
    world.pass(TimeDelta::from_millis(1));
    let again = world.try_serve(RECORD).err().expect("one template an application");
    assert!(again.to_string().contains("another template takes in the streams of `live`"), "{again}");
    let _publishers: Vec<_> = [("live", "cam"), ("live", "x"), ("other", "cam"), ("third", "cam")]
        .map(|(app, name)| world.publish(app, name).unwrap_or_else(|why| panic!("{app} {name}: {why:?}")))
        .into();
    world.pass(TimeDelta::from_millis(50));
    assert_eq!(live.names(), ["live/live/x"], "`cam` is taken in by name");
    assert_eq!(other.names(), ["other/other/cam"]);
    assert_eq!(any.names(), ["any/third/cam"]);
    let all: Vec<_> = world.runtime.instances().into_iter().map(|one| one.name.to_string()).collect();
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn a_stop_ends_all_instances_in_order_and_lets_nobody_in() {
    let world = World::new();
    let mut served = world.serve(RECORD);
    let mut publishers: Vec<_> =
        ["a", "b", "c"].into_iter().map(|n| (n, world.publish("live", n).expect("taken in"))).collect();
    for (name, publisher) in &mut publishers {
        world.send(publisher, &bodies(name, 20));
    }
    assert!(world.fs.get("rec/live/a.flv").is_none(), "not whole yet");
    world.stop(&mut served);
    for (name, _) in &publishers {
        assert_eq!(world.recorded(&format!("rec/live/{name}.flv")), bodies(name, 20));
    }
    let happened = served.happened();
    assert_eq!(happened.iter().filter(|event| event.starts_with('-')).count(), 3, "{happened:?}");
    assert!(world.runtime.instances().is_empty());
    // The name is free for another template.
    drop(publishers);
    world.pass(TimeDelta::from_secs(3));
    assert!(world.try_serve(RECORD).is_ok());
}
