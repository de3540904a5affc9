//! `on-error: restart`: what has failed is built anew, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::*;
use millstream_core::element::Leaky;
use millstream_core::env::BoxFuture;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    BlockingSource, Buffer, BufferFlags, Element, Error, Flow, Item, MessageKind, Output, PadId, Produce, QueueLimits,
    Result, Segment, Sink, SinkCx, StreamInfo, Time, TimeDelta,
};
use millstream_graph::{GivenUp, OnError, RestartPolicy, RestartScope};
use millstream_runtime::{Bus, Pipeline, Runtime};

const MS: TimeDelta = TimeDelta::from_millis(1);

/// Restarts after so many milliseconds, no jitter.
fn policy(delay_ms: i64) -> RestartPolicy {
    RestartPolicy { delay: DurationSetting::from_millis(delay_ms), jitter: 0, ..RestartPolicy::default() }
}

impl Build {
    fn restarts(&mut self, node: usize, policy: RestartPolicy) {
        self.graph.nodes[node].on_error = OnError::Restart(policy);
    }
}

/// Fails with each of these buffers the first time that it sees it; logs what it takes.
fn breaks_at(numbers: &[i64], log: &Log, error: fn() -> Error) -> Shape {
    let (log, seen) = (log.clone(), Arc::<AtomicU32>::default());
    let numbers = numbers.to_vec();
    transform(move || {
        let (log, seen, numbers) = (log.clone(), seen.clone(), numbers.clone());
        move |_, item: Item, out: &mut Output| {
            let next = numbers.get(seen.load(Ordering::Relaxed) as usize);
            if next.is_some_and(|n| text(&item) == n.to_string()) {
                seen.fetch_add(1, Ordering::Relaxed);
                return Err(error());
            }
            log.lock().unwrap().push(text(&item));
            out.forward(item);
            Ok(Flow::Done)
        }
    })
}

fn peer_gone() -> Error {
    Error::new(millstream_core::ErrorKind::Peer, "the peer is gone")
}

fn panics() -> Error {
    panic!("on purpose")
}

fn run(runtime: &Runtime, b: &Build) -> (Result<()>, Vec<String>, Pipeline) {
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let mut bus = pipeline.bus().unwrap();
    let end = runtime.block_on(pipeline.wait());
    (end, said(&mut bus), pipeline)
}

/// What the bus says of restarts, in short.
fn said(bus: &mut Bus) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(message) = bus.try_next() {
        let text = match message.kind {
            MessageKind::Restarting { wait, attempt, .. } => format!("restarting {attempt} in {} ms", wait.millis()),
            MessageKind::Restarted { attempt } => format!("restarted {attempt}"),
            MessageKind::GaveUp { attempts } => format!("gave up after {attempts}"),
            MessageKind::Error(error) => format!("error {}", error.message()),
            _ => continue,
        };
        all.push(format!("{}: {text}", message.element));
    }
    all
}

/// Three targets of a live source, a buffer a millisecond, the second of which breaks.
fn fan_out(second: Shape, count: i64) -> (Build, usize, [Log; 2]) {
    let logs = [Log::default(), Log::default()];
    let mut b = Build::default();
    let (src, tee) = (b.add("src", live_counter(count, MS)), b.add("tee", pass()));
    let (one, two, three) =
        (b.add("one", collector(&logs[0])), b.add("two", second), b.add("three", collector(&logs[1])));
    b.link(src, tee).link(tee, one).link(tee, two).link(tee, three);
    (b, two, logs)
}

