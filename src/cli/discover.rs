//! `discover INPUT`: what is in a media file, or what a live stream carries.

mod live;
mod memory;
mod server;

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use millstream::core::registry::Direction;
use millstream::core::settings::Span;
use millstream::graph::{Endpoint, Graph, Link, Settings};
use millstream::io::filesrc::FileSrcSettings;
use millstream::prelude::*;
use millstream::runtime::DropCount;

use super::tracks::{Found, Track};
use super::{Exit, Outcome, probe, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream discover talk.flv
  millstream discover --json talk.ts | jq '.tracks[].caps'
  millstream discover rtmp://127.0.0.1/live/cam --timeout 10s

The whole file is read, so that duration, bit rates and key frame distances are those of the file,
not guesses. A live stream is listened to for some seconds, and measured.")]
pub(crate) struct Args {
    /// Media file, or URL of a live stream
    input: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    live: live::LiveArgs,
}

/// A container that can be taken apart here.
struct Container {
    name: &'static str,
    demux: &'static str,
    /// Whether these first bytes are of this kind.
    is: fn(&[u8]) -> bool,
}

/// Bytes that are looked at to tell the container, and to see the first streams.
const HEAD: u64 = 4 << 20;

const CONTAINERS: [Container; 3] = [
    Container { name: "FLV", demux: "flvdemux", is: |head| head.starts_with(b"FLV") },
    Container { name: "MP4", demux: "mp4demux", is: |head| head.get(4..8) == Some(b"ftyp") },
    Container { name: "MPEG-TS", demux: "tsdemux", is: is_transport_stream },
];

/// Sync bytes at the distance of a packet (ISO/IEC 13818-1), behind a time code of 4 bytes (BDAV) or before parity bytes.
fn is_transport_stream(head: &[u8]) -> bool {
    let synced = |start: usize, size: usize| (0..4).all(|n| head.get(start + n * size) == Some(&0x47));
    synced(0, 188) || synced(4, 192) || synced(0, 204)
}

pub(crate) fn run(args: &Args) -> Outcome {
    match live::scheme(&args.input) {
        Some((scheme, url)) => live::run(scheme, url, args),
        None => file(args),
    }
}

fn file(args: &Args) -> Outcome {
    let path = args.input.display();
    let mut head = Vec::new();
    let file = std::fs::File::open(&args.input).with_context(|| format!("cannot read {path}"))?;
    let size = file.metadata()?.len();
    file.take(HEAD).read_to_end(&mut head).with_context(|| format!("cannot read {path}"))?;
    let Some(container) = CONTAINERS.iter().find(|c| (c.is)(&head)) else {
        let known: Vec<&str> = CONTAINERS.iter().map(|c| c.name).collect();
        let hint = format!("known containers are {}; elementary streams have none", known.join(", "));
        report::error(&format!("{path} is of no known container"), Some(&hint));
        return Ok(Exit::Failed);
    };
    let registry = registry();
    let source = registry.get("filesrc").context("filesrc is not built in")?;
    let settings = FileSrcSettings {
        location: args.input.clone(),
        blocksize: millstream::core::settings::units::ByteSize(HEAD >> 2),
        repeat: false,
    };
    let source = (source.clone(), Settings::typed(settings));
    let (tracks, drops, result) = look(&registry, container, source, &head)?;
    let name = args.input.to_string_lossy().into_owned();
    let found = Found { name, container: container.name, size, tracks, drops, live: None };
    tell(&found, args.json)?;
    match result {
        Ok(()) if found.tracks.is_empty() => {
            report::error(&format!("{path} has no tracks"), None);
            Ok(Exit::Failed)
        }
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            report::pipeline_error(&error);
            Ok(Exit::Failed)
        }
    }
}

fn tell(found: &Found, json: bool) -> anyhow::Result<()> {
    match json {
        true => terminal::print_json(&found.to_json()),
        false => terminal::print(&found.to_text()),
    }
}

