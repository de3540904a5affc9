//! Benchmarks of the command line beside its peers.
//!
//! Every bench runs ours and the peers alternately on the same input in one go, so that whatever else the machine does
//! falls on both. What is compared are ratios, peer / ours (above 1: ours is cheaper), each the median over the
//! rounds. CPU is user and system time of the whole child process; peak memory is its largest resident set.
//!
//! Servers are measured from outside by a load of publishers and players ([`load`]), the server on one core and the load on another.
//!
//! Started by `cargo xtask bench`, which builds the release binary first.

#![allow(clippy::print_stdout, reason = "the table is this program's output")]

mod bench;
mod cases;
mod load;
mod machine;
mod measure;
mod process;
mod report;
mod server;
mod viewers;

use anyhow::{Context, Result};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Benches beside peers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The millstream binary to measure
    #[arg(long)]
    ours: PathBuf,
    /// Folder for results and cached input
    #[arg(long)]
    work: PathBuf,
    /// Folder of the foreign programs that are not installed system-wide
    #[arg(long, default_value = "target/peers")]
    peers: PathBuf,
    /// A 1080p FLV clip with H.264 and AAC to build the large input from; made with ffmpeg if absent
    #[arg(long)]
    clip: Option<PathBuf>,
    /// Write the results here too
    #[arg(long)]
    json: Option<PathBuf>,
    /// A small file and three rounds
    #[arg(long)]
    quick: bool,
    /// Only benches whose name contains one of these
    names: Vec<String>,
}

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(measure::CHILD) => return measure::child(),
        Some(load::cli::NAME) => return load::cli::main(),
        _ => {}
    }
    let cli = Cli::parse();
    std::fs::create_dir_all(&cli.work).with_context(|| format!("cannot create {}", cli.work.display()))?;
    let settings = bench::Settings::new(&cli.ours, &cli.work, cli.peers, cli.clip, cli.quick)?;
    let results = cases::run(&settings, &cli.names)?;
    println!("{}", report::markdown(&results));
    save(&results, &cli.work.join(if cli.quick { "quick.json" } else { "results.json" }))?;
    cli.json.map_or(Ok(()), |file| save(&results, &file))
}

fn save(results: &report::Results, file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(results)?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}