#[test]
fn of_three_targets_one_dies_and_comes_back_at_a_key_frame_and_the_others_lose_nothing() {
    for error in [peer_gone, panics] {
        let log = Log::default();
        let (mut b, two, others) = fan_out(breaks_at(&[23], &log, error), 100);
        b.restarts(two, policy(20));
        let (end, said, pipeline) = run(&simulation(1), &b);
        end.unwrap();
        for other in &others {
            assert_eq!(numbers(other), (0..100).collect::<Vec<_>>());
        }
        // Broken at 23 ms, back at 43 ms, key frames every 10.
        assert_eq!(numbers(&log), (0..23).chain(50..100).collect::<Vec<_>>());
        let log = log.lock().unwrap();
        let anew = log.iter().rposition(|item| item == "stream-start").unwrap();
        assert_eq!(log[anew..anew + 3], ["stream-start", "caps video/x-test", "50"]);
        assert_eq!(log.last().unwrap(), "eos");
        assert_eq!(said, ["two: restarting 1 in 20 ms", "two: restarted 1"]);
        assert_eq!(pipeline.restarts(), [("two".to_owned(), 1)].into());
        let link = pipeline.links().into_iter().find(|link| link.to == "two.sink0").unwrap();
        assert!(link.dropped >= 19, "what came meanwhile is counted: {link:?}");
    }
}

/// A sink on a task of its own that fails with buffer 23 the first time.
struct Async(Log, Arc<AtomicU32>);

impl Sink for Async {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            while let Some((_, item)) = cx.recv().await {
                if text(&item) == "23" && self.1.fetch_add(1, Ordering::Relaxed) == 0 {
                    return Err(peer_gone());
                }
                let discont = matches!(&item, Item::Buffer(b) if b.flags.contains(BufferFlags::DISCONT));
                self.0.lock().unwrap().push(if discont { format!("{} discont", text(&item)) } else { text(&item) });
            }
            Ok(())
        })
    }
}

#[test]
fn a_sink_with_a_socket_comes_back_too_and_hears_of_the_break() {
    let (log, count) = (Log::default(), Arc::<AtomicU32>::default());
    let inner = log.clone();
    let sink = element(move |_| Element::Sink(Box::new(Async(inner.clone(), count.clone()))));
    let (mut b, two, others) = fan_out(sink, 100);
    b.restarts(two, policy(20));
    let (end, ..) = run(&simulation(1), &b);
    end.unwrap();
    assert_eq!(numbers(&others[1]).len(), 100);
    assert_eq!(numbers(&log), (0..23).chain(51..100).collect::<Vec<_>>());
    assert!(log.lock().unwrap().contains(&"50 discont".to_owned()));
}

/// tee ! q1 ! breaks ! q2 ! sink: three tasks that are built anew together.
#[test]
fn a_branch_of_several_tasks_is_built_anew_as_one() {
    let (log, end_log, good) = (Log::default(), Log::default(), Log::default());
    let mut b = Build::default();
    let limits = QueueLimits { buffers: 4, bytes: 0, time: 0, leaky: Leaky::No };
    let (src, tee) = (b.add("src", live_counter(100, MS)), b.add("tee", pass()));
    let (q1, q2) = (b.add("q1", queue(limits)), b.add("q2", queue(limits)));
    let (breaks, sink) = (b.add("breaks", breaks_at(&[23], &log, peer_gone)), b.add("sink", collector(&end_log)));
    let other = b.add("good", collector(&good));
    b.link(src, tee).link(tee, q1).link(q1, breaks).link(breaks, q2).link(q2, sink).link(tee, other);
    b.restarts(q1, policy(20));
    let (end, said, _) = run(&simulation(1), &b);
    end.unwrap();
    assert_eq!(numbers(&good).len(), 100);
    let received = numbers(&end_log);
    assert_eq!(received[received.len() - 50..], (50..100).collect::<Vec<_>>());
    let starts = end_log.lock().unwrap().iter().filter(|item| *item == "stream-start").count();
    assert_eq!(starts, 2, "the sink was built anew as well");
    assert_eq!(end_log.lock().unwrap().last().unwrap(), "eos");
    assert_eq!(said, ["q1: restarting 1 in 20 ms", "q1: restarted 1"]);
}

