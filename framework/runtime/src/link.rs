//! The upstream end of a link, as a chain sees it: where items go, what has passed, what a late listener must hear.

use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::caps::{Mismatch, field};
use millstream_core::{Caps, CapsSet, Error, Item, PadId, Presence, Result};
use millstream_graph::Converters;

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
}

impl Memory {
    pub(crate) fn remember(&mut self, item: &Item) {
        match item {
            Item::Absent => self.absent = true,
            Item::Eos => self.ended = true,
            Item::Flush(_) => self.ended = false,
            item if item.is_sticky() => {
                if matches!(item, Item::StreamStart(_)) {
                    self.sticky.clear();
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
        self.sticky.iter().cloned()
    }
}

impl SrcLink {
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
