//! Recordings that are played: by a client of ours on a virtual clock and a simulated network, and by foreign players.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use millstream_core::net::NetStream;
use millstream_core::{Env, Time, TimeDelta};
use millstream_flv::wire::{FlvReader, Tag, TagKind};
use millstream_graph::load_launch;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::command::{Play, Play2, PlayStart, Publish, PublishType};
use millstream_rtmp::message::{DataFrame, UserControl};
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::{Media, MediaKind};
use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::{MemFs, SimNet, fixture};
use millstream_tests::peers::Frames;
use millstream_tests::program::run;
use millstream_tests::rtmp::send_tag;
use millstream_tests::{elements, peers, sim};

/// The server's machine.
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 1935);

/// Ten seconds of 30 pictures, as its provenance says; ffprobe finds a key frame on each second.
const CLIP: &str = "h264b_aac48s_10s.flv";

struct World {
    runtime: Runtime,
    fs: MemFs,
    server: Option<Pipeline>,
}

/// A server with `live/clip.flv`, and a live stream `live/cam` that nobody publishes yet.
fn world(vod: &str) -> World {
    world_with("", vod)
}

fn world_with(record: &str, vod: &str) -> World {
    let fs = MemFs::new();
    fs.insert("rec/live/clip.flv", std::fs::read(fixture(CLIP)).expect("the fixture is there"));
    fs.insert("rec/live/cam.flv", std::fs::read(fixture(CLIP)).expect("the fixture is there"));
    fs.insert("secret.flv", std::fs::read(fixture(CLIP)).expect("the fixture is there"));
    let runtime = Runtime::simulated(7, Arc::new(fs.clone()))
        .expect("a runtime")
        .with_net(|env| Arc::new(SimNet::new(env.clock.clone())));
    let line = format!(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam {record} ! rtmpserversink listen=10.0.0.1:1935 stream=idle {vod}"
    );
    let graph = load_launch(&line, &elements::registry()).unwrap_or_else(|error| panic!("{error}")).graph;
    let server = runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"));
    let world = World { runtime, fs, server: Some(server) };
    let clock = world.runtime.env().clock.clone();
    world.runtime.block_on(async { clock.sleep_until(Time::from_millis(1)).await });
    world
}

/// A client that notes what it is told: words for what is said, and the timestamps of pictures.
struct Viewer {
    stream: Box<dyn NetStream>,
    session: ClientSession,
    env: Env,
    /// Since the last look.
    said: Vec<String>,
    /// Timestamps of pictures, and whether each is a key frame.
    pictures: Vec<(u32, bool)>,
}

impl Viewer {
    /// Connected, with message stream 1.
    async fn connect(env: &Env, buffer: TimeDelta) -> Self {
        let url = RtmpUrl::parse("rtmp://10.0.0.1/live/unused").expect("a URL");
        let session = ClientSession::new(ClientSettings::new(url, Purpose::Connect), 1, env.clock.now());
        let stream = env.net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens");
        let mut viewer = Self { stream, session, env: env.clone(), said: Vec::new(), pictures: Vec::new() };
        while !viewer.said.iter().any(|word| word == "Connected") {
            viewer.hear().await;
        }
        viewer.session.create_stream();
        while !viewer.said.iter().any(|word| word == "StreamCreated") {
            viewer.hear().await;
        }
        viewer.session.set_buffer_length(1, buffer);
        viewer.said.clear();
        viewer
    }

    /// Something that the server says, or the end.
    async fn hear(&mut self) -> bool {
        for bytes in self.session.output() {
            self.stream.write_all(&bytes).await.expect("it is not broken");
        }
        let mut input = BytesMut::with_capacity(1 << 16);
        if self.stream.read(&mut input).await.expect("it is not broken") == 0 {
            self.said.push("closed".into());
            return false;
        }
        self.session.receive(input.freeze(), self.env.clock.now()).expect("chunks");
        while let Some(event) = self.session.next_event().transpose() {
            match event {
                Ok(event) => self.note(event),
                Err(error) => self.said.push(error.to_string()),
            }
        }
        true
    }