#[test]
fn an_element_alone_is_built_anew_where_the_scope_says_so() {
    let (log, end_log) = (Log::default(), Log::default());
    let mut b = Build::default();
    let (src, breaks) = (b.add("src", live_counter(100, MS)), b.add("breaks", breaks_at(&[23], &log, peer_gone)));
    let sink = b.add("sink", collector(&end_log));
    b.link(src, breaks).link(breaks, sink);
    b.restarts(breaks, RestartPolicy { scope: Some(RestartScope::Element), ..policy(20) });
    let (end, ..) = run(&simulation(1), &b);
    end.unwrap();
    assert_eq!(numbers(&end_log), (0..23).chain(50..100).collect::<Vec<_>>());
    assert_eq!(end_log.lock().unwrap().iter().filter(|item| *item == "eos").count(), 1);
}

#[test]
fn waits_grow_on_the_clock_of_the_runtime() {
    let log = Log::default();
    // Each time it is back it fails with the first key frame it gets.
    let (mut b, two, others) = fan_out(breaks_at(&[5, 20, 50, 120, 240], &log, peer_gone), 600);
    b.restarts(two, RestartPolicy { max_delay: DurationSetting::from_millis(90), ..policy(10) });
    let runtime = simulation(1);
    let (end, said, pipeline) = run(&runtime, &b);
    end.unwrap();
    let waits: Vec<_> = said.iter().filter(|text| text.contains("restarting")).collect();
    let expected = [(1, 10), (2, 20), (3, 40), (4, 80), (5, 90)];
    assert_eq!(waits.len(), 5, "{waits:?}");
    for (wait, (attempt, ms)) in waits.iter().zip(expected) {
        assert_eq!(**wait, format!("two: restarting {attempt} in {ms} ms"));
    }
    assert_eq!(pipeline.restarts()["two"], 5);
    assert_eq!(numbers(&others[0]).len(), 600);
}

#[test]
fn jitter_comes_from_the_seed() {
    let waits = |seed| {
        let (mut b, two, _) = fan_out(breaks_at(&[5], &Log::default(), peer_gone), 100);
        b.restarts(two, RestartPolicy { jitter: 50, ..policy(40) });
        run(&simulation(seed), &b).1
    };
    assert_eq!(waits(1), waits(1));
    assert!((2..20).any(|seed| waits(seed) != waits(1)));
}

#[test]
fn after_the_limit_the_failure_is_what_it_would_have_been() {
    let build = |then| {
        let (mut b, two, others) = fan_out(breaks_at(&[5, 20, 40, 60, 80], &Log::default(), peer_gone), 300);
        b.restarts(two, RestartPolicy { limit: 2, then, max_delay: DurationSetting::from_millis(10), ..policy(10) });
        (b, others)
    };
    let (b, others) = build(None);
    let (end, said, _) = run(&simulation(1), &b);
    assert_eq!(end.unwrap_err().to_string(), "two: the peer is gone", "a branch behind a fan-out fails alone");
    assert_eq!(numbers(&others[0]).len(), 300);
    assert_eq!(said[4..], ["two: gave up after 2", "two: error the peer is gone"]);
    let (b, others) = build(Some(GivenUp::Fail));
    let (end, ..) = run(&simulation(1), &b);
    assert_eq!(end.unwrap_err().to_string(), "two: the peer is gone");
    assert!(numbers(&others[0]).len() < 100, "the pipeline ended");
}

#[test]
fn what_cannot_be_mended_is_not_tried_again() {
    for error in [|| Error::settings("no such thing"), || Error::unsupported("no such thing")] {
        let (mut b, two, others) = fan_out(breaks_at(&[5], &Log::default(), error), 50);
        b.restarts(two, policy(10));
        let (end, said, pipeline) = run(&simulation(1), &b);
        assert_eq!(end.unwrap_err().to_string(), "two: no such thing");
        assert_eq!(said, ["two: error no such thing"]);
        assert_eq!(pipeline.restarts()["two"], 0);
        assert_eq!(numbers(&others[0]).len(), 50);
    }
}

