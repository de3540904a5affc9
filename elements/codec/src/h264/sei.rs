//! Supplemental enhancement information (H.264 7.3.2.3, Annex D): the recovery point.

use crate::bits::{BitReader, unescape};
use crate::error::CodecError;

/// SEI messages looked at in one NAL unit. Broadcast encoders send fewer than ten.
pub const MAX_SEI_MESSAGES: usize = 64;

const RECOVERY_POINT: u32 = 6;

/// `recovery_frame_cnt` of the recovery point in an SEI NAL unit: after how many frames, counted in `frame_num`, the
/// output is right (H.264 D.2.8). `None` when there is no recovery point or the unit is cut off before it.
#[must_use]
pub fn recovery_point(nal: &[u8]) -> Option<u32> {
    let rbsp = unescape(nal);
    let mut reader = BitReader::new("H.264 SEI", &rbsp);
    reader.skip(8).ok()?;
    for _ in 0..MAX_SEI_MESSAGES {
        if !reader.more_rbsp_data() {
            return None;
        }
        let kind = extended(&mut reader).ok()?;
        let size = extended(&mut reader).ok()?;
        if kind == RECOVERY_POINT {
            return reader.ue().ok();
        }
        reader.skip(usize::try_from(size).ok()?.checked_mul(8)?).ok()?;
    }
    None
}

/// A number as a run of 255s and a last byte (H.264 7.3.2.3.1).
fn extended(reader: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let mut value = 0u32;
    loop {
        let byte = reader.u(8)?;
        value = value.saturating_add(byte);
        if byte != 255 {
            return Ok(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_recovery_point_behind_another_message() {
        // user_data_unregistered (5) of 2 bytes, then recovery_point (6): recovery_frame_cnt ue(0), flags, then stop.
        assert_eq!(recovery_point(&[0x06, 5, 2, 9, 9, 6, 1, 0b1100_0100, 0x80]), Some(0));
        assert_eq!(recovery_point(&[0x06, 5, 2, 9, 9, 0x80]), None);
        assert_eq!(recovery_point(&[0x06, 5, 200, 9]), None);
    }
}
