//! `clocksync`: paces a stream to the clock.

use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    BuildCx, Element, Env, Factory, Flow, Item, Output, PadId, PadTemplate, Result, Time, TimeDelta, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pace::Pacer;

/// Settings of `clocksync`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClockSyncSettings {
    /// Pace at all.
    pub sync: bool,
    /// The first timestamp is due as it comes. Without, running time 0 is due when the pipeline starts, which keeps
    /// several `clocksync` of one pipeline in step.
    pub sync_to_first: bool,
    /// Everything this much later; earlier if negative.
    pub ts_offset: DurationSetting,
}

impl Default for ClockSyncSettings {
    fn default() -> Self {
        Self { sync: true, sync_to_first: true, ts_offset: DurationSetting(0) }
    }
}

/// What is known of `clocksync`.
pub fn factory() -> Factory {
    Factory::new("clocksync", "Generic", "Paces a stream to the clock", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .details(
            "Makes a file behave like a live source (ffmpeg's `-re`): each buffer goes on when its decoding time is due. \
             Buffers without times go on at once. What is late is not held and not left out.",
        )
        .example("fakesrc num-buffers=10 interval=1ms ! clocksync ! fakesink")
}

fn build(settings: ClockSyncSettings, cx: &BuildCx) -> Result<Element> {
    let pacer = Pacer::to_first(TimeDelta::from_nanos(settings.ts_offset.as_nanos()));
    Ok(Element::Transform(Box::new(ClockSync { settings, pacer, env: cx.env.clone(), waiting: None })))
}

struct ClockSync {
    settings: ClockSyncSettings,
    pacer: Pacer,
    env: Env,
    /// The item that is not due yet, and when it is.
    waiting: Option<(Time, Item)>,
}

impl Transform for ClockSync {
    fn start(&mut self, _: &mut Output) -> Result<()> {
        if !self.settings.sync_to_first {
            let offset = TimeDelta::from_nanos(self.settings.ts_offset.as_nanos());
            self.pacer = Pacer::from_start(self.env.clock.now(), offset);
        }
        Ok(())
    }

    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match &item {
            Item::Segment(segment) => self.pacer.segment(segment),
            Item::Flush(_) => {
                self.waiting = None;
                if self.settings.sync_to_first {
                    self.pacer.reset();
                }
            }
            _ => {}
        }
        let early = self.waiting.is_some();
        self.release(out);
        let due = self.pacer.due(&item, || self.env.clock.now()).filter(|_| self.settings.sync);
        match due.filter(|due| *due > self.env.clock.now()) {
            Some(due) => {
                out.hold_until(due);
                out.wake_at(due);
                self.waiting = Some((due, item));
            }
            None => {
                if early {
                    // Nothing waits for the timer any more, and the end shall not either.
                    out.wake_at(out.now());
                }
                out.push(PadId::FIRST, item);
            }
        }
        Ok(Flow::Done)
    }

    fn wake(&mut self, now: Time, out: &mut Output) -> Result<()> {
        if self.waiting.as_ref().is_some_and(|(due, _)| *due <= now) {
            self.release(out);
        }
        Ok(())
    }
}

impl ClockSync {
    fn release(&mut self, out: &mut Output) {
        if let Some((_, item)) = self.waiting.take() {
            out.push(PadId::FIRST, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::{Buffer, Segment};
    use millstream_testkit::Harness;

    fn ms(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    fn at(time: i64) -> Buffer {
        Buffer::default().with_times(Some(ms(time + 100)), Some(ms(time)))
    }

    fn holds(harness: &Harness) -> Vec<i64> {
        harness.holds.iter().map(|t| t.millis()).collect()
    }

    #[test]
    fn a_buffer_goes_on_when_it_is_due() {
        let mut harness = Harness::new(&factory(), "");
        harness.advance_to(ms(1000)).unwrap();
        harness.push_start("sink", "a/b").unwrap();
        harness.push_buffer("sink", at(500)).unwrap();
        assert_eq!(harness.take_buffers("src").len(), 1, "the first is due as it comes");
        harness.push_buffer("sink", at(540)).unwrap();
        harness.advance_to(ms(1039)).unwrap();
        assert_eq!(harness.take_buffers("src").len(), 0);
        harness.advance_to(ms(1040)).unwrap();
        assert_eq!(harness.take_buffers("src").len(), 1);
        harness.advance_to(ms(2000)).unwrap();
        harness.push_buffer("sink", at(580)).unwrap();
        harness.push_buffer("sink", Buffer::default()).unwrap();
        assert_eq!(harness.take_buffers("src").len(), 2, "late ones and ones without time are not held");
        harness.push_buffer("sink", at(1600)).unwrap();
        harness.eos().unwrap();
        let names: Vec<_> = harness.items().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["buffer", "eos"], "the end does not overtake");
        assert_eq!(holds(&harness), [1040, 2100]);
    }

    #[test]
    fn from_the_start_running_time_counts() {
        let mut harness = Harness::new(&factory(), "sync-to-first=false ts-offset=7ms");
        let segment = Segment { base: ms(1000), ..Segment::time(ms(500)) };
        harness.push("sink", Item::Segment(segment.into())).unwrap();
        harness.push_buffer("sink", at(520)).unwrap();
        assert_eq!(holds(&harness), [1027]);
    }

    #[test]
    fn input_that_comes_in_spite_of_the_hold_does_not_overtake() {
        let factory = factory();
        let settings = factory.settings.parse(&millstream_core::settings::Node::map::<String>([])).unwrap();
        let env = millstream_testkit::TestEnv::new();
        let cx = BuildCx::new("sync", env.env, Vec::new(), Vec::new());
        let Element::Transform(mut sync) = factory.build(settings, &cx).unwrap() else { panic!("a transform") };
        let mut out = Output::new(1, 1);
        for item in [Item::buffer(at(0)), Item::buffer(at(1000)), Item::Eos] {
            assert_eq!(sync.handle(PadId::FIRST, item, &mut out).unwrap(), Flow::Done);
        }
        let names: Vec<_> = out.drain().iter().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["buffer", "buffer", "eos"]);
    }

    #[test]
    fn a_flush_forgets_what_waits_and_sync_can_be_off() {
        let mut harness = Harness::new(&factory(), "");
        harness.push_buffer("sink", at(0)).unwrap();
        harness.push_buffer("sink", at(1000)).unwrap();
        harness.push("sink", Item::Flush(1)).unwrap();
        harness.push_buffer("sink", at(90_000)).unwrap();
        assert_eq!(
            harness.take_buffers("src").iter().map(|b| b.dts).collect::<Vec<_>>(),
            [0, 90_000].map(|t| Some(ms(t)))
        );
        let mut harness = Harness::new(&factory(), "sync=false");
        harness.push_buffer("sink", at(0)).unwrap();
        harness.push_buffer("sink", at(1000)).unwrap();
        assert_eq!((harness.take_buffers("src").len(), holds(&harness)), (2, vec![]));
    }
}
