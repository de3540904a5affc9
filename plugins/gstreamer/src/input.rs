//! A sink pad: what comes on it goes into an `appsrc`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppSrcCallbacks};
use millstream_plugin_sdk::core::item::{Gap, SegmentFormat};
use millstream_plugin_sdk::prelude::*;

use crate::signal::Signal;
use crate::{buffer, caps, timeline};

/// Buffers that wait in an `appsrc`: raw pictures and pieces of files are large, all else is small.
const MAX_LARGE: u64 = 4;
/// See [`MAX_LARGE`].
const MAX_SMALL: u64 = 64;

/// One sink pad.
pub(crate) struct Input {
    pub(crate) pad: PadId,
    pub(crate) src: AppSrc,
    pub(crate) segment: Option<Segment>,
    /// What waits at most.
    room: u64,
    /// Buffers that are no key frames depend on others.
    deltas: bool,
    /// It knows whether times or bytes will come, and runs as soon as the gate is open.
    running: bool,
    gate: Arc<Gate>,
    pub(crate) ended: bool,
}

/// Holds inputs back until all behind them has been started.
///
/// The pipeline starts on a thread of its own, from its sinks on. An input that ran in the middle of that would push into an element whose pads
/// are not active yet, be told that it is flushed, and stand still for ever.
#[derive(Default)]
pub(crate) struct Gate(Mutex<Entrance>);

#[derive(Default)]
struct Entrance {
    is_open: bool,
    waiting: Vec<AppSrc>,
}

impl Gate {
    /// Lets an input run, now or when the gate opens.
    fn pass(&self, src: &AppSrc) -> Result<()> {
        let mut entrance = self.lock();
        if !entrance.is_open {
            entrance.waiting.push(src.clone());
            return Ok(());
        }
        drop(entrance);
        let_run(src)
    }

    /// Everything behind the inputs has been started.
    pub(crate) fn open(&self) -> Result<()> {
        let mut entrance = self.lock();
        entrance.is_open = true;
        let waiting = std::mem::take(&mut entrance.waiting);
        drop(entrance);
        waiting.iter().try_for_each(let_run)
    }

    fn lock(&self) -> MutexGuard<'_, Entrance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn let_run(src: &AppSrc) -> Result<()> {
    src.set_locked_state(false);
    src.sync_state_with_parent().map_err(|_| Error::bug("an input of the pipeline does not start"))
}

impl Input {
    /// For a sink pad of an element. It does not run before it is known what comes.
    pub(crate) fn new(pad: PadId, live: bool, gate: &Arc<Gate>, signal: &Arc<Signal>) -> Self {
        let bell = signal.clone();
        let callbacks = AppSrcCallbacks::builder().need_data(move |_, _| bell.ring()).build();
        let src = AppSrc::builder()
            .name(format!("millstream-sink-{}", pad.0))
            .is_live(live)
            .block(false)
            .max_bytes(0)
            .max_buffers(MAX_SMALL)
            .min_percent(50)
            .callbacks(callbacks)
            .build();
        src.set_locked_state(true);
        let gate = gate.clone();
        Self { pad, src, segment: None, room: MAX_SMALL, deltas: true, running: false, gate, ended: false }
    }

    /// Has requests of what comes behind told to the element: its upstream events end here.
    pub(crate) fn listen(&self, signal: &Arc<Signal>) {
        let (pad, signal) = (self.pad, signal.clone());
        let Some(src) = self.src.static_pad("src") else { return };
        src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if let Some(request) = info.event().and_then(request_of) {
                signal.request(pad, request);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// True when it takes more.
    pub(crate) fn has_room(&self) -> bool {
        !self.ended && self.src.current_level_buffers() < self.room
    }

    /// Takes an item. Gives back what is no business of GStreamer's.
    pub(crate) fn item(&mut self, item: Item) -> Result<Option<Item>> {
        match item {
            Item::Buffer(buffer) => self.buffer(&buffer)?,
            Item::Caps(caps) => self.caps(&caps),
            Item::Segment(segment) => {
                self.segment = Some((*segment).clone());
                self.run()?;
            }
            Item::Gap(gap) => self.gap(&gap),
            Item::Eos | Item::Absent => self.end()?,
            Item::StreamStart(_) | Item::Flush(_) => {}
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    fn caps(&mut self, caps: &Caps) {
        let raw = caps.media().ends_with("/x-raw");
        self.deltas = caps.is_video() && !raw;
        let large = (raw && caps.is_video()) || !(caps.is_video() || caps.is_audio());
        self.room = if large { MAX_LARGE } else { MAX_SMALL };
        self.src.set_max_buffers(self.room);
        self.src.set_caps(Some(&caps::to_gst(caps)));
    }

    /// Runs from the first segment on, which says whether times or bytes come.
    fn run(&mut self) -> Result<()> {
        if self.running {
            return Ok(());
        }
        self.running = true;
        let bytes = self.segment.as_ref().is_some_and(|segment| segment.format == SegmentFormat::Bytes);
        self.src.set_format(if bytes { gst::Format::Bytes } else { gst::Format::Time });
        self.gate.pass(&self.src)
    }

    fn buffer(&mut self, buffer: &Buffer) -> Result<()> {
        self.run()?;
        let mut made = buffer::to_gst(buffer, self.deltas);
        let segment = self.segment.get_or_insert_with(|| Segment::time(Time::ZERO));
        if let Some(made) = made.get_mut() {
            timeline::write(&buffer.meta(), segment, made);
        }
        match self.src.push_buffer(made) {
            // A pipeline that has failed tells why itself, and one that is being flushed loses what is under way.
            Ok(_) | Err(gst::FlowError::Flushing | gst::FlowError::Eos) => Ok(()),
            Err(flow) => Err(Error::bug(format!("the pipeline refused a buffer: {flow}"))),
        }
    }

    fn gap(&self, gap: &Gap) {
        let Some(segment) = self.segment.as_ref().filter(|_| self.running) else { return };
        if let Some(start) = timeline::running(segment, gap.start) {
            let event = gst::event::Gap::builder(start).duration(gap.duration.and_then(timeline::span));
            self.src.send_event(event.build());
        }
    }

    /// Nothing more comes, or nothing came.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.run()?;
        self.ended = true;
        let _ = self.src.end_of_stream();
        Ok(())
    }

    /// What is under way is void.
    pub(crate) fn flush(&mut self) {
        if self.running {
            self.src.send_event(gst::event::FlushStart::new());
            self.src.send_event(gst::event::FlushStop::new(false));
        }
        self.ended = false;
    }
}

/// What an event of a pipeline asks of what feeds it.
fn request_of(event: &gst::Event) -> Option<Request> {
    match event.view() {
        gst::EventView::Qos(qos) => {
            let (_, _, lateness, _) = qos.get();
            (lateness > 0).then(|| Request::Quality(TimeDelta::from_nanos(lateness)))
        }
        gst::EventView::CustomUpstream(_) => gstreamer_video::ForceKeyUnitEvent::is(event).then_some(Request::KeyFrame),
        _ => None,
    }
}
