//! How many players of one stream a core sustains: each has every picture, 99 of 100 within 180 ms.

use super::{OURS, Stage};
use crate::load::Load;
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-most";
/// Milliseconds that 99 of 100 pictures may take.
const LATE: f64 = 180.0;
/// Players more or fewer with each attempt, and the most that are tried.
const STEP: usize = 500;
const MOST: usize = 9000;
/// Milliseconds between two looks of the client, which would be the limit otherwise.
const COALESCE: u64 = 4;

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let ours = climb(stage, OURS, stage.pick(5000, 500))?;
    let mut figures = Vec::new();
    for peer in Kind::peers() {
        // Only SRS is at home with late pictures, and the number of it that is known is for late ones.
        let theirs = climb(stage, peer, stage.pick(4000, 500))?;
        let bar = Some(Bar::RatioAtLeast(1.01)).filter(|_| peer == Kind::Nginx);
        figures.push(Figure {
            bench: BENCH,
            what: format!("players sustained, p99 below {LATE} ms"),
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
fn climb(stage: &Stage<'_>, kind: Kind, start: usize) -> Result<usize> {
    let mut players = start;
    if holds(stage, kind, players)? {
        let most = stage.pick(MOST, start);
        while players < most && holds(stage, kind, players + STEP)? {
            players += STEP;
        }
        return Ok(players);
    }
    while players > STEP {
        players -= STEP;
        if holds(stage, kind, players)? {
            return Ok(players);
        }
    }
    Ok(0)
}

/// Whether so many are sustained. The machine may do something else for a moment, so there is a second try.
fn holds(stage: &Stage<'_>, kind: Kind, players: usize) -> Result<bool> {
    let load = Load { players, joins: 1000.0, coalesce_ms: COALESCE, patience: 30.0, ..stage.load(stage.clip()?) };
    for _ in 0..stage.pick(2, 1) {
        let report = stage.once(&format!("{BENCH} {players}"), kind, &load)?;
        if report.sustained && report.latency.p99 < LATE {
            return Ok(true);
        }
    }
    Ok(false)
}
