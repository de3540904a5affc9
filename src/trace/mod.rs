//! Conversations with peers as sequence ladders: what `--trace-protocol FILE` writes.
//!
//! | file | what | when |
//! | --- | --- | --- |
//! | `.txt` | a ladder, a line for everything that is said | as it goes, so that `tail -f` works |
//! | `.jsonl` | the same as a JSON object a line | as it goes |
//! | `.svg` | a drawing, a ladder below the other | at the end, and each time a connection ends |
//!
//! Stream names, queries, users and passwords are left out.
//!
//! ```
//! use std::sync::Arc;
//! use millstream::runtime::Runtime;
//! use millstream::trace::{TraceFile, TraceFormat};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let trace = Arc::new(TraceFile::new(TraceFormat::Text, std::io::sink()));
//! let runtime = Runtime::new()?.with_trace(trace.clone());
//! // … runtime.start(&graph) …
//! # drop(runtime);
//! trace.finish()?;
//! # Ok(())
//! # }
//! ```

mod json;
mod svg;
mod text;
mod words;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::Time;
use millstream_core::trace::{TraceEvent, TraceHead, TraceSink};

pub use self::json::to_json;
use self::svg::Drawing;

/// Lines of one connection: hours of a stream. What is beyond is counted.
pub const MAX_LINES: u64 = 10_000;
/// Bytes of a file that is written as it goes. What is beyond is counted.
pub const MAX_BYTES: u64 = 256 << 20;
/// Connections in a drawing. What is beyond is counted.
pub const MAX_LADDERS: usize = 20;
/// Rows of a ladder in a drawing, most of them the first. What is between is counted.
pub const MAX_ROWS: usize = 200;

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFormat {
    /// A ladder in text.
    Text,
    /// JSON, an object a line.
    JsonLines,
    /// A drawing.
    Svg,
}

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The name of the file does not say how to write it.
    #[error("{}: a trace is written as .txt, .svg or .jsonl", .0.display())]
    Extension(PathBuf),
    /// The file cannot be written.
    #[error("cannot write {}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl TraceFormat {
    /// The format that the extension of a file stands for.
    ///
    /// # Errors
    /// [`TraceError::Extension`] for any but `txt`, `svg` and `jsonl`.
    pub fn of(path: &Path) -> Result<Self, TraceError> {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("txt") => Ok(Self::Text),
            Some("jsonl") => Ok(Self::JsonLines),
            Some("svg") => Ok(Self::Svg),
            _ => Err(TraceError::Extension(path.to_owned())),
        }
    }
}

/// A [`TraceSink`] that writes what it is told. [`TraceFile::finish`] ends it; dropping it does the same and says nothing of errors.
pub struct TraceFile {
    inner: Mutex<Inner>,
    /// A conversation has ended.
    ended: Condvar,
}

struct Inner {
    out: Out,
    form: Form,
    open: HashMap<u64, Open>,
    conversations: u64,
    bytes: u64,
    /// Lines that had no room in the file.
    left_out: u64,
    error: Option<io::Error>,
    finished: bool,
}

/// Where it goes.
enum Out {
    Stream(Box<dyn Write + Send>),
    /// A drawing is written anew each time.
    Path(PathBuf),
}

enum Form {
    Lines(Lines),
    Drawing(Drawing),
}

#[derive(Clone, Copy)]
enum Lines {
    Text,
    Json,
}

/// A conversation that is going on.
struct Open {
    since: Time,
    lines: u64,
    left_out: u64,
}

impl TraceFile {
    /// Writes to a file, in the format of its extension. It is created at once.
    ///
    /// # Errors
    /// [`TraceError`]
    pub fn create(path: &Path) -> Result<Self, TraceError> {
        let format = TraceFormat::of(path)?;
        let failed = |error| TraceError::Io { path: path.to_owned(), error };
        let file = std::fs::File::create(path).map_err(failed)?;
        let out = match format {
            TraceFormat::Svg => Out::Path(path.to_owned()),
            TraceFormat::Text | TraceFormat::JsonLines => Out::Stream(Box::new(file)),
        };
        let trace = Self::with(format, out);
        // A drawing of nothing yet is a drawing too.
        trace.lock().redraw();
        Ok(trace)
    }

    /// Writes anywhere.
    pub fn new(format: TraceFormat, out: impl Write + Send + 'static) -> Self {
        Self::with(format, Out::Stream(Box::new(out)))
    }

