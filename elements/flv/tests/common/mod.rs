//! Helpers that the integration tests share.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_flv::wire::{FlvReader, Tag};

/// The folder with the large test files, if this machine has it: `MILLSTREAM_MEDIA`, or `shared/media` beside the workspace.
pub(crate) fn media_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("MILLSTREAM_MEDIA") {
        return Some(dir.into());
    }
    let found =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/media")).find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("no media folder: this test runs on fewer files");
    }
    found
}

/// A media file, if it is there.
pub(crate) fn media(name: &str) -> Option<Bytes> {
    Some(std::fs::read(media_dir()?.join(name)).expect("a listed media file is readable").into())
}

/// All files of a media folder with an extension, by name.
pub(crate) fn files(dir: &str, extension: &str) -> Vec<(String, Bytes)> {
    let Some(root) = media_dir() else { return Vec::new() };
    let mut files: Vec<_> =
        std::fs::read_dir(root.join(dir)).expect("media folder").map(|e| e.expect("entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == extension));
    files.sort();
    files
        .iter()
        .map(|path| {
            (format!("{dir}/{}", path.file_name().unwrap().to_string_lossy()), std::fs::read(path).unwrap().into())
        })
        .collect()
}

/// Reads a whole file in pushes of `step` bytes.
pub(crate) fn read_all(file: &[u8], step: usize) -> (Vec<Tag>, FlvReader) {
    let file = Bytes::copy_from_slice(file);
    let mut reader = FlvReader::new();
    let mut tags = Vec::new();
    for at in (0..file.len()).step_by(step.max(1)) {
        reader.push(file.slice(at..file.len().min(at + step)));
        while let Ok(Some(tag)) = reader.next() {
            tags.push(tag);
        }
    }
    reader.finish();
    while let Ok(Some(tag)) = reader.next() {
        tags.push(tag);
    }
    (tags, reader)
}
