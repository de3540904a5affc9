//! Frames of a publisher become buffers.

use millstream_codec::opus::packet_samples;
use millstream_codec::{vp8, vp9};
use millstream_core::caps::{field, media};
use millstream_core::meter::Kind;
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Error, Item, PadId, Result, Segment, StreamInfo, Time, TimeDelta,
};

use crate::session::{Codec, Frame};

/// What the pad of pictures may give.
pub(crate) const VIDEO_CAPS: &str = "video/x-h264, stream-format=byte-stream, alignment=au; \
    video/x-h265, stream-format=byte-stream, alignment=au; video/x-av1, stream-format=obu-stream, alignment=tu; video/x-vp8; video/x-vp9";

/// What the pad of sound may give.
pub(crate) const AUDIO_CAPS: &str =
    "audio/x-opus, rate=48000; audio/x-mulaw, rate=8000, channels=1; audio/x-alaw, rate=8000, channels=1";

/// Ticks of Opus a second, which its packets count their samples in.
const OPUS_RATE: u32 = 48_000;

/// Caps of a codec as it comes over RTP, without what only its frames say.
pub(crate) fn caps_of(codec: Codec) -> Caps {
    let caps = Caps::new(codec.media());
    match codec {
        Codec::H264 | Codec::H265 => caps.with(field::STREAM_FORMAT, "byte-stream").with(field::ALIGNMENT, "au"),
        Codec::Av1 => caps.with(field::STREAM_FORMAT, "obu-stream").with(field::ALIGNMENT, "tu"),
        Codec::Vp8 | Codec::Vp9 => caps,
        // RFC 7587, 4.1: the clock is always 48 kHz, and any decoder gives two channels of any packet.
        Codec::Opus => caps.with(field::RATE, 48_000).with(field::CHANNELS, 2),
        Codec::Pcmu | Codec::Pcma => caps.with(field::RATE, 8000).with(field::CHANNELS, 1),
    }
}

/// The codecs that what is behind the pads takes. A kind that nothing takes in may come in any.
pub(crate) fn codecs(chosen: Option<&[Codec]>, cx: &BuildCx) -> Vec<Codec> {
    let accepted = |pad: &str| cx.srcs.iter().find(|src| src.name == pad).map(|src| src.allowed.clone());
    let (video, audio) = (accepted("video"), accepted("audio"));
    let is_accepted = |codec: &&Codec| {
        let behind = if codec.kind() == Kind::Video { &video } else { &audio };
        behind.as_ref().is_none_or(|accepted| accepted.accepts(&caps_of(**codec)))
    };
    chosen.unwrap_or(&Codec::ALL).iter().filter(is_accepted).copied().collect()
}

/// Looks whether any codec is chosen.
pub(crate) fn check_codecs(chosen: Option<&[Codec]>) -> Result<()> {
    match chosen {
        Some([]) => {
            Err(Error::settings("no codec is accepted").on_property("codecs").hint("leave `codecs` out for all"))
        }
        _ => Ok(()),
    }
}

/// The pads of the element.
#[derive(Debug)]
pub(crate) struct Pads {
    pub(super) video: Option<Pad>,
    pub(super) audio: Option<Pad>,
}

/// A linked pad.
#[derive(Debug)]
pub(crate) struct Pad {
    pub(super) id: PadId,
    started: bool,
    caps: Option<Caps>,
    /// Time of the last buffer.
    pub(super) last: Option<Time>,
    /// Nothing can be decoded until a key frame comes.
    pub(super) waits: bool,
    is_discont: bool,
}

impl Pads {
    pub(crate) fn new(video: Option<PadId>, audio: Option<PadId>) -> Self {
        let pad = |id| Pad { id, started: false, caps: None, last: None, waits: true, is_discont: false };
        Self { video: video.map(pad), audio: audio.map(pad) }
    }

    pub(super) fn of(&mut self, kind: Kind) -> Option<&mut Pad> {
        match kind {
            Kind::Video => self.video.as_mut(),
            Kind::Audio => self.audio.as_mut(),
        }
    }

    /// Another publisher has come.
    pub(super) fn renew(&mut self) {
        for pad in [&mut self.video, &mut self.audio].into_iter().flatten() {
            pad.waits = true;
            pad.is_discont = pad.last.is_some();
        }
    }

    /// Whether pictures wait for a key frame.
    pub(super) fn waits(&self) -> bool {
        self.video.as_ref().is_some_and(|pad| pad.waits)
    }
}

impl Pad {
    /// What begins the stream, once.
    pub(super) fn start(&mut self, name: &str) -> Option<Item> {
        let id = name.to_owned();
        (!std::mem::replace(&mut self.started, true))
            .then(|| Item::StreamStart(StreamInfo { id, language: None }.into()))
    }

    /// The stream has ended, if there was one; the next is one of its own.
    pub(super) fn stop(&mut self) -> bool {
        self.caps = None;
        self.waits = true;
        self.is_discont = self.last.is_some();
        std::mem::take(&mut self.started)
    }

    /// Whether a frame can be used; those after a loss cannot.
    pub(super) fn admits(&mut self, frame: &Frame) -> bool {
        if frame.codec.kind() == Kind::Video {
            let is_lost = !frame.is_contiguous && self.last.is_some() && !self.waits;
            self.is_discont |= is_lost;
            self.waits = !frame.is_key && (self.waits || is_lost);
            return !self.waits;
        }
        self.is_discont |= !frame.is_contiguous && self.last.is_some();
        self.waits = false;
        true
    }

    /// The buffer of a frame, and what has to come before it.
    pub(super) fn items(&mut self, frame: Frame, pts: Time) -> impl Iterator<Item = Item> {
        let caps = detailed(&frame).filter(|caps| self.caps.as_ref() != Some(caps)).or_else(|| {
            let plain = caps_of(frame.codec);
            (self.caps.as_ref().map(Caps::media) != Some(plain.media())).then_some(plain)
        });
        let segment = self.caps.is_none().then(|| Item::Segment(Segment::time(Time::ZERO).into()));
        if let Some(caps) = &caps {
            self.caps = Some(caps.clone());
        }
        let samples = (frame.codec == Codec::Opus).then(|| packet_samples(&frame.data)).flatten();
        let mut buffer = Buffer::new(frame.data).with_times(Some(pts), Some(pts));
        buffer.duration = samples.map(|samples| TimeDelta::from_ticks(samples.into(), OPUS_RATE));
        buffer.flags.set(BufferFlags::KEYFRAME, frame.is_key);
        buffer.flags.set(BufferFlags::DISCONT, std::mem::take(&mut self.is_discont));
        self.last = Some(pts);
        caps.map(Item::Caps).into_iter().chain(segment).chain([Item::buffer(buffer)])
    }
}

/// Caps with what a key frame says of itself, for codecs without a parser behind.
fn detailed(frame: &Frame) -> Option<Caps> {
    let (width, height) = match caps_of(frame.codec).media() {
        media::VP8 => vp8::frame_tag(&frame.data)?.key_frame.map(|(width, height)| (width.into(), height.into()))?,
        media::VP9 => vp9::FrameHeader::parse(&frame.data).ok()?.key.map(|key| (key.width, key.height))?,
        _ => return None,
    };
    Some(caps_of(frame.codec).with(field::WIDTH, i64::from(width)).with(field::HEIGHT, i64::from(height)))
}
