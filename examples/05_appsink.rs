//! Reads packets from a pipeline: the bit rate of each second of a clip's video.
//!
//! ```sh
//! cargo run --example 05_appsink
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use millstream::generic::AppSinkHandle;
use millstream::prelude::*;

fn main() -> anyhow::Result<()> {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv");
    let line = format!("filesrc location={clip} ! flvdemux name=d d.video ! h264parse ! appsink name=out");
    let mut pipeline = Pipeline::from_launch(&line)?;
    let out: AppSinkHandle = pipeline.handle("out").expect("`out` is an appsink");

    let (mut frames, mut bits) = (0, vec![]);
    // The pipeline runs beside this thread and waits when 64 packets are not taken yet.
    while let Some(packet) = out.blocking_next_buffer() {
        frames += 1;
        let second = packet.pts.unwrap_or_default().seconds() as usize;
        bits.resize(bits.len().max(second + 1), 0);
        bits[second] += packet.payload.len() * 8;
    }
    let caps = out.caps();
    pipeline.wait()?;

    for (second, bits) in bits.iter().enumerate() {
        println!("second {second:2}: {:4} kbit", bits / 1000);
    }
    // The clip has 20 s of 30 pictures a second, 640x360.
    anyhow::ensure!(frames == 600, "{frames} frames");
    anyhow::ensure!(caps.and_then(|caps| caps.size()) == Some((640, 360)), "another size");
    Ok(())
}
