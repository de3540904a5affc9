//! `hlssink` with one pad for a transport stream.

use millstream_core::{Flow, Item, Output, PadId, Result, Time, Transform};

use super::presentation::Presentation;
use super::settings::Plan;
use super::splitter::{Splitter, Step};
use crate::segmenter::Segmenter;

/// The element.
pub(super) struct TransportSink {
    presentation: Presentation,
    splitter: Splitter,
    steps: Vec<Step>,
    done: bool,
}

impl TransportSink {
    pub(super) fn new(plan: &Plan, presentation: Presentation) -> Self {
        let segmenter = Segmenter::new(plan.segment_duration, plan.target_duration, plan.independent_segments);
        Self { presentation, splitter: Splitter::new(segmenter), steps: Vec::new(), done: false }
    }

    fn item(&mut self, item: Item, out: &mut Output) -> Result<()> {
        match item {
            Item::Buffer(buffer) => {
                let mut offset = buffer.offset;
                if let Some(meter) = self.presentation.meter() {
                    meter.bytes(buffer.payload.len());
                }
                for slice in buffer.payload.slices() {
                    self.splitter.push(slice, offset, &mut self.steps);
                    self.carry_out(out)?;
                    offset = offset.map(|offset| offset.saturating_add(slice.len() as u64));
                }
                if self.splitter.has_begun() {
                    self.presentation.begin(out)?;
                }
                if self.splitter.exceeds() {
                    return Err(self.presentation.too_long());
                }
            }
            Item::Flush(_) => self.splitter.discontinuity(),
            Item::Eos => {
                self.splitter.finish(&mut self.steps);
                self.carry_out(out)?;
                self.presentation.finish(out)?;
                self.done = true;
                // All is published: the runtime need not wait for a time that was set before.
                out.wake_at(out.now());
            }
            _ => {}
        }
        self.publish(out)
    }

    fn carry_out(&mut self, out: &mut Output) -> Result<()> {
        for step in self.steps.drain(..) {
            match step {
                Step::Write(block) => self.presentation.write(&block, out)?,
                Step::Cut(cut) => self.presentation.end_segment(cut, out)?,
                Step::Dropped(reason, bytes, offset) => out.dropped(reason, bytes, Some(offset)),
            }
        }
        Ok(())
    }

    /// Writes the playlist when that is due, and asks to be woken when it will be.
    fn publish(&mut self, out: &mut Output) -> Result<()> {
        match self.presentation.next_publish() {
            Some(due) if due <= out.now() => self.presentation.publish(),
            Some(due) => {
                out.wake_at(due);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn guard(&mut self, result: Result<()>) -> Result<()> {
        result.map_err(|error| {
            self.done = true;
            self.presentation.fail(error)
        })
    }
}

impl Transform for TransportSink {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        self.presentation.start(out)
    }

    fn handle(&mut self, _pad: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        if !self.done {
            let result = self.item(item, out);
            self.guard(result)?;
        }
        Ok(Flow::Done)
    }

    fn wake(&mut self, _now: Time, out: &mut Output) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let result = self.publish(out);
        self.guard(result)
    }
}
