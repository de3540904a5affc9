//! Pushes media into a pipeline: a program has an FLV file in memory and wants it as MPEG-TS.
//!
//! ```sh
//! cargo run --example 06_appsrc
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use millstream::generic::{AppSinkHandle, AppSrcHandle};
use millstream::prelude::*;

/// Bytes to push at a time, as they would come from a socket.
const PIECE: usize = 16 << 10;

fn main() -> anyhow::Result<()> {
    let clip = bytes::Bytes::from(std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv"))?);
    let mut pipeline = Pipeline::from_launch(
        "appsrc name=in caps=video/x-flv ! flvdemux name=d  d.video ! h264parse ! m.  d.audio ! aacparse ! m. \
         tsmux name=m ! appsink name=out",
    )?;
    let input: AppSrcHandle = pipeline.handle("in").expect("`in` is an appsrc");
    let output: AppSinkHandle = pipeline.handle("out").expect("`out` is an appsink");

    let feeder = std::thread::spawn(move || {
        for start in (0..clip.len()).step_by(PIECE) {
            let piece = clip.slice(start..clip.len().min(start + PIECE));
            if input.blocking_push(Item::buffer(Buffer::new(piece))).is_err() {
                return; // The pipeline has failed; `wait` says why.
            }
        }
        // Dropping the handle ends the stream.
    });
    let mut ts = Vec::new();
    while let Some(block) = output.blocking_next_buffer() {
        block.payload.slices().iter().for_each(|slice| ts.extend_from_slice(slice));
    }
    pipeline.wait()?;
    anyhow::ensure!(feeder.join().is_ok(), "the feeder panicked");

    anyhow::ensure!(ts.len() % 188 == 0 && ts.iter().step_by(188).all(|byte| *byte == 0x47), "no transport stream");
    println!("{} packets of MPEG-TS in memory", ts.len() / 188);
    Ok(())
}
