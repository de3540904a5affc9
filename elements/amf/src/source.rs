//! A byte position with the limits that both readers share.

use crate::error::{AmfError, AmfErrorKind};

/// How deep values may be nested. Real messages reach about 4; recursion of this depth fits any thread's stack.
pub const MAX_DEPTH: usize = 64;
/// How many values one reader yields, nested ones included. A key frame index of ten hours has some 40 000.
pub const MAX_VALUES: usize = 1 << 18;
/// How many bytes references to earlier strings and classes may add. Without it two bytes could stand for megabytes.
pub const MAX_EXPANSION: usize = 1 << 24;

/// A position in the input.
#[derive(Debug, Clone)]
pub(crate) struct Source<'a> {
    data: &'a [u8],
    at: usize,
    depth: usize,
    values: usize,
    expansion: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, depth: 0, values: 0, expansion: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn error<T>(&self, kind: AmfErrorKind) -> Result<T, AmfError> {
        Err(AmfError { offset: self.at, kind })
    }

    /// Counts a value and a level of nesting. Every success is paired with [`Source::leave`].
    pub(crate) fn enter(&mut self) -> Result<(), AmfError> {
        if self.depth >= MAX_DEPTH {
            return self.error(AmfErrorKind::TooDeep);
        }
        if self.values >= MAX_VALUES {
            return self.error(AmfErrorKind::TooManyValues);
        }
        self.depth += 1;
        self.values += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Counts bytes that a reference adds.
    pub(crate) fn expand(&mut self, bytes: usize) -> Result<(), AmfError> {
        self.expansion = self.expansion.saturating_add(bytes);
        if self.expansion > MAX_EXPANSION { self.error(AmfErrorKind::Expansion) } else { Ok(()) }
    }

    pub(crate) fn skip(&mut self, len: usize) {
        self.at = self.at.saturating_add(len).min(self.data.len());
    }

    pub(crate) fn bytes(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], AmfError> {
        match self.rest().get(..len) {
            Some(bytes) => {
                self.at += len;
                Ok(bytes)
            }
            None => self.error(AmfErrorKind::Truncated { expected }),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], AmfError> {
        match self.rest().first_chunk() {
            Some(array) => {
                self.at += N;
                Ok(*array)
            }
            None => self.error(AmfErrorKind::Truncated { expected }),
        }
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, AmfError> {
        Ok(self.array::<1>(expected)?[0])
    }

    pub(crate) fn u16(&mut self, expected: &'static str) -> Result<u16, AmfError> {
        Ok(u16::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u32(&mut self, expected: &'static str) -> Result<u32, AmfError> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn f64(&mut self, expected: &'static str) -> Result<f64, AmfError> {
        Ok(f64::from_be_bytes(self.array(expected)?))
    }

    /// Text. Bytes that are not UTF-8 (old tools wrote Latin-1) become replacement characters.
    pub(crate) fn text(&mut self, len: usize, expected: &'static str) -> Result<String, AmfError> {
        Ok(String::from_utf8_lossy(self.bytes(len, expected)?).into_owned())
    }

    /// Gives the limits that are used up so far to a nested format, whose value stands on the level of the switch.
    pub(crate) fn nested(&self) -> Self {
        Self { data: self.rest(), at: 0, depth: self.depth.saturating_sub(1), ..*self }
    }

    /// Takes over where a nested format ended.
    pub(crate) fn resume(&mut self, nested: &Self) {
        self.skip(nested.at);
        self.values = nested.values;
        self.expansion = nested.expansion;
    }
}
