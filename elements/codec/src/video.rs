//! What H.264 and H.265 parameter sets share.

use crate::bits::BitReader;
use crate::error::CodecError;

/// Sample aspect ratios by `aspect_ratio_idc` (H.264 table E-1, H.265 table E.1, H.273 table 10).
const SAR: [(u16, u16); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
const EXTENDED_SAR: u8 = 255;

/// `aspect_ratio_info_present_flag` and what follows it; `None` when the ratio is not given.
pub(crate) fn read_sar(reader: &mut BitReader<'_>) -> Result<Option<(u16, u16)>, CodecError> {
    if !reader.flag()? {
        return Ok(None);
    }
    let idc = reader.u8(8)?;
    let sar =
        if idc == EXTENDED_SAR { Some((reader.u16(16)?, reader.u16(16)?)) } else { SAR.get(usize::from(idc)).copied() };
    Ok(sar.filter(|(width, height)| *width != 0 && *height != 0))
}
