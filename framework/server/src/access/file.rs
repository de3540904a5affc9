//! Stream keys in a file, which may change while it is used.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::{Env, Error, Result, Time, TimeDelta};

use super::keys::Keys;

/// Longest file, in bytes: some ten thousand keys.
const MAX_LEN: u64 = 1 << 20;

/// How long what was read is believed.
const FRESH: TimeDelta = TimeDelta::from_secs(1);

/// A file of keys, a line each: `STREAM KEY`, or `KEY` alone for every stream. Empty lines and those that begin with `#` say nothing.
#[derive(Debug)]
pub(super) struct KeysFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Arc<Keys>,
    read_at: Time,
    /// It was told that the file is no good.
    warned: bool,
}

/// What is wrong with a file; the text of a line is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is neither `STREAM KEY` nor `KEY`")]
struct BadLine {
    line: usize,
}

impl KeysFile {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(super) async fn open(env: &Env, path: &Path) -> Result<Self> {
        let keys = Arc::new(read(env, path).await?);
        let state = State { keys, read_at: env.clock.now(), warned: false };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The keys as they are, or were when the file was last good.
    pub(super) async fn keys(&self, env: &Env) -> Arc<Keys> {
        let now = env.clock.now();
        {
            let mut state = self.lock();
            if now.since(state.read_at) < FRESH {
                return state.keys.clone();
            }
            // Who asks meanwhile is served from what there is.
            state.read_at = now;
        }
        let read = read(env, &self.path).await;
        let mut state = self.lock();
        match read {
            Ok(keys) => {
                state.warned = false;
                state.keys = Arc::new(keys);
            }
            Err(error) => {
                if !std::mem::replace(&mut state.warned, true) {
                    tracing::warn!(%error, "the last good keys stay in force");
                }
            }
        }
        state.keys.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(env: &Env, path: &Path) -> Result<Keys> {
    let (fs, own) = (env.fs.clone(), path.to_owned());
    let text = env.blocking(move || fs.read_text(&own, MAX_LEN)).await;
    let failed = |error| Error::io(format!("cannot read keys from {}", path.display()), error);
    let text = text.ok_or_else(|| failed(std::io::ErrorKind::Interrupted.into()))?.map_err(failed)?;
    parse(&text).map_err(|error| {
        Error::settings(format!("{}: {error}", path.display())).hint("write a stream and its key on each line: cam KEY")
    })
}

fn parse(text: &str) -> Result<Keys, BadLine> {
    let mut keys = Keys::default();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let added = match (words.next(), words.next(), words.next()) {
            (Some(key), None, None) => keys.add("*", key.into()),
            (Some(stream), Some(key), None) => keys.add(stream, key.into()),
            _ => return Err(BadLine { line: at + 1 }),
        };
        added.map_err(|_| BadLine { line: at + 1 })?;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_a_stream_and_a_key() {
        let keys = parse("# who may\n\n  cam  k1 \nlive/desk\tk2\nk3\r\n").unwrap();
        for (stream, key, open) in [("cam", "k1", true), ("desk", "k2", true), ("desk", "k1", false), ("x", "k3", true)]
        {
            assert_eq!(keys.open("live", stream, &[key.into()]), open, "{stream} {key}");
        }
        let error = parse("cam k1\ncam my secret\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
