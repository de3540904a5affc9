//! `identity`: passes everything on.

use millstream_core::{
    BuildCx, Element, Env, Error, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `identity`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IdentitySettings {
    /// How likely a buffer is left out, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drop_probability: f64,
    /// Fail after this many buffers; -1 for never.
    #[schemars(range(min = -1))]
    pub error_after: i64,
    /// End the stream after this many buffers; -1 for never.
    #[schemars(range(min = -1))]
    pub eos_after: i64,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self { drop_probability: 0.0, error_after: -1, eos_after: -1 }
    }
}

/// What is known of `identity`.
pub fn factory() -> Factory {
    Factory::new("identity", "Generic", "Passes everything on", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .details("Useful as a named place in a graph, to measure what a hop costs, and to make a pipeline lose buffers or fail.")
        .example("fakesrc num-buffers=10 ! identity ! fakesink")
}

fn build(settings: IdentitySettings, cx: &BuildCx) -> Result<Element> {
    if settings == IdentitySettings::default() {
        return Ok(Element::Transform(Box::new(Forward)));
    }
    Ok(Element::Transform(Box::new(Faulty { settings, env: cx.env.clone(), seen: 0, ended: false })))
}

/// Without faults to inject a buffer costs nothing but the call.
struct Forward;

impl Transform for Forward {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        out.push(PadId::FIRST, item);
        Ok(Flow::Done)
    }
}

struct Faulty {
    settings: IdentitySettings,
    env: Env,
    seen: i64,
    ended: bool,
}

impl Transform for Faulty {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match &item {
            Item::Flush(_) => self.ended = false,
            _ if self.ended => return Ok(Flow::Done),
            Item::Buffer(buffer) => {
                if self.seen == self.settings.error_after {
                    return Err(Error::bug("failed as error-after asked"));
                }
                if self.seen == self.settings.eos_after {
                    self.ended = true;
                    out.push(PadId::FIRST, Item::Eos);
                    return Ok(Flow::Done);
                }
                self.seen += 1;
                if self.drops() {
                    out.dropped("drop-probability", buffer.payload.len() as u64, buffer.offset);
                    return Ok(Flow::Done);
                }
            }
            _ => {}
        }
        out.push(PadId::FIRST, item);
        Ok(Flow::Done)
    }
}

impl Faulty {
    fn drops(&self) -> bool {
        // 53 random bits make a number from 0 to below 1, exactly.
        let random = (self.env.random() >> 11) as f64 / (1_u64 << 53) as f64;
        random < self.settings.drop_probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Buffer;
    use millstream_testkit::Harness;

    fn run(settings: &str, buffers: usize) -> (Harness, Result<()>) {
        let mut harness = Harness::new(&factory(), settings);
        harness.push_start("sink", "a/b").unwrap();
        let result = (0..buffers).try_for_each(|_| harness.push_buffer("sink", Buffer::new(vec![0; 5])));
        (harness, result)
    }

    #[test]
    fn everything_passes_in_order() {
        let (mut harness, result) = run("", 3);
        result.and_then(|()| harness.eos()).unwrap();
        let names: Vec<_> = harness.items().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["stream-start", "caps", "segment", "buffer", "buffer", "buffer", "eos"]);
    }

    #[test]
    fn faults_come_when_asked() {
        let (mut harness, result) = run("error-after=2", 3);
        assert!(result.unwrap_err().to_string().contains("error-after"));
        assert_eq!(harness.take_buffers("src").len(), 2);

        let (mut harness, result) = run("eos-after=2", 5);
        result.and_then(|()| harness.eos()).unwrap();
        harness.assert_contract();
        assert_eq!(harness.take_buffers("src").len(), 2);

        let (mut harness, _) = run("drop-probability=0.5", 1000);
        let (passed, dropped) = (harness.take_buffers("src").len(), harness.drops.len());
        assert_eq!(passed + dropped, 1000);
        assert!((400..600).contains(&passed), "{passed}");
    }
}
