//! `graph FILE`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use millstream::core::registry::Direction;
use millstream::graph::draw::{DrawFormat, draw};
use millstream::graph::{Graph, Settings};
use millstream::prelude::*;
use millstream::runtime::Monitor;

use super::check::PipelineArgs;
use super::{Exit, Outcome, load, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream graph pipelines/flv-to-hls.yaml --format text
  millstream graph pipelines/flv-to-hls.yaml --format dot | dot -Tsvg > pipeline.svg
  millstream graph --negotiated --launch filesrc location=a.flv ! flvdemux ! fakesink

Without --negotiated nothing runs, and links show what both sides allow. With it the pipeline runs
until the caps of each link are known; its sinks take everything and write nothing.")]
pub(crate) struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Form of the drawing
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Show the caps that are really there
    #[arg(long)]
    negotiated: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Flowchart, as GitHub shows it in Markdown
    Mermaid,
    /// Graphviz
    Dot,
    /// For reading
    Text,
}

impl From<Format> for DrawFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Mermaid => Self::Mermaid,
            Format::Dot => Self::Dot,
            Format::Text => Self::Text,
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let graph = match args.pipeline.load().and_then(load::graph) {
        Ok(graph) => graph,
        Err(exit) => return Ok(exit),
    };
    let mut exit = Exit::Done;
    let mut caps = Vec::new();
    if args.negotiated {
        let (found, result) = negotiate(&graph)?;
        caps = found;
        if let Err(error) = result {
            report::pipeline_error(&error);
            exit = Exit::Failed;
        }
    }
    terminal::print(&draw(&graph, args.format.into(), &caps))?;
    Ok(exit)
}

/// How often the caps of the links are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A pipeline that tells no new caps for so long has told all: some links, such as that of `filesrc`, never have any.
const SETTLED: Duration = Duration::from_secs(1);

/// Runs the graph with sinks that write nothing until the caps of its links are known.
fn negotiate(graph: &Graph) -> anyhow::Result<(Vec<Option<String>>, Result<()>)> {
    let graph = with_idle_sinks(graph);
    let runtime = Runtime::new()?;
    let mut pipeline = runtime.start(&graph)?;
    let (monitor, stopper) = (pipeline.monitor(), pipeline.stopper());
    let ended = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| cancel_when_settled(&monitor, &stopper, &ended));
        let result = runtime.block_on(pipeline.wait());
        ended.store(true, Ordering::Release);
        result
    });
    let caps = monitor.links().into_iter().map(|link| link.caps).collect();
    runtime.shut_down();
    Ok((caps, result))
}

fn cancel_when_settled(monitor: &Monitor, stopper: &Stopper, ended: &AtomicBool) {
    let (mut known, mut since) = (0, Instant::now());
    while !ended.load(Ordering::Acquire) {
        let links = monitor.links();
        let now = links.iter().filter(|link| link.caps.is_some()).count();
        if now != known {
            (known, since) = (now, Instant::now());
        }
        if known == links.len() || since.elapsed() > SETTLED {
            return stopper.cancel();
        }
        std::thread::sleep(LOOK);
    }
}

/// The graph with elements in place of its sinks that accept the same and do nothing.
fn with_idle_sinks(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for node in &mut graph.nodes {
        if node.factory.templates(Direction::Src).next().is_some() {
            continue;
        }
        let mut factory =
            Factory::new("sink", "Sink", "Takes everything", |(), _: &BuildCx| Ok(Element::Transform(Box::new(Idle))));
        factory.pads = node.factory.pads.clone();
        (node.factory, node.settings) = (Arc::new(factory), Settings::typed(()));
    }
    graph
}

struct Idle;

impl Transform for Idle {
    fn handle(&mut self, _: PadId, _: Item, _: &mut Output) -> Result<Flow> {
        Ok(Flow::Done)
    }
}
