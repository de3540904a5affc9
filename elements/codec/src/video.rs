//! What H.264 and H.265 parameter sets share.

use crate::bits::BitReader;
use crate::error::CodecError;

/// What storing a parameter set changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The NAL unit is no parameter set.
    NotASet,
    /// The very same bytes were known under this id.
    Same,
    /// The id was not in use.
    New,
    /// The id had other bytes.
    Changed,
}

impl Change {
    pub(crate) fn of(replaced: bool) -> Self {
        if replaced { Self::Changed } else { Self::New }
    }

    /// True when decoders have to be told.
    #[must_use]
    pub fn is_news(self) -> bool {
        matches!(self, Self::New | Self::Changed)
    }
}

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

/// A ratio in lowest terms; `None` when it does not fit 32 bits or `den` is 0.
pub(crate) fn reduced(num: u64, den: u64) -> Option<(u32, u32)> {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some((u32::try_from(num.checked_div(a)?).ok()?, u32::try_from(den / a).ok().filter(|den| *den != 0)?))
}
