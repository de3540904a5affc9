//! What elements tell the application.

use std::sync::Arc;

use crate::error::Error;
use crate::time::{Time, TimeDelta};

/// Something that an element did not pass on, and why. Never silent: counted per element and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Why, as a short stable phrase such as `wrong CRC` or `frame before key frame`.
    pub reason: &'static str,
    /// How many bytes.
    pub bytes: u64,
    /// Where in the input they began.
    pub offset: Option<u64>,
}

/// A message from an element, or from the runtime on its behalf.
#[derive(Clone, Debug)]
pub struct Message {
    /// Name of the element.
    pub element: Arc<str>,
    /// What it says.
    pub kind: MessageKind,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum MessageKind {
    /// Something is wrong, and the element goes on.
    Warning(Arc<Error>),
    /// The element ended; whether the pipeline does is the policy's affair.
    Error(Arc<Error>),
    /// Input was left out. Repeats of one reason are counted in the statistics, only the first is posted.
    Dropped(Dropped),
    /// Where a file job stands, from the element that knows: position and, if known, duration of the media.
    Progress {
        /// How far the media has been read.
        position: Time,
        /// How long it is.
        duration: Option<TimeDelta>,
    },
    /// It has failed and will be built anew after this wait: `on-error: restart`.
    Restarting {
        /// How it failed.
        error: Arc<Error>,
        /// Until it is built anew.
        wait: TimeDelta,
        /// Which restart in a row it is, from 1.
        attempt: u32,
    },
    /// It was built anew, and runs.
    Restarted {
        /// Which restart in a row it was, from 1.
        attempt: u32,
    },
    /// It was built anew in vain as often as its policy allows. The error follows.
    GaveUp {
        /// How often in a row.
        attempts: u32,
    },
    /// Nothing has moved for the limit, although there was something to move: the peer is gone, or might as well be.
    Stalled {
        /// For how long nothing moved.
        idle: TimeDelta,
    },
    /// Something moves again after [`MessageKind::Stalled`].
    Recovered {
        /// How long nothing had moved.
        after: TimeDelta,
    },
    /// Output comes this much later than input, from now on: in place of what the factory declares.
    Latency(TimeDelta),
    /// A sink received the end of all its streams.
    Eos,
    /// Anything else, by name, for programs that know the element.
    Element {
        /// What it is, such as `hls-segment`.
        name: &'static str,
        /// Its fields.
        fields: Vec<(&'static str, String)>,
    },
}
