//! `launch LINE…`, with the options of `gst-launch-1.0`.

use super::job::{JobArgs, Watch};
use super::{Outcome, load, serve};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream launch fakesrc num-buffers=10 ! identity ! fakesink -v
  millstream launch filesrc location=talk.flv ! flvdemux name=d \\
      d.video ! h264parse ! m. d.audio ! aacparse ! m. tsmux name=m ! filesink location=talk.ts
  cat talk.flv | millstream launch filesrc location=- ! flvdemux ! h264parse \\
      ! filesink location=- > talk.h264

The grammar is that of gst-launch-1.0: properties, quoting, name=, d.pad, caps filters, bins in
parentheses. Where the shell has a meaning for ( ) ; < > or !, put the line in quotes.")]
pub(crate) struct Args {
    /// The pipeline, as one word or as many
    #[arg(required = true, value_name = "LINE")]
    pub(crate) line: Vec<String>,
    /// Print the caps that are negotiated on each link
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print the messages of the bus
    #[arg(short, long)]
    messages: bool,
    /// Print tags (metadata)
    #[arg(short, long)]
    tags: bool,
    /// End the sources on an interrupt, so that files are finished. Always so here; accepted for the sake of old habits
    #[arg(short, long)]
    eos_on_shutdown: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let watch = Watch { caps: args.verbose, tags: args.tags, messages: args.messages };
    match load::loaded(load::line(&args.line)) {
        Ok(loaded) => serve::run_loaded(loaded, &args.job, watch),
        Err(exit) => Ok(exit),
    }
}
