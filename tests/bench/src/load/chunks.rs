//! Reads chunks (RTMP 1.0, section 5.3) as cheaply as can be: of sound and pictures only the first bytes are kept.

use super::clip::HEAD;
use super::wire;

/// Bytes of the longest header: 3 of the id, 11 of the message, 4 of the time.
const LONGEST_HEADER: usize = 18;

/// A message that has come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    /// Bytes of its body.
    pub(super) length: usize,
    /// The beginning of it, all of it for what is neither sound nor picture.
    pub(super) head: &'a [u8],
}

#[derive(Debug)]
struct ChunkStream {
    id: u32,
    kind: u8,
    length: usize,
    got: usize,
    extended: bool,
    head: Vec<u8>,
}

/// Reads what a server sends.
#[derive(Debug)]
pub(super) struct Reader {
    streams: Vec<ChunkStream>,
    /// Which of them the chunk that is being read is of.
    current: usize,
    /// Bytes of it that are to come.
    left: usize,
    /// A header that is cut.
    cut: Vec<u8>,
    /// Chunk size of the server.
    pub(super) size: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { streams: Vec::new(), current: 0, left: 0, cut: Vec::new(), size: wire::FIRST_CHUNK_SIZE }
    }

    /// Reads on until a message is whole, and takes what it has read from `bytes`.
    pub(super) fn next<'a>(&'a mut self, bytes: &mut &[u8]) -> Option<Message<'a>> {
        loop {
            if self.left == 0 && !self.header(bytes) {
                return None;
            }
            let stream = &mut self.streams[self.current];
            let taken = self.left.min(bytes.len());
            let kept = match stream.kind {
                wire::AUDIO | wire::VIDEO => taken.min(HEAD.saturating_sub(stream.head.len())),
                _ => taken,
            };
            stream.head.extend_from_slice(&bytes[..kept]);
            *bytes = &bytes[taken..];
            self.left -= taken;
            stream.got += taken;
            if stream.got == stream.length {
                stream.got = 0;
                return Some(self.whole());
            }
            if bytes.is_empty() {
                return None;
            }
        }
    }

    fn whole(&self) -> Message<'_> {
        let ChunkStream { kind, length, head, .. } = &self.streams[self.current];
        Message { kind: *kind, length: *length, head }
    }

    /// Reads the header of a chunk; false when it is not there whole.
    fn header(&mut self, bytes: &mut &[u8]) -> bool {
        if self.cut.is_empty() {
            if let Some(used) = self.begin(bytes) {
                *bytes = &bytes[used..];
                return true;
            }
            self.cut.extend_from_slice(bytes);
            *bytes = &[];
            return false;
        }
        let before = self.cut.len();
        let mut joined = std::mem::take(&mut self.cut);
        joined.extend_from_slice(&bytes[..bytes.len().min(LONGEST_HEADER - before)]);
        if let Some(used) = self.begin(&joined) {
            *bytes = &bytes[used - before..];
            return true;
        }
        *bytes = &[]; // fewer than the longest header, so all of it was joined
        self.cut = joined;
        false
    }

    /// Begins the chunk whose header these bytes begin with; how long that is.
    fn begin(&mut self, bytes: &[u8]) -> Option<usize> {
        let (format, id, basic) = basic_header(bytes)?;
        let index = self.streams.iter().position(|stream| stream.id == id);
        let length = [11, 7, 3, 0][usize::from(format)];
        let header = bytes.get(basic..basic + length)?;
        let extended = match header {
            [a, b, c, ..] => [*a, *b, *c] == [0xff; 3],
            _ => index.is_some_and(|index| self.streams[index].extended),
        };
        let used = basic + length + if extended { 4 } else { 0 };
        if bytes.len() < used {
            return None;
        }
        self.current = index.unwrap_or_else(|| {
            self.streams.push(ChunkStream { id, kind: 0, length: 0, got: 0, extended, head: Vec::new() });
            self.streams.len() - 1
        });
        let stream = &mut self.streams[self.current];
        stream.extended = extended;
        if let [_, _, _, a, b, c, kind, ..] = *header {
            (stream.length, stream.kind) = (u32::from_be_bytes([0, a, b, c]) as usize, kind);
        }
        if stream.got == 0 {
            stream.head.clear();
        }
        self.left = (stream.length - stream.got.min(stream.length)).min(self.size);
        Some(used)
    }
}

/// Format and chunk stream of a chunk, and the bytes that say so.
fn basic_header(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *bytes.first()?;
    let (id, length) = match first & 63 {
        0 => (64 + u32::from(*bytes.get(1)?), 2),
        1 => (64 + u32::from(u16::from_le_bytes([*bytes.get(1)?, *bytes.get(2)?])), 3),
        id => (u32::from(id), 1),
    };
    Some((first >> 6, id, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two interleaved messages, one with an extended time on each chunk.
    fn wire() -> Vec<u8> {
        let mut bytes = vec![4, 0xff, 0xff, 0xff, 0, 0, 200, wire::AUDIO, 1, 0, 0, 0, 1, 0, 0, 0];
        bytes.extend_from_slice(&[7; 128]);
        wire::message(&mut bytes, wire::COMMAND_CHUNKS, wire::COMMAND, 0, 0, 128, &[9; 130]);
        bytes.extend_from_slice(&[0xc4, 1, 0, 0, 0]);
        bytes.extend_from_slice(&[8; 72]);
        bytes
    }

    fn read(parts: impl Iterator<Item = Vec<u8>>) -> Vec<(u8, usize, Vec<u8>)> {
        let (mut reader, mut found) = (Reader::new(), Vec::new());
        for part in parts {
            let mut bytes = &part[..];
            while let Some(message) = reader.next(&mut bytes) {
                found.push((message.kind, message.length, message.head.to_vec()));
            }
        }
        found
    }

    #[test]
    fn messages_are_read_whatever_pieces_they_come_in() {
        let whole = read(std::iter::once(wire()));
        let expected = [(wire::COMMAND, 130, vec![9; 130]), (wire::AUDIO, 200, vec![7; HEAD])];
        assert_eq!(whole, expected);
        for size in [1, 2, 5, 17, 131] {
            assert_eq!(read(wire().chunks(size).map(<[u8]>::to_vec)), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_empty_message_is_one() {
        let mut bytes = Vec::new();
        wire::message(&mut bytes, 3, wire::COMMAND, 0, 0, 128, &[]);
        assert_eq!(read(std::iter::once(bytes)), [(wire::COMMAND, 0, Vec::new())]);
    }
}
