//! What the user of `tsdemux` sets.

use millstream_core::settings::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::demuxer::TsDemuxerSettings;

/// Settings of `tsdemux`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TsDemuxSettings {
    /// Number of the program to read; the first whose streams are known when left out.
    #[schemars(range(min = 1))]
    pub program_number: Option<u16>,
    /// A PES packet that grows beyond this is delivered as corrupted and cut.
    #[schemars(extend("x-minimum" = "64KiB", "x-maximum" = "1GiB"))]
    pub max_pes_size: ByteSize,
}

impl Default for TsDemuxSettings {
    fn default() -> Self {
        Self { program_number: None, max_pes_size: ByteSize(TsDemuxerSettings::default().max_pes_bytes as u64) }
    }
}

impl TsDemuxSettings {
    /// The settings of the demuxer underneath.
    pub(super) fn wire(&self) -> TsDemuxerSettings {
        TsDemuxerSettings {
            program: self.program_number,
            max_pes_bytes: usize::try_from(self.max_pes_size.0).unwrap_or(usize::MAX),
            ..TsDemuxerSettings::default()
        }
    }
}
