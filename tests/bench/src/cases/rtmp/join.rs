//! From opening the socket to the first key frame, of players that come one after the other.

use super::{OURS, Stage, compare};
use crate::load::Load;
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-join";
/// Milliseconds, where a group of pictures is kept.
const BAR: f64 = 5.0;

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let players = stage.pick(40, 5);
    let base = stage.load(stage.clip()?);
    let load = Load { players, one_by_one: true, joins: 4.0, patience: 100.0, warmup: 0.0, window: 0.5, ..base };
    let peers = Kind::peers();
    let kinds: Vec<Kind> = std::iter::once(OURS).chain(peers.iter().copied()).collect();
    let reports = stage.alternate(BENCH, stage.pick(3, 1), &kinds, &load)?;
    let Some((ours, others)) = reports.split_first() else { return Ok(Vec::new()) };
    let figure = |(peer, theirs): (Kind, &Vec<_>)| {
        let what = (BENCH, "connect to first key frame, median", "ms");
        compare(what, ours, (peer, theirs), Some(Bar::AtMost(BAR)), |report| report.key.p50)
    };
    Ok(peers.into_iter().zip(others).map(figure).collect())
}
