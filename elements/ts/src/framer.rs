//! Finds packets in bytes: 188, 192 (M2TS: a 4-byte time stamp ahead of each) or 204 and 208 (error correction behind each).
//!
//! A packet counts when the next sync byte is where it belongs, or when the input so far ends with the packet, as a datagram does. Where
//! the rhythm breaks, it is found again by three sync bytes in a row; a packet that such a new rhythm begins inside of is damaged.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::packet::{HEADER_SIZE, PACKET_SIZE, SYNC_BYTE};

/// Distances of packets, most usual first.
const STRIDES: [usize; 4] = [PACKET_SIZE, 192, 204, 208];

const LONGEST_STRIDE: usize = 208;

/// Sync bytes in a row that begin a stream.
const FIRST_LOCK: usize = 5;

/// Sync bytes in a row that bring a lost rhythm back.
const LOCK_AGAIN: usize = 3;

/// M2TS: bytes of the time stamp ahead of each packet.
const M2TS_PREFIX: usize = 4;

/// Bytes that decide about any position: a packet, and as many strides as a lock needs.
const WINDOW: usize = PACKET_SIZE + FIRST_LOCK * LONGEST_STRIDE;

/// What the framer found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A packet and the offset of its first byte in the input.
    Packet(&'a [u8; PACKET_SIZE], u64),
    /// Bytes in which no packet begins.
    Garbage {
        /// Offset of the first.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// The input ended inside this packet.
    Cut {
        /// Offset of its first byte.
        offset: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
}

/// Cuts the input into packets. A few packets at most are copied where a packet spans two pushes.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of earlier pushes, then a copy of the first `borrowed` bytes of `chunk`.
    carry: Vec<u8>,
    /// Position in `carry`.
    carry_at: usize,
    borrowed: usize,
    chunk: Bytes,
    at: usize,
    later: VecDeque<Bytes>,
    /// Offset of the next byte to look at.
    offset: u64,
    /// Distance of packets; 0 until known.
    stride: usize,
    locked: bool,
    /// Garbage that was skipped and not yet told: offset and bytes.
    garbage: Option<(u64, u64)>,
    ended: bool,
}

enum Step {
    /// A packet of this many bytes with what belongs to it.
    Take(usize),
    /// Bytes that belong to no packet.
    Skip(usize),
    /// A packet begins here, at this distance to the next.
    Lock(usize, usize),
    /// Fewer bytes than a packet are left for ever.
    Cut,
    /// Too few bytes to tell.
    More,
}

enum Rhythm {
    Yes,
    No,
    More,
}

impl Framer {
    /// A framer whose first byte is at this offset of the input.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Gives it the next bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if self.at >= self.chunk.len() && self.borrowed == 0 {
            (self.chunk, self.at) = (bytes, 0);
        } else {
            self.later.push_back(bytes);
        }
    }

    /// No more bytes will come.
    pub const fn finish(&mut self) {
        self.ended = true;
    }

    /// Offset of the next byte to look at.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next packet, or what is in its place; `None` if more bytes are needed.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it lends what it finds")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        // The usual case: a packet in the chunk whose successor is where it belongs.
        if self.carry.is_empty() && self.locked && self.garbage.is_none() {
            let (at, stride) = (self.at, self.stride);
            if self.chunk.get(at) == Some(&SYNC_BYTE) && self.chunk.get(at + stride) == Some(&SYNC_BYTE) {
                let offset = self.offset;
                self.at += stride;
                self.offset += stride as u64;
                let packet = self.chunk[at..].first_chunk()?;
                return Some(Frame::Packet(packet, offset));
            }
        }
        self.next_slow()
    }

    fn next_slow(&mut self) -> Option<Frame<'_>> {
        loop {
            match self.step() {
                Step::Take(len) => {
                    // What was skipped before is told first; the packet is found again in the next call.
                    if let Some((offset, bytes)) = self.garbage.take() {
                        return Some(Frame::Garbage { offset, bytes });
                    }
                    let offset = self.offset;
                    let (from_carry, start) = self.consume(len);
                    let source: &[u8] = if from_carry { &self.carry } else { &self.chunk };
                    return source[start..].first_chunk().map(|packet| Frame::Packet(packet, offset));
                }
                Step::Skip(len) => {
                    self.skip(len);
                }
                Step::Lock(at, stride) => {
                    let prefix = if stride == 192 { M2TS_PREFIX.min(at) } else { 0 };
                    self.skip(at - prefix);
                    self.consume(prefix);
                    (self.stride, self.locked) = (stride, true);
                }
                Step::Cut => return self.cut(),
                Step::More => {
                    if !self.fill() {
                        return None;
                    }
                }
            }
        }
    }

    /// Tells of the garbage, then of the packet that the end of the input cuts, then of nothing.
    fn cut(&mut self) -> Option<Frame<'_>> {
        if let Some((offset, bytes)) = self.garbage.take() {
            return Some(Frame::Garbage { offset, bytes });
        }
        let (offset, bytes) = (self.offset, self.view().len());
        if bytes == 0 {
            return None;
        }
        self.consume(bytes);
        Some(Frame::Cut { offset, bytes: bytes as u64 })
    }

    fn skip(&mut self, len: usize) {
        if len > 0 {
            let offset = self.offset;
            let garbage = self.garbage.get_or_insert((offset, 0));
            garbage.1 += len as u64;
            self.consume(len);
        }
    }

    /// The bytes to look at, in one piece; there may be more behind them.
    fn view(&self) -> &[u8] {
        if self.carry.is_empty() {
            self.chunk.get(self.at..).unwrap_or_default()
        } else {
            self.carry.get(self.carry_at..).unwrap_or_default()
        }
    }

    /// Steps over bytes of the view; returns whether they are in `carry`, and where they begin there or in `chunk`.
    fn consume(&mut self, len: usize) -> (bool, usize) {
        self.offset += len as u64;
        if self.carry.is_empty() {
            let start = self.at;
            self.at += len;
            return (false, start);
        }
        let start = self.carry_at;
        self.carry_at += len;
        (true, start)
    }

    /// Makes the view longer, or moves it on to the next chunk. `false` if there is nothing more for now.
    fn fill(&mut self) -> bool {
        if self.carry.is_empty() {
            self.carry.extend_from_slice(self.chunk.get(self.at..).unwrap_or_default());
            (self.carry_at, self.borrowed) = (0, 0);
            let Some(next) = self.later.pop_front() else {
                (self.chunk, self.at) = (Bytes::new(), 0);
                return false;
            };
            (self.chunk, self.at) = (next, 0);
            return true;
        }
        let fresh = self.chunk.get(self.at + self.borrowed..).unwrap_or_default();
        let fresh = &fresh[..fresh.len().min(WINDOW)];
        if !fresh.is_empty() {
            self.carry.extend_from_slice(fresh);
            self.borrowed += fresh.len();
            return true;
        }
        let Some(next) = self.later.pop_front() else { return false };
        // The whole chunk is in `carry`: it is no longer borrowed but owned.
        (self.chunk, self.at, self.borrowed) = (next, 0, 0);
        true
    }

    /// Goes back to the chunk once all bytes of `carry` that are not in the chunk are consumed.
    fn settle(&mut self) {
        if self.carry.is_empty() {
            return;
        }
        let own = self.carry.len() - self.borrowed;
        if self.carry_at >= own {
            self.at += self.carry_at - own;
            self.carry.clear();
            (self.carry_at, self.borrowed) = (0, 0);
        } else if self.carry_at > WINDOW {
            self.carry.drain(..self.carry_at);
            self.carry_at = 0;
        }
    }

    fn step(&mut self) -> Step {
        self.settle();
        let ended = self.ended && self.later.is_empty() && self.at + self.borrowed >= self.chunk.len()
            || self.ended && self.carry.is_empty() && self.later.is_empty();
        let view = self.view();
        if self.locked {
            match locked(view, self.stride, ended) {
                Some(step) => return step,
                None => self.locked = false,
            }
        }
        search(self.view(), self.stride, ended)
    }
}

