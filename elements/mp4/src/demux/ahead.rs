//! The movie of a file that has it behind its media: it is read first, and then the media from their beginning.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use millstream_core::item::SeekTo;
use millstream_core::{Output, Request};

use super::MAX_MOVIE;
use super::tracks::Lanes;
use crate::wire::{BoxHeader, HeaderRead, MAX_HEADER, Mp4Error};

/// Bytes that are asked for at a time.
const PIECE: u32 = 1 << 20;

/// Boxes behind the media that are looked at: some have free space or their tracks' extra data there.
const MAX_LOOKS: u32 = 1000;

/// Flushes that elements ask for by themselves; those that users ask for count from 0.
static EPOCHS: AtomicU64 = AtomicU64::new(1 << 63);

/// How far looking for the movie is.
#[derive(Debug, Default)]
enum Looking {
    #[default]
    No,
    /// The header of the box at a byte was asked for.
    Header(u64),
    /// A part of the movie that begins at a byte, with so many bytes, was asked for.
    Movie { at: u64, length: usize, bytes: BytesMut },
}

/// Looks for the movie.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    looking: Looking,
    looks: u32,
    epoch: Option<u64>,
}

impl Ahead {
    /// There are media up to `end` and no movie so far.
    pub(super) fn look(&mut self, end: u64, out: &mut Output) {
        // Where media go to the end of the file, nothing is behind them.
        if end != u64::MAX {
            self.ask_header(end, out);
        }
    }

    fn ask_header(&mut self, offset: u64, out: &mut Output) {
        self.looking = Looking::Header(offset);
        out.request_all(Request::Read { offset, len: MAX_HEADER as u32 });
    }

    pub(super) fn is_looking(&self) -> bool {
        !matches!(self.looking, Looking::No) || self.epoch.is_some()
    }

    /// Whether bytes at this place were asked for.
    pub(super) fn wants(&self, offset: u64) -> bool {
        match &self.looking {
            Looking::No => false,
            Looking::Header(at) => *at == offset,
            Looking::Movie { at, bytes, .. } => at.saturating_add(bytes.len() as u64) == offset,
        }
    }

    /// Takes bytes that were asked for; gives the content of the movie and its place when it is whole.
    pub(super) fn answer(
        &mut self,
        offset: u64,
        bytes: &Bytes,
        out: &mut Output,
    ) -> Result<Option<(Bytes, u64)>, Mp4Error> {
        if let Looking::Movie { at, length, bytes: content } = &mut self.looking {
            let (at, length) = (*at, *length);
            content.extend_from_slice(bytes.get(..bytes.len().min(length - content.len())).unwrap_or_default());
            let there = content.len();
            if there < length && !bytes.is_empty() {
                ask(at.saturating_add(there as u64), length - there, out);
                return Ok(None);
            }
            let content = std::mem::take(content).freeze();
            self.looking = Looking::No;
            if there < length {
                return Err(Mp4Error::new(at, format!("box `moov` is cut: {there} of {length} bytes are there")));
            }
            return Ok(Some((content, at)));
        }
        match BoxHeader::read(bytes, offset)? {
            HeaderRead::Whole(header) if header.kind.0 == *b"moov" => self.found(&header, out)?,
            HeaderRead::Whole(header) => match header.end() {
                Some(end) if self.looks < MAX_LOOKS => {
                    self.looks += 1;
                    self.ask_header(end, out);
                }
                _ => return Err(Mp4Error::new(offset, "there is no `moov`")),
            },
            HeaderRead::Needs(_) => return Err(Mp4Error::new(offset, "the file ends before its `moov`")),
        }
        Ok(None)
    }

    fn found(&mut self, header: &BoxHeader, out: &mut Output) -> Result<(), Mp4Error> {
        let Some(end) = header.end() else {
            return Err(Mp4Error::new(header.offset, "box `moov` does not say its size"));
        };
        let (at, length) = (header.content(), end - header.content());
        if length > MAX_MOVIE {
            return Err(Mp4Error::new(
                header.offset,
                format!("box `moov` has {length} bytes; more than {MAX_MOVIE} are not read"),
            ));
        }
        self.looking = Looking::Movie { at, length: length as usize, bytes: BytesMut::new() };
        ask(at, length as usize, out);
        Ok(())
    }

    /// Goes back to the first sample of all.
    pub(super) fn back(&mut self, lanes: &Lanes, out: &mut Output) {
        let first = lanes.all.iter().filter_map(|lane| lane.next()).map(|sample| sample.offset).min();
        let epoch = EPOCHS.fetch_add(1, Ordering::Relaxed);
        self.epoch = Some(epoch);
        out.request_all(Request::Seek { to: SeekTo::Byte(first.unwrap_or(0)), epoch });
    }

    /// Whether this element has asked for a flush, which is over then.
    pub(super) fn is_own(&mut self, epoch: u64) -> bool {
        self.epoch.take_if(|own| *own == epoch).is_some()
    }
}

fn ask(offset: u64, length: usize, out: &mut Output) {
    let len = u32::try_from(length).unwrap_or(PIECE).min(PIECE);
    out.request_all(Request::Read { offset, len });
}
