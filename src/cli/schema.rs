//! `schema`.

use millstream::graph::schema::schema;

use super::{Exit, Outcome, load, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream schema > millstream.schema.json

With the YAML extension of VS Code, put this on the first line of a pipeline:
  # yaml-language-server: $schema=millstream.schema.json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Outcome {
    terminal::print_json(&schema(&load::registry()))?;
    Ok(Exit::Done)
}
