//! Temporal units of a low-overhead stream (AV1 7.5): each begins with a temporal delimiter.

use bytes::{Bytes, BytesMut};

use crate::av1::{ObuHeader, ObuType, read_leb128};
use crate::error::{CodecError, ErrorKind};

/// Bytes of a temporal unit that are held before it is given up: as for H.264 access units.
pub const MAX_TEMPORAL_UNIT_BYTES: usize = 64 << 20;

const UNIT: &str = "AV1 temporal unit";

/// Cuts a stream of OBUs with size fields, which arrives in arbitrary pieces, into temporal units. A unit is complete
/// when the next temporal delimiter is seen. Bytes are copied once.
#[derive(Debug, Clone, Default)]
pub struct TemporalUnitSplitter {
    buffer: BytesMut,
    /// Whole OBUs of the present unit at the front of the buffer, bytes.
    whole: usize,
}

impl TemporalUnitSplitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole temporal unit, its delimiter included, or `None` when more data are needed.
    ///
    /// # Errors
    /// An OBU that cannot be read or has no size field: there is no way to find the next one, so all data held are
    /// dropped. A unit over [`MAX_TEMPORAL_UNIT_BYTES`] likewise.
    pub fn next_unit(&mut self) -> Result<Option<Bytes>, CodecError> {
        loop {
            let rest = self.buffer.get(self.whole..).unwrap_or_default();
            let (kind, size) = match whole_obu(rest) {
                Ok(Some(obu)) => obu,
                Ok(None) => return self.check_size(),
                Err(error) => return Err(self.give_up(error)),
            };
            if kind == ObuType::TEMPORAL_DELIMITER && self.whole > 0 {
                let unit = self.buffer.split_to(self.whole).freeze();
                self.whole = size;
                return Ok(Some(unit));
            }
            self.whole += size;
        }
    }

    /// The unit that was open when the stream ended; a cut off OBU at its end is dropped.
    pub fn finish(&mut self) -> Option<Bytes> {
        let mut rest = self.buffer.split();
        let unit = rest.split_to(self.whole).freeze();
        self.whole = 0;
        (!unit.is_empty()).then_some(unit)
    }

    fn check_size(&mut self) -> Result<Option<Bytes>, CodecError> {
        let (value, limit) = (self.buffer.len() as u64, MAX_TEMPORAL_UNIT_BYTES as u64);
        if value > limit {
            let kind = ErrorKind::OverLimit { what: "the size", value, limit };
            return Err(self.give_up(CodecError::at_byte(UNIT, 0, kind)));
        }
        Ok(None)
    }

    fn give_up(&mut self, error: CodecError) -> CodecError {
        self.buffer.clear();
        self.whole = 0;
        error
    }
}

/// Type and bytes of the OBU at the front; `None` when it is not whole yet.
fn whole_obu(data: &[u8]) -> Result<Option<(ObuType, usize)>, CodecError> {
    let sized = ObuHeader::parse(data).and_then(|(header, bytes)| {
        if !header.has_size {
            return Err(CodecError::at_byte(UNIT, 0, ErrorKind::Invalid("each OBU of a stream has a size field")));
        }
        let (size, field) = read_leb128(data.get(bytes..).unwrap_or_default())?;
        Ok((header.kind, (bytes + field).saturating_add(size as usize)))
    });
    match sized {
        Ok((kind, total)) => Ok((total <= data.len()).then_some((kind, total))),
        Err(error) if error.is_truncated() => Ok(None),
        Err(error) => Err(error),
    }
}
