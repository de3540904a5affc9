//! Reads a transport stream. Sans-IO: bytes go in, events come out.
//!
//! ```
//! use bytes::Bytes;
//! use millstream_ts::demuxer::{Event, TsDemuxer, TsDemuxerSettings};
//!
//! # let input: Bytes = Bytes::from_static(&millstream_ts::packet::NULL_PACKET);
//! let mut demuxer = TsDemuxer::new(TsDemuxerSettings::default());
//! demuxer.push(input);
//! demuxer.finish();
//! while let Some(event) = demuxer.next_event() {
//!     match event {
//!         Event::Program(program) => println!("program {}: {} streams", program.number, program.streams.len()),
//!         Event::Pes(pes) => println!("PID {}: {} bytes at {:?}", pes.pid, pes.data.len(), pes.pts),
//!         Event::Dropped(dropped) => println!("{}: {} bytes", dropped.reason.name(), dropped.bytes),
//!         _ => {}
//!     }
//! }
//! ```
//!
//! A program's streams are told before their payload. Packets that come before the tables are kept for a while and read then. Each
//! PES payload is gathered once; nothing else is copied. Whatever is not delivered is told with reason and offset.

mod event;
mod gather;
mod slot;
mod state;
mod tables;

use std::sync::Arc;

use bytes::Bytes;

pub use event::{
    DemuxStats, DropReason, Dropped, Event, PcrEvent, Pes, Program, ProgramStream, SectionEvent, TsDemuxerSettings,
};

use self::state::State;
use crate::framer::Framer;

/// Demuxes the programs of one transport stream.
#[derive(Debug)]
pub struct TsDemuxer {
    framer: Framer,
    state: State,
    finishing: bool,
}

impl TsDemuxer {
    /// A demuxer at the start of a stream.
    #[must_use]
    pub fn new(settings: TsDemuxerSettings) -> Self {
        Self { framer: Framer::default(), state: State::new(settings), finishing: false }
    }

    /// Gives it the next bytes. They are looked at in [`Self::next_event`]; call that until it returns `None` before the next push.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.framer.push(bytes);
        }
    }

    /// No more bytes will come: [`Self::next_event`] delivers what is under way.
    pub const fn finish(&mut self) {
        self.framer.finish();
        self.finishing = true;
    }

    /// The next event; `None` if more bytes are needed or, after [`Self::finish`], all is told.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.state.events.pop_front() {
                return Some(event);
            }
            match self.framer.next() {
                Some(frame) => self.state.frame(frame),
                None if std::mem::take(&mut self.finishing) => self.state.finish(),
                None => return None,
            }
        }
    }

    /// From now on reads one program only, or with `None` all. What is under way of the others is delivered.
    pub fn select(&mut self, program: Option<u16>) {
        self.state.select(program, self.framer.offset());
    }

    /// Bytes are missing from the input: the next ones are from `offset`. What is under way is delivered as corrupted.
    pub fn jump(&mut self, offset: u64) {
        self.framer.finish();
        while let Some(frame) = self.framer.next() {
            self.state.frame(frame);
        }
        self.framer = Framer::at(offset);
        self.state.hole(offset);
    }

    /// Forgets what is under way, as after a seek: the next bytes are from elsewhere in the stream. Tables and time lines stay; `offset`
    /// is where the next bytes are from.
    pub fn reset(&mut self, offset: u64) {
        self.framer = Framer::at(offset);
        self.state.reset();
        self.finishing = false;
    }

    /// The programs whose streams are known.
    pub fn programs(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.state.programs()
    }

    /// Whether the PAT and the PMT of each of its programs have come.
    #[must_use]
    pub fn programs_complete(&self) -> bool {
        self.state.programs_complete()
    }

    /// What was read so far.
    #[must_use]
    pub const fn stats(&self) -> &DemuxStats {
        &self.state.stats
    }

    /// Offset of the next byte to be looked at.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.framer.offset()
    }
}