    fn note(&mut self, event: ClientEvent) {
        let word = match event {
            ClientEvent::Media { media, .. } => {
                // Frame type 1 is a key frame (FLV 10.1, E.4.3.1); 0 behind it is a sequence header.
                match (media.kind, media.payload.first(), media.payload.get(1)) {
                    (MediaKind::Video, Some(first), Some(1)) => self.pictures.push((media.timestamp, first >> 4 == 1)),
                    (MediaKind::Video, _, Some(0)) => self.said.push(format!("config {}", media.timestamp)),
                    _ => {}
                }
                return;
            }
            ClientEvent::Status { status, .. } => status.code,
            ClientEvent::UserControl(UserControl::StreamBegin(0)) => return,
            ClientEvent::UserControl(event) => format!("{event:?}"),
            ClientEvent::Data { data: DataFrame::Pass(data), .. } => data.name.clone(),
            ClientEvent::Connected(_) => "Connected".into(),
            ClientEvent::StreamCreated { .. } => "StreamCreated".into(),
            ClientEvent::Publishing { .. } => "Publishing".into(),
            ClientEvent::Playing { .. } => "NetStream.Play.Start".into(),
            ClientEvent::Answer(answer) => format!("{:?}", answer.value()),
            _ => return,
        };
        self.said.push(word);
    }

    /// Listens for some milliseconds; what was said, and what was seen.
    async fn listen(&mut self, millis: i64) -> (Vec<String>, Vec<(u32, bool)>) {
        let until = self.env.clock.now() + TimeDelta::from_millis(millis);
        let env = self.env.clone();
        while let Some(true) = sim::race(self.hear(), env.clock.sleep_until(until)).await {}
        (std::mem::take(&mut self.said), std::mem::take(&mut self.pictures))
    }

    fn play(&mut self, name: &str, start: PlayStart, duration: Option<f64>, reset: bool) {
        self.session.play(1, Play { start, duration, reset, ..Play::new(name) });
    }
}

const SECOND: TimeDelta = TimeDelta::from_secs(1);

/// Statuses by their last words.
fn short(said: &[String]) -> Vec<&str> {
    said.iter().map(|word| word.strip_prefix("NetStream.").unwrap_or(word)).collect()
}

#[test]
fn rtmp_m5_conversation_of_a_recording_paced_as_the_client_buffers() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, TimeDelta::from_secs(2)).await;
        viewer.play("clip", PlayStart::LiveOrRecorded, None, true);
        let (said, pictures) = viewer.listen(1000).await;
        let expected = ["StreamIsRecorded(1)", "StreamBegin(1)", "Play.Reset", "Play.Start", "onMetaData", "config 0"];
        assert_eq!(short(&said), expected);
        // Three seconds after the first: one that has passed, and two that it keeps ahead.
        assert!((90..=92).contains(&pictures.len()), "{}", pictures.len());
        let (said, more) = viewer.listen(4_000).await;
        assert!(said.is_empty() && (119..=121).contains(&more.len()), "{said:?} {}", more.len());
        let (said, rest) = viewer.listen(10_000).await;
        assert_eq!(pictures.len() + more.len() + rest.len(), 300);
        assert_eq!(short(&said), ["onPlayStatus", "StreamEof(1)", "Play.Stop"]);
        // It may still seek, and is closed when it does nothing.
        viewer.session.seek(1, 9000.0);
        let (said, pictures) = viewer.listen(10_000).await;
        assert_eq!(short(&said)[..2], ["Seek.Notify", "onMetaData"]);
        assert_eq!((pictures.first(), pictures.len()), (Some(&(9000, true)), 30));
        assert_eq!(short(&viewer.listen(31_000).await.0), ["closed"]);
    });
}

