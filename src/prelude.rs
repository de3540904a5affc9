//! What most programs and custom elements use: `use millstream::prelude::*;`.

pub use millstream_core::registry::LinkedPad;
pub use millstream_core::{
    Aggregate, BlockingSource, Buffer, BufferFlags, BuildCx, Caps, CapsSet, Element, Env, Error, ErrorKind, Factory,
    Flow, Inbox, Item, Message, MessageKind, Need, Output, PadId, PadTemplate, Produce, Registry, Request, Result,
    Segment, Sink, SinkCx, Source, SourceCx, StreamInfo, Time, TimeDelta, Transform,
};
pub use millstream_graph::{Graph, Template};
pub use millstream_runtime::{Instances, Runtime, Stopper};

pub use crate::{Loader, Pipeline, RunError, launch, registry, run_yaml};
