//! The parameter sets in force: by id, with the NAL units they came in.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::bits::{BitReader, unescape};
use crate::error::CodecError;
use crate::h265::{HevcDecoderConfigurationRecord, MAX_SPS_ID, NalType, Sps, layer_id};
use crate::video::Change;

/// The largest `vps_video_parameter_set_id` (H.265 7.4.3.1).
pub const MAX_VPS_ID: u8 = 15;
/// The largest `pps_pic_parameter_set_id` (H.265 7.4.3.3.1).
pub const MAX_PPS_ID: u8 = 63;

/// Bytes of a PPS that hold the fields of [`Pps`].
const PPS_HEAD_BYTES: usize = 16;

/// The beginning of a picture parameter set (H.265 7.3.2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pps {
    /// `pps_seq_parameter_set_id`.
    pub sps_id: u8,
    /// `output_flag_present_flag`.
    pub output_flag_present: bool,
    /// `num_extra_slice_header_bits`.
    pub extra_slice_header_bits: u8,
}

/// A store of VPS, SPS and PPS of the base layer by id. The ids bound its size: 16, 16 and 64 entries.
#[derive(Debug, Clone, Default)]
pub struct ParameterSets {
    vps: BTreeMap<u8, Bytes>,
    sps: BTreeMap<u8, (Bytes, Sps)>,
    pps: BTreeMap<u8, (Bytes, Pps)>,
    last_sps: Option<u8>,
}

impl ParameterSets {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores the unit if it is a parameter set of the base layer and says what changed.
    ///
    /// # Errors
    /// A parameter set that cannot be read; the store stays as it was.
    pub fn insert(&mut self, nal: &Bytes) -> Result<Change, CodecError> {
        if layer_id(nal) != Some(0) {
            return Ok(Change::NotASet);
        }
        match NalType::of(nal) {
            Some(NalType::VPS) => self.insert_vps(nal),
            Some(NalType::SPS) => self.insert_sps(nal),
            Some(NalType::PPS) => self.insert_pps(nal),
            _ => Ok(Change::NotASet),
        }
    }

    /// Takes over all sets of a configuration record; true when any was new.
    ///
    /// # Errors
    /// A parameter set that cannot be read; those before it are stored.
    pub fn insert_record(&mut self, record: &HevcDecoderConfigurationRecord) -> Result<bool, CodecError> {
        let mut news = false;
        for nal in record.nals() {
            news |= self.insert(nal)?.is_news();
        }
        Ok(news)
    }

    /// The SPS with this id.
    #[must_use]
    pub fn sps(&self, id: u8) -> Option<&Sps> {
        self.sps.get(&id).map(|(_, sps)| sps)
    }

    /// The PPS with this id.
    #[must_use]
    pub fn pps(&self, id: u8) -> Option<&Pps> {
        self.pps.get(&id).map(|(_, pps)| pps)
    }

    /// The SPS that was stored or repeated last.
    #[must_use]
    pub fn last_sps(&self) -> Option<&Sps> {
        self.sps(self.last_sps?)
    }

    /// VPS NAL units by id.
    pub fn vps_nals(&self) -> impl Iterator<Item = &Bytes> {
        self.vps.values()
    }

    /// SPS NAL units by id.
    pub fn sps_nals(&self) -> impl Iterator<Item = &Bytes> {
        self.sps.values().map(|(nal, _)| nal)
    }

    /// PPS NAL units by id.
    pub fn pps_nals(&self) -> impl Iterator<Item = &Bytes> {
        self.pps.values().map(|(nal, _)| nal)
    }

    /// VPS, SPS and PPS NAL units in the order they must be sent.
    pub fn nals(&self) -> impl Iterator<Item = &Bytes> {
        self.vps_nals().chain(self.sps_nals()).chain(self.pps_nals())
    }

    /// True when there is a PPS whose SPS and VPS are here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let sps_of = |(_, pps): &(Bytes, Pps)| self.sps(pps.sps_id).map(|sps| sps.vps_id);
        self.pps.values().filter_map(sps_of).any(|vps| self.vps.contains_key(&vps))
    }

    /// The `hvcC` of these sets with 4-byte lengths; `None` until [`ParameterSets::is_complete`].
    #[must_use]
    pub fn record(&self) -> Option<HevcDecoderConfigurationRecord> {
        let sps = self.last_sps().filter(|_| self.is_complete())?;
        Some(HevcDecoderConfigurationRecord::new(sps, self))
    }

    fn insert_vps(&mut self, nal: &Bytes) -> Result<Change, CodecError> {
        let mut reader = BitReader::new("H.265 VPS", nal);
        reader.skip(16)?;
        let id = reader.u8(4)?;
        if self.vps.get(&id) == Some(nal) {
            return Ok(Change::Same);
        }
        Ok(Change::of(self.vps.insert(id, nal.clone()).is_some()))
    }

    fn insert_sps(&mut self, nal: &Bytes) -> Result<Change, CodecError> {
        // Repeats come with every key frame, so bytes are compared before anything is parsed.
        if let Some(id) = self.sps.iter().find_map(|(id, (known, _))| (known == nal).then_some(*id)) {
            self.last_sps = Some(id);
            return Ok(Change::Same);
        }
        let sps = Sps::parse(nal)?;
        self.last_sps = Some(sps.id);
        Ok(Change::of(self.sps.insert(sps.id, (nal.clone(), sps)).is_some()))
    }

    fn insert_pps(&mut self, nal: &Bytes) -> Result<Change, CodecError> {
        let rbsp = unescape(nal.get(..PPS_HEAD_BYTES).unwrap_or(nal));
        let mut reader = BitReader::new("H.265 PPS", &rbsp);
        reader.skip(16)?;
        let id = reader.ue_u8(MAX_PPS_ID, "pps_pic_parameter_set_id")?;
        let sps_id = reader.ue_u8(MAX_SPS_ID, "pps_seq_parameter_set_id")?;
        reader.skip(1)?; // dependent_slice_segments_enabled_flag
        let pps = Pps { sps_id, output_flag_present: reader.flag()?, extra_slice_header_bits: reader.u8(3)? };
        if self.pps.get(&id).is_some_and(|(known, _)| known == nal) {
            return Ok(Change::Same);
        }
        Ok(Change::of(self.pps.insert(id, (nal.clone(), pps)).is_some()))
    }
}
