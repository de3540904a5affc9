//! The Multivariant Playlist that several `hlssink` write together: each is a rendition in it.
//!
//! It is written when every rendition has a playlist of its own, so that a player finds all that it lists, and again when what it says has
//! changed.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use millstream_core::env::Fs;
use millstream_core::{Env, Error, Output, Result, TimeDelta};
use millstream_server::http::content::{self, About};
use millstream_server::http::hyper::header::HeaderValue;
use millstream_server::http::{Answer, Ask, Mounted, Route, Server, nothing_here};
use millstream_server::listen::{Guest, address};

use super::describe::Description;
use super::name::percent_encode;
use super::serve::PLAYLIST_TYPE;
use super::settings::Plan;
use super::store;
use crate::playlist::{MultivariantPlaylist, Variant};

const PROPERTY: &str = "multivariant";
const EXAMPLE: &str = "`multivariant: out/index.m3u8` goes with `directory: out/720p`";

/// Where a rendition is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listed {
    /// The Multivariant Playlist.
    pub(super) file: PathBuf,
    /// From there to the rendition's directory.
    below: String,
    /// The rendition's own playlist, as it is told there.
    pub(super) uri: String,
    /// Where the Multivariant Playlist is served.
    pub(super) path: Option<String>,
}

/// The Multivariant Playlists of a runtime that are being written.
#[derive(Default)]
struct Files(Mutex<BTreeMap<PathBuf, Weak<Shared>>>);

/// One of them.
struct Shared {
    file: PathBuf,
    fs: Arc<dyn Fs>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were declared.
    renditions: Vec<Entry>,
    /// Counts those that joined.
    joined: u64,
    text: Arc<Mutex<Bytes>>,
    served: Option<Mounted>,
}

struct Entry {
    id: u64,
    uri: String,
    independent: bool,
    is_over: bool,
    /// Nothing before it has a playlist.
    variant: Option<Variant>,
}

/// A rendition while it is written.
pub(super) struct Rendition {
    shared: Arc<Shared>,
    id: u64,
    /// By the index of the pad.
    streams: BTreeMap<usize, Description>,
    rates: Rates,
}

/// Bits a second of segments.
struct Rates {
    target: TimeDelta,
    bytes: u64,
    duration: TimeDelta,
    /// The last segments, of one and a half target durations at most.
    last: VecDeque<(u64, TimeDelta)>,
    peak: u64,
}

impl Rates {
    fn new(target_seconds: u32) -> Self {
        let target = TimeDelta::from_secs(target_seconds.into());
        Self { target, bytes: 0, duration: TimeDelta::ZERO, last: VecDeque::new(), peak: 0 }
    }

    /// The peak is that of contiguous segments which together last half to one and a half target durations (RFC 8216, section 4.1).
    fn add(&mut self, bytes: u64, duration: TimeDelta) {
        self.bytes += bytes;
        self.duration += duration;
        self.last.push_back((bytes, duration));
        let (least, most) = (self.target.nanos() / 2, self.target.nanos() / 2 * 3);
        let (mut size, mut length) = (0, TimeDelta::ZERO);
        let mut kept = 0;
        for (bytes, duration) in self.last.iter().rev() {
            (size, length) = (size + bytes, length + *duration);
            if length.nanos() > most {
                break;
            }
            kept += 1;
            if length.nanos() >= least {
                self.peak = self.peak.max(rate(size, length));
            }
        }
        while self.last.len() > kept.max(1) {
            self.last.pop_front();
        }
    }

    fn average(&self) -> u64 {
        rate(self.bytes, self.duration)
    }
}

/// Bits a second, rounded up: a player must not count on less.
fn rate(bytes: u64, duration: TimeDelta) -> u64 {
    let nanos = u128::try_from(duration.nanos()).unwrap_or(0).max(1);
    u64::try_from((u128::from(bytes) * 8_000_000_000).div_ceil(nanos)).unwrap_or(u64::MAX)
}

impl Rendition {
    /// Declares it, before anything is written. One that was there under the same name is replaced.
    pub(super) fn join(plan: &Plan, listed: &Listed, env: &Env) -> Self {
        let shared = env.shared::<Files>().open(&listed.file, &env.fs);
        let mut state = shared.state();
        state.joined += 1;
        let id = state.joined;
        let entry = Entry {
            id,
            uri: listed.uri.clone(),
            independent: plan.independent_segments,
            is_over: false,
            variant: None,
        };
        match state.renditions.iter_mut().find(|other| other.uri == entry.uri) {
            Some(other) => *other = entry,
            None => state.renditions.push(entry),
        }
        drop(state);
        Self { shared, id, streams: BTreeMap::new(), rates: Rates::new(plan.target_duration) }
    }

    /// Serves the Multivariant Playlist, if no other rendition does already.
    ///
    /// # Errors
    /// When something else is served there.
    pub(super) fn serve(&self, server: &Server, path: &str, out: &mut Output) -> Result<()> {
        let mut state = self.shared.state();
        if state.served.is_none() {
            let route = Arc::new(Served(state.text.clone()));
            state.served = Some(server.mount(path, route)?);
            out.post(address(Guest::Player, "http", server.local(), path));
        }
        Ok(())
    }

    /// What a pad brings.
    pub(super) fn describe(&mut self, pad: usize, stream: Description) {
        self.streams.insert(pad, stream);
    }

