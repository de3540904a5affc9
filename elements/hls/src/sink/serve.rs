//! A presentation on the HTTP listener that elements share: its playlist, and its segments.
//!
//! What was just made is answered from memory, where players of a live stream are; older segments are read from the directory. Only
//! names that the settings give are served, and no path leads to another file.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use millstream_core::meter::{Meter, Meters};
use millstream_core::{Env, Error, Output, Result, TimeDelta};
use millstream_server::http::content::{self, About};
use millstream_server::http::hyper::header::{self, HeaderValue};
use millstream_server::http::watch::{Listing, Way};
use millstream_server::http::{Answer, Ask, Mounted, Route, Server, Slices, check_path, normalise, nothing_here};
use millstream_server::listen::{Guest, address};

use super::audience::Audience;
use super::multivariant::Listed;
use super::name::percent_encode;
use super::settings::{HlsSinkSettings, Plan};

/// Segments that are kept in memory. Players of a live stream begin three target durations from its end (RFC 8216, section 6.3.3); one more
/// is being fetched while the next comes.
const RECENT_SEGMENTS: usize = 4;

/// Most bytes of them: 4 s of 32 Mbit/s. Larger ones are read from the directory, which the system has in its cache as well.
const RECENT_BYTES: usize = 16 << 20;

/// The media type of playlists (RFC 8216, section 4).
pub(super) const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");

/// How long a segment may be kept, where its name is never used again.
const SEGMENT_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600, immutable");

/// The same where another run may begin anew with the same names.
const REPLACEABLE_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// Longest playlist that is compressed, in bytes: some hours, in some milliseconds.
const MAX_COMPRESSED: usize = 1 << 20;

const EXAMPLE: &str = "/live/cam";

/// Where a presentation is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    address: SocketAddr,
    path: String,
    listed: bool,
    scripts: Option<PathBuf>,
}

impl Place {
    pub(super) fn of(settings: &HlsSinkSettings, listed: Option<&mut Listed>) -> Result<Option<Self>> {
        let Some(address) = settings.serve else {
            return match settings.path {
                Some(_) => Err(Error::settings("nothing is served, so it has no path")
                    .on_property("path")
                    .hint("say where to listen too: serve=127.0.0.1:8080")),
                None => Ok(None),
            };
        };
        let path = match &settings.path {
            Some(path) => path.clone(),
            None => match listed.as_ref().and_then(|listed| listed.usual_path()) {
                Some(path) => path,
                None => last_part(&settings.directory)?,
            },
        };
        check_path(&path, EXAMPLE).map_err(|error| error.on_property("path"))?;
        for (property, name) in [("playlist-name", &settings.playlist_name), ("segment-name", &settings.segment_name)] {
            let plain = format!("/{name}");
            // The `%` of a pattern stands for digits.
            if normalise(&plain.replace('%', "")) != Some(plain.replace('%', "")) {
                let error = Error::settings(format!("`{name}` cannot be asked for over HTTP"));
                return Err(error.on_property(property).hint("leave out `?`, `#` and the like"));
            }
        }
        if let Some(listed) = listed {
            listed.served_at(&path)?;
        }
        Ok(Some(Self { address, path, listed: settings.listed, scripts: settings.watch_scripts.clone() }))
    }
}

/// The path that a directory suggests.
fn last_part(directory: &str) -> Result<String> {
    match Path::new(directory).components().next_back() {
        Some(Component::Normal(name)) => Ok(format!("/{}", name.to_string_lossy())),
        _ => Err(Error::settings("the directory's name suggests no path").on_property("path").hint(EXAMPLE)),
    }
}

/// A presentation while it is served.
pub(super) struct Serving {
    server: Arc<Server>,
    mounted: Mounted,
    shown: Arc<Shown>,
    meter: Arc<Meter>,
    _listing: Listing,
}

impl Serving {
    /// Begins to listen, if nobody else has.
    pub(super) fn start(plan: &Plan, place: &Place, env: &Env, out: &mut Output) -> Result<Self> {
        let server = Server::at(env, place.address)?;
        let meter = Meters::add(env, "hlssink", place.path.trim_start_matches('/'));
        let shown = Arc::new(Shown {
            plan: plan.clone(),
            env: env.clone(),
            now: Mutex::default(),
            audience: Mutex::new(Audience::new(plan.target_duration)),
            meter: meter.clone(),
        });
        let mounted = server.mount_folder(&place.path, shown.clone()).map_err(|error| error.on_property("path"))?;
        tracing::info!(at = %server.local(), path = place.path, playlist = plan.playlist_name, "serves players");
        let list = format!("{}/{}", place.path, percent_encode(&plan.playlist_name));
        out.post(address(Guest::Player, "http", server.local(), &list));
        let playlist = format!("{}/{}", place.path, plan.playlist_name);
        let listing = server.list(Way::Hls, &playlist, meter.clone(), place.listed);
        if let Some(scripts) = &place.scripts {
            server.play_with(scripts.clone());
        }
        Ok(Self { server, mounted, shown, meter, _listing: listing })
    }

