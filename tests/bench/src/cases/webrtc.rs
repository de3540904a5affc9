//! WebRTC: one publisher and many viewers, beside the streaming plug-in of Janus. Server on one core, client on another.

mod network;

use super::media;
use crate::bench::{Settings, median};
use crate::load::{self, Clip, Report};
use crate::process::{Cores, Pinned};
use crate::report::{Bar, Figure};
use crate::server::{Server, folder, free_address};
use crate::viewers::{self, Load, Pictures, Publish, Watch};
use anyhow::{Context, Result};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The names of these benches.
pub(crate) const NAMES: [&str; 4] = ["webrtc-fanout", "webrtc-delay", "webrtc-join", "webrtc-lossy"];

/// Rounds of the fan-out, ours and Janus in turn.
const ROUNDS: usize = 5;
/// CPU of a viewer may be so many times that of Janus.
const CPU: f64 = 1.0;
/// KiB that a viewer may cost.
const VIEWER: f64 = 100.0;
/// Milliseconds until a viewer that joins sees its first picture.
const FIRST: f64 = 300.0;
/// Milliseconds from a picture's way into RTMP to a viewer that has all of it.
const DELAY: f64 = 20.0;
const KIB: f64 = 1024.0;
/// Where Debian has Janus's plug-ins and transports.
const JANUS: &str = "/usr/lib/x86_64-linux-gnu/janus";

/// Runs one of the benches.
///
/// # Errors
/// When a server does not start, or nobody sees anything.
pub(crate) fn run(settings: &Settings, name: &str) -> Result<Vec<Figure>> {
    let cores = Cores::look()?;
    let _pinned = Pinned::remember()?;
    let _network = network::enter()?;
    load::open_files()?;
    let file = media::live(settings, "call-2500k", &media::CALL_2500K)?;
    let stage = Stage { settings, cores, pictures: Arc::new(Pictures::load(&file)?), file };
    match name {
        "webrtc-fanout" => fanout(&stage),
        "webrtc-delay" => delay(&stage),
        "webrtc-join" => join(&stage),
        _ => lossy(&stage),
    }
}

struct Stage<'a> {
    settings: &'a Settings,
    cores: Cores,
    pictures: Arc<Pictures>,
    /// The file that they are of.
    file: PathBuf,
}

/// A server and a way to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Janus,
}

