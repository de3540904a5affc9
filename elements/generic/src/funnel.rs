//! `funnel`: many streams into one, as they come.

use std::sync::Arc;

use millstream_core::{
    BuildCx, Caps, Element, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Segment, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `funnel`: none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FunnelSettings {}

/// What is known of `funnel`.
pub fn factory() -> Factory {
    Factory::new("funnel", "Generic", "Merges many streams into one as they come", build)
        .pad(PadTemplate::sink("sink_%u", "ANY").request())
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .details(
            "Buffers go on in the order in which they come. When the next one is of another input, that input's caps and \
             segment go before it if they differ. The stream ends when every input has ended.",
        )
        .example("fakesrc num-buffers=10 ! f. fakesrc num-buffers=10 ! f. funnel name=f ! fakesink")
}

fn build(_: FunnelSettings, cx: &BuildCx) -> Result<Element> {
    let inputs = cx.sinks.iter().map(|_| Input::default()).collect();
    Ok(Element::Transform(Box::new(Funnel { inputs, started: false, sent: Input::default(), flushed: None })))
}

#[derive(Default)]
struct Input {
    caps: Option<Caps>,
    segment: Option<Arc<Segment>>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Absent,
    Ended,
}

struct Funnel {
    inputs: Vec<Input>,
    started: bool,
    /// What downstream knows.
    sent: Input,
    flushed: Option<u64>,
}

impl Transform for Funnel {
    fn handle(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        // Inputs that were linked while running.
        if pad.index() >= self.inputs.len() {
            self.inputs.resize_with(pad.index() + 1, Input::default);
        }
        let input = &mut self.inputs[pad.index()];
        match item {
            Item::StreamStart(info) => {
                input.state = State::Open;
                if !std::mem::replace(&mut self.started, true) {
                    out.push(PadId::FIRST, Item::StreamStart(info));
                }
            }
            Item::Caps(caps) => input.caps = Some(caps),
            Item::Segment(segment) => input.segment = Some(segment),
            Item::Eos => {
                input.state = State::Ended;
                self.end(out);
            }
            Item::Absent => {
                input.state = State::Absent;
                self.end(out);
            }
            Item::Flush(epoch) => self.flush(epoch, out),
            Item::Tags(_) | Item::Custom(_) => out.push(PadId::FIRST, item),
            Item::Buffer(_) | Item::Gap(_) => {
                self.switch_to(pad, out);
                out.push(PadId::FIRST, item);
            }
        }
        Ok(Flow::Done)
    }
}

impl Funnel {
    /// Tells downstream what this input's caps and segment are, unless it knows.
    fn switch_to(&mut self, pad: PadId, out: &mut Output) {
        let input = &self.inputs[pad.index()];
        if let Some(caps) = input.caps.as_ref().filter(|_| input.caps != self.sent.caps) {
            self.sent.caps = Some(caps.clone());
            out.caps(PadId::FIRST, caps.clone());
        }
        if let Some(segment) = input.segment.as_ref().filter(|_| input.segment != self.sent.segment) {
            self.sent.segment = Some(segment.clone());
            out.push(PadId::FIRST, Item::Segment(segment.clone()));
        }
    }

    fn end(&mut self, out: &mut Output) {
        if self.inputs.iter().any(|input| input.state == State::Open) {
            return;
        }
        let ended = self.inputs.iter().any(|input| input.state == State::Ended);
        out.push(PadId::FIRST, if ended { Item::Eos } else { Item::Absent });
    }

    /// One seek comes back as a flush on every input: one goes on.
    fn flush(&mut self, epoch: u64, out: &mut Output) {
        if self.flushed == Some(epoch) {
            return;
        }
        self.flushed = Some(epoch);
        self.sent = Input::default();
        self.inputs.iter_mut().for_each(|input| input.state = State::Open);
        out.push(PadId::FIRST, Item::Flush(epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Buffer;
    use millstream_testkit::Harness;

    fn funnel() -> Harness {
        Harness::builder(&factory()).sink("sink_0").sink("sink_1").build().unwrap()
    }

    fn names(harness: &Harness) -> Vec<&'static str> {
        harness.items().map(|(_, item)| item.name()).collect()
    }

    #[test]
    fn caps_go_before_the_buffers_of_their_input() {
        let mut harness = funnel();
        harness.push_start("sink_0", "a/b").unwrap();
        harness.push_start("sink_1", "c/d").unwrap();
        for pad in ["sink_0", "sink_0", "sink_1", "sink_0"] {
            harness.push_buffer(pad, Buffer::default()).unwrap();
        }
        let expected = ["stream-start", "caps", "segment", "buffer", "buffer", "caps", "buffer", "caps", "buffer"];
        assert_eq!(names(&harness), expected, "the segments are equal and sent once");
        let notes: Vec<_> = harness.timeline().0.into_iter().filter(|e| e.kind == "caps").map(|e| e.note).collect();
        assert_eq!(notes, ["a/b", "c/d", "a/b"]);
    }

    #[test]
    fn ends_when_every_input_has() {
        let mut harness = funnel();
        harness.push_start("sink_0", "").unwrap();
        harness.push("sink_0", Item::Eos).unwrap();
        assert!(!names(&harness).contains(&"eos"));
        harness.push("sink_1", Item::Absent).unwrap();
        assert_eq!(names(&harness).last(), Some(&"eos"));
        harness.assert_contract();
        let mut nothing = funnel();
        nothing.push("sink_0", Item::Absent).unwrap();
        nothing.push("sink_1", Item::Absent).unwrap();
        assert_eq!(names(&nothing), ["absent"]);
    }

    #[test]
    fn a_flush_of_all_inputs_goes_on_once() {
        let mut harness = funnel();
        harness.push_start("sink_0", "a/b").unwrap();
        harness.push("sink_1", Item::Eos).unwrap();
        for pad in ["sink_0", "sink_1"] {
            harness.push(pad, Item::Flush(3)).unwrap();
        }
        harness.push_buffer("sink_0", Buffer::default()).unwrap();
        assert_eq!(names(&harness), ["stream-start", "flush", "caps", "segment", "buffer"]);
        harness.push("sink_0", Item::Eos).unwrap();
        assert!(!names(&harness).contains(&"eos"), "the flush revived the other input");
    }
}
