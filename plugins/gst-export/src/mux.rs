//! One of our muxers, fed and emptied by an aggregator of GStreamer. Knows no pad of GStreamer.

use std::collections::VecDeque;

use gstreamer as gst;
use millstream_core::inbox::PadState;
use millstream_core::item::{Gap, SegmentFormat};
use millstream_core::output::Effect;
use millstream_core::registry::{Direction, LinkedPad};
use millstream_core::settings::AnySettings;
use millstream_core::{
    Aggregate, Buffer, BufferFlags, BuildCx, Caps, Element, Env, Error, Factory, Inbox, Item, MessageKind, Need,
    Output, PadId, PadSet, Result, Segment, StreamInfo, Time, TimeDelta,
};

use crate::media;

/// What is to be done for the muxer.
#[derive(Debug)]
pub(crate) enum Made {
    /// The format of what follows.
    Caps(gst::Caps),
    /// Where what follows goes, or when it is.
    Segment(gst::Segment),
    /// A piece of the file.
    Buffer(gst::Buffer),
    /// Something to tell.
    Message(MessageKind),
}

/// What the muxer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Something of these pads.
    Pads(PadSet),
    /// To be called again.
    Turn,
    /// Nothing: everything is written.
    Nothing,
}

/// What is known of a pad beside its media. GStreamer says it once, and not again behind a flush.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Its format.
    pub(crate) caps: Option<Caps>,
    /// Its language, of ISO 639-2.
    pub(crate) language: Option<String>,
}

/// See the module.
pub(crate) struct Mux {
    env: Env,
    element: Box<dyn Aggregate>,
    inbox: Inbox,
    out: Output,
    names: Vec<String>,
    format: SegmentFormat,
    head: Head,
    timeline: Timeline,
    /// When it wants to be called whatever has come.
    due: Option<Time>,
    /// Everything is written, or it failed.
    is_over: bool,
    made: Vec<Made>,
}

/// How times of what comes out relate to running time.
enum Timeline {
    /// As the muxer says.
    Own,
    /// Behind a flush running time begins again, and a stream does not: its next buffer is at the running time of the first input since.
    Flushed(Option<Time>),
}

/// The first buffers of a stream, kept back until all that are headers are known: they are repeated in the caps.
enum Head {
    Gathering { caps: Option<Caps>, segment: Option<Segment>, buffers: VecDeque<gst::Buffer> },
    Written,
}

impl Mux {
    /// A muxer with these sink pads.
    ///
    /// # Errors
    /// When pads or settings cannot be.
    pub(crate) fn new(
        factory: &Factory,
        settings: AnySettings,
        name: &str,
        pads: &[String],
        random_write: bool,
        env: &Env,
    ) -> Result<Self> {
        let pad = |direction, index: u16, name: &str| {
            let template = factory.template(direction, name);
            let template = template.ok_or_else(|| Error::settings(format!("{} has no pad {name}", factory.name)))?;
            let random_write = random_write && template.random_write;
            Ok(LinkedPad { id: PadId(index), name: name.to_owned(), allowed: template.caps.clone(), random_write })
        };
        let sinks =
            pads.iter().zip(0..).map(|(name, index)| pad(Direction::Sink, index, name)).collect::<Result<Vec<_>>>()?;
        let cx = BuildCx::new(name, env.clone(), sinks, vec![pad(Direction::Src, 0, "src")?]);
        let Element::Aggregate(element) = factory.build(settings, &cx)? else {
            return Err(Error::bug(format!("{} is no muxer", factory.name)));
        };
        let mut mux = Self {
            env: env.clone(),
            element,
            inbox: Inbox::new(pads.len()),
            out: Output::new(cx.sinks.len() as u16, 1),
            names: pads.to_vec(),
            format: SegmentFormat::Time,
            head: Head::Gathering { caps: None, segment: None, buffers: VecDeque::new() },
            timeline: Timeline::Own,
            due: None,
            is_over: false,
            made: Vec::new(),
        };
        mux.element.start(&mut mux.out)?;
        mux.collect();
        Ok(mux)
    }

    /// Begins a stream on a pad: its first, or one that goes on behind a flush of the pad.
    pub(crate) fn announce(&mut self, pad: PadId, told: &Told) {
        let id = self.names.get(pad.index()).cloned().unwrap_or_default();
        self.put(pad, Item::StreamStart(StreamInfo { id, language: told.language.clone() }.into()));
        self.put(pad, Item::Segment(Segment::time(Time::ZERO).into()));
        if let Some(caps) = &told.caps {
            self.put(pad, Item::Caps(caps.clone()));
        }
    }

    /// Gives it something, the end of a pad included.
    pub(crate) fn put(&mut self, pad: PadId, item: Item) {
        if let (Timeline::Flushed(first), Item::Buffer(_)) = (&mut self.timeline, &item) {
            *first = first.iter().copied().chain(item.dts_or_pts()).min();
        }
        self.inbox.put(pad, item);
    }

    /// Running time of the earliest that it has been given and not taken.
    pub(crate) fn head(&self) -> Option<Time> {
        let pads = (0..self.inbox.pads() as u16).map(PadId);
        pads.filter_map(|pad| self.inbox.peek(pad)?.dts_or_pts()).min()
    }

    /// How long until it wants to be called whatever has come.
    pub(crate) fn due(&self) -> Option<TimeDelta> {
        Some(self.due?.since(self.env.clock.now()).max(TimeDelta::ZERO))
    }

