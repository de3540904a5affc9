//! Helpers that the integration tests share.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::disallowed_methods, reason = "a test reads its media itself")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream_flv::wire::{FlvReader, Tag};

/// The folder with the large test files, if this machine has it: `MILLSTREAM_MEDIA`, or `shared/media` beside the workspace.
pub(crate) fn media_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("MILLSTREAM_MEDIA") {
        return Some(dir.into());
    }
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/media"));
    let found = folders.find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("no media folder: this test runs on fewer files");
    }
    found
}

/// A media file, if the folder is there.
pub(crate) fn media(name: &str) -> Option<Bytes> {
    Some(std::fs::read(media_dir()?.join(name)).expect("a listed media file is readable").into())
}

/// Columns of the manifest's rows for FLV files: name and what libavformat 62 read.
pub(crate) fn manifest() -> Vec<(String, String)> {
    let Some(dir) = media_dir() else { return Vec::new() };
    let text = std::fs::read_to_string(dir.join("MANIFEST.tsv")).expect("the manifest is readable");
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[0].ends_with(".flv")).map(|row| (row[0].into(), row[7].into())).collect()
}

/// Reads a whole file in pushes of `step` bytes.
pub(crate) fn read_all(file: &Bytes, step: usize) -> (Vec<Tag>, FlvReader) {
    let mut reader = FlvReader::new();
    let mut tags = Vec::new();
    for at in (0..file.len()).step_by(step.max(1)) {
        reader.push(file.slice(at..file.len().min(at + step)));
        drain(&mut reader, &mut tags);
    }
    reader.finish();
    drain(&mut reader, &mut tags);
    (tags, reader)
}

fn drain(reader: &mut FlvReader, tags: &mut Vec<Tag>) {
    while let Ok(Some(tag)) = reader.next() {
        tags.push(tag);
    }
}
