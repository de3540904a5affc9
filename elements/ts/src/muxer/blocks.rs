//! Output blocks: long runs of packets in one piece of memory, used again once nobody holds them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::packet::PACKET_SIZE;

/// Blocks kept for use again: one written, one on its way out, and one spare.
const KEPT_BLOCKS: usize = 3;

/// The block under way and the ones before it.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Whole packets, all of its length initialised.
    block: BytesMut,
    /// Bytes of `block` that are written.
    filled: usize,
    /// Bytes of a fresh block.
    size: usize,
    ready: VecDeque<Bytes>,
    /// Blocks that were handed out to their end, oldest first.
    issued: VecDeque<Bytes>,
    total: u64,
}

impl Blocks {
    pub(super) fn new(size: usize) -> Self {
        let size = (size / PACKET_SIZE).max(1) * PACKET_SIZE;
        Self { block: BytesMut::new(), filled: 0, size, ready: VecDeque::new(), issued: VecDeque::new(), total: 0 }
    }

    /// Bytes of all packets so far.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// Whether nothing is written behind what is ready.
    pub(super) const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Packets in the block under way.
    pub(super) const fn packets(&self) -> usize {
        self.filled / PACKET_SIZE
    }

    /// The next packet to write.
    pub(super) fn packet(&mut self) -> &mut [u8; PACKET_SIZE] {
        self.run(1).first_mut().expect("a run has at least one packet")
    }

    /// The next packets to write: at least one, at most `most`, in one piece. All of them count as written.
    pub(super) fn run(&mut self, most: usize) -> &mut [[u8; PACKET_SIZE]] {
        if self.filled == self.block.len() {
            self.roll();
        }
        let (packets, _) = self.block[self.filled..].as_chunks_mut::<PACKET_SIZE>();
        let count = packets.len().min(most.max(1));
        self.filled += count * PACKET_SIZE;
        self.total += (count * PACKET_SIZE) as u64;
        &mut packets[..count]
    }

    /// A block that is full, or that was flushed.
    pub(super) fn take_ready(&mut self) -> Option<Bytes> {
        if self.filled == self.block.len() && self.filled > 0 {
            self.issue();
        }
        self.ready.pop_front()
    }

    /// Makes what is written ready, however little.
    pub(super) fn flush(&mut self) {
        if self.filled == self.block.len() {
            if self.filled > 0 {
                self.issue();
            }
        } else if self.filled > 0 {
            self.ready.push_back(self.block.split_to(self.filled).freeze());
            self.filled = 0;
        }
    }

    /// Hands the full block out and keeps a handle, to have it back one day.
    fn issue(&mut self) {
        let block = std::mem::take(&mut self.block).freeze();
        self.filled = 0;
        if self.issued.len() == KEPT_BLOCKS {
            self.issued.pop_front();
        }
        self.issued.push_back(block.clone());
        self.ready.push_back(block);
    }

    fn roll(&mut self) {
        if self.filled > 0 {
            self.issue();
        }
        let free = self.issued.iter().position(Bytes::is_unique).and_then(|at| self.issued.remove(at));
        let whole = free.and_then(|block| block.try_into_mut().ok()).and_then(|block| whole(block, self.size));
        self.block = whole.unwrap_or_else(|| BytesMut::zeroed(self.size));
        self.filled = 0;
    }
}

/// The block again of which this is all, or what was left behind a flush.
fn whole(mut block: BytesMut, size: usize) -> Option<BytesMut> {
    if block.len() < size {
        block.clear();
        if !block.try_reclaim(size) {
            return None;
        }
        block.resize(size, 0);
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_in_order_and_memory_is_used_again() {
        let mut blocks = Blocks::new(2 * PACKET_SIZE + 100);
        let mut places = Vec::new();
        for n in 0..20u8 {
            blocks.packet().fill(n);
            while let Some(block) = blocks.take_ready() {
                assert_eq!(block.len(), 2 * PACKET_SIZE);
                assert_eq!((block[0], block[188]), (n - 1, n));
                places.push(block.as_ptr() as usize);
            }
        }
        assert_eq!(places.len(), 10);
        assert!(places.windows(2).all(|w| w[0] == w[1]), "one block is enough when each is dropped at once");
    }

    #[test]
    fn a_flushed_block_is_used_again_when_both_parts_are_gone() {
        let mut blocks = Blocks::new(4 * PACKET_SIZE);
        let (mut places, mut others) = (Vec::new(), Vec::new());
        for n in 0..10u8 {
            // Takes the place of a block that was freed.
            others.push(vec![n; 4 * PACKET_SIZE]);
            blocks.packet().fill(n);
            blocks.flush();
            let front = blocks.take_ready().unwrap();
            places.push(front.as_ptr() as usize);
            blocks.run(3).iter_mut().for_each(|packet| packet.fill(n));
            let rest = blocks.take_ready().unwrap();
            assert!(front.iter().chain(&rest).all(|&byte| byte == n));
            assert_eq!((front.len(), rest.len()), (PACKET_SIZE, 3 * PACKET_SIZE));
        }
        assert!(places.windows(2).all(|w| w[0] == w[1]), "{places:?}");
    }

    #[test]
    fn held_blocks_are_never_written_again() {
        let mut blocks = Blocks::new(PACKET_SIZE);
        let mut held = Vec::new();
        for n in 0..50u8 {
            blocks.packet().fill(n);
            held.push(blocks.take_ready().unwrap());
        }
        assert!(held.iter().enumerate().all(|(n, block)| block.iter().all(|&b| usize::from(b) == n)));
    }

    #[test]
    fn flush_gives_what_is_there_and_the_rest_is_written_on() {
        let mut blocks = Blocks::new(4 * PACKET_SIZE);
        blocks.packet().fill(1);
        blocks.flush();
        assert_eq!(blocks.take_ready().unwrap().len(), PACKET_SIZE);
        assert_eq!(blocks.take_ready(), None);
        blocks.flush();
        assert_eq!(blocks.take_ready(), None);
        assert_eq!(blocks.run(10).len(), 3);
        assert_eq!(blocks.take_ready().unwrap().len(), 3 * PACKET_SIZE);
        assert_eq!(blocks.total(), 4 * 188);
    }
}
