//! Files in memory, with the faults that disks and pipes have.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::env::{Fs, ReadFile, WriteFile};

const STDIN: &str = "<stdin>";
const STDOUT: &str = "<stdout>";

/// Files in memory. Clones are the same disk.
///
/// A directory exists when something was put there with [`MemFs::insert`] or after `create_dir_all`; the directories
/// `""`, `"."` and `"/"` always do. `-` is [`MemFs::set_stdin`] for reading and [`MemFs::stdout`] for writing.
#[derive(Clone, Default)]
pub struct MemFs(Arc<Mutex<Disk>>);

type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct Disk {
    files: BTreeMap<PathBuf, Content>,
    dirs: BTreeSet<PathBuf>,
    log: Vec<String>,
    written: u64,
    full_after: Option<u64>,
    pipe_closes_after: Option<u64>,
    unwritable: BTreeSet<PathBuf>,
    read_fails_at: BTreeMap<PathBuf, u64>,
    special: BTreeSet<PathBuf>,
    max_read: Option<usize>,
}

impl MemFs {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file there, with its directories.
    pub fn insert(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let path = path.as_ref();
        let mut disk = self.disk();
        disk.add_dirs(path.parent());
        disk.files.insert(path.to_owned(), content(bytes.into()));
    }

    /// What is in a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.disk().files.get(path.as_ref()).map(|content| lock(content).clone())
    }

    /// What standard input gives.
    pub fn set_stdin(&self, bytes: impl Into<Vec<u8>>) {
        self.insert(STDIN, bytes);
    }

    /// What was written to standard output.
    pub fn stdout(&self) -> Vec<u8> {
        self.get(STDOUT).unwrap_or_default()
    }

    /// The paths of all files in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk().files.keys().cloned().collect()
    }

    /// What was done, in order: `create a.part`, `rename a.part -> a`, `remove a`, `append a`.
    pub fn log(&self) -> Vec<String> {
        self.disk().log.clone()
    }

    /// Shortens (or lengthens with zeros) a file, also under those who have it open.
    pub fn truncate(&self, path: impl AsRef<Path>, len: usize) {
        if let Some(content) = self.disk().files.get(path.as_ref()) {
            lock(content).resize(len, 0);
        }
    }

    /// Fault: the disk is full once so many bytes have been written, over all files.
    pub fn full_after(&self, bytes: u64) {
        self.disk().full_after = Some(bytes);
    }

    /// Fault: whoever reads our standard output and special files goes away after so many bytes.
    pub fn pipe_closes_after(&self, bytes: u64) {
        self.disk().pipe_closes_after = Some(bytes);
    }

    /// Fault: nothing can be created, renamed or removed in this directory.
    pub fn make_unwritable(&self, dir: impl AsRef<Path>) {
        self.disk().unwritable.insert(dir.as_ref().to_owned());
    }

    /// Fault: reading this file fails from an offset on, as when the disk goes away.
    pub fn fail_reads_at(&self, path: impl AsRef<Path>, offset: u64) {
        self.disk().read_fails_at.insert(path.as_ref().to_owned(), offset);
    }

    /// Makes a path a pipe or device: it has no length and cannot seek.
    pub fn make_special(&self, path: impl AsRef<Path>) {
        self.disk().special.insert(path.as_ref().to_owned());
    }

    /// Every read gives at most so many bytes.
    pub fn short_reads(&self, max: usize) {
        self.disk().max_read = Some(max);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }

    fn open_write(&self, path: &Path, keep: bool) -> Result<Box<dyn WriteFile>> {
        let is_stdout = path == Path::new("-");
        let path = if is_stdout { Path::new(STDOUT) } else { path };
        let mut disk = self.disk();
        disk.log.push(format!("{} {}", if keep { "append" } else { "create" }, path.display()));
        disk.may_change(path)?;
        if disk.dirs.contains(path) {
            return Err(Error::new(ErrorKind::IsADirectory, "is a directory"));
        }
        let content = disk.files.entry(path.to_owned()).or_default().clone();
        if !keep {
            lock(&content).clear();
        }
        let pipe = is_stdout || disk.special.contains(path);
        let at = lock(&content).len();
        Ok(Box::new(Writer { fs: self.clone(), content, at, pipe, keep }))
    }
}

