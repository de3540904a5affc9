//! `testedit`: what can be done with a buffer.

use millstream_plugin_sdk::prelude::*;

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// Nothing.
    #[default]
    Pass,
    /// Later by a second; the bytes stay.
    Later,
    /// Every byte is inverted.
    Invert,
    /// Two halves, each of which keeps the whole.
    Halve,
    /// The bytes are kept as `Bytes`, and sent in a buffer of our own.
    Wrap,
    /// Inverted in memory of the host's.
    Host,
    /// Sent twice, the second one inverted: the first must stay as it is.
    Twice,
}

/// Settings of `testedit`.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// What is done.
    pub(crate) how: How,
}

/// The element.
pub(crate) struct Edit {
    /// What is done.
    pub(crate) how: How,
}

fn invert(buffer: &mut Buffer) {
    buffer.slices_mut().flatten().for_each(|byte| *byte = !*byte);
}

impl Edit {
    fn buffer(&self, mut buffer: Buffer, out: &mut Output) {
        match self.how {
            How::Pass | How::Host => {}
            How::Later => buffer.edit(|meta| meta.pts = meta.pts.map(|pts| pts + TimeDelta::from_secs(1))),
            How::Invert => invert(&mut buffer),
            How::Halve => {
                let half = buffer.len() / 2;
                out.buffer(PadId::FIRST, buffer.slice(0..half));
                buffer = buffer.slice(half..buffer.len());
            }
            How::Wrap => buffer = Buffer::from_slices(buffer.bytes()).with_meta(buffer.meta()),
            How::Twice => {
                out.buffer(PadId::FIRST, buffer.clone());
                invert(&mut buffer);
            }
        }
        out.buffer(PadId::FIRST, buffer);
    }
}

impl Transform for Edit {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer, out),
            other => out.forward(other),
        }
        Ok(Flow::Done)
    }
}

/// Copies into memory of the host's.
struct Copy(Host);

impl Transform for Copy {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        let Item::Buffer(buffer) = item else {
            out.forward(item);
            return Ok(Flow::Done);
        };
        let mut own = self.0.new_buffer(buffer.len()).ok_or_else(|| Error::limit("the host gives no buffer"))?;
        let from = buffer.to_vec();
        own.slices_mut().flatten().zip(&from).for_each(|(to, from)| *to = !from);
        out.buffer(PadId::FIRST, own.with_meta(buffer.meta()));
        Ok(Flow::Done)
    }
}

/// What is known of it.
pub(crate) fn factory() -> Factory {
    Factory::new("testedit", "Test", "Changes buffers in every way", |settings: Settings, cx: &BuildCx| {
        Ok(match settings.how {
            How::Host => Element::transform(Copy(cx.host.clone())),
            how => Element::transform(Edit { how }),
        })
    })
    .pad(PadTemplate::sink("sink", "ANY"))
    .pad(PadTemplate::src("src", "ANY"))
}
