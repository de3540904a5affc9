//! HLS over our own HTTP listener with foreign programs: what is published plays in each of them, all frames and byte for byte.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use millstream_core::{Buffer, MessageKind, TimeDelta};
use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::{elements, peers, sim};

/// How long anything here may take that takes seconds, for a busy machine.
const PATIENCE: TimeDelta = TimeDelta::from_secs(60);

/// Bytes that are held back until the player has come, so that it sees a live stream: less than the last segment.
const HELD_BACK: usize = 20_000;

fn in_time<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    let clock = &runtime.env().clock;
    runtime
        .block_on(async { sim::race(future, clock.sleep_until(clock.now() + PATIENCE)).await })
        .expect("it takes a minute")
}

/// Lets ffmpeg record a stream that goes on while it plays.
fn records(ffmpeg: &str, clip: &Path, out: &Path) {
    let listen = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let directory = out.with_extension("hls");
    let line = format!(
        "appsrc name=in caps=video/x-flv ! flvdemux name=d d.video ! h264parse ! h.video d.audio ! aacparse ! h.audio \
         hlssink name=h directory={} segment-duration=1s serve={listen} path=/live/cam",
        directory.display()
    );
    let graph = millstream_graph::load_launch(&line, &elements::registry()).expect("a graph").graph;
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = runtime.start(&graph).expect("it starts");
    let mut bus = pipeline.bus().expect("the first to ask");
    let input: millstream_generic::AppSrcHandle = pipeline.handle("in").expect("the source");
    let clip: Bytes = std::fs::read(clip).expect("the clip").into();
    let (first, last) = clip.split_at(clip.len() - HELD_BACK);
    in_time(&runtime, async {
        input.push(Buffer::new(clip.slice_ref(first))).await.expect("the pipeline runs");
        for _ in 0..8 {
            while !matches!(bus.next().await.expect("it runs").kind, MessageKind::Element { name: "hls-segment", .. }) {
            }
        }
    });
    let url = format!("http://{listen}/live/cam/index.m3u8");
    let mut player = Command::new(peers::need(ffmpeg))
        .args(["-nostdin", "-v", "error", "-y", "-live_start_index", "0", "-i", &url, "-c", "copy"])
        .args(["-bsf:a", "aac_adtstoasc"])
        .arg(out)
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    // It has opened the stream when it writes.
    let written = || std::fs::metadata(out).is_ok();
    for _ in 0..PATIENCE.to_std().as_millis() / 20 {
        if written() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(written(), "{ffmpeg} does not open {url}");
    in_time(&runtime, async {
        input.push(Buffer::new(clip.slice_ref(last))).await.expect("the pipeline runs");
        input.eos().await.expect("the pipeline runs");
        pipeline.wait().await.expect("and ends well");
    });
    assert!(player.wait().expect("a child").success(), "{ffmpeg}");
}

#[test]
fn hls_10_ffmpeg_records_every_frame_of_a_live_stream_over_http() {
    let dir = tempfile::tempdir().expect("a folder");
    let clip = fixture("h264b_aac48s_10s.flv");
    let (sent, _) = peers::coded(&clip, "h264", "aac");
    for ffmpeg in ["ffmpeg", "ffmpeg9"] {
        let out = dir.path().join(format!("{ffmpeg}.mp4"));
        records(ffmpeg, &clip, &out);
        let (arrived, _) = peers::coded(&out, "h264", "aac");
        for (sent, arrived) in sent.iter().zip(&arrived) {
            assert!(!sent.hashes.is_empty());
            assert_eq!(sent.hashes, arrived.hashes, "{ffmpeg}");
        }
    }
}
