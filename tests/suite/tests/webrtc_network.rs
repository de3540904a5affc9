//! WebRTC on a network that loses, delays, doubles and reorders, on the virtual clock: sessions of ours publish to `whipserversrc` and play from
//! `whepserversink`. No socket, no real time.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use millstream_codec::h264::NalType;
use millstream_codec::nal::annex_b;
use millstream_core::meter::Kind;
use millstream_core::{BufferBox, Env, Time, TimeDelta};
use millstream_testkit::Weather;
use millstream_testkit::http::Client;
use millstream_tests::world::{World, buffers, collected};
use millstream_webrtc::driver::Driver;
use millstream_webrtc::packet::Packetizer;
use millstream_webrtc::ports::Ports;
use millstream_webrtc::session::{Carries, Codec, Event, Format, Frame, Session, Setup, TrackId};

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);
const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 2], 5000);

/// 5 % lost, up to 50 ms later than others, 2 % twice: what WEB-2 names.
const STORM: Weather = Weather {
    delay: TimeDelta::from_millis(20),
    segment: usize::MAX,
    silent: false,
    jitter: TimeDelta::from_millis(50),
    loss: 50,
    duplicates: 20,
};

/// How far sound and pictures may be apart (ITU-R BT.1359-1: nobody sees less).
const APART: TimeDelta = TimeDelta::from_millis(45);

/// A picture or sound to send: its time and bytes.
type Sample = (Time, Bytes);

/// The slices of an access unit, which no parser changes.
fn slices(unit: &Bytes) -> Vec<u8> {
    let is_slice = |nal: &Bytes| NalType::of(nal).is_some_and(NalType::is_vcl);
    annex_b(unit).filter(is_slice).flatten().collect()
}

/// The pictures of the clip in the byte stream format, and packets of sound that say their number.
fn clip(world: &World) -> (Vec<(Sample, bool)>, Vec<Sample>) {
    let line =
        "filesrc location=clip.flv ! flvdemux ! h264parse ! video/x-h264,stream-format=byte-stream ! collect name=v";
    let mut pipeline = world.start(line);
    let video = collected(&mut pipeline, "v");
    world.end(pipeline);
    let zero = Time::ZERO;
    let pictures: Vec<BufferBox> = buffers(&video);
    // The clip has B-frames, which nobody here decodes: its pictures go in their order.
    let first = pictures[0].dts.expect("a time");
    let picture = |b: &BufferBox| ((zero + (b.dts.expect("a time") - first), b.payload.contiguous()), b.is_keyframe());
    // 20 ms of Opus each (RFC 6716, 3.1: CELT, 20 ms, one frame).
    let sound =
        |number: u32| (Time::from_millis(i64::from(number) * 20), [&[0xFC], &number.to_be_bytes()[..]].concat().into());
    (pictures.iter().map(picture).collect(), (0..500).map(sound).collect())
}

/// A publisher of ours on another machine.
struct Publisher {
    driver: Driver,
    env: Env,
    ways: Vec<(Kind, TrackId, Format, Packetizer)>,
}

fn elsewhere(world: &World, address: SocketAddr) -> Env {
    let env = world.runtime.env();
    env.clone().with_net(Arc::new(world.net.from(address.ip())), env.tasks.clone())
}

