//! Fuzz bodies: each takes any bytes and asserts what holds for all of them.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_core::item::SeekTo;
use millstream_core::output::Effect;
use millstream_core::registry::LinkedPad;
use millstream_core::{Buffer, CapsSet, Flow, Item, Output, PadId, Request, Result, Segment, Transform};

use crate::demux::Mp4Demux;

/// Tracks that are looked at.
const PADS: [&str; 4] = ["video", "audio", "video_1", "audio_1"];
/// Calls without input after which an element is taken to run for ever.
const MAX_CALLS: usize = 1 << 20;
/// Questions to the file after which the element is taken to ask for ever: a box of 8 bytes each.
const MAX_QUESTIONS: usize = 1 << 16;

/// A file in pieces, the last byte saying how large, from a source that answers questions: what comes out is no more than what went in for
/// each track.
pub fn mp4_demux(data: &[u8]) {
    let Some((&last, file)) = data.split_last() else { return };
    let mut run = Run { file: Bytes::copy_from_slice(file), at: 0, bytes: [0; PADS.len()], out: Output::new(1, 4) };
    let mut demux = Mp4Demux::new(pads());
    let piece = usize::from(last).max(1) * 7;
    let mut questions = 0;
    while run.at < run.file.len() {
        let end = run.file.len().min(run.at + piece);
        let buffer = Buffer { offset: Some(run.at as u64), ..Buffer::new(run.file.slice(run.at..end)) };
        run.at = end;
        if run.give(&mut demux, Item::buffer(buffer), &mut questions).is_err() {
            return;
        }
    }
    let _ = run.give(&mut demux, Item::Eos, &mut questions);
    for bytes in run.bytes {
        // A table may say that samples share bytes; what lies behind each other in the input is taken once.
        assert!(bytes <= file.len() as u64, "{bytes} bytes of a track in a file of {}", file.len());
    }
}

fn pads() -> Vec<LinkedPad> {
    let pad = |(id, name): (u16, &&str)| LinkedPad {
        id: PadId(id),
        name: (*name).to_owned(),
        allowed: CapsSet::Any,
        random_write: false,
    };
    (0..).zip(&PADS).map(pad).collect()
}

struct Run {
    file: Bytes,
    at: usize,
    bytes: [u64; PADS.len()],
    out: Output,
}

impl Run {
    /// Gives an item, and then what it was asked for.
    fn give(&mut self, demux: &mut Mp4Demux, item: Item, questions: &mut usize) -> Result<()> {
        let mut items = VecDeque::from([item]);
        while let Some(item) = items.pop_front() {
            for request in self.handle(demux, item)? {
                *questions += 1;
                assert!(*questions < MAX_QUESTIONS, "it asks for ever");
                self.answer(&request, &mut items);
            }
        }
        Ok(())
    }

    fn handle(&mut self, demux: &mut Mp4Demux, item: Item) -> Result<Vec<Request>> {
        let mut asked = Vec::new();
        let mut flow = demux.handle(PadId::FIRST, item, &mut self.out)?;
        for _ in 0..MAX_CALLS {
            for (pad, item) in self.out.drain() {
                self.bytes[pad.index()] += item.bytes() as u64;
            }
            asked.extend(self.out.effects().drain(..).filter_map(request));
            self.out.clear();
            if flow == Flow::Done {
                return Ok(asked);
            }
            flow = demux.resume(&mut self.out)?;
        }
        panic!("mp4demux has more and more output")
    }

    fn answer(&mut self, request: &Request, items: &mut VecDeque<Item>) {
        match request {
            Request::Read { offset, len } => {
                let start = usize::try_from(*offset).unwrap_or(usize::MAX).min(self.file.len());
                let end = start.saturating_add(*len as usize).min(self.file.len());
                let buffer = Buffer { offset: Some(*offset), ..Buffer::new(self.file.slice(start..end)) };
                items.push_back(Item::buffer(buffer));
            }
            Request::Seek { to: SeekTo::Byte(to), epoch } => {
                self.at = usize::try_from(*to).unwrap_or(usize::MAX).min(self.file.len());
                items.push_back(Item::Flush(*epoch));
                items.push_back(Item::Segment(Segment::bytes(self.at as u64).into()));
            }
            _ => {}
        }
    }
}

fn request(effect: Effect) -> Option<Request> {
    match effect {
        Effect::Request(_, request) => Some(request),
        _ => None,
    }
}
