//! `fakesink`: throws media away.

use millstream_core::{
    BuildCx, Element, Env, Factory, Flow, Item, Output, PadId, PadTemplate, Result, TimeDelta, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pace::Pacer;

/// Settings of `fakesink`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FakeSinkSettings {
    /// Take each buffer when its timestamp is due, the first at once.
    pub sync: bool,
}

/// What is known of `fakesink`.
pub fn factory() -> Factory {
    Factory::new("fakesink", "Sink", "Throws media away", build)
        .pad(PadTemplate::sink("sink", "ANY").random_write())
        .details("Counts as a sink that can rewrite, so that muxers do all that they would do for a file.")
        .example("fakesrc num-buffers=10 ! fakesink")
}

fn build(settings: FakeSinkSettings, cx: &BuildCx) -> Result<Element> {
    if settings.sync {
        let pacer = Pacer::to_first(TimeDelta::ZERO);
        return Ok(Element::Transform(Box::new(Paced { pacer, env: cx.env.clone() })));
    }
    Ok(Element::Transform(Box::new(Discard)))
}

struct Discard;

impl Transform for Discard {
    fn handle(&mut self, _: PadId, _: Item, _: &mut Output) -> Result<Flow> {
        Ok(Flow::Done)
    }
}

struct Paced {
    pacer: Pacer,
    env: Env,
}

impl Transform for Paced {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match &item {
            Item::Segment(segment) => self.pacer.segment(segment),
            Item::Flush(_) => self.pacer.reset(),
            _ => {}
        }
        // What has been taken cannot be shown later, so it is the next input that waits until this one was due.
        if let Some(due) = self.pacer.due(&item, || self.env.clock.now()) {
            out.hold_until(due);
        }
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::{Buffer, Time};
    use millstream_testkit::Harness;

    #[test]
    fn holds_the_input_back_to_the_clock() {
        for (settings, holds) in [("sync=true", vec![1000, 1040]), ("", vec![])] {
            let mut harness = Harness::new(&factory(), settings);
            harness.advance_to(Time::from_millis(1000)).unwrap();
            harness.push_start("sink", "").unwrap();
            for ms in [500, 540] {
                harness.push_buffer("sink", Buffer::default().with_times(Some(Time::from_millis(ms)), None)).unwrap();
            }
            harness.eos().unwrap();
            assert_eq!(harness.holds.iter().map(|t| t.millis()).collect::<Vec<_>>(), holds, "{settings}");
        }
    }
}
