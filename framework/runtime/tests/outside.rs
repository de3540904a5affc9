//! Sources and sinks that run as futures, and pipelines that are cancelled at every step.

#![allow(clippy::unwrap_used, reason = "the elements of a test may fail as loudly as the test")]

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use millstream_core::element::Leaky;
use millstream_core::env::BoxFuture;
use millstream_core::item::SeekTo;
use millstream_core::{
    BlockingSource, Element, Error, Flow, Item, MessageKind, Output, PadId, Produce, QueueLimits, Request, Result,
    Sink, SinkCx, Source, SourceCx, Time, TimeDelta, Transform,
};

fn small_queue(buffers: usize) -> Shape {
    queue(QueueLimits { buffers, bytes: 0, time: 0, leaky: Leaky::No })
}

/// Pushes numbered buffers, a millisecond apart.
struct Ticker {
    count: i64,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Source for Ticker {
    fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let heard = self.heard.clone();
            cx.push(PadId(0), Item::StreamStart(Default::default())).await?;
            for n in 0..self.count {
                let due = cx.env.clock.sleep_until(Time::from_millis(n));
                tokio::select! {
                    () = due => {}
                    (_, request) = cx.request() => heard.lock().unwrap().push(request),
                }
                cx.push(PadId(0), Item::buffer(buffer(n))).await?;
            }
            Ok(())
        })
    }
}

fn ticker(count: i64, heard: &Arc<Mutex<Vec<Request>>>) -> Shape {
    let heard = heard.clone();
    element(move |_| Element::Source(Box::new(Ticker { count, heard: heard.clone() })))
}

/// Takes a buffer each `pace`, and asks for a key frame at the first.
struct Slow {
    log: Log,
    pace: TimeDelta,
}

impl Sink for Slow {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            cx.tell(|out| out.request_all(Request::KeyFrame));
            while let Some((_, item)) = cx.recv().await {
                let at = cx.env.clock.now() + self.pace;
                cx.env.clock.sleep_until(at).await;
                self.log.lock().unwrap().push(text(&item));
            }
            Ok(())
        })
    }
}

fn slow(log: &Log, pace: TimeDelta) -> Shape {
    let log = log.clone();
    element(move |_| Element::Sink(Box::new(Slow { log: log.clone(), pace })))
}

#[test]
fn an_asynchronous_source_feeds_an_asynchronous_sink_and_hears_its_requests() {
    let (log, heard) = (Log::default(), Arc::default());
    let mut b = Build::default();
    let (src, id) = (b.add("src", ticker(600, &heard)), b.add("id", pass()));
    let (q, sink) = (b.add("q", small_queue(5)), b.add("sink", slow(&log, TimeDelta::from_millis(3))));
    b.link(src, id).link(id, q).link(q, sink);
    simulation(1).run(&b.graph).unwrap();
    assert_eq!(numbers(&log), (0..600).collect::<Vec<_>>());
    assert_eq!(log.lock().unwrap().last().unwrap(), "eos");
    assert_eq!(*heard.lock().unwrap(), [Request::KeyFrame], "through a queue and a filter");
}

/// Paces as `clocksync` does: an item waits, and goes on when it is due.
#[derive(Default)]
struct Paced {
    waiting: Option<Item>,
}

/// Time between two buffers behind [`Paced`].
const PACE: TimeDelta = TimeDelta::from_millis(10);

impl Transform for Paced {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        if matches!(item, Item::Flush(_)) {
            self.waiting = None;
        }
        self.waiting.take().into_iter().for_each(|item| out.forward(item));
        if matches!(item, Item::Buffer(_)) {
            out.hold_until(out.now() + PACE);
            out.wake_at(out.now() + PACE);
            self.waiting = Some(item);
        } else {
            out.forward(item);
        }
        Ok(Flow::Done)
    }

    fn wake(&mut self, _: Time, out: &mut Output) -> Result<()> {
        self.waiting.take().into_iter().for_each(|item| out.forward(item));
        Ok(())
    }
}

fn paced() -> Shape {
    element(|_| Element::Transform(Box::new(Paced::default())))
}

/// Logs what it receives, and when, in milliseconds.
fn watch(log: &Log) -> Shape {
    let log = log.clone();
    transform(move || {
        let log = log.clone();
        move |_, item: Item, out: &mut Output| {
            log.lock().unwrap().push(format!("{} at {}", text(&item), out.now().millis()));
            Ok(Flow::Done)
        }
    })
}

