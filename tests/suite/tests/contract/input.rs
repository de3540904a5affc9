//! Real streams to feed pads with.

use std::sync::OnceLock;

use bytes::Bytes;
use millstream_core::{Buffer, BufferFlags, Caps, Item, Segment, StreamInfo, Time, TimeDelta};
use millstream_testkit::{MemFs, fixture};
use millstream_tests::elements;
use millstream_tests::random::{Random, damaged};
use millstream_tests::sim;

/// Buffers of samples, 21 ms each.
const SOUNDS: usize = 30;

/// A stream to feed a pad with.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) caps: Caps,
    pub(crate) buffers: Vec<Buffer>,
    /// Bytes that a file source gives, without timestamps.
    pub(crate) plain: bool,
}

impl Input {
    pub(crate) fn opaque() -> Self {
        let buffer = |n: i64| {
            let time = Some(Time::from_millis(40 * n));
            let mut flags = BufferFlags::empty();
            flags.set(BufferFlags::KEYFRAME, n % 5 == 0);
            Buffer { duration: Some(TimeDelta::from_millis(40)), ..Buffer::new(vec![n as u8; 100]) }
                .with_times(time, time)
                .with_flags(flags)
        };
        Self { caps: Caps::new("application/octet-stream"), buffers: (0..30).map(buffer).collect(), plain: false }
    }

    pub(crate) fn file(caps: &str, name: &str, step: usize) -> Self {
        let bytes = Bytes::from(std::fs::read(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}")));
        let piece = |at| Buffer { offset: Some(at as u64), ..Buffer::new(bytes.slice(at..bytes.len().min(at + step))) };
        let buffers = (0..bytes.len()).step_by(step).map(piece).collect();
        Self { caps: caps.parse().unwrap_or_else(|e| panic!("{caps}: {e}")), buffers, plain: true }
    }

    pub(crate) fn head(&self, pad: &str) -> Vec<Item> {
        let segment = if self.plain { Segment::bytes(0) } else { Segment::time(Time::ZERO) };
        vec![
            Item::StreamStart(StreamInfo { id: pad.to_owned(), language: None }.into()),
            Item::Caps(self.caps.clone()),
            Item::Segment(segment.into()),
        ]
    }

    pub(crate) fn items(&self, pad: &str) -> Vec<Item> {
        let mut items = self.head(pad);
        items.extend(self.buffers.iter().cloned().map(Item::buffer));
        items
    }

    pub(crate) fn damaged(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        // From one byte in 4 to one in 8192, far apart from seed to seed.
        let every = 1 << (2 + 5 * seed % 12);
        let buffers = self.buffers.iter().filter_map(|buffer| {
            let mut bytes = damaged(&buffer.payload.contiguous(), every, &mut random);
            if random.one_in(8) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes.truncate(at);
            }
            let mut buffer = Buffer { payload: bytes.into(), ..buffer.clone() };
            if random.one_in(9) {
                (buffer.pts, buffer.dts) = (Some(Time::from_nanos(random.next() as i64)), None);
            }
            (!random.one_in(10)).then_some(buffer)
        });
        Self { buffers: buffers.collect(), ..self.clone() }
    }
}

/// Real streams of every kind that our demuxers and parsers make of the fixtures.
pub(crate) fn stock() -> &'static [Input] {
    static STOCK: OnceLock<Vec<Input>> = OnceLock::new();
    STOCK.get_or_init(|| {
        let mut stock = vec![
            Input::file("video/x-flv", "h264b_aac48s_10s.flv", 32 << 10),
            Input::file("video/x-flv", "ehevc_aac.flv", 1000),
            Input::file("video/x-flv", "eav1_opus.flv", 4096),
            Input::file("video/mpegts", "h264b_aac48s_10s.ts", 188 * 7),
            Input::file("video/quicktime", "h264b_aac48s_2s_faststart.mp4", 32 << 10),
            Input::file("video/quicktime", "h264b_aac48s_2s_frag.mp4", 1000),
            Input::file("video/mpegts", "ts_lost_packets.ts", 1 << 20),
        ];
        let registry = elements::registry();
        let names: Vec<&str> = registry.iter().map(|factory| factory.name).collect();
        let fs = MemFs::new();
        for (file, demux) in [
            ("h264b_aac48s_10s.flv", "flvdemux"),
            ("ehevc_aac.flv", "flvdemux"),
            ("eav1_opus.flv", "flvdemux"),
            ("evp9_opus.flv", "flvdemux"),
            ("h264b_aac48s_10s.ts", "tsdemux"),
            ("ts_lost_packets.ts", "tsdemux"),
        ] {
            if !names.contains(&demux) {
                continue;
            }
            fs.insert(file, std::fs::read(fixture(file)).unwrap_or_else(|e| panic!("{file}: {e}")));
            let caps = if demux == "tsdemux" { "video/mpegts" } else { "video/x-flv" };
            let head = format!("filesrc location={file} ! {caps} ! {demux} name=d d.");
            for kind in ["video", "audio"] {
                let run = sim::simulate(&fs, &format!("{head}{kind} ! collect name=out"));
                let Some(input) = input_of(&run) else { continue };
                let parsed = parsers(&input.caps).iter().filter(|(name, _)| names.contains(name));
                for (parser, format) in parsed {
                    let filter = if format.is_empty() { String::new() } else { format!("{format} ! ") };
                    let run = sim::simulate(&fs, &format!("{head}{kind} ! {parser} ! {filter}collect name=out"));
                    stock.extend(input_of(&run));
                }
                stock.push(input);
            }
        }
        let sound = "filesrc location=h264b_aac48s_10s.flv ! flvdemux name=d d.audio ! aacparse ! aacdec";
        let samples = ["", "audioconvert ! audio/x-raw,format=S16LE ! audioresample ! audio/x-raw,rate=22050 ! "];
        for samples in samples.into_iter().filter(|_| names.contains(&"aacdec")) {
            let line = format!("{sound} ! {samples}collect name=out");
            if let Some(mut samples) = input_of(&sim::simulate(&fs, &line)) {
                // Encoding without optimisation takes its time.
                samples.buffers.truncate(SOUNDS);
                stock.push(samples);
            }
        }
        stock
    })
}

/// Parsers that make further framings of a stream.
pub(crate) fn parsers(caps: &Caps) -> &'static [(&'static str, &'static str)] {
    match caps.media() {
        "video/x-h264" => &[
            ("h264parse", "video/x-h264,stream-format=byte-stream,alignment=au"),
            ("h264parse", "video/x-h264,stream-format=avc,alignment=au"),
        ],
        "video/x-h265" => &[
            ("h265parse", "video/x-h265,stream-format=byte-stream,alignment=au"),
            ("h265parse", "video/x-h265,stream-format=hvc1,alignment=au"),
        ],
        "audio/mpeg" => &[
            ("aacparse", "audio/mpeg,mpegversion=4,stream-format=adts"),
            ("aacparse", "audio/mpeg,mpegversion=4,stream-format=raw"),
        ],
        "audio/x-opus" => &[("opusparse", "")],
        "video/x-av1" => &[("av1parse", "")],
        _ => &[],
    }
}

pub(crate) fn input_of(run: &sim::Outcome) -> Option<Input> {
    let buffers: Vec<Buffer> = run.buffers("out").into_iter().cloned().collect();
    let caps = run.caps("out")?.clone();
    (!buffers.is_empty()).then_some(Input { caps, buffers, plain: false })
}
