//! Runs a pipeline that is written in YAML: an FLV file becomes an MPEG transport stream.
//!
//! ```sh
//! cargo run --example 01_run_yaml
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

const PIPELINE: &str = r#"
elements:
  in: { element: filesrc, location: "INPUT" }
  demux: { element: flvdemux }
  mux: { element: tsmux }
  out: { element: filesink, location: "OUTPUT" }
links:
  - in ! demux
  - demux.video ! h264parse ! mux
  - demux.audio ! aacparse ! mux
  - mux ! out
"#;

fn main() -> anyhow::Result<()> {
    let input = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv");
    let dir = tempfile::tempdir()?;
    let output = dir.path().join("demo.ts");

    millstream::run_yaml(&PIPELINE.replace("INPUT", input).replace("OUTPUT", &output.to_string_lossy()))?;

    // A transport stream is packets of 188 bytes that begin with 0x47 (ISO/IEC 13818-1).
    let ts = std::fs::read(&output)?;
    anyhow::ensure!(ts.len() % 188 == 0 && ts.iter().step_by(188).all(|byte| *byte == 0x47), "no transport stream");
    println!("wrote {} packets", ts.len() / 188);
    Ok(())
}
