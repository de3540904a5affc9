//! Program config element (ISO/IEC 14496-3 4.4.1.1, table 4.2): the channels when `channelConfiguration` is 0.

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// Elements of each kind: their counts have four bits, `num_lfe_channels` two, `num_assoc_data_elements` three.
pub const MAX_PCE_ELEMENTS: usize = 15;

/// The channel elements of one program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgramConfig {
    /// `element_instance_tag`.
    pub tag: u8,
    /// `object_type`, the AAC profile: audio object type - 1.
    pub profile: u8,
    /// `sampling_frequency_index`.
    pub frequency_index: u8,
    /// Front elements: true for a channel pair, then the element's tag.
    pub front: Vec<(bool, u8)>,
    /// Side elements.
    pub side: Vec<(bool, u8)>,
    /// Back elements.
    pub back: Vec<(bool, u8)>,
    /// Tags of low-frequency elements.
    pub lfe: Vec<u8>,
    /// Tags of associated data elements.
    pub data: Vec<u8>,
    /// Coupling elements: `cc_element_is_ind_sw`, tag.
    pub coupling: Vec<(bool, u8)>,
    /// `mono_mixdown_element_number`.
    pub mono_mixdown: Option<u8>,
    /// `stereo_mixdown_element_number`.
    pub stereo_mixdown: Option<u8>,
    /// `matrix_mixdown_idx`, `pseudo_surround_enable`.
    pub matrix_mixdown: Option<(u8, bool)>,
    /// `comment_field_data`.
    pub comment: Vec<u8>,
}

impl ProgramConfig {
    /// Reads an element. `byte_alignment()` counts from `start`, the bit where the enclosing structure begins.
    pub(crate) fn read(reader: &mut BitReader<'_>, start: usize) -> Result<Self, CodecError> {
        let (tag, profile, frequency_index) = (reader.u8(4)?, reader.u8(2)?, reader.u8(4)?);
        let (front, side, back) = (reader.u8(4)?, reader.u8(4)?, reader.u8(4)?);
        let (lfe, data, coupling) = (reader.u8(2)?, reader.u8(3)?, reader.u8(4)?);
        let mono_mixdown = if reader.flag()? { Some(reader.u8(4)?) } else { None };
        let stereo_mixdown = if reader.flag()? { Some(reader.u8(4)?) } else { None };
        let matrix_mixdown = if reader.flag()? { Some((reader.u8(2)?, reader.flag()?)) } else { None };
        let mut element = Self {
            front: pairs(reader, front)?,
            side: pairs(reader, side)?,
            back: pairs(reader, back)?,
            lfe: tags(reader, lfe)?,
            data: tags(reader, data)?,
            coupling: pairs(reader, coupling)?,
            tag,
            profile,
            frequency_index,
            mono_mixdown,
            stereo_mixdown,
            matrix_mixdown,
            comment: Vec::new(),
        };
        let used = reader.position().saturating_sub(start);
        reader.skip(used.next_multiple_of(8) - used)?;
        let comment = reader.u8(8)?;
        element.comment = (0..comment).map(|_| reader.u8(8)).collect::<Result<_, _>>()?;
        Ok(element)
    }

    /// Writes the element into a structure that begins at the writer's start.
    pub(crate) fn write(&self, writer: &mut BitWriter) {
        writer.u(self.tag.into(), 4);
        writer.u(self.profile.into(), 2);
        writer.u(self.frequency_index.into(), 4);
        let counts = [
            (self.front.len(), 4),
            (self.side.len(), 4),
            (self.back.len(), 4),
            (self.lfe.len(), 2),
            (self.data.len(), 3),
            (self.coupling.len(), 4),
        ];
        counts.iter().for_each(|(count, bits)| writer.u(*count as u64, *bits));
        for mixdown in [self.mono_mixdown, self.stereo_mixdown] {
            writer.flag(mixdown.is_some());
            if let Some(element) = mixdown {
                writer.u(element.into(), 4);
            }
        }
        writer.flag(self.matrix_mixdown.is_some());
        if let Some((index, surround)) = self.matrix_mixdown {
            writer.u(index.into(), 2);
            writer.flag(surround);
        }
        self.write_elements(writer);
        writer.align();
        writer.u(self.comment.len() as u64, 8);
        writer.bytes(&self.comment);
    }

    /// Channels: pairs count twice, low-frequency elements once.
    #[must_use]
    pub fn channels(&self) -> u8 {
        let elements = self.front.iter().chain(&self.side).chain(&self.back);
        let count = elements.map(|(pair, _)| if *pair { 2 } else { 1 }).sum::<usize>() + self.lfe.len();
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    fn write_elements(&self, writer: &mut BitWriter) {
        let pairs = |elements: &[(bool, u8)], writer: &mut BitWriter| {
            for (flag, tag) in elements {
                writer.flag(*flag);
                writer.u((*tag).into(), 4);
            }
        };
        pairs(&self.front, writer);
        pairs(&self.side, writer);
        pairs(&self.back, writer);
        self.lfe.iter().chain(&self.data).for_each(|tag| writer.u((*tag).into(), 4));
        pairs(&self.coupling, writer);
    }
}

fn pairs(reader: &mut BitReader<'_>, count: u8) -> Result<Vec<(bool, u8)>, CodecError> {
    (0..count).map(|_| Ok((reader.flag()?, reader.u8(4)?))).collect()
}

fn tags(reader: &mut BitReader<'_>, count: u8) -> Result<Vec<u8>, CodecError> {
    (0..count).map(|_| reader.u8(4)).collect()
}
