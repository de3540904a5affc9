//! One player reads half of what is published; what of it the others and the publisher notice.

use super::{KIB, OURS, Stage, alone, compare};
use crate::bench::median;
use crate::load::{Load, Report};
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-slow-player";
/// Times real time: 20 Mbit/s, so that the buffers of the kernel are full within seconds.
const SPEED: f64 = 8.0;
const OTHERS: usize = 20;
/// What the server keeps for players that are behind (`backlog-size`), in MiB.
const BACKLOG: f64 = 16.0;
/// What the whole server may have then, in MiB: the backlog, as much again on its way to the socket, and itself.
const FLOODED: f64 = 2.0 * BACKLOG + 16.0;

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let base = stage.load(stage.clip()?);
    let without = Load { players: OTHERS, speed: SPEED, warmup: stage.pick(6.0, 3.0), ..base };
    let with = Load { players: OTHERS + 1, slow_players: 1, ..without.clone() };
    let (peers, rounds) = (Kind::peers(), stage.pick(3, 1));
    let kinds: Vec<Kind> = std::iter::once(OURS).chain(peers.iter().copied()).collect();
    let before = stage.alternate(BENCH, rounds, &kinds, &without)?;
    let reports = stage.alternate(&format!("{BENCH} with one"), rounds, &kinds, &with)?;
    let Some((ours, others)) = reports.split_first() else { return Ok(Vec::new()) };
    let mut figures = Vec::new();
    for (peer, theirs) in peers.into_iter().zip(others) {
        let pair = (peer, &theirs[..]);
        figures.extend([
            compare((BENCH, "p99 of the others", "ms"), ours, pair, None, |report| report.latency.p99),
            compare((BENCH, "pictures that the others missed", ""), ours, pair, Some(Bar::AtMost(0.0)), |report| {
                report.missed as f64
            }),
            compare((BENCH, "published", "Mbit/s"), ours, pair, None, |report| report.sent_gbps * 1000.0),
            compare((BENCH, "pictures that it missed", ""), ours, pair, Some(Bar::AtLeast(1.0)), |report| {
                report.slow_lost as f64
            }),
        ]);
    }
    figures.extend(flood(stage, &kinds)?);
    let part = |value: fn(&Report) -> f64| {
        let with_one = median(ours.iter().map(value));
        move |report: &Report| with_one / value(report)
    };
    let quiet = &before[0];
    figures.extend([
        alone(
            (BENCH, "published with it, share of without", ""),
            quiet,
            Some(Bar::AtLeast(0.99)),
            part(|report| report.sent_gbps),
        ),
        alone((BENCH, "p99 of the others, share of without", ""), quiet, None, part(|report| report.latency.p99)),
        alone((BENCH, "times that it went on at no key frame", ""), ours, Some(Bar::AtMost(0.0)), |report| {
            report.slow_broken as f64
        }),
        alone((BENCH, "memory more with it", "MiB"), ours, Some(Bar::AtMost(BACKLOG)), |report| {
            (report.memory.end as f64 - report.memory.published as f64) / KIB / KIB
        }),
    ]);
    Ok(figures)
}

/// A publisher that sends as fast as it can, and a player that cannot follow: who is slowed down, and what the server keeps meanwhile.
fn flood(stage: &Stage<'_>, kinds: &[Kind]) -> Result<Vec<Figure>> {
    let base = stage.load(stage.clip()?);
    let load = Load { players: 1, flat_out: true, settle: 0.5, warmup: 0.5, window: stage.pick(5.0, 2.0), ..base };
    let reports = stage.alternate(&format!("{BENCH} flat out"), stage.pick(3, 1), kinds, &load)?;
    let Some((ours, others)) = reports.split_first() else { return Ok(Vec::new()) };
    let mut figures = Vec::new();
    for (peer, theirs) in kinds[1..].iter().zip(others) {
        let pair = (*peer, &theirs[..]);
        let memory = (BENCH, "memory, flat out with a player", "MiB");
        figures.extend([
            compare((BENCH, "published, flat out with a player", "Gbit/s"), ours, pair, None, |report| {
                report.sent_gbps
            }),
            compare(memory, ours, pair, Some(Bar::AtMost(FLOODED)), |report| report.memory.end as f64 / KIB / KIB),
        ]);
    }
    Ok(figures)
}
