//! `cargo xtask soak`: the tests whose names contain `soak`, with many more seeds than CI gives them.

use crate::{setup, sh, suite};
use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds each soak test runs
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Only soak tests whose name contains this
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // Pipelines with plugins are started and stopped, those of GStreamer too.
    setup::ensure(false, true)?;
    for package in suite::GSTREAMER {
        sh::run(sh::cargo_of(package, "build").arg("--release"))?;
    }
    sh::run(sh::cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    let mut tests = sh::cargo();
    tests.env("MILLSTREAM_SOAK_SEEDS", args.seeds.to_string());
    let name = args.name.as_deref().unwrap_or("soak");
    if sh::succeeds("cargo", &["nextest", "--version"]) {
        tests.args(["nextest", "run", "--profile", "soak", "--release", "--workspace", "--no-fail-fast", "-E"]);
        tests.arg(format!("test(/soak/) & test(/{name}/)"));
    } else {
        tests.args(["test", "--release", "--workspace", "--no-fail-fast", "--", name]);
    }
    sh::run(&mut tests)
}