impl Disk {
    fn add_dirs(&mut self, dir: Option<&Path>) {
        self.dirs.extend(dir.into_iter().flat_map(Path::ancestors).map(Path::to_owned));
    }

    fn has_dir(&self, dir: &Path) -> bool {
        [Path::new(""), Path::new("."), Path::new("/")].contains(&dir) || self.dirs.contains(dir)
    }

    fn may_change(&self, path: &Path) -> Result<()> {
        let dir = path.parent().unwrap_or(Path::new(""));
        if !self.has_dir(dir) {
            return Err(Error::new(ErrorKind::NotFound, "no such file or directory"));
        }
        if self.unwritable.contains(dir) {
            return Err(Error::new(ErrorKind::PermissionDenied, "permission denied"));
        }
        Ok(())
    }

    fn room(&mut self, bytes: usize, pipe: bool) -> (usize, Result<()>) {
        let fault = |limit: Option<u64>, kind, text| limit.map(|limit| (limit, Error::new(kind, text)));
        let limit = if pipe {
            fault(self.pipe_closes_after, ErrorKind::BrokenPipe, "broken pipe")
        } else {
            fault(self.full_after, ErrorKind::StorageFull, "no space left on device")
        };
        let (fits, result) = match limit {
            Some((limit, error)) if self.written + bytes as u64 > limit => {
                (limit.saturating_sub(self.written) as usize, Err(error))
            }
            _ => (bytes, Ok(())),
        };
        self.written += fits as u64;
        (fits, result)
    }
}

impl Fs for MemFs {
    fn open(&self, path: &Path) -> Result<Box<dyn ReadFile>> {
        let is_stdin = path == Path::new("-");
        let path = if is_stdin { Path::new(STDIN) } else { path };
        let disk = self.disk();
        if disk.dirs.contains(path) {
            return Err(Error::new(ErrorKind::IsADirectory, "is a directory"));
        }
        let content = disk.files.get(path).cloned().ok_or_else(not_found)?;
        let pipe = is_stdin || disk.special.contains(path);
        Ok(Box::new(Reader { fs: self.clone(), path: path.to_owned(), content, at: 0, pipe }))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn WriteFile>> {
        self.open_write(path, false)
    }

    fn append(&self, path: &Path) -> Result<Box<dyn WriteFile>> {
        self.open_write(path, true)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut disk = self.disk();
        disk.log.push(format!("rename {} -> {}", from.display(), to.display()));
        disk.may_change(from)?;
        disk.may_change(to)?;
        let content = disk.files.remove(from).ok_or_else(not_found)?;
        disk.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut disk = self.disk();
        disk.log.push(format!("remove {}", path.display()));
        disk.may_change(path)?;
        disk.files.remove(path).map(|_| ()).ok_or_else(not_found)
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        let mut disk = self.disk();
        if path.ancestors().any(|dir| disk.unwritable.contains(dir)) && !disk.has_dir(path) {
            return Err(Error::new(ErrorKind::PermissionDenied, "permission denied"));
        }
        disk.add_dirs(Some(path));
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let disk = self.disk();
        if !disk.has_dir(path) {
            return Err(not_found());
        }
        let here = disk.files.keys().chain(&disk.dirs).filter(|entry| entry.parent() == Some(path));
        Ok(here.filter_map(|entry| entry.file_name()).map(PathBuf::from).collect())
    }

    fn len(&self, path: &Path) -> Result<u64> {
        self.get(path).map(|bytes| bytes.len() as u64).ok_or_else(not_found)
    }

    fn is_special(&self, path: &Path) -> bool {
        let disk = self.disk();
        disk.special.contains(path) || disk.dirs.contains(path)
    }
}

struct Reader {
    fs: MemFs,
    path: PathBuf,
    content: Content,
    at: usize,
    pipe: bool,
}

impl ReadFile for Reader {
    fn read(&mut self, into: &mut Vec<u8>, max: usize) -> Result<usize> {
        let disk = self.fs.disk();
        let mut max = max.min(disk.max_read.unwrap_or(max));
        if let Some(fails_at) = disk.read_fails_at.get(&self.path) {
            let left = (*fails_at as usize).saturating_sub(self.at);
            if left == 0 {
                return Err(Error::other("input/output error"));
            }
            max = max.min(left);
        }
        let content = lock(&self.content);
        let rest = content.get(self.at..).unwrap_or_default();
        let n = rest.len().min(max);
        into.extend_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        if self.pipe {
            return Err(illegal_seek());
        }
        self.at = offset as usize;
        Ok(())
    }

