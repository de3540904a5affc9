//! Write elements for millstream as plugins.
//!
//! A plugin is a package with `crate-type = ["cdylib", "rlib"]` that implements [`Transform`], [`Aggregate`], [`BlockingSource`] or
//! [`BlockingSink`], describes them with [`Factory`], and exports them with [`export!`]:
//!
//! ```
//! use millstream_plugin_sdk::prelude::*;
//!
//! /// Settings of `later`.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
//! struct LaterSettings {
//!     /// How much later, in milliseconds.
//!     by: i64,
//! }
//!
//! impl Default for LaterSettings {
//!     fn default() -> Self {
//!         Self { by: 40 }
//!     }
//! }
//!
//! struct Later {
//!     by: TimeDelta,
//! }
//!
//! impl Transform for Later {
//!     fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
//!         match item {
//!             Item::Buffer(mut buffer) => {
//!                 buffer.edit(|meta| meta.pts = meta.pts.map(|pts| pts + self.by));
//!                 out.buffer(PadId::FIRST, buffer);
//!             }
//!             other => out.forward(other),
//!         }
//!         Ok(Flow::Done)
//!     }
//! }
//!
//! fn later() -> Factory {
//!     Factory::new("later", "Filter", "Shows everything a little later", |settings: LaterSettings, _| {
//!         Ok(Element::transform(Later { by: TimeDelta::from_millis(settings.by) }))
//!     })
//!     .pad(PadTemplate::sink("sink", "ANY"))
//!     .pad(PadTemplate::src("src", "ANY"))
//!     .passthrough()
//!     .example("fakesrc num-buffers=10 ! later by=100 ! fakesink")
//! }
//!
//! fn plugin() -> Plugin {
//!     Plugin::new(vec![later()])
//! }
//!
//! millstream_plugin_sdk::export!("later", plugin);
//! # fn main() {}
//! ```
//!
//! `millstream plugins new` writes such a package. What a plugin promises is in `docs/spec/plugin-abi.md`; the SDK keeps most of it by itself: no panic
//! crosses, references are counted, and a [`Host`] that outlives its element does nothing.
//!
//! | module | what |
//! | --- | --- |
//! | [`element`] | the shapes of elements, and what they are built from |
//! | [`factory`] | what a plugin says of its elements |
//! | [`buffer`], [`item`] | media and everything else that flows |
//! | [`io`] | sending and receiving |
//! | [`host`] | log, bus, clock and wake-up, from any thread |
#![allow(unsafe_code, reason = "functions of the C ABI, and pointers of the host's")]

pub mod buffer;
pub mod element;
mod export;
pub mod factory;
mod glue;
pub mod host;
pub mod io;
pub mod item;
mod own;

pub use buffer::{Buffer, Meta, Owner, Slice};
pub use element::{Aggregate, BlockingSink, BlockingSource, BuildCx, CancelToken, Element, LinkedPad, Need, Transform};
pub use export::{Exported, factory_if};
pub use factory::{Dynamic, Factory, PadTemplate, Plugin};
pub use host::{Host, Message};
pub use io::{Inbox, Output, Peek};
pub use item::Item;

pub use bytes;
pub use millstream_core as core;
pub use millstream_plugin_abi as abi;
pub use schemars;
pub use serde;
pub use serde_json;

/// What most plugins use.
pub mod prelude {
    pub use crate::{
        Aggregate, BlockingSink, BlockingSource, Buffer, BuildCx, CancelToken, Element, Factory, Host, Inbox, Item,
        Message, Meta, Need, Output, PadTemplate, Plugin, Transform,
    };
    pub use bytes::Bytes;
    pub use millstream_core::inbox::{PadState, Pick};
    pub use millstream_core::settings::units;
    pub use millstream_core::{
        BufferFlags, Caps, CapsSet, Error, ErrorKind, Flow, PadId, PadSet, Produce, Request, Result, Segment,
        StreamInfo, Tags, Time, TimeDelta, Value,
    };
    pub use {schemars, serde};
}