impl Stage<'_> {
    fn load(&self, viewers: usize) -> Load {
        let quick = self.settings.quick;
        Load {
            address: SocketAddrV4::new(network::ADDRESS, 0),
            publish: Publish::Whip("/whip/live/s0".to_owned()),
            watch: Watch::Whep("/whep/live/s0".to_owned()),
            pictures: self.pictures.clone(),
            viewers,
            lossy: 0,
            one_by_one: false,
            warmup: if quick { 1.0 } else { 3.0 },
            window: if quick { 3.0 } else { 10.0 },
            pid: 0,
        }
    }

    /// Starts the server, puts the load on it, and says on stderr what came of it.
    fn once(&self, bench: &str, kind: Kind, load: &Load) -> Result<Report> {
        let address = free_address(network::ADDRESS)?;
        let rtp = UdpSocket::bind((network::ADDRESS, 0))?.local_addr()?;
        match kind {
            Kind::Ours => self.serve(bench, ours(self.settings, address)?, &Load { address, ..load.clone() }),
            Kind::Janus => {
                let (publish, watch) = (Publish::Plain(rtp), Watch::Janus);
                let load = Load { address, publish, watch, ..load.clone() };
                self.serve(bench, ("janus", janus(self.settings, address, rtp)?), &load)
            }
        }
    }

    /// The same with a server of this name and command, which listens where the load goes.
    fn serve(&self, bench: &str, (name, command): (&str, Command), load: &Load) -> Result<Report> {
        let server = Server::launch(self.settings, self.cores, name, command, load.address)?;
        let load = Load { pid: server.pid(), ..load.clone() };
        let report = viewers::run(&load).with_context(|| self.said(name))?;
        eprintln!("  {bench} {name}: {}", report.line());
        Ok(report)
    }

    /// The end of what a server said.
    fn said(&self, name: &str) -> String {
        let said = std::fs::read_to_string(self.settings.log()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().rev().take(5).collect();
        format!("{name} said: {}", lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
    }
}

fn fanout(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    const BENCH: &str = "webrtc-fanout";
    let count = if stage.settings.quick { 40 } else { 200 };
    let load = stage.load(count);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..if stage.settings.quick { 1 } else { ROUNDS } {
        ours.push(stage.once(BENCH, Kind::Ours, &load)?);
        theirs.push(stage.once(BENCH, Kind::Janus, &load)?);
    }
    let per_viewer = |report: &Report| report.server_cpu / count as f64;
    let memory = |report: &Report| (report.memory.begin as f64 - report.memory.published as f64) / KIB / count as f64;
    let compare = |what: &str, unit, bar, of: &dyn Fn(&Report) -> f64| {
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| of(ours) / of(theirs));
        Figure {
            bench: BENCH,
            what: format!("{count} viewers, {what}"),
            unit,
            ours: median(ours.iter().map(of)),
            peer: "janus",
            theirs: Some(median(theirs.iter().map(of))),
            ratio: Some(median(ratios)).filter(|ratio| ratio.is_finite()),
            bar,
            rounds: ours.len(),
        }
    };
    let worst = |report: &Report| 100.0 * report.seen as f64 / (report.sent * count as u64).max(1) as f64;
    Ok(vec![
        compare("CPU a viewer", "%", Some(Bar::RatioAtMost(CPU)), &per_viewer),
        compare("p50", "ms", None, &|report| report.latency.p50),
        compare("p99", "ms", None, &|report| report.latency.p99),
        compare("memory a viewer", "KiB", Some(Bar::AtMost(VIEWER)), &memory),
        compare("pictures seen", "%", None, &worst),
        compare("viewers below 99 % of the pictures", "", Some(Bar::AtMost(0.0)), &|report| {
            f64::from(u8::from(!report.sustained))
        }),
    ])
}

/// From a picture's way into RTMP to a viewer that has all of it.
fn delay(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    const BENCH: &str = "webrtc-delay";
    let (address, rtmp) = (free_address(network::ADDRESS)?, free_address(network::ADDRESS)?);
    let clip = Arc::new(Clip::load(&stage.file)?);
    let publish = load::Load { stream: "s0".to_owned(), ..load::Load::new(rtmp, clip) };
    let source =
        format!("element: rtmpserversrc, listen: \"{rtmp}\", app: {}, stream: {}", publish.app, publish.stream);
    let command = relay(stage.settings, &source, ["in ! demux", "demux.video ! h264parse ! out.video"], address)?;
    let publish = Publish::Rtmp(Box::new(publish));
    let load = Load { address, publish, ..stage.load(if stage.settings.quick { 5 } else { 20 }) };
    let report = stage.serve(BENCH, command, &load)?;
    Ok(vec![
        alone(BENCH, "RTMP in, WHEP out, p50", "ms", None, report.latency.p50),
        alone(BENCH, "RTMP in, WHEP out, p99", "ms", Some(Bar::AtMost(DELAY)), report.latency.p99),
    ])
}

fn join(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    const BENCH: &str = "webrtc-join";
    let load = Load { one_by_one: true, window: 1.0, ..stage.load(if stage.settings.quick { 5 } else { 30 }) };
    let report = stage.once(BENCH, Kind::Ours, &load)?;
    let what = "from the offer to the first whole picture, p99";
    Ok(vec![alone(BENCH, what, "ms", Some(Bar::AtMost(FIRST)), report.key.p99)])
}

