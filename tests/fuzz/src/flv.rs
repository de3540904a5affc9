//! FLV.

use bytes::Bytes;
use millstream_flv::wire::{FlvReader, TagKind, parse_audio, parse_video};

/// A stream in pieces, the last byte saying how large, so that any FLV file is a good seed. No byte is delivered or counted as dropped twice.
pub fn demux(data: &[u8]) {
    let Some((&last, stream)) = data.split_last() else { return };
    let piece = usize::from(last).max(1) * 7;
    let stream = Bytes::copy_from_slice(stream);
    let mut reader = FlvReader::new();
    let mut delivered = 0;
    for start in (0..stream.len()).step_by(piece) {
        reader.push(stream.slice(start..stream.len().min(start + piece)));
        delivered += drain(&mut reader);
    }
    reader.finish();
    delivered += drain(&mut reader);
    let accounted = delivered as u64 + reader.stats().dropped_bytes;
    assert!(accounted <= stream.len() as u64, "{accounted} bytes delivered or dropped of {}", stream.len());
}

fn drain(reader: &mut FlvReader) -> usize {
    let mut bytes = 0;
    while let Ok(Some(tag)) = reader.next() {
        bytes += tag.body.len();
        // Refusing a body is fine; only the payloads of one that was taken are looked at.
        match tag.kind {
            TagKind::Audio => _ = parse_audio(&tag.body),
            TagKind::Video => _ = parse_video(&tag.body),
            _ => {}
        }
    }
    bytes
}