#[test]
fn rtmp_m6_a_recording_is_sought_and_paused_in() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.play("clip.flv", PlayStart::Recorded(0.0), None, true);
        viewer.listen(1000).await;
        viewer.session.seek(1, 7500.0);
        let (said, pictures) = viewer.listen(10).await;
        assert_eq!(short(&said), ["Seek.Notify", "onMetaData", "config 7000"]);
        let first = pictures.iter().find(|(time, _)| *time > 2100);
        assert_eq!(first, Some(&(7000, true)), "at the key frame before");
        viewer.session.pause(1, true, 7500.0);
        let (said, pictures) = viewer.listen(20_000).await;
        assert_eq!((short(&said), pictures.len()), (vec!["Pause.Notify"], 0));
        viewer.session.pause(1, false, 7500.0);
        let (said, pictures) = viewer.listen(10).await;
        assert_eq!(short(&said), ["Unpause.Notify"]);
        assert!((7501..7540).contains(&pictures[0].0), "behind 7500: {pictures:?}");
        assert_eq!(pictures.last(), Some(&(8500, false)));
        viewer.session.seek(1, 60_000.0);
        assert_eq!(short(&viewer.listen(10).await.0), ["Seek.Failed"]);
        let (said, pictures) = viewer.listen(5_000).await;
        assert_eq!((short(&said).last(), pictures.last()), (Some(&"Play.Stop"), Some(&(9967, false))));
    });
}

#[test]
fn rtmp_m6_start_duration_and_playlists() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.play("clip", PlayStart::Recorded(5000.0), Some(1000.0), true);
        viewer.play("cam", PlayStart::Recorded(2000.0), Some(0.0), false);
        viewer.play("nothing", PlayStart::Recorded(0.0), None, false);
        let (said, pictures) = viewer.listen(5_000).await;
        assert_eq!(short(&said)[2..5], ["Play.Reset", "Play.Start", "onMetaData"]);
        // The session of a client that plays says nothing of a second Play.Start.
        let rest = ["onPlayStatus", "StreamIsRecorded(1)", "StreamBegin(1)", "onMetaData"];
        let at = said.iter().position(|word| word == "onPlayStatus").expect("an end");
        assert_eq!(short(&said)[at..at + 4], rest, "no reset");
        assert!(short(&said).ends_with(&["onPlayStatus", "Play.StreamNotFound"]), "{said:?}");
        // Thirty pictures from the start on, and one more behind them on the same timeline.
        assert_eq!(pictures.len(), 31);
        assert_eq!((pictures[0], pictures[29].0), ((0, true), 967));
        assert!(pictures[30].1 && (968..1200).contains(&pictures[30].0), "{:?}", pictures[30]);
    });
}

#[test]
fn rtmp_m6_live_has_precedence_and_what_is_neither_is_waited_for() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let listen = |name: &'static str, start| {
            let env = env.clone();
            async move {
                let mut viewer = Viewer::connect(&env, SECOND).await;
                viewer.play(name, start, None, true);
                viewer.listen(1000).await.0
            }
        };
        // `idle` is handed out, though nothing has come of it.
        assert_eq!(
            short(&listen("idle", PlayStart::LiveOrRecorded).await),
            ["StreamBegin(1)", "Play.Reset", "Play.Start"]
        );
        assert!(short(&listen("cam", PlayStart::LiveOrRecorded).await).contains(&"StreamIsRecorded(1)"));
        assert!(listen("cam", PlayStart::Live).await.is_empty());
        assert!(listen("other", PlayStart::LiveOrRecorded).await.is_empty());
        assert_eq!(
            listen("other", PlayStart::Recorded(0.0)).await,
            ["refused by the server: NetStream.Play.StreamNotFound"]
        );
    });
    // Where no recordings are played, everything is live.
    let plain = self::world("");
    let env = plain.runtime.env().clone();
    plain.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.play("clip", PlayStart::Recorded(0.0), None, true);
        assert!(viewer.listen(1000).await.0.is_empty());
    });
}