/// Some viewers lose each tenth datagram: the others must not notice.
fn lossy(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    const BENCH: &str = "webrtc-lossy";
    let load = stage.load(if stage.settings.quick { 10 } else { 50 });
    let lossy = Load { lossy: load.viewers / 5, ..load.clone() };
    let (without, with) = (stage.once(BENCH, Kind::Ours, &load)?, stage.once(BENCH, Kind::Ours, &lossy)?);
    Ok(vec![
        alone(BENCH, "p99 of others, nobody loses anything", "ms", None, without.latency.p99),
        alone(BENCH, "p99 of others, a fifth loses each tenth datagram", "ms", None, with.latency.p99),
        alone(BENCH, "pictures that others missed", "", Some(Bar::AtMost(0.0)), with.missed as f64),
    ])
}

fn alone(bench: &'static str, what: &str, unit: &'static str, bar: Option<Bar>, ours: f64) -> Figure {
    Figure { bench, what: what.to_owned(), unit, ours, peer: "", theirs: None, ratio: None, bar, rounds: 1 }
}

/// What is published by WHIP is watched by WHEP.
fn ours(settings: &Settings, address: SocketAddrV4) -> Result<(&'static str, Command)> {
    let source = format!("element: whipserversrc, listen: \"{address}\", stream: s0, codecs: [h264]");
    relay(settings, &source, ["in.video ! h264parse ! out.video"], address)
}

/// What links lead from a source to the sink, over a demuxer if they want one, is watched by WHEP.
fn relay<const N: usize>(
    settings: &Settings,
    source: &str,
    links: [&str; N],
    address: SocketAddrV4,
) -> Result<(&'static str, Command)> {
    let demux = if N > 1 { "  demux: { element: flvdemux }\n" } else { "" };
    let links: String = links.iter().map(|link| format!("  - {link}\n")).collect();
    let text = format!(
        "name: relay\nelements:\n\
         \x20 in: {{ {source} }}\n{demux}\
         \x20 out: {{ element: whepserversink, listen: \"{address}\", stream: s0 }}\n\
         links:\n{links}"
    );
    let file = folder(settings, "ours")?.join("relay.yaml");
    std::fs::write(&file, text)?;
    let mut command = Command::new(&settings.ours);
    command.arg("run").arg(file);
    Ok(("millstream", command))
}

/// Its streaming plug-in with one mount point, fed with packets of RTP; `cargo xtask setup --all-peers` brings it.
fn janus(settings: &Settings, address: SocketAddrV4, rtp: SocketAddr) -> Result<Command> {
    let folder = folder(settings, "janus")?;
    let path = |name: &str| folder.join(name).display().to_string();
    for (kind, library) in [("plugins", "libjanus_streaming.so"), ("transports", "libjanus_http.so")] {
        let there = folder.join(kind);
        std::fs::create_dir_all(&there)?;
        let link = there.join(library);
        if !link.exists() {
            std::os::unix::fs::symlink(Path::new(JANUS).join(kind).join(library), link)?;
        }
    }
    let main = format!(
        "general: {{ configs_folder = \"{}\"\n plugins_folder = \"{}\"\n transports_folder = \"{}\"\n debug_level = 1 }}\n\
         nat: {{ ice_lite = true }}\nmedia: {{ }}\nplugins: {{ }}\ntransports: {{ }}\n",
        path(""),
        path("plugins"),
        path("transports"),
    );
    let http = format!(
        "general: {{ json = \"compact\"\n base_path = \"/janus\"\n http = true\n port = {}\n ip = \"{}\"\n https = false }}\n\
         admin: {{ admin_http = false }}\n",
        address.port(),
        address.ip(),
    );
    let streaming = format!(
        "general: {{ }}\nbench: {{ type = \"rtp\"\n id = 1\n media = ( {{ type = \"video\"\n mid = \"v\"\n label = \"v\"\n \
         port = {}\n pt = 96\n codec = \"h264\"\n fmtp = \"profile-level-id=42e01f;packetization-mode=1\" }} ) }}\n",
        rtp.port(),
    );
    for (name, text) in [("janus", main), ("janus.transport.http", http), ("janus.plugin.streaming", streaming)] {
        std::fs::write(folder.join(format!("{name}.jcfg")), text)?;
    }
    let mut command = Command::new("janus");
    command.arg("-F").arg(&folder).arg("-C").arg(folder.join("janus.jcfg"));
    Ok(command)
}
