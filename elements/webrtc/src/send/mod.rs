//! Elements that show a stream to any number of viewers.
//!
//! | module | what |
//! | --- | --- |
//! | `stage` | what comes, made into packets once, and the group that has begun |
//! | `anchor` | where a timeline lies on the clock
//! | `sender` | the running element |
//! | `audience` | offers of viewers become sessions |
//! | `viewer` | one of them |
//! | `delivery` | one server instead of viewers |

mod anchor;
mod audience;
mod delivery;
mod sender;
mod stage;
mod viewer;

use millstream_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

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
    /// It is encoded anew: not by this element, but by others before it.
    Transcode,
}

impl Repair {
    /// Looks whether it is one that the element does.
    pub(crate) fn check(self) -> Result<()> {
        if self == Self::Transcode {
            let error = Error::settings("nothing is encoded anew in here").on_property("repair");
            return Err(error.hint("put `aacdec ! audioresample ! opusenc` before `audio`, or an encoder of GStreamer without B-frames before `video`"));
        }
        Ok(())
    }
}
