//! Access units of a byte stream (H.265 7.4.2.4.4).

use bytes::Bytes;

use crate::access_unit::UnitBoundary;
use crate::h265::{NAL_HEADER_BYTES, NalType, ParameterSets, layer_id};

/// Cuts an H.265 byte stream into access units.
pub type AccessUnitSplitter = crate::access_unit::AccessUnitSplitter<AccessUnitDetector>;

/// Says of each NAL unit, in order, whether it begins an access unit. Learns parameter sets from the units it sees.
#[derive(Debug, Clone, Default)]
pub struct AccessUnitDetector {
    sets: ParameterSets,
    in_picture: bool,
}

impl AccessUnitDetector {
    /// A detector that knows the given parameter sets.
    #[must_use]
    pub fn new(sets: ParameterSets) -> Self {
        Self { sets, in_picture: false }
    }

    /// Parameter sets seen so far.
    #[must_use]
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }
}

impl UnitBoundary for AccessUnitDetector {
    const UNIT: &'static str = "H.265 access unit";

    fn starts_new_unit(&mut self, nal: &Bytes) -> bool {
        let Some(kind) = NalType::of(nal).filter(|_| layer_id(nal) == Some(0)) else { return false };
        let starts = match kind {
            // The first of these after the last slice segment of a picture begins the next access unit.
            NalType(32..=35 | 39 | 41..=44 | 48..=55) => self.in_picture,
            kind if kind.is_vcl() => {
                // first_slice_segment_in_pic_flag is the first bit of the slice segment header (7.3.6.1).
                let first = nal.get(NAL_HEADER_BYTES).is_some_and(|byte| byte & 0x80 != 0);
                let starts = first && self.in_picture;
                self.in_picture = true;
                return starts;
            }
            _ => false,
        };
        if starts {
            self.in_picture = false;
        }
        let _unreadable_sets_are_reported_by_the_parser = self.sets.insert(nal);
        starts
    }

    fn end_unit(&mut self) {
        self.in_picture = false;
    }
}
