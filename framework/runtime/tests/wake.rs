//! Elements whose work goes on in threads of their own are called when those ask for it, and hold back their inputs.

#![allow(clippy::unwrap_used, reason = "the elements of a test may fail as loudly as the test")]

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use common::*;
use millstream_core::{
    Aggregate, Element, Factory, Inbox, Item, Need, Output, PadId, PadSet, Result, Time, WakeHandle,
};
use millstream_runtime::Runtime;

/// Items that the worker may have at a time.
const ROOM: usize = 4;

/// Gives every item to a thread, and sends what comes back.
struct Offload {
    to_worker: Option<mpsc::Sender<Item>>,
    done: Arc<Mutex<VecDeque<Item>>>,
    under_way: usize,
    /// The most that waited in the inbox.
    most: Arc<AtomicUsize>,
}

impl Offload {
    fn new(wake: WakeHandle, most: Arc<AtomicUsize>) -> Self {
        let (to_worker, work) = mpsc::channel::<Item>();
        let done = Arc::<Mutex<VecDeque<Item>>>::default();
        let shelf = done.clone();
        std::thread::spawn(move || {
            for item in work {
                shelf.lock().unwrap().push_back(item);
                wake.wake();
            }
        });
        Self { to_worker: Some(to_worker), done, under_way: 0, most }
    }
}

impl Aggregate for Offload {
    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        for item in self.done.lock().unwrap().drain(..) {
            self.under_way -= 1;
            out.forward(item);
        }
        self.most.fetch_max(inbox.len(PadId(0)), Ordering::Relaxed);
        while self.under_way < ROOM
            && let Some(item) = inbox.pop(PadId(0))
        {
            self.under_way += 1;
            self.to_worker.as_ref().unwrap().send(item).unwrap();
        }
        if inbox.is_done() && self.under_way == 0 {
            self.to_worker = None;
            out.forward(Item::Eos);
            return Ok(Need::Done);
        }
        let wanted = if self.under_way < ROOM && !inbox.is_over(PadId(0)) {
            PadSet::from_iter([PadId(0)])
        } else {
            PadSet::empty()
        };
        Ok(Need::Wake(wanted))
    }
}

#[test]
fn a_worker_thread_wakes_its_element_and_nothing_is_lost() {
    let most = Arc::<AtomicUsize>::default();
    let log = Log::default();
    let mut build = Build::default();
    let source = build.add("source", counter(3000));
    let kept = most.clone();
    let shape = element(move |cx| Element::Aggregate(Box::new(Offload::new(cx.wake_handle(), kept.clone()))));
    let offload = build.add("offload", shape.with(Factory::burns_compute));
    let sink = build.add("sink", collector(&log));
    build.link(source, offload).link(offload, sink);
    let runtime = Runtime::new().unwrap();
    let mut pipeline = runtime.start(&build.graph).unwrap();
    runtime.block_on(pipeline.wait()).unwrap();
    assert_eq!(numbers(&log), (0..3000).collect::<Vec<_>>());
    assert_eq!(log.lock().unwrap().last().map(String::as_str), Some("eos"));
    // The link before it holds 256, and a batch of 64 may be under way.
    let most = most.load(Ordering::Relaxed);
    assert!(most <= 256 + 64, "{most} items waited: the source was not held back");
}
