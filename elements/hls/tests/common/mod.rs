//! What the tests of this crate share.

/// A small generator of repeatable noise (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
