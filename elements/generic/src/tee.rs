//! `tee`: one stream to many branches.

use millstream_core::{BuildCx, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `tee`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TeeSettings {
    /// Go on when no branch is linked, and throw the stream away.
    pub allow_not_linked: bool,
}

/// What is known of `tee`.
pub fn factory() -> Factory {
    Factory::new("tee", "Generic", "Copies one stream to many branches", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src_%u", "ANY").request().doc("A branch; more can be linked while running."))
        .passthrough()
        .details(
            "Media bytes are shared, not copied. Behind a file a slow branch holds the others back; behind a live source \
             it loses data up to its next key frame.",
        )
        .example("fakesrc num-buffers=10 ! tee name=t t. ! fakesink t. ! fakesink")
}

fn build(settings: TeeSettings, cx: &BuildCx) -> Result<Element> {
    if cx.srcs.is_empty() && !settings.allow_not_linked {
        return Err(Error::settings("the tee has no branch")
            .hint("link one of its src_%u pads, or set allow-not-linked=true if branches come later"));
    }
    Ok(Element::Transform(Box::new(Tee)))
}

struct Tee;

impl Transform for Tee {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        out.forward(item);
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Buffer;
    use millstream_testkit::Harness;

    #[test]
    fn every_branch_gets_everything_and_shares_the_bytes() {
        let factory = factory();
        let mut harness = Harness::builder(&factory).src("src_0").src("src_7").build().unwrap();
        harness.push_start("sink", "a/b").unwrap();
        harness.push_buffer("sink", Buffer::new(vec![1, 2])).unwrap();
        harness.eos().unwrap();
        harness.assert_contract();
        assert_eq!(harness.timeline().pad("src_0").0.len(), 5);
        assert_eq!(harness.timeline().pad("src_7").0.len(), 5);
        let (a, b) = (harness.take_buffers("src_0"), harness.take_buffers("src_7"));
        assert_eq!(a[0].payload.slices()[0].as_ptr(), b[0].payload.slices()[0].as_ptr());
    }

    #[test]
    fn a_tee_without_branches_needs_leave() {
        let factory = factory();
        let error = Harness::builder(&factory).build().err().unwrap();
        assert!(error.hint_text().unwrap().contains("allow-not-linked"));
        let mut harness = Harness::new(&factory, "allow-not-linked=true");
        harness.push_buffer("sink", Buffer::default()).unwrap();
    }
}
