//! A pipeline of GStreamer's as an element: an aggregate, or a source where nothing comes in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_plugin_sdk::core::item::SeekTo;
use millstream_plugin_sdk::prelude::*;

use crate::encoder;
use crate::pipe::{Pipe, Waiting};
use crate::signal::{News, Signal};
use crate::timeline::{self, Timeline};
use crate::transit::Transit;

/// What one call sends at most.
const BATCH: usize = 32;
/// How long a source that ends may take for what it holds.
const DRAIN: Duration = Duration::from_secs(3);

/// See the module.
pub(crate) struct GstElement {
    pipe: Pipe,
    signal: Arc<Signal>,
    timeline: Timeline,
    /// What GStreamer has no use for, until the outputs have started.
    passing: Vec<Item>,
    latency: Option<gst::ClockTime>,
    /// Only where the input cannot be held back.
    transit: Option<Transit>,
    eos: bool,
    failed: Option<Error>,
}

/// The element of a bin: what shape it has depends on its links.
pub(crate) fn element(bin: &gst::Bin, inside: Vec<Waiting>, cx: &BuildCx) -> Result<Element> {
    let signal = Signal::new(cx.host.clone());
    let pipe = Pipe::new(bin, inside, cx, &signal)?;
    let source = pipe.inputs.is_empty();
    let element = GstElement {
        pipe,
        signal,
        timeline: if source { Timeline::Own } else { Timeline::default() },
        passing: Vec::new(),
        latency: None,
        transit: (cx.live && !source).then(Transit::default),
        eos: false,
        failed: None,
    };
    Ok(if source { Element::source(element) } else { Element::aggregate(element) })
}

/// What became of what a call could do.
#[derive(PartialEq, Eq)]
enum Sent {
    Some,
    Nothing,
}

impl GstElement {
    /// Hears what the threads of the pipeline told, and sends what waits.
    fn serve(&mut self, out: &mut Output) -> Result<Sent> {
        let News { error, eos, no_more_pads, latency, requests } = self.signal.look();
        self.eos |= eos;
        for (pad, request) in &requests {
            out.request(*pad, request);
        }
        if latency {
            self.tell_latency(out);
        }
        let sent = self.send(out)?;
        if no_more_pads {
            self.pipe.give_up_late(out);
        }
        self.failed = self.failed.take().or(error);
        // What was made before it failed goes out first.
        match self.failed.take_if(|_| sent == Sent::Nothing) {
            Some(error) => Err(error),
            None => Ok(sent),
        }
    }

    fn send(&mut self, out: &mut Output) -> Result<Sent> {
        let mut sent = 0;
        loop {
            let before = sent;
            for output in &mut self.pipe.outputs {
                sent += usize::from(output.send_next(&self.timeline, &self.signal, out)?);
                if let Some((transit, running)) = self.transit.as_mut().zip(output.sent.take()) {
                    let declared = self.latency.unwrap_or_default().nseconds();
                    let declared = TimeDelta::from_nanos(i64::try_from(declared).unwrap_or(i64::MAX));
                    if let Some(late) = transit.ends(running, self.signal.host.now(), declared) {
                        out.post(&Message::Late(late));
                    }
                }
            }
            if sent > 0 && !self.passing.is_empty() {
                self.passing.drain(..).for_each(|item| out.forward(item));
            }
            if sent == before || sent >= BATCH {
                return Ok(if sent > 0 { Sent::Some } else { Sent::Nothing });
            }
        }
    }

    fn tell_latency(&mut self, out: &mut Output) {
        let Some(min) = self.pipe.latency() else { return };
        let _ = self.pipe.pipeline.recalculate_latency();
        if self.latency.replace(min).unwrap_or_default() != min {
            out.post(&Message::Latency(TimeDelta::from_nanos(i64::try_from(min.nseconds()).unwrap_or(i64::MAX))));
        }
    }

    fn is_over(&self) -> bool {
        match self.pipe.outputs.is_empty() {
            true => self.eos && !self.signal.has_failed(),
            false => self.pipe.outputs.iter().all(|output| output.ended),
        }
    }

    fn feed(&mut self, inbox: &mut Inbox) -> Result<PadSet> {
        let mut room = PadSet::default();
        for input in &mut self.pipe.inputs {
            while input.has_room() {
                let Some(item) = inbox.pop(input.pad) else { break };
                if let Item::Segment(segment) = &item {
                    self.timeline.follow(segment);
                }
                if let (Some(transit), Item::Buffer(buffer), Some(segment)) = (&mut self.transit, &item, &input.segment)
                    && input.pad == PadId::FIRST
                    && let Some(running) = buffer.pts().and_then(|pts| timeline::running(segment, pts))
                {
                    transit.begins(running, self.signal.host.now());
                }
                self.passing.extend(input.item(item)?);
            }
            if !input.ended && inbox.is_over(input.pad) {
                input.end()?;
            }
            if input.has_room() {
                room.insert(input.pad);
            }
        }
        Ok(room)
    }