    /// Where it is served.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Counts what comes.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// A playlist has been published.
    pub(super) fn playlist(&self, text: Bytes) {
        let mut now = self.shown.now();
        (now.playlist, now.compressed) = (Some(text), None);
        drop(now);
        // Who left says nothing.
        self.shown.count(None);
    }

    /// A segment is whole.
    pub(super) fn segment(&self, sequence: u64, content: Slices) {
        self.shown.now().add(sequence, content);
    }

    /// Nothing will follow. Players have the length of the playlist to fetch what it lists.
    /// `all` is the Multivariant Playlist, if no other rendition needs it any more.
    pub(super) fn finish(self, env: &Env, length: TimeDelta, all: Option<Mounted>) {
        for mounted in [Some(self.mounted), all].into_iter().flatten() {
            self.server.clone().linger(mounted, env, length);
        }
    }
}

/// What requests are answered from.
struct Shown {
    plan: Plan,
    env: Env,
    now: Mutex<Now>,
    audience: Mutex<Audience>,
    meter: Arc<Meter>,
}

#[derive(Default)]
struct Now {
    playlist: Option<Bytes>,
    /// The same by gzip, once somebody has asked for that.
    compressed: Option<Bytes>,
    /// The last segments, by their numbers.
    recent: VecDeque<(u64, Slices)>,
}

impl Now {
    fn add(&mut self, sequence: u64, content: Slices) {
        self.recent.push_back((sequence, content));
        while self.recent.len() > RECENT_SEGMENTS || self.bytes() > RECENT_BYTES {
            self.recent.pop_front();
        }
    }

    fn bytes(&self) -> usize {
        self.recent.iter().map(|(_, content)| content.len()).sum()
    }
}

impl Shown {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts players, and one who asks for something among them.
    fn count(&self, asks: Option<&Ask<'_>>) {
        let now = self.env.clock.now();
        let mut audience = self.audience.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ask) = asks {
            let agent = ask.request.headers().get(header::USER_AGENT).map(HeaderValue::as_bytes);
            audience.asks(ask.connection.peer().ip(), agent.unwrap_or_default(), now);
        }
        self.meter.players(audience.count(now));
    }

    fn playlist(&self, ask: &Ask<'_>) -> Answer {
        let Some(text) = self.now().playlist.clone() else { return nothing_here().into() };
        // RFC 8216, section 6.2.1: the next one is there within half a target duration to one and a half.
        let cache = match self.plan.target_duration / 2 {
            0 => HeaderValue::from_static("no-cache"),
            seconds => HeaderValue::from_str(&format!("public, max-age={seconds}"))
                .unwrap_or(HeaderValue::from_static("no-cache")),
        };
        let about = About { media_type: PLAYLIST_TYPE, cache };
        content::compressible(ask.request, about, text.clone(), || {
            let mut now = self.now();
            // Another may have been published meanwhile.
            let is_this = now.playlist.as_ref().is_some_and(|playlist| playlist.as_ptr() == text.as_ptr());
            if now.compressed.is_none() && is_this {
                now.compressed = gzip(&text);
            }
            now.compressed.clone().filter(|_| is_this)
        })
    }

    fn segment(&self, ask: &Ask<'_>, sequence: u64) -> Answer {
        let cache = if self.plan.window.is_some() { SEGMENT_CACHE } else { REPLACEABLE_CACHE };
        let about = About { media_type: HeaderValue::from_static("video/mp2t"), cache };
        let now = self.now();
        let recent = now.recent.iter().find(|(number, _)| *number == sequence).map(|(_, content)| content.clone());
        drop(now);
        match recent {
            Some(content) => content::bytes(ask.request, about, content),
            None => {
                let path = self.plan.directory.join(self.plan.segment_name.file(sequence));
                content::file(ask.request, about, path, &self.env)
            }
        }
    }
}

/// A playlist as gzip (RFC 1952); nothing where that would be no gain, or take long.
fn gzip(text: &[u8]) -> Option<Bytes> {
    if text.len() > MAX_COMPRESSED {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.ok().filter(|small| small.len() < text.len()).map(Bytes::from)
}

impl Route for Shown {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        if ask.rest == self.plan.playlist_name {
            self.count(Some(ask));
            return self.playlist(ask);
        }
        match self.plan.segment_name.sequence(ask.rest) {
            Some(sequence) => {
                self.count(Some(ask));
                self.segment(ask, sequence)
            }
            None => nothing_here().into(),
        }
    }
}
