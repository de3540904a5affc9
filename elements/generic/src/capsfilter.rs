//! `capsfilter`: lets only some caps pass.

use millstream_core::caps::Mismatch;
use millstream_core::{
    BuildCx, Caps, CapsSet, Element, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::CapsSetting;

/// Settings of `capsfilter`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CapsFilterSettings {
    /// The caps that may pass.
    pub caps: CapsSetting,
}

impl Default for CapsFilterSettings {
    fn default() -> Self {
        Self { caps: CapsSetting(CapsSet::Any) }
    }
}

/// What is known of `capsfilter`.
pub fn factory() -> Factory {
    Factory::new("capsfilter", "Filter", "Lets only some caps pass", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .caps_from(|settings: &CapsFilterSettings| Some(settings.caps.0.clone()))
        .details(
            "In a launch line caps between two `!` do the same. What is upstream is asked for these caps; other caps end \
             the stream with an error that names the field. A stream that has no caps of its own, such as a file's \
             bytes, gets these if they leave no choice.",
        )
        .example("fakesrc num-buffers=10 ! capsfilter caps=application/octet-stream ! fakesink")
}

fn build(settings: CapsFilterSettings, _: &BuildCx) -> Result<Element> {
    let imposed = settings.caps.fixed();
    Ok(Element::Transform(Box::new(CapsFilter { accepted: settings.caps.0, imposed })))
}

struct CapsFilter {
    accepted: CapsSet,
    /// For a stream without caps; taken at its first caps or buffer.
    imposed: Option<Caps>,
}

impl Transform for CapsFilter {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match &item {
            Item::Caps(caps) => {
                self.imposed = None;
                if !self.accepted.accepts(caps) {
                    return Err(self.refusal(caps));
                }
            }
            Item::Buffer(_) => {
                if let Some(caps) = self.imposed.take() {
                    out.caps(PadId::FIRST, caps);
                }
            }
            _ => {}
        }
        out.push(PadId::FIRST, item);
        Ok(Flow::Done)
    }
}

impl CapsFilter {
    fn refusal(&self, caps: &Caps) -> Error {
        let text = match CapsSet::from(caps).mismatch(&self.accepted) {
            Some(Mismatch::Field { name, offered, accepted }) => {
                format!("the stream has {name}={offered}, the filter accepts {name}={accepted}")
            }
            _ => format!("the stream is {}, the filter accepts {}", caps.media(), self.accepted),
        };
        Error::unsupported(text).hint("change the caps, or put an element before the filter that converts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Buffer;
    use millstream_testkit::Harness;

    #[test]
    fn names_the_field_that_does_not_fit() {
        let mut harness = Harness::new(&factory(), "caps=\"video/x-h264, stream-format=avc; audio/mpeg\"");
        harness.push_start("sink", "video/x-h264, stream-format=avc, width=640").unwrap();
        harness.push("sink", Item::Caps("audio/mpeg".parse().unwrap())).unwrap();
        let refused = harness.push("sink", Item::Caps("video/x-h264, stream-format=byte-stream".parse().unwrap()));
        assert_eq!(
            refused.unwrap_err().message(),
            "the stream has stream-format=byte-stream, the filter accepts stream-format=avc"
        );
        let refused = harness.push("sink", Item::Caps("video/x-vp8".parse().unwrap()));
        assert!(
            refused.unwrap_err().message().starts_with("the stream is video/x-vp8, the filter accepts video/x-h264")
        );
    }

    #[test]
    fn gives_its_caps_to_a_stream_that_has_none() {
        for (settings, caps, expected) in [
            ("caps=video/mpegts", "", Some("video/mpegts")),
            ("caps=video/mpegts", "video/mpegts, packetsize=188", Some("video/mpegts, packetsize=188")),
            ("caps=\"video/mpegts, packetsize={188,192}\"", "", None),
        ] {
            let mut harness = Harness::new(&factory(), settings);
            harness.push_start("sink", caps).unwrap();
            harness.push_buffer("sink", Buffer::default()).unwrap();
            harness.push_buffer("sink", Buffer::default()).unwrap();
            let caps: Vec<_> = harness.timeline().0.into_iter().filter(|e| e.kind == "caps").map(|e| e.note).collect();
            assert_eq!(caps, expected.into_iter().collect::<Vec<_>>(), "{settings}");
        }
    }
}
