//! The parameter sets in force: by id, with the NAL units they came in.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::CodecError;
use crate::h264::{AvcDecoderConfigurationRecord, NalType, Pps, Sps};
use crate::video::Change;

/// A store of SPS and PPS by id. The ids bound its size: 32 and 256 entries.
#[derive(Debug, Clone, Default)]
pub struct ParameterSets {
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

    /// Stores the unit if it is an SPS or PPS and says what changed.
    ///
    /// # Errors
    /// A parameter set that cannot be read; the store stays as it was.
    pub fn insert(&mut self, nal: &Bytes) -> Result<Change, CodecError> {
        match NalType::of(nal) {
            Some(NalType::Sps) => self.insert_sps(nal),
            Some(NalType::Pps) => self.insert_pps(nal),
            _ => Ok(Change::NotASet),
        }
    }

    /// Takes over all sets of a configuration record; true when any was new.
    ///
    /// # Errors
    /// A parameter set that cannot be read; those before it are stored.
    pub fn insert_record(&mut self, record: &AvcDecoderConfigurationRecord) -> Result<bool, CodecError> {
        let mut news = false;
        for nal in record.sps.iter().chain(&record.pps) {
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

    /// SPS and PPS NAL units in the order they must be sent.
    pub fn nals(&self) -> impl Iterator<Item = &Bytes> {
        self.sps.values().map(|(nal, _)| nal).chain(self.pps.values().map(|(nal, _)| nal))
    }

    /// True when there is at least one PPS whose SPS is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.pps.values().any(|(_, pps)| self.sps.contains_key(&pps.sps_id))
    }

    /// The `avcC` of these sets with 4-byte lengths; `None` until [`ParameterSets::is_complete`].
    #[must_use]
    pub fn record(&self) -> Option<AvcDecoderConfigurationRecord> {
        let sps = self.last_sps().filter(|_| self.is_complete())?;
        let sps_nals = self.sps.values().map(|(nal, _)| nal.clone()).collect();
        let pps_nals = self.pps.values().map(|(nal, _)| nal.clone()).collect();
        Some(AvcDecoderConfigurationRecord::new(sps, sps_nals, pps_nals))
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
        if self.pps.values().any(|(known, _)| known == nal) {
            return Ok(Change::Same);
        }
        let pps = Pps::parse(nal)?;
        Ok(Change::of(self.pps.insert(pps.id, (nal.clone(), pps)).is_some()))
    }
}
