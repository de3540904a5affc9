//! Test media beside the workspace, and what the manifest says of them.
#![allow(dead_code, clippy::print_stdout, reason = "each test binary uses a part; the notice is for people")]
#![allow(clippy::disallowed_methods, reason = "a test reads its media itself")]

pub(crate) mod parser;

use std::path::PathBuf;

/// The media folder: `MILLSTREAM_MEDIA`, or `../shared/media` beside an enclosing folder of this crate.
pub(crate) fn media_dir() -> Option<PathBuf> {
    let set = std::env::var_os("MILLSTREAM_MEDIA").map(PathBuf::from);
    let near = || {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().map(|dir| dir.join("../shared/media")).find(|dir| dir.is_dir())
    };
    let found = set.or_else(near);
    if found.is_none() {
        println!("no media folder: this test runs on fewer files");
    }
    found
}

/// A media file's bytes, when the media folder is there.
pub(crate) fn media(name: &str) -> Option<Vec<u8>> {
    let dir = media_dir()?;
    Some(std::fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Rows of the manifest: file, and libavformat 62's packet count of the first stream with the given codec.
pub(crate) fn counts(codec: &str) -> Vec<(String, usize)> {
    let Some(manifest) = media("MANIFEST.tsv") else { return Vec::new() };
    let manifest = String::from_utf8(manifest).unwrap();
    manifest
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let stream = columns.get(7)?.split(' ').find(|part| part.contains(&format!(":{codec}:")))?;
            let count = stream.trim_end_matches(';').rsplit(':').next()?.parse().ok()?;
            Some((columns[0].to_owned(), count))
        })
        .collect()
}

/// All files of a folder whose name begins with `prefix`.
pub(crate) fn files(folder: &str, prefix: &str) -> Vec<Vec<u8>> {
    let Some(dir) = media_dir() else { return Vec::new() };
    let entries = std::fs::read_dir(dir.join(folder)).unwrap().map(|entry| entry.unwrap());
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| std::fs::read(entry.path()).unwrap()).collect()
}

/// The bodies of all boxes of this type in an MP4 file, found by their name: enough for test input.
pub(crate) fn boxes(file: &[u8], kind: &[u8; 4]) -> Vec<Vec<u8>> {
    let found = (4..file.len().saturating_sub(4)).filter(|at| file[*at..].starts_with(kind));
    found
        .filter_map(|at| {
            let size = u32::from_be_bytes(file[at - 4..at].try_into().ok()?) as usize;
            Some(file.get(at + 4..(at - 4).checked_add(size)?)?.to_vec())
        })
        .collect()
}

/// Runs `parse` on each file of the fuzz corpus, on every prefix of the short ones, and with one byte changed.
pub(crate) fn torture(prefix: &str, parse: impl Fn(&[u8])) {
    for data in files("fuzz_codec", prefix) {
        parse(&data);
        for end in 0..data.len().min(200) {
            parse(&data[..end]);
            let mut changed = data.clone();
            changed[end] ^= 0x55;
            parse(&changed);
        }
    }
}

/// The PES payloads of the first elementary stream of a TS file whose PES stream id is in `ids`: a reader just good
/// enough for undamaged test files (188-byte packets, whole PES headers in the first packet).
pub(crate) fn ts_payloads(file: &[u8], ids: std::ops::RangeInclusive<u8>) -> Vec<Vec<u8>> {
    let mut pid = None;
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for packet in file.chunks_exact(188).filter(|packet| packet[3] & 0x10 != 0) {
        let id = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let adaptation = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        let payload = &packet[4 + adaptation..];
        let begins = packet[1] & 0x40 != 0;
        if begins && pid.is_none() && payload.starts_with(&[0, 0, 1]) && ids.contains(&payload[3]) {
            pid = Some(id);
        }
        if pid != Some(id) {
            continue;
        }
        if begins {
            payloads.push(payload[9 + usize::from(payload[8])..].to_vec());
        } else if let Some(last) = payloads.last_mut() {
            last.extend_from_slice(payload);
        }
    }
    payloads
}
