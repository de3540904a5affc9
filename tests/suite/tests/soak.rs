//! Random graphs on the virtual clock: whatever the shape, the limits and the moment at which it is stopped, buffers keep their
//! order, none vanishes uncounted, and everything ends.
//!
//! `MILLSTREAM_SOAK_SEEDS` says how many seeds each test runs; a failure names the seed and the launch line.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails as loudly as the test")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use millstream_core::{Buffer, Item, Registry, Result, Time, TimeDelta};
use millstream_graph::{Graph, load_launch};
use millstream_runtime::{CANCEL_LIMIT, DRAIN_LIMIT, LinkReport, Runtime, Stopper};
use millstream_testkit::MemFs;
use millstream_tests::elements::{self, Collected, tripwire};
use millstream_tests::random::Random;
use millstream_tests::sim;

/// Seeds of each test when the environment does not say.
const SEEDS: u64 = 40;

/// A random graph as a launch line.
struct Plan {
    line: String,
    /// Buffers of each source, by its number.
    counts: Vec<u32>,
    /// Nothing may be left out.
    lossless: bool,
}

/// How a graph may be made.
#[derive(Clone, Copy)]
struct Taste {
    /// Queues that leave something out, and live sources.
    lossy: bool,
    /// A `tripwire` behind the first source.
    tripwire: bool,
    /// Steps of growth.
    steps: u64,
}

impl Plan {
    fn random(random: &mut Random, taste: Taste) -> Self {
        let mut plan = Self { line: String::new(), counts: Vec::new(), lossless: !taste.lossy };
        let mut ends = Vec::new();
        for id in 0..=random.below(3) {
            let count = 1 + random.below(150) as u32;
            let (interval, key) = (1 + random.below(40), 1 + random.below(12));
            let live = taste.lossy && random.one_in(2);
            plan.add(&format!("counter name=s{id} id={id} count={count} interval={interval}ms key={key} live={live}"));
            plan.counts.push(count);
            ends.push(format!("s{id}"));
        }
        if taste.tripwire {
            plan.add("s0. ! tripwire name=wire");
            ends[0] = "wire".into();
        }
        for step in 0..taste.steps {
            plan.grow(random, taste, step, &mut ends);
        }
        for (n, end) in ends.iter().enumerate() {
            plan.add(&format!("{end}. ! collect name=c{n}"));
        }
        plan
    }

    fn add(&mut self, text: &str) {
        writeln!(self.line, "{text}").expect("a string takes everything");
    }

    fn grow(&mut self, random: &mut Random, taste: Taste, step: u64, ends: &mut Vec<String>) {
        let at = random.below(ends.len() as u64) as usize;
        let end = ends[at].clone();
        let name = format!("e{step}");
        match random.below(10) {
            0 | 1 => {
                self.add(&format!("{end}. ! tee name={name}"));
                ends.swap_remove(at);
                for branch in 0..2 + random.below(2) {
                    // The tag tells later which way a buffer came.
                    let tag = step * 4 + branch;
                    self.add(&format!("{name}. ! tag name={name}b{branch} id={tag}"));
                    ends.push(format!("{name}b{branch}"));
                }
            }
            2 | 3 if ends.len() > 1 => {
                let kind = random.pick(&["merge", "funnel"]);
                self.add(&format!("{kind} name={name}"));
                for _ in 0..(2 + random.below(2)).min(ends.len() as u64) {
                    let end = ends.swap_remove(random.below(ends.len() as u64) as usize);
                    self.add(&format!("{end}. ! {name}."));
                }
                ends.push(name);
            }
            kind => {
                let element = match kind {
                    4 => "identity".to_owned(),
                    5 => format!("lookahead buffers={}", random.below(60)),
                    6 => format!("tardy time={}ms", random.below(30)),
                    _ => queue(random, taste.lossy),
                };
                self.add(&format!("{end}. ! {element} name={name}"));
                ends[at] = name;
            }
        }
    }
}

fn queue(random: &mut Random, lossy: bool) -> String {
    let buffers = *random.pick(&[0, 1, 2, 3, 7, 50]);
    let bytes = *random.pick(&[0, 5, 20, 1000]);
    let time = *random.pick(&["0s", "10ms", "1s"]);
    let leaky = if lossy { *random.pick(&["no", "no", "upstream", "downstream", "keyframe"]) } else { "no" };
    format!("queue max-size-buffers={buffers} max-size-bytes={bytes} max-size-time={time} leaky={leaky}")
}

