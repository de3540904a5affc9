//! Pacing in chains that a program or a file feeds.

use std::sync::Arc;

use millstream_core::{Buffer, Time, TimeDelta};
use millstream_generic::AppSrcHandle;
use millstream_graph::load_launch;
use millstream_runtime::Runtime;
use millstream_testkit::{MemFs, fixture};
use millstream_tests::elements::{self, Collected};

#[test]
fn e_40_clocksync_paces_what_a_program_pushes() {
    let graph = load_launch("appsrc name=in ! clocksync ! collect name=out", &elements::registry()).unwrap().graph;
    let runtime = Runtime::simulated(1, Arc::new(MemFs::new())).unwrap();
    let mut pipeline = runtime.start(&graph).unwrap();
    let handle: AppSrcHandle = pipeline.handle("in").unwrap();
    let out: Collected = pipeline.handle("out").unwrap();
    let clock = runtime.env().clock.clone();
    runtime.block_on(async {
        for n in 0..5 {
            let time = Some(Time::from_millis(100 * n));
            handle.push(Buffer::new(vec![0; 10]).with_times(time, time)).await.unwrap();
        }
        clock.sleep_until(clock.now() + TimeDelta::from_millis(250)).await;
        let media = out.take().iter().filter(|item| item.bytes() > 0).count();
        assert_eq!(media, 3, "those of 0, 100 and 200 ms are due after 250");
        handle.eos().await.unwrap();
        pipeline.wait().await.unwrap();
        assert_eq!(clock.now(), Time::from_millis(400), "the end waits for the last");
    });
    let names: Vec<_> = out.take().iter().map(|item| item.name()).collect();
    assert_eq!(names, ["buffer", "buffer", "eos"]);
}

/// Two seconds of pictures and sound that come in one block, paced; then a stop or the end.
fn paced_file(stop: bool) -> (Vec<(usize, usize)>, Time) {
    let fs = Arc::new(MemFs::new());
    fs.insert("clip.flv", std::fs::read(fixture("h264b_aac48s_10s.flv")).unwrap());
    let line = "filesrc location=clip.flv ! flvdemux name=d \
                d.video ! clocksync sync-to-first=false ! collect name=video \
                d.audio ! clocksync sync-to-first=false ! collect name=audio";
    let graph = load_launch(line, &elements::registry()).unwrap().graph;
    let runtime = Runtime::simulated(1, fs).unwrap();
    let mut pipeline = runtime.start(&graph).unwrap();
    let (video, audio): (Collected, Collected) = (pipeline.handle("video").unwrap(), pipeline.handle("audio").unwrap());
    let clock = runtime.env().clock.clone();
    let buffers = |of: &Collected| of.take().iter().filter(|item| item.bytes() > 0).count();
    let mut seen = Vec::new();
    runtime.block_on(async {
        for second in 1..=2 {
            clock.sleep_until(Time::from_millis(1000 * second)).await;
            seen.push((buffers(&video), buffers(&audio)));
        }
        if stop {
            pipeline.stop();
        }
        pipeline.wait().await.unwrap();
    });
    (seen, clock.now())
}

#[test]
fn e_40_clocksync_paces_what_one_block_of_a_file_held() {
    let (seen, end) = paced_file(false);
    // 30 pictures and 48 000 / 1024 frames of sound a second; timestamps begin at most 0.1 s late.
    for (pictures, frames) in seen {
        assert!((26..=32).contains(&pictures) && (42..=49).contains(&frames), "{pictures} pictures, {frames} frames");
    }
    assert!((9_800..10_200).contains(&end.millis()), "{end}");
}

#[test]
fn a_stop_ends_pacing() {
    let (_, end) = paced_file(true);
    assert!(end.millis() < 2_100, "{end}");
}