#[test]
fn a_file_waits_for_its_branch() {
    let (log, good) = (Log::default(), Log::default());
    let mut b = Build::default();
    let (src, tee) = (b.add("src", counter(2000)), b.add("tee", pass()));
    let (two, one) = (b.add("two", breaks_at(&[25], &log, peer_gone)), b.add("one", collector(&good)));
    b.link(src, tee).link(tee, two).link(tee, one);
    b.restarts(two, policy(1000));
    let (end, ..) = run(&simulation(1), &b);
    end.unwrap();
    assert_eq!(numbers(&good), (0..2000).collect::<Vec<_>>());
    let received = numbers(&log);
    assert_eq!(received[..25], (0..25).collect::<Vec<_>>());
    // What waited in the link is lost, and the rest up to a key frame; all that comes later is there.
    let first = received[25];
    assert!(first % 10 == 0 && first < 1000, "{first}");
    assert_eq!(received[25..], (first..2000).collect::<Vec<_>>());
}

/// Numbers from 0, that fails after some; each one built begins at 0 again.
struct Faulty {
    next: i64,
    fails_at: Option<i64>,
}

impl BlockingSource for Faulty {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        out.forward(Item::StreamStart(Arc::new(StreamInfo::default())));
        out.forward(Item::Segment(Segment::time(Time::ZERO).into()));
        Ok(())
    }

    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        if self.fails_at == Some(self.next) {
            return Err(peer_gone());
        }
        if self.next == 40 {
            return Ok(Produce::Eos);
        }
        out.forward(Item::buffer(Buffer { duration: Some(MS), ..buffer(self.next) }));
        self.next += 1;
        Ok(Produce::At(out.now() + MS))
    }
}

#[test]
fn a_source_that_was_restarted_goes_on_on_the_same_timeline() {
    let built = Arc::<AtomicU32>::default();
    let src = element(move |_| {
        let first = built.fetch_add(1, Ordering::Relaxed) == 0;
        Element::BlockingSource(Box::new(Faulty { next: 0, fails_at: first.then_some(25) }))
    })
    .with(|f| f.live::<NoSettings>(|_| true));
    let log = Log::default();
    let inner = log.clone();
    let sink = transform(move || {
        let log = inner.clone();
        move |_: PadId, item: Item, _: &mut Output| {
            log.lock().unwrap().push(match &item {
                Item::Buffer(b) => {
                    let discont = if b.flags.contains(BufferFlags::DISCONT) { " discont" } else { "" };
                    format!("{} at {}{discont}", text(&item), b.pts.unwrap().millis())
                }
                other => text(other),
            });
            Ok(Flow::Done)
        }
    });
    let mut b = Build::default();
    let (src, sink) = (b.add("src", src), b.add("sink", sink));
    b.link(src, sink);
    b.restarts(src, policy(100));
    let (end, said, _) = run(&simulation(1), &b);
    end.unwrap();
    assert_eq!(said, ["src: restarting 1 in 100 ms", "src: restarted 1"]);
    let log = log.lock().unwrap();
    assert_eq!(log[26..30], ["24 at 24", "stream-start", "segment", "0 at 126 discont"], "{log:?}");
    assert_eq!(log[log.len() - 2..], ["39 at 165", "eos"]);
}

#[test]
fn a_pipeline_that_is_stopped_does_not_wait_for_a_restart() {
    let (mut b, two, others) = fan_out(breaks_at(&[5], &Log::default(), peer_gone), -1);
    b.restarts(two, policy(3_600_000));
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let stopper = pipeline.stopper();
    let clock = runtime.env().clock.clone();
    let end = runtime.block_on(async {
        clock.sleep_until(Time::from_millis(50)).await;
        stopper.stop();
        pipeline.wait().await
    });
    // What never came back is said at the end.
    assert_eq!(end.unwrap_err().to_string(), "two: the peer is gone");
    assert!(clock.now() < Time::from_millis(1000), "{}", clock.now());
    assert_eq!(others[0].lock().unwrap().last().unwrap(), "eos");
}

