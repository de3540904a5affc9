//! `convert`: YAML to a launch line, and a launch line to YAML.

use millstream::graph::convert::{to_launch, to_yaml};
use millstream::graph::diagnostic::{Diagnostic, Diagnostics, Severity};
use millstream::graph::doc::PipelineDoc;
use millstream::graph::launch::join_args;
use millstream::graph::params::ParamSources;
use millstream::graph::source::SourceText;
use millstream::graph::{doc::Syntax, parse};

use super::{Exit, Outcome, load, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream convert pipelines/flv-to-ts.yaml --set input=talk.flv
  millstream convert --launch filesrc location=talk.flv ! flvdemux ! fakesink > pipeline.yaml

A file becomes a launch line, its params replaced by their values. A launch line becomes a file.")]
pub(crate) struct Args {
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

pub(crate) fn run(args: &Args) -> Outcome {
    let Some(file) = &args.file else {
        let source = SourceText::new("command line", join_args(&args.launch));
        return match read(&source, Syntax::Launch, &[]) {
            Ok(mut doc) => {
                // The variables of a template stay what they are; elsewhere `${` is text.
                doc.unresolved = load::line(&args.launch).is_ok_and(|loaded| loaded.template.is_some());
                printed(&to_yaml(&doc))
            }
            Err(exit) => Ok(exit),
        };
    };
    let source = match load::read(file) {
        Ok(text) => SourceText::new(file.clone(), text),
        Err(exit) => return Ok(exit),
    };
    let doc = match read(&source, Syntax::Yaml, &args.set) {
        Ok(doc) => doc,
        Err(exit) => return Ok(exit),
    };
    match to_launch(&doc) {
        Ok(line) => printed(&format!("{line}\n")),
        Err(diagnostics) => {
            report::diagnostics(&diagnostics, &source);
            Ok(Exit::Usage)
        }
    }
}

fn printed(text: &str) -> Outcome {
    terminal::print(text)?;
    Ok(Exit::Done)
}

/// Reads a text. Whether its elements exist does not matter here.
fn read(source: &SourceText, syntax: Syntax, set: &[(String, String)]) -> Result<PipelineDoc, Exit> {
    let mut diagnostics = Diagnostics::default();
    let params = ParamSources { set, env: &|name| std::env::var(name).ok() };
    let doc = parse(source, syntax, &params, &mut diagnostics);
    let errors: Vec<Diagnostic> =
        diagnostics.into_sorted().into_iter().filter(|d| d.severity == Severity::Error).collect();
    report::diagnostics(&errors, source);
    if errors.is_empty() { Ok(doc) } else { Err(Exit::Usage) }
}
