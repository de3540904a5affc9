//! The vocabulary of millstream.
//!
//! Everything that an element needs in order to exist is here: [`Time`], [`Buffer`], [`Caps`], [`Item`], the element
//! traits [`Transform`], [`Aggregate`], [`BlockingSource`], [`Source`] and [`Sink`], their [`Factory`] and [`Registry`],
//! the [`Env`] through which they reach the outside, and [`Error`], sorted by what the runtime should do about it.
//!
//! This crate knows no runtime, no socket and no file: those come to an element through [`Env`].
//!
//! | module | what |
//! | --- | --- |
//! | [`time`] | points and spans in nanoseconds, exact to and from media clocks |
//! | [`buffer`] | shared payload slices with timestamps and flags |
//! | [`caps`] | what flows on a pad: fixed caps and the sets that pads accept, in GStreamer's text form |
//! | [`item`] | what travels down a link, and the requests that travel up |
//! | [`element`] | the shapes an element can have |
//! | [`output`], [`inbox`] | how an element sends, and how an aggregate receives |
//! | [`registry`] | factories: what is known of an element before it runs |
//! | [`mod@env`], [`net`] | time, files, network, tasks and randomness from outside |
//! | [`meter`] | counters of live streams, for who shows them |
//! | [`trace`] | conversations with peers, as events for people |
//! | [`settings`] | one serde struct per element, many uses |
//! | [`template`] | sources with which one text stands for many pipelines |
//! | [`detour`] | what links into an element are led through |
//! | [`wake`] | waking an element from a thread of its own |

mod boxed;
pub mod buffer;
pub mod bus;
pub mod caps;
pub mod detour;
pub mod element;
pub mod env;
pub mod error;
pub mod inbox;
pub mod item;
pub mod meter;
pub mod net;
pub mod output;
pub mod pool;
pub mod registry;
mod secret;
pub mod settings;
pub mod template;
pub mod time;
pub mod trace;
pub mod wake;

pub use boxed::BufferBox;
pub use buffer::{Buffer, BufferFlags, Payload};
pub use bus::{Dropped, Message, MessageKind};
pub use caps::{Caps, CapsSet, Value};
pub use detour::Detour;
pub use element::{
    Aggregate, BlockingSource, Element, Flow, Need, PadId, PadSet, Produce, QueueLimits, Sink, SinkCx, Source,
    SourceCx, Transform,
};
pub use env::{Clock, Env, Fs};
pub use error::{Error, ErrorKind, Result};
pub use inbox::Inbox;
pub use item::{Item, Request, Segment, StreamInfo, Tags};
pub use output::Output;
pub use pool::BlockPool;
pub use registry::{Blocking, BuildCx, Direction, Factory, PadTemplate, Presence, Provider, Registry};
pub use secret::Secret;
pub use template::{TemplateSource, Variables};
pub use time::{Time, TimeDelta};
pub use wake::WakeHandle;
