//! An element of one's own: lets only key frames through, as a preview or a thumbnailer wants.
//!
//! ```sh
//! cargo run --example 03_custom_element
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use millstream::generic::AppSinkHandle;
use millstream::prelude::*;

/// Its settings: the doc comments are what `inspect` and the schema of pipeline files show.
#[derive(Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct KeyOnlySettings {
    /// Let only every so many-th key frame through; 0 and 1 mean each.
    every: u64,
}

struct KeyOnly {
    every: u64,
    seen: u64,
}

impl Transform for KeyOnly {
    fn handle(&mut self, _pad: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        if let Item::Buffer(buffer) = &item {
            if !buffer.is_keyframe() {
                return Ok(Flow::Done);
            }
            self.seen += 1;
            if !(self.seen - 1).is_multiple_of(self.every) {
                return Ok(Flow::Done);
            }
        }
        // Caps, segments and the end go on like the frames that stay.
        out.forward(item);
        Ok(Flow::Done)
    }
}

fn factory() -> Factory {
    Factory::new("keyonly", "Filter/Video", "Lets only key frames through", |settings: KeyOnlySettings, _: &BuildCx| {
        Ok(Element::Transform(Box::new(KeyOnly { every: settings.every.max(1), seen: 0 })))
    })
    .pad(PadTemplate::sink("sink", "ANY"))
    .pad(PadTemplate::src("src", "ANY"))
    .passthrough()
}

fn main() -> anyhow::Result<()> {
    let mut registry = registry();
    registry.add(factory());
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv");
    let line = format!("filesrc location={clip} ! flvdemux name=d d.video ! keyonly every=2 ! appsink name=out");

    let mut pipeline = Pipeline::start(&Loader::new(registry).launch(&line)?.graph)?;
    let out: AppSinkHandle = pipeline.handle("out").expect("`out` is an appsink");
    let times: Vec<Time> = std::iter::from_fn(|| out.blocking_next_buffer()).filter_map(|b| b.pts).collect();
    pipeline.wait()?;

    // The clip is 20 s long and has a key frame every 2 s.
    anyhow::ensure!(times.len() == 5, "{} key frames", times.len());
    println!("every second key frame: {times:?}");
    Ok(())
}
