//! What one more element costs each buffer: a long chain's time less a short chain's, over the difference in elements.

use crate::bench::{Contender, Settings, alternate, command};
use crate::measure::Sample;
use crate::report::{Row, Unit};
use anyhow::Result;

/// A chain of one element repeated, long and short.
struct Chain {
    name: &'static str,
    element: &'static str,
    short: u32,
    long: u32,
    /// Buffers through ours and through GStreamer: each long enough that the difference is far above a scheduler tick.
    buffers: [u32; 2],
    bar: f64,
}

/// GStreamer's `identity` costs 170 ns and more, ours a few: hence ten times the buffers.
const IDENTITY: Chain =
    Chain { name: "identity", element: "identity", short: 1, long: 21, buffers: [3_000_000, 300_000], bar: 25.0 };

/// The first queue: buffers are made by one thread and dropped by another from here on.
const QUEUE: Chain =
    Chain { name: "queue", element: "queue", short: 0, long: 1, buffers: [2_000_000, 500_000], bar: 4.0 };

/// Further ones. Few, as each is a thread and there are few cores.
const QUEUES: Chain =
    Chain { name: "queues", element: "queue", short: 1, long: 5, buffers: [2_000_000, 500_000], bar: 4.0 };

/// A fused element that only passes on.
pub(crate) fn identity(settings: &Settings) -> Result<Row> {
    run(settings, &IDENTITY)
}

/// A hand-over between two tasks.
pub(crate) fn queue(settings: &Settings) -> Result<Row> {
    run(settings, &QUEUE)
}

/// Hand-overs from task to task.
pub(crate) fn queues(settings: &Settings) -> Result<Row> {
    run(settings, &QUEUES)
}

/// `fakesrc num-buffers=N ! ELEMENT ! … ! fakesink`, the same in both grammars.
pub(crate) fn line(element: &str, count: u32, buffers: u32) -> String {
    let elements = format!(" ! {element}").repeat(count as usize);
    format!("fakesrc num-buffers={buffers}{elements} ! fakesink")
}

fn run(settings: &Settings, chain: &Chain) -> Result<Row> {
    let [ours, theirs] = chain.buffers.map(|buffers| if settings.quick { buffers / 5 } else { buffers });
    let of_ours = |count| Contender {
        name: "millstream",
        command: command(&format!("{{}} launch {}", line(chain.element, count, ours)), &[&settings.ours]),
    };
    let of_gst = |count| Contender {
        name: "gstreamer",
        command: command(&format!("gst-launch-1.0 -q {}", line(chain.element, count, theirs)), &[]),
    };
    let contenders = [of_ours(chain.short), of_ours(chain.long), of_gst(chain.short), of_gst(chain.long)];
    let samples = alternate(settings, settings.rounds, &contenders, || Ok(()))?;
    let hops = f64::from(chain.long - chain.short);
    let ours = per_hop(&samples[0], &samples[1], hops * f64::from(ours));
    let theirs = per_hop(&samples[2], &samples[3], hops * f64::from(theirs));
    let mut row = Row::new(chain.name, "gstreamer", Unit::NsPerBuffer, &ours, &theirs);
    row.bar = Some(chain.bar);
    Ok(row)
}

pub(super) fn per_hop(short: &[Sample], long: &[Sample], hops: f64) -> Vec<Sample> {
    let differ = |(short, long): (&Sample, &Sample)| Sample {
        wall: (long.wall - short.wall) / hops,
        cpu: (long.cpu - short.cpu) / hops,
        peak: long.peak,
    };
    short.iter().zip(long).map(differ).collect()
}