type Drops = Vec<(&'static str, DropCount)>;

/// Runs a file through its demuxer and, where there is one, the parser of each stream. `head` is its beginning.
fn look(
    registry: &Registry,
    container: &Container,
    source: (Arc<Factory>, Settings),
    head: &[u8],
) -> anyhow::Result<(Vec<Track>, Drops, Result<()>)> {
    let demux = registry.get(container.demux).with_context(|| format!("{} is not built in", container.demux))?;
    let runtime = Runtime::new()?;
    let pads = pads_of(&demux);
    let early = streams_in(&demux, &pads, head, runtime.env()).unwrap_or_default();
    let tracks: Arc<Mutex<Vec<Track>>> = Arc::default();
    let graph = graph(registry, &demux, source, &pads, &early, &tracks);
    let mut pipeline = runtime.start(&graph)?;
    let result = runtime.block_on(pipeline.wait());
    let drops = pipeline.drops().into_values().flatten().collect();
    runtime.shut_down();
    let mut found = std::mem::take(&mut *tracks.lock().unwrap_or_else(PoisonError::into_inner));
    found.retain(Track::is_there);
    Ok((found, drops, result))
}

/// Pads of one pattern that are listened to: more streams of a kind than files have.
const NUMBERED: u16 = 8;

/// The names of all source pads that the demuxer may have. `video` is the first of `video_%u`, where there are both.
fn pads_of(demux: &Factory) -> Vec<String> {
    let has = |name: &str| demux.templates(Direction::Src).any(|pad| pad.name == name);
    let names = demux.templates(Direction::Src).flat_map(|pad| match pad.name.split_once("_%u") {
        Some((stem, "")) => (u16::from(has(stem))..NUMBERED).map(|n| format!("{stem}_{n}")).collect(),
        _ => vec![pad.name.to_owned()],
    });
    names.collect()
}

/// The caps on each pad after the first bytes of the file, by the number of the pad. No runtime is needed for that.
fn streams_in(demux: &Arc<Factory>, pads: &[String], head: &[u8], env: &Env) -> Result<Vec<Option<Caps>>> {
    let pad = |(index, name): (usize, &String)| LinkedPad {
        id: PadId(index as u16),
        name: name.clone(),
        allowed: CapsSet::Any,
        random_write: false,
    };
    let sink = LinkedPad { id: PadId::FIRST, name: "sink".into(), allowed: CapsSet::Any, random_write: false };
    let cx = BuildCx::new("demux", env.clone(), vec![sink], pads.iter().enumerate().map(pad).collect());
    let settings = demux.settings.parse(&millstream::core::settings::Node::empty_map(Span::default()));
    let settings = settings.map_err(|e| Error::settings(e.to_string()))?;
    let Element::Transform(mut element) = demux.build(settings, &cx)? else { return Ok(Vec::new()) };
    let mut out = Output::new(1, pads.len() as u16);
    let mut caps = vec![None; pads.len()];
    let mut keep = |out: &mut Output| {
        for (pad, item) in out.drain() {
            if let (Item::Caps(new), Some(slot)) = (item, caps.get_mut(pad.index())) {
                // The first format decides about the parser: what comes before a change is found then.
                slot.get_or_insert(new);
            }
        }
        out.effects().clear();
    };
    element.start(&mut out)?;
    let start = [
        Item::StreamStart(StreamInfo::default().into()),
        Item::Segment(Segment::bytes(0).into()),
        Item::buffer(Buffer { offset: Some(0), ..Buffer::new(bytes::Bytes::copy_from_slice(head)) }),
    ];
    for item in start {
        let mut flow = element.handle(PadId::FIRST, item, &mut out)?;
        keep(&mut out);
        while flow == Flow::More {
            flow = element.resume(&mut out)?;
            keep(&mut out);
        }
    }
    Ok(caps)
}

/// `source ! demux`, each pad through a parser to one collecting sink.
fn graph(
    registry: &Registry,
    demux: &Arc<Factory>,
    (source, location): (Arc<Factory>, Settings),
    pads: &[String],
    early: &[Option<Caps>],
    tracks: &Arc<Mutex<Vec<Track>>>,
) -> Graph {
    let defaults = millstream::core::settings::Node::empty_map(Span::default());
    let text = |factory: &Arc<Factory>| Settings::text(factory, defaults.clone());
    let mut graph = Graph::default();
    let add = |graph: &mut Graph, name: &str, factory: &Arc<Factory>, settings| {
        let node = millstream::graph::Node {
            factory: factory.clone(),
            settings,
            ..probe::node(name.into(), collector(tracks))
        };
        graph.nodes.push(node);
        graph.nodes.len() - 1
    };
    add(&mut graph, "file", &source, location);
    add(&mut graph, "demux", demux, text(demux));
    add(&mut graph, "collect", &Arc::new(collector(tracks)), Settings::typed(()));
    link(&mut graph, (0, "src"), (1, "sink"));
    for (index, pad) in pads.iter().enumerate() {
        let caps = early.get(index).and_then(Option::as_ref);
        match caps.and_then(|caps| parser_for(registry, caps)) {
            Some(parser) => {
                let node = add(&mut graph, &format!("{pad}-parse"), parser, text(parser));
                link(&mut graph, (1, pad), (node, "sink"));
                link(&mut graph, (node, "src"), (2, pad));
            }
            None => link(&mut graph, (1, pad), (2, pad)),
        }
    }
    graph
}

fn link(graph: &mut Graph, from: (usize, &str), to: (usize, &str)) {
    let end = |(node, pad): (usize, &str)| Endpoint { node, pad: pad.to_owned() };
    let link = Link { from: end(from), to: end(to), filter: None, allowed: CapsSet::Any, span: Span::default() };
    graph.links.push(link);
}

/// The parser that takes these caps.
fn parser_for<'a>(registry: &'a Registry, caps: &Caps) -> Option<&'a Arc<Factory>> {
    let takes = |factory: &&Arc<Factory>| {
        factory.name.ends_with("parse")
            && factory.template(Direction::Sink, "sink").is_some_and(|t| t.caps.accepts(caps))
    };
    registry.iter().find(takes)
}

fn collector(tracks: &Arc<Mutex<Vec<Track>>>) -> Factory {
    let tracks = tracks.clone();
    let build = move |(), cx: &BuildCx| {
        let mut list = tracks.lock().unwrap_or_else(PoisonError::into_inner);
        *list = cx.sinks.iter().map(|pad| Track::new(&pad.name)).collect();
        Ok(Element::Transform(Box::new(Collector(tracks.clone()))))
    };
    Factory::new("collector", "Sink", "Measures streams", build).pad(PadTemplate::sink("%s", "ANY").request())
}

struct Collector(Arc<Mutex<Vec<Track>>>);

impl Transform for Collector {
    fn handle(&mut self, pad: PadId, item: Item, _: &mut Output) -> Result<Flow> {
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(track) = tracks.get_mut(pad.index()) {
            track.take(&item);
        }
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_streams_are_told_by_their_sync_bytes() {
        for (start, size) in [(0, 188), (4, 192), (0, 204)] {
            let mut head = vec![0; 1000];
            (0..4).for_each(|n| head[start + n * size] = 0x47);
            assert!(is_transport_stream(&head), "{size}");
            head[start + size] = 0;
            assert!(!is_transport_stream(&head), "{size}");
        }
        assert!(!is_transport_stream(&[0x47]));
    }
}