#[test]
fn rtmp_m5_path_tricks_find_no_stream() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        for name in [
            "../../secret",
            "../../secret.flv",
            "a/../../../secret",
            "..\\..\\secret",
            "clip\0",
            "flv:../../secret",
            "./clip",
        ] {
            for start in [PlayStart::Recorded(0.0), PlayStart::LiveOrRecorded] {
                let mut viewer = Viewer::connect(&env, SECOND).await;
                viewer.play(name, start, None, true);
                assert_eq!(
                    viewer.listen(1000).await.0,
                    ["refused by the server: NetStream.Play.StreamNotFound"],
                    "{name:?}"
                );
            }
        }
    });
}

#[test]
fn rtmp_m3_length_of_a_recording_is_in_seconds() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        for (name, expected) in [("clip", 9.9..10.2), ("live-or-nothing", 0.0..0.1)] {
            let mut viewer = Viewer::connect(&env, SECOND).await;
            viewer.session.call("getStreamLength", millstream_amf::Value::Null, vec![name.into()]);
            let said = viewer.listen(1000).await.0;
            let number = said[0].trim_start_matches("Number(").trim_end_matches(')').parse().expect("a number");
            assert!(expected.contains(&number), "{name}: {said:?}");
        }
    });
}

#[test]
fn rtmp_m6_play2_goes_over_to_another_recording_without_a_gap() {
    let world = world("vod=rec");
    let env = world.runtime.env().clone();
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.play("clip", PlayStart::Recorded(0.0), None, true);
        let mut pictures = viewer.listen(2400).await.1;
        let switch =
            |name: &str| Box::new(Play2 { name: name.into(), transition: "switch".into(), ..Play2::default() });
        viewer.session.play2(1, *switch("nothing"));
        viewer.session.play2(1, *switch("cam"));
        let (said, more) = viewer.listen(3000).await;
        // Two are told of, the one that failed and the other; then that it is done.
        assert_eq!(short(&said)[..2], ["Play.Failed", "Play.Transition"]);
        assert_eq!(short(&said)[2..4], ["onPlayStatus", "onMetaData"]);
        pictures.extend(more);
        // And back again.
        viewer.session.play2(1, *switch("clip"));
        pictures.extend(viewer.listen(20_000).await.1);
        let times: Vec<u32> = pictures.iter().map(|(time, _)| *time).collect();
        assert!(times.is_sorted() && times.len() == 300, "{} pictures", times.len());
    });
}

/// Rates of a programme: one with sound from the clip, and one of pictures only.
const RATES: [&str; 2] = [
    "filesrc location=rec/live/clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
     flvmux name=m ! rtmpserversink listen=10.0.0.1:1935 stream=low",
    "filesrc location=other.flv ! flvdemux name=d d.video ! clocksync ! m.video flvmux name=m ! \
     rtmpserversink listen=10.0.0.1:1935 stream=high",
];

#[test]
fn rtmp_m6_play2_goes_over_to_another_live_stream_on_one_timeline() {
    let world = world("");
    world.fs.insert("other.flv", std::fs::read(fixture("video_only_h264.flv")).expect("the fixture is there"));
    let env = world.runtime.env().clone();
    let start = |line: &str| {
        let graph = load_launch(line, &elements::registry()).unwrap_or_else(|error| panic!("{error}")).graph;
        world.runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"))
    };
    let _low = start(RATES[0]);
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.play("low", PlayStart::Live, None, true);
        let mut pictures = viewer.listen(2500).await.1;
        // It begins later: its timestamps are far behind.
        let _high = start(RATES[1]);
        viewer.listen(10).await;
        let play2 = |name: &str, transition: &str| Play2 {
            name: name.into(),
            transition: transition.into(),
            ..Play2::default()
        };
        viewer.session.play2(1, play2("nobody", "switch"));
        viewer.session.play2(1, play2("high", "sideways"));
        viewer.session.play2(1, play2("high", "switch"));
        let (said, more) = viewer.listen(3000).await;
        assert_eq!(short(&said)[..4], ["Play.Failed", "Play.Failed", "Play.Transition", "onPlayStatus"], "{said:?}");
        let seam = said.iter().find(|word| word.starts_with("config")).expect("headers of the other");
        let seam: u32 = seam.trim_start_matches("config ").parse().expect("a time");
        pictures.extend(more);
        let at = pictures.iter().position(|(time, _)| *time == seam).expect("a frame with the headers");
        assert!(pictures[at].1, "a key frame");
        let times: Vec<u32> = pictures.iter().map(|(time, _)| *time).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 200), "{times:?}");
        assert!(seam > 2400 && times.len() - at > 20, "{} behind {seam}", times.len() - at);
    });
}

