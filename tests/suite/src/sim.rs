//! Whole pipelines on a virtual clock and files in memory.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use millstream_core::env::BoxFuture;
use millstream_core::{Buffer, Caps, Error, Fs, Item, Message, MessageKind, Registry, Result, TimeDelta};
use millstream_graph::{Graph, load_launch};
use millstream_runtime::{DropCount, LinkReport, Runtime};
use millstream_testkit::MemFs;

use crate::elements::{Collected, registry};

/// Virtual time after which a pipeline is taken to hang: longer than any media of a test.
pub const PATIENCE: TimeDelta = TimeDelta::from_secs(48 * 3600);

/// A run that has ended.
pub struct Outcome {
    /// How it ended.
    pub result: Result<()>,
    /// What each `collect` received, by its name.
    pub items: BTreeMap<String, Vec<Item>>,
    /// What elements left out.
    pub drops: BTreeMap<String, BTreeMap<&'static str, DropCount>>,
    /// Counters of every link.
    pub links: Vec<LinkReport>,
    /// The bus.
    pub messages: Vec<Message>,
}

/// Runs a launch line on files in memory.
///
/// # Panics
/// When the line is wrong, or the pipeline hangs.
pub fn simulate(fs: &MemFs, line: &str) -> Outcome {
    simulate_with(&registry(), Arc::new(fs.clone()), line, 1)
}

/// Runs a launch line of the elements of a registry, with a seed.
///
/// # Panics
/// When the line is wrong, or the pipeline hangs.
pub fn simulate_with(registry: &Registry, fs: Arc<dyn Fs>, line: &str, seed: u64) -> Outcome {
    let loaded = load_launch(line, registry).unwrap_or_else(|e| panic!("{e}"));
    run(&loaded.graph, fs, seed).unwrap_or_else(|hang| panic!("{hang}\n{line}"))
}

/// Runs a graph; `Err` says where it hangs.
///
/// # Errors
/// When it does not end within [`PATIENCE`] of virtual time.
pub fn run(graph: &Graph, fs: Arc<dyn Fs>, seed: u64) -> Result<Outcome, String> {
    let runtime = Runtime::simulated(seed, fs).map_err(|e| e.to_string())?;
    let mut pipeline = match runtime.start(graph) {
        Ok(pipeline) => pipeline,
        Err(error) => return Ok(Outcome::failed(error)),
    };
    let collectors: Vec<(String, Collected)> = graph
        .nodes
        .iter()
        .filter_map(|node| Some((node.name.to_string(), pipeline.handle::<Collected>(&node.name)?)))
        .collect();
    let mut bus = pipeline.bus();
    let deadline = runtime.env().clock.now() + PATIENCE;
    let result = runtime.block_on(async {
        let alarm = runtime.env().clock.sleep_until(deadline);
        race(pipeline.wait(), alarm).await
    });
    let links = pipeline.links();
    let Some(result) = result else { return Err(format!("the pipeline hangs: {}", levels(&links))) };
    let messages = std::iter::from_fn(|| bus.as_mut()?.try_next()).collect();
    let items = collectors.into_iter().map(|(name, collected)| (name, collected.take())).collect();
    Ok(Outcome { result, items, drops: pipeline.drops(), links, messages })
}

/// The result of a future, or `None` when the alarm comes first.
pub async fn race<T>(future: impl Future<Output = T>, alarm: BoxFuture<'static, ()>) -> Option<T> {
    let (mut future, mut alarm) = (pin!(future), alarm);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
    })
    .await
}

fn levels(links: &[LinkReport]) -> String {
    links.iter().map(|l| format!("{} -> {}: {} passed, {} wait\n", l.from, l.to, l.buffers, l.level)).collect()
}

impl Outcome {
    fn failed(error: Error) -> Self {
        Self {
            result: Err(error),
            items: BTreeMap::new(),
            drops: BTreeMap::new(),
            links: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The same, if it ended well.
    ///
    /// # Panics
    /// When it did not.
    pub fn ok(self, what: &str) -> Self {
        if let Err(error) = &self.result {
            panic!("{what}: {error}");
        }
        self
    }

    /// Everything a `collect` received.
    pub fn items(&self, name: &str) -> &[Item] {
        self.items.get(name).map_or(&[], Vec::as_slice)
    }

    /// The buffers a `collect` received.
    pub fn buffers(&self, name: &str) -> Vec<&Buffer> {
        self.items(name).iter().filter_map(as_buffer).collect()
    }

    /// The last caps a `collect` received.
    pub fn caps(&self, name: &str) -> Option<&Caps> {
        self.items(name).iter().rev().find_map(|item| if let Item::Caps(caps) = item { Some(caps) } else { None })
    }

    /// Warnings, as text.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |m: &Message| match &m.kind {
            MessageKind::Warning(error) => Some(format!("{}: {error}", m.element)),
            _ => None,
        };
        self.messages.iter().filter_map(warning).collect()
    }

    /// Bytes that elements left out and counted.
    pub fn dropped_bytes(&self) -> u64 {
        self.drops.values().flat_map(BTreeMap::values).map(|count| count.bytes).sum()
    }

    /// Bytes that passed the link into this pad (`element.pad`).
    pub fn bytes_into(&self, to: &str) -> u64 {
        self.links.iter().filter(|link| link.to == to).map(|link| link.bytes).sum()
    }
}

/// The bytes of buffers one after the other.
pub fn bytes_of<'a>(buffers: impl IntoIterator<Item = &'a Buffer>) -> Bytes {
    let mut all = Vec::new();
    for buffer in buffers {
        buffer.payload.slices().iter().for_each(|slice| all.extend_from_slice(slice));
    }
    all.into()
}

fn as_buffer(item: &Item) -> Option<&Buffer> {
    if let Item::Buffer(buffer) = item { Some(buffer) } else { None }
}
