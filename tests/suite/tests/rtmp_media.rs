//! What encoders publish beside the usual, through our server to files and HLS: one track alone, a late one, one that changes.

use std::sync::Arc;

use millstream_core::{Item, TimeDelta};
use millstream_flv::wire::{FileHeader, FlvReader, FlvWriter, Slices, Tag, TagKind};
use millstream_graph::load_launch;
use millstream_runtime::{LinkReport, Pipeline, Runtime};
use millstream_testkit::media::media_bytes;
use millstream_testkit::{MemFs, SimNet, fixture};
use millstream_tests::elements::{Collected, registry};
use millstream_tests::sim;

/// Longest simulated time of a test.
const PATIENCE: TimeDelta = TimeDelta::from_secs(600);

const RECEIVE: &str = "rtmpserversrc name=in listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true ! flvdemux name=d \
    d.video ! tee name=v d.audio ! tee name=a v. ! collect name=video a. ! collect name=audio v. ! h264parse ! h.video a. ! aacparse ! h.audio \
    hlssink name=h directory=hls playlist-type=vod segment-duration=2s";
const SEND: &str = "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
    flvmux name=m ! rtmpsink location=rtmp://10.0.0.1/live/cam";
/// Tags as they are.
const RELAY: &str = "filesrc location=clip.flv ! video/x-flv ! clocksync ! rtmpsink location=rtmp://10.0.0.1/live/cam";

struct World {
    runtime: Runtime,
    fs: MemFs,
    receiver: Pipeline,
    sender: Pipeline,
}

impl World {
    /// A publisher of this file, and a server that takes it in.
    fn new(clip: impl Into<Vec<u8>>, send: &str) -> Self {
        let fs = MemFs::new();
        fs.insert("clip.flv", clip);
        let runtime = Runtime::simulated(7, Arc::new(fs.clone())).expect("a runtime");
        let net = SimNet::new(runtime.env().clock.clone());
        let runtime = runtime.with_net(move |_| Arc::new(net));
        let start = |line: &str| {
            let graph = load_launch(line, &registry()).unwrap_or_else(|error| panic!("{error}")).graph;
            runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"))
        };
        let (receiver, sender) = (start(RECEIVE), start(send));
        Self { runtime, fs, receiver, sender }
    }

    fn pass(&self, time: TimeDelta) {
        let clock = &self.runtime.env().clock;
        self.runtime.block_on(async { clock.sleep_until(clock.now() + time).await });
    }

    /// Pictures and sounds that have come so far.
    fn so_far(&self) -> (u64, u64) {
        let links = self.receiver.links();
        let to = |name: &str| {
            let link: Option<&LinkReport> = links.iter().find(|link| link.to.starts_with(name));
            link.map_or(0, |link| link.buffers)
        };
        (to("video."), to("audio."))
    }

    /// Lets both end. What has come in all, and the seconds of the playlist.
    fn end(mut self) -> ((usize, usize), f64) {
        let collected = ["video", "audio"].map(|name| self.receiver.handle::<Collected>(name).expect("a collect"));
        for pipeline in [&mut self.sender, &mut self.receiver] {
            let clock = &self.runtime.env().clock;
            let ended = self.runtime.block_on(async {
                let alarm = clock.sleep_until(clock.now() + PATIENCE);
                sim::race(pipeline.wait(), alarm).await
            });
            ended.expect("it ends").unwrap_or_else(|error| panic!("{error}"));
        }
        let [video, audio] =
            collected.map(|collected| collected.take().iter().filter(|item| matches!(item, Item::Buffer(_))).count());
        let playlist = self.fs.get("hls/index.m3u8").expect("a playlist");
        let playlist = String::from_utf8(playlist).expect("text");
        let durations =
            playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse::<f64>().ok());
        ((video, audio), durations.sum::<f64>())
    }
}

fn tags(file: Vec<u8>) -> Vec<Tag> {
    let mut reader = FlvReader::new();
    reader.push(file.into());
    reader.finish();
    std::iter::from_fn(|| reader.next().expect("a whole file")).collect()
}

