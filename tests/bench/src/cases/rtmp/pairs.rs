//! Many small streams: 300 publishers of 0.5 Mbit/s with a player each.

use super::{KIB, NO_CACHE, OURS, Stage, alone, compare};
use crate::load::Load;
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-pairs";
/// KiB of a publisher and its player, without the group of pictures that is kept.
const PAIR: f64 = 60.0;

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let clip = stage.small_clip()?;
    let (pairs, group) = (stage.pick(300, 30), clip.group as f64 / KIB);
    let load = Load { publishers: pairs, players: pairs, joins: 200.0, ..stage.load(clip) };
    let peers = Kind::peers();
    let kinds: Vec<Kind> = [OURS, NO_CACHE].into_iter().chain(peers.iter().copied()).collect();
    let reports = stage.alternate(BENCH, stage.pick(3, 1), &kinds, &load)?;
    let [ours, no_cache, others @ ..] = &reports[..] else { return Ok(Vec::new()) };
    let mut figures = Vec::new();
    for (peer, theirs) in peers.into_iter().zip(others) {
        let bar = |bar| Some(bar).filter(|_| peer == Kind::Nginx);
        let pair = (peer, &theirs[..]);
        let title = |what: &str| format!("{pairs} publishers with a player each: {what}");
        let kib = |report: &crate::load::Report| {
            (report.memory.begin as f64 - report.memory.empty as f64) / KIB / report.publishers as f64
        };
        let mut memory =
            compare((BENCH, "memory a pair, its group of pictures left out", "KiB"), ours, pair, None, kib);
        // The peers keep none.
        memory.ours -= group;
        (memory.ratio, memory.bar) = (None, Some(Bar::AtMost(PAIR)));
        figures.extend([
            compare((BENCH, &title("CPU"), "%"), ours, pair, bar(Bar::RatioAtMost(1.0)), |report| report.server_cpu),
            compare((BENCH, &title("memory"), "MiB"), ours, pair, None, |report| report.memory.end as f64 / KIB / KIB),
            compare(
                (BENCH, &title("memory, gop-cache off"), "MiB"),
                no_cache,
                pair,
                bar(Bar::RatioAtMost(1.0)),
                |report| report.memory.end as f64 / KIB / KIB,
            ),
            memory,
        ]);
    }
    for (name, ours) in [("players missed", ours), ("players missed, gop-cache off", no_cache)] {
        let missed = (BENCH, &*format!("pictures that {name}"), "");
        figures.push(alone(missed, ours, Some(Bar::AtMost(0.0)), |report| report.missed as f64));
    }
    Ok(figures)
}