/// The tags of the clip.
fn clip_tags() -> Vec<Tag> {
    let mut reader = FlvReader::new();
    reader.push(std::fs::read(fixture(CLIP)).expect("the fixture is there").into());
    reader.finish();
    std::iter::from_fn(|| reader.next().expect("FLV")).collect()
}

impl Viewer {
    /// Publishes tags on stream 1 and ends; what it is told.
    async fn publish(&mut self, kind: PublishType, tags: &[Tag]) -> Vec<String> {
        self.session.publish(1, Publish { name: "cam?key=secret".into(), kind, ..Publish::default() });
        let mut said = self.listen(100).await.0;
        tags.iter().for_each(|tag| send_tag(&mut self.session, 1, tag));
        said.extend(self.listen(1000).await.0);
        self.session.close_stream(1);
        said.extend(self.listen(1000).await.0);
        said
    }
}

/// Hashes and times of the pictures of a file in memory, as ffmpeg reads it.
fn pictures(bytes: &[u8]) -> Frames {
    let file = tempfile::Builder::new().suffix(".flv").tempfile().expect("a file");
    std::fs::write(file.path(), bytes).expect("room");
    let ([video, _], warnings) = peers::coded(file.path(), "h264", "");
    assert!(warnings.is_empty(), "{warnings:?}");
    video
}

#[test]
fn rtmp_m7_record_and_append_write_files_that_are_played() {
    let world = world_with("record=rec", "vod=rec");
    let (env, tags) = (world.runtime.env().clone(), clip_tags());
    let published =
        |kind| world.runtime.block_on(async { Viewer::connect(&env, SECOND).await.publish(kind, &tags).await });
    let said = published(PublishType::Record);
    assert_eq!(short(&said), ["StreamBegin(1)", "Publishing", "Record.Start", "Record.Stop"]);
    let original = pictures(&std::fs::read(fixture(CLIP)).expect("the fixture is there"));
    let first = pictures(&world.fs.get("rec/live/cam.flv").expect("the recording"));
    assert_eq!(first.hashes, original.hashes);
    assert!(world.fs.paths().iter().all(|path| !path.to_string_lossy().contains("part")), "{:?}", world.fs.paths());
    published(PublishType::Append);
    let both = pictures(&world.fs.get("rec/live/cam.flv").expect("the recording"));
    assert_eq!(both.hashes, [&original.hashes[..], &original.hashes].concat());
    assert!(both.seconds[300] > both.seconds[299], "{:?}", &both.seconds[298..302]);
    // It is played, and has an index to seek by.
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.play("cam", PlayStart::LiveOrRecorded, None, true);
        viewer.listen(100).await;
        viewer.session.seek(1, 15_000.0);
        let (said, pictures) = viewer.listen(10_000).await;
        assert!(short(&said).contains(&"Seek.Notify") && short(&said).contains(&"Play.Stop"), "{said:?}");
        let sought = pictures.iter().position(|(time, _)| *time > 10_000).expect("pictures behind the seek");
        assert!(pictures[sought].1 && (14_000..=15_000).contains(&pictures[sought].0), "{:?}", pictures[sought]);
    });
    // A live publication leaves the recording alone; recording anew replaces it.
    published(PublishType::Live);
    assert_eq!(pictures(&world.fs.get("rec/live/cam.flv").expect("the recording")).hashes.len(), 600);
    published(PublishType::Record);
    assert_eq!(pictures(&world.fs.get("rec/live/cam.flv").expect("the recording")).hashes.len(), 300);
}

