//! A thousand players of one stream: time of the server, latency, memory.

use super::{GATHERED, KIB, NOT_HELD, OURS, Stage, alone, compare};
use crate::load::{Load, Report};
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-fanout";
/// Sound rides with the next picture: this share of nginx's time, and 15 ms for 99 of 100 pictures.
const HELD: (f64, f64) = (0.6, 15.0);
/// Nothing waits.
const AT_ONCE: (f64, f64) = (0.85, 12.0);
/// KiB that a player may cost, and that it may cost more at the end of the window than at its beginning.
const PLAYER: f64 = 6.0;
const GROWTH: f64 = 0.1;

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let players = stage.pick(1000, 100);
    let load = Load { players, ..stage.load(stage.clip()?) };
    let peers = Kind::peers();
    let kinds: Vec<Kind> = [OURS, NOT_HELD, GATHERED].into_iter().chain(peers.iter().copied()).collect();
    let reports = stage.alternate(BENCH, stage.pick(5, 1), &kinds, &load)?;
    let [held, at_once, gathered, others @ ..] = &reports[..] else { return Ok(Vec::new()) };
    let mut figures = Vec::new();
    for (peer, theirs) in peers.into_iter().zip(others) {
        let nginx = |bar| Some(bar).filter(|_| peer == Kind::Nginx);
        let srs = Some(Bar::RatioAtMost(1.0)).filter(|_| peer == Kind::SrsMerging);
        for (name, ours, cpu, late) in [
            ("sound held", held, nginx(Bar::RatioAtMost(HELD.0)), nginx(Bar::AtMost(HELD.1))),
            ("sound at once", at_once, nginx(Bar::RatioAtMost(AT_ONCE.0)), nginx(Bar::AtMost(AT_ONCE.1))),
            ("350 ms gathered", gathered, srs, None),
        ] {
            let pair = (peer, &theirs[..]);
            let title = |what: &str| format!("{players} players, {name}: {what}");
            figures.extend([
                compare((BENCH, &title("CPU"), "%"), ours, pair, cpu, |report| report.server_cpu),
                compare((BENCH, &title("p50"), "ms"), ours, pair, None, |report| report.latency.p50),
                compare((BENCH, &title("p99"), "ms"), ours, pair, late, |report| report.latency.p99),
            ]);
        }
        let memory = (BENCH, "memory a player", "KiB");
        figures.push(compare(memory, held, (peer, theirs), Some(Bar::AtMost(PLAYER)), a_player));
    }
    let growth = (BENCH, "memory a player, more after the window", "KiB");
    figures.push(alone(growth, held, Some(Bar::AtMost(GROWTH)), |report| {
        (report.memory.end as f64 - report.memory.begin as f64) / KIB / report.players as f64
    }));
    let missed = (BENCH, "pictures that players missed", "");
    figures.push(alone(missed, held, Some(Bar::AtMost(0.0)), |report| report.missed as f64));
    Ok(figures)
}

fn a_player(report: &Report) -> f64 {
    (report.memory.begin as f64 - report.memory.published as f64) / KIB / report.players as f64
}