    fn ask(&mut self, pad: PadId, request: &Request) -> Served {
        let Some(output) = self.pipe.outputs.iter().find(|output| output.pad == pad) else { return Served::No };
        match request {
            Request::KeyFrame => {
                let event = gstreamer_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
                output.upstream(event);
                // Where there is no encoder the event comes out at the other end as a request.
                Served::Yes
            }
            Request::Bitrate(bits) => {
                let pad = output.sink.static_pad("sink");
                let encoder = pad.and_then(|pad| encoder::before(&pad));
                if encoder.is_some_and(|encoder| encoder::set_bitrate(&encoder, *bits)) {
                    Served::Yes
                } else {
                    Served::No
                }
            }
            Request::Quality(lateness) => {
                let now = self.pipe.pipeline.current_running_time().unwrap_or_default();
                let event = gst::event::Qos::builder(gst::QOSType::Underflow, 1.0, lateness.nanos());
                output.upstream(event.timestamp(now).build());
                Served::Yes
            }
            Request::Seek { .. } | Request::Read { .. } => Served::No,
        }
    }

    /// Goes to another place, where nothing comes in.
    fn seek(&mut self, to: SeekTo, epoch: u64, out: &mut Output) {
        let SeekTo::Time(time) = to else {
            out.warn(&Error::unsupported("a pipeline of GStreamer is sought by time only"));
            return;
        };
        let to = gst::ClockTime::from_nseconds(u64::try_from(time.nanos()).unwrap_or_default());
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        match self.pipe.pipeline.seek_simple(flags, to) {
            Ok(()) => {
                // What waited in the `appsink`s is gone with the flush; what waits there now comes after it.
                self.pipe.outputs.iter_mut().for_each(|output| output.begin_anew());
                out.forward(Item::Flush(epoch));
            }
            Err(_) => out.warn(&Error::unsupported("the pipeline of GStreamer cannot be sought")),
        }
    }
}

/// Whether the pipeline itself did what was asked.
#[derive(PartialEq, Eq)]
enum Served {
    Yes,
    No,
}

impl Aggregate for GstElement {
    fn start(&mut self, _: &mut Output) -> Result<()> {
        self.pipe.start(&self.signal);
        Ok(())
    }

    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        let sent = self.serve(out)?;
        let room = self.feed(inbox)?;
        if self.is_over() {
            self.signal.losses.settle(&self.signal.host);
            return Ok(Need::Done);
        }
        Ok(if sent == Sent::Some { Need::Again } else { Need::Wake(room) })
    }

    fn flush(&mut self, _: &mut Output) -> Result<()> {
        self.pipe.inputs.iter_mut().for_each(|input| input.flush());
        self.pipe.outputs.iter_mut().for_each(|output| output.flush());
        self.passing.clear();
        self.transit.iter_mut().for_each(Transit::flush);
        self.eos = false;
        Ok(())
    }

    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        if self.ask(pad, &request) == Served::No {
            out.request_all(&request);
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.pipe.stop();
    }
}

impl BlockingSource for GstElement {
    fn start(&mut self, _: &mut Output) -> Result<()> {
        self.pipe.start(&self.signal);
        Ok(())
    }

    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        let sent = self.serve(out)?;
        Ok(match sent {
            _ if self.is_over() => {
                self.signal.losses.settle(&self.signal.host);
                Produce::Eos
            }
            Sent::Some => Produce::More,
            Sent::Nothing => Produce::Idle,
        })
    }

    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        match request {
            Request::Seek { to, epoch } => self.seek(to, epoch, out),
            other => {
                self.ask(pad, &other);
            }
        }
        Ok(())
    }

    fn drain(&mut self, out: &mut Output) -> Result<()> {
        // A source takes the event only when it is not waiting in an appsink, which is emptied here.
        self.pipe.pipeline.call_async(|pipeline| {
            pipeline.send_event(gst::event::Eos::new());
        });
        let until = Instant::now() + DRAIN;
        while !self.is_over() && Instant::now() < until {
            if self.serve(out)? == Sent::Nothing {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.signal.losses.settle(&self.signal.host);
        Ok(())
    }

    fn stop(&mut self) {
        self.pipe.stop();
    }
}
