//! Pacing in chains that the program feeds.

use std::sync::Arc;

use millstream_core::{Buffer, Time, TimeDelta};
use millstream_generic::AppSrcHandle;
use millstream_graph::load_launch;
use millstream_runtime::Runtime;
use millstream_testkit::MemFs;
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
