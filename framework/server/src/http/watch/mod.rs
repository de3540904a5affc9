//! The watch page: it lists the streams of a listener and plays them in a browser.
//!
//! | path | what |
//! | --- | --- |
//! | `/watch` | the page, without scripts, styles or anything else of other origins |
//! | `/watch/scripts/NAME` | `hls.js` and `mpegts.js` of a directory that the user names, if the page is to play with them |
//! | `/streams.json` | what is there, for the page and for programs |

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::header::HeaderValue;
use millstream_core::meter::{Meter, Reading};
use millstream_core::{Env, Time};
use serde_json::{Map, Value, json};

use super::answer::nothing_here;
use super::content::{self, About};
use super::page::{Page, PageFile, fixed};
use super::routes::{Answer, Ask, Route};

/// Where the page is.
pub const WATCH: &str = "/watch";
/// Where the list of streams is.
pub const STREAMS: &str = "/streams.json";

const FILES: [PageFile; 5] = [
    ("style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("app.js")),
    ("delay.js", "text/javascript; charset=utf-8", include_str!("delay.js")),
    ("flv.js", "text/javascript; charset=utf-8", include_str!("flv.js")),
    ("whep.js", "text/javascript; charset=utf-8", include_str!("whep.js")),
];

/// Scripts that the page plays with if it is given them.
const SCRIPTS: [&str; 2] = ["hls.js", "mpegts.js"];

/// How a stream is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// HTTP-FLV.
    Flv,
    /// HLS.
    Hls,
    /// WebRTC, at an endpoint of WHEP.
    WebRtc,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Hls => "hls",
            Self::WebRtc => "webrtc",
        }
    }
}

/// A stream that is on the list.
pub(super) struct Listed {
    way: Way,
    path: String,
    meter: Arc<Meter>,
    is_shown: bool,
    id: u64,
}

/// What a listener shows.
#[derive(Default)]
pub(super) struct Shown {
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    listed: Vec<Listed>,
    next: u64,
    scripts: Option<PathBuf>,
}

impl Shown {
    pub(super) fn list(self: &Arc<Self>, way: Way, path: &str, meter: Arc<Meter>, is_shown: bool) -> Listing {
        let mut now = self.now();
        let id = now.next;
        now.next += 1;
        now.listed.push(Listed { way, path: path.to_owned(), meter, is_shown, id });
        Listing { shown: self.clone(), id }
    }

    pub(super) fn play_with(&self, scripts: PathBuf) {
        self.now().scripts = Some(scripts);
    }

    /// Paths whose streams do not come; of those that are not shown only that there are some.
    pub(super) fn missing(&self) -> Vec<String> {
        let now = self.now();
        let missing = now.listed.iter().filter(|one| !one.meter.read().is_live);
        missing
            .map(|one| if one.is_shown { one.path.clone() } else { "a stream that is not listed".to_owned() })
            .collect()
    }

    /// Milliseconds since 1970, and streams by name, the most telling meter of each first: FLV is counted as it comes.
    fn to_json(&self, wall: Time) -> Value {
        let now = self.now();
        let mut streams = BTreeMap::<&str, Vec<&Listed>>::new();
        now.listed
            .iter()
            .filter(|one| one.is_shown)
            .for_each(|one| streams.entry(one.meter.stream()).or_default().push(one));
        let streams: Vec<Value> = streams.into_iter().map(|(name, listed)| stream(name, &listed)).collect();
        let scripts = if now.scripts.is_some() { &SCRIPTS[..] } else { &[] };
        json!({ "streams": streams, "scripts": scripts, "now": wall.millis() })
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stream(name: &str, listed: &[&Listed]) -> Value {
    let mut ways = Map::new();
    listed.iter().for_each(|one| drop(ways.insert(one.way.name().into(), one.path.clone().into())));
    let readings: Vec<Reading> = listed.iter().map(|one| one.meter.read()).collect();
    let first = readings.iter().max_by_key(|reading| (reading.is_live, reading.bytes)).cloned().unwrap_or_default();
    json!({
        "name": name,
        "ways": ways,
        "live": first.is_live,
        "video": first.video,
        "audio": first.audio,
        "bitrate": first.bits_per_second,
        "fps": first.frames_per_second,
        "keyframe_distance": first.key_distance.seconds(),
        "players": readings.iter().map(|reading| reading.players).sum::<u64>(),
    })
}

/// A stream is on the list, as long as this lives.
pub struct Listing {
    shown: Arc<Shown>,
    id: u64,
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.shown.now().listed.retain(|one| one.id != self.id);
    }
}

/// The list as a route.
pub(super) struct List {
    pub(super) shown: Arc<Shown>,
    pub(super) env: Env,
}

impl Route for List {
    fn answer(&self, _: &Ask<'_>) -> Answer {
        fixed("application/json", Bytes::from(self.shown.to_json(self.env.clock.wall()).to_string())).into()
    }
}

/// The page as a folder, with the scripts that it may be given.
pub(super) struct Watch {
    page: Page,
    shown: Arc<Shown>,
    env: Env,
}

impl Route for Watch {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        match ask.rest.strip_prefix("scripts/") {
            Some(name) => self.script(ask, name),
            None => self.page.answer(ask),
        }
    }
}

impl Watch {
    pub(super) fn new(shown: Arc<Shown>, env: Env) -> Self {
        Self { page: Page::new(include_str!("page.html"), &FILES), shown, env }
    }

    fn script(&self, ask: &Ask<'_>, name: &str) -> Answer {
        let folder = self.shown.now().scripts.clone();
        match (folder, SCRIPTS.contains(&name)) {
            (Some(folder), true) => {
                let about = About {
                    media_type: HeaderValue::from_static("text/javascript; charset=utf-8"),
                    cache: HeaderValue::from_static("no-cache"),
                };
                content::file(ask.request, about, folder.join(name), &self.env)
            }
            _ => nothing_here().into(),
        }
    }
}
