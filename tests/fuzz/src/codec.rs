//! Elementary streams and codec configurations.

use bytes::Bytes;
use millstream_codec::aac::AudioSpecificConfig;
use millstream_codec::h264::{AvcDecoderConfigurationRecord, ParameterSets};

/// A configuration record, and the same bytes as one NAL unit.
pub fn h264(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let mut sets = ParameterSets::new();
    // Refused input is fine; what was taken has to be usable.
    let _ = sets.insert(&data);
    if let Ok(record) = AvcDecoderConfigurationRecord::parse(&data) {
        let _ = sets.insert_record(&record);
        let _ = record.write();
    }
    if let Some(sps) = sets.last_sps() {
        let _ = (sps.width(), sps.height(), sps.frame_rate(), sps.codec_string());
    }
    let _ = sets.record();
}

/// An AudioSpecificConfig.
pub fn aac(data: &[u8]) {
    let Ok(config) = AudioSpecificConfig::parse(data) else { return };
    let _ = (config.channels(), config.output_sample_rate(), config.frame_samples(), config.codec_string());
    let _ = config.write();
}
