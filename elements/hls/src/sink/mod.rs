//! `hlssink`: writes a playlist and its segments into a directory.
//!
//! | file | what |
//! | --- | --- |
//! | `settings.rs` | what the user sets, checked |
//! | `name.rs` | names of segments, and what a URI makes of them |
//! | `store.rs` | files: nothing is visible under its final name before it is whole |
//! | `presentation.rs` | segments and playlist in step |
//! | `multivariant.rs` | the playlist of several renditions |
//! | `describe.rs` | what that says of a stream |
//! | `serve.rs` | the presentation on the HTTP listener that elements share |
//! | `streams.rs` | the element with one pad for each elementary stream |
//! | `transport.rs` | the element with one pad for a transport stream |
//! | `splitter.rs` | finds the places in a transport stream where a segment can begin |

mod audience;
mod describe;
mod multivariant;
mod name;
mod presentation;
mod serve;
mod settings;
mod splitter;
mod store;
mod streams;
mod transport;

use std::path::PathBuf;

use millstream_core::registry::Resource;
use millstream_core::{BuildCx, Element, Error, Factory, PadTemplate, Registry, Result};

pub use name::{NameError, SegmentName};
pub use settings::{HlsSinkSettings, PlaylistTypeSetting};

use presentation::Presentation;
use streams::StreamsSink;
use transport::TransportSink;

const VIDEO_CAPS: &str = "video/x-h264, stream-format=byte-stream, alignment=au; \
                          video/x-h265, stream-format=byte-stream, alignment=au";
const AUDIO_CAPS: &str = "audio/mpeg, mpegversion={ 2, 4 }, stream-format=adts; audio/mpeg, mpegversion=1; \
                          audio/x-ac3; audio/x-eac3; audio/x-opus";

const DETAILS: &str = "\
Segments are MPEG transport streams (RFC 8216, section 3.2). A segment appears under its final name only when it is whole, \
and the playlist is replaced atomically after it.

- `window: 12s` is a live playlist that lists the last twelve seconds; a segment is deleted one playlist's length after it left. \
`window: 0s` keeps everything.
- A group of pictures longer than EXT-X-TARGETDURATION is cut at a picture that is no key frame, with a warning, unless \
`independent-segments` forbids it.
- A new run goes on with the numbers of the segments on disk and marks a discontinuity. A complete presentation that keeps \
everything (`window: 0s` and EXT-X-ENDLIST), and a VOD, is replaced instead.
- Give it either elementary streams (`video`, `audio`, `audio_%u`) or one transport stream (`sink`).
- `serve: ADDRESS` serves playlist and segments on the HTTP listener that elements share: to any page (CORS), whole or in ranges, playlists by gzip where that is taken, what left \
the window as long as it is there, and after the end for the length of the playlist while the program goes on. Nothing else in the \
directory is served. Players are counted that asked for something within three target durations, told apart by address and User-Agent.
- Several that name the same `multivariant` file are renditions of one presentation. It is written when each has a playlist, with CODECS, \
RESOLUTION, FRAME-RATE and the peak and average BANDWIDTH of what was written so far. With `serve` it is served beside them. Let the \
encoders put their key frames at the same times.
- Each segment is told on the bus as element message `hls-segment`.
- HEVC in transport streams plays in hls.js and ffmpeg, not in Apple's players; Opus in few players at all.";

/// The pad for a stream that is multiplexed already.
const TRANSPORT_PAD: &str = "sink";

/// Adds this crate's elements.
pub fn register(registry: &mut Registry) {
    registry.add(factory());
}

/// The factory of `hlssink`.
pub fn factory() -> Factory {
    Factory::new::<HlsSinkSettings>("hlssink", "Sink/File", "Writes an HLS playlist and its segments", build)
        .pad(PadTemplate::sink("video", VIDEO_CAPS).request().doc("Pictures; segments begin at their key frames."))
        .pad(PadTemplate::sink("audio", AUDIO_CAPS).request().doc("Sound."))
        .pad(PadTemplate::sink("audio_%u", AUDIO_CAPS).request().doc("Further sound, in the same segments."))
        .pad(
            PadTemplate::sink(TRANSPORT_PAD, "video/mpegts").request().doc("A transport stream instead of all others."),
        )
        .details(DETAILS)
        .example(
            "filesrc location=in.flv ! flvdemux name=d  d.video ! h264parse ! h.video  d.audio ! aacparse ! h.audio  \
             hlssink name=h directory=hls segment-duration=2s",
        )
        .blocks_on_io()
        .checked(|settings: &HlsSinkSettings| settings.check().map(drop))
        .checked_pads(|sinks, _| check_pads(sinks))
        .resources(|s: &HlsSinkSettings| {
            let directory = PathBuf::from(&s.directory);
            let files = [&s.playlist_name, &s.segment_name];
            files.map(|name| Resource::WritesFile(directory.join(name))).to_vec()
        })
}

/// What is fed: elementary streams or a transport stream.
fn check_pads(sinks: &[&str]) -> Result<()> {
    match sinks.contains(&TRANSPORT_PAD) && sinks.len() > 1 {
        true => Err(Error::settings(
            "a transport stream on `sink` already has all streams; nothing can be linked beside it",
        )
        .hint("link the elementary streams to `video` and `audio`, or only the transport stream to `sink`")),
        false => Ok(()),
    }
}

fn build(settings: HlsSinkSettings, cx: &BuildCx) -> Result<Element> {
    let plan = settings.check()?;
    let presentation = Presentation::new(plan.clone(), cx.env.clone());
    if cx.sinks.is_empty() {
        return Err(
            Error::settings("hlssink has no linked pad").hint("link video, audio, or a transport stream to sink")
        );
    }
    if cx.sinks.iter().any(|pad| pad.name == TRANSPORT_PAD) {
        if plan.listed.is_some() {
            let error =
                Error::settings("what is in a transport stream is not looked at, and a multivariant playlist says it");
            return Err(error.on_property("multivariant").hint("link the elementary streams to `video` and `audio`"));
        }
        return Ok(Element::Transform(Box::new(TransportSink::new(&plan, presentation))));
    }
    let video = cx.sinks.iter().map(|pad| pad.name == "video");
    Ok(Element::Aggregate(Box::new(StreamsSink::new(&plan, presentation, video))))
}