#[test]
fn e_39_e_40_a_chain_is_paced_whatever_feeds_it() {
    /// Pushes as fast as it may, and lingers.
    struct Hasty;
    impl Source for Hasty {
        fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
            Box::pin(async move {
                for n in 0..4 {
                    cx.push(PadId(0), Item::buffer(buffer(n))).await?;
                }
                cx.env.clock.sleep_until(Time::from_millis(100)).await;
                Ok(())
            })
        }
    }
    let run = |src: Shape, queued: bool| {
        let log = Log::default();
        let mut b = Build::default();
        let (src, pace, sink) = (b.add("src", src), b.add("pace", paced()), b.add("sink", watch(&log)));
        if queued {
            let q = b.add("q", small_queue(2));
            b.link(src, q).link(q, pace);
        } else {
            b.link(src, pace);
        }
        b.link(pace, sink);
        simulation(1).run(&b.graph).unwrap();
        log.lock().unwrap().iter().filter(|line| line.starts_with(char::is_numeric)).cloned().collect::<Vec<_>>()
    };
    let expected = ["0 at 10", "1 at 20", "2 at 30", "3 at 40"];
    assert_eq!(run(element(|_| Element::Source(Box::new(Hasty))), false), expected);
    assert_eq!(run(element(|_| Element::Source(Box::new(Hasty))), true), expected);
    assert_eq!(run(counter(4), false), expected);
    assert_eq!(run(counter(4), true), expected);
}

#[test]
fn a_flush_overtakes_what_is_paced_and_what_waits_for_room() {
    /// Makes buffers without end, and starts over when asked to seek.
    struct Endless(i64);
    impl BlockingSource for Endless {
        fn produce(&mut self, out: &mut Output) -> Result<Produce> {
            self.0 += 1;
            out.forward(Item::buffer(buffer(self.0)));
            Ok(if self.0 == 1003 { Produce::Eos } else { Produce::More })
        }
        fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
            if let Request::Seek { epoch, .. } = request {
                self.0 = 1000;
                out.forward(Item::Flush(epoch));
            }
            Ok(())
        }
    }
    let log = Log::default();
    let mut b = Build::default();
    let src = b.add("src", element(|_| Element::BlockingSource(Box::new(Endless(0)))));
    let (q, pace, sink) = (b.add("q", small_queue(20)), b.add("pace", paced()), b.add("sink", watch(&log)));
    b.link(src, q).link(q, pace).link(pace, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let clock = runtime.env().clock.clone();
    runtime.block_on(async {
        clock.sleep_until(Time::from_millis(25)).await;
        pipeline.request("src", Request::Seek { to: SeekTo::Byte(0), epoch: 7 }).unwrap();
        pipeline.wait().await.unwrap();
    });
    let heard = log.lock().unwrap().clone();
    assert_eq!(heard[..3], ["1 at 10", "2 at 20", "flush 7 at 25"]);
    assert_eq!(heard[3..6], ["1001 at 35", "1002 at 45", "1003 at 55"]);
}

#[test]
fn a_source_that_waits_for_requests_only_hears_them() {
    struct Waits;
    impl Source for Waits {
        fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
            Box::pin(async move {
                assert_eq!(cx.request().await.1, Request::KeyFrame);
                cx.push(PadId(0), Item::buffer(buffer(1))).await
            })
        }
    }
    let log = Log::default();
    let mut b = Build::default();
    let (src, sink) = (b.add("src", element(|_| Element::Source(Box::new(Waits)))), b.add("sink", watch(&log)));
    b.link(src, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let clock = runtime.env().clock.clone();
    runtime.block_on(async {
        clock.sleep_until(Time::from_millis(5)).await;
        pipeline.request("src", Request::KeyFrame).unwrap();
        pipeline.wait().await.unwrap();
    });
    assert_eq!(log.lock().unwrap()[..], ["1 at 5", "eos at 5"]);
}

#[test]
fn cancel_ends_a_live_source_between_two_buffers() {
    for pace in [1, 1_000_000] {
        let log = Log::default();
        let mut b = Build::default();
        let src = b.add("src", live_counter(100_000, TimeDelta::from_millis(pace)));
        let sink = b.add("sink", collector(&log));
        b.link(src, sink);
        let runtime = simulation(1);
        let mut pipeline = runtime.start(&b.graph).unwrap();
        let (stopper, clock) = (pipeline.stopper(), runtime.env().clock.clone());
        let ended = runtime.block_on(async {
            clock.sleep_until(Time::from_nanos(20_500_000)).await;
            stopper.cancel();
            pipeline.wait().await.unwrap();
            clock.now()
        });
        assert_eq!(ended, Time::from_nanos(20_500_000));
        assert!(!log.lock().unwrap().contains(&"eos".to_owned()));
    }
}

