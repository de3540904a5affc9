//! A plugin with one element, `count`: passes everything on, and says now and then how much that was.

use millstream_plugin_sdk::prelude::*;

/// Settings of `count`.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CountSettings {
    /// Say how many there were after each so many buffers; 0 for at the end only.
    #[schemars(range(max = 1_000_000))]
    pub every: u64,
}

impl Default for CountSettings {
    fn default() -> Self {
        Self { every: 100 }
    }
}

/// What is known of `count`.
pub fn factory() -> Factory {
    Factory::new("count", "Filter/Analyzer", "Passes everything on and counts it", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .example("fakesrc num-buffers=10 ! count every=5 ! fakesink")
}

fn build(settings: CountSettings, _: &BuildCx) -> Result<Element> {
    Ok(Element::transform(Count { settings, buffers: 0, bytes: 0 }))
}

struct Count {
    settings: CountSettings,
    buffers: u64,
    bytes: u64,
}

impl Count {
    fn tell(&self, out: &mut Output) {
        let fields = [("buffers", self.buffers), ("bytes", self.bytes)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_string())).to_vec();
        out.post(&Message::Element("count".to_owned(), fields));
    }
}

impl Transform for Count {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => {
                self.buffers += 1;
                self.bytes += buffer.len() as u64;
                if self.settings.every > 0 && self.buffers.is_multiple_of(self.settings.every) {
                    self.tell(out);
                }
                out.buffer(PadId::FIRST, buffer);
            }
            Item::Eos => {
                self.tell(out);
                out.forward(Item::Eos);
            }
            // What an element does not understand goes on.
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}

fn plugin() -> Plugin {
    Plugin::new(vec![factory()])
}

millstream_plugin_sdk::export!("template-rust", plugin);
