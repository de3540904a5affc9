//! Descriptors: tagged pieces of a PMT. ISO/IEC 13818-1:2023, 2.6; ETSI EN 300 468, 6.2 for those of DVB.
//!
//! ```text
//! | tag(8) | length(8) | data |
//! ```

use crate::error::{ParseError, take_slice};

/// Tags of the descriptors that this crate reads or writes.
pub mod tag {
    /// registration_descriptor (ISO/IEC 13818-1, 2.6.8): four characters that say whose format it is.
    pub const REGISTRATION: u8 = 0x05;
    /// ISO_639_language_descriptor (2.6.18).
    pub const LANGUAGE: u8 = 0x0A;
    /// metadata_pointer_descriptor (2.6.58).
    pub const METADATA_POINTER: u8 = 0x25;
    /// metadata_descriptor (2.6.60).
    pub const METADATA: u8 = 0x26;
    /// AVC video descriptor (2.6.64).
    pub const AVC_VIDEO: u8 = 0x28;
    /// HEVC video descriptor (2.6.95).
    pub const HEVC_VIDEO: u8 = 0x38;
    /// Teletext (EN 300 468, 6.2.43).
    pub const DVB_TELETEXT: u8 = 0x56;
    /// Subtitles as pictures (EN 300 468, 6.2.41).
    pub const DVB_SUBTITLING: u8 = 0x59;
    /// AC-3 (EN 300 468, annex D.3).
    pub const DVB_AC3: u8 = 0x6A;
    /// E-AC-3 (EN 300 468, annex D.5).
    pub const DVB_EAC3: u8 = 0x7A;
    /// DTS (EN 300 468, annex G).
    pub const DVB_DTS: u8 = 0x7B;
    /// AAC (EN 300 468, annex H).
    pub const DVB_AAC: u8 = 0x7C;
    /// A further tag follows in the first byte of the data (EN 300 468, 6.4).
    pub const DVB_EXTENSION: u8 = 0x7F;
    /// AV1 video descriptor (AOM, Carriage of AV1 in MPEG-2 TS, 2.2); in the user private range.
    pub const AV1_VIDEO: u8 = 0x80;
    /// AC-3 audio (ATSC A/52, A3.4).
    pub const ATSC_AC3: u8 = 0x81;
    /// Extension tag of Opus, user private: the data is `0x80, channel_config_code` (Opus in MPEG-TS, v0.1.3 draft).
    pub const EXT_OPUS: u8 = 0x80;
}

/// One descriptor, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor<'a> {
    /// descriptor_tag.
    pub tag: u8,
    /// What follows the length.
    pub data: &'a [u8],
}

/// A loop of descriptors in its wire form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Descriptors(Vec<u8>);

impl Descriptors {
    /// No descriptors.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps a descriptor loop as it is on the wire. One that is cut at the end is seen by [`Self::iter`] as absent.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The wire form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a descriptor.
    ///
    /// # Errors
    /// If the data is longer than 255 bytes.
    pub fn push(&mut self, tag: u8, data: &[u8]) -> Result<(), ParseError> {
        let Ok(len) = u8::try_from(data.len()) else {
            return Err(ParseError::Invalid { what: "descriptor", at: 1, expected: "at most 255 bytes of data" });
        };
        self.0.extend_from_slice(&[tag, len]);
        self.0.extend_from_slice(data);
        Ok(())
    }

