//! Which tests need foreign programs: the files that look one up. `cargo xtask test --no-peers` leaves these out.

use crate::sh;
use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// How a test comes to a foreign program.
const MARKS: [&str; 4] = ["testkit::peer", "peers::peer", "millstream_tests::peers", "\"ffprobe\""];

/// The feature that adds the tests of the optional programs.
pub(crate) const ALL_PEERS: &str = "millstream-tests/all-peers";
/// The file of these tests, which is not there without that feature.
const ONLY_ALL_PEERS: &str = "all_peers";

/// A file of integration tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestFile {
    /// Name of its package.
    pub(crate) package: String,
    /// Its own name, without `.rs`.
    pub(crate) name: String,
    path: PathBuf,
}

impl fmt::Display for TestFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.strip_prefix(sh::root()).unwrap_or(&self.path);
        write!(f, "{}", path.display())
    }
}

/// The files whose tests need foreign programs.
pub(crate) fn tests() -> Result<Vec<TestFile>> {
    let mut found = files()?;
    found.retain(|file| std::fs::read_to_string(&file.path).is_ok_and(|text| needs_a_peer(&text)));
    Ok(found)
}

fn needs_a_peer(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
        || text.split("use millstream_testkit::{").skip(1).any(|rest| rest.split('}').next().is_some_and(has_peer))
}

fn has_peer(imports: &str) -> bool {
    imports.split([',', ' ']).any(|name| name == "peer")
}

/// Every file of integration tests in the workspace.
pub(crate) fn files() -> Result<Vec<TestFile>> {
    let mut files = Vec::new();
    for group in ["framework", "elements", "tests"] {
        for package in entries(&sh::root().join(group))? {
            let manifest = package.join("Cargo.toml");
            let Ok(manifest) = std::fs::read_to_string(manifest) else { continue };
            let Some(name) = package_name(&manifest) else { continue };
            let tests = entries(&package.join("tests")).unwrap_or_default();
            let tests = tests.into_iter().filter_map(|path| test_file(name, path));
            files.extend(tests.filter(|test| test.name != ONLY_ALL_PEERS));
        }
    }
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

/// A file, or a folder with a `main.rs`, is a test of its name.
fn test_file(package: &str, path: PathBuf) -> Option<TestFile> {
    let path = if path.is_dir() { path.join("main.rs") } else { path };
    if !path.is_file() || path.extension()? != "rs" {
        return None;
    }
    let stem = if path.ends_with("main.rs") { path.parent()?.file_name()? } else { path.file_stem()? };
    Some(TestFile { package: package.to_owned(), name: stem.to_string_lossy().into_owned(), path })
}

fn package_name(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_look_up_a_program_are_found() {
        assert!(needs_a_peer("use millstream_testkit::{media::media_bytes, peers::peer};"));
        assert!(needs_a_peer("use millstream_testkit::{fixture, peer};"));
        assert!(needs_a_peer("use millstream_tests::peers::{self, Input};"));
        assert!(!needs_a_peer("use millstream_testkit::{fixture, media};"));
        let found: Vec<String> = tests().expect("the tree is here").iter().map(ToString::to_string).collect();
        assert!(found.contains(&"tests/suite/tests/interop.rs".to_owned()), "{found:?}");
        assert!(!found.contains(&"tests/suite/tests/cli.rs".to_owned()), "{found:?}");
    }
}
