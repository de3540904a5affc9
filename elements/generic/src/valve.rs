//! `valve`: lets a stream through or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_core::item::Gap;
use millstream_core::{
    Buffer, BufferBox, BufferFlags, BuildCx, Caps, Element, Factory, Flow, Item, Output, PadId, PadTemplate, Request,
    Result, Segment, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `valve`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ValveSettings {
    /// Closed from the start.
    pub drop: bool,
    /// What a closed valve does.
    pub drop_mode: DropMode,
}

/// What a closed valve does. The end of the stream and flushes always pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DropMode {
    /// Lets nothing through; what downstream has to know (caps, segment) follows when it opens.
    #[default]
    #[serde(alias = "0")]
    DropAll,
    /// Lets caps, segments and tags through as they come.
    #[serde(alias = "1")]
    ForwardStickyEvents,
    /// As `forward-sticky-events`, and says with a gap for each buffer that there is nothing, so that a muxer goes on.
    #[serde(alias = "2")]
    TransformToGap,
}

/// Opens and closes a running `valve`. Clones are handles of the same valve.
#[derive(Clone, Debug)]
pub struct ValveHandle(Arc<AtomicBool>);

impl ValveHandle {
    /// Closes it (`true`), or opens it for the next key frame on.
    pub fn set_drop(&self, drop: bool) {
        self.0.store(drop, Ordering::Relaxed);
    }

    /// True when it is closed.
    pub fn is_dropping(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is known of `valve`.
pub fn factory() -> Factory {
    Factory::new("valve", "Filter", "Lets a stream through or not", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .details(
            "A program opens and closes it through its `ValveHandle`, which it finds by the element's name. \
             Video resumes at a key frame, which is asked for upstream.",
        )
        .example("fakesrc num-buffers=10 ! valve drop=true ! fakesink")
}

fn build(settings: ValveSettings, cx: &BuildCx) -> Result<Element> {
    let handle = ValveHandle(Arc::new(settings.drop.into()));
    cx.publish(handle.clone());
    Ok(Element::Transform(Box::new(Valve { mode: settings.drop_mode, handle, ..Valve::default() })))
}

struct Valve {
    mode: DropMode,
    handle: ValveHandle,
    /// The last buffer was left out.
    closed: bool,
    is_video: bool,
    asked: bool,
    held: Held,
}

/// What downstream has not been told yet.
#[derive(Default)]
struct Held {
    start: Option<Item>,
    caps: Option<Caps>,
    segment: Option<Arc<Segment>>,
    tags: Option<Item>,
}

impl Default for Valve {
    fn default() -> Self {
        let handle = ValveHandle(Arc::default());
        Self { mode: DropMode::DropAll, handle, closed: false, is_video: false, asked: false, held: Held::default() }
    }
}

impl Transform for Valve {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer, out),
            Item::Gap(_) if self.is_closed() && self.mode == DropMode::DropAll => {}
            Item::Custom(event) if self.is_closed() && self.mode == DropMode::DropAll => {
                out.dropped("valve is closed", event.data.len() as u64, None);
            }
            Item::Eos => {
                // An end without a start would tell downstream nothing.
                self.held.release(out);
                out.push(PadId::FIRST, Item::Eos);
            }
            item if item.is_sticky() => {
                if let Item::Caps(caps) = &item {
                    self.is_video = caps.is_video();
                }
                if self.is_closed() && self.mode == DropMode::DropAll {
                    self.held.keep(item);
                } else {
                    out.push(PadId::FIRST, item);
                }
            }
            item => out.push(PadId::FIRST, item),
        }
        Ok(Flow::Done)
    }
}

impl Valve {
    fn is_closed(&self) -> bool {
        self.closed || self.handle.is_dropping()
    }

    fn buffer(&mut self, mut buffer: BufferBox, out: &mut Output) {
        if self.handle.is_dropping() {
            (self.closed, self.asked) = (true, false);
            return self.leave_out(&buffer, "valve is closed", out);
        }
        if self.closed {
            if self.is_video && !buffer.is_keyframe() {
                if !std::mem::replace(&mut self.asked, true) {
                    out.request_all(Request::KeyFrame);
                }
                return self.leave_out(&buffer, "valve waits for a key frame", out);
            }
            self.closed = false;
            buffer.flags.set(BufferFlags::DISCONT, true);
            self.held.release(out);
        }
        out.push(PadId::FIRST, Item::Buffer(buffer));
    }

    fn leave_out(&self, buffer: &Buffer, reason: &'static str, out: &mut Output) {
        out.dropped(reason, buffer.payload.len() as u64, buffer.offset);
        if let (DropMode::TransformToGap, Some(start)) = (self.mode, buffer.dts_or_pts()) {
            out.push(PadId::FIRST, Item::Gap(Box::new(Gap { start, duration: buffer.duration })));
        }
    }
}

