//! Fuzz bodies: a parser element with any bytes as its configuration, as one buffer and as a stream in pieces.
//!
//! The last byte says which of them, and how long the pieces are.

use bytes::Bytes;
use millstream_core::bus::MessageKind;
use millstream_core::caps::field;
use millstream_core::output::Effect;
use millstream_core::{Buffer, Caps, CapsSet, Item, Output, PadId, Time, Transform};

use crate::elements::{aacparse, av1parse, frameparse, h264parse, h265parse, opusparse};

type Make = fn(CapsSet) -> Box<dyn Transform>;

/// Caps of the input, then what is allowed behind.
type Case = (&'static str, &'static str);

/// What came out.
#[derive(Default)]
struct Tally {
    buffers: usize,
    bytes: usize,
    dropped: u64,
}

/// `h264parse`.
pub fn h264parse(data: &[u8]) {
    const CASES: &[Case] = &[
        ("", "video/x-h264, stream-format=avc"),
        ("", "ANY"),
        ("video/x-h264, stream-format=byte-stream, alignment=au", "video/x-h264, stream-format=avc3"),
        ("video/x-h264, stream-format=avc", "video/x-h264, stream-format=byte-stream"),
        ("video/x-h264, stream-format=avc", "ANY"),
    ];
    cases(data, CASES, |allowed| h264parse::transform(&Default::default(), allowed), false);
}

/// `h265parse`.
pub fn h265parse(data: &[u8]) {
    const CASES: &[Case] = &[
        ("", "video/x-h265, stream-format=hvc1"),
        ("", "ANY"),
        ("video/x-h265, stream-format=byte-stream, alignment=au", "video/x-h265, stream-format=hev1"),
        ("video/x-h265, stream-format=hvc1", "video/x-h265, stream-format=byte-stream"),
        ("video/x-h265, stream-format=hev1", "ANY"),
    ];
    cases(data, CASES, |allowed| h265parse::transform(&Default::default(), allowed), false);
}

/// `av1parse`.
pub fn av1parse(data: &[u8]) {
    const CASES: &[Case] = &[("", "ANY"), ("video/x-av1, alignment=tu", "ANY")];
    let adds = av1parse::Av1ParseSettings { temporal_delimiters: av1parse::TemporalDelimiters::Add, framerate: None };
    let removes = av1parse::TemporalDelimiters::Remove;
    cases(data, CASES, |_| av1parse::transform(&Default::default()), false);
    let make: [Box<dyn Transform>; 2] = [
        av1parse::transform(&adds),
        av1parse::transform(&av1parse::Av1ParseSettings { temporal_delimiters: removes, framerate: None }),
    ];
    for mut parser in make {
        run(&mut *parser, "video/x-av1, alignment=tu", data, data.len().max(1));
    }
}

/// `aacparse`.
pub fn aacparse(data: &[u8]) {
    const CASES: &[Case] = &[
        ("", "audio/mpeg, stream-format=raw"),
        ("audio/mpeg, mpegversion=4, stream-format=loas", "ANY"),
        ("audio/mpeg, mpegversion=4, stream-format=raw", "audio/mpeg, stream-format=adts"),
    ];
    cases(data, CASES, aacparse::transform, false);
    cases(data, &[("", "audio/mpeg, stream-format=adts")], aacparse::transform, true);
}

/// `mpegaudioparse`.
pub fn mpegaudioparse(data: &[u8]) {
    cases(data, &[("", "ANY")], |_| frameparse::mpegaudio_transform(), true);
}

/// `ac3parse`.
pub fn ac3parse(data: &[u8]) {
    cases(data, &[("", "ANY")], |_| frameparse::ac3_transform(), true);
}

/// `opusparse`, and the descriptor that MPEG-TS has instead of an `OpusHead`.
pub fn opusparse(data: &[u8]) {
    cases(data, &[("audio/x-opus", "ANY")], |_| opusparse::transform(), false);
    if let Ok(head) = crate::opus::head_from_ts_descriptor(data) {
        assert_eq!(crate::opus::OpusHead::parse(&head.write()).as_ref(), Ok(&head), "a header reads back");
    }
}

/// Runs all cases. `conserves`: what comes out and what was dropped make up what came in.
fn cases(data: &[u8], cases: &[Case], make: Make, conserves: bool) {
    let Some((choice, stream)) = data.split_last() else { return };
    let piece = 1 + usize::from(*choice) * 5;
    for (caps, allowed) in cases {
        let made = || make(allowed.parse().expect("caps of a fuzz body can be read"));
        for piece in [piece, stream.len().max(1)] {
            let tally = run(&mut *made(), caps, stream, piece);
            if conserves {
                assert_eq!(tally.bytes as u64 + tally.dropped, stream.len() as u64, "every byte is sent or counted");
            }
        }
        if !caps.is_empty() {
            configure(&mut *made(), caps, stream);
        }
    }
}

/// The bytes as codec data, and then as a buffer.
fn configure(parser: &mut dyn Transform, caps: &str, data: &[u8]) {
    let caps: Caps = caps.parse().expect("caps of a fuzz body can be read");
    let mut out = Output::new(1, 1);
    let caps = caps.with(field::CODEC_DATA, Bytes::copy_from_slice(data));
    // Refused caps are fine; whoever takes them has to go on.
    if parser.handle(PadId::FIRST, Item::Caps(caps), &mut out).is_ok() {
        let buffer = Buffer::new(Bytes::copy_from_slice(data));
        let _ = parser.handle(PadId::FIRST, Item::buffer(buffer), &mut out);
    }
}

fn run(parser: &mut dyn Transform, caps: &str, data: &[u8], piece: usize) -> Tally {
    let (mut tally, mut announced) = (Tally::default(), false);
    let data = Bytes::copy_from_slice(data);
    let caps = (!caps.is_empty()).then(|| Item::Caps(caps.parse().expect("caps of a fuzz body can be read")));
    let pieces = (0..data.len()).step_by(piece).map(|at| {
        let time = Some(Time::from_millis(at as i64)).filter(|_| at % 3 == 0);
        let buffer = Buffer::new(data.slice(at..data.len().min(at + piece))).with_times(time, None);
        Item::buffer(Buffer { offset: Some(at as u64), ..buffer })
    });
    let mut out = Output::new(1, 1);
    for item in caps.into_iter().chain(pieces).chain([Item::Eos]) {
        let handled = parser.handle(PadId::FIRST, item, &mut out);
        for effect in out.effects().drain(..) {
            if let Effect::Post(MessageKind::Dropped(dropped)) = effect {
                tally.dropped += dropped.bytes;
            }
        }
        for (_, item) in out.drain() {
            announced |= matches!(item, Item::Caps(_));
            if let Item::Buffer(buffer) = item {
                assert!(announced, "caps come before buffers");
                assert!(!buffer.payload.is_empty(), "no buffer is empty");
                tally.buffers += 1;
                tally.bytes += buffer.payload.len();
            }
        }
        if handled.is_err() {
            break;
        }
    }
    assert!(tally.buffers <= data.len(), "no more frames than bytes");
    tally
}
