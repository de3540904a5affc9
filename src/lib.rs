//! millstream: media pipelines of elements, declared in YAML, in gst-launch's grammar or in Rust.
//!
//! Three lines run a pipeline:
//!
//! ```
//! # fn main() -> Result<(), millstream::RunError> {
//! millstream::launch("fakesrc num-buffers=10 ! identity ! fakesink")?;
//! # Ok(())
//! # }
//! ```
//!
//! With a handle on what runs, for its messages, its statistics and the ends of `appsrc` and `appsink`:
//!
//! ```
//! use millstream::Pipeline;
//! use millstream::generic::AppSinkHandle;
//!
//! # fn main() -> Result<(), millstream::RunError> {
//! let mut pipeline = Pipeline::from_launch("fakesrc num-buffers=3 ! appsink name=out")?;
//! let out: AppSinkHandle = pipeline.handle("out").expect("`out` is an appsink");
//! let mut buffers = 0;
//! while out.blocking_next_buffer().is_some() {
//!     buffers += 1;
//! }
//! pipeline.wait()?;
//! assert_eq!(buffers, 3);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`core`] | the vocabulary: time, buffers, caps, items, element traits, settings, registry |
//! | [`graph`] | text to a checked graph, and graphs built in code |
//! | [`runtime`] | runs a graph: tasks, links, clock, bus, statistics |
//! | [`codec`], [`amf`], [`flv`], [`ts`], [`hls`] | formats; their readers and writers work without the runtime too |
//! | [`io`], [`generic`] | elements that know no format |
//! | [`plugins`] | elements of shared libraries, made with `millstream-plugin-sdk` or in C |
//! | [`trace`] | conversations with peers as sequence ladders: `--trace-protocol` |
//! | [`prelude`] | what most programs and custom elements use |
//!
//! The programs in `examples/` go from the smallest to the larger; `docs/architecture.md` tells how it works inside.

mod load;
mod pipeline;
pub mod prelude;
pub mod trace;

pub use load::{Loader, RunError};
pub use pipeline::{Pipeline, launch, run_yaml};

pub use millstream_amf as amf;
pub use millstream_codec as codec;
pub use millstream_core as core;
pub use millstream_elements::registry;
pub use millstream_flv as flv;
pub use millstream_generic as generic;
pub use millstream_graph as graph;
pub use millstream_hls as hls;
pub use millstream_io as io;
pub use millstream_plugin_host as plugins;
pub use millstream_runtime as runtime;
pub use millstream_ts as ts;
