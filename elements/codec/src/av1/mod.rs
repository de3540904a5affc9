//! AV1: OBUs, the sequence header, temporal units and the `av1C` record.
//!
//! | part | defined by |
//! | --- | --- |
//! | OBU header, leb128, sequence header | AV1 Bitstream & Decoding Process Specification 5.3, 4.10.5, 5.5 |
//! | `AV1CodecConfigurationRecord`, codec string | AV1 Codec ISO Media File Format Binding 2.3.3, 5 |
//!
//! The low-overhead format is read; the length-delimited format of its Annex B is not.

mod config;
mod obu;
mod sequence;
mod temporal_unit;

pub use config::Av1CodecConfigurationRecord;
pub use obu::{MAX_LEB128_BYTES, Obu, ObuHeader, ObuType, Obus, read_leb128, write_leb128};
pub use sequence::{ColorConfig, MAX_OPERATING_POINTS, SequenceHeader};
pub use temporal_unit::{MAX_TEMPORAL_UNIT_BYTES, TemporalUnitSplitter};

use crate::bits::BitReader;

/// A temporal delimiter OBU: type 2, with a size of 0.
pub const TEMPORAL_DELIMITER: bytes::Bytes = bytes::Bytes::from_static(&[0x12, 0x00]);

/// True when the temporal unit begins with a shown key frame (5.9.2), so that decoding may start there given the
/// sequence header. OBUs that cannot be read count as no key frame.
#[must_use]
pub fn is_key_frame(temporal_unit: &[u8]) -> bool {
    let mut reduced_still = false;
    for obu in Obus::new(temporal_unit) {
        let Ok(obu) = obu else { return false };
        let body = temporal_unit.get(obu.payload.clone()).unwrap_or_default();
        match obu.header.kind {
            ObuType::SEQUENCE_HEADER => {
                reduced_still = SequenceHeader::parse(body).is_ok_and(|header| header.reduced_still_picture);
            }
            ObuType::FRAME | ObuType::FRAME_HEADER => {
                return reduced_still || shown_key_frame(body).unwrap_or(false);
            }
            _ => {}
        }
    }
    false
}

/// `show_existing_frame` 0, `frame_type` `KEY_FRAME`, `show_frame` 1 at the start of `uncompressed_header()`.
fn shown_key_frame(body: &[u8]) -> Option<bool> {
    let mut reader = BitReader::new("AV1 frame header", body);
    Some(!reader.flag().ok()? && reader.u(2).ok()? == 0 && reader.flag().ok()?)
}
