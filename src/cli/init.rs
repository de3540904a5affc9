//! `init [NAME]`.

use std::fs::OpenOptions;
use std::io::Write;

use anyhow::Context;

use super::{Exit, Outcome, report, terminal};

/// What a new pipeline file says. It runs as it is.
const STARTER: &str = include_str!("starter.yaml");

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream init              # writes pipeline.yaml
  millstream init relay        # writes relay.yaml
  millstream init -            # prints it")]
pub(crate) struct Args {
    /// Name of the pipeline, which becomes the name of the file; `-` prints it
    #[arg(default_value = "pipeline")]
    name: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let name = args.name.trim_end_matches(".yaml").trim_end_matches(".yml");
    let title = name.rsplit('/').next().filter(|title| !title.is_empty() && *title != "-").unwrap_or("pipeline");
    let text = STARTER.replacen("name: starter", &format!("name: {title}"), 1);
    if name == "-" {
        terminal::print(&text)?;
        return Ok(Exit::Done);
    }
    let path = format!("{name}.yaml");
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            report::error(&format!("{path} is there already"), Some("give another name: `millstream init NAME`"));
            return Ok(Exit::Usage);
        }
        file => file.with_context(|| format!("cannot write {path}"))?,
    };
    { file }.write_all(text.as_bytes()).with_context(|| format!("cannot write {path}"))?;
    terminal::say(&format!("wrote {path}\ncheck it: millstream check {path}\nrun it:   millstream run {path}\n"));
    Ok(Exit::Done)
}
