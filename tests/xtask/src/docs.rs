//! `cargo xtask docs`: the element reference in `docs/elements`, one page an element, written by the command line
//! itself from the settings' doc comments. It is committed, so that a changed property is a reviewed change.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a page is not current
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check { check() } else { write(&folder()) }
}

/// Whether the reference has been written once.
pub(crate) fn is_written() -> bool {
    pages(&folder()).is_ok_and(|pages| !pages.is_empty())
}

/// Fails naming the pages that differ from what the elements say today.
pub(crate) fn check() -> Result<()> {
    let fresh = sh::target_dir().join("docs-check");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    write(&fresh)?;
    let (now, committed) = (pages(&fresh)?, pages(&folder())?);
    let names = now.keys().chain(committed.keys().filter(|name| !now.contains_key(*name)));
    let stale: Vec<&str> = names.filter(|name| now.get(*name) != committed.get(*name)).map(String::as_str).collect();
    if !stale.is_empty() {
        bail!("docs/elements is not current ({}): run `cargo xtask docs` and commit", stale.join(", "));
    }
    eprintln!("docs/elements: all {} pages are current", now.len());
    Ok(())
}

fn folder() -> PathBuf {
    sh::root().join("docs/elements")
}

fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut inspect = sh::cargo();
    inspect.args(["run", "--quiet", "--package", "millstream", "--", "inspect", "--markdown"]).arg(folder);
    sh::run(&mut inspect)
}

fn pages(folder: &Path) -> Result<BTreeMap<String, String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut pages = BTreeMap::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            pages.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(pages)
}
