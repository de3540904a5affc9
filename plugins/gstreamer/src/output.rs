//! A source pad: what comes out of an `appsink` goes out on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use millstream_plugin_sdk::LinkedPad;
use millstream_plugin_sdk::core::item::Gap;
use millstream_plugin_sdk::prelude::*;

use crate::signal::Signal;
use crate::timeline::Timeline;
use crate::{buffer, caps};

/// Buffers that wait in an `appsink`; then the threads of the pipeline wait.
const MAX_WAITING: u32 = 8;

/// One source pad.
pub(crate) struct OutputPad {
    pub(crate) pad: PadId,
    pub(crate) name: String,
    pub(crate) sink: AppSink,
    started: bool,
    pub(crate) ended: bool,
    /// Nothing more comes into the `appsink`, which itself says so also before it runs.
    all_in: Arc<AtomicBool>,
    /// The host says the end itself, as it does for sources.
    silent: bool,
    caps: Option<gst::Caps>,
    segment: Option<Segment>,
    /// Running time of what was sent last, until somebody looks.
    pub(crate) sent: Option<gst::ClockTime>,
    discont: bool,
    pictures: bool,
}

impl OutputPad {
    /// For a source pad of an element.
    pub(crate) fn new(linked: &LinkedPad, silent: bool, signal: &Arc<Signal>) -> Self {
        let [sample, event, eos] = std::array::from_fn(|_| signal.clone());
        let all_in = Arc::<AtomicBool>::default();
        let over = all_in.clone();
        let callbacks = AppSinkCallbacks::builder()
            .new_sample(move |_| {
                sample.ring();
                Ok(gst::FlowSuccess::Ok)
            })
            .new_event(move |_| {
                event.ring();
                false
            })
            .eos(move |_| {
                over.store(true, Ordering::Release);
                eos.ring();
            })
            .build();
        let sink = AppSink::builder()
            .name(format!("millstream-src-{}", linked.id.0))
            .sync(false)
            .async_(false)
            .qos(false)
            .enable_last_sample(false)
            .wait_on_eos(false)
            .max_buffers(MAX_WAITING)
            .caps(&caps::filter(&linked.allowed))
            .callbacks(callbacks)
            .build();
        Self {
            pad: linked.id,
            name: linked.name.clone(),
            sink,
            started: false,
            ended: false,
            all_in,
            silent,
            caps: None,
            segment: None,
            sent: None,
            discont: false,
            pictures: false,
        }
    }

    /// Sends the next thing that waits. False when there is none. A pipeline that failed does not end.
    pub(crate) fn send_next(&mut self, timeline: &Timeline, signal: &Signal, out: &mut Output) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let all_in = self.all_in.load(Ordering::Acquire);
        let Some(object) = self.sink.try_pull_object(gst::ClockTime::ZERO) else {
            // An end before a flush is none any more.
            self.ended = all_in && self.sink.is_eos() && !signal.has_failed();
            if self.ended && !self.silent {
                out.push(self.pad, if self.started { Item::Eos } else { Item::Absent });
            }
            return Ok(self.ended);
        };
        match object.downcast::<gst::Sample>() {
            Ok(sample) => self.sample(&sample, timeline, out)?,
            Err(other) => self.event(other.downcast_ref::<gst::Event>(), timeline, out),
        }
        Ok(true)
    }

    fn sample(&mut self, sample: &gst::Sample, timeline: &Timeline, out: &mut Output) -> Result<()> {
        let Some(media) = sample.buffer_owned() else { return Ok(()) };
        self.announce(sample, timeline, out)?;
        let segment = sample.segment();
        let time = |at| segment.and_then(|segment| timeline.time(segment, at));
        let time_segment = segment.and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        self.sent = time_segment.and_then(|segment| segment.to_running_time(media.pts()));
        let (pts, dts, duration) = (time(media.pts()), time(media.dts()), media.duration());
        let Some(made) = buffer::from_gst(media, self.pictures) else {
            return Err(Error::unsupported("the pipeline gives memory that cannot be read")
                .hint("put what brings it to the processor at the end of the pipeline, such as `gldownload`"));
        };
        let mut meta = made.meta();
        (meta.pts, meta.dts) = (pts, dts);
        meta.duration = duration.and_then(|d| i64::try_from(d.nseconds()).ok()).map(TimeDelta::from_nanos);
        meta.flags
            .set(BufferFlags::DISCONT, meta.flags.contains(BufferFlags::DISCONT) | std::mem::take(&mut self.discont));
        out.buffer(self.pad, made.with_meta(meta));
        Ok(())
    }

    /// Says what a sample is, where that is new.
    fn announce(&mut self, sample: &gst::Sample, timeline: &Timeline, out: &mut Output) -> Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            let id = self.sink.static_pad("sink").and_then(|pad| pad.stream_id());
            let id = id.map_or_else(|| self.name.clone(), |id| id.to_string());
            out.push(self.pad, Item::StreamStart(Arc::new(StreamInfo { id, language: None })));
        }
        let fresh = sample.caps().filter(|caps| self.caps.as_deref() != Some(*caps));
        if let Some(fresh) = fresh {
            let ours = caps::from_gst(fresh).ok_or_else(|| Error::bug("the pipeline gives media with open caps"))?;
            self.pictures = ours.is_video();
            self.caps = Some(fresh.to_owned());
            out.caps(self.pad, ours);
        }
        if let Some(segment) = sample.segment() {
            let offset = sample.buffer().map(gst::BufferRef::offset);
            let offset = offset.filter(|at| *at != gst::ffi::GST_BUFFER_OFFSET_NONE && self.segment.is_none());
            let segment = timeline.segment(segment, offset.or(self.segment.as_ref().map(|segment| segment.offset)));
            if self.segment.as_ref() != Some(&segment) {
                self.segment = Some(segment.clone());
                out.push(self.pad, Item::Segment(Arc::new(segment)));
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Option<&gst::Event>, timeline: &Timeline, out: &mut Output) {
        let Some(event) = event.filter(|_| self.started) else { return };
        match event.view() {
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                let Some(start) = timeline.time(segment.upcast_ref(), Some(start)) else { return };
                let duration = duration.and_then(|d| i64::try_from(d.nseconds()).ok()).map(TimeDelta::from_nanos);
                out.push(self.pad, Item::Gap(Box::new(Gap { start, duration })));
            }
            gst::EventView::Tag(tag) => {
                let tags = tag.tag().iter();
                let tags = tags.filter_map(|(name, value)| Some((name.to_string(), value.get::<String>().ok()?)));
                let tags: Vec<_> = tags.collect();
                if !tags.is_empty() {
                    out.push(self.pad, Item::Tags(Arc::new(Tags(tags))));
                }
            }
            _ => {}
        }
    }

    /// What was under way is void.
    pub(crate) fn flush(&mut self) {
        while self.sink.try_pull_object(gst::ClockTime::ZERO).is_some() {}
        self.all_in.store(false, Ordering::Release);
        self.begin_anew();
    }

    /// What comes from now on does not follow on what came before.
    pub(crate) fn begin_anew(&mut self) {
        (self.ended, self.discont, self.segment) = (false, true, None);
    }

    /// There is no such stream.
    pub(crate) fn give_up(&mut self, out: &mut Output) {
        if !self.started && !std::mem::replace(&mut self.ended, true) {
            out.push(self.pad, Item::Absent);
        }
    }

    /// Sends an event upstream into the pipeline.
    pub(crate) fn upstream(&self, event: gst::Event) -> bool {
        self.sink.static_pad("sink").is_some_and(|pad| pad.push_event(event))
    }
}
