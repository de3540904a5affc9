//! Input that is no transport stream: what it is instead, and which element reads it.

use millstream_core::Error;

/// First bytes of a format, at an offset.
const SIGNATURES: [(usize, &[u8], &str); 9] = [
    (0, b"FLV\x01", "FLV: use flvdemux"),
    (4, b"ftyp", "MP4, which there is no demuxer for"),
    (4, b"styp", "a fragmented MP4 segment, which there is no demuxer for"),
    (0, b"\x1A\x45\xDF\xA3", "Matroska or WebM, which there is no demuxer for"),
    (0, b"#EXTM3U", "an HLS playlist: read the segments that it lists"),
    (0, b"\x00\x00\x01\xBA", "an MPEG program stream: remux it, for example with ffmpeg"),
    (0, b"OggS", "Ogg, which there is no demuxer for"),
    (0, b"\x00\x00\x00\x01", "a bare H.264 or H.265 stream: use h264parse or h265parse"),
    (0, b"RIFF", "WAV or AVI, which there is no demuxer for"),
];

/// Bytes that [`other_format`] looks at.
pub(super) const SNIFFED: usize = 12;

/// What the input is, if its first bytes say that it is something else.
pub(super) fn other_format(head: &[u8]) -> Option<Error> {
    let fits = |at: usize, signature: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(signature));
    let (_, _, name) = SIGNATURES.iter().find(|(at, signature, _)| fits(*at, signature))?;
    Some(no_transport_stream(0).hint(format!("this looks like {name}")))
}

/// No packet was found in so many bytes.
pub(super) fn no_transport_stream(bytes: u64) -> Error {
    match bytes {
        0 => Error::malformed("the input is no MPEG transport stream").at(0),
        _ => Error::malformed(format!(
            "the input is no MPEG transport stream: no packet begins in its first {bytes} bytes"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_demuxer_is_named() {
        let hint = |head: &[u8]| other_format(head).and_then(|error| error.hint_text().map(str::to_owned));
        assert!(hint(b"FLV\x01\x05\0\0\0\x09").unwrap().contains("flvdemux"));
        assert!(hint(b"\0\0\0\x20ftypisom").unwrap().contains("MP4"));
        assert_eq!(hint(b"\x47\x40\0\x10"), None);
        assert_eq!(hint(b""), None);
    }
}
