//! H.266 / VVC (ITU-T H.266): NAL unit types and random access points, enough to carry it through.

/// `nal_unit_type` (H.266 table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NalType(pub u8);

impl NalType {
    /// Type of a NAL unit, from the second byte of its header; `None` when that is cut off.
    #[must_use]
    pub fn of(nal: &[u8]) -> Option<Self> {
        nal.get(1).map(|header| Self(header >> 3))
    }

    /// True for intra random access points: `IDR_W_RADL`, `IDR_N_LP`, `CRA_NUT` and the reserved type 11.
    #[must_use]
    pub fn is_irap(self) -> bool {
        matches!(self.0, 7..=9 | 11)
    }

    /// True for a gradual decoding refresh picture, `GDR_NUT`.
    #[must_use]
    pub fn is_gdr(self) -> bool {
        self.0 == 10
    }

    /// True for slices, types 0 to 11.
    #[must_use]
    pub fn is_vcl(self) -> bool {
        self.0 <= 11
    }
}

/// True when an access unit with these NAL units holds an intra random access point.
#[must_use]
pub fn is_key_frame<T: AsRef<[u8]>>(nals: impl IntoIterator<Item = T>) -> bool {
    nals.into_iter().any(|nal| NalType::of(nal.as_ref()).is_some_and(NalType::is_irap))
}
