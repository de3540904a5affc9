//! Where recordings are: directories by application, and how a name becomes a file in one of them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::env::{Fs, ReadFile};
use millstream_core::{Error, Result};
use millstream_flv::wire::TagHeader;
use millstream_server::access::Access;

use crate::recording::{file_name, last_tag, length_of};

/// The application that stands for every other.
const ANY: &str = "*";

/// Directories of recordings, by application.
#[derive(Debug, Default)]
pub(crate) struct Recordings(Mutex<HashMap<String, Shelf>>);

#[derive(Debug)]
struct Shelf {
    dir: Arc<Path>,
    /// Who may play, unless everybody.
    access: Option<Arc<Access>>,
    /// Elements that asked for it.
    users: usize,
}

impl Recordings {
    /// Plays recordings of an application, or with `*` of all, from `dir/app`. The element that comes first says who may play them.
    ///
    /// # Errors
    /// When another element at this address plays those of this application from elsewhere.
    pub(crate) fn serve(
        self: &Arc<Self>,
        app: &str,
        dir: &Path,
        access: Option<Arc<Access>>,
    ) -> Result<RecordingsLease> {
        let app = app.trim_matches('/').to_owned();
        let mut shelves = self.lock();
        let shelf = shelves.entry(app.clone()).or_insert_with(|| Shelf { dir: dir.into(), access, users: 0 });
        if &*shelf.dir != dir {
            let other = shelf.dir.display();
            return Err(Error::settings(format!("recordings of `{app}` are played from {other} at this address"))
                .hint("give both elements one directory, or another `app` or `listen`"));
        }
        shelf.users += 1;
        drop(shelves);
        Ok(RecordingsLease { recordings: self.clone(), app })
    }

    /// The directory with the recordings of all applications, and who may play those of this one; nothing if none of it are played.
    pub(crate) fn of(&self, app: &str) -> Option<(Arc<Path>, Option<Arc<Access>>)> {
        let shelves = self.lock();
        let shelf = shelves.get(app.trim_matches('/')).or_else(|| shelves.get(ANY));
        shelf.map(|shelf| (shelf.dir.clone(), shelf.access.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shelf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Recordings are played as long as this lives.
#[derive(Debug)]
pub(crate) struct RecordingsLease {
    recordings: Arc<Recordings>,
    app: String,
}

impl Drop for RecordingsLease {
    fn drop(&mut self) {
        let mut shelves = self.recordings.lock();
        if let Some(shelf) = shelves.get_mut(&self.app) {
            shelf.users = shelf.users.saturating_sub(1);
            if shelf.users == 0 {
                shelves.remove(&self.app);
            }
        }
    }
}

/// Opens a recording. To be called where it may wait for files.
///
/// # Errors
/// `NotFound` when there is none, when the name is none of a file in `dir`, or when it leads out of `dir` by a link.
pub(crate) fn open(fs: &dyn Fs, dir: &Path, app: &str, name: &str) -> io::Result<Box<dyn ReadFile>> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let path = dir.join(file_name(app, name).ok_or_else(missing)?);
    let (root, real): (PathBuf, PathBuf) = (fs.canonical(dir)?, fs.canonical(&path)?);
    if !real.starts_with(&root) || fs.is_special(&real) {
        return Err(missing());
    }
    fs.open(&real)
}

/// Bytes of a recording in which its metadata is looked for.
const HEAD: usize = 1 << 20;

/// Seconds of a recording: what it says itself, else what its last tag says. To be called where it may wait for files.
///
/// # Errors
/// Those of the file.
pub(crate) fn length(file: &mut dyn ReadFile) -> io::Result<f64> {
    let (mut head, mut tail, mut last) = (Vec::new(), Vec::new(), Vec::new());
    file.read(&mut head, HEAD)?;
    if let Some(len) = file.len() {
        file.seek(len.saturating_sub(4))?;
        file.read(&mut tail, 4)?;
        if let Some(offset) = last_tag(len, &tail) {
            file.seek(offset)?;
            file.read(&mut last, TagHeader::LEN)?;
        }
    }
    Ok(length_of(head.into(), &last))
}
