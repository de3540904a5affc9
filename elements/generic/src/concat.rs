//! `concat`: many streams one after the other.

use std::sync::Arc;

use millstream_core::inbox::PadState;
use millstream_core::item::SegmentFormat;
use millstream_core::{
    Aggregate, Buffer, BufferFlags, BuildCx, Caps, Element, Factory, Inbox, Item, Need, Output, PadId, PadSet,
    PadTemplate, Result, Segment, Time, TimeDelta,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `concat`: none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ConcatSettings {}

/// What is known of `concat`.
pub fn factory() -> Factory {
    Factory::new("concat", "Generic", "Plays many streams one after the other", build)
        .pad(PadTemplate::sink("sink_%u", "ANY").request().doc("Played in the order of their numbers."))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .details(
            "Running time goes on: each stream's segment starts where the one before ended. \
             Timestamps themselves stay; byte streams (files) are joined end to end.",
        )
        .example("fakesrc num-buffers=5 ! c. fakesrc num-buffers=5 ! c. concat name=c ! fakesink")
}

fn build(_: ConcatSettings, cx: &BuildCx) -> Result<Element> {
    let number = |name: &str| name.rsplit('_').next().and_then(|n| n.parse::<u16>().ok());
    let mut order: Vec<_> = cx.sinks.iter().map(|pad| (number(&pad.name), pad.id)).collect();
    order.sort();
    let order = order.into_iter().map(|(_, pad)| pad).collect();
    Ok(Element::Aggregate(Box::new(Concat { order, ..Concat::default() })))
}

#[derive(Default)]
struct Concat {
    order: Vec<PadId>,
    /// Which of them plays.
    turn: usize,
    started: bool,
    caps: Option<Caps>,
    timeline: Timeline,
    /// The next buffer is the first of a later stream.
    cut: bool,
}

/// Where the output is, and how the stream that plays maps to it.
struct Timeline {
    /// The segment that was sent.
    segment: Segment,
    /// Running time at which the stream that plays begins.
    base: Time,
    /// Running time at which what was sent ends.
    end: Time,
    /// Byte at which the stream that plays begins.
    first_byte: u64,
    /// Byte after the last one sent.
    end_byte: u64,
    last: Option<Time>,
    /// How long a buffer lasts that does not say it: as long as the one before.
    step: TimeDelta,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            segment: Segment::time(Time::ZERO),
            base: Time::ZERO,
            end: Time::ZERO,
            first_byte: 0,
            end_byte: 0,
            last: None,
            step: TimeDelta::ZERO,
        }
    }
}

impl Aggregate for Concat {
    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        while let Some(&pad) = self.order.get(self.turn) {
            if let Some(item) = inbox.pop(pad) {
                self.pass(item, out);
                return Ok(Need::Again);
            }
            if inbox.state(pad) == PadState::Open {
                return Ok(Need::Pads(PadSet::from_iter([pad])));
            }
            self.turn += 1;
            self.cut |= self.started;
            self.timeline.next_stream();
        }
        out.push(PadId::FIRST, if self.started { Item::Eos } else { Item::Absent });
        Ok(Need::Done)
    }

    fn flush(&mut self, _: &mut Output) -> Result<()> {
        *self = Self { order: std::mem::take(&mut self.order), started: self.started, ..Self::default() };
        Ok(())
    }
}

impl Concat {
    fn pass(&mut self, item: Item, out: &mut Output) {
        let item = match item {
            // Downstream it stays one stream.
            Item::StreamStart(_) if std::mem::replace(&mut self.started, true) => return,
            Item::Caps(caps) => {
                if self.caps.as_ref() == Some(&caps) {
                    return;
                }
                self.caps = Some(caps.clone());
                Item::Caps(caps)
            }
            Item::Segment(segment) => match self.timeline.shift(&segment) {
                Some(shifted) => Item::Segment(shifted),
                None => return,
            },
            Item::Buffer(mut buffer) => {
                if std::mem::take(&mut self.cut) {
                    buffer.flags.set(BufferFlags::DISCONT, true);
                }
                self.timeline.pass(&mut buffer);
                Item::Buffer(buffer)
            }
            Item::Gap(gap) => {
                self.timeline.reach(gap.start, gap.duration.unwrap_or_default());
                Item::Gap(gap)
            }
            item => item,
        };
        out.push(PadId::FIRST, item);
    }
}

impl Timeline {
    fn next_stream(&mut self) {
        self.base = self.end;
        self.first_byte = self.end_byte;
        self.last = None;
    }

    /// The segment as it goes on; `None` when downstream would see no difference.
    fn shift(&mut self, segment: &Segment) -> Option<Arc<Segment>> {
        let mut shifted = segment.clone();
        match segment.format {
            SegmentFormat::Time => shifted.base = segment.base + self.base.since(Time::ZERO),
            SegmentFormat::Bytes => shifted.offset = segment.offset.saturating_add(self.first_byte),
        }
        let goes_on = shifted.format == SegmentFormat::Bytes && self.end_byte > 0 && shifted.offset == self.end_byte;
        if shifted.format == SegmentFormat::Bytes {
            self.end_byte = shifted.offset;
        }
        self.segment = shifted.clone();
        (!goes_on).then(|| shifted.into())
    }