/// Posts an offer and gives the answer.
async fn post(world: &World, path: &str, offer: &str) -> String {
    let mut client = Client::connect(&world.net.from([10, 0, 0, 2]), SERVER.into()).await;
    let length = offer.len();
    client
        .send(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{offer}"))
        .await;
    let head = client.head().await;
    let body = client.body(&head).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(head.status(), 201, "{text}");
    text
}

/// A session of ours that is connected.
async fn connect(world: &World, path: &str, sends: bool) -> (Driver, Env, Vec<(Kind, TrackId)>) {
    let env = elsewhere(world, CLIENT.into());
    let ports = Ports::at(&env, CLIENT.into()).expect("a port");
    let carries = if sends { Carries::Packets } else { Carries::Frames };
    let codecs = vec![Codec::H264, Codec::Vp9, Codec::Opus];
    let setup = Setup { codecs, carries, addresses: ports.addresses(), ..Setup::default() };
    let mut session = Session::new(&setup, env.clock.now());
    let tracks = [(Kind::Video, sends, !sends), (Kind::Audio, sends, !sends)];
    let offer = session.offer(&tracks).expect("an offer");
    let answer = post(world, path, &offer).await;
    session.accept(&answer).expect("an answer");
    let ids = session.tracks().into_iter().map(|track| (track.kind, track.id)).collect();
    let line = ports.line(&session.ufrag());
    let mut driver = Driver::new(session, line, env.clone());
    loop {
        match driver.next().await {
            Event::Connected => break,
            Event::Closed => panic!("no connection"),
            _ => {}
        }
    }
    (driver, env, ids)
}

impl Publisher {
    async fn new(world: &World) -> Self {
        let (mut driver, env, ids) = connect(world, "/whip/live/cam", true).await;
        let way = |(kind, id): (Kind, TrackId)| {
            let format =
                *driver.with(|session| session.formats(id)).iter().find(|format| format.splits).expect("a format");
            (kind, id, format, Packetizer::new(format.codec))
        };
        let ways = ids.into_iter().map(way).collect();
        Self { driver, env, ways }
    }

    async fn wait(&mut self, until: Time) {
        let sleep = self.env.clock.sleep_until(until);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                biased;
                event = self.driver.next() => assert!(!matches!(event, Event::Closed), "it stays"),
                () = &mut sleep => return,
            }
        }
    }

    /// Sends everything in time; `at` is told how far it is.
    async fn publish(&mut self, clip: &(Vec<(Sample, bool)>, Vec<Sample>), mut at: impl FnMut(Time)) {
        let begun = self.env.clock.now();
        let video = clip.0.iter().map(|((time, data), key)| (*time, Kind::Video, data, *key));
        let audio = clip.1.iter().map(|(time, data)| (*time, Kind::Audio, data, true));
        let mut all: Vec<_> = video.chain(audio).collect();
        all.sort_by_key(|(time, ..)| *time);
        for (time, kind, data, key) in all {
            let due = begun + (time - Time::ZERO);
            self.wait(due).await;
            at(time);
            let Some((_, id, format, packetizer)) = self.ways.iter_mut().find(|way| way.0 == kind) else { continue };
            let packets = packetizer.packets(data, key);
            let ticks = time.ticks(format.codec.rate()) as u32;
            self.driver.now(|session| session.send(*id, format, &packets, ticks, due));
        }
        self.wait(self.env.clock.now() + TimeDelta::from_secs(1)).await;
    }
}

/// What has come of a clip: which pictures and sounds, and when they are to be shown beside when they were.
struct Arrived {
    pictures: Vec<(usize, TimeDelta)>,
    sounds: Vec<(usize, TimeDelta)>,
}

fn arrived(clip: &(Vec<(Sample, bool)>, Vec<Sample>), video: &[BufferBox], audio: &[BufferBox]) -> Arrived {
    let known: Vec<Vec<u8>> = clip.0.iter().map(|((_, data), _)| slices(data)).collect();
    let picture = |buffer: &BufferBox| {
        let came = slices(&buffer.payload.contiguous());
        let index = known.iter().position(|one| *one == came).expect("a picture is as it was sent, or not there");
        (index, buffer.pts.expect("a time") - clip.0[index].0.0)
    };
    let sound = |buffer: &BufferBox| {
        let data = buffer.payload.contiguous();
        let index = u32::from_be_bytes(data[1..5].try_into().expect("a number")) as usize;
        (index, buffer.pts.expect("a time") - clip.1[index].0)
    };
    Arrived { pictures: video.iter().map(picture).collect(), sounds: audio.iter().map(sound).collect() }
}

fn middle(mut all: Vec<TimeDelta>) -> TimeDelta {
    all.sort_unstable();
    all[all.len() / 2]
}

/// Publishes the clip in this weather while `at` interferes.
fn publish_in(weather: Weather, at: impl Fn(&World, Time)) -> Arrived {
    let world = World::new(Weather::default());
    let clip = clip(&world);
    let mut pipeline = world.start(
        "whipserversrc name=w listen=10.0.0.1:8080 stream=cam eos-on-unpublish=true grace=1s \
         w.video ! collect name=v  w.audio ! collect name=a",
    );
    let [video, audio] = ["v", "a"].map(|name| collected(&mut pipeline, name));
    world.runtime.block_on(async {
        let mut publisher = Publisher::new(&world).await;
        world.net.set_weather(weather);
        publisher.publish(&clip, |time| at(&world, time)).await;
        world.net.set_weather(Weather::default());
    });
    world.end(pipeline);
    arrived(&clip, &buffers(&video), &buffers(&audio))
}

