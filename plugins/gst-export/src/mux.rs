//! One of our muxers, fed and emptied by an aggregator of GStreamer. Knows no pad of GStreamer.

use std::collections::VecDeque;

use gstreamer as gst;
use millstream_core::inbox::PadState;
use millstream_core::item::SegmentFormat;
use millstream_core::output::Effect;
use millstream_core::registry::{Direction, LinkedPad};
use millstream_core::settings::AnySettings;
use millstream_core::{
    Aggregate, Buffer, BufferFlags, BuildCx, Caps, Element, Env, Error, Factory, Inbox, Item, MessageKind, Need,
    Output, PadId, PadSet, Result, Segment, StreamInfo, Time,
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

/// See the module.
pub(crate) struct Mux {
    env: Env,
    element: Box<dyn Aggregate>,
    inbox: Inbox,
    out: Output,
    format: SegmentFormat,
    head: Head,
    made: Vec<Made>,
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
        let (inbox, out) = (Inbox::new(pads.len()), Output::new(cx.sinks.len() as u16, 1));
        let head = Head::Gathering { caps: None, segment: None, buffers: VecDeque::new() };
        let format = SegmentFormat::Time;
        let mut mux = Self { env: env.clone(), element, inbox, out, format, head, made: Vec::new() };
        for pad in cx.sinks {
            mux.put(pad.id, Item::StreamStart(StreamInfo { id: pad.name, language: None }.into()));
            mux.put(pad.id, Item::Segment(Segment::time(Time::ZERO).into()));
        }
        mux.element.start(&mut mux.out)?;
        mux.collect();
        Ok(mux)
    }

    /// Gives it something, the end of a pad included.
    pub(crate) fn put(&mut self, pad: PadId, item: Item) {
        self.inbox.put(pad, item);
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
        let wants = match need? {
            Need::Pads(pads) | Need::PadsUntil(pads, _) | Need::Wake(pads) => Wants::Pads(pads),
            Need::Again => Wants::Turn,
            Need::Done => Wants::Nothing,
        };
        if wants == Wants::Nothing {
            self.end_head();
        }
        Ok((std::mem::take(&mut self.made), wants))
    }

    /// Forgets what it was given and has not written.
    ///
    /// # Errors
    /// What the muxer says.
    pub(crate) fn flush(&mut self, pads: u16) -> Result<()> {
        for pad in (0..pads).map(PadId) {
            self.inbox.put(pad, Item::Flush(0));
            self.inbox.put(pad, Item::Segment(Segment::time(Time::ZERO).into()));
        }
        self.element.flush(&mut self.out)?;
        self.collect();
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
            Head::Written => self.made.push(Made::Segment(media::to_segment(new))),
        }
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
