//! Live streams: listens for some seconds, and measures what came as if it were a file.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millstream::amf::Value as Amf;
use millstream::core::settings::Node;
use millstream::core::settings::units::DurationSetting;
use millstream::flv::wire::{TagHeader, TagKind, parse_script};
use millstream::graph::diagnostic::did_you_mean;
use millstream::graph::{Graph, Settings};
use millstream::prelude::*;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::tracks::{Found, Live};
use super::super::{Exit, Outcome, probe, report};
use super::server::{Overheard, Reached};
use super::{Args, CONTAINERS, HEAD, link, look, memory, tell};

/// Bytes that are listened to at most: 15 s of 140 Mbit/s.
const MAX_BYTES: usize = 256 << 20;
/// How often to look whether enough has come.
const TICK: Duration = Duration::from_millis(20);
/// A key frame distance needs two key frames; for a second one the stream is listened to so many times longer.
const PATIENCE: i64 = 3;
/// What the element is given beyond the limit, so that its own word on what went wrong is heard.
const GRACE: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(super) struct LiveArgs {
    /// How long a live stream may take to begin
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Live streams")]
    timeout: Duration,
    /// How much of a live stream to measure
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration, help_heading = "Live streams")]
    duration: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let setting: DurationSetting = text.parse().map_err(|error| format!("{error}"))?;
    let nanos = u64::try_from(setting.as_nanos()).ok().filter(|nanos| *nanos > 0);
    nanos.map(Duration::from_nanos).ok_or_else(|| "expected a time above zero, such as 5s".to_owned())
}

/// Which element plays a URL, and what flows from it.
struct Scheme {
    name: &'static str,
    element: &'static str,
}

const SCHEMES: [Scheme; 4] = [
    Scheme { name: "rtmp", element: "rtmpsrc" },
    Scheme { name: "rtmps", element: "rtmpsrc" },
    Scheme { name: "http", element: "httpflvsrc" },
    Scheme { name: "https", element: "httpflvsrc" },
];

/// Schemes that are no slip of a known one.
const OTHERS: [&str; 9] = ["rtsp", "rtsps", "rtmpt", "rtmpe", "rtp", "srt", "udp", "ftp", "file"];

/// Scheme and URL, if it is a URL and no path.
pub(super) fn scheme(input: &Path) -> Option<(&str, &str)> {
    let url = input.to_str()?;
    let (scheme, _) = url.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, url))
}

pub(super) fn run(scheme: &str, url: &str, args: &Args) -> Outcome {
    let registry = registry();
    let known = SCHEMES.iter().filter(|known| registry.get(known.element).is_some());
    let Some(found) = known.clone().find(|known| known.name.eq_ignore_ascii_case(scheme)) else {
        let names: Vec<&str> = known.map(|known| known.name).collect();
        let is_other = OTHERS.iter().any(|other| other.eq_ignore_ascii_case(scheme));
        let meant = did_you_mean(scheme, names.iter().copied()).filter(|_| !is_other);
        let hint = match meant {
            Some(meant) => format!("did you mean {meant}://?"),
            None => format!("live streams are played from {}", names.join("://, ") + "://"),
        };
        report::error(&format!("{scheme}:// is not supported"), Some(&hint));
        return Ok(Exit::Usage);
    };
    let heard = match listen(&registry, found.element, url, &args.live)? {
        Ok(heard) => heard,
        Err(failure) => {
            report::error(&failure.message, failure.hint.as_deref());
            return Ok(Exit::Failed);
        }
    };
    let [container, ..] = &CONTAINERS;
    let head = heard.bytes.slice(..heard.bytes.len().min(HEAD as usize));
    let size = heard.bytes.len() as u64;
    let source = (Arc::new(memory::source(heard.bytes)), Settings::typed(()));
    let (tracks, drops, result) = look(&registry, container, source, &head)?;
    let live = Some(Live { server: heard.server, metadata: heard.metadata });
    let found = Found { name: heard.name, container: container.name, size, tracks, drops, live };
    tell(&found, args.json)?;
    match result {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            report::pipeline_error(&error);
            Ok(Exit::Failed)
        }
    }
}

/// What came, and from whom.
struct Heard {
    name: String,
    bytes: Bytes,
    server: Vec<(String, Value)>,
    metadata: Vec<(String, Value)>,
}

/// Why nothing came.
struct Failure {
    message: String,
    hint: Option<String>,
}

