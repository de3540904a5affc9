//! Output as a list of slices: small pieces are gathered, large ones shared.

use bytes::{BufMut, Bytes, BytesMut};

/// Pieces below this are copied into the neighbouring block: a slice of its own costs more in list and system call than
/// copying so few bytes.
const SHARE_FROM: usize = 1024;
/// Gathered blocks are allocated in this size.
const BLOCK: usize = 4096;

/// Collects output. Media slices of 1 KiB and more are shared, not copied; everything else is gathered between them.
#[derive(Debug, Default)]
pub struct Slices {
    done: Vec<Bytes>,
    gathered: BytesMut,
    len: usize,
}

impl Slices {
    /// Nothing collected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes collected and not taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes by copying them.
    pub fn copy(&mut self, bytes: &[u8]) {
        if self.gathered.capacity() - self.gathered.len() < bytes.len() && self.gathered.is_empty() {
            self.gathered = BytesMut::with_capacity(BLOCK.max(bytes.len()));
        }
        self.gathered.put_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends a slice, shared if it is large.
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_FROM {
            return self.copy(bytes);
        }
        self.close();
        self.len += bytes.len();
        self.done.push(bytes.clone());
    }

    /// Takes what was collected, in order.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.close();
        self.len = 0;
        std::mem::take(&mut self.done)
    }

    fn close(&mut self) {
        if !self.gathered.is_empty() {
            self.done.push(self.gathered.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_slices_are_shared_and_order_is_kept() {
        let large = Bytes::from(vec![7; SHARE_FROM]);
        let mut slices = Slices::new();
        slices.copy(b"ab");
        slices.share(&Bytes::from_static(b"c"));
        slices.share(&large);
        slices.copy(b"d");
        assert_eq!(slices.len(), SHARE_FROM + 4);
        let taken = slices.take();
        assert_eq!(taken.iter().map(Bytes::len).collect::<Vec<_>>(), [3, SHARE_FROM, 1]);
        assert_eq!(taken[1].as_ptr(), large.as_ptr());
        assert_eq!(taken.concat(), [&b"abc"[..], &large, b"d"].concat());
        assert!(slices.is_empty() && slices.take().is_empty());
    }
}
