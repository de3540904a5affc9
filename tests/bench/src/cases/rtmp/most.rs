//! How many players of one stream a core sustains: each has every picture, 99 of 100 within 180 ms.

use super::{GATHERED, OURS, Stage};
use crate::load::Load;
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-most";
/// Milliseconds that 99 of 100 pictures may take.
const LATE: f64 = 180.0;
/// The same where 350 ms are gathered for each write.
const LATE_GATHERED: f64 = 500.0;
/// Players more or fewer with each attempt, and the most that are tried.
const STEP: usize = 500;
const MOST: usize = 9000;
/// Milliseconds between two looks of the client, which would be the limit otherwise.
const COALESCE: u64 = 4;

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let ours = climb(stage, OURS, stage.pick(5000, 500), LATE)?;
    let mut figures = Vec::new();
    for peer in Kind::peers() {
        let merges = peer == Kind::SrsMerging;
        let late = if merges { LATE_GATHERED } else { LATE };
        let ours = if merges { climb(stage, GATHERED, stage.pick(7000, 500), late)? } else { ours };
        let theirs = climb(stage, peer, stage.pick(if merges { 7000 } else { 4000 }, 500), late)?;
        let bar = Some(Bar::RatioAtLeast(1.01)).filter(|_| peer != Kind::SrsQuick);
        figures.push(Figure {
            bench: BENCH,
            what: format!("players sustained, p99 below {late} ms{}", if merges { ", 350 ms gathered" } else { "" }),
            unit: "",
            ours: ours as f64,
            peer: peer.name(),
            theirs: Some(theirs as f64),
            ratio: Some(ours as f64 / theirs as f64).filter(|ratio| ratio.is_finite()),
            bar,
            rounds: 1,
        });
    }
    Ok(figures)
}

/// Goes up from `start` while it holds, or down until it does.
fn climb(stage: &Stage<'_>, kind: Kind, start: usize, late: f64) -> Result<usize> {
    let mut players = start;
    if holds(stage, kind, players, late)? {
        let most = stage.pick(MOST, start);
        while players < most && holds(stage, kind, players + STEP, late)? {
            players += STEP;
        }
        return Ok(players);
    }
    while players > STEP {
        players -= STEP;
        if holds(stage, kind, players, late)? {
            return Ok(players);
        }
    }
    Ok(0)
}

/// Whether so many are sustained. The machine may do something else for a moment, so there is a second try.
fn holds(stage: &Stage<'_>, kind: Kind, players: usize, late: f64) -> Result<bool> {
    let load = Load { players, joins: 1000.0, coalesce_ms: COALESCE, patience: 30.0, ..stage.load(stage.clip()?) };
    for _ in 0..stage.pick(2, 1) {
        let report = stage.once(&format!("{BENCH} {players}"), kind, &load)?;
        if report.sustained && report.latency.p99 < late {
            return Ok(true);
        }
    }
    Ok(false)
}