fn assert_in_sync(arrived: &Arrived) {
    // The first second shows where it begins; the reports say it better.
    let late = |all: &[(usize, TimeDelta)], from: usize| {
        middle(all.iter().filter(|one| one.0 > from).map(|one| one.1).collect())
    };
    let apart = late(&arrived.pictures, 90) - late(&arrived.sounds, 150);
    assert!(apart < APART && -apart < APART, "sound and pictures are {apart} apart");
    for all in [&arrived.pictures, &arrived.sounds] {
        let back: Vec<_> = all.windows(2).filter(|two| two[0].0 >= two[1].0).map(|two| (two[0].0, two[1].0)).collect();
        assert!(back.is_empty(), "in order, and nothing twice: {back:?} of {}", all.len());
    }
}

#[test]
fn web_2_what_gets_lost_is_sent_again_and_sound_stays_with_pictures() {
    let arrived = publish_in(STORM, |_, _| {});
    // What is lost of the first picture nobody knows of; a publisher with an encoder makes another one then, this one goes on to its next.
    let came = |index: &usize| arrived.pictures.iter().any(|picture| picture.0 == *index);
    let missing: Vec<usize> = (30..298).filter(|index| !came(index)).collect();
    assert!(missing.is_empty(), "of 300 pictures these are missing: {missing:?}");
    let sounds = arrived.sounds.len();
    assert!(sounds >= 450, "{sounds} of 500 packets of sound");
    assert_in_sync(&arrived);
}

#[test]
fn web_2_whip_7_after_an_outage_of_3_s_it_goes_on() {
    let arrived = publish_in(Weather { loss: 0, ..STORM }, |world, time| {
        if time == Time::from_millis(3000) {
            world.net.set_weather(Weather { silent: true, ..STORM });
        } else if time == Time::from_millis(6000) {
            world.net.set_weather(Weather { loss: 0, ..STORM });
        }
    });
    let after = arrived.pictures.iter().filter(|picture| picture.0 >= 225).count();
    assert!(after >= 70, "{after} of the 75 pictures from 7.5 s on");
    assert!(arrived.pictures.iter().filter(|picture| picture.0 < 85).count() >= 80);
    assert_in_sync(&arrived);
}

#[test]
fn web_3_a_publisher_that_changes_its_address_stays() {
    let arrived = publish_in(Weather { delay: TimeDelta::from_millis(20), ..Weather::default() }, |world, time| {
        if time == Time::from_millis(4000) {
            world.net.move_datagrams(CLIENT.into(), ([10, 0, 0, 3], 6000).into());
        }
    });
    let after = arrived.pictures.iter().filter(|picture| picture.0 >= 240).count();
    assert!(after >= 55, "{after} of the 60 pictures from 8 s on");
}

/// A viewer of ours in this weather: how many pictures of the clip it gets, and how many of them follow on each other.
fn view_in(weather: Weather, silent: Option<(i64, i64)>) -> (usize, usize) {
    let world = World::new(Weather::default());
    world
        .fs
        .insert("plain.flv", std::fs::read(millstream_testkit::fixture("video_only_h264.flv")).expect("the fixture"));
    let pipeline = world.start(
        "filesrc location=plain.flv loop=true ! flvdemux ! h264parse ! clocksync ! w.video  \
         whepserversink name=w listen=10.0.0.1:8080 stream=cam",
    );
    world.pass(TimeDelta::from_secs(1));
    let frames = world.runtime.block_on(async {
        let (mut driver, env, _) = connect(&world, "/whep/live/cam", false).await;
        world.net.set_weather(weather);
        let begun = env.clock.now();
        let end = env.clock.sleep_until(begun + TimeDelta::from_secs(10));
        tokio::pin!(end);
        let mut frames = Vec::new();
        loop {
            let passed = (env.clock.now() - begun).millis();
            let is_silent = silent.is_some_and(|(from, to)| (from..to).contains(&passed));
            world.net.set_weather(Weather { silent: is_silent, ..weather });
            let tick = env.clock.sleep_until(env.clock.now() + TimeDelta::from_millis(20));
            tokio::select! {
                biased;
                event = driver.next() => match event {
                    Event::Frame(frame) => frames.push((passed, frame.is_key, frame.is_contiguous)),
                    Event::Closed => panic!("it is lost"),
                    _ => {}
                },
                () = &mut end => break,
                () = tick => {}
            }
        }
        world.net.set_weather(Weather::default());
        frames
    });
    drop(pipeline);
    let after = frames.iter().filter(|(passed, ..)| *passed > 8000).count();
    (frames.iter().filter(|frame| frame.2).count(), after)
}

