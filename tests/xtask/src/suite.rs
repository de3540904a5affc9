//! `cargo xtask test`: every test there is, with the peers present.

use crate::left_out::{self, TestFile};
use crate::{docs, setup, sh};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only what needs no foreign program
    #[arg(long, conflicts_with = "all_peers")]
    no_peers: bool,
    /// Bring the optional peers too, which are large or compiled from source, and run the tests that need them
    #[arg(long)]
    all_peers: bool,
    /// Only tests whose names contain one of these
    names: Vec<String>,
}

/// What ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.no_peers {
        setup::ensure(args.all_peers, true)?;
    }
    let started = Instant::now();
    let mut broken = Vec::new();
    let mut tally = Tally::default();
    for (what, mut command) in steps(args)? {
        command.env("MILLSTREAM_PEERS", if args.no_peers { "off" } else { "require" });
        let (ok, counts) = counted(&mut command)?;
        tally = Tally { passed: tally.passed + counts.passed, failed: tally.failed + counts.failed };
        if !ok {
            broken.push(what);
        }
    }
    if args.names.is_empty() && docs::is_written() && docs::check().is_err() {
        broken.push("docs");
    }
    eprintln!("tests took {:.0} s", started.elapsed().as_secs_f32());
    eprintln!("{} passed, {} failed", tally.passed, tally.failed);
    if broken.is_empty() { Ok(()) } else { bail!("failed: {}", broken.join(", ")) }
}

fn steps(args: &Args) -> Result<Vec<(&'static str, Command)>> {
    let left_out = if args.no_peers { left_out::tests()? } else { Vec::new() };
    for test in &left_out {
        eprintln!("left out, as it needs foreign programs: {test}");
    }
    let mut tests = if sh::succeeds("cargo", &["nextest", "--version"]) {
        vec![nextest(&left_out, &args.names)]
    } else {
        libtest(&left_out, &args.names)?
    };
    if args.all_peers {
        tests.iter_mut().for_each(|(_, command)| {
            // Before the `--` of libtest and behind the subcommand, where both take it.
            let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let mut with = sh::cargo();
            let at = 1 + usize::from(words.first().is_some_and(|word| word == "nextest"));
            with.args(&words[..at]).args(["--features", left_out::ALL_PEERS]).args(&words[at..]);
            *command = with;
        });
    }
    if !args.names.is_empty() {
        return Ok(tests);
    }
    let mut gstreamer = gstreamer(args.no_peers);
    let mut doctests = sh::cargo();
    doctests.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    let mut build = sh::cargo();
    build.args(["build", "--workspace", "--bins", "--examples", "--benches"]); // tests start the binaries
    tests.insert(0, ("build", build));
    tests.splice(0..0, gstreamer.drain(..));
    tests.push(("doc tests", doctests));
    Ok(tests)
}

/// The plugins that need GStreamer are workspaces of their own: only here are its development files known to be there.
pub(crate) const GSTREAMER: [&str; 2] = ["plugins/gstreamer", "plugins/gst-export"];

fn gstreamer(left_out: bool) -> Vec<(&'static str, Command)> {
    if left_out {
        eprintln!("left out, as they need GStreamer: {}", GSTREAMER.join(", "));
        return Vec::new();
    }
    let each = GSTREAMER.iter().flat_map(|package| ["build", "test"].map(|what| (*package, what)));
    each.map(|(package, what)| (package, sh::cargo_of(package, what))).collect()
}

fn nextest(left_out: &[TestFile], names: &[String]) -> (&'static str, Command) {
    let mut tests = sh::cargo();
    tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(names);
    if !left_out.is_empty() {
        let ids: Vec<String> = left_out.iter().map(|t| format!("binary_id(={}::{})", t.package, t.name)).collect();
        tests.args(["-E", &format!("not ({})", ids.join(" | "))]);
    }
    ("tests", tests)
}

/// Without cargo-nextest. It cannot leave out a file, so the others of that package are named.
fn libtest(left_out: &[TestFile], names: &[String]) -> Result<Vec<(&'static str, Command)>> {
    let run = |args: &[&str]| {
        let mut tests = sh::cargo();
        tests.arg("test").args(args).args(["--no-fail-fast", "--"]).args(names);
        ("tests", tests)
    };
    let mut packages: Vec<&str> = left_out.iter().map(|test| &*test.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let mut most = vec!["--workspace", "--lib", "--bins", "--tests", "--examples"];
    most.extend(packages.iter().flat_map(|package| ["--exclude", package]));
    let mut all = vec![run(&most)];
    let files = left_out::files()?;
    for package in packages {
        let mut args = vec!["--package", package, "--lib"];
        let kept = files.iter().filter(|file| file.package == package && !left_out.contains(file));
        args.extend(kept.flat_map(|file| ["--test", &file.name]));
        all.push(run(&args));
    }
    Ok(all)
}

/// Runs it, passing its output on line by line, and adds up the closing lines of the test runners.
fn counted(command: &mut Command) -> Result<(bool, Tally)> {
    let shown = sh::line(command);
    eprintln!("$ {shown}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let stderr = child.stderr.take().context("stderr is piped")?;
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| forward(stderr));
        (forward(stdout), other.join().unwrap_or_default())
    });
    let status = child.wait()?;
    Ok((status.success(), Tally { passed: a.passed + b.passed, failed: a.failed + b.failed }))
}

fn forward(stream: impl std::io::Read) -> Tally {
    let mut tally = Tally::default();
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        let counts = closing(&line);
        tally = Tally { passed: tally.passed + counts.passed, failed: tally.failed + counts.failed };
    }
    tally
}

/// The counts in a runner's closing line, nothing in any other line. A test that timed out failed.
fn closing(line: &str) -> Tally {
    // libtest's own line is never indented, except where nextest quotes the output of a failed test.
    if !(line.trim_start().starts_with("Summary [") || line.starts_with("test result:")) {
        return Tally::default();
    }
    let count = |word: &str| {
        let at = line.find(word)?;
        line[..at].trim_end().rsplit(' ').next()?.parse::<u64>().ok()
    };
    Tally {
        passed: count(" passed").unwrap_or(0),
        failed: count(" failed").unwrap_or(0) + count(" timed out").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let nextest = "     Summary [   0.013s] 5 tests run: 3 passed, 1 failed, 1 timed out, 2 skipped";
        assert_eq!(closing(nextest), Tally { passed: 3, failed: 2 });
        let libtest = "test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(closing(libtest), Tally { passed: 7, failed: 1 });
        assert_eq!(closing("    test result: FAILED. 0 passed; 1 failed"), Tally::default());
        assert_eq!(closing("the last 4 passed to us"), Tally::default());
    }
}