/// What to do at a place where a packet should begin; `None` if none does.
fn locked(view: &[u8], stride: usize, ended: bool) -> Option<Step> {
    let end_is_known = ended || view.len() > WINDOW;
    match view.first() {
        None if ended => return Some(Step::Cut),
        None => return Some(Step::More),
        Some(&SYNC_BYTE) => {}
        Some(_) => return None,
    }
    if view.len() < PACKET_SIZE {
        return Some(if ended { Step::Cut } else { Step::More });
    }
    match view.get(stride) {
        Some(&SYNC_BYTE) => return Some(Step::Take(stride)),
        None if view.len() == stride || ended => return Some(Step::Take(view.len().min(stride))),
        None => return Some(Step::More),
        Some(_) => {}
    }
    // No packet follows at once. If a rhythm begins inside of this packet, it is not whole.
    for at in 1..PACKET_SIZE {
        match rhythm(view, at, stride, LOCK_AGAIN, ended) {
            Rhythm::Yes => return Some(Step::Skip(at)),
            Rhythm::More if !end_is_known => return Some(Step::More),
            _ => {}
        }
    }
    Some(Step::Take(stride.min(view.len())))
}

/// Looks for the first place where packets begin.
fn search(view: &[u8], known: usize, ended: bool) -> Step {
    let (strides, count) = match known {
        0 => (STRIDES, FIRST_LOCK),
        known => {
            let mut strides = STRIDES;
            if let Some(at) = strides.iter().position(|&s| s == known) {
                strides[..=at].rotate_right(1);
            }
            (strides, LOCK_AGAIN)
        }
    };
    for (at, _) in view.iter().enumerate().filter(|(_, byte)| **byte == SYNC_BYTE) {
        let mut undecided = false;
        for stride in strides {
            match rhythm(view, at, stride, count, ended) {
                // The time stamps of M2TS may look like sync bytes for a while: the packet is behind them.
                Rhythm::Yes if stride == 192 => match rhythm(view, at + M2TS_PREFIX, stride, count, ended) {
                    Rhythm::Yes => return Step::Lock(at + M2TS_PREFIX, stride),
                    Rhythm::No => return Step::Lock(at, stride),
                    Rhythm::More => undecided = true,
                },
                Rhythm::Yes => return Step::Lock(at, stride),
                Rhythm::More => undecided = true,
                Rhythm::No => {}
            }
        }
        if undecided {
            return if at > 0 { Step::Skip(at) } else { Step::More };
        }
    }
    match view.len() {
        0 if ended => Step::Cut,
        0 => Step::More,
        len => Step::Skip(len),
    }
}

