//! Foreign programs.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest run of a foreign program.
const LIMIT: Duration = Duration::from_secs(100);

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// It ended with 0.
    pub ok: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a program to its end, without input.
///
/// # Panics
/// When it cannot be started or takes too long.
pub fn run<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>) -> Said {
    run_with(program, args, &[])
}

/// The same with variables of the environment in addition.
///
/// # Panics
/// As [`run`].
pub fn run_with<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>, set: &[(&str, &str)]) -> Said {
    let mut child = Command::new(program)
        .args(args)
        .envs(set.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|p| Box::new(p) as _));
    let stderr = read(child.stderr.take().map(|p| Box::new(p) as _));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap_or_else(|e| panic!("{}: {e}", program.display())) {
            Some(status) => break status,
            None if begun.elapsed() > LIMIT => {
                // It may have ended meanwhile.
                let _ = child.kill();
                panic!("{} does not end", program.display());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Said { ok: status.success(), stdout: text(stdout), stderr: text(stderr) }
}
