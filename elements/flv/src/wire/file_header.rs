//! The file header (FLV 10.1 E.2): `"FLV" version flags data_offset`.

use bytes::BufMut;

use super::error::FlvError;

/// The header at the start of a file.
///
/// ```text
///  0      3        4       5                9
/// +------+--------+-------+----------------+
/// | FLV  | ver=1  | flags | DataOffset BE  |
/// +------+--------+-------+----------------+
///                  bit 2: audio, bit 0: video
/// ```
///
/// The flags are a promise that many writers break, so readers must find the tracks from the tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// File version, 1.
    pub version: u8,
    /// The header says that audio tags follow.
    pub has_audio: bool,
    /// The header says that video tags follow.
    pub has_video: bool,
    /// Where the body starts, in bytes from the start of this header; 9 for version 1.
    pub data_offset: u32,
}

impl FileHeader {
    /// Bytes of a version 1 header.
    pub const LEN: usize = 9;

    /// Flag bit of `TypeFlagsAudio`.
    const AUDIO: u8 = 0x04;
    /// Flag bit of `TypeFlagsVideo`.
    const VIDEO: u8 = 0x01;

    /// A version 1 header.
    pub fn new(has_audio: bool, has_video: bool) -> Self {
        Self { version: 1, has_audio, has_video, data_offset: Self::LEN as u32 }
    }

    /// Reads the first nine bytes of a file; `offset` is where they stand, for the error.
    ///
    /// # Errors
    /// [`FlvError::Signature`] if they do not begin with `FLV`. Wrong flags, versions and sizes are not errors.
    pub fn parse(bytes: &[u8; Self::LEN], offset: u64) -> Result<Self, FlvError> {
        let [s0, s1, s2, version, flags, o0, o1, o2, o3] = *bytes;
        if [s0, s1, s2] != *b"FLV" {
            return Err(FlvError::Signature { offset, found: [s0, s1, s2] });
        }
        Ok(Self {
            version,
            has_audio: flags & Self::AUDIO != 0,
            has_video: flags & Self::VIDEO != 0,
            data_offset: u32::from_be_bytes([o0, o1, o2, o3]),
        })
    }

    /// Appends the header. The caller appends `PreviousTagSize0` itself.
    pub fn write(&self, out: &mut impl BufMut) {
        let audio = if self.has_audio { Self::AUDIO } else { 0 };
        let video = if self.has_video { Self::VIDEO } else { 0 };
        out.put_slice(b"FLV");
        out.put_u8(self.version);
        out.put_u8(audio | video);
        out.put_u32(self.data_offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flv_1_header_reads_and_writes_the_bytes_of_the_standard() {
        let wire = *b"FLV\x01\x05\0\0\0\x09";
        let header = FileHeader::parse(&wire, 0).unwrap();
        assert_eq!(header, FileHeader::new(true, true));
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out, wire);
        out.clear();
        FileHeader::new(true, false).write(&mut out);
        assert_eq!(out, b"FLV\x01\x04\0\0\0\x09");
    }

    #[test]
    fn flv_1_other_signature_is_an_error() {
        let error = FileHeader::parse(b"FLX\x01\x05\0\0\0\x09", 7).unwrap_err();
        assert_eq!(error, FlvError::Signature { offset: 7, found: *b"FLX" });
    }
}
