//! The model, proved with graphs that would break a lesser one. All of them run on a simulated clock.

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use millstream_core::element::Leaky;
use millstream_core::{
    BlockingSource, BuildCx, Element, Error, Flow, Item, MessageKind, Need, Output, PadId, Presence, Produce,
    QueueLimits, Request, Result, Time, TimeDelta,
};
use millstream_runtime::TeardownLimits;

fn all(n: i64) -> Vec<i64> {
    (0..n).collect()
}

fn small_queue(buffers: usize) -> Shape {
    queue(QueueLimits { buffers, bytes: 0, time: 0, leaky: Leaky::No })
}

#[test]
fn a_chain_delivers_everything_in_order() {
    let log = Log::default();
    let mut b = Build::default();
    let (src, id, sink) = (b.add("src", counter(100)), b.add("id", pass()), b.add("sink", collector(&log)));
    b.link(src, id).link(id, sink);
    simulation(1).run(&b.graph).unwrap();
    let log_texts = log.lock().unwrap().clone();
    assert_eq!(log_texts[..2], ["stream-start", "caps video/x-test"]);
    assert_eq!(log_texts.last().unwrap(), "eos");
    assert_eq!(numbers(&log), all(100));
}

/// Each number twice: what comes out where two branches meet again.
fn twice(numbers: std::ops::Range<i64>) -> Vec<i64> {
    numbers.flat_map(|n| [n, n]).collect()
}

#[test]
fn a_diamond_delivers_all_and_ends_once() {
    for queues in 0..3 {
        let log = Log::default();
        let mut b = Build::default();
        let (src, tee) = (b.add("src", counter(50)), b.add("tee", pass()));
        let left = b.add("left", if queues > 0 { small_queue(3) } else { pass() });
        let right = b.add("right", if queues > 1 { small_queue(2) } else { pass() });
        let (mux, sink) = (b.add("mux", mux()), b.add("sink", collector(&log)));
        b.link(src, tee).link(tee, left).link(tee, right).link(left, mux).link(right, mux).link(mux, sink);
        simulation(1).run(&b.graph).unwrap();
        assert_eq!(numbers(&log), twice(0..50), "{queues} queues");
        let heard = log.lock().unwrap().clone();
        let ends: Vec<_> = (0..heard.len()).filter(|at| heard[*at] == "eos").collect();
        assert_eq!(ends, [heard.len() - 1], "{queues} queues");
    }
}

/// There are 2^40 ways through it, which planning must not take. It is not run: every item would come out as often.
#[test]
fn many_diamonds_in_a_row_are_planned_at_once() {
    let log = Log::default();
    let mut b = Build::default();
    let mut last = b.add("src", counter(0));
    for at in 0..40 {
        let [tee, left, right] = ["tee", "left", "right"].map(|name| b.add(&format!("{name}{at}"), pass()));
        let mux = b.add(&format!("mux{at}"), mux());
        b.link(last, tee).link(tee, left).link(tee, right).link(left, mux).link(right, mux);
        last = mux;
    }
    let sink = b.add("sink", collector(&log));
    b.link(last, sink);
    assert!(simulation(1).start(&b.graph).is_ok());
}

/// An encoder that needs `ahead` buffers before the first comes out.
fn look_ahead(ahead: usize) -> Shape {
    transform(move || {
        let mut held = VecDeque::new();
        move |_, item: Item, out: &mut Output| {
            match item {
                Item::Buffer(_) => {
                    held.push_back(item);
                    if held.len() > ahead {
                        held.pop_front().into_iter().for_each(|i| out.forward(i));
                    }
                }
                Item::Eos => {
                    held.drain(..).for_each(|i| out.forward(i));
                    out.forward(Item::Eos);
                }
                other => out.forward(other),
            }
            Ok(Flow::Done)
        }
    })
}

#[test]
fn an_encoder_with_look_ahead_beside_a_direct_branch_does_not_deadlock() {
    // 3000 buffers of a millisecond are 3 s; the direct branch has room for 4.
    for queued in [false, true] {
        let log = Log::default();
        let mut b = Build::default();
        let (src, tee, mux) = (b.add("src", counter(5000)), b.add("tee", pass()), b.add("mux", mux()));
        let (encoder, sink) = (b.add("encoder", look_ahead(3000)), b.add("sink", collector(&log)));
        b.link(src, tee);
        if queued {
            let (q1, q2) = (b.add("q1", small_queue(4)), b.add("q2", small_queue(4)));
            b.link(tee, q1).link(q1, encoder).link(tee, q2).link(encoder, mux).link(q2, mux);
        } else {
            b.link(tee, encoder).link(encoder, mux).link(tee, mux);
        }
        b.link(mux, sink);
        simulation(1).run(&b.graph).unwrap();
        assert_eq!(numbers(&log), twice(0..5000), "queued: {queued}");
    }
}

