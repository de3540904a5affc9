//! What a stream that is not FLV looks like.

/// A hint for the user whose input is not FLV, from its first bytes.
pub(super) fn hint(head: &[u8]) -> &'static str {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let packets = |first: usize, size: usize| at(first, b"G") && (head.len() <= first + size || at(first + size, b"G"));
    match head {
        _ if packets(0, 188) || packets(4, 192) => "this looks like MPEG-TS; use tsdemux",
        _ if at(4, b"ftyp") || at(4, b"moov") || at(4, b"styp") => {
            "this looks like MP4; remux it to FLV or MPEG-TS first"
        }
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "this looks like Matroska or WebM; remux it to FLV or MPEG-TS first",
        [b'F' | b'C' | b'Z', b'W', b'S', ..] => "this looks like an SWF animation, which holds no FLV stream",
        [0, 0, 1, 0xBA, ..] => "this looks like an MPEG program stream; remux it to MPEG-TS first",
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => {
            "this looks like an H.264 or H.265 elementary stream; use h264parse or h265parse"
        }
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => "this looks like an AAC (ADTS) stream; use aacparse",
        _ if at(0, b"ID3") => "this looks like an audio stream with an ID3 tag; use aacparse or mpegaudioparse",
        _ if at(0, b"#EXTM3U") => "this is an HLS playlist, not media: open the address of a stream",
        _ if at(0, b"OggS") || at(0, b"RIFF") => "this looks like another container; remux it to FLV first",
        _ if at(0, b"HTTP/") || at(0, b"<") => "this looks like a web page: check the address",
        [] => "the input is empty",
        _ => "flvdemux reads FLV files and streams, which begin with the letters FLV",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_it_sees() {
        let ts = [&[0x47][..], &[0; 187], &[0x47]].concat();
        let m2ts = [&[0, 0, 0, 0, 0x47][..], &[0; 191], &[0x47]].concat();
        assert!(hint(&ts).contains("tsdemux") && hint(&m2ts).contains("tsdemux"));
        assert!(!hint(b"Good morning").contains("mpegts"));
        assert!(hint(b"\0\0\0\x20ftypisom").contains("MP4"));
        assert!(hint(b"\0\0\0\x01\x67\x64").contains("h264parse"));
        assert!(hint(b"\xff\xf1\x50").contains("aacparse"));
        assert!(hint(b"<html>").contains("web page"));
        assert!(hint(b"").contains("empty"));
    }
}