    fn with(format: TraceFormat, out: Out) -> Self {
        let form = match format {
            TraceFormat::Text => Form::Lines(Lines::Text),
            TraceFormat::JsonLines => Form::Lines(Lines::Json),
            TraceFormat::Svg => Form::Drawing(Drawing::default()),
        };
        let inner = Inner {
            out,
            form,
            open: HashMap::new(),
            conversations: 0,
            bytes: 0,
            left_out: 0,
            error: None,
            finished: false,
        };
        Self { inner: Mutex::new(inner), ended: Condvar::new() }
    }

    /// Waits until all conversations have ended, for so long at most: connections are closed while the runtime shuts down.
    pub fn wait_for_end(&self, limit: Duration) {
        let going_on = |inner: &mut Inner| !inner.open.is_empty();
        drop(self.ended.wait_timeout_while(self.lock(), limit, going_on));
    }

    /// How many conversations there were.
    pub fn conversations(&self) -> u64 {
        self.lock().conversations
    }

    /// Writes what is left. Nothing is written afterwards.
    ///
    /// # Errors
    /// The first error of writing since the beginning.
    pub fn finish(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.finish();
        inner.error.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TraceSink for TraceFile {
    fn begin(&self, head: TraceHead) -> u64 {
        let mut inner = self.lock();
        inner.conversations += 1;
        let id = inner.conversations;
        inner.open.insert(id, Open { since: head.at, lines: 0, left_out: 0 });
        match &mut inner.form {
            Form::Drawing(drawing) => drawing.begin(id, head),
            Form::Lines(lines) => {
                let text = match lines {
                    Lines::Text => text::head(id, &head),
                    Lines::Json => json::head(id, &head),
                };
                inner.line(&text);
            }
        }
        id
    }

    fn event(&self, conversation: u64, event: TraceEvent) {
        let mut inner = self.lock();
        if inner.finished {
            return;
        }
        match &mut inner.form {
            Form::Drawing(drawing) => drawing.event(conversation, event),
            Form::Lines(lines) => {
                let lines = *lines;
                let Some(open) = inner.open.get_mut(&conversation) else { return };
                open.lines += 1;
                if open.lines > MAX_LINES {
                    open.left_out += 1;
                    return;
                }
                let at = event.at - open.since;
                let text = match lines {
                    Lines::Text => text::event(conversation, at, &event),
                    Lines::Json => json::event(conversation, at, &event),
                };
                inner.line(&text);
            }
        }
    }

    fn end(&self, conversation: u64, at: Time) {
        let mut inner = self.lock();
        if !inner.finished {
            inner.end(conversation, at);
            inner.redraw();
        }
        drop(inner);
        self.ended.notify_all();
    }
}

impl Inner {
    fn line(&mut self, text: &str) {
        if self.finished || self.error.is_some() {
            return;
        }
        let len = text.len() as u64;
        if self.bytes.saturating_add(len) > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += len;
        self.write(text);
    }

    fn write(&mut self, text: &str) {
        let written = match &mut self.out {
            Out::Stream(out) => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
            Out::Path(path) => std::fs::write(path, text),
        };
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    /// A conversation is over, or nobody looks any more.
    fn end(&mut self, conversation: u64, at: Time) {
        let Some(open) = self.open.remove(&conversation) else { return };
        match &mut self.form {
            Form::Drawing(drawing) => drawing.end(conversation, at),
            Form::Lines(lines) => {
                let text = match lines {
                    Lines::Text => text::end(conversation, at - open.since, open.left_out),
                    Lines::Json => json::end(conversation, at - open.since, open.left_out),
                };
                self.line(&text);
            }
        }
    }

    /// Writes the drawing as it is, where it can be written again.
    fn redraw(&mut self) {
        if let (Form::Drawing(drawing), Out::Path(_)) = (&self.form, &self.out) {
            let text = drawing.draw();
            self.write(&text);
        }
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let text = match &self.form {
            Form::Drawing(drawing) => drawing.draw(),
            Form::Lines(lines) => {
                let left_out = self.left_out + self.open.values().map(|open| open.left_out).sum::<u64>();
                match (lines, left_out) {
                    (_, 0) => return,
                    (Lines::Text, left_out) => text::left_out(left_out),
                    (Lines::Json, left_out) => json::left_out(left_out),
                }
            }
        };
        self.write(&text);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests;