/// A demuxer with pads src0 and src1, of which only src0 has a stream.
fn lonely_demux() -> Shape {
    transform(|| {
        |_, item: Item, out: &mut Output| {
            match item {
                Item::StreamStart(_) => {
                    out.push(PadId(0), item);
                    out.streams_complete();
                }
                Item::Eos => out.forward(item),
                item => out.push(PadId(0), item),
            }
            Ok(Flow::Done)
        }
    })
    .with(|mut f| {
        f.pads.iter_mut().for_each(|p| p.presence = Presence::Sometimes);
        f
    })
}

#[test]
fn a_track_that_never_comes_stalls_nobody_and_is_named() {
    for queued in [false, true] {
        let (log, middle) = (Log::default(), Arc::new(AtomicUsize::new(0)));
        let mut b = Build::default();
        let src = b.add("src", live_counter(20, TimeDelta::from_millis(1)));
        let (demux, mux) = (b.add("demux", lonely_demux()), b.add("mux", mux()));
        let parse = b.add("parse", if queued { small_queue(1) } else { pass() });
        let sink = b.add("sink", collector(&log));
        b.link(src, demux).link(demux, mux).link(demux, parse).link(parse, mux).link(mux, sink);
        let runtime = simulation(1);
        let mut pipeline = runtime.start(&b.graph).unwrap();
        let mut bus = pipeline.bus().unwrap();
        let clock = runtime.env().clock.clone();
        runtime.block_on(async {
            let look = async {
                clock.sleep_until(Time::from_millis(10)).await;
                middle.store(numbers(&log).len(), Ordering::Relaxed);
            };
            futures_util::future::join(pipeline.wait(), look).await.0.unwrap();
        });
        assert_eq!(numbers(&log), all(20));
        assert!(middle.load(Ordering::Relaxed) > 5, "the muxer waits for the end: {middle:?} buffers in the middle");
        let mut warnings = Vec::new();
        while let Some(message) = bus.try_next() {
            if let MessageKind::Warning(e) = message.kind {
                warnings.push(e.to_string());
            }
        }
        assert_eq!(warnings, ["demux: the input has no stream for demux.src1, which feeds parse.sink0"]);
    }
}

#[test]
fn a_branch_added_late_hears_caps_first_and_starts_at_a_key_frame() {
    let (first, late) = (Log::default(), Log::default());
    let mut b = Build::default();
    let (src, tee) = (b.add("src", live_counter(100, TimeDelta::from_millis(1))), b.add("tee", pass()));
    let sink = b.add("sink", collector(&first));
    b.link(src, tee).link(tee, sink);
    let mut branch = Build::default();
    branch.add("late", collector(&late));
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    runtime.block_on(async {
        runtime.env().clock.sleep_until(Time::from_millis(33)).await;
        pipeline.add_branch("tee", &branch.graph).unwrap();
        pipeline.wait().await.unwrap();
    });
    // 33 to 39 came before the key frame.
    assert_eq!(pipeline.drops()["tee"]["late branch before its first key frame"].times, 7);
    assert_eq!(numbers(&first), all(100));
    let heard = late.lock().unwrap().clone();
    assert_eq!(heard[..3], ["stream-start", "caps video/x-test", "40"]);
    assert_eq!(heard.last().unwrap(), "eos");
    assert_eq!(numbers(&late), (40..100).collect::<Vec<_>>());
}