    /// The descriptors in order, up to the first that is cut.
    pub fn iter(&self) -> impl Iterator<Item = Descriptor<'_>> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (&[tag, len], body) = rest.split_first_chunk::<2>()?;
            let data = take_slice(body, 0, usize::from(len), "descriptor").ok()?;
            rest = &body[data.len()..];
            Some(Descriptor { tag, data })
        })
    }

    /// The data of the first descriptor with this tag.
    #[must_use]
    pub fn find(&self, tag: u8) -> Option<&[u8]> {
        self.iter().find(|d| d.tag == tag).map(|d| d.data)
    }

    /// The format_identifier of the registration descriptor: `Opus`, `AC-3`, `HEVC`, `CUEI` ...
    #[must_use]
    pub fn registration(&self) -> Option<[u8; 4]> {
        self.find(tag::REGISTRATION).and_then(|data| data.first_chunk::<4>().copied())
    }

    /// Whether any registration descriptor names this format; there may be several.
    #[must_use]
    pub fn is_registered(&self, format: &[u8; 4]) -> bool {
        self.iter().any(|d| d.tag == tag::REGISTRATION && d.data.starts_with(format))
    }

    /// The first language, as three characters of ISO 639-2.
    #[must_use]
    pub fn language(&self) -> Option<[u8; 3]> {
        self.find(tag::LANGUAGE).and_then(|data| data.first_chunk::<3>().copied())
    }

    /// channel_config_code of Opus, from its extension descriptor.
    #[must_use]
    pub fn opus_config(&self) -> Option<u8> {
        self.iter().filter(|d| d.tag == tag::DVB_EXTENSION).find_map(|d| match *d.data {
            [tag::EXT_OPUS, code, ..] => Some(code),
            _ => None,
        })
    }

    /// metadata_format_identifier of a metadata or metadata pointer descriptor with this tag: `ID3 `, `KLVA` ...
    #[must_use]
    pub fn metadata_format(&self, tag: u8) -> Option<[u8; 4]> {
        self.iter().filter(|d| d.tag == tag).find_map(|d| {
            // metadata_application_format 0xFFFF has an identifier of 4 bytes, then metadata_format 0xFF has one.
            let skip = if d.data.starts_with(&[0xFF, 0xFF]) { 6 } else { 2 };
            match d.data.get(skip..)? {
                [0xFF, id @ ..] => id.first_chunk::<4>().copied(),
                _ => None,
            }
        })
    }
}

/// Channels of an Opus `channel_config_code`, where it says so: 0 is dual mono, 1 to 8 are Vorbis layouts, 0x82 to 0x88 are so many
/// uncoupled channels; 0x81 is told by further fields.
#[must_use]
pub const fn opus_channels(code: u8) -> Option<u8> {
    match code {
        0 => Some(2),
        1..=8 => Some(code),
        0x82..=0x88 => Some(code & 0x0F),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_descriptor_ends_the_list() {
        let all = Descriptors::from_wire(&[0x0A, 4, b'd', b'e', b'u', 0, 0x05, 4, b'H', b'E']);
        assert_eq!(all.language(), Some(*b"deu"));
        assert_eq!(all.iter().count(), 1);
        assert_eq!(all.registration(), None);
    }

    #[test]
    fn ts_12_metadata_format_behind_an_application_identifier() {
        // As Apple's timed metadata specification has it: application format 0xFFFF 'ID3 ', format 0xFF 'ID3 '.
        let mut all = Descriptors::new();
        all.push(tag::METADATA, b"\xFF\xFFID3 \xFFID3 \x00\x0F").unwrap();
        assert_eq!(all.metadata_format(tag::METADATA), Some(*b"ID3 "));
        assert_eq!(all.metadata_format(tag::METADATA_POINTER), None);
    }

    #[test]
    fn ts_11_opus_config_and_channels() {
        let mut all = Descriptors::new();
        all.push(tag::REGISTRATION, b"Opus").unwrap();
        all.push(tag::DVB_EXTENSION, &[0x80, 2]).unwrap();
        assert_eq!(all.opus_config().and_then(opus_channels), Some(2));
        assert_eq!(opus_channels(0), Some(2));
        assert_eq!(opus_channels(0x86), Some(6));
        assert_eq!(opus_channels(0x81), None);
    }

    #[test]
    fn data_longer_than_a_byte_says_is_refused() {
        assert!(Descriptors::new().push(0x05, &[0; 256]).is_err());
    }
}