    fn pass(&mut self, buffer: &mut Buffer) {
        if self.segment.format == SegmentFormat::Bytes {
            self.end_byte = self.end_byte.saturating_add(buffer.payload.len() as u64);
            buffer.offset = buffer.offset.map(|offset| offset.saturating_add(self.first_byte));
            return;
        }
        let Some(dts) = buffer.dts_or_pts() else { return };
        if let Some(last) = self.last.replace(dts).filter(|last| *last < dts) {
            self.step = dts.since(last);
        }
        self.reach(buffer.pts.unwrap_or(dts), buffer.duration.unwrap_or(self.step));
    }

    fn reach(&mut self, start: Time, duration: TimeDelta) {
        self.end = self.end.max(self.segment.running_time(start) + duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_testkit::Harness;

    fn concat(pads: &[&str]) -> Harness {
        let factory = factory();
        pads.iter().fold(Harness::builder(&factory), |builder, pad| builder.sink(pad)).build().unwrap()
    }

    fn ms(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    fn at(time: i64) -> Buffer {
        Buffer::new(vec![0; 3]).with_times(Some(ms(time)), Some(ms(time)))
    }

    #[test]
    fn running_time_goes_on() {
        let mut harness = concat(&["sink_1", "sink_0"]);
        // The later stream may come first: it waits.
        harness.push_start("sink_1", "a/b").unwrap();
        harness.push_buffer("sink_1", at(0)).unwrap();
        harness.push("sink_1", Item::Eos).unwrap();
        assert!(harness.items().next().is_none());
        harness.push_start("sink_0", "a/b").unwrap();
        for time in [0, 40, 80] {
            harness.push_buffer("sink_0", at(time)).unwrap();
        }
        harness.push("sink_0", Item::Eos).unwrap();
        harness.assert_contract();
        let names: Vec<_> = harness.items().map(|(_, item)| item.name()).collect();
        let expected = ["stream-start", "caps", "segment", "buffer", "buffer", "buffer", "segment", "buffer", "eos"];
        assert_eq!(names, expected, "equal caps are sent once");
        let items = harness.take("src");
        let Item::Segment(second) = &items[6] else { panic!("a segment") };
        assert_eq!(second.running_time(ms(0)), ms(120), "the last buffer lasts as long as the one before");
        let Item::Buffer(first_of_second) = &items[7] else { panic!("a buffer") };
        assert!(first_of_second.flags.contains(BufferFlags::DISCONT));
    }

    #[test]
    fn streams_that_do_not_start_at_zero_join_without_a_hole() {
        let mut harness = concat(&["sink_0", "sink_1"]);
        for pad in ["sink_0", "sink_1"] {
            harness.push(pad, Item::StreamStart(Arc::default())).unwrap();
            harness.push(pad, Item::Segment(Segment::time(ms(10_000)).into())).unwrap();
            let buffer = Buffer { duration: Some(TimeDelta::from_millis(25)), ..at(10_000) };
            harness.push_buffer(pad, buffer).unwrap();
            harness.push(pad, Item::Eos).unwrap();
        }
        let bases: Vec<_> = harness
            .take("src")
            .iter()
            .filter_map(|item| match item {
                Item::Segment(segment) => Some(segment.running_time(ms(10_000)).millis()),
                _ => None,
            })
            .collect();
        assert_eq!(bases, [0, 25]);
    }

    #[test]
    fn files_are_joined_end_to_end() {
        let mut harness = concat(&["sink_0", "sink_1"]);
        for pad in ["sink_0", "sink_1"] {
            harness.push(pad, Item::StreamStart(Arc::default())).unwrap();
            harness.push(pad, Item::Segment(Segment::bytes(0).into())).unwrap();
            harness.push_bytes(pad, &vec![7; 10].into(), 6).unwrap();
            harness.push(pad, Item::Eos).unwrap();
        }
        let names: Vec<_> = harness.items().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["stream-start", "segment", "buffer", "buffer", "buffer", "buffer", "eos"]);
        let offsets: Vec<_> = harness.take_buffers("src").iter().map(|b| b.offset).collect();
        assert_eq!(offsets, [0, 6, 10, 16].map(Some));
    }

    #[test]
    fn absent_streams_are_left_out() {
        let mut harness = concat(&["sink_0", "sink_1"]);
        harness.push("sink_0", Item::Absent).unwrap();
        harness.push_start("sink_1", "a/b").unwrap();
        harness.push("sink_1", Item::Eos).unwrap();
        let names: Vec<_> = harness.items().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["stream-start", "caps", "segment", "eos"]);
        let mut nothing = concat(&["sink_0"]);
        nothing.push("sink_0", Item::Absent).unwrap();
        assert_eq!(nothing.timeline().to_string(), "src absent\n");
    }
}