#[test]
fn a_slow_branch_behind_a_live_tee_drops_to_a_key_frame_and_hurts_nobody() {
    let (fast, slow) = (Log::default(), Log::default());
    let mut b = Build::default();
    let (src, tee) = (b.add("src", live_counter(200, TimeDelta::from_millis(1))), b.add("tee", pass()));
    let (q, drag) = (
        b.add("q", small_queue(8)),
        b.add(
            "drag",
            transform(|| {
                |_, item: Item, out: &mut Output| {
                    if matches!(item, Item::Buffer(_)) {
                        out.hold_until(out.now() + TimeDelta::from_millis(5));
                    }
                    out.forward(item);
                    Ok(Flow::Done)
                }
            }),
        ),
    );
    let (a, z) = (b.add("fast", collector(&fast)), b.add("slow", collector(&slow)));
    b.link(src, tee).link(tee, a).link(tee, q).link(q, drag).link(drag, z);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    runtime.block_on(pipeline.wait()).unwrap();
    assert_eq!(numbers(&fast), all(200));
    let got = numbers(&slow);
    assert!(got.len() < 100 && got.len() > 20, "{} arrived", got.len());
    let gaps: Vec<_> = got.windows(2).filter(|w| w[1] != w[0] + 1).map(|w| w[1]).collect();
    assert!(!gaps.is_empty() && gaps.iter().all(|n| n % 10 == 0), "goes on at key frames only: {gaps:?}");
    assert_eq!(slow.lock().unwrap().last().unwrap(), "eos", "the end is never dropped");
    let dropped: u64 = pipeline.links().iter().map(|l| l.dropped).sum();
    assert_eq!(dropped as usize + got.len(), 200, "every buffer arrived or was counted");
}

#[test]
fn files_wait_for_a_slow_branch_instead_of_dropping() {
    let log = Log::default();
    let mut b = Build::default();
    let (src, tee, q) = (b.add("src", counter(500)), b.add("tee", pass()), b.add("q", small_queue(2)));
    let (a, z) = (b.add("a", collector(&Log::default())), b.add("z", collector(&log)));
    b.link(src, tee).link(tee, a).link(tee, q).link(q, z);
    simulation(1).run(&b.graph).unwrap();
    assert_eq!(numbers(&log), all(500));
}

#[test]
fn caps_that_change_reach_everybody_in_order_and_are_checked() {
    let changing = || {
        transform(|| {
            |_, item: Item, out: &mut Output| {
                let at_ten = matches!(&item, Item::Buffer(b) if b.pts == Some(Time::from_millis(10)));
                if at_ten {
                    out.forward(Item::Caps("video/x-test, width=2".parse().unwrap()));
                }
                out.forward(item);
                Ok(Flow::Done)
            }
        })
    };
    let log = Log::default();
    let mut b = Build::default();
    let (src, change) = (b.add("src", counter(20)), b.add("change", changing()));
    let (q, sink) = (b.add("q", small_queue(3)), b.add("sink", collector(&log)));
    b.link(src, change).link(change, q).link(q, sink);
    simulation(1).run(&b.graph).unwrap();
    let heard = log.lock().unwrap().clone();
    assert_eq!(heard.iter().position(|t| t == "caps video/x-test, width=2"), Some(12), "after 0..=9 and two headers");

    b.graph.links[1].filter = Some("video/x-test, width=1".parse().unwrap());
    let error = simulation(1).run(&b.graph).unwrap_err();
    assert_eq!(
        error.to_string(),
        "change: change.src0 became video/x-test, width=2, which q.sink0 cannot take: width is 2, and has to be 1"
    );
}

#[test]
fn a_sink_that_blocks_for_ever_is_named_and_left_behind() {
    let runtime = millstream_runtime::Runtime::new().unwrap().with_teardown_limits(TeardownLimits {
        drain: TimeDelta::from_millis(50),
        cancel: TimeDelta::from_millis(50),
        ..TeardownLimits::default()
    });
    let mut b = Build::default();
    let src = b.add("src", counter(10));
    let hangs = transform(|| {
        |_, _: Item, _: &mut Output| loop {
            std::thread::park();
        }
    });
    let sink = b.add("stuck", hangs.with(millstream_core::Factory::blocks_on_io));
    b.link(src, sink);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    pipeline.stop();
    let error = runtime.block_on(pipeline.wait()).unwrap_err();
    assert!(error.to_string().contains("element `stuck` did not finish"), "{error}");
    runtime.shut_down();
}

#[test]
fn a_panic_becomes_the_error_of_its_element() {
    let mut b = Build::default();
    let src = b.add("src", counter(10));
    let bad = b.add("bad", transform(|| |_, _: Item, _: &mut Output| panic!("division of labour")));
    b.link(src, bad);
    let error = simulation(1).run(&b.graph).unwrap_err();
    assert_eq!(error.to_string(), "bad: panicked: division of labour");
}