    /// Goes on without what has not come on these pads, if something of another waits since this running time.
    pub(crate) fn pass(&mut self, silent: PadSet, until: Time) -> bool {
        let Some(head) = self.head().filter(|head| *head <= until) else { return false };
        // Just behind it: what waits is taken first, and then this pad is waited for again.
        let start = head + TimeDelta::from_nanos(1);
        let silent = self.inbox.starving().iter().filter(|pad| silent.contains(*pad)).collect::<Vec<_>>();
        silent.iter().for_each(|pad| self.inbox.put(*pad, Item::Gap(Gap { start, duration: None }.into())));
        !silent.is_empty()
    }

    /// What can still come on a pad, behind what it was given.
    pub(crate) fn state(&self, pad: PadId) -> PadState {
        self.inbox.state(pad)
    }

    /// Lets it work on what it was given.
    ///
    /// # Errors
    /// What the muxer says.
    pub(crate) fn step(&mut self) -> Result<(Vec<Made>, Wants)> {
        let need = self.element.step(&mut self.inbox, self.env.clock.now(), &mut self.out);
        self.collect();
        self.is_over = matches!(need, Err(_) | Ok(Need::Done));
        self.due = None;
        let wants = match need? {
            Need::PadsUntil(pads, at) => {
                self.due = Some(at);
                Wants::Pads(pads)
            }
            Need::Pads(pads) | Need::Wake(pads) => Wants::Pads(pads),
            Need::Again => Wants::Turn,
            Need::Done => Wants::Nothing,
        };
        if wants == Wants::Nothing {
            self.end_head();
        }
        Ok((std::mem::take(&mut self.made), wants))
    }

    /// Whether a new one has to begin behind a flush: this one is over, or goes back into what it wrote, and a file is emptied by a flush.
    pub(crate) fn ends_with_flush(&self) -> bool {
        self.is_over || self.format == SegmentFormat::Bytes || matches!(self.head, Head::Gathering { .. })
    }

    /// Forgets what it was given and has not written.
    ///
    /// # Errors
    /// What the muxer says.
    pub(crate) fn flush(&mut self) -> Result<()> {
        (0..self.inbox.pads() as u16).for_each(|pad| self.inbox.put(PadId(pad), Item::Flush(0)));
        self.element.flush(&mut self.out)?;
        self.collect();
        // What the muxer still gave is of before.
        self.made.clear();
        (self.timeline, self.due) = (Timeline::Flushed(None), None);
        Ok(())
    }

    fn collect(&mut self) {
        let effects: Vec<_> = self.out.effects().drain(..).collect();
        let items = self.out.drain();
        self.made.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Post(message) => Some(Made::Message(message)),
            _ => None,
        }));
        for (_, item) in items {
            match item {
                Item::Caps(caps) => self.caps(caps),
                Item::Segment(segment) => self.segment(&segment),
                Item::Buffer(buffer) => self.buffer(&buffer),
                _ => {}
            }
        }
    }

    fn caps(&mut self, new: Caps) {
        match &mut self.head {
            Head::Gathering { caps, .. } => *caps = Some(new),
            Head::Written => self.made.extend(media::to_caps(&new).map(Made::Caps)),
        }
    }

    fn segment(&mut self, new: &Segment) {
        self.format = new.format;
        match &mut self.head {
            Head::Gathering { segment, .. } => *segment = Some(new.clone()),
            // The next buffer brings its own.
            Head::Written if matches!(self.timeline, Timeline::Flushed(_)) => {}
            Head::Written => self.made.push(Made::Segment(media::to_segment(new))),
        }
    }

    /// Behind a flush: where the time of the next buffer is on the new running time.
    fn go_on(&mut self, buffer: &Buffer) {
        let Timeline::Flushed(first) = std::mem::replace(&mut self.timeline, Timeline::Own) else { return };
        let at = buffer.dts_or_pts().unwrap_or(Time::ZERO);
        let ahead = at.since(first.unwrap_or(at));
        let (start, base) =
            (Time::ZERO + ahead.max(TimeDelta::ZERO), Time::ZERO.since(Time::ZERO + ahead).max(TimeDelta::ZERO));
        let segment = Segment { base: Time::ZERO + base, ..Segment::time(start) };
        self.made.push(Made::Segment(media::to_segment(&segment)));
    }

    fn buffer(&mut self, buffer: &Buffer) {
        let is_header = buffer.flags.contains(BufferFlags::HEADER);
        let made = media::to_buffer(buffer, self.format);
        match &mut self.head {
            Head::Gathering { buffers, .. } if is_header && self.format == SegmentFormat::Time => {
                buffers.push_back(made)
            }
            _ => {
                self.end_head();
                self.go_on(buffer);
                self.made.push(Made::Buffer(made));
            }
        }
    }

    /// What was kept back goes out, with the headers in the caps.
    fn end_head(&mut self) {
        let Head::Gathering { caps, segment, buffers } = std::mem::replace(&mut self.head, Head::Written) else {
            return;
        };
        if let Some(mut caps) = caps.as_ref().and_then(media::to_caps) {
            if !buffers.is_empty() {
                caps.make_mut().set("streamheader", gst::Array::new(buffers.iter()));
            }
            self.made.push(Made::Caps(caps));
        }
        self.made.extend(segment.as_ref().map(media::to_segment).map(Made::Segment));
        self.made.extend(buffers.into_iter().map(Made::Buffer));
    }
}
