//! The RTMP server beside nginx-rtmp and, where `MILLSTREAM_BENCH_SRS` names its binary, SRS: server on one core, client on another.

mod fanout;
mod ingest;
mod join;
mod most;
mod pairs;
mod slow;

use super::media;
use crate::bench::{Settings, median};
use crate::load::{self, Clip, Load, Report};
use crate::process::{Cores, Pinned};
use crate::report::{Bar, Figure};
use crate::server::{Kind, Server};
use anyhow::Result;
use std::sync::Arc;

/// The names of these benches.
pub(crate) const NAMES: [&str; 6] =
    ["rtmp-fanout", "rtmp-most", "rtmp-pairs", "rtmp-join", "rtmp-ingest", "rtmp-slow-player"];

/// As it ships: sound waits for the next picture, but no longer than 25 ms.
const OURS: Kind = Kind::Ours("");
/// Sound goes at once.
const NOT_HELD: Kind = Kind::Ours("audio-hold=0s");
/// As much is gathered for each write as SRS gathers.
const GATHERED: Kind = Kind::Ours("batch-window=350ms");
/// Nothing is kept for who joins.
const NO_CACHE: Kind = Kind::Ours("gop-cache=false");

const KIB: f64 = 1024.0;

/// Runs one of the benches.
///
/// # Errors
/// When a server does not start or nobody can publish to it.
pub(crate) fn run(settings: &Settings, name: &str) -> Result<Vec<Figure>> {
    let cores = Cores::look()?;
    let _pinned = Pinned::remember()?;
    load::open_files()?;
    let stage = Stage { settings, cores };
    match name {
        "rtmp-fanout" => fanout::run(&stage),
        "rtmp-most" => most::run(&stage),
        "rtmp-pairs" => pairs::run(&stage),
        "rtmp-join" => join::run(&stage),
        "rtmp-ingest" => ingest::run(&stage),
        _ => slow::run(&stage),
    }
}

/// What each of these benches works with.
struct Stage<'a> {
    settings: &'a Settings,
    cores: Cores,
}

impl Stage<'_> {
    /// 1080p30 at 2.5 Mbit/s.
    fn clip(&self) -> Result<Arc<Clip>> {
        Ok(Arc::new(Clip::load(&media::live(self.settings, "live-2500k", &media::LIVE_2500K)?)?))
    }

    /// 360p30 at 0.5 Mbit/s.
    fn small_clip(&self) -> Result<Arc<Clip>> {
        Ok(Arc::new(Clip::load(&media::live(self.settings, "live-500k", &media::LIVE_500K)?)?))
    }

    /// One number in a full run, another in a quick one.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.settings.quick { quick } else { full }
    }

    /// Starts the server, puts the load on it, and says on stderr what came of it.
    fn once(&self, bench: &str, kind: Kind, load: &Load) -> Result<Report> {
        let server = Server::start(self.settings, self.cores, kind, load.publishers)?;
        let load = Load { address: server.address, pid: Some(server.pid()), ..load.clone() };
        let report = load::run(&load)?;
        let more = match kind {
            Kind::Ours(more) => more,
            _ => "",
        };
        eprintln!("  {bench} {} {more}: {}", kind.name(), report.line());
        Ok(report)
    }

    /// Each server once a round, in turn; the reports of each, by round.
    fn alternate(&self, bench: &str, rounds: usize, kinds: &[Kind], load: &Load) -> Result<Vec<Vec<Report>>> {
        let mut reports = vec![Vec::with_capacity(rounds); kinds.len()];
        for _ in 0..rounds {
            for (kind, reports) in kinds.iter().zip(&mut reports) {
                reports.push(self.once(bench, *kind, load)?);
            }
        }
        Ok(reports)
    }

    /// A load without a server yet.
    fn load(&self, clip: Arc<Clip>) -> Load {
        let nowhere = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
        let window = self.pick(10.0, 3.0);
        Load { window, warmup: self.pick(3.0, 1.0), ..Load::new(nowhere, clip) }
    }
}

/// A value of ours beside that of a peer, both medians over the rounds.
fn compare(
    (bench, what, unit): (&'static str, &str, &'static str),
    ours: &[Report],
    (peer, theirs): (Kind, &[Report]),
    bar: Option<Bar>,
    value: impl Fn(&Report) -> f64,
) -> Figure {
    let middle = |reports: &[Report]| median(reports.iter().map(&value));
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| value(ours) / value(theirs));
    Figure {
        bench,
        what: what.to_owned(),
        unit,
        ours: middle(ours),
        peer: peer.name(),
        theirs: Some(middle(theirs)),
        ratio: Some(median(ratios)).filter(|ratio| ratio.is_finite()),
        bar,
        rounds: ours.len(),
    }
}

/// A value of ours alone.
fn alone(
    (bench, what, unit): (&'static str, &str, &'static str),
    ours: &[Report],
    bar: Option<Bar>,
    value: impl Fn(&Report) -> f64,
) -> Figure {
    let ours_in_the_middle = median(ours.iter().map(value));
    let (what, rounds) = (what.to_owned(), ours.len());
    Figure { bench, what, unit, ours: ours_in_the_middle, peer: "", theirs: None, ratio: None, bar, rounds }
}
