//! `plugins check FILE`: the conformance kit, each case in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use millstream::plugins::kit::{CASES, Case, Kit};
use millstream::runtime::Runtime;

use super::super::{Exit, Outcome, numbers, report, terminal};

/// How long a case may take: its element stops in 5 s if it keeps its word, and some cases make it several times.
const MAX_CASE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream plugins check target/release/libcount.so
  millstream plugins check libcount.so --element count

Exit code 0: all is kept; 1: something is not.")]
pub(super) struct Args {
    /// The library, with its manifest beside it
    library: PathBuf,
    /// Only this element
    #[arg(long)]
    element: Option<String>,
    /// Only this case
    #[arg(long)]
    case: Option<String>,
    /// Run it in this process
    #[arg(long, hide = true, requires = "element", requires = "case")]
    here: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    // Where a library that is loaded ends the process, the parent says so.
    if let (Some(element), Some(case), true) = (&args.element, &args.case, args.here) {
        return one(&args.library, element, case);
    }
    let kit = match Kit::open(&args.library) {
        Ok(kit) => kit,
        Err(refused) => return Ok(super::not_used(&refused)),
    };
    let elements = kit.elements().into_iter().filter(|name| args.element.as_ref().is_none_or(|only| only == name));
    let mut broken = 0;
    let mut count = 0;
    for element in elements {
        for case in CASES.iter().filter(|case| args.case.as_ref().is_none_or(|only| only == case.name)) {
            count += 1;
            broken += u64::from(!apart(&args.library, &element, case)?);
        }
    }
    if count == 0 {
        report::error("it has no such element or case", Some("`millstream plugins check` without them runs all"));
        return Ok(Exit::Usage);
    }
    terminal::print(&format!("{} run, {broken} failed\n", numbers::count(count, "case")))?;
    Ok(if broken == 0 { Exit::Done } else { Exit::Failed })
}

/// Runs a case in this process.
fn one(library: &Path, element: &str, case: &str) -> Outcome {
    let kit = match Kit::open(library) {
        Ok(kit) => kit,
        Err(refused) => return Ok(super::not_used(&refused)),
    };
    let Some(case) = CASES.iter().find(|of| of.name == case) else { return Ok(Exit::Usage) };
    let runtime = Runtime::new()?;
    match kit.run(runtime.env(), element, case) {
        Ok(()) => Ok(Exit::Done),
        Err(what) => {
            terminal::print(&what)?;
            Ok(Exit::Failed)
        }
    }
}

/// Runs a case in a process of its own, and tells what became of it.
fn apart(library: &Path, element: &str, case: &Case) -> anyhow::Result<bool> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["plugins", "check"]).arg(library).args(["--element", element, "--case", case.name, "--here"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // What it says fits into the pipes, or it is as good as silent.
    let until = Instant::now() + MAX_CASE;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() > until => {
                child.kill()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let fault = match status {
        None => Some(format!("a call did not return within {} s", MAX_CASE.as_secs())),
        Some(status) if status.success() => None,
        Some(status) if status.code() == Some(i32::from(Exit::Failed.code())) && !said.is_empty() => Some(said),
        Some(status) => Some(crash(status, &String::from_utf8_lossy(&output.stderr))),
    };
    match &fault {
        None => terminal::print(&format!("ok    {element} {}: {}\n", case.name, case.promise))?,
        Some(what) => terminal::print(&format!("FAIL  {element} {}: {}\n      {what}\n", case.name, case.promise))?,
    }
    Ok(fault.is_none())
}

/// The last words of a process that did not end by itself.
fn crash(status: ExitStatus, said: &str) -> String {
    let summary = said.lines().find(|line| line.contains("ERROR: ") || line.contains("SUMMARY: "));
    let last = summary.or_else(|| said.lines().rev().find(|line| !line.trim().is_empty()));
    match last {
        Some(last) => format!("it ended the process ({status}): {}", last.trim()),
        None => format!("it ended the process ({status})"),
    }
}
