//! `--log` and `--log-format`.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::terminal;

#[derive(clap::Args)]
pub(crate) struct LogArgs {
    /// Log on standard error: error, warn, info, debug or trace, for all or for one part (`flv=trace`)
    #[arg(long, global = true, value_name = "LEVEL|TARGET=LEVEL", value_delimiter = ',', help_heading = "Output")]
    #[arg(value_parser = parse_directive)]
    log: Vec<Directive>,
    /// Form of log lines
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A level, for everything or for one target.
#[derive(Clone, Debug, PartialEq)]
struct Directive {
    target: Option<String>,
    level: LevelFilter,
}

fn parse_directive(text: &str) -> Result<Directive, String> {
    let (target, level) = match text.split_once('=') {
        Some((target, level)) => (Some(target.to_owned()), level),
        None => (None, text),
    };
    let level = level.parse().map_err(|_| format!("`{level}` is none of off, error, warn, info, debug, trace"))?;
    Ok(Directive { target, level })
}

/// Starts logging, if it was asked for: without `--log` nothing is set up, which keeps the start of the process cheap.
pub(crate) fn init(args: &LogArgs) {
    if args.log.is_empty() {
        return;
    }
    let out = std::io::stderr;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match args.log_format {
        LogFormat::Text => fmt::layer().with_ansi(terminal::color_on_stderr()).with_writer(out).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(out).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(targets(&args.log))).init();
}

fn targets(directives: &[Directive]) -> Targets {
    let mut targets = Targets::new();
    for Directive { target, level } in directives {
        targets = match target {
            None => targets.with_default(*level),
            // `flv` is short for the crate millstream_flv.
            Some(target) => targets.with_target(target, *level).with_target(format!("millstream_{target}"), *level),
        };
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_target_is_a_crate_or_its_short_name() {
        let targets = targets(&[parse_directive("warn").unwrap(), parse_directive("flv=trace").unwrap()]);
        assert!(targets.would_enable("millstream_flv::demux", &Level::TRACE));
        assert!(targets.would_enable("millstream_ts", &Level::WARN));
        assert!(!targets.would_enable("millstream_ts", &Level::INFO));
        assert!(parse_directive("flv=loud").is_err());
    }
}