#[test]
fn rtmp_m7_without_a_directory_record_is_live_and_a_disk_that_fails_stops_the_recording_only() {
    let world = world("vod=rec");
    let (env, tags) = (world.runtime.env().clone(), clip_tags());
    let before = world.fs.get("rec/live/cam.flv");
    let said =
        world.runtime.block_on(async { Viewer::connect(&env, SECOND).await.publish(PublishType::Record, &tags).await });
    assert_eq!(short(&said), ["StreamBegin(1)", "Publishing"]);
    assert_eq!(world.fs.get("rec/live/cam.flv"), before);
    let world = world_with("record=rec", "vod=rec");
    let env = world.runtime.env().clone();
    world.fs.full_after(300_000);
    let said =
        world.runtime.block_on(async { Viewer::connect(&env, SECOND).await.publish(PublishType::Record, &tags).await });
    assert_eq!(short(&said), ["StreamBegin(1)", "Publishing", "Record.Start", "Record.Failed"]);
    assert_eq!(world.fs.get("rec/live/cam.flv"), before, "half of a recording does not take its place");
}

#[test]
fn rtmp_m7_a_recording_is_whole_when_the_pipeline_stops_under_it() {
    let mut world = world_with("record=rec", "");
    let (env, tags) = (world.runtime.env().clone(), clip_tags());
    world.runtime.block_on(async {
        let mut viewer = Viewer::connect(&env, SECOND).await;
        viewer.session.publish(1, Publish { name: "cam".into(), kind: PublishType::Record, ..Publish::default() });
        viewer.listen(100).await;
        for tag in tags.iter().filter(|tag| tag.kind == TagKind::Video && tag.timestamp < 2000) {
            let media = Media { kind: MediaKind::Video, timestamp: tag.timestamp, payload: tag.body.clone() };
            viewer.session.send_media(1, &media);
        }
        viewer.listen(100).await;
    });
    let mut server = world.server.take().expect("a server");
    server.stopper().stop();
    let alarm = env.clock.sleep_until(env.clock.now() + TimeDelta::from_secs(60));
    world.runtime.block_on(sim::race(server.wait(), alarm)).expect("it stops").expect("well");
    drop(server);
    assert_eq!(pictures(&world.fs.get("rec/live/cam.flv").expect("the recording")).hashes.len(), 60);
}

/// A server for foreign players, on the real network and real files.
struct Real {
    runtime: Runtime,
    _server: Pipeline,
    port: u16,
    dir: tempfile::TempDir,
}

impl Real {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let recordings = dir.path().join("rec");
        std::fs::create_dir_all(recordings.join("live")).expect("a folder");
        std::fs::copy(fixture(CLIP), recordings.join("live/clip.flv")).expect("the fixture is there");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let line = format!(
            "rtmpserversrc listen=127.0.0.1:{port} stream=idle ! rtmpserversink listen=127.0.0.1:{port} stream=idle vod={}",
            recordings.display()
        );
        let graph = load_launch(&line, &elements::registry()).unwrap_or_else(|error| panic!("{error}")).graph;
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"));
        millstream_tests::until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { runtime, _server: server, port, dir }
    }

    /// Hashes of the pictures that a player got; `URL` and `OUT` stand in the command.
    fn played(&self, command: &str) -> Vec<String> {
        let out = self.dir.path().join("out.flv");
        let url = format!("rtmp://127.0.0.1:{}/live", self.port);
        let command = command.replace("URL", &url).replace("OUT", &out.display().to_string());
        let (program, arguments) = command.split_once(' ').expect("a command");
        let said = run(&peers::need(program), arguments.split(' '));
        // rtmpdump says 2 for a recording whose last frame is shorter than its metadata.
        assert!(said.ok || program == "rtmpdump", "{command}: {}", said.stderr);
        let [video, _] = peers::coded(&out, "h264", "aac").0;
        video.hashes
    }
}