    fn len(&self) -> Option<u64> {
        (!self.pipe).then(|| lock(&self.content).len() as u64)
    }
}

struct Writer {
    fs: MemFs,
    content: Content,
    at: usize,
    pipe: bool,
    keep: bool,
}

impl WriteFile for Writer {
    fn write_all(&mut self, slices: &[&[u8]]) -> Result<()> {
        let all = slices.concat();
        let (fits, result) = self.fs.disk().room(all.len(), self.pipe);
        let mut content = lock(&self.content);
        if self.keep {
            self.at = content.len();
        }
        let end = self.at + fits;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[self.at..end].copy_from_slice(&all[..fits]);
        self.at = end;
        result
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        if self.pipe {
            return Err(illegal_seek());
        }
        self.at = offset as usize;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn content(bytes: Vec<u8>) -> Content {
    Arc::new(Mutex::new(bytes))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "no such file or directory")
}

fn illegal_seek() -> Error {
    Error::new(ErrorKind::NotSeekable, "illegal seek")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_rewritten_renamed_and_read() {
        let fs = MemFs::new();
        let mut file = fs.create(Path::new("a.part")).unwrap();
        file.write_all(&[b"abc", b"def"]).unwrap();
        file.seek(1).unwrap();
        file.write_all(&[b"X"]).unwrap();
        fs.rename(Path::new("a.part"), Path::new("a")).unwrap();
        assert_eq!(fs.get("a").unwrap(), b"aXcdef");
        assert_eq!(fs.log(), ["create a.part", "rename a.part -> a"]);
        fs.short_reads(4);
        let mut read = fs.open(Path::new("a")).unwrap();
        let mut into = Vec::new();
        assert_eq!((read.read(&mut into, 100).unwrap(), read.read(&mut into, 100).unwrap()), (4, 2));
        assert_eq!((into.as_slice(), read.len()), (&b"aXcdef"[..], Some(6)));
    }

    #[test]
    fn faults_are_those_of_a_disk() {
        let fs = MemFs::new();
        fs.full_after(4);
        let mut file = fs.create(Path::new("a")).unwrap();
        assert_eq!(file.write_all(&[b"abcdef"]).map_err(|e| e.kind()), Err(ErrorKind::StorageFull));
        assert_eq!(fs.get("a").unwrap(), b"abcd", "what fits is there");
        let kind = |path| fs.create(Path::new(path)).err().map(|e| e.kind());
        assert_eq!(kind("no/such/dir"), Some(ErrorKind::NotFound));
        fs.create_dir_all(Path::new("no/such")).unwrap();
        assert_eq!(kind("no/such/dir"), None);
        fs.make_unwritable("no");
        assert_eq!(kind("no/file"), Some(ErrorKind::PermissionDenied));
        assert_eq!(fs.list(Path::new("no")).unwrap(), [PathBuf::from("such")]);
    }
}
