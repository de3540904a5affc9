//! `cargo xtask bench`: builds the release binary and hands over to the bench program in `tests/bench`.

use crate::{peers, setup, sh};
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only benches whose name contains one of these
    names: Vec<String>,
    /// Write the results here too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A small file and three runs, to see that everything works
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(false, true)?;
    sh::run(sh::cargo().args([
        "build",
        "--release",
        "--package",
        "millstream",
        "--package",
        "millstream-bench",
        "--package",
        "template-rust",
        "--bins",
    ]))?;
    sh::run(sh::cargo_of("plugins/gstreamer", "build").arg("--release"))?;
    let release = sh::target_dir().join("release");
    let mut bench = std::process::Command::new(release.join("millstream-bench"));
    bench.arg("--ours").arg(release.join("millstream")).arg("--work").arg(sh::target_dir().join("bench"));
    bench.arg("--peers").arg(peers::folder());
    if let Some(clip) = clip() {
        bench.arg("--clip").arg(clip);
    }
    if let Some(file) = &args.json {
        bench.arg("--json").arg(file);
    }
    if args.quick {
        bench.arg("--quick");
    }
    sh::run(bench.args(&args.names))
}

/// The 1080p clip of the shared media set, if it stands beside the workspace.
fn clip() -> Option<PathBuf> {
    let media = sh::media();
    Some(media.join("gen/h264_1080p_aac_5s.flv")).filter(|clip| clip.is_file())
}