#[test]
fn an_error_ends_the_other_tasks_too() {
    let log = Log::default();
    let mut b = Build::default();
    let (good, bad) = (b.add("good", live_counter(-1, TimeDelta::from_millis(1))), b.add("bad", counter(5)));
    let (sink, fail) = (
        b.add("sink", collector(&log)),
        b.add(
            "fail",
            transform(|| {
                |_, item: Item, _: &mut Output| match item {
                    Item::Buffer(_) => Err(Error::malformed("bits fell over").at(7)),
                    _ => Ok(Flow::Done),
                }
            }),
        ),
    );
    b.link(good, sink).link(bad, fail);
    let error = simulation(1).run(&b.graph).unwrap_err();
    assert_eq!(error.to_string(), "fail: bits fell over (at byte 7)");
}

#[test]
fn stop_ends_endless_sources_and_finishes_sinks() {
    let log = Log::default();
    let mut b = Build::default();
    let (src, q) = (b.add("src", live_counter(-1, TimeDelta::from_millis(10))), b.add("q", small_queue(4)));
    let sink = b.add("sink", collector(&log));
    b.link(src, q).link(q, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    let stopper = pipeline.stopper();
    let clock = runtime.env().clock.clone();
    runtime.block_on(async move {
        let stop = async {
            clock.sleep_until(Time::from_millis(1005)).await;
            stopper.stop();
        };
        let (end, ()) = futures_util::future::join(pipeline.wait(), stop).await;
        end.unwrap();
    });
    assert_eq!(numbers(&log), all(101));
    assert_eq!(log.lock().unwrap().last().unwrap(), "eos");
}

/// A source that starts over when asked to seek.
struct Seekable {
    next: i64,
    started: bool,
}

impl BlockingSource for Seekable {
    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        if !std::mem::replace(&mut self.started, true) {
            out.forward(Item::StreamStart(Default::default()));
        }
        if self.next == 1000 {
            return Ok(Produce::Eos);
        }
        out.forward(Item::buffer(buffer(self.next)));
        self.next += 1;
        Ok(Produce::More)
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        if let Request::Seek { epoch, .. } = request {
            self.next = 900;
            out.forward(Item::Flush(epoch));
        }
        Ok(())
    }
}

#[test]
fn a_flush_through_a_diamond_voids_what_is_under_way() {
    let log = Log::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let seeks = asked.clone();
    let seeker = transform(move || {
        let seeks = seeks.clone();
        move |_, item: Item, out: &mut Output| {
            if matches!(&item, Item::Buffer(b) if b.pts == Some(Time::from_millis(50)))
                && seeks.fetch_add(1, Ordering::Relaxed) == 0
            {
                out.request_all(Request::Seek { to: millstream_core::item::SeekTo::Byte(900), epoch: 1 });
            }
            out.forward(item);
            Ok(Flow::Done)
        }
    });
    let mut b = Build::default();
    let src =
        b.add("src", element(|_: &BuildCx| Element::BlockingSource(Box::new(Seekable { next: 0, started: false }))));
    let (tee, q, mux) = (b.add("tee", pass()), b.add("q", small_queue(4)), b.add("mux", mux()));
    let (direct, seeker, sink) = (b.add("direct", pass()), b.add("seeker", seeker), b.add("sink", collector(&log)));
    b.link(src, tee).link(tee, q).link(q, mux).link(tee, direct).link(direct, mux).link(mux, seeker).link(seeker, sink);
    simulation(1).run(&b.graph).unwrap();
    let heard = log.lock().unwrap().clone();
    let flush = heard.iter().position(|t| t == "flush 1").expect("the flush arrives");
    assert_eq!(heard.iter().filter(|t| t.starts_with("flush")).count(), 1, "once, though it came on two branches");
    let after: Vec<i64> = heard[flush..].iter().filter_map(|t| t.parse().ok()).collect();
    assert_eq!(after, twice(900..1000), "nothing of before the flush comes after it");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let log = Log::default();
        let mut b = Build::default();
        let (src, tee) = (b.add("src", live_counter(300, TimeDelta::from_millis(1))), b.add("tee", pass()));
        let (q1, q2, mux) = (b.add("q1", small_queue(3)), b.add("q2", small_queue(5)), b.add("mux", mux()));
        let sink = b.add("sink", collector(&log));
        b.link(src, tee).link(tee, q1).link(tee, q2).link(q1, mux).link(q2, mux).link(mux, sink);
        simulation(9).run(&b.graph).unwrap();
        log
    };
    let (first, second) = (run(), run());
    assert_eq!(*first.lock().unwrap(), *second.lock().unwrap());
}