#[test]
fn a_panic_in_a_future_is_contained_and_named() {
    struct Bad;
    impl Sink for Bad {
        fn run(self: Box<Self>, _: SinkCx) -> BoxFuture<'static, Result<()>> {
            Box::pin(async { panic!("no socket") })
        }
    }
    let mut b = Build::default();
    let src = b.add("src", ticker(5, &Arc::default()));
    let sink = b.add("bad", element(|_| Element::Sink(Box::new(Bad))));
    b.link(src, sink);
    let error = simulation(1).run(&b.graph).unwrap_err();
    assert_eq!(error.to_string(), "bad: panicked");
}

#[test]
fn stop_lets_an_asynchronous_source_finish_what_it_was_pushing() {
    let log = Log::default();
    let mut b = Build::default();
    let src = b.add("src", ticker(i64::MAX, &Arc::default()));
    let sink = b.add("sink", slow(&log, TimeDelta::from_millis(7)));
    b.link(src, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let (stopper, clock) = (pipeline.stopper(), runtime.env().clock.clone());
    runtime.block_on(async {
        let stop = async {
            clock.sleep_until(Time::from_millis(3000)).await;
            stopper.stop();
        };
        tokio::join!(pipeline.wait(), stop).0.unwrap();
    });
    let got = numbers(&log);
    assert_eq!(got, (0..got.len() as i64).collect::<Vec<_>>());
    assert_eq!(log.lock().unwrap().last().unwrap(), "eos");
}

/// A graph with every kind of task: a source thread, a tee, queues, an aggregate of its own task, a future as sink.
fn everything(first: &Log, second: &Log) -> Build {
    let mut b = Build::default();
    let (src, tee, q1, q2) =
        (b.add("src", counter(40)), b.add("tee", pass()), b.add("q1", small_queue(3)), b.add("q2", small_queue(2)));
    let (mux, sink, late) =
        (b.add("mux", mux()), b.add("sink", collector(first)), b.add("late", slow(second, TimeDelta::from_millis(1))));
    b.link(src, tee).link(tee, q1).link(tee, q2).link(tee, late).link(q1, mux).link(q2, mux).link(mux, sink);
    b
}

#[test]
fn cancelled_at_every_step_a_pipeline_ends_and_delivers_a_prefix() {
    let whole = Log::default();
    simulation(1).run(&everything(&whole, &Log::default()).graph).unwrap();
    let whole = whole.lock().unwrap().clone();
    let mut finished = false;
    for steps in 0.. {
        let (first, second) = (Log::default(), Log::default());
        let runtime = simulation(1);
        let mut pipeline = runtime.start(&everything(&first, &second).graph).unwrap();
        let stopper = pipeline.stopper();
        runtime.block_on(async {
            let cancel = async {
                for _ in 0..steps {
                    tokio::task::yield_now().await;
                }
                stopper.cancel();
            };
            tokio::join!(pipeline.wait(), cancel).0.unwrap();
        });
        let got = first.lock().unwrap().clone();
        assert_eq!(got[..], whole[..got.len()], "cancelled after {steps} steps");
        if got.len() == whole.len() {
            finished = true;
            break;
        }
        assert!(!got.contains(&"eos".to_owned()), "a cancelled stream is not a whole one");
        assert!(steps < 10_000, "the pipeline never gets to its end");
    }
    assert!(finished);
}

#[test]
fn futures_at_both_ends_are_cancelled_at_every_time_and_step() {
    let mut most = 0;
    for (ms, steps) in (0..40).flat_map(|ms| (0..8).map(move |steps| (ms, steps))) {
        let log = Log::default();
        let mut b = Build::default();
        let (src, pace) = (b.add("src", ticker(10, &Arc::default())), b.add("pace", paced()));
        let (q, sink) = (b.add("q", small_queue(1)), b.add("sink", slow(&log, TimeDelta::from_millis(3))));
        b.link(src, pace).link(pace, q).link(q, sink);
        let runtime = simulation(1);
        let mut pipeline = runtime.start(&b.graph).unwrap();
        let (stopper, clock) = (pipeline.stopper(), runtime.env().clock.clone());
        let ended = runtime.block_on(async {
            clock.sleep_until(Time::from_millis(ms)).await;
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            stopper.cancel();
            pipeline.wait().await.unwrap();
            clock.now()
        });
        assert_eq!(ended, Time::from_millis(ms), "at once, {ms} ms and {steps} steps");
        let got = numbers(&log);
        most = most.max(got.len());
        assert_eq!(got, (0..got.len() as i64).collect::<Vec<_>>(), "cancelled after {ms} ms and {steps} steps");
        assert!(!log.lock().unwrap().contains(&"eos".to_owned()), "{ms} ms is in the middle of it");
    }
    assert!(most > 2, "{most}");
}

#[test]
fn a_live_muxer_goes_on_at_its_deadline() {
    /// Waits 20 ms at the most for its second pad.
    struct Live;
    impl millstream_core::Aggregate for Live {
        fn step(
            &mut self,
            inbox: &mut millstream_core::Inbox,
            now: Time,
            out: &mut Output,
        ) -> Result<millstream_core::Need> {
            use millstream_core::Need;
            if inbox.is_done() {
                out.forward(Item::Eos);
                return Ok(Need::Done);
            }
            let ready = (0..2).map(PadId).find(|pad| inbox.peek(*pad).is_some());
            match ready {
                Some(pad) if inbox.starving().is_empty() || inbox.waiting_time() >= 20_000_000 => {
                    inbox.pop(pad).into_iter().for_each(|item| out.forward(item));
                    Ok(Need::Again)
                }
                _ => Ok(Need::PadsUntil(inbox.starving(), now + TimeDelta::from_millis(20))),
            }
        }
    }
    struct Silent;
    impl BlockingSource for Silent {
        fn produce(&mut self, out: &mut Output) -> Result<Produce> {
            if out.now() >= Time::from_millis(500) { Ok(Produce::Eos) } else { Ok(Produce::At(Time::from_millis(500))) }
        }
    }
    let log = Log::default();
    let mut b = Build::default();
    let src = b.add("src", live_counter(100, TimeDelta::from_millis(1)));
    let silent = b.add("silent", element(|_| Element::BlockingSource(Box::new(Silent))));
    let mux = b.add("mux", element(|_| Element::Aggregate(Box::new(Live))));
    let sink = b.add("sink", collector(&log));
    b.link(src, mux).link(silent, mux).link(mux, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let clock = runtime.env().clock.clone();
    runtime.block_on(async {
        let look = async {
            clock.sleep_until(Time::from_millis(200)).await;
            assert!(numbers(&log).len() > 50, "{} came through without the silent pad", numbers(&log).len());
        };
        tokio::join!(pipeline.wait(), look).0.unwrap();
    });
    assert_eq!(numbers(&log), (0..100).collect::<Vec<_>>());
}

#[test]
fn dropped_input_is_counted_by_reason_and_posted_once() {
    let mut b = Build::default();
    let src = b.add("src", counter(30));
    let picky = b.add(
        "picky",
        transform(|| {
            |_, item: Item, out: &mut Output| {
                if let Item::Buffer(buffer) = &item {
                    out.dropped("not to my taste", buffer.payload.len() as u64, Some(7));
                }
                Ok(Flow::Done)
            }
        }),
    );
    b.link(src, picky);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let mut bus = pipeline.bus().unwrap();
    runtime.block_on(pipeline.wait()).unwrap();
    let count = pipeline.drops()["picky"]["not to my taste"];
    assert_eq!((count.times, count.bytes), (30, 240));
    let mut posted = 0;
    while let Some(message) = bus.try_next() {
        posted += usize::from(matches!(message.kind, MessageKind::Dropped(_)));
    }
    assert_eq!(posted, 1);
}

#[test]
fn an_error_while_building_names_the_element() {
    let mut b = Build::default();
    b.add("good", counter(1));
    let factory = millstream_core::Factory::new::<NoSettings>("test", "Test", "Fails", |_, _| {
        Err(Error::settings("no such thing").hint("ask for another"))
    });
    b.graph.nodes[0].factory = Arc::new(factory);
    let error = simulation(1).start(&b.graph).err().unwrap();
    assert_eq!((error.to_string(), error.hint_text()), ("good: no such thing".into(), Some("ask for another")));
}
