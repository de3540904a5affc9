//! What the user of `tsmux` sets.

use millstream_core::settings::units::{Bitrate, ByteSize, DurationSetting};
use millstream_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::muxer::{MuxError, TsMuxer, TsMuxerSettings};
use crate::packet::{PACKET_SIZE, Pid};
use crate::timestamp::PTS_HZ;

/// Packets that one buffer may have at most: some 188 MB.
const MAX_ALIGNMENT: i32 = 1_000_000;

/// Settings of `tsmux`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TsMuxSettings {
    /// Packets in each output buffer: 7 for UDP and RTP (the last buffer is filled with null packets), 0 for one buffer a unit,
    /// -1 for blocks that go out when they are full or have waited for `latency`.
    #[schemars(range(min = -1, max = 1_000_000))]
    pub alignment: i32,
    /// Bytes of a block with `alignment=-1`.
    #[schemars(extend("x-minimum" = "188", "x-maximum" = "64MiB"))]
    pub block_size: ByteSize,
    /// With `alignment=-1`, packets wait at most this long for their block to fill. Files never wait as long.
    #[schemars(extend("x-minimum" = "0s", "x-maximum" = "1m"))]
    pub latency: DurationSetting,
    /// PAT and PMT are repeated this often, and before each key frame.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10s"))]
    pub psi_interval: DurationSetting,
    /// Longest distance of two clock references (PCR). ETSI TR 101 290 allows 100ms, DVB receivers like 40ms.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "100ms"))]
    pub pcr_interval: DurationSetting,
    /// How far the clock stays behind the decoding time of what is sent: what a receiver has to buffer.
    #[schemars(extend("x-minimum" = "0s", "x-maximum" = "10s"))]
    pub pcr_delay: DurationSetting,
    /// Added to every timestamp, so that a stream that starts at 0 has no negative clock. 1.4s, as ffmpeg does.
    #[schemars(extend("x-minimum" = "0s", "x-maximum" = "24h"))]
    pub timestamp_offset: DurationSetting,
    /// Constant bit rate: null packets fill the stream. Variable when left out.
    pub bitrate: Option<Bitrate>,
    /// Number of the program.
    #[schemars(range(min = 1))]
    pub program_number: u16,
    /// Number of the transport stream (transport_stream_id).
    pub transport_stream_id: u16,
    /// PID of the program map table.
    #[schemars(range(min = 16, max = 8190))]
    pub pmt_pid: u16,
    /// PID of the first stream; the others follow.
    #[schemars(range(min = 16, max = 8190))]
    pub first_pid: u16,
    /// Sound is put into PES packets of at most this duration; 0s gives each frame its own.
    #[schemars(extend("x-minimum" = "0s", "x-maximum" = "700ms"))]
    pub audio_pes_duration: DurationSetting,
}

impl Default for TsMuxSettings {
    fn default() -> Self {
        let wire = TsMuxerSettings::default();
        let time = |ticks: i64| DurationSetting::from_millis(ticks / (i64::from(PTS_HZ as u32) / 1000));
        Self {
            alignment: -1,
            block_size: ByteSize(wire.block_size as u64),
            latency: DurationSetting::from_millis(20),
            psi_interval: time(wire.psi_interval),
            pcr_interval: time(wire.pcr_interval),
            pcr_delay: time(wire.pcr_delay),
            timestamp_offset: time(wire.timestamp_offset),
            bitrate: None,
            program_number: wire.program_number,
            transport_stream_id: wire.transport_stream_id,
            pmt_pid: wire.pmt_pid.get(),
            first_pid: wire.first_pid.get(),
            audio_pes_duration: time(wire.audio_pes_duration),
        }
    }
}

impl TsMuxSettings {
    /// The muxer underneath, without streams, and its settings.
    ///
    /// # Errors
    /// If a value is outside its bounds.
    pub(super) fn muxer(&self) -> Result<(TsMuxer, TsMuxerSettings)> {
        let wire = self.wire()?;
        let muxer = TsMuxer::new(wire.clone()).map_err(|error| match error {
            MuxError::Setting { setting, expected } => {
                Error::settings(format!("{setting} must be {expected}")).on_property(setting)
            }
            other => Error::settings(other.to_string()),
        })?;
        Ok((muxer, wire))
    }

    /// The settings of the muxer underneath.
    ///
    /// # Errors
    /// If a value is outside its bounds.
    fn wire(&self) -> Result<TsMuxerSettings> {
        let pid = |name, value| {
            let error = || Error::settings(format!("{name} is {value}; PIDs go to 8190 (0x1FFE)")).on_property(name);
            Pid::new(value).ok_or_else(error)
        };
        if !(-1..=MAX_ALIGNMENT).contains(&self.alignment) {
            let message = format!("alignment is {}; it goes from -1 to {MAX_ALIGNMENT}", self.alignment);
            return Err(Error::settings(message).on_property("alignment"));
        }
        let ticks = |time: DurationSetting| millstream_core::TimeDelta::from_nanos(time.0).ticks(PTS_HZ as u32);
        let block_size = match usize::try_from(self.alignment) {
            Ok(packets) if packets > 0 => packets.saturating_mul(PACKET_SIZE),
            _ => usize::try_from(self.block_size.0).unwrap_or(usize::MAX),
        };
        let wire = TsMuxerSettings::default();
        let one_frame = self.audio_pes_duration.0 <= 0;
        Ok(TsMuxerSettings {
            block_size,
            psi_interval: ticks(self.psi_interval),
            pcr_interval: ticks(self.pcr_interval),
            pcr_delay: ticks(self.pcr_delay),
            timestamp_offset: ticks(self.timestamp_offset),
            transport_stream_id: self.transport_stream_id,
            program_number: self.program_number,
            pmt_pid: pid("pmt-pid", self.pmt_pid)?,
            first_pid: pid("first-pid", self.first_pid)?,
            audio_pes_bytes: if one_frame { 0 } else { wire.audio_pes_bytes },
            audio_pes_duration: ticks(self.audio_pes_duration),
            bitrate: self.bitrate.map(|rate| rate.0),
            ..wire
        })
    }
}
