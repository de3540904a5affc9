//! Project tasks. `cargo xtask --help` lists them; each lives in the file of its name.

mod docs;
mod fuzz;
mod left_out;
mod peers;
mod setup;
mod sh;
mod soak;
mod suite;
mod throughput;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Project tasks of millstream.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the foreign programs that tests and benches talk to, or name what is missing
    Setup(setup::Args),
    /// Set up, then run every test, and build the examples and benches
    Test(suite::Args),
    /// Measure ours and the peers alternately on the same files, and print the ratios
    Bench(throughput::Args),
    /// Run the soak tests with many seeds
    Soak(soak::Args),
    /// Fuzz the parsers with cargo-fuzz on the nightly toolchain
    Fuzz(fuzz::Args),
    /// Write the element reference under docs/elements, or check that it is current
    Docs(docs::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Setup(args) => setup::run(&args),
        Task::Test(args) => suite::run(&args),
        Task::Bench(args) => throughput::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Docs(args) => docs::run(&args),
    };
    report(outcome)
}

fn report(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
