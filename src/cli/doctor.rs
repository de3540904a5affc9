//! `doctor [FILE]` and `doctor webrtc URL`.

#[cfg(feature = "webrtc")]
mod text;
#[cfg(feature = "webrtc")]
mod webrtc;

use std::path::{Path, PathBuf};

use millstream::core::Registry;
use millstream::graph::diagnostic::{Diagnostics, codes};
use millstream::graph::doc::{PipelineDoc, Syntax};
use millstream::graph::params::ParamSources;
use millstream::graph::source::SourceText;
use millstream::graph::{Graph, parse};
use millstream::plugins::Search;

use super::outputs::{inputs, outputs};
use super::{Exit, Outcome, load, numbers, report, terminal};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  millstream doctor                              # what is installed here
  millstream doctor pipelines/flv-to-hls.yaml    # what this pipeline would miss here
  millstream doctor webrtc http://127.0.0.1:8080/whep/live/cam    # why it does not connect

Exit code 0: nothing is missing; 2: something is.")]
pub(crate) struct Args {
    #[command(subcommand)]
    about: Option<About>,
    /// Pipeline file
    file: Option<String>,
    /// Give a param of the file a value; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = load::set, requires = "file")]
    set: Vec<(String, String)>,
}

#[derive(clap::Subcommand)]
enum About {
    /// Say why a WebRTC session with a server does not connect, and what to change
    #[cfg(feature = "webrtc")]
    Webrtc(webrtc::Args),
}

/// Programs that are good to have for looking at results. None is needed.
const PLAYERS: [&str; 4] = ["ffplay", "mpv", "vlc", "ffprobe"];

pub(crate) fn run(args: &Args) -> Outcome {
    #[cfg(feature = "webrtc")]
    if let Some(About::Webrtc(args)) = &args.about {
        return webrtc::run(args);
    }
    let registry = load::registry();
    match &args.file {
        None => general(&registry),
        Some(file) => for_file(&registry, file, &args.set),
    }
}

fn general(registry: &Registry) -> Outcome {
    let mut text = format!("millstream {}\n", env!("CARGO_PKG_VERSION"));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    text.push_str(&format!(
        "system    {} {}, {}\n",
        std::env::consts::OS,
        std::env::consts::ARCH,
        numbers::count(cores, "core")
    ));
    text.push_str(&format!("elements  {} (`millstream inspect` lists them)\n", registry.all().len()));
    for player in PLAYERS {
        let place = find_program(player);
        let place =
            place.map_or_else(|| "not found (optional: to look at results)".to_owned(), |p| p.display().to_string());
        text.push_str(&format!("{player:8}  {place}\n"));
    }
    let mut all_used = true;
    for found in Search::from_environment().plugins() {
        match found.plugin.and_then(|plugin| plugin.load().map(|()| plugin)) {
            Ok(plugin) => {
                let (name, version) = (&plugin.manifest.name, &plugin.manifest.version);
                text.push_str(&format!("plugin    {name} {version}, {}\n", plugin.library.display()));
            }
            Err(refused) => {
                all_used = false;
                text.push_str(&format!("not used  {refused}\n"));
            }
        }
    }
    terminal::print(&text)?;
    Ok(if all_used { Exit::Done } else { Exit::Usage })
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn for_file(registry: &Registry, file: &str, set: &[(String, String)]) -> Outcome {
    let text = match load::read(file) {
        Ok(text) => text,
        Err(exit) => return Ok(exit),
    };
    let source = SourceText::new(file, text.clone());
    let mut ignored = Diagnostics::default();
    let params = ParamSources { set, env: &|name| std::env::var(name).ok() };
    let doc = parse(&source, Syntax::Yaml, &params, &mut ignored);
    let mut missing = missing_elements(registry, &doc);
    let mut lines = Vec::new();
    match load::loader(set).yaml(file, &text) {
        Ok(loaded) => files(&loaded.graph, &mut lines, &mut missing),
        Err(error) => {
            // An element that is not there is told once, above.
            let other: Vec<_> = error.diagnostics.into_iter().filter(|d| d.code != codes::UNKNOWN_ELEMENT).collect();
            if !other.is_empty() {
                report::diagnostics(&other, &error.source);
                missing.push("the pipeline has errors (above)".to_owned());
            }
        }
    }
    lines.extend(missing.iter().map(|what| format!("missing   {what}")));
    if missing.is_empty() {
        lines.push("nothing is missing".to_owned());
    }
    terminal::print(&format!("{}\n", lines.join("\n")))?;
    Ok(if missing.is_empty() { Exit::Done } else { Exit::Usage })
}

fn missing_elements(registry: &Registry, doc: &PipelineDoc) -> Vec<String> {
    let unknown = doc.elements.iter().map(|e| &e.element.value).filter(|kind| registry.get(kind).is_none());
    unknown.map(|kind| format!("element {kind}")).collect()
}

/// Looks whether inputs can be read and outputs written.
fn files(graph: &Graph, lines: &mut Vec<String>, missing: &mut Vec<String>) {
    lines.push(format!("elements  all {} there", graph.nodes.len()));
    for input in inputs(graph).iter().filter(|input| input.path != Path::new("-")) {
        let path = input.path.display();
        match std::fs::File::open(&input.path) {
            Ok(_) => {
                lines.push(format!("input     {path} ({})", input.size.map_or("a pipe".to_owned(), numbers::bytes)))
            }
            Err(e) => missing.push(format!("input {path}: {e}")),
        }
    }
    for output in outputs(graph).iter().filter(|output| !output.is_stdout()) {
        let dir = if output.is_dir { Some(output.path.as_path()) } else { output.path.parent() };
        match nearest(dir.unwrap_or(Path::new("."))) {
            Some(there) if is_writable(&there) => lines.push(format!("output    {}", output.path.display())),
            Some(there) => {
                missing.push(format!("output {}: {} cannot be written", output.path.display(), there.display()))
            }
            None => missing.push(format!("output {}: no directory for it", output.path.display())),
        }
    }
}

/// The nearest directory upwards that is there: what is below it is created.
fn nearest(dir: &Path) -> Option<PathBuf> {
    let here = |dir: &Path| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() };
    dir.ancestors().map(here).find(|dir| dir.is_dir())
}

fn is_writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}
