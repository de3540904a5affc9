//! `run FILE`.

use super::job::{JobArgs, Watch};
use super::load::FileArgs;
use super::{Outcome, load, serve};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream run pipelines/demo.yaml
  millstream run pipelines/flv-to-hls.yaml --set input=talk.flv --set output=talk
  millstream run pipelines/flv-to-ts.yaml --progress json 2> progress.jsonl

A file whose source takes in any stream (`rtmpserversrc` with `stream: \"*\"`) is a template: each
stream that is published starts an instance of it, named such as live-server/live/cam.

Ctrl-C (or SIGTERM) ends the sources, so that files are finished; a second one stops at once.")]
pub(crate) struct Args {
    #[command(flatten)]
    pipeline: FileArgs,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match load::file(&args.pipeline).and_then(load::loaded) {
        Ok(loaded) => serve::run_loaded(loaded, &args.job, Watch::default()),
        Err(exit) => Ok(exit),
    }
}