/// Takes its pads one after the other, and notes how much waited on the others meanwhile.
struct OneByOne {
    at: u16,
    most: Arc<AtomicUsize>,
}

impl millstream_core::Aggregate for OneByOne {
    fn step(&mut self, inbox: &mut millstream_core::Inbox, _: Time, out: &mut Output) -> Result<Need> {
        self.most.fetch_max(inbox.len(PadId(1 - self.at)), Ordering::Relaxed);
        match inbox.pop(PadId(self.at)) {
            Some(item @ Item::Buffer(_)) => out.forward(item),
            Some(_) => {}
            None if !inbox.is_over(PadId(self.at)) => return Ok(Need::Pads([PadId(self.at)].into_iter().collect())),
            None if self.at == 0 => self.at = 1,
            None => {
                out.forward(Item::Eos);
                return Ok(Need::Done);
            }
        }
        Ok(Need::Again)
    }
}

#[test]
fn a_source_whose_turn_has_not_come_is_held_back() {
    let (log, most) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    let noted = most.clone();
    let mut b = Build::default();
    let (first, second) = (b.add("first", counter(5000)), b.add("second", counter(5000)));
    let concat =
        b.add("concat", element(move |_| Element::Aggregate(Box::new(OneByOne { at: 0, most: noted.clone() }))));
    let sink = b.add("sink", collector(&log));
    b.link(first, concat).link(second, concat).link(concat, sink);
    simulation(1).run(&b.graph).unwrap();
    assert_eq!(numbers(&log), all(5000).into_iter().chain(all(5000)).collect::<Vec<_>>());
    assert!(most.load(Ordering::Relaxed) < 1000, "{most:?} buffers waited for their turn");
}

#[test]
fn half_a_stream_never_looks_like_a_whole_one() {
    let log = Log::default();
    let mut b = Build::default();
    let (src, q, sink) = (b.add("src", counter(100)), b.add("q", small_queue(200)), b.add("sink", collector(&log)));
    let fail = b.add(
        "fail",
        transform(|| {
            |_, item: Item, out: &mut Output| {
                if matches!(&item, Item::Buffer(b) if b.pts == Some(Time::from_millis(50))) {
                    return Err(Error::malformed("no more"));
                }
                out.forward(item);
                Ok(Flow::Done)
            }
        }),
    );
    b.link(src, fail).link(fail, q).link(q, sink);
    assert!(simulation(1).run(&b.graph).is_err());
    assert!(!log.lock().unwrap().contains(&"eos".to_owned()), "a sink must not finish its file");
}

#[test]
fn latencies_add_up_along_the_longest_path() {
    let late = |ms| pass().with(|factory| factory.latency(TimeDelta::from_millis(ms)));
    let log = Log::default();
    let mut b = Build::default();
    let (src, tee) = (b.add("src", counter(5)), b.add("tee", late(10)));
    let (left, right) = (b.add("left", late(40)), b.add("right", late(25)));
    let (mux, sink) = (b.add("mux", mux()), b.add("sink", collector(&log)));
    b.link(src, tee).link(tee, left).link(tee, right).link(left, mux).link(right, mux).link(mux, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    assert_eq!(pipeline.latency(), TimeDelta::from_millis(50), "not 75: the branches run side by side");
    runtime.block_on(pipeline.wait()).unwrap();
}

#[test]
fn a_latency_that_an_element_tells_counts_in_place_of_the_declared_one() {
    let tells = transform(|| {
        |_, item: Item, out: &mut Output| {
            if matches!(item, Item::Buffer(_)) {
                out.post(MessageKind::Latency(TimeDelta::from_millis(70)));
            }
            out.forward(item);
            Ok(Flow::Done)
        }
    });
    let tells = tells.with(|factory| factory.latency(TimeDelta::from_millis(20)));
    let log = Log::default();
    let mut b = Build::default();
    let (src, late) = (b.add("src", counter(5)), b.add("late", pass().with(|f| f.latency(TimeDelta::from_millis(5)))));
    let (tells, sink) = (b.add("tells", tells), b.add("sink", collector(&log)));
    b.link(src, late).link(late, tells).link(tells, sink);
    let runtime = simulation(1);
    let mut pipeline = runtime.start(&b.graph).unwrap();
    assert_eq!(pipeline.latency(), TimeDelta::from_millis(25), "before it runs");
    runtime.block_on(pipeline.wait()).unwrap();
    assert_eq!(pipeline.latency(), TimeDelta::from_millis(75));
}
