//! What a pipeline reads and writes on disk.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use millstream::core::registry::Resource;
use millstream::graph::Graph;
use millstream::io::filesrc::FileSrcSettings;
use serde_json::{Value, json};

use super::numbers;

/// A `filesrc` of a graph.
pub(crate) struct Input {
    /// `element.`, which the names of its links begin with.
    pub(crate) prefix: String,
    /// Path that it reads.
    pub(crate) path: PathBuf,
    /// Its size in bytes; `None` for pipes, for what is not there and for what is read in a loop.
    pub(crate) size: Option<u64>,
    /// Whether it begins again at its end.
    pub(crate) repeats: bool,
}

/// The files that a graph reads.
pub(crate) fn inputs(graph: &Graph) -> Vec<Input> {
    let location = |node: &millstream::graph::Node| {
        let settings = node.settings.make().ok()?.downcast::<FileSrcSettings>().ok()?;
        Some((format!("{}.", node.name), settings.location, settings.repeat))
    };
    let input = |(prefix, path, repeats): (String, PathBuf, bool)| {
        // What is read again and again has no end to come closer to.
        let file = std::fs::metadata(&path).ok().filter(|meta| meta.is_file() && !repeats);
        let size = file.map(|meta| meta.len());
        Input { prefix, path, size, repeats }
    };
    graph.nodes.iter().filter_map(location).map(input).collect()
}

/// A file or directory that a graph writes.
#[derive(Clone)]
pub(crate) struct Written {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Whether it is a directory.
    pub(crate) is_dir: bool,
    /// When it was last changed before the job; `None` if it was not there.
    before: Option<SystemTime>,
}

/// What a graph writes, in the order of its elements.
pub(crate) fn outputs(graph: &Graph) -> Vec<Written> {
    let resources = graph.nodes.iter().filter_map(|node| Some(node.factory.exclusive(&*node.settings.make().ok()?)));
    let written = |resource| match resource {
        Resource::WritesFile(path) => Some(Written { before: changed(&path), path, is_dir: false }),
        Resource::WritesDir(path) => Some(Written { before: changed(&path), path, is_dir: true }),
        Resource::Listens(_) => None,
    };
    resources.flatten().filter_map(written).collect()
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

impl Written {
    /// Whether it is there and this job has written it. What an earlier job wrote may stand in the way of one that failed.
    pub(crate) fn is_new(&self) -> bool {
        !self.is_stdout() && changed(&self.path).is_some_and(|now| self.before != Some(now))
    }

    /// Whether it is standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// The directory that holds it all: a playlist stands beside its segments.
    fn directory(&self) -> Option<&Path> {
        if self.is_dir {
            return Some(&self.path);
        }
        let is_playlist = self.path.extension().is_some_and(|e| e == "m3u8");
        self.path
            .parent()
            .filter(|_| is_playlist)
            .map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
    }

    /// Bytes and number of files; `None` if nothing is there.
    fn measure(&self) -> Option<(u64, u64)> {
        let meta = std::fs::metadata(&self.path).ok()?;
        let Some(dir) = self.directory() else { return Some((meta.len(), 1)) };
        let sizes = std::fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.metadata().ok());
        let sum = |(bytes, files): (u64, u64), meta: std::fs::Metadata| (bytes.saturating_add(meta.len()), files + 1);
        Some(sizes.filter(std::fs::Metadata::is_file).fold((0, 0), sum))
    }

    /// `out.ts (4.1 MB)`; `None` if nothing was written.
    pub(crate) fn describe(&self) -> Option<String> {
        if self.is_stdout() {
            return Some("standard output".to_owned());
        }
        let (bytes, files) = self.measure()?;
        let size = numbers::bytes(bytes);
        Some(match self.directory() {
            Some(_) => format!("{} ({}, {size})", self.path.display(), numbers::count(files, "file")),
            None => format!("{} ({size})", self.path.display()),
        })
    }

    /// The same for machines.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let (bytes, files) = self.measure()?;
        Some(json!({ "path": self.path, "directory": self.is_dir, "files": files, "bytes": bytes }))
    }

    /// What to give a player, if it is something that players take.
    pub(crate) fn playable(&self) -> Option<&Path> {
        const MEDIA: [&str; 3] = ["flv", "ts", "m3u8"];
        let is_media = self.path.extension().is_some_and(|e| MEDIA.iter().any(|m| e == *m));
        Some(self.path.as_path()).filter(|path| is_media && path.exists())
    }
}