    /// A segment is whole.
    pub(super) fn segment(&mut self, bytes: u64, duration: TimeDelta) {
        self.rates.add(bytes, duration);
    }

    /// Its own playlist was written.
    ///
    /// # Errors
    /// When the Multivariant Playlist cannot be.
    pub(super) fn published(&mut self) -> Result<()> {
        let mut state = self.shared.state();
        let Some(entry) = state.renditions.iter_mut().find(|entry| entry.id == self.id) else { return Ok(()) };
        let video = self.streams.values().find(|stream| stream.resolution.is_some());
        let mut codecs: Vec<String> = Vec::new();
        for stream in video.into_iter().chain(self.streams.values()) {
            if !codecs.contains(&stream.codec) {
                codecs.push(stream.codec.clone());
            }
        }
        entry.variant = Some(Variant {
            uri: entry.uri.clone(),
            // One that is too short for a peak has an average.
            bandwidth: self.rates.peak.max(self.rates.average()),
            average_bandwidth: Some(self.rates.average()),
            codecs,
            resolution: video.and_then(|video| video.resolution),
            frame_rate: video.and_then(|video| video.frame_rate),
        });
        self.shared.write(&mut state)
    }
}

impl Rendition {
    /// Nothing will follow. Gives what is served of all, when this was the last of them.
    pub(super) fn finish(&mut self) -> Option<Mounted> {
        let mut state = self.shared.state();
        state.renditions.iter_mut().filter(|entry| entry.id == self.id).for_each(|entry| entry.is_over = true);
        let is_over = state.renditions.iter().all(|entry| entry.is_over);
        state.served.take_if(|_| is_over)
    }
}

impl Drop for Rendition {
    /// One that never had a playlist is waited for no more.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let before = state.renditions.len();
        state.renditions.retain(|entry| entry.id != self.id || entry.variant.is_some());
        if state.renditions.len() < before {
            // Whoever is left tells of it, with the next segment.
            let _ = self.shared.write(&mut state);
        }
    }
}

/// What requests are answered from.
struct Served(Arc<Mutex<Bytes>>);

impl Route for Served {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if text.is_empty() {
            return nothing_here().into();
        }
        let about = About { media_type: PLAYLIST_TYPE, cache: HeaderValue::from_static("no-cache") };
        content::bytes(ask.request, about, text.into())
    }
}

impl Files {
    fn open(&self, file: &Path, fs: &Arc<dyn Fs>) -> Arc<Shared> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = files.get(file).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::new(Shared { file: file.to_owned(), fs: fs.clone(), state: Mutex::default() });
        files.insert(file.to_owned(), Arc::downgrade(&shared));
        shared
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file, if every rendition is there and it says something new.
    fn write(&self, state: &mut State) -> Result<()> {
        let variants: Option<Vec<_>> = state.renditions.iter().map(|entry| entry.variant.clone()).collect();
        let Some(variants) = variants.filter(|variants| !variants.is_empty()) else { return Ok(()) };
        let independent_segments = state.renditions.iter().all(|entry| entry.independent);
        let text = Bytes::from(MultivariantPlaylist { independent_segments, variants }.to_string());
        let mut known = state.text.lock().unwrap_or_else(PoisonError::into_inner);
        if text != *known {
            store::replace(&*self.fs, &self.file, &[&text])?;
            *known = text;
        }
        Ok(())
    }
}

impl Listed {
    /// Where the rendition of this directory and playlist is listed.
    ///
    /// # Errors
    /// When its playlist is not below the file, or is the file.
    pub(super) fn new(file: &str, directory: &Path, playlist: &str) -> Result<Self> {
        let wrong = |text: &str| Error::settings(text.to_owned()).on_property(PROPERTY).hint(EXAMPLE);
        let file = PathBuf::from(file);
        if file.file_name().is_none() {
            return Err(wrong("this names no file"));
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let below = directory.strip_prefix(folder);
        let below = below.map_err(|_| wrong("the rendition's directory is not below the folder of this file"))?;
        if directory.join(playlist) == file {
            return Err(wrong("this is the rendition's own playlist"));
        }
        let parts: Option<Vec<_>> = below.iter().map(|part| part.to_str().map(percent_encode)).collect();
        let below = parts.ok_or_else(|| wrong("a name on the way to the playlist is no text"))?.join("/");
        let uri = [&*below, &*percent_encode(playlist)].join("/").trim_start_matches('/').to_owned();
        Ok(Self { file, below, uri, path: None })
    }

    /// Where the rendition is served unless the user says where.
    pub(super) fn usual_path(&self) -> Option<String> {
        let folder = self.file.parent()?.file_name()?.to_str()?;
        Some(format!("/{folder}/{}", self.below).trim_end_matches('/').to_owned())
    }

    /// The rendition is served here.
    ///
    /// # Errors
    /// When that leads a player elsewhere than the Multivariant Playlist says.
    pub(super) fn served_at(&mut self, path: &str) -> Result<()> {
        let base = match &*self.below {
            "" => Some(path),
            below => path.strip_suffix(below).and_then(|base| base.strip_suffix('/')),
        };
        let name = self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(base) = base else {
            let text =
                format!("the rendition is `{}` in the multivariant playlist, so its path ends in that", self.below);
            return Err(Error::settings(text).on_property("path"));
        };
        self.path = Some(format!("{base}/{}", percent_encode(name)));
        Ok(())
    }
}