/// Plays the stream until enough of it has come.
fn listen(registry: &Registry, element: &str, url: &str, args: &LiveArgs) -> anyhow::Result<Result<Heard, Failure>> {
    let overheard = Arc::new(Overheard::default());
    let capture = Arc::new(Capture::default());
    let runtime = Runtime::new()?.with_trace(overheard.clone());
    let played = graph(registry, element, url, args.timeout, &capture).and_then(|graph| runtime.start(&graph));
    let result = match played {
        Ok(mut pipeline) => {
            let stopper = pipeline.stopper();
            let result = runtime.block_on(until_enough(pipeline.wait(), &capture, args));
            stopper.cancel();
            result
        }
        Err(error) => Some(Err(error)),
    };
    runtime.shut_down();
    let mut caught = capture.lock();
    let name = overheard.peer().unwrap_or_else(|| shown(url));
    if caught.first.is_none() {
        return Ok(Err(failure(&name, result, overheard.reached(), args)));
    }
    if let Some(Err(error)) = result {
        report::warning(&error.to_string(), Some("what came until then was measured"));
    }
    let metadata = std::mem::take(&mut caught.metadata);
    let bytes = std::mem::take(&mut caught.bytes).freeze();
    Ok(Ok(Heard { name, bytes, server: overheard.server(), metadata }))
}

/// The result of the pipeline if it ended first.
async fn until_enough(
    pipeline: impl Future<Output = Result<()>>,
    capture: &Capture,
    args: &LiveArgs,
) -> Option<Result<()>> {
    let begun = Instant::now();
    let mut pipeline = std::pin::pin!(pipeline);
    loop {
        tokio::select! {
            result = &mut pipeline => return Some(result),
            () = sleep(TICK) => {}
        }
        let caught = capture.lock();
        let longest = match caught.first {
            Some(_) => args.timeout + args.duration * PATIENCE as u32,
            None => args.timeout + GRACE,
        };
        if caught.is_enough(args.duration.into()) || begun.elapsed() >= longest {
            return None;
        }
    }
}

/// What to say of a stream of which nothing came.
fn failure(name: &str, result: Option<Result<()>>, reached: Reached, args: &LiveArgs) -> Failure {
    let seconds = args.timeout.as_secs_f64();
    let hint = |text: &str| Some(text.to_owned());
    match (result, reached) {
        (Some(Err(error)), _) => {
            let message = error.to_string();
            let hint = match message.contains("StreamNotFound") {
                true => hint("is the stream published, and is its name right?"),
                false => error.hint_text().map(str::to_owned),
            };
            Failure { message, hint }
        }
        (Some(Ok(())), _) => Failure { message: format!("{name} ended before anything came"), hint: None },
        (None, Reached::Nothing) => Failure {
            message: format!("{name} does not answer within {seconds} s"),
            hint: hint("is the host reachable, and does a firewall let the port through?"),
        },
        (None, Reached::Connected) => Failure {
            message: format!("{name} takes the connection and says nothing in {seconds} s"),
            hint: hint("is this the port of an RTMP server?"),
        },
        (None, Reached::ShookHands | Reached::Accepted | Reached::Plays) => Failure {
            message: format!("{name} plays nothing within {seconds} s: nobody publishes the stream yet"),
            hint: hint("is its name right? --timeout waits longer for it"),
        },
    }
}

/// `element ! capture`
fn graph(registry: &Registry, element: &str, url: &str, timeout: Duration, capture: &Arc<Capture>) -> Result<Graph> {
    let factory = registry.get(element).ok_or_else(|| Error::unsupported(format!("{element} is not built in")))?;
    // Longer than what is waited here, so that it is told here how far it came.
    let timeout = format!("{}ms", (timeout + 2 * GRACE).as_millis());
    let entries =
        vec![("location", Node::scalar(url)), ("timeout", Node::scalar(timeout)), ("retries", Node::scalar("0"))];
    let mut graph = Graph::default();
    let settings = Settings::text(&factory, Node::map(entries));
    let source = probe::node(element.into(), capture_factory(capture));
    graph.nodes.push(millstream::graph::Node { factory: factory.clone(), settings, ..source });
    graph.nodes.push(probe::node("capture".into(), capture_factory(capture)));
    link(&mut graph, (0, "src"), (1, "sink"));
    Ok(graph)
}

/// A URL without user, query and the last part of its path, which may be a key.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let app = path.rsplit_once('/').map_or("", |(app, _)| app);
    format!("{scheme}://{host}/{app}")
}

/// What has come.
#[derive(Default)]
struct Capture(Mutex<Caught>);

