//! What the command line understands, and what its exit codes mean.

mod addresses;
mod check;
mod completions;
mod convert;
mod discover;
mod doctor;
mod explain;
mod graph;
mod init;
mod inspect;
mod job;
mod launch;
mod load;
mod log;
mod numbers;
mod outputs;
mod pages;
mod plugins;
mod probe;
mod progress;
mod report;
mod run;
mod schema;
mod serve;
mod terminal;
mod tracks;

use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

use self::terminal::is_broken_pipe;

/// Builds media pipelines from text and runs them.
#[derive(Parser)]
#[command(name = "millstream", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    log: log::LogArgs,
    /// When to use colours in diagnostics
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  millstream run pipelines/demo.yaml
  millstream run pipelines/flv-to-hls.yaml --set input=talk.flv --set output=talk
  millstream launch filesrc location=talk.flv ! flvdemux name=d \\
      d.video ! h264parse ! m. d.audio ! aacparse ! m. tsmux name=m ! filesink location=talk.ts
  millstream check pipeline.yaml
  millstream inspect hlssink
  millstream discover talk.flv

Exit codes: 0 done, 1 the pipeline failed, 2 usage or a faulty pipeline, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline file to its end
    Run(run::Args),
    /// Run a pipeline written in gst-launch's grammar
    Launch(launch::Args),
    /// Say everything that is wrong with a pipeline file, without running it
    Check(check::Args),
    /// List the elements, or say all about one
    Inspect(inspect::Args),
    /// Draw a pipeline
    Graph(graph::Args),
    /// Print the JSON Schema of pipeline files, for editors
    Schema(schema::Args),
    /// Turn a launch line into YAML, or a file into a launch line
    Convert(convert::Args),
    /// Say what is in a media file
    Discover(discover::Args),
    /// Write a commented pipeline file to start from
    Init(init::Args),
    /// Say what is installed here, and what a pipeline file would miss
    Doctor(doctor::Args),
    /// List, make and check plugins
    Plugins(plugins::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Explain the code of a diagnostic
    Explain(explain::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// The pipeline failed.
    Failed,
    /// The command or the pipeline is faulty.
    Usage,
    /// A signal ended it.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }
}

/// How a command ends. An `Err` is printed and gives [`Exit::Failed`].
pub(crate) type Outcome = anyhow::Result<Exit>;

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::choose_color(cli.color);
    log::init(&cli.log);
    let outcome = dispatch(cli.command);
    for plugin in millstream::plugins::left_behind() {
        report::error(&plugin, Some("`millstream plugins check` shows what it does wrong"));
    }
    match outcome {
        Ok(exit) => exit.into(),
        // `inspect | head`: the reader has all it wanted.
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            report::error(&format!("{error:#}"), None);
            Exit::Failed.into()
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Launch(args) => launch::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Discover(args) => discover::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Plugins(args) => plugins::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Explain(args) => explain::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declarations_agree() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_launch_may_stand_before_and_after_the_line() {
        for line in ["launch -v fakesrc ! fakesink", "launch fakesrc ! fakesink -v"] {
            let words = std::iter::once("millstream").chain(line.split(' '));
            let Command::Launch(args) = Cli::parse_from(words).command else { panic!("{line}") };
            assert_eq!((args.line.join(" ").as_str(), args.verbose), ("fakesrc ! fakesink", true), "{line}");
        }
    }
}
