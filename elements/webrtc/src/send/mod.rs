//! Elements that show a stream to any number of viewers.
//!
//! | module | what |
//! | --- | --- |
//! | [`adapt`] | whose network decides the bitrate |
//! | `stage` | what comes, made into packets once, and the group that has begun |
//! | `anchor` | where a timeline lies on the clock |
//! | `sender` | the running element |
//! | `audience` | offers of viewers become sessions |
//! | `viewer` | one of them |
//! | `delivery` | one server instead of viewers |
//! | [`gate`] | parts what can be sent from what has to be encoded anew |

pub mod adapt;
mod anchor;
mod audience;
mod delivery;
pub mod gate;
mod sender;
mod stage;
mod viewer;

use millstream_core::meter::Kind;
use millstream_core::{BuildCx, Detour, Factory, PadId, PadTemplate};
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::adapt::Adapt;
pub(crate) use self::audience::Audience;
pub(crate) use self::delivery::Delivery;
pub(crate) use self::sender::{Client, Sender};
pub(crate) use self::stage::Stage;

/// Pictures that are taken.
pub(crate) const VIDEO_CAPS: &str = crate::receive::VIDEO_CAPS;

/// Sound that is taken: AAC too, so that the reason why nobody hears it can be said.
pub(crate) const AUDIO_CAPS: &str =
    "audio/x-opus; audio/x-mulaw, rate=8000, channels=1; audio/x-alaw, rate=8000, channels=1; audio/mpeg";

/// What becomes of a stream that WebRTC cannot carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Nobody sees it, and everybody is told why.
    #[default]
    Refuse,
    /// Sound that cannot be sent is left out.
    DropAudio,
    /// AAC becomes Opus. H.265, and H.264 with B-frames, becomes H.264 without, where the plugin of GStreamer is there; otherwise nobody sees
    /// it, and everybody is told that it is missing.
    Transcode,
}

impl Repair {
    /// What the links into the element are led through.
    pub(crate) fn detours(self) -> Vec<Detour> {
        if self == Self::Transcode { vec![SOUND, PICTURES] } else { Vec::new() }
    }
}

/// AAC becomes Opus in this program.
const SOUND: Detour = Detour {
    pad: "audio",
    through: "repairgate name=gate  gate.repair ! aacparse ! aacdec ! audioconvert ! audioresample ! opusenc bitrate=96000",
    into: "audio-repaired",
};

/// What no browser shows becomes H.264 that all show, by the plugin of GStreamer. Its encoder obeys the bitrate that viewers' networks bear. The older
/// `decodebin` was seen to give nothing of live streams.
const PICTURES: Detour = Detour {
    pad: "video",
    through: "repairgate name=gate  gate.repair ! gst pipeline=\"decodebin3 ! videoconvert ! x264enc tune=zerolatency speed-preset=veryfast \
              bitrate=4000 key-int-max=60 ! video/x-h264,profile=constrained-baseline\"",
    into: "video-repaired",
};

/// The pads of a sink for viewers.
pub(crate) fn with_pads(factory: Factory) -> Factory {
    factory
        .pad(PadTemplate::sink("video", VIDEO_CAPS).request().doc("The picture."))
        .pad(PadTemplate::sink("audio", AUDIO_CAPS).request().doc("The sound."))
        .pad(
            PadTemplate::sink("video-repaired", REPAIRED_VIDEO)
                .request()
                .doc("What `repair=transcode` makes of the picture."),
        )
        .pad(
            PadTemplate::sink("audio-repaired", "audio/x-opus")
                .request()
                .doc("What `repair=transcode` makes of the sound."),
        )
}

const REPAIRED_VIDEO: &str = "video/x-h264, stream-format=byte-stream, alignment=au";

/// Which of them are linked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pads {
    video: [Option<PadId>; 2],
    audio: [Option<PadId>; 2],
}

impl Pads {
    pub(crate) fn of(cx: &BuildCx) -> Self {
        let pads = |names: [&str; 2]| names.map(|name| cx.sink(name));
        Self { video: pads(["video", "video-repaired"]), audio: pads(["audio", "audio-repaired"]) }
    }

    /// Whether there are pictures, and whether there is sound.
    pub(crate) fn linked(&self) -> [bool; 2] {
        [self.video, self.audio].map(|pads| pads.iter().any(Option::is_some))
    }

    fn kind(&self, pad: PadId) -> Kind {
        if self.video.contains(&Some(pad)) { Kind::Video } else { Kind::Audio }
    }
}
