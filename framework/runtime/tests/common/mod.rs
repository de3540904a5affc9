//! Small elements and graphs for the runtime's own tests: no element crate is needed to prove the runtime.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "test support: each file uses its part"
)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use millstream_core::env::{ReadFile, WriteFile};
use millstream_core::settings::Span;
use millstream_core::{
    Aggregate, BlockingSource, Buffer, BufferFlags, BuildCx, CapsSet, Element, Factory, Flow, Fs, Item, Need, Output,
    PadId, PadTemplate, Produce, Result, StreamInfo, Time, TimeDelta, Transform,
};
use millstream_graph::{Endpoint, Graph, Link, Node, Settings};
use millstream_runtime::Runtime;

/// No files.
pub struct NoFs;

impl Fs for NoFs {
    fn open(&self, _: &Path) -> io::Result<Box<dyn ReadFile>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn create(&self, _: &Path) -> io::Result<Box<dyn WriteFile>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.create(path)
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn len(&self, _: &Path) -> io::Result<u64> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A simulated runtime.
pub fn simulation(seed: u64) -> Runtime {
    Runtime::simulated(seed, Arc::new(NoFs)).unwrap()
}

#[derive(serde::Deserialize, schemars::JsonSchema, Clone, Default)]
pub struct NoSettings {}

/// A graph under construction.
#[derive(Default)]
pub struct Build {
    pub graph: Graph,
}

/// What a node of a test graph is, before its pads are known.
pub struct Shape {
    factory: Factory,
}

impl Shape {
    pub fn with(mut self, change: impl FnOnce(Factory) -> Factory) -> Self {
        self.factory = change(self.factory);
        self
    }
}

/// An element made by a closure that can be called once a build.
pub fn element(make: impl Fn(&BuildCx) -> Element + Send + Sync + 'static) -> Shape {
    let factory = Factory::new::<NoSettings>("test", "Test", "A test element", move |_, cx| Ok(make(cx)))
        .pad(PadTemplate::sink("sink%s", "ANY").request())
        .pad(PadTemplate::src("src%s", "ANY").request());
    Shape { factory }
}

impl Build {
    /// Adds an element and gives its index.
    pub fn add(&mut self, name: &str, shape: Shape) -> usize {
        self.graph.nodes.push(Node {
            name: name.into(),
            factory: Arc::new(shape.factory),
            settings: Settings::typed(NoSettings {}),
            on_error: Default::default(),
            span: Span::default(),
        });
        self.graph.nodes.len() - 1
    }

    /// Links the next free pads of two elements.
    pub fn link(&mut self, from: usize, to: usize) -> &mut Self {
        let src = format!("src{}", self.graph.links_out_of(from).count());
        let sink = format!("sink{}", self.graph.links_into(to).count());
        self.link_pads(from, &src, to, &sink)
    }

    pub fn link_pads(&mut self, from: usize, src: &str, to: usize, sink: &str) -> &mut Self {
        self.graph.links.push(Link {
            from: Endpoint { node: from, pad: src.into() },
            to: Endpoint { node: to, pad: sink.into() },
            filter: None,
            allowed: CapsSet::Any,
            span: Span::default(),
        });
        self
    }
}

/// Makes numbered buffers, one a millisecond of media, a key frame every ten.
pub struct Counter {
    pub next: i64,
    pub count: i64,
    /// Time between buffers of a live source.
    pub live: Option<TimeDelta>,
    pub caps: &'static str,
    started: bool,
}

impl Counter {
    pub fn new(count: i64) -> Self {
        Self { next: 0, count, live: None, caps: "video/x-test", started: false }
    }
}

pub fn buffer(n: i64) -> Buffer {
    let time = Some(Time::from_millis(n));
    let mut flags = BufferFlags::empty();
    flags.set(BufferFlags::KEYFRAME, n % 10 == 0);
    Buffer::new(n.to_be_bytes().to_vec()).with_times(time, time).with_flags(flags)
}

impl BlockingSource for Counter {
    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        if !self.started {
            self.started = true;
            out.forward(Item::StreamStart(Arc::new(StreamInfo::default())));
            out.forward(Item::Caps(self.caps.parse().unwrap()));
            return Ok(Produce::More);
        }
        if self.next == self.count {
            return Ok(Produce::Eos);
        }
        out.forward(Item::buffer(buffer(self.next)));
        self.next += 1;
        Ok(match self.live {
            Some(pace) => Produce::At(out.now() + pace),
            None => Produce::More,
        })
    }
}