fn seeds() -> u64 {
    std::env::var("MILLSTREAM_SOAK_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS)
}

fn graph_of(plan: &Plan, registry: &Registry) -> Graph {
    load_launch(&plan.line, registry).unwrap_or_else(|e| panic!("{e}\n{}", plan.line)).graph
}

/// Which source a buffer is from and which way it came, and its number there.
fn identity_of(buffer: &Buffer) -> (Vec<u8>, u32) {
    let bytes = buffer.payload.contiguous();
    let number = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
    let way = [&bytes[..1], &bytes[5..]].concat();
    (way, number)
}

/// The numbers that came each way, in the order of arrival.
fn ways(items: &[Item]) -> BTreeMap<Vec<u8>, Vec<u32>> {
    let mut ways: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for item in items {
        if let Item::Buffer(buffer) = item {
            let (way, number) = identity_of(buffer);
            ways.entry(way).or_default().push(number);
        }
    }
    ways
}

/// Order on every way, sticky items first, nothing after the end.
fn assert_order(items: &[Item], place: &str) {
    for (way, numbers) in ways(items) {
        assert!(numbers.is_sorted_by(|a, b| a < b), "order on the way {way:?} {place}: {numbers:?}");
    }
    let end = items.iter().position(|item| matches!(item, Item::Eos));
    assert!(end.is_none_or(|at| at == items.len() - 1), "items after the end {place}");
    let first_buffer = items.iter().position(|item| matches!(item, Item::Buffer(_))).unwrap_or(items.len());
    let start = items.iter().position(|item| matches!(item, Item::StreamStart(_)));
    assert!(first_buffer == items.len() || start.is_some_and(|at| at < first_buffer), "no stream start {place}");
}

/// What goes into each element comes out, or is counted by the link that left it out.
fn assert_nothing_uncounted(graph: &Graph, links: &[LinkReport], place: &str) {
    for (at, node) in graph.nodes.iter().enumerate() {
        let element_of = |pad: &str| pad.split('.').next().unwrap_or_default().to_owned();
        let into: Vec<_> = links.iter().filter(|l| element_of(&l.to) == *node.name).collect();
        let out: Vec<_> = links.iter().filter(|l| element_of(&l.from) == *node.name).collect();
        if into.is_empty() || out.is_empty() {
            continue;
        }
        let received: u64 = into.iter().map(|l| l.buffers - l.dropped.min(l.buffers)).sum();
        for link in &out {
            assert_eq!(
                link.buffers, received,
                "{} of {}: {into:#?}\n{out:#?} {place}",
                link.from, graph.nodes[at].factory.name
            );
        }
    }
}

#[test]
fn soak_lossless_graphs_deliver_everything_in_order() {
    let registry = elements::registry();
    for seed in 0..seeds() {
        let mut random = Random::new(seed);
        let steps = 1 + random.below(14);
        let plan = Plan::random(&mut random, Taste { lossy: false, tripwire: false, steps });
        let place = format!("in seed {seed}:\n{}", plan.line);
        let graph = graph_of(&plan, &registry);
        let run = sim::run(&graph, Arc::new(MemFs::new()), seed).unwrap_or_else(|hang| panic!("{hang} {place}"));
        let run = run.ok(&place);
        assert!(plan.lossless && run.links.iter().all(|link| link.dropped == 0), "left out {place}");
        for (name, items) in &run.items {
            assert_order(items, &format!("into {name} {place}"));
            assert!(matches!(items.last(), Some(Item::Eos)), "no end at {name} {place}");
            for (way, numbers) in ways(items) {
                let count = plan.counts[usize::from(way[0])];
                assert_eq!(numbers.len(), count as usize, "{name} misses some of the way {way:?} {place}");
            }
        }
        assert_nothing_uncounted(&graph, &run.links, &place);
    }
}

#[test]
fn soak_lossy_graphs_count_what_they_leave_out() {
    let registry = elements::registry();
    let mut left_out = 0;
    for seed in 0..seeds() {
        let mut random = Random::new(seed ^ 0x5EED);
        let steps = 1 + random.below(14);
        let plan = Plan::random(&mut random, Taste { lossy: true, tripwire: false, steps });
        let place = format!("in seed {seed}:\n{}", plan.line);
        let graph = graph_of(&plan, &registry);
        let run = sim::run(&graph, Arc::new(MemFs::new()), seed).unwrap_or_else(|hang| panic!("{hang} {place}"));
        let run = run.ok(&place);
        for (name, items) in &run.items {
            assert_order(items, &format!("into {name} {place}"));
            assert!(matches!(items.last(), Some(Item::Eos)), "no end at {name} {place}");
        }
        assert_nothing_uncounted(&graph, &run.links, &place);
        left_out += run.links.iter().map(|link| link.dropped).sum::<u64>();
    }
    assert!(left_out > 0, "no graph left anything out: the test proves nothing");
}

#[test]
fn soak_the_same_seed_gives_the_same_run() {
    let registry = elements::registry();
    for seed in 0..seeds() / 4 {
        let mut random = Random::new(seed ^ 0xD0);
        let plan = Plan::random(&mut random, Taste { lossy: true, tripwire: false, steps: 10 });
        let graph = graph_of(&plan, &registry);
        let run = || {
            let run =
                sim::run(&graph, Arc::new(MemFs::new()), seed).unwrap_or_else(|hang| panic!("{hang}\n{}", plan.line));
            let came: Vec<_> = run.items.iter().map(|(name, items)| (name.clone(), ways(items))).collect();
            (came, run.links)
        };
        assert_eq!(run(), run(), "seed {seed}\n{}", plan.line);
    }
}

/// How a run is interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    /// Sources end, the rest drains.
    Drain,
    /// Everything leaves at once.
    Cancel,
    /// The pipeline is dropped.
    Drop,
}

