//! Access units of a byte stream (H.264 7.4.1.2.3 and 7.4.1.2.4).

use bytes::Bytes;

use crate::access_unit::UnitBoundary;
use crate::h264::{NalType, ParameterSets, SliceHeader};

/// Cuts an H.264 byte stream into access units.
pub type AccessUnitSplitter = crate::access_unit::AccessUnitSplitter<AccessUnitDetector>;

/// Says of each NAL unit, in order, whether it begins an access unit. Learns parameter sets from the units it sees.
#[derive(Debug, Clone, Default)]
pub struct AccessUnitDetector {
    sets: ParameterSets,
    /// The first slice of the primary picture; `None` before it.
    picture: Option<SliceHeader>,
}

impl AccessUnitDetector {
    /// A detector that knows the given parameter sets.
    #[must_use]
    pub fn new(sets: ParameterSets) -> Self {
        Self { sets, picture: None }
    }

    /// Parameter sets seen so far.
    #[must_use]
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }

    fn slice(&mut self, nal: &[u8]) -> bool {
        let Ok(header) = SliceHeader::parse(nal, &self.sets) else { return false };
        let starts = self.picture.as_ref().is_some_and(|previous| header.starts_new_picture(previous));
        if starts || self.picture.is_none() {
            self.picture = Some(header);
        }
        starts
    }
}

impl UnitBoundary for AccessUnitDetector {
    const UNIT: &'static str = "H.264 access unit";

    /// Slices and parameter sets that cannot be read begin nothing: they stay with the unit they came in.
    fn starts_new_unit(&mut self, nal: &Bytes) -> bool {
        let Some(kind) = NalType::of(nal) else { return false };
        let starts = match kind {
            // 7.4.1.2.3: the first of these after the last slice of a picture begins the next access unit.
            NalType::Aud | NalType::Sps | NalType::Pps | NalType::Sei | NalType::Prefix | NalType::SubsetSps => {
                self.picture.is_some()
            }
            NalType::Other(16..=18) => self.picture.is_some(),
            NalType::Slice | NalType::PartitionA | NalType::Idr => return self.slice(nal),
            _ => false,
        };
        if starts {
            self.picture = None;
        }
        let _unreadable_sets_are_reported_by_the_parser = self.sets.insert(nal);
        starts
    }

    fn end_unit(&mut self) {
        self.picture = None;
    }
}
