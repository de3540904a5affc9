//! Numbers for Prometheus (text exposition format 0.0.4), and whether everything has its stream.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use millstream_core::Env;
use millstream_core::env::Fs;
use millstream_core::meter::{Meter, Meters, Reading};

use super::answer::text;
use super::body::Body;
use super::routes::{Answer, Ask, Route};
use super::watch::Shown;
use crate::doors::{Counts, Door, Doors};

/// Where the numbers are.
pub const METRICS: &str = "/metrics";
/// Where it is said whether everything has its stream.
pub const READY: &str = "/readyz";

/// Streams with numbers of their own, for each element. What is beyond is added up under [`OTHER`]: names come from strangers, and each
/// makes a dozen series in a database.
const MAX_STREAMS: usize = 500;
const OTHER: &str = "other";

/// Names that `/readyz` says; more are a number.
const MAX_MISSING: usize = 20;

/// Largest file of `/proc` that is read.
const MAX_PROC: u64 = 64 << 10;

/// Ticks of a second in `/proc` (USER_HZ), the same on all common machines.
const TICKS: f64 = 100.0;

/// `/readyz`.
pub(super) struct Ready(pub(super) Arc<Shown>);

impl Route for Ready {
    fn answer(&self, _: &Ask<'_>) -> Answer {
        let missing = self.0.missing();
        if missing.is_empty() {
            return text(StatusCode::OK, "ready\n").into();
        }
        let mut words = String::from("these have no stream:\n");
        for name in missing.iter().take(MAX_MISSING) {
            let _ = writeln!(words, "{name}");
        }
        if let Some(more) = missing.len().checked_sub(MAX_MISSING).filter(|more| *more > 0) {
            let _ = writeln!(words, "and {more} more");
        }
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "");
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        *response.body_mut() = Body::Full(words.into());
        response.into()
    }
}

/// `/metrics`: all streams of the runtime, whatever they come or go by.
pub(super) struct Metrics(pub(super) Env);

