//! A source of bytes that are in memory.

use bytes::Bytes;
use millstream::prelude::*;

/// Bytes given at a time.
const BLOCK: usize = 1 << 20;

/// What gives these bytes, as `filesrc` gives those of a file.
pub(super) fn source(bytes: Bytes) -> Factory {
    let build =
        move |(), _: &BuildCx| Ok(Element::BlockingSource(Box::new(Memory { rest: bytes.clone(), at: 0 }) as Box<_>));
    Factory::new("memory", "Source", "Gives bytes that are in memory", build).pad(PadTemplate::src("src", "ANY"))
}

struct Memory {
    rest: Bytes,
    at: u64,
}

impl BlockingSource for Memory {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        out.push(PadId::FIRST, Item::StreamStart(StreamInfo::default().into()));
        out.push(PadId::FIRST, Item::Segment(Segment::bytes(0).into()));
        Ok(())
    }

    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        let block = self.rest.split_to(self.rest.len().min(BLOCK));
        if block.is_empty() {
            return Ok(Produce::Eos);
        }
        let offset = Some(self.at);
        self.at += block.len() as u64;
        out.buffer(PadId::FIRST, Buffer { offset, ..Buffer::new(block) });
        Ok(Produce::More)
    }
}
