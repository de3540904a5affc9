//! Start: a pipeline of one buffer, the whole process from exec to exit.

use crate::bench::{Contender, Settings, alternate, command};
use crate::report::{Row, Unit};
use anyhow::Result;

/// Against gst-launch's 17 ms.
const BAR: f64 = 3.0;
/// Runs are short and scheduling is coarse beside them, so there are many.
const ROUNDS: usize = 41;

/// The line of it, in both grammars.
pub(crate) const LINE: &str = "fakesrc num-buffers=1 ! fakesink";

pub(crate) fn run(settings: &Settings) -> Result<Row> {
    let contenders = [
        Contender { name: "millstream", command: command(&format!("{{}} launch {LINE}"), &[&settings.ours]) },
        Contender { name: "gstreamer", command: command(&format!("gst-launch-1.0 -q {LINE}"), &[]) },
    ];
    let rounds = if settings.quick { settings.rounds } else { ROUNDS };
    alternate(settings, 1, &contenders, || Ok(()))?; // brings programs and libraries into memory
    let samples = alternate(settings, rounds, &contenders, || Ok(()))?;
    let mut row = Row::new("start", contenders[1].name, Unit::Milliseconds, &samples[0], &samples[1]);
    row.bar = Some(BAR);
    Ok(row)
}
