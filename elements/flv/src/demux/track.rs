//! One track of the input and the pad it feeds.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::item::Custom;
use millstream_core::registry::LinkedPad;
use millstream_core::{Caps, Error, PadId, Result};

use super::timeline::Position;
use crate::caps::{AudioSource, VideoSource, frame_params, frame_size};
use crate::wire::{AudioCodec, MetaData, SoundFlags, VideoCodec};

/// What a track carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Medium {
    Video,
    Audio,
}

impl Medium {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// The codec of a packet, with what the tag's own header says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Codec {
    Video(VideoCodec),
    Audio(AudioCodec, Option<SoundFlags>),
}

impl Codec {
    /// Frames make no sense without a sequence header.
    pub(super) fn needs_config(self) -> bool {
        match self {
            Self::Video(codec) => matches!(codec, VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Vvc),
            Self::Audio(codec, _) => matches!(codec, AudioCodec::Aac | AudioCodec::Flac),
        }
    }

    /// The first byte of each frame is the adjustment of the picture's size (FLV 10.1 E.4.3.3): a configuration.
    pub(super) fn has_adjustment(self) -> bool {
        matches!(self, Self::Video(VideoCodec::Vp6 | VideoCodec::Vp6Alpha))
    }

    /// The same codec; audio flags may differ where the codec has a configuration.
    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Audio(a, x), Self::Audio(b, y)) => a == b && (self.needs_config() || x == y),
            (a, b) => a == b,
        }
    }
}

/// What the codec's own frame headers say, where there is no sequence header to say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct FrameFacts {
    size: Option<(u32, u32)>,
    sound: Option<(u32, u8)>,
}

/// The codec has no name outside FLV.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unnamed;

/// A track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) medium: Medium,
    /// Number among the tracks of the medium.
    pub(super) id: u8,
    /// The pad it feeds, if that is linked.
    pub(super) pad: Option<PadId>,
    codec: Option<Codec>,
    /// The newest configuration, and the codec it is of. It outlives frames that claim another codec: those may be damaged.
    config: Option<(Codec, Bytes)>,
    facts: FrameFacts,
    /// The stream has been announced.
    pub(super) started: bool,
    /// Caps that were announced last.
    pub(super) caps: Option<Caps>,
    /// The announced caps are those of the frames that come now.
    settled: bool,
    /// The timeline has been announced.
    pub(super) has_segment: bool,
    /// The next buffer does not follow on the one before.
    pub(super) discont: bool,
    pub(super) position: Position,
    /// What came ahead of the first sequence header.
    pub(super) early_events: Vec<Arc<Custom>>,
}

/// What a frame needs before it can go out.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Ready {
    /// Nothing.
    Yes,
    /// New caps.
    NewCaps,
    /// A sequence header that has not come: the frame is of no use.
    NoConfig,
}

impl Track {
    fn new(medium: Medium, id: u8, pad: Option<PadId>) -> Self {
        Self {
            medium,
            id,
            pad,
            codec: None,
            config: None,
            facts: FrameFacts::default(),
            started: false,
            caps: None,
            settled: false,
            has_segment: false,
            discont: false,
            position: Position::default(),
            early_events: Vec::new(),
        }
    }

    /// Name of the pad, and of the stream.
    pub(super) fn name(&self) -> String {
        match self.id {
            0 => self.medium.name().to_owned(),
            id => format!("{}_{id}", self.medium.name()),
        }
    }

    /// The configuration of the codec in use.
    fn config(&self) -> Option<&Bytes> {
        let codec = self.codec?;
        self.config.as_ref().filter(|(of, _)| of.is_same(codec)).map(|(_, config)| config)
    }

    /// Takes a sequence header. True when it brings news.
    pub(super) fn configure(&mut self, codec: Codec, config: &Bytes) -> bool {
        let same = self.codec.is_some_and(|own| own.is_same(codec)) && self.config() == Some(config);
        if !same {
            (self.codec, self.facts, self.settled) = (Some(codec), FrameFacts::default(), false);
            // A copy: the header would pin the block of input that it came in for as long as it holds.
            self.config = Some((codec, Bytes::copy_from_slice(config)));
        }
        !same
    }

    /// Looks at a frame ahead of its going out.
    #[inline]
    pub(super) fn accept(&mut self, codec: Codec, key: bool, payload: &Bytes) -> Ready {
        if codec.needs_config() && !self.config.as_ref().is_some_and(|(of, _)| of.is_same(codec)) {
            return Ready::NoConfig;
        }
        if !self.codec.is_some_and(|own| own.is_same(codec)) {
            (self.codec, self.facts, self.settled) = (Some(codec), FrameFacts::default(), false);
        }
        if codec.needs_config() {
            return if self.settled { Ready::Yes } else { Ready::NewCaps };
        }
        self.learn(codec, key, payload)
    }

