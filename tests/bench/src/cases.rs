//! The benches, a file each.

mod instructions;
mod media;
mod per_buffer;
mod plugins;
mod remux;
mod rtmp;
mod start;
mod transcode;
mod webrtc;

use crate::bench::Settings;
use crate::machine::Machine;
use crate::report::Results;
use anyhow::{Result, bail};

/// The benches of files, in the order in which they run; those of servers follow.
const NAMES: [&str; 12] = [
    "identity",
    "queue",
    "queues",
    "plugin-abi",
    "start",
    "plugin-start",
    "transcode",
    "flv-ts",
    "flv-hls",
    "flv-flv",
    "ts-flv",
    "instructions",
];

/// Runs the benches whose names contain one of `names`, all of them if there is none.
pub(crate) fn run(settings: &Settings, names: &[String]) -> Result<Results> {
    let wanted = |bench: &str| names.is_empty() || names.iter().any(|part| bench.contains(part.as_str()));
    let all: Vec<&str> = NAMES.into_iter().chain(rtmp::NAMES).chain(webrtc::NAMES).collect();
    if !all.iter().any(|bench| wanted(bench)) {
        bail!("no bench of that name; there are {}", all.join(", "));
    }
    let machine = Machine::look(settings);
    let mut results =
        Results { machine, rows: Vec::new(), memory: Vec::new(), figures: Vec::new(), instructions: Vec::new() };
    for bench in all.into_iter().filter(|bench| wanted(bench)) {
        eprintln!("bench {bench}");
        match bench {
            "identity" => results.rows.push(per_buffer::identity(settings)?),
            "queue" => results.rows.push(per_buffer::queue(settings)?),
            "queues" => results.rows.push(per_buffer::queues(settings)?),
            "start" => results.rows.push(start::run(settings)?),
            "instructions" => results.instructions = instructions::run(settings)?,
            "plugin-abi" => results.figures.extend(plugins::crossing(settings)?),
            "transcode" => results.figures.extend(transcode::run(settings)?),
            "plugin-start" => results.figures.push(plugins::start(settings)?),
            served if rtmp::NAMES.contains(&served) => results.figures.extend(rtmp::run(settings, served)?),
            seen if webrtc::NAMES.contains(&seen) => results.figures.extend(webrtc::run(settings, seen)?),
            conversion => {
                let (rows, memory) = remux::run(settings, conversion)?;
                results.rows.extend(rows);
                results.memory.push(memory);
            }
        }
    }
    Ok(results)
}