impl Held {
    fn keep(&mut self, item: Item) {
        match item {
            Item::Caps(caps) => self.caps = Some(caps),
            Item::Segment(segment) => self.segment = Some(segment),
            Item::StreamStart(_) => *self = Self { start: Some(item), ..Self::default() },
            item => self.tags = Some(item),
        }
    }

    fn release(&mut self, out: &mut Output) {
        let Self { start, caps, segment, tags } = std::mem::take(self);
        let items = [start, caps.map(Item::Caps), segment.map(Item::Segment), tags];
        items.into_iter().flatten().for_each(|item| out.push(PadId::FIRST, item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Time;
    use millstream_testkit::Harness;

    fn frame(ms: i64, key: bool) -> Buffer {
        let flags = if key { BufferFlags::KEYFRAME } else { BufferFlags::empty() };
        Buffer::new(vec![0; 4]).with_times(Some(Time::from_millis(ms)), None).with_flags(flags)
    }

    fn names(harness: &Harness) -> Vec<&'static str> {
        harness.items().map(|(_, item)| item.name()).collect()
    }

    #[test]
    fn resumes_at_a_key_frame_and_says_what_was_held() {
        let mut harness = Harness::new(&factory(), "drop=true");
        let handle = harness.handle::<ValveHandle>();
        harness.push_start("sink", "video/x-h264").unwrap();
        harness.push_buffer("sink", frame(0, true)).unwrap();
        assert_eq!(names(&harness), [""; 0]);
        handle.set_drop(false);
        harness.push_buffer("sink", frame(40, false)).unwrap();
        harness.push_buffer("sink", frame(80, false)).unwrap();
        assert_eq!(names(&harness), [""; 0]);
        assert_eq!(harness.requests, [("sink".to_owned(), Request::KeyFrame)], "asked once");
        harness.push_buffer("sink", frame(120, true)).unwrap();
        harness.push_buffer("sink", frame(160, false)).unwrap();
        assert_eq!(names(&harness), ["stream-start", "caps", "segment", "buffer", "buffer"]);
        assert_eq!(harness.drops.iter().map(|d| d.bytes).sum::<u64>(), 12);
        let buffers = harness.take_buffers("src");
        assert!(buffers[0].flags.contains(BufferFlags::DISCONT) && !buffers[1].flags.contains(BufferFlags::DISCONT));
    }

    #[test]
    fn e_15_events_pass_where_media_does() {
        use millstream_core::item::Custom;
        let event = || Item::Custom(Custom { name: "test/event".into(), data: vec![0; 3].into() }.into());
        for (settings, passes) in
            [("", true), ("drop=true", false), ("drop=true drop-mode=forward-sticky-events", true)]
        {
            let mut harness = Harness::new(&factory(), settings);
            harness.push_start("sink", "audio/mpeg").unwrap();
            harness.push("sink", event()).unwrap();
            assert_eq!(names(&harness).contains(&"custom"), passes, "{settings}");
            assert_eq!(harness.drops.iter().map(|d| d.bytes).sum::<u64>(), if passes { 0 } else { 3 }, "{settings}");
        }
    }

    #[test]
    fn audio_resumes_at_once() {
        let mut harness = Harness::new(&factory(), "");
        let handle = harness.handle::<ValveHandle>();
        harness.push_start("sink", "audio/mpeg").unwrap();
        handle.set_drop(true);
        harness.push_buffer("sink", frame(0, false)).unwrap();
        handle.set_drop(false);
        harness.push_buffer("sink", frame(20, false)).unwrap();
        assert_eq!(harness.take_buffers("src").len(), 1);
    }

    #[test]
    fn gaps_keep_a_muxer_going() {
        let mut harness = Harness::new(&factory(), "drop=true drop-mode=transform-to-gap");
        harness.push_start("sink", "video/x-h264").unwrap();
        harness.push_buffer("sink", frame(40, true)).unwrap();
        harness.eos().unwrap();
        harness.assert_contract();
        assert_eq!(names(&harness), ["stream-start", "caps", "segment", "gap", "eos"]);
    }

    #[test]
    fn a_closed_valve_still_ends() {
        let mut harness = Harness::new(&factory(), "drop=true");
        harness.push_start("sink", "video/x-h264").unwrap();
        harness.push_buffer("sink", frame(0, true)).unwrap();
        harness.eos().unwrap();
        assert_eq!(names(&harness), ["stream-start", "caps", "segment", "eos"]);
    }
}