impl Route for Metrics {
    fn answer(&self, _: &Ask<'_>) -> Answer {
        let (env, fs) = (self.0.clone(), self.0.fs.clone());
        let process = env.blocking(move || process(&*fs));
        Answer::Later(Box::pin(async move {
            let mut page = Page::default();
            page.one("millstream_build_info", "gauge", "The program; always 1.", &[("version", VERSION)], 1);
            let uptime = env.clock.now().nanos() as f64 / 1e9;
            page.one("millstream_uptime_seconds", "gauge", "Seconds since the runtime began.", &[], uptime);
            process
                .await
                .into_iter()
                .flatten()
                .for_each(|(name, kind, help, value)| page.one(name, kind, help, &[], value));
            connections(&mut page, &env.shared::<Doors>().all());
            streams(&mut page, &env.shared::<Meters>().all());
            let mut response = Response::new(Body::Full(Bytes::from(page.0)));
            let headers = response.headers_mut();
            let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, media_type);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }))
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

type Row = (&'static str, &'static str, &'static str, f64);

/// What Prometheus wants to know of every process, where the system says it.
fn process(fs: &dyn Fs) -> Vec<Row> {
    let mut rows = Vec::new();
    let read = |file: &str| fs.read_text(Path::new(file), MAX_PROC).ok();
    // proc(5): behind the name in parentheses, utime and stime are the 12th and 13th field.
    let ticks = read("/proc/self/stat").and_then(|stat| {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()?.saturating_add(fields.get(12)?.parse().ok()?))
    });
    if let Some(ticks) = ticks {
        let help = "Processor time of the process in seconds.";
        rows.push(("process_cpu_seconds_total", "counter", help, ticks as f64 / TICKS));
    }
    let resident = read("/proc/self/status").and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    if let Some(kibibytes) = resident {
        let help = "Memory of the process in bytes.";
        rows.push(("process_resident_memory_bytes", "gauge", help, kibibytes as f64 * 1024.0));
    }
    if let Ok(files) = fs.list(Path::new("/proc/self/fd")) {
        rows.push(("process_open_fds", "gauge", "Open files and sockets of the process.", files.len() as f64));
    }
    rows
}

/// What is added up of the meters of a stream at an element.
#[derive(Default)]
struct Sum {
    live: u64,
    reconnects: u64,
    reading: Reading,
}

impl Sum {
    fn add(&mut self, other: Reading) {
        let all = &mut self.reading;
        self.live += u64::from(other.is_live);
        self.reconnects += other.connections.saturating_sub(1);
        all.bytes += other.bytes;
        all.frames += other.frames;
        all.key_frames += other.key_frames;
        all.players += other.players;
        all.bits_per_second += other.bits_per_second;
        all.frames_per_second += other.frames_per_second;
        all.key_distance = all.key_distance.max(other.key_distance);
        other.drops.into_iter().for_each(|(reason, count)| *all.drops.entry(reason).or_default() += count);
    }
}

/// A family of series: name, kind, help, and the value.
type Family = (&'static str, &'static str, &'static str, fn(&Sum) -> f64);

const FAMILIES: [Family; 9] = [
    ("millstream_stream_live", "gauge", "Streams of which media come.", |sum| sum.live as f64),
    ("millstream_stream_bytes_total", "counter", "Bytes of media.", |sum| sum.reading.bytes as f64),
    ("millstream_stream_frames_total", "counter", "Pictures.", |sum| sum.reading.frames as f64),
    ("millstream_stream_key_frames_total", "counter", "Pictures to begin with.", |sum| sum.reading.key_frames as f64),
    ("millstream_stream_bits_per_second", "gauge", "Bits of media a second, lately.", |sum| {
        sum.reading.bits_per_second as f64
    }),
    ("millstream_stream_frames_per_second", "gauge", "Pictures a second, lately.", |sum| sum.reading.frames_per_second),
    ("millstream_stream_key_frame_distance_seconds", "gauge", "From the last key frame but one to the last.", |sum| {
        sum.reading.key_distance.seconds()
    }),
    ("millstream_stream_players", "gauge", "Players that are there.", |sum| sum.reading.players as f64),
    ("millstream_stream_reconnects_total", "counter", "Connections that took the place of one.", |sum| {
        sum.reconnects as f64
    }),
];

fn streams(page: &mut Page, meters: &[Arc<Meter>]) {
    let mut sums = BTreeMap::<(&str, &str), Sum>::new();
    let mut counts = BTreeMap::<&str, usize>::new();
    for meter in meters {
        let (element, stream) = (meter.element(), meter.stream());
        let is_new = !sums.contains_key(&(element, stream));
        let count = counts.entry(element).or_default();
        *count += usize::from(is_new);
        let stream = if is_new && *count > MAX_STREAMS { OTHER } else { stream };
        sums.entry((element, stream)).or_default().add(meter.read());
    }
    for (name, kind, help, value) in FAMILIES.into_iter().filter(|_| !sums.is_empty()) {
        page.family(name, kind, help);
        for ((element, stream), sum) in &sums {
            page.series(name, &[("element", element), ("stream", stream)], value(sum));
        }
    }
    let name = "millstream_stream_dropped_total";
    if sums.values().any(|sum| !sum.reading.drops.is_empty()) {
        page.family(name, "counter", "What was left out, by reason.");
    }
    for ((element, stream), sum) in &sums {
        for (reason, count) in &sum.reading.drops {
            page.series(name, &[("element", element), ("stream", stream), ("reason", reason)], count);
        }
    }
}

fn connections(page: &mut Page, doors: &[Arc<Door>]) {
    let counts: BTreeMap<&str, Counts> = doors.iter().map(|door| (door.url(), door.read())).collect();
    if !counts.is_empty() {
        page.family("millstream_connections", "gauge", "Connections that are there.");
    }
    for (url, counts) in &counts {
        page.series("millstream_connections", &[("listener", url)], counts.open);
    }
    let name = "millstream_connections_closed_total";
    if counts.values().any(|counts| !counts.closed.is_empty()) {
        page.family(name, "counter", "Connections that were closed or lost, by reason.");
    }
    for (url, counts) in &counts {
        for (reason, count) in &counts.closed {
            page.series(name, &[("listener", url), ("reason", reason)], count);
        }
    }
}

/// The text.
#[derive(Default)]
struct Page(String);

impl Page {
    fn one(&mut self, name: &str, kind: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.family(name, kind, help);
        self.series(name, labels, value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{escaped}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}
