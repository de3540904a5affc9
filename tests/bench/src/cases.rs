//! The benches, a file each.

mod instructions;
mod media;
mod per_buffer;
mod remux;
mod start;

use crate::bench::Settings;
use crate::machine::Machine;
use crate::report::Results;
use anyhow::{Result, bail};

/// Every bench there is, in the order in which they run.
const NAMES: [&str; 9] =
    ["identity", "queue", "queues", "start", "flv-ts", "flv-hls", "flv-flv", "ts-flv", "instructions"];

/// Runs the benches whose names contain one of `names`, all of them if there is none.
pub(crate) fn run(settings: &Settings, names: &[String]) -> Result<Results> {
    let wanted = |bench: &str| names.is_empty() || names.iter().any(|part| bench.contains(part.as_str()));
    if !NAMES.iter().any(|bench| wanted(bench)) {
        bail!("no bench of that name; there are {}", NAMES.join(", "));
    }
    let machine = Machine::look(&settings.ours);
    let mut results = Results { machine, rows: Vec::new(), memory: Vec::new(), instructions: Vec::new() };
    for bench in NAMES.into_iter().filter(|bench| wanted(bench)) {
        eprintln!("bench {bench}");
        match bench {
            "identity" => results.rows.push(per_buffer::identity(settings)?),
            "queue" => results.rows.push(per_buffer::queue(settings)?),
            "queues" => results.rows.push(per_buffer::queues(settings)?),
            "start" => results.rows.push(start::run(settings)?),
            "instructions" => results.instructions = instructions::run(settings)?,
            conversion => {
                let (rows, memory) = remux::run(settings, conversion)?;
                results.rows.extend(rows);
                results.memory.push(memory);
            }
        }
    }
    Ok(results)
}