#[derive(Default)]
struct Caught {
    bytes: BytesMut,
    /// Times of the first and the last sound or picture.
    first: Option<Time>,
    last: Option<Time>,
    has_video: bool,
    keys: u32,
    metadata: Vec<(String, Value)>,
}

impl Capture {
    fn lock(&self) -> MutexGuard<'_, Caught> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caught {
    /// Whether it is as long as wanted, with a second key frame if there is video.
    fn is_enough(&self, wanted: TimeDelta) -> bool {
        let span = self.first.zip(self.last).map(|(first, last)| last - first).unwrap_or_default();
        let has_distance = !self.has_video || self.keys >= 2;
        let longest = TimeDelta::from_nanos(wanted.nanos().saturating_mul(PATIENCE));
        self.bytes.len() >= MAX_BYTES || span >= longest || span >= wanted && has_distance
    }

    /// Takes a tag.
    fn take(&mut self, buffer: &Buffer) {
        if self.bytes.len() >= MAX_BYTES {
            return;
        }
        let tag = buffer.payload.contiguous();
        self.bytes.extend_from_slice(&tag);
        match tag.first().and_then(|kind| TagKind::from_tag_type(*kind)) {
            Some(kind @ (TagKind::Script | TagKind::ScriptAmf3)) => self.script(kind, &tag),
            Some(kind) if !buffer.flags.contains(BufferFlags::HEADER) => {
                let is_video = kind == TagKind::Video;
                self.has_video |= is_video;
                self.keys += u32::from(is_video && buffer.is_keyframe());
                let time = buffer.dts_or_pts();
                self.first = self.first.or(time);
                self.last = time.or(self.last);
            }
            _ => {}
        }
    }

    fn script(&mut self, kind: TagKind, tag: &Bytes) {
        let body = tag.get(TagHeader::LEN..tag.len().saturating_sub(4)).unwrap_or_default();
        let Ok(script) = parse_script(kind, body) else { return };
        let values = script.values.first().and_then(Amf::properties);
        if let Some(values) = values.filter(|_| script.name == "onMetaData") {
            self.metadata = values.iter().map(|(name, value)| (name.clone(), json(value))).collect();
        }
    }
}

/// Metadata is numbers and text; what is in it beyond that is said by its kind.
fn json(value: &Amf) -> Value {
    match value {
        Amf::String(text) => text.as_str().into(),
        Amf::Boolean(flag) => (*flag).into(),
        Amf::Date(date) => date.ms.into(),
        value => match (value.as_f64(), value.properties()) {
            (Some(number), _) if number.fract() == 0.0 && number.abs() < 1e15 => (number as i64).into(),
            (Some(number), _) => number.into(),
            (None, Some(properties)) => format!("{} values", properties.len()).into(),
            (None, None) => value.items().map_or(Value::Null, |items| format!("{} values", items.len()).into()),
        },
    }
}

fn capture_factory(capture: &Arc<Capture>) -> Factory {
    let capture = capture.clone();
    let build = move |(), _: &BuildCx| Ok(Element::Transform(Box::new(Capturing(capture.clone())) as Box<_>));
    Factory::new("capture", "Sink", "Keeps what comes", build).pad(PadTemplate::sink("sink", "ANY"))
}

struct Capturing(Arc<Capture>);

impl Transform for Capturing {
    fn handle(&mut self, _: PadId, item: Item, _: &mut Output) -> Result<Flow> {
        if let Item::Buffer(buffer) = &item {
            self.0.lock().take(buffer);
        }
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths_and_shown_without_keys() {
        assert_eq!(scheme(Path::new("rtmp://h/a/b")), Some(("rtmp", "rtmp://h/a/b")));
        assert!(["talk.flv", "./a://b", "://x"].iter().all(|path| scheme(Path::new(path)).is_none()));
        assert_eq!(shown("rtmp://u:p@h:1/live/key?k=1"), "rtmp://h:1/live");
    }

    #[test]
    fn a_second_key_frame_is_waited_for_within_reason() {
        let caught = |keys, seconds: i64| Caught {
            first: Some(Time::ZERO),
            last: Some(Time::from_millis(seconds * 1000)),
            has_video: keys > 0,
            keys,
            ..Caught::default()
        };
        let wanted = TimeDelta::from_secs(5);
        let enough = [(0, 5), (2, 5), (1, 5), (2, 4), (1, 15)].map(|(keys, s)| caught(keys, s).is_enough(wanted));
        assert_eq!(enough, [true, true, false, false, true]);
    }
}
