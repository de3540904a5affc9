//! One publisher that sends as fast as it can.

use super::{OURS, Stage, compare};
use crate::load::Load;
use crate::report::{Bar, Figure};
use crate::server::Kind;
use anyhow::Result;

const BENCH: &str = "rtmp-ingest";

pub(super) fn run(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let base = stage.load(stage.clip()?);
    let load = Load { flat_out: true, settle: 0.5, warmup: 0.5, window: stage.pick(5.0, 2.0), ..base };
    let peers = Kind::peers();
    let kinds: Vec<Kind> = std::iter::once(OURS).chain(peers.iter().copied()).collect();
    let reports = stage.alternate(BENCH, stage.pick(5, 1), &kinds, &load)?;
    let Some((ours, others)) = reports.split_first() else { return Ok(Vec::new()) };
    let figure = |(peer, theirs): (Kind, &Vec<_>)| {
        let bar = Some(Bar::RatioAtLeast(1.0)).filter(|_| peer == Kind::Nginx);
        compare((BENCH, "one publisher flat out", "Gbit/s"), ours, (peer, theirs), bar, |report| report.sent_gbps)
    };
    Ok(peers.into_iter().zip(others).map(figure).collect())
}
