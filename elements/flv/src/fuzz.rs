//! Fuzz bodies: each takes any bytes and asserts what holds for all of them.

use bytes::Bytes;
use millstream_core::inbox::Inbox;
use millstream_core::item::SegmentFormat;
use millstream_core::registry::LinkedPad;
use millstream_core::{
    Aggregate, Buffer, CapsSet, Flow, Item, Need, Output, PadId, PadSet, Result, Time, TimeDelta, Transform,
};

use crate::demux::{FlvDemux, FlvDemuxSettings};
use crate::mux::{FlvMux, FlvMuxSettings, MuxTimestamps};

/// Tracks that are looked at.
const PADS: [&str; 5] = ["video", "audio", "video_1", "audio_1", "script"];
/// Calls without input after which an element is taken to run for ever.
const MAX_CALLS: usize = 1 << 20;

fn pads() -> Vec<LinkedPad> {
    let pad = |(id, name): (u16, &&str)| LinkedPad {
        id: PadId(id),
        name: (*name).to_owned(),
        allowed: CapsSet::Any,
        random_write: false,
    };
    (0..).zip(&PADS).map(pad).collect()
}

/// What the demuxer makes of a stream in pieces, up to its end or the first error.
fn demux(stream: &Bytes, piece: usize) -> Vec<(PadId, Item)> {
    let mut out = Output::new(1, PADS.len() as u16);
    let mut items = Vec::new();
    let Ok(mut demux) = FlvDemux::new(&FlvDemuxSettings::default(), &pads()) else { return items };
    let pieces = (0..stream.len()).step_by(piece.max(1));
    let buffers =
        pieces.map(|at| Item::buffer(Buffer::new(stream.slice(at..stream.len().min(at.saturating_add(piece))))));
    for item in buffers.chain([Item::Eos]) {
        let handled = handle(&mut demux, item, &mut out, &mut items);
        if handled.is_err() {
            break;
        }
    }
    items
}

fn handle(demux: &mut FlvDemux, item: Item, out: &mut Output, items: &mut Vec<(PadId, Item)>) -> Result<()> {
    let mut flow = demux.handle(PadId::FIRST, item, out)?;
    for _ in 0..MAX_CALLS {
        items.extend(out.drain());
        out.clear();
        if flow == Flow::Done {
            return Ok(());
        }
        flow = demux.resume(out)?;
    }
    panic!("flvdemux has more and more output")
}

/// The file that the muxer makes of what the demuxer gave.
fn mux(items: &[(PadId, Item)]) -> Result<Bytes> {
    let settings =
        FlvMuxSettings { timestamps: MuxTimestamps::Keep, nanoseconds: true, index: 10, ..FlvMuxSettings::default() };
    let mut mux = FlvMux::new(&settings, &pads(), true)?;
    let (mut out, mut inbox) = (Output::new(PADS.len() as u16, 1), Inbox::new(PADS.len()));
    let mut sent = Vec::new();
    mux.start(&mut out)?;
    let absent = (0..PADS.len() as u16).map(PadId).filter(|pad| !items.iter().any(|(from, _)| from == pad));
    absent.for_each(|pad| inbox.put(pad, Item::Absent));
    let ends = (0..PADS.len() as u16).map(|pad| (PadId(pad), Item::Eos));
    let mut wanted = PadSet::from_iter((0..PADS.len() as u16).map(PadId));
    for (pad, item) in items.iter().cloned().chain(ends) {
        let wakes = wanted.contains(pad) || matches!(item, Item::Eos);
        inbox.put(pad, item);
        for _ in 0..MAX_CALLS {
            if !wakes {
                break;
            }
            let need = mux.step(&mut inbox, Time::ZERO, &mut out)?;
            sent.extend(out.drain());
            out.clear();
            match need {
                Need::Again => {}
                Need::Done => return Ok(written(&sent)),
                Need::Pads(pads) | Need::PadsUntil(pads, _) | Need::Wake(pads) => {
                    wanted = pads;
                    break;
                }
            }
        }
    }
    panic!("flvmux does not end when all its inputs have ended")
}

/// The file, with what was rewritten in its place.
fn written(items: &[(PadId, Item)]) -> Bytes {
    let (mut file, mut at) = (Vec::new(), 0);
    for (_, item) in items {
        match item {
            Item::Segment(segment) if segment.format == SegmentFormat::Bytes => at = segment.offset as usize,
            Item::Buffer(buffer) => {
                let bytes = buffer.payload.contiguous();
                let end = at + bytes.len();
                file.resize(file.len().max(end), 0);
                file[at..end].copy_from_slice(&bytes);
                at = end;
            }
            _ => {}
        }
    }
    file.into()
}

/// What has to survive: bytes, key flag and the distance of presentation and decoding.
type Kept = (Bytes, bool, TimeDelta);

fn kept(items: &[(PadId, Item)], pad: PadId) -> Vec<Kept> {
    let of = |item: &Item| match item {
        Item::Buffer(buffer) => {
            let ahead = buffer.pts.unwrap_or_default().since(buffer.dts.unwrap_or_default());
            Some((buffer.payload.contiguous(), buffer.is_keyframe(), ahead))
        }
        _ => None,
    };
    items.iter().filter(|(from, _)| *from == pad).filter_map(|(_, item)| of(item)).collect()
}

/// A stream in pieces, the last byte saying how large. Every pad's stream begins with its start and has caps and a segment ahead
/// of media, no byte comes out twice, and nothing follows the end.
pub fn flv_demux(data: &[u8]) {
    let Some((&last, stream)) = data.split_last() else { return };
    let stream = Bytes::copy_from_slice(stream);
    let items = demux(&stream, usize::from(last).max(1) * 7);
    let mut media = 0;
    for pad in (0..PADS.len() as u16).map(PadId) {
        let (mut heard, mut ended) = ([false; 3], false);
        for (_, item) in items.iter().filter(|(from, _)| *from == pad) {
            assert!(!ended, "{} behind the end", item.name());
            match item {
                Item::StreamStart(_) => heard[0] = true,
                Item::Caps(_) => heard[1] = true,
                Item::Segment(_) => heard[2] = true,
                Item::Buffer(buffer) => {
                    assert_eq!(heard, [true; 3], "media ahead of start, caps or segment");
                    media += buffer.payload.len();
                }
                Item::Eos => ended = true,
                _ => {}
            }
        }
    }
    assert!(media <= stream.len(), "{media} bytes of {}", stream.len());
}

/// What is demuxed, muxed and demuxed again is the same.
pub fn flv_round_trip(data: &[u8]) {
    let stream = Bytes::copy_from_slice(data);
    let first = demux(&stream, stream.len().max(1));
    let file = mux(&first).expect("what comes out of FLV goes into FLV");
    let second = demux(&file, file.len());
    for (pad, name) in (0..).map(PadId).zip(PADS) {
        assert_eq!(kept(&first, pad), kept(&second, pad), "{name}");
    }
}

#[cfg(test)]
mod tests {
    use millstream_testkit::{manifest, media::media_bytes};

    #[test]
    fn flv_1_bodies_hold_for_the_small_files() {
        for row in manifest().rows().iter().filter(|row| row.file.ends_with(".flv") && row.bytes < 300_000) {
            let file = media_bytes(&row.file).unwrap();
            super::flv_demux(&file);
            super::flv_round_trip(&file);
        }
    }
}
