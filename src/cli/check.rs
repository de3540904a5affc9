//! `check FILE`.

use millstream::graph::Template;
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
        let template = load.as_ref().ok().and_then(|loaded| loaded.template.as_ref());
        let template =
            template.map(|t| json!({ "source": t.source_element(), "variables": t.used().collect::<Vec<_>>() }));
        terminal::print_json(&json!({ "ok": load.is_ok(), "template": template, "diagnostics": found }))?;
    } else {
        report::diagnostics(diagnostics, source);
    }
    let Ok(loaded) = load else { return Ok(Exit::Usage) };
    if !args.json {
        let count = |number: usize, one| numbers::count(number as u64, one);
        let (nodes, links) = (loaded.graph.nodes.len(), loaded.graph.links.len());
        let name = loaded.source.name();
        let template = loaded.template.as_ref().map(template).unwrap_or_default();
        terminal::print(&format!(
            "{name}: {}, {}, no errors\n{template}",
            count(nodes, "element"),
            count(links, "link")
        ))?;
    }
    Ok(Exit::Done)
}

/// A line about what makes a pipeline a template.
fn template(template: &Template) -> String {
    let used: Vec<String> = template.used().map(|name| format!("${{{name}}}")).collect();
    let used = if used.is_empty() { "no variable".to_owned() } else { used.join(", ") };
    format!("a template: each who comes to `{}` starts an instance of it; it uses {used}\n", template.source_element())
}