    /// For codecs without a sequence header: what the frame itself says.
    fn learn(&mut self, codec: Codec, key: bool, payload: &Bytes) -> Ready {
        let mut facts = self.facts;
        match codec {
            Codec::Video(codec) if key && self.config().is_none() => {
                facts.size = frame_size(codec, payload).or(facts.size)
            }
            Codec::Video(_) => {}
            Codec::Audio(codec, _) => facts.sound = frame_params(codec, payload).or(facts.sound),
        }
        let mut news = !self.settled || facts != self.facts;
        let adjustment = payload.get(..1).unwrap_or_default();
        if codec.has_adjustment() && self.config().is_none_or(|config| config != adjustment) {
            self.config = Some((codec, Bytes::copy_from_slice(adjustment)));
            news = true;
        }
        self.facts = facts;
        if news { Ready::NewCaps } else { Ready::Yes }
    }

    /// Takes the caps of what is known now. Some if they are to be announced: they differ from those announced last.
    ///
    /// # Errors
    /// [`Unnamed`] for a codec without a name.
    pub(super) fn settle(&mut self, metadata: Option<&MetaData>) -> Result<Option<Caps>, Unnamed> {
        self.settled = false;
        let caps = self.make_caps(metadata).ok_or(Unnamed)?;
        self.settled = true;
        if self.caps.as_ref() == Some(&caps) {
            return Ok(None);
        }
        self.caps = Some(caps.clone());
        Ok(Some(caps))
    }

    /// True when frames can go out.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// The caps of what is known; `None` for a codec without a name.
    fn make_caps(&self, metadata: Option<&MetaData>) -> Option<Caps> {
        let metadata = metadata.filter(|_| self.id == 0);
        match self.codec? {
            Codec::Video(codec) => {
                let config = self.config();
                Some(VideoSource { codec, config, frame_size: self.facts.size, metadata }.caps())
            }
            Codec::Audio(codec, sound) => {
                let config = self.config();
                AudioSource { codec, sound, config, frame: self.facts.sound }.caps()
            }
        }
    }
}

/// All tracks, those of linked pads and those that the input turned out to have.
#[derive(Debug, Default)]
pub(super) struct Tracks(pub(super) Vec<Track>);

impl Tracks {
    /// The tracks of the linked pads.
    pub(super) fn of_pads(pads: &[LinkedPad]) -> Result<Self> {
        let mut tracks = Self::default();
        for pad in pads.iter().filter(|pad| pad.name != super::SCRIPT_PAD) {
            let (medium, id) = parse_pad(&pad.name)?;
            tracks.0.push(Track::new(medium, id, Some(pad.id)));
        }
        Ok(tracks)
    }

    /// The track of a number; made when it is new.
    #[inline]
    pub(super) fn entry(&mut self, medium: Medium, id: u8) -> usize {
        self.find(medium, id).unwrap_or_else(|| {
            self.0.push(Track::new(medium, id, None));
            self.0.len() - 1
        })
    }

    #[inline]
    fn find(&self, medium: Medium, id: u8) -> Option<usize> {
        self.0.iter().position(|track| track.medium == medium && track.id == id)
    }

    /// True when the track has started.
    pub(super) fn has(&self, medium: Medium, id: u8) -> bool {
        self.find(medium, id).and_then(|at| self.0.get(at)).is_some_and(|track| track.caps.is_some())
    }

    /// True when nothing is missing that a pad was linked for.
    pub(super) fn all_linked_started(&self) -> bool {
        self.0.iter().all(|track| track.pad.is_none() || track.caps.is_some())
    }

    /// The next buffer of each track of a medium does not follow on the one before.
    pub(super) fn break_medium(&mut self, medium: Medium) {
        self.0.iter_mut().filter(|track| track.medium == medium).for_each(|track| track.discont = true);
    }

    /// The next buffer of every track is a new beginning.
    pub(super) fn break_all(&mut self) {
        self.0.iter_mut().for_each(|track| track.discont = true);
    }
}

/// Linked pads of `flvdemux` and `flvmux`, by name: no track may be linked twice.
pub(crate) fn check_pads(names: &[&str]) -> Result<()> {
    let mut seen = Vec::with_capacity(names.len());
    for name in names.iter().filter(|name| **name != super::SCRIPT_PAD) {
        let track @ (medium, id) = parse_pad(name)?;
        if seen.contains(&track) {
            let name = medium.name();
            return Err(Error::settings(format!("track {id} of {name} is linked twice"))
                .hint(format!("`{name}` is track 0, and `{name}_0` is the same one; use other numbers")));
        }
        seen.push(track);
    }
    Ok(())
}

/// `video`, `audio_3`: medium and track number.
pub(crate) fn parse_pad(name: &str) -> Result<(Medium, u8)> {
    let (medium, number) = name.split_once('_').unwrap_or((name, "0"));
    let medium = match medium {
        "video" => Medium::Video,
        "audio" => Medium::Audio,
        _ => return Err(Error::bug(format!("no such pad: {name}"))),
    };
    let id = number.parse().map_err(|_| Error::settings(format!("{name}: FLV numbers its tracks 0 to 255")))?;
    Ok((medium, id))
}
