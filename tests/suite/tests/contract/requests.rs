//! Requests, and what examples do when they run.

use std::sync::Arc;

use millstream_core::item::SeekTo;
use millstream_core::{Request, Time, TimeDelta};
use millstream_graph::load_launch;
use millstream_runtime::Runtime;
use millstream_testkit::SimNet;
use millstream_tests::{elements, sim};

use crate::case::{Shape, cases, each_input, example_files, feed, test_env};

#[test]
fn e_35_requests_go_upstream() {
    each_input(|case, inputs| {
        let mut harness = case.harness(&test_env());
        feed(&mut harness, &case.sinks, inputs).unwrap();
        for pad in &case.srcs {
            harness.requests.clear();
            harness.request(pad, Request::KeyFrame).unwrap();
            let asked = harness.requests.iter().any(|(_, request)| *request == Request::KeyFrame);
            assert!(asked, "E-35: {}.{pad} swallows a request for a key frame", case.name());
        }
    });
}

#[test]
fn e_36_sources_survive_every_request() {
    for case in cases().into_iter().filter(|case| case.shape() == Shape::BlockingSource) {
        for request in [
            Request::KeyFrame,
            Request::Bitrate(1),
            Request::Quality(TimeDelta::from_millis(-5)),
            Request::Read { offset: u64::MAX - 1, len: 9 },
            Request::Seek { to: SeekTo::Byte(u64::MAX), epoch: 3 },
            Request::Seek { to: SeekTo::Time(Time::MAX), epoch: 4 },
        ] {
            let mut harness = case.harness(&test_env());
            harness.produce().unwrap();
            let asked = harness.request(&case.srcs[0], request.clone());
            assert!(asked.is_ok(), "E-36: {} fails for {request:?}: {}", case.name(), asked.unwrap_err());
        }
    }
}

#[test]
fn e_46_examples_run_and_stop_when_told_to() {
    let registry = elements::registry();
    for factory in millstream_elements::registry().iter() {
        let Ok(loaded) = load_launch(factory.example, &registry) else { continue };
        let graph = loaded.graph;
        let runtime = Runtime::simulated(1, Arc::new(example_files())).unwrap();
        let runtime = runtime.with_net(|env| Arc::new(SimNet::new(env.clock.clone())));
        // Whom the example connects to.
        let peer = factory.example.contains("rtmp://127.0.0.1/").then(|| {
            let line = "rtmpserversrc stream=cam ! rtmpserversink stream=cam";
            runtime.start(&load_launch(line, &registry).unwrap().graph).unwrap()
        });
        let mut pipeline = runtime.start(&graph).unwrap_or_else(|e| panic!("{}: {e}", factory.name));
        let stopper = pipeline.stopper();
        let clock = runtime.env().clock.clone();
        let ended = runtime.block_on(async {
            // An `appsrc` without a program waits for ever, as it should.
            let patience = clock.sleep_until(Time::from_millis(60_000));
            sim::race(pipeline.wait(), patience).await
        });
        let result = ended.unwrap_or_else(|| {
            stopper.stop();
            runtime.block_on(pipeline.wait())
        });
        assert!(result.is_ok(), "{}: {}", factory.name, result.unwrap_err());
        drop(peer);
    }
}
