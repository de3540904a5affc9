//! Instructions that ours executes, counted by callgrind: the same from run to run, so a change of a percent shows.

use super::{media, per_buffer, remux, start};
use crate::bench::{Settings, command};
use crate::report::Instructions;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Buffers through the counted chains: callgrind is some fifty times slower than the processor.
const BUFFERS: u32 = 20_000;
/// Where the counts of the last run are kept, in the work folder.
const FILE: &str = "instructions.json";
/// Elements of the short and the long chain.
const CHAIN: [u32; 2] = [1, 5];

/// Counts of the start, of one hop, and of each conversion of the short clip.
pub(crate) fn run(settings: &Settings) -> Result<Vec<Instructions>> {
    let started = count(settings, &format!("{{}} launch {}", start::LINE), &[])?;
    let mut rows = vec![row(settings, "start", "process", started)];
    for element in ["identity", "queue"] {
        let [short, long] = CHAIN.map(|elements| per_buffer::line(element, elements, BUFFERS));
        let short = count(settings, &format!("{{}} launch {short}"), &[])?;
        let long = count(settings, &format!("{{}} launch {long}"), &[])?;
        let hops = f64::from(CHAIN[1] - CHAIN[0]) * f64::from(BUFFERS);
        rows.push(row(settings, element, "buffer", (long - short) / hops));
    }
    for conversion in ["flv-ts", "flv-hls", "flv-flv"] {
        let (clip, out) = (media::clip(settings)?, settings.scratch.path("counted"));
        std::fs::create_dir_all(&out)?;
        let paths = [&*clip.to_string_lossy(), &*out.to_string_lossy()];
        let whole = count(settings, &format!("{{}} launch {}", remux::line(conversion)?), &paths)?;
        std::fs::remove_dir_all(&out)?;
        rows.push(row(settings, conversion, "input byte", (whole - started) / clip.metadata()?.len() as f64));
    }
    std::fs::write(settings.work.join(FILE), serde_json::to_string_pretty(&rows)?)?;
    Ok(rows)
}

/// Runs ours under callgrind; the instructions of all its threads.
fn count(settings: &Settings, template: &str, paths: &[&str]) -> Result<f64> {
    let profile = settings.scratch.path("callgrind.out");
    let words: Vec<&str> = [settings.ours.as_str()].into_iter().chain(paths.iter().copied()).collect();
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "-q"]).arg(format!("--callgrind-out-file={}", profile.display()));
    valgrind.args(command(template, &words)).stdin(Stdio::null());
    let output = valgrind.output().context("cannot start valgrind")?;
    if !output.status.success() {
        bail!("callgrind: {}", String::from_utf8_lossy(&output.stderr));
    }
    total(&profile)
}

/// The `totals:` line of a callgrind profile.
fn total(profile: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(profile).context("callgrind wrote no profile")?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("no totals in the profile")?;
    line.trim().parse().context("totals is no number")
}

fn row(settings: &Settings, bench: &'static str, per: &'static str, count: f64) -> Instructions {
    Instructions { bench, per, count, before: before(settings, bench) }
}

/// The count of the last run that counted.
fn before(settings: &Settings, bench: &str) -> Option<f64> {
    let last: Value = serde_json::from_slice(&std::fs::read(settings.work.join(FILE)).ok()?).ok()?;
    let rows = last.as_array()?;
    rows.iter().find(|row| row.get("bench").is_some_and(|name| name == bench))?.get("count")?.as_f64()
}
