//! `cargo xtask fuzz`: each target of `tests/fuzz` for a while, from the seeds in the tree and the shared media.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only targets whose name contains one of these
    names: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !sh::succeeds("cargo", &["+nightly", "fuzz", "--version"]) {
        bail!(
            "fuzzing needs the nightly toolchain and cargo-fuzz: rustup toolchain install nightly; cargo install cargo-fuzz"
        );
    }
    let targets: Vec<String> = targets()?.into_iter().filter(|name| wanted(name, &args.names)).collect();
    if targets.is_empty() {
        bail!("no fuzz target of that name in tests/fuzz/fuzz_targets");
    }
    let found: Vec<String> = targets.into_iter().filter(|target| one(target, args.seconds).is_err()).collect();
    if !found.is_empty() {
        bail!("inputs in tests/fuzz/artifacts that fell over: {}", found.join(", "));
    }
    Ok(())
}

fn wanted(name: &str, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|part| name.contains(part.as_str()))
}

fn targets() -> Result<Vec<String>> {
    let folder = sh::root().join("tests/fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn one(target: &str, seconds: u64) -> Result<()> {
    let corpus = sh::target_dir().join("fuzz-corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let mut fuzz = std::process::Command::new("cargo");
    // The cargo that runs us pins its own toolchain for children; fuzzing needs the other one.
    fuzz.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(sh::root());
    fuzz.args(["+nightly", "fuzz", "run", "--fuzz-dir", "tests/fuzz", target]).arg(corpus).args(seeds());
    fuzz.args(["--", &format!("-max_total_time={seconds}"), "-rss_limit_mb=2048", "-timeout=10"]);
    sh::run(&mut fuzz)
}

/// Folders of inputs to start from; libFuzzer reads them and writes new finds to the corpus only.
fn seeds() -> Vec<PathBuf> {
    let media = sh::media();
    let shared = ["fuzz_codec", "fuzz_mpegts", "broken", "flv", "ts"].map(|name| media.join(name));
    let own = [sh::root().join("tests/fuzz/seeds")];
    own.into_iter().chain(shared).filter(|folder| folder.is_dir()).collect()
}
