//! What the tests of this crate share.

use std::path::{Path, PathBuf};

/// The folder of test media, if this machine has it.
fn root() -> Option<PathBuf> {
    let named = std::env::var_os("MILLSTREAM_MEDIA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    let found = named.into_iter().chain([beside]).find(|path| path.is_dir());
    if found.is_none() {
        eprintln!("no test media: this test runs on fewer files");
    }
    found
}

/// The bytes of a file of the test media.
pub(crate) fn media(name: &str) -> Option<Vec<u8>> {
    std::fs::read(root()?.join(name)).ok()
}

/// Name and bytes of every file below these folders whose name ends in `extension`.
pub(crate) fn media_below(folders: &[&str], extension: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = root().into_iter().flat_map(|r| folders.iter().map(move |f| r.join(f))).collect();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.extend(std::fs::read(&path).map(|bytes| (path.display().to_string(), bytes)));
            }
        }
    }
    found.sort();
    found
}

/// A small generator of repeatable noise (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
