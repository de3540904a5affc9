//! `check FILE`.

use millstream::graph::diagnostic::to_json;
use serde_json::json;

use super::load::{FileArgs, Load};
use super::{Exit, Outcome, load, numbers, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream check pipelines/flv-to-hls.yaml --set input=talk.flv
  millstream check --json pipeline.yaml | jq '.diagnostics[].code'
  millstream check --launch filesrc location=a.flv ! flvdemux ! fakesink

Nothing is opened and nothing runs. Exit code 0: no error (there may be warnings); 2: errors.")]
pub(crate) struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Print the findings as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A pipeline file, or a launch line.
#[derive(clap::Args)]
pub(crate) struct PipelineArgs {
    /// Pipeline file; `-` is standard input
    #[arg(required_unless_present = "launch")]
    file: Option<String>,
    /// Give a param of the file a value; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = load::set)]
    set: Vec<(String, String)>,
    /// A launch line instead of a file
    #[arg(long, value_name = "LINE", num_args = 1.., conflicts_with_all = ["file", "set"])]
    launch: Vec<String>,
}

impl PipelineArgs {
    /// Reads and checks it.
    pub(crate) fn load(&self) -> Result<Load, Exit> {
        match &self.file {
            Some(file) => load::file(&FileArgs { file: file.clone(), set: self.set.clone() }),
            None => Ok(load::line(&self.launch)),
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let load = match args.pipeline.load() {
        Ok(load) => load,
        Err(exit) => return Ok(exit),
    };
    let (diagnostics, source) = match &load {
        Ok(loaded) => (&loaded.warnings, &loaded.source),
        Err(error) => (&error.diagnostics, &error.source),
    };
    if args.json {
        let found = to_json(diagnostics, source);
        terminal::print_json(&json!({ "ok": load.is_ok(), "diagnostics": found }))?;
    } else {
        report::diagnostics(diagnostics, source);
    }
    let Ok(loaded) = load else { return Ok(Exit::Usage) };
    if !args.json {
        let count = |number: usize, one| numbers::count(number as u64, one);
        let (nodes, links) = (loaded.graph.nodes.len(), loaded.graph.links.len());
        let name = loaded.source.name();
        terminal::print(&format!("{name}: {}, {}, no errors\n", count(nodes, "element"), count(links, "link")))?;
    }
    Ok(Exit::Done)
}
