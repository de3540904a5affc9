//! The upstream end of a link, as a chain sees it: where items go, what has passed, what a late listener must hear.

use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::caps::{Mismatch, field};
use millstream_core::{Buffer, BufferFlags, Caps, CapsSet, Error, Item, PadId, Presence, Result, Time};
use millstream_graph::Converters;

use crate::joint::Joint;
use crate::port::PortSender;
use crate::stats::LinkStats;

/// Where the items of a source pad go.
pub(crate) enum Dest {
    /// An element of the same chain.
    Local(usize, PadId),
    /// Another task.
    Port(PortSender),
}

/// One linked source pad.
pub(crate) struct SrcLink {
    pub(crate) dest: Dest,
    pub(crate) stats: Arc<LinkStats>,
    /// `element.pad` of both ends, for messages.
    pub(crate) from: String,
    pub(crate) to: String,
    /// What the downstream pad and the caps written into the link accept.
    pub(crate) accept: CapsSet,
    pub(crate) presence: Presence,
    pub(crate) memory: Memory,
    /// A branch that joined while running waits for a key frame.
    pub(crate) until_keyframe: bool,
    /// That branch was there before: its next buffer does not follow on what it had.
    pub(crate) resumes: bool,
    /// What keeps the link on one timeline when its sender is built anew.
    pub(crate) joint: Option<Arc<Joint>>,
    /// What could be put between, where caps do not fit.
    pub(crate) converters: Converters,
    /// Last caps, for reports.
    pub(crate) caps: Arc<Mutex<Option<Caps>>>,
}

/// What a link remembers for elements that come late: stream start, caps, segment and tags.
#[derive(Default)]
pub(crate) struct Memory {
    sticky: Vec<Item>,
    pub(crate) started: bool,
    pub(crate) absent: bool,
    pub(crate) ended: bool,
    /// Buffers that a decoder or player needs before media, where they are kept.
    headers: Option<Vec<Buffer>>,
}

/// Headers that a link remembers: those of a file, its metadata, and a few tracks. Beyond it the oldest is forgotten.
const MAX_HEADERS: usize = 16;

/// Largest header that a link remembers.
const MAX_HEADER_BYTES: usize = 64 << 10;

impl Memory {
    pub(crate) fn remember(&mut self, item: &Item) {
        match item {
            Item::Absent => self.absent = true,
            Item::Eos => self.ended = true,
            Item::Flush(_) => self.ended = false,
            item if item.is_sticky() => {
                if matches!(item, Item::StreamStart(_)) {
                    self.sticky.clear();
                    self.headers.iter_mut().for_each(Vec::clear);
                    (self.started, self.absent, self.ended) = (true, false, false);
                }
                self.sticky.retain(|old| std::mem::discriminant(old) != std::mem::discriminant(item));
                self.sticky.push(item.clone());
            }
            _ => {}
        }
    }

    /// What a listener that joins now must hear first.
    pub(crate) fn recall(&self) -> impl Iterator<Item = Item> {
        let headers = self.headers.iter().flatten().cloned().map(Item::buffer);
        self.sticky.iter().cloned().chain(headers)
    }

    /// Remembers headers that are buffers, too: those of a container have no other form.
    pub(crate) fn keep_headers(&mut self, keep: bool) {
        self.headers = keep.then(Vec::new);
    }

    fn remember_header(&mut self, buffer: &Buffer) {
        let Some(headers) = &mut self.headers else { return };
        if buffer.payload.len() > MAX_HEADER_BYTES {
            return;
        }
        // One that comes again counts from now on; order decides between those that exclude each other.
        headers.retain(|header| header.payload != buffer.payload);
        if headers.len() == MAX_HEADERS {
            headers.remove(0);
        }
        headers.push(buffer.clone());
    }
}

impl SrcLink {
    /// True when buffers need more than to be passed on.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.until_keyframe || self.joint.is_some() || self.memory.headers.is_some() || self.memory.ended
    }

    /// An item of a special link, or why it is left out; an end that has been said already needs no reason.
    #[cold]
    pub(crate) fn admit(&mut self, mut item: Item, now: Time) -> std::result::Result<Item, Option<&'static str>> {
        match item {
            Item::Buffer(_) if self.memory.ended => return Err(Some("after the end of the stream")),
            // The runtime says the end of a source that has said it itself, too.
            Item::Eos if self.memory.ended => return Err(None),
            _ => {}
        }
        if let Item::Buffer(buffer) = &mut item {
            let header = buffer.flags.contains(BufferFlags::HEADER);
            if header {
                self.memory.remember_header(buffer);
            } else if self.until_keyframe {
                if !buffer.is_keyframe() && !self.is_audio() {
                    return Err(Some("late branch before its first key frame"));
                }
                self.until_keyframe = false;
                if std::mem::take(&mut self.resumes) {
                    buffer.flags |= BufferFlags::DISCONT;
                }
            }
        }
        Ok(match &self.joint {
            Some(joint) => joint.pass(&self.to, item, now),
            None => item,
        })
    }

    /// True when decoding can start at any buffer.
    pub(crate) fn is_audio(&self) -> bool {
        self.caps.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(Caps::is_audio)
    }

    /// Everything that is not media: remembered, and checked where it is caps.
    pub(crate) fn note(&mut self, item: &Item) -> Result<()> {
        self.memory.remember(item);
        let Item::Caps(caps) = item else { return Ok(()) };
        *self.caps.lock().unwrap_or_else(PoisonError::into_inner) = Some(caps.clone());
        if self.accept.accepts(caps) {
            return Ok(());
        }
        Err(self.misfit(caps))
    }

    /// What does not fit, by the field where one is to blame, and what to insert.
    #[cold]
    fn misfit(&self, caps: &Caps) -> Error {
        let Self { from, to, accept, .. } = self;
        let offered = CapsSet::from(caps);
        let shown = caps.clone().without(field::CODEC_DATA);
        let message = match offered.mismatch(accept) {
            Some(Mismatch::Field { name, offered, accepted }) => {
                format!("{from} became {shown}, which {to} cannot take: {name} is {offered}, and has to be {accepted}")
            }
            _ => format!("{from} became {shown}, which {to} cannot take (it accepts {accept})"),
        };
        let error = Error::unsupported(message);
        match self.converters.between(&offered, accept) {
            Some(between) => error.hint(format!("insert `{between}`: `{from} ! {between} ! {to}`")),
            None => error,
        }
    }
}