/// Whether `count` packets seem to begin at `at`, one a `stride`. At the end of the input fewer will do, if the last ends there.
fn rhythm(view: &[u8], at: usize, stride: usize, count: usize, ended: bool) -> Rhythm {
    for n in 0..count {
        let start = at + n * stride;
        match view.get(start..start + HEADER_SIZE) {
            // Without payload and without adaptation field is reserved: no packet.
            Some(&[SYNC_BYTE, _, _, flags]) if flags & 0x30 != 0 => {}
            Some(_) => return Rhythm::No,
            None if view.get(start).is_some_and(|&byte| byte != SYNC_BYTE) => return Rhythm::No,
            None if !ended => return Rhythm::More,
            None => {
                let whole = at + PACKET_SIZE <= view.len();
                let ends_here = view.len() == start || view.len() + stride == start + PACKET_SIZE;
                return if whole && (n > 1 || ends_here) { Rhythm::Yes } else { Rhythm::No };
            }
        }
    }
    Rhythm::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of null PID with many false sync bytes in its payload, elsewhere in each.
    fn packet(n: u8) -> [u8; PACKET_SIZE] {
        let mut packet = [n; PACKET_SIZE];
        packet[..4].copy_from_slice(&[SYNC_BYTE, 0x1F, 0xFF, 0x10]);
        packet[5..].iter_mut().skip(usize::from(n) % 11).step_by(11).for_each(|byte| *byte = SYNC_BYTE);
        packet
    }

    fn stream(count: u8, stride: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for n in 0..count {
            if stride == 192 {
                all.extend([0x47, 0, 0, 0x10]);
            }
            all.extend(packet(n));
            if stride > 192 {
                all.resize(all.len() + stride - PACKET_SIZE, 0x47);
            }
        }
        all
    }

    /// Packet numbers and (offset, bytes) of garbage.
    fn run(input: &[u8], piece: usize) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut framer = Framer::default();
        let (mut packets, mut garbage) = (Vec::new(), Vec::new());
        let mut drain = |framer: &mut Framer| {
            while let Some(frame) = framer.next() {
                match frame {
                    Frame::Packet(packet, offset) => {
                        assert_eq!(input[offset as usize..][..188], packet[..]);
                        packets.push(packet[4]);
                    }
                    Frame::Garbage { offset, bytes } | Frame::Cut { offset, bytes } => garbage.push((offset, bytes)),
                }
            }
        };
        for piece in input.chunks(piece) {
            framer.push(Bytes::copy_from_slice(piece));
            drain(&mut framer);
        }
        framer.finish();
        drain(&mut framer);
        (packets, garbage)
    }

    #[test]
    fn ts_1_all_packet_sizes_in_pieces_of_any_size() {
        for stride in STRIDES {
            let input = stream(20, stride);
            let all: Vec<u8> = (0..20).collect();
            for piece in [1, 7, 187, 188, 189, 200, 1316, 10_000] {
                assert_eq!(run(&input, piece), (all.clone(), vec![]), "stride {stride}, pieces of {piece}");
            }
        }
    }

    #[test]
    fn ts_1_one_packet_is_enough_where_the_input_ends() {
        for count in 1..6 {
            assert_eq!(run(&stream(count, 188), 1000).0.len(), usize::from(count));
        }
    }

    #[test]
    fn ts_1_resync_after_garbage_loses_no_packet() {
        let mut input = vec![1, 2, 0x47, 3];
        input.extend(stream(10, 188));
        let at = input.len() as u64;
        // Junk that begins with a sync byte, between two packets.
        input.extend([0x47, 0x1F, 0xFF, 0x10, 9, 9, 9, 9]);
        input.extend(stream(10, 188));
        let tail = input.len() as u64;
        input.extend([5; 100]);
        for piece in [333, 500, 5000] {
            let (packets, garbage) = run(&input, piece);
            assert_eq!(packets.len(), 20, "pieces of {piece}");
            assert_eq!(garbage, [(0, 4), (at, 8), (tail, 100)], "pieces of {piece}");
        }
    }

    #[test]
    fn ts_1_a_packet_that_is_cut_short_is_garbage_and_the_next_is_whole() {
        let mut input = stream(6, 188);
        let at = input.len();
        input.extend(&packet(99)[..60]);
        input.extend(stream(6, 188));
        let (packets, garbage) = run(&input, 4096);
        assert_eq!(packets.len(), 12);
        assert_eq!(garbage, [(at as u64, 60)]);
    }

    #[test]
    fn only_garbage_is_told_whole() {
        let (packets, garbage) = run(&[0x47; 5000], 333);
        assert_eq!((packets.len(), garbage), (0, vec![(0, 5000)]));
    }

    #[test]
    fn cut_last_packet_is_told() {
        let mut input = stream(6, 188);
        input.truncate(input.len() - 10);
        assert_eq!(run(&input, 4096), ((0..5).collect(), vec![(940, 178)]));
    }
}