#[test]
fn web_2_whep_2_a_viewer_gets_again_what_was_lost() {
    let (whole, _) = view_in(STORM, None);
    // 25 a second for 10 s, and those of the group that had begun; without what is sent again 250 are whole.
    assert!(whole >= 270, "{whole} of 275 pictures");
}

#[test]
fn web_2_whep_2_a_viewer_is_there_again_after_3_s() {
    let (_, after) = view_in(Weather { loss: 0, ..STORM }, Some((3000, 6000)));
    assert!(after >= 45, "{after} of the 50 pictures of the last 2 s");
}

/// What the machine's clock says, as far as minutes go.
fn time_of_day() -> TimeDelta {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").into()
}

#[test]
fn web_2_whep_1_a_viewer_is_told_when_sound_and_pictures_were_by_one_clock_with_the_time_of_day() {
    let world = World::new(Weather::default());
    let clip = std::fs::read(millstream_testkit::fixture("evp9_opus.flv")).expect("the fixture");
    world.fs.insert("sound.flv", clip);
    let pipeline = world.start(
        "filesrc location=sound.flv loop=true ! flvdemux name=d  d.video ! clocksync ! w.video  \
         d.audio ! opusparse ! clocksync ! w.audio  whepserversink name=w listen=10.0.0.1:8080 stream=cam",
    );
    // The first session comes long after the process began.
    world.pass(TimeDelta::from_secs(1000));
    let seen = world.runtime.block_on(async {
        let (mut driver, env, _) = connect(&world, "/whep/live/cam", false).await;
        let end = env.clock.sleep_until(env.clock.now() + TimeDelta::from_secs(4));
        tokio::pin!(end);
        let mut seen = Vec::new();
        loop {
            tokio::select! {
                biased;
                event = driver.next() => if let Event::Frame(frame) = event { seen.push(frame) },
                () = &mut end => break,
            }
        }
        seen
    });
    drop(pipeline);
    // The first picture says itself when it was captured, which no sender report has told by then; later ones agree.
    let pictures: Vec<_> = seen.iter().filter(|frame| frame.codec.kind() == Kind::Video).collect();
    let zero = |frame: &Frame| {
        let report = frame.report.expect("when it was captured, or a sender report");
        report.wall - TimeDelta::from_ticks(report.ticks, frame.codec.rate())
    };
    let moved = zero(pictures[0]) - zero(pictures[pictures.len() - 1]);
    assert!(moved < TimeDelta::from_millis(5) && -moved < TimeDelta::from_millis(5), "the timeline moves by {moved}");
    // The sink writes what is 0 on the timeline as tick 0 of both.
    let begin = |kind: Kind| {
        let of = seen.iter().rev().find(|frame| frame.codec.kind() == kind && frame.report.is_some());
        let report = of.and_then(|frame| frame.report.map(|report| (report, frame.codec))).expect("a sender report");
        report.0.wall - TimeDelta::from_ticks(report.0.ticks, report.1.rate())
    };
    let (pictures, sound) = (begin(Kind::Video), begin(Kind::Audio));
    let apart = pictures - sound;
    assert!(apart < APART && -apart < APART, "sound and pictures are {apart} apart");
    let latest = seen.iter().filter_map(|frame| frame.report).map(|report| report.wall).max().expect("a sender report");
    let off = latest - time_of_day();
    assert!(off < TimeDelta::from_secs(300) && -off < TimeDelta::from_secs(300), "the time of day is {off} off");
}
