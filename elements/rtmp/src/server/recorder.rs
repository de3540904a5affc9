//! A recorder: what is published goes into a file, on a thread that may wait for a disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::Env;
use millstream_core::env::{BoxFuture, Fs, WriteFile};
use millstream_flv::live::{Class, classify};
use millstream_flv::wire::{FlvReader, TagKind};
use tokio::sync::mpsc;

use super::feed::Content;
use super::mounts::StreamName;
use crate::command::PublishType;
use crate::recording::{Tape, file_name};

/// Bytes that wait for a disk. What comes beyond is left out to the next key frame, so that a slow disk slows nobody.
const MAX_WAITING: usize = 64 << 20;
/// Bytes read at a time of a recording that goes on.
const BLOCK: usize = 1 << 20;

/// What a recorder tells its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Started,
    /// There may be no such file.
    NoAccess,
    Failed,
}

/// Where a recorder tells it.
pub(crate) type Notes = mpsc::UnboundedSender<Note>;

/// Records one publication. The recording has its name when it is whole; until then a file beside it that ends in `.part` grows.
pub(crate) struct Recorder {
    env: Env,
    shared: Arc<Shared>,
    /// Left out since the disk was too slow, until a key frame.
    skips: bool,
}

struct Shared {
    name: StreamName,
    notes: Notes,
    queue: Mutex<Queue>,
    file: Mutex<State>,
}

#[derive(Default)]
struct Queue {
    contents: Vec<Content>,
    bytes: usize,
    /// Somebody is at work, or about to be.
    busy: bool,
    closed: bool,
}

enum State {
    /// To be opened.
    Planned(Plan),
    Open(Box<File>),
    Done,
}

struct Plan {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    path: Option<PathBuf>,
    append: bool,
    /// Tells the part from those of others.
    random: u64,
}

struct File {
    fs: Arc<dyn Fs>,
    file: Box<dyn WriteFile>,
    tape: Tape,
    part: PathBuf,
    path: PathBuf,
}

impl Recorder {
    /// Begins to record below `dir`.
    pub(crate) fn new(env: &Env, dir: &Path, name: &StreamName, kind: PublishType, notes: Notes) -> Self {
        let plan = Plan {
            fs: env.fs.clone(),
            dir: dir.to_owned(),
            path: file_name(name.app(), name.stream()),
            append: kind == PublishType::Append,
            random: env.random(),
        };
        let (queue, file) = (Mutex::default(), Mutex::new(State::Planned(plan)));
        let shared = Arc::new(Shared { name: name.clone(), notes, queue, file });
        let recorder = Self { env: env.clone(), shared, skips: false };
        recorder.work();
        recorder
    }

    /// Records a message. False if it is left out, as the disk is too slow.
    pub(crate) fn push(&mut self, content: &Content) -> bool {
        let is_key = content.kind() == TagKind::Video && classify(content.kind(), content.body()) == Class::Key;
        let mut queue = lock(&self.shared.queue);
        let is_full = queue.bytes >= MAX_WAITING;
        self.skips = is_full || (self.skips && !is_key && queue.bytes > 0);
        if self.skips {
            return false;
        }
        queue.bytes += content.body().len();
        queue.contents.push(content.clone());
        drop(queue);
        self.work();
        true
    }

    /// The publication is over. Ends when the file is whole, which it becomes even if nobody waits.
    pub(crate) fn close(self) -> BoxFuture<'static, Option<()>> {
        lock(&self.shared.queue).closed = true;
        let shared = self.shared.clone();
        self.env.blocking(move || shared.work())
    }

    fn work(&self) {
        if !std::mem::replace(&mut lock(&self.shared.queue).busy, true) {
            let shared = self.shared.clone();
            self.env.tasks.block(Box::new(move || shared.work()));
        }
    }
}

impl Drop for Recorder {
    /// A pipeline that ends without a word leaves no time for another thread.
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        if !std::mem::replace(&mut queue.closed, true) {
            drop(queue);
            self.shared.work();
        }
    }
}

impl Shared {
    /// Writes what waits, and finishes the file when nothing more comes.
    fn work(&self) {
        let mut file = lock(&self.file);
        loop {
            let (contents, closed) = {
                let mut queue = lock(&self.queue);
                queue.bytes = 0;
                let contents = std::mem::take(&mut queue.contents);
                queue.busy = !contents.is_empty();
                (contents, queue.closed)
            };
            let is_idle = contents.is_empty();
            if let Err(error) = self.write(&mut file, &contents, closed && is_idle) {
                *file = State::Done;
                let refused = error.kind() == io::ErrorKind::PermissionDenied;
                tracing::warn!(stream = %self.name, %error, "cannot be recorded");
                let _ = self.notes.send(if refused { Note::NoAccess } else { Note::Failed });
            }
            if is_idle {
                return;
            }
        }
    }

    fn write(&self, state: &mut State, contents: &[Content], is_last: bool) -> io::Result<()> {
        if let State::Planned(plan) = state {
            *state = State::Open(Box::new(plan.open()?));
            let _ = self.notes.send(Note::Started);
        }
        let State::Open(file) = state else { return Ok(()) };
        for content in contents {
            file.tape.push(content.kind(), content.timestamp(), content.body());
        }
        file.write()?;
        if is_last && let State::Open(file) = std::mem::replace(state, State::Done) {
            file.finish()?;
            tracing::info!(stream = %self.name, "recorded");
        }
        Ok(())
    }
}

impl Plan {
    fn open(&self) -> io::Result<File> {
        let denied = || io::Error::new(io::ErrorKind::PermissionDenied, "its name leads elsewhere");
        let path = self.dir.join(self.path.as_ref().ok_or_else(denied)?);
        let parent = path.parent().ok_or_else(denied)?;
        self.fs.create_dir_all(parent)?;
        if !self.fs.canonical(parent)?.starts_with(self.fs.canonical(&self.dir)?) {
            return Err(denied());
        }
        if self.fs.is_special(&path) {
            return Err(denied());
        }
        let mut part = path.clone().into_os_string();
        part.push(format!(".{:08x}.part", self.random as u32));
        let part = PathBuf::from(part);
        let file = self.fs.create(&part)?;
        let mut file = File { fs: self.fs.clone(), file, tape: Tape::default(), part, path };
        if self.append {
            file.copy_what_is_there()?;
        }
        Ok(file)
    }
}

impl File {
    /// A recording that goes on is written anew, so that it stays whole whatever happens, and has one index.
    fn copy_what_is_there(&mut self) -> io::Result<()> {
        let mut old = match self.fs.open(&self.path) {
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut reader = FlvReader::new();
        loop {
            let mut block = Vec::new();
            let is_end = old.read(&mut block, BLOCK)? == 0;
            if is_end {
                reader.finish();
            }
            reader.push(block.into());
            while let Some(tag) = reader.next().map_err(io::Error::other)? {
                self.tape.push(tag.kind, tag.timestamp, &tag.body);
            }
            self.write()?;
            if is_end {
                self.tape.next_part();
                return Ok(());
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let bytes = self.tape.take();
        let slices: Vec<&[u8]> = bytes.iter().map(|slice| &slice[..]).collect();
        if slices.is_empty() { Ok(()) } else { self.file.write_all(&slices) }
    }

    fn finish(mut self) -> io::Result<()> {
        if self.tape.is_empty() {
            drop(self.file);
            return self.fs.remove(&self.part);
        }
        for (offset, bytes) in self.tape.finish() {
            self.file.seek(offset)?;
            self.file.write_all(&[&bytes])?;
        }
        self.file.finish()?;
        drop(self.file);
        self.fs.rename(&self.part, &self.path)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