pub fn counter(count: i64) -> Shape {
    element(move |_| Element::BlockingSource(Box::new(Counter::new(count))))
}

pub fn live_counter(count: i64, pace: TimeDelta) -> Shape {
    element(move |_| Element::BlockingSource(Box::new(Counter { live: Some(pace), ..Counter::new(count) })))
        .with(|f| f.live::<NoSettings>(|_| true))
}

/// Passes everything on, on every source pad.
pub struct Pass;

impl Transform for Pass {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        out.forward(item);
        Ok(Flow::Done)
    }
}

pub fn pass() -> Shape {
    element(|_| Element::Transform(Box::new(Pass))).with(Factory::passthrough)
}

/// Everything that a sink received, as short texts: the number of a buffer, or the name of another item.
pub type Log = Arc<Mutex<Vec<String>>>;

pub fn text(item: &Item) -> String {
    match item {
        Item::Buffer(b) => i64::from_be_bytes(b.payload.contiguous()[..8].try_into().unwrap()).to_string(),
        Item::Caps(caps) => format!("caps {caps}"),
        Item::Flush(epoch) => format!("flush {epoch}"),
        other => other.name().to_owned(),
    }
}

/// A closure as an element.
pub struct With<F>(pub F);

impl<F: FnMut(PadId, Item, &mut Output) -> Result<Flow> + Send> Transform for With<F> {
    fn handle(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        (self.0)(pad, item, out)
    }
}

/// A transform made of a closure.
pub fn transform<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Shape
where
    F: FnMut(PadId, Item, &mut Output) -> Result<Flow> + Send + 'static,
{
    element(move |_| Element::Transform(Box::new(With(make()))))
}

pub fn collector(log: &Log) -> Shape {
    let log = log.clone();
    transform(move || {
        let log = log.clone();
        move |_, item: Item, _: &mut Output| {
            log.lock().unwrap().push(text(&item));
            Ok(Flow::Done)
        }
    })
}

/// Interleaves by time and writes `pad:item`.
pub struct Mux {
    done: bool,
}

impl Aggregate for Mux {
    fn step(&mut self, inbox: &mut millstream_core::Inbox, _: Time, out: &mut Output) -> Result<Need> {
        use millstream_core::inbox::Pick;
        if self.done {
            return Ok(Need::Done);
        }
        match inbox.pick() {
            Pick::Need(pads) => Ok(Need::Pads(pads)),
            Pick::Done => {
                self.done = true;
                out.forward(Item::Eos);
                Ok(Need::Done)
            }
            Pick::Next(pad) => {
                if let Some(item @ (Item::Buffer(_) | Item::Caps(_))) = inbox.pop(pad) {
                    out.forward(item);
                }
                Ok(Need::Again)
            }
        }
    }

    fn flush(&mut self, _: &mut Output) -> Result<()> {
        self.done = false;
        Ok(())
    }
}

pub fn mux() -> Shape {
    element(|_| Element::Aggregate(Box::new(Mux { done: false })))
}

pub fn queue(limits: millstream_core::QueueLimits) -> Shape {
    element(move |_| Element::Queue(limits)).with(Factory::passthrough)
}

/// The numbers in a log.
pub fn numbers(log: &Log) -> Vec<i64> {
    log.lock().unwrap().iter().filter_map(|t| t.parse().ok()).collect()
}