/// Runs a plan that pulls the trigger before item `at` passes its tripwire; says whether it was pulled.
fn interrupted(plan: &Plan, stop: Stop, at: u64, place: &str) -> bool {
    let target: Arc<Mutex<Option<Stopper>>> = Arc::default();
    let pulled = Arc::new(Mutex::new(false));
    let trigger = {
        let (target, pulled) = (target.clone(), pulled.clone());
        move || {
            *pulled.lock().unwrap() = true;
            if let Some(stopper) = &*target.lock().unwrap() {
                if stop == Stop::Drain { stopper.stop() } else { stopper.cancel() }
            }
        }
    };
    let mut registry = elements::registry();
    registry.add(tripwire(at, Arc::new(trigger)));
    let graph = graph_of(plan, &registry);
    let runtime = Runtime::simulated(at, Arc::new(MemFs::new())).unwrap();
    let mut pipeline = runtime.start(&graph).unwrap();
    *target.lock().unwrap() = Some(pipeline.stopper());
    let names = graph.nodes.iter().map(|node| node.name.clone());
    let collected: Vec<(String, Collected)> =
        names.filter_map(|name| Some((name.to_string(), pipeline.handle(&name)?))).collect();
    let result = ends_in_time(&runtime, pipeline.wait(), place);
    let pulled = *pulled.lock().unwrap();
    assert!(result.is_ok(), "{} {place}", result.unwrap_err());
    for (name, collected) in collected {
        let items = collected.take();
        assert_order(&items, &format!("into {name} {place}"));
        if stop == Stop::Drain || !pulled {
            assert!(matches!(items.last(), Some(Item::Eos)), "no end at {name} {place}");
        }
        if plan.lossless {
            for (way, numbers) in ways(&items) {
                let whole = numbers.iter().enumerate().all(|(n, number)| n as u32 == *number);
                assert!(whole, "a hole on the way {way:?} into {name} {place}");
            }
        }
    }
    pulled
}

/// The result of a pipeline, which has to come within the limits of teardown and the time of its media.
fn ends_in_time(runtime: &Runtime, wait: impl Future<Output = Result<()>>, place: &str) -> Result<()> {
    let clock = runtime.env().clock.clone();
    let media = TimeDelta::from_secs(600);
    let deadline: Time = clock.now() + DRAIN_LIMIT + CANCEL_LIMIT + media;
    let ended = runtime.block_on(async { sim::race(wait, clock.sleep_until(deadline)).await });
    ended.unwrap_or_else(|| panic!("it does not end {place}"))
}

#[test]
fn soak_stop_and_cancel_at_every_item() {
    for seed in 0..seeds() / 10 {
        for stop in [Stop::Drain, Stop::Cancel] {
            let mut random = Random::new(seed ^ 0xCA);
            let taste = Taste { lossy: seed % 3 == 2, tripwire: true, steps: 6 };
            let plan = Plan::random(&mut random, taste);
            let mut at = 0;
            while interrupted(&plan, stop, at, &format!("{stop:?} at item {at} of seed {seed}:\n{}", plan.line)) {
                at += 1;
            }
            assert!(at > 3, "the tripwire of seed {seed} sees every item");
        }
    }
}

/// Lets the other tasks run once.
async fn one_round() {
    let mut again = true;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut again, false) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

#[test]
fn soak_stop_cancel_and_drop_after_every_round_of_the_scheduler() {
    let registry = elements::registry();
    for seed in 0..seeds() / 8 {
        let mut random = Random::new(seed ^ 0xABBA);
        let plan = Plan::random(&mut random, Taste { lossy: seed % 2 == 1, tripwire: false, steps: 8 });
        let graph = graph_of(&plan, &registry);
        for stop in [Stop::Drain, Stop::Cancel, Stop::Drop] {
            for rounds in 0..60 {
                let place = format!("{stop:?} after {rounds} rounds in seed {seed}:\n{}", plan.line);
                let runtime = Runtime::simulated(seed, Arc::new(MemFs::new())).unwrap();
                let mut pipeline = runtime.start(&graph).unwrap();
                runtime.block_on(async {
                    for _ in 0..rounds {
                        one_round().await;
                    }
                });
                match stop {
                    Stop::Drain => pipeline.stop(),
                    Stop::Cancel => pipeline.stopper().cancel(),
                    Stop::Drop => {
                        drop(pipeline);
                        continue;
                    }
                }
                let result = ends_in_time(&runtime, pipeline.wait(), &place);
                assert!(result.is_ok(), "{} {place}", result.unwrap_err());
            }
        }
    }
}