fn clip() -> Vec<String> {
    let [video, _] = peers::coded(Path::new(&fixture(CLIP)), "h264", "aac").0;
    video.hashes
}

#[test]
fn rtmp_m15_foreign_players_play_seek_and_resume_recordings() {
    let (server, clip) = (Real::new(), clip());
    for (player, expected) in [
        ("ffmpeg -v error -y -i URL/clip -c copy OUT", 0..300),
        ("ffmpeg9 -v error -y -i URL/clip -c copy OUT", 0..300),
        ("ffmpeg -v error -y -rtmp_live recorded -ss 8.5 -i URL/clip -c copy OUT", 240..300),
        ("ffmpeg9 -v error -y -ss 8.5 -i URL/clip -c copy OUT", 240..300),
        ("rtmpdump -q -r URL/clip -o OUT", 0..300),
        ("rtmpdump -q -r URL/clip --start 3 --stop 6 -o OUT", 90..180),
        ("gst-launch-1.0 -q rtmp2src location=URL/clip ! filesink location=OUT", 0..300),
    ] {
        let played = server.played(player);
        assert!(played == clip[expected.clone()], "{player}: {} of {expected:?}", played.len());
    }
    // The first three seconds, and then the rest of it.
    let out = server.dir.path().join("out.flv");
    let half = server.played("rtmpdump -q -r URL/clip --stop 3 -o OUT");
    assert_eq!(half, clip[..90]);
    assert!(out.exists());
    assert_eq!(server.played("rtmpdump -q -e -r URL/clip -o OUT"), clip, "resumed");
}

#[test]
#[cfg(unix)]
fn rtmp_m5_links_that_lead_out_of_the_directory_find_no_stream() {
    let server = Real::new();
    let recordings = server.dir.path().join("rec/live");
    std::fs::copy(fixture(CLIP), server.dir.path().join("secret.flv")).expect("a copy");
    std::os::unix::fs::symlink("../../secret.flv", recordings.join("out.flv")).expect("a link");
    std::os::unix::fs::symlink("clip.flv", recordings.join("in.flv")).expect("a link");
    std::fs::create_dir(recordings.join("dir.flv")).expect("a folder");
    let read = |name: &str| {
        let path = server.dir.path().join("rec");
        let settings = ClientSettings::new(
            RtmpUrl::parse(&format!("rtmp://127.0.0.1:{}/live/{name}", server.port)).expect("a URL"),
            Purpose::Play { start: PlayStart::Recorded(0.0), duration: None },
        );
        let env = server.runtime.env().clone();
        assert!(path.exists());
        server.runtime.block_on(async {
            let mut stream = env.net.connect_host("127.0.0.1", server.port).await.expect("somebody listens");
            let mut session = ClientSession::new(settings, 1, env.clock.now());
            loop {
                match session.next_event() {
                    Ok(Some(ClientEvent::Media { .. })) => return "played".to_owned(),
                    Ok(Some(_)) => continue,
                    Ok(None) => {}
                    Err(error) => return error.to_string(),
                }
                for bytes in session.output() {
                    stream.write_all(&bytes).await.expect("it is not broken");
                }
                let mut input = BytesMut::with_capacity(1 << 16);
                assert!(stream.read(&mut input).await.expect("it is not broken") > 0);
                session.receive(input.freeze(), env.clock.now()).expect("chunks");
            }
        })
    };
    assert_eq!(read("in"), "played");
    for name in ["out", "dir"] {
        assert_eq!(read(name), "refused by the server: NetStream.Play.StreamNotFound", "{name}");
    }
}
