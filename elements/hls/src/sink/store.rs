//! Files of a presentation. Whatever carries its final name is whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::env::{Fs, WriteFile};
use millstream_core::{Error, Result};

use super::settings::Plan;
use crate::playlist::{MediaPlaylist, read_media_playlist};
use crate::window::Found;

/// Bytes of a playlist that is read back: [`crate::playlist::MAX_SEGMENTS`] entries of usual length.
const MAX_PLAYLIST: u64 = 128 << 20;

/// Ends the name of a file that is being written.
const PART: &str = ".part";

/// The directory of a presentation.
pub(super) struct Store {
    fs: Arc<dyn Fs>,
    plan: Plan,
}

/// A segment that is being written.
pub(super) struct SegmentFile {
    file: Box<dyn WriteFile>,
    part: PathBuf,
    path: PathBuf,
    /// Bytes written.
    pub(super) bytes: u64,
}

impl Store {
    pub(super) fn new(plan: Plan, fs: Arc<dyn Fs>) -> Self {
        Self { fs, plan }
    }

    pub(super) fn create_directory(&self) -> Result<()> {
        let directory = &self.plan.directory;
        self.fs.create_dir_all(directory).map_err(|e| failed("make the directory", directory, e))
    }

    /// What an earlier run left; its unfinished files are removed. A playlist that cannot be read comes as the error.
    pub(super) fn find(&self) -> Result<(Found, Option<Error>)> {
        let directory = &self.plan.directory;
        let entries = self.fs.list(directory).map_err(|e| failed("list the directory", directory, e))?;
        let mut found = Found::default();
        for entry in entries {
            let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(sequence) = self.plan.segment_name.sequence(name) {
                found.segments.push(sequence);
            } else if name.strip_suffix(PART).is_some_and(|whole| self.is_ours(whole)) {
                // If it stays, it only takes room.
                let _ = self.fs.remove(&directory.join(name));
            }
        }
        let (playlist, unreadable) = self.read_playlist();
        found.playlist = playlist;
        Ok((found, unreadable))
    }

    fn is_ours(&self, name: &str) -> bool {
        name == self.plan.playlist_name || self.plan.segment_name.sequence(name).is_some()
    }

    fn read_playlist(&self) -> (Option<MediaPlaylist>, Option<Error>) {
        let path = self.playlist_path();
        let unreadable = |e: Error| (None, Some(e));
        match self.fs.read_text(&path, MAX_PLAYLIST) {
            Ok(text) => match read_media_playlist(&text) {
                Ok(playlist) => (Some(playlist), None),
                Err(e) => unreadable(Error::malformed(format!("{} is replaced", path.display())).caused_by(e)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => (None, None),
            Err(e) => unreadable(failed("read, so it is replaced:", &path, e)),
        }
    }

    /// Begins a segment under a provisional name.
    pub(super) fn create(&self, sequence: u64) -> Result<SegmentFile> {
        let path = self.segment_path(sequence);
        let part = with_suffix(&path);
        let file = self.fs.create(&part).map_err(|e| failed("create", &part, e))?;
        Ok(SegmentFile { file, part, path, bytes: 0 })
    }

    /// Appends to a segment.
    pub(super) fn write(&self, segment: &mut SegmentFile, block: &Bytes) -> Result<()> {
        segment.file.write_all(&[block]).map_err(|e| failed("write", &segment.part, e))?;
        segment.bytes += block.len() as u64;
        Ok(())
    }

    /// Gives a whole segment its name.
    pub(super) fn finish(&self, mut segment: SegmentFile) -> Result<()> {
        let done = segment.file.finish().and_then(|()| self.fs.rename(&segment.part, &segment.path));
        done.map_err(|e| {
            let error = failed("finish", &segment.path, e);
            self.abandon(segment);
            error
        })
    }

    /// Removes an unfinished segment, which also makes room for the playlist on a full disk.
    pub(super) fn abandon(&self, segment: SegmentFile) {
        let SegmentFile { file, part, .. } = segment;
        drop(file);
        let _ = self.fs.remove(&part);
    }

    /// Replaces the playlist.
    pub(super) fn publish(&self, text: &[&[u8]]) -> Result<()> {
        replace(&*self.fs, &self.playlist_path(), text)
    }

    /// Deletes segments; those that are gone already do not matter.
    pub(super) fn delete(&self, sequences: &[u64]) -> Result<()> {
        for sequence in sequences {
            let path = self.segment_path(*sequence);
            self.remove(&path)?;
        }
        Ok(())
    }

    /// Deletes the playlist.
    pub(super) fn delete_playlist(&self) -> Result<()> {
        self.remove(&self.playlist_path())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.fs.remove(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("delete", path, e)),
            _ => Ok(()),
        }
    }

    fn playlist_path(&self) -> PathBuf {
        self.plan.directory.join(&self.plan.playlist_name)
    }

    fn segment_path(&self, sequence: u64) -> PathBuf {
        self.plan.directory.join(self.plan.segment_name.file(sequence))
    }
}

/// Replaces a file by one that is whole.
pub(super) fn replace(fs: &dyn Fs, path: &Path, text: &[&[u8]]) -> Result<()> {
    let part = with_suffix(path);
    let written = fs.create(&part).and_then(|mut file| {
        file.write_all(text)?;
        file.finish()
    });
    let replaced = written.and_then(|()| fs.rename(&part, path));
    replaced.map_err(|e| {
        let _ = fs.remove(&part);
        failed("replace", path, e)
    })
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    PathBuf::from(name)
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot {doing} {}", path.display()), error)
}