#[test]
fn a_source_that_is_down_when_the_pipeline_stops_ends_its_stream() {
    let src = element(|_| Element::BlockingSource(Box::new(Faulty { next: 0, fails_at: Some(5) })))
        .with(|f| f.live::<NoSettings>(|_| true));
    let log = Log::default();
    let mut b = Build::default();
    let (src, sink) = (b.add("src", src), b.add("sink", collector(&log)));
    b.link(src, sink);
    b.restarts(src, policy(3_600_000));
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let (stopper, clock) = (pipeline.stopper(), runtime.env().clock.clone());
    runtime.block_on(async {
        clock.sleep_until(Time::from_millis(50)).await;
        stopper.stop();
        pipeline.wait().await.unwrap();
    });
    assert_eq!(log.lock().unwrap().last().unwrap(), "eos");
    assert!(clock.now() < Time::from_millis(1000), "{}", clock.now());
}

/// Headers are buffers in containers: whoever comes back needs them before media.
#[test]
fn headers_are_said_again() {
    struct WithHeaders(i64);
    impl BlockingSource for WithHeaders {
        fn produce(&mut self, out: &mut Output) -> Result<Produce> {
            let n = self.0;
            self.0 += 1;
            let header = |id: i64| Buffer::new(id.to_be_bytes().to_vec()).with_flags(BufferFlags::HEADER);
            match n {
                0 => out.forward(Item::StreamStart(Arc::new(StreamInfo::default()))),
                1 => out.forward(Item::buffer(header(-1))),
                2 => out.forward(Item::buffer(header(-2))),
                33 => out.forward(Item::buffer(header(-3))),
                100 => return Ok(Produce::Eos),
                n => out.forward(Item::buffer(buffer(n))),
            }
            Ok(Produce::At(out.now() + MS))
        }
    }
    let (log, good) = (Log::default(), Log::default());
    let mut b = Build::default();
    let src = element(|_| Element::BlockingSource(Box::new(WithHeaders(0)))).with(|f| f.live::<NoSettings>(|_| true));
    let (src, tee) = (b.add("src", src), b.add("tee", pass()));
    let (two, one) = (b.add("two", breaks_at(&[23], &log, peer_gone)), b.add("one", collector(&good)));
    b.link(src, tee).link(tee, two).link(tee, one);
    b.restarts(two, policy(5));
    run(&simulation(1), &b).0.unwrap();
    // Back at 28 ms, waits for the key frame; a header meanwhile is not lost either.
    let anew: Vec<i64> = numbers(&log).into_iter().skip_while(|n| *n != 22).skip(1).collect();
    assert_eq!(anew[..4], [-1, -2, 30, 31]);
    assert!(anew.contains(&-3));
}

/// A sink that takes nothing between two times.
struct Hangs(Log);

impl Sink for Hangs {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            while let Some((_, item)) = cx.recv().await {
                if text(&item) == "1000" {
                    cx.env.clock.sleep_until(Time::from_millis(21_000)).await;
                }
                self.0.lock().unwrap().push(text(&item));
            }
            Ok(())
        })
    }
}

#[test]
fn a_target_that_takes_nothing_is_stalled_and_recovers_at_a_key_frame() {
    let log = Log::default();
    let inner = log.clone();
    let (b, _, others) = fan_out(element(move |_| Element::Sink(Box::new(Hangs(inner.clone())))), 30_000);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let mut bus = pipeline.bus().unwrap();
    runtime.block_on(pipeline.wait()).unwrap();
    let mut told = Vec::new();
    while let Some(message) = bus.try_next() {
        match message.kind {
            MessageKind::Stalled { idle } => told.push((message.element.to_string(), "stalled", idle)),
            MessageKind::Recovered { after } => told.push((message.element.to_string(), "recovered", after)),
            _ => {}
        }
    }
    let [(stalled_by, "stalled", idle), (recovered_by, "recovered", after)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((stalled_by.as_str(), recovered_by.as_str()), ("two", "two"));
    // Looked at every quarter of the limit of 10 s.
    assert!((10_000..=12_500).contains(&idle.millis()) && (19_000..=25_000).contains(&after.millis()), "{told:?}");
    for other in &others {
        assert_eq!(numbers(other).len(), 30_000, "the others lose nothing");
    }
    let received = numbers(&log);
    let jump = received.windows(2).find(|pair| pair[1] != pair[0] + 1).unwrap();
    assert!(jump[1] % 10 == 0 && jump[1] >= 21_000, "goes on at a key frame: {jump:?}");
}
