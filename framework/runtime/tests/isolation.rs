//! Failure domains: what a failing branch takes with it, and what goes on.

mod common;

use std::sync::Arc;

use common::*;
use millstream_core::element::Leaky;
use millstream_core::{Error, Flow, Item, MessageKind, Output, QueueLimits, Request, Time};
use millstream_graph::OnError;

fn small_queue() -> Shape {
    queue(QueueLimits { buffers: 4, bytes: 0, time: 0, leaky: Leaky::No })
}

/// Passes on until the buffer of that number, then fails or panics.
fn fails_at(ms: i64, panics: bool) -> Shape {
    transform(move || {
        move |_, item: Item, out: &mut Output| {
            if matches!(&item, Item::Buffer(b) if b.pts == Some(Time::from_millis(ms))) {
                assert!(!panics, "on purpose");
                return Err(Error::malformed("no more"));
            }
            out.forward(item);
            Ok(Flow::Done)
        }
    })
}

/// Two branches behind a tee, the first of which fails; fused with the tee, or behind queues.
fn forked(queued: bool, panics: bool) -> (Build, Log, Log) {
    let (bad, good) = (Log::default(), Log::default());
    let mut b = Build::default();
    let (src, tee, fails) = (b.add("src", counter(50)), b.add("tee", pass()), b.add("fails", fails_at(20, panics)));
    let (bad_sink, good_sink) = (b.add("bad", collector(&bad)), b.add("good", collector(&good)));
    b.link(src, tee);
    if queued {
        let (q1, q2, q3) = (b.add("q1", small_queue()), b.add("q2", small_queue()), b.add("q3", small_queue()));
        b.link(tee, q1).link(q1, fails).link(fails, q3).link(q3, bad_sink).link(tee, q2).link(q2, good_sink);
    } else {
        b.link(tee, fails).link(fails, bad_sink).link(tee, good_sink);
    }
    (b, bad, good)
}

#[test]
fn a_branch_behind_a_tee_fails_alone_and_the_pipeline_says_so_at_its_end() {
    for (queued, panics) in [(false, false), (true, false), (false, true), (true, true)] {
        let (b, bad, good) = forked(queued, panics);
        let runtime = simulation(1);
        let mut pipeline = runtime.start(&b.graph).unwrap();
        let mut bus = pipeline.bus().unwrap();
        let error = runtime.block_on(pipeline.wait()).unwrap_err();
        let expected = if panics { "fails: panicked: on purpose" } else { "fails: no more" };
        assert_eq!(error.to_string(), expected, "queued: {queued}");
        assert_eq!(numbers(&good), (0..50).collect::<Vec<_>>(), "queued: {queued}, panics: {panics}");
        assert_eq!(good.lock().unwrap().last().unwrap(), "eos");
        assert_eq!(numbers(&bad), (0..20).collect::<Vec<_>>());
        assert!(!bad.lock().unwrap().contains(&"eos".to_owned()), "half a stream does not look like a whole one");
        let mut errors = 0;
        while let Some(message) = bus.try_next() {
            errors += usize::from(matches!(message.kind, MessageKind::Error(_)));
        }
        assert_eq!(errors, 1);
    }
}

#[test]
fn on_error_fail_ends_everything() {
    let (mut b, _, good) = forked(true, false);
    let fails = b.graph.find("fails").unwrap();
    b.graph.nodes[fails].on_error = OnError::Fail;
    // Paced, so that the other branch is still under way when the failure is noticed.
    let mut paced = Build::default();
    paced.add("src", live_counter(50, millstream_core::TimeDelta::from_millis(1)));
    b.graph.nodes[0] = paced.graph.nodes.remove(0);
    let error = simulation(1).run(&b.graph).unwrap_err();
    assert_eq!(error.to_string(), "fails: no more");
    assert!(!good.lock().unwrap().contains(&"eos".to_owned()));
}

#[test]
fn when_the_last_branch_fails_the_pipeline_ends_at_once() {
    let log = Log::default();
    let mut b = Build::default();
    let (src, tee) = (b.add("src", live_counter(-1, millstream_core::TimeDelta::from_millis(1))), b.add("tee", pass()));
    let (one, two) = (b.add("one", fails_at(10, false)), b.add("two", fails_at(30, false)));
    let (s1, s2) = (b.add("s1", collector(&log)), b.add("s2", collector(&log)));
    b.link(src, tee).link(tee, one).link(tee, two).link(one, s1).link(two, s2);
    let error = simulation(1).run(&b.graph).unwrap_err();
    assert_eq!(error.to_string(), "one: no more", "the first failure is the cause");
}

#[test]
fn an_application_can_send_requests_into_a_pipeline() {
    let heard: Log = Arc::default();
    struct Hears(Log);
    impl millstream_core::Transform for Hears {
        fn handle(&mut self, _: millstream_core::PadId, item: Item, out: &mut Output) -> millstream_core::Result<Flow> {
            out.forward(item);
            Ok(Flow::Done)
        }
        fn request(
            &mut self,
            _: millstream_core::PadId,
            request: Request,
            _: &mut Output,
        ) -> millstream_core::Result<()> {
            self.0.lock().map_err(|_| Error::bug("poisoned"))?.push(request.name().to_owned());
            Ok(())
        }
    }
    let log = heard.clone();
    let mut b = Build::default();
    let src = b.add("src", live_counter(50, millstream_core::TimeDelta::from_millis(1)));
    let encoder = b.add("encoder", element(move |_| millstream_core::Element::Transform(Box::new(Hears(log.clone())))));
    let (q, sink) = (b.add("q", small_queue()), b.add("sink", collector(&Log::default())));
    b.link(src, encoder).link(encoder, q).link(q, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    pipeline.request("q", Request::KeyFrame).unwrap();
    assert!(pipeline.request("nobody", Request::KeyFrame).is_err());
    runtime.block_on(pipeline.wait()).unwrap();
    assert_eq!(*heard.lock().unwrap(), ["key-frame"]);
}