fn file(tags: impl IntoIterator<Item = Tag>) -> Vec<u8> {
    let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
    writer.file_header(FileHeader::new(true, true), &mut out);
    for tag in tags {
        writer.tag(tag.kind, tag.timestamp, &tag.body, &[], &mut out).expect("small");
    }
    out.take().concat()
}

fn clip() -> Vec<u8> {
    std::fs::read(fixture("h264b_aac48s_10s.flv")).expect("the fixture is there")
}

#[test]
fn rtmp_v1_one_track_alone_passes_without_a_stall() {
    for (kind, count) in [(TagKind::Video, (300, 0)), (TagKind::Audio, (0, 470))] {
        // As an encoder that has one track: its metadata says nothing of another.
        let alone = file(tags(clip()).into_iter().filter(|tag| tag.kind == kind));
        let world = World::new(alone, RELAY);
        world.pass(TimeDelta::from_secs(6));
        let (video, audio) = world.so_far();
        assert!(video + audio > 140, "{kind:?} goes on while the other is waited for: {video} and {audio}");
        let (came, seconds) = world.end();
        assert_eq!(came, count);
        assert!((seconds - 10.0).abs() < 0.1, "{seconds} s of HLS");
    }
}

#[test]
fn rtmp_v1_sound_that_begins_seconds_later_holds_nothing_up() {
    const LATE: u32 = 4000;
    let (mut before, mut sounds) = (Vec::new(), 0);
    // Sound, and with it the configuration, begins late; the metadata has promised it.
    let late = tags(clip()).into_iter().filter_map(|mut tag| {
        if tag.kind == TagKind::Audio && tag.timestamp < LATE {
            let is_config = tag.body.get(1) == Some(&0);
            tag.timestamp = LATE;
            return is_config.then_some(tag);
        }
        sounds += usize::from(tag.kind == TagKind::Audio);
        Some(tag)
    });
    before.extend(late);
    before.sort_by_key(|tag| tag.timestamp);
    let world = World::new(file(before), RELAY);
    world.pass(TimeDelta::from_millis(3700));
    assert!(world.so_far().0 > 90, "pictures go on: {:?}", world.so_far());
    let (came, seconds) = world.end();
    assert_eq!(came, (300, sounds));
    assert!((seconds - 10.0).abs() < 0.1, "{seconds} s of HLS");
}

#[test]
fn rtmp_v2_sequence_headers_that_change_within_a_publication_lose_nothing() {
    let Some(changing) = media_bytes("gen/flv_sps_change.flv") else { return };
    for send in [SEND, RELAY] {
        // 425 pictures and 687 sounds by the manifest (libavformat 62).
        let world = World::new(changing.clone(), send);
        let fs = world.fs.clone();
        let (came, seconds) = world.end();
        assert_eq!(came, (425, 687), "{send}");
        assert!((seconds - 15.05).abs() < 0.15, "{seconds} s of HLS");
        let playlist = String::from_utf8(fs.get("hls/index.m3u8").expect("a playlist")).expect("text");
        assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{playlist}");
    }
}

#[test]
fn rtmp_v2_sequence_headers_that_repeat_are_nothing_new() {
    let all = tags(clip());
    let config = all.iter().find(|tag| tag.kind == TagKind::Video).expect("a configuration").clone();
    let mut repeated = Vec::new();
    for (index, tag) in all.into_iter().enumerate() {
        if index > 0 && index.is_multiple_of(100) {
            let mut again = config.clone();
            again.timestamp = tag.timestamp;
            repeated.push(again);
        }
        repeated.push(tag);
    }
    let world = World::new(file(repeated), RELAY);
    let fs = world.fs.clone();
    assert_eq!(world.end().0, (300, 470));
    let playlist = String::from_utf8(fs.get("hls/index.m3u8").expect("a playlist")).expect("text");
    assert!(!playlist.contains("#EXT-X-DISCONTINUITY"), "{playlist}");
}
