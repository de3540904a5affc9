//! Large blocks that are used again as soon as nobody looks at them any more.

use bytes::Bytes;

/// Recycles blocks of one size: fresh pages from the kernel cost more than filling them.
///
/// [`BlockPool::take`] gives an empty `Vec` with room for a block; [`BlockPool::freeze`] makes it shareable and
/// remembers it. Once every other handle is gone, the pool hands the same memory out again. A block that is still in
/// use is simply not ready yet.
#[derive(Debug)]
pub struct BlockPool {
    block: usize,
    keep: usize,
    parked: Vec<Bytes>,
}

impl BlockPool {
    /// A pool of blocks of `block` bytes that remembers at most `keep` of them.
    pub fn new(block: usize, keep: usize) -> Self {
        Self { block, keep, parked: Vec::with_capacity(keep) }
    }

    /// Bytes in a block.
    pub fn block_size(&self) -> usize {
        self.block
    }

    /// An empty block with room for [`BlockPool::block_size`] bytes.
    pub fn take(&mut self) -> Vec<u8> {
        if let Some(at) = self.parked.iter().position(Bytes::is_unique)
            && let Ok(mut freed) = self.parked.swap_remove(at).try_into_mut()
        {
            // Emptied first: turning it back into a Vec moves whatever it still holds.
            freed.clear();
            let block = Vec::from(freed);
            if block.capacity() >= self.block {
                return block;
            }
        }
        Vec::with_capacity(self.block)
    }

    /// Makes a filled block shareable, and remembers it so that it can be used again when all its readers are gone.
    pub fn freeze(&mut self, block: Vec<u8>) -> Bytes {
        let block = Bytes::from(block);
        if self.parked.len() == self.keep && self.keep > 0 {
            self.parked.remove(0);
        }
        if self.keep > 0 {
            self.parked.push(block.clone());
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_when_its_readers_are_gone() {
        for fill in [1 << 16, 1000] {
            let mut pool = BlockPool::new(1 << 16, 2);
            let mut block = pool.take();
            block.resize(fill, 7);
            let frozen = pool.freeze(block);
            let address = frozen.as_ptr();
            let reader = frozen.slice(10..20);
            drop(frozen);
            let other = pool.take();
            assert_ne!(other.as_ptr(), address, "still being read");
            drop(reader);
            let again = pool.take();
            assert_eq!((again.as_ptr(), again.len(), again.capacity()), (address, 0, 1 << 16));
        }
    }
}
