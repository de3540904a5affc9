//! Running other programs, and where things are.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace: two folders above this package.
pub(crate) fn root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The shared media set: named by `MILLSTREAM_MEDIA`, or beside the workspace or further up. It need not be there.
pub(crate) fn media() -> PathBuf {
    let near = || root().ancestors().map(|up| up.join("shared/media")).find(|folder| folder.is_dir());
    let named = std::env::var_os("MILLSTREAM_MEDIA").map(PathBuf::from);
    named.or_else(near).unwrap_or_else(|| root().join("shared/media"))
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The same for a package with a workspace of its own, which shares the folder that is built into.
pub(crate) fn cargo_of(package: &str, task: &str) -> Command {
    let mut command = cargo();
    command.args([task, "--locked", "--manifest-path", &format!("{package}/Cargo.toml"), "--target-dir"]);
    command.arg(target_dir());
    command
}

/// Says what is about to run, runs it, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// Runs it silently; whether it succeeded. A program that is not there did not.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether a program of this name is on PATH.
pub(crate) fn on_path(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // cargo tells its children its full path.
    let program = if program.ends_with("bin/cargo") { OsStr::new("cargo") } else { program.as_os_str() };
    let words = std::iter::once(program).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.contains([' ', '(', '*']) { format!("'{word}'") } else { word.into_owned() }
}
