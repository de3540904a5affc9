//! Builds a graph in code, with settings as Rust structs: one FLV file becomes MPEG-TS and FLV at once.
//!
//! ```sh
//! cargo run --example 02_build_graph
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use millstream::core::settings::units::ByteSize;
use millstream::graph::GraphBuilder;
use millstream::io::filesink::FileSinkSettings;
use millstream::prelude::*;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (ts, flv) = (file("demo.ts"), file("demo.flv"));

    let registry = registry();
    // A settings struct of an element, or text as in a pipeline file: both are checked before anything starts.
    let to_ts =
        FileSinkSettings { location: ts.clone().into(), append: false, atomic: true, buffer_size: ByteSize(1 << 20) };
    let graph = GraphBuilder::new(&registry)
        .name("two-files")
        .element_text("in", "filesrc", [("location", concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv"))])
        .plain("demux", "flvdemux")
        .plain("video", "tee")
        .plain("audio", "tee")
        .plain("h264", "h264parse")
        .plain("aac", "aacparse")
        .plain("tsmux", "tsmux")
        .plain("flvmux", "flvmux")
        .element("ts", "filesink", to_ts)
        .element_text("flv", "filesink", [("location", flv.as_str())])
        .link("in", "demux")
        .link("demux.video", "video")
        .link("demux.audio", "audio")
        .link("video", "h264")
        .link("audio", "aac")
        .link("h264", "tsmux")
        .link("aac", "tsmux")
        .link("video", "flvmux.video")
        .link("audio", "flvmux.audio")
        .link("tsmux", "ts")
        .link("flvmux", "flv")
        .build()?;

    Pipeline::start(&graph)?.wait()?;

    anyhow::ensure!(std::fs::read(&ts)?.first() == Some(&0x47), "no transport stream");
    anyhow::ensure!(std::fs::read(&flv)?.starts_with(b"FLV\x01"), "no FLV file");
    println!("wrote both files");
    Ok(())
}
