//! The media corpus and the small fixtures.
//!
//! The corpus is a folder of several hundred files with a `MANIFEST.tsv`. Its place is `MILLSTREAM_MEDIA`, or
//! `shared/media` beside the workspace or further up. Without it tests run on what lies in `tests/fixtures`.

use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use bytes::Bytes;

use crate::Manifest;

/// The workspace's root folder.
pub fn workspace() -> &'static Path {
    // framework/testkit is two levels down.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// The folder of the corpus, if this machine has it; says once when it has not.
pub fn media_dir() -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let named = std::env::var_os("MILLSTREAM_MEDIA").map(PathBuf::from);
        let found = || workspace().ancestors().map(|up| up.join("shared/media")).find(|dir| dir.is_dir());
        named.or_else(found)
    });
    if dir.is_none() {
        static SAID: Once = Once::new();
        SAID.call_once(|| eprintln!("no media corpus (MILLSTREAM_MEDIA): tests run on fewer files"));
    }
    dir.as_deref()
}

/// A file of the corpus by its name in the manifest (`gen/h264.flv`), or the fixture of the same base name; `None`
/// when neither is here, in which case the test goes on without it.
pub fn media(path: &str) -> Option<PathBuf> {
    let corpus = media_dir().map(|dir| dir.join(path)).filter(|file| file.is_file());
    corpus.or_else(|| {
        let base = Path::new(path).file_name()?;
        Some(workspace().join("tests/fixtures").join(base)).filter(|file| file.is_file())
    })
}

/// The bytes of [`media`].
pub fn media_bytes(path: &str) -> Option<Bytes> {
    let file = media(path)?;
    Some(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).into())
}

/// A file of `tests/fixtures`, which every clone has.
///
/// # Panics
/// When there is no such file.
pub fn fixture(name: &str) -> PathBuf {
    let file = workspace().join("tests/fixtures").join(name);
    assert!(file.is_file(), "no fixture {}", file.display());
    file
}

/// The manifest of the corpus; empty without a corpus.
///
/// # Panics
/// When it cannot be read.
pub fn manifest() -> &'static Manifest {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let Some(dir) = media_dir() else { return Manifest::default() };
        let file = dir.join("MANIFEST.tsv");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Manifest::parse(&text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_manifest_is_found() {
        for row in manifest().rows() {
            assert!(media(&row.file).is_some(), "{}", row.file);
        }
        assert_eq!(media("gen/no such file"), None);
    }
}
