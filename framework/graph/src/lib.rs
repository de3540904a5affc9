//! Pipeline text to a checked graph: YAML, launch lines, parameters, diagnostics, schema, drawings.
//!
//! ```text
//! YAML file ──► yaml ──► pipeline ─┐                                  ┌──► Graph
//!                            ▲     ├──► PipelineDoc ──► params ──► check
//! launch line ──► launch ────┴─────┘         │                        └──► Diagnostics
//!                                            └──► convert ──► text
//! ```
//!
//! | module | what | standard |
//! | --- | --- | --- |
//! | [`source`] | a text with a name; offsets to line and column | UTF-8, RFC 3629 |
//! | [`yaml`] | YAML to a tree of values with places, within limits | YAML 1.2.2 |
//! | [`launch`] | launch lines and link lines | `gst-launch-1.0(1)` of GStreamer 1.x |
//! | [`pipeline`], [`doc`] | the sections of a pipeline file; the syntax tree of both forms | `docs/spec/pipeline.md` |
//! | `on_error` | what happens when an element fails | `docs/spec/pipeline.md` |
//! | [`params`] | `${name}` in property values | `docs/spec/pipeline.md` |
//! | [`template`] | one text for many pipelines | `docs/spec/pipeline.md` |
//! | [`mod@check`] | the syntax tree against a registry | `docs/spec/pipeline.md` |
//! | [`diagnostic`] | findings with stable codes, as text and JSON | |
//! | [`convert`] | the syntax tree back to text | |
//! | [`mod@schema`] | the schema of pipeline files | JSON Schema 2020-12 |
//! | `join` | neighbours that are made as one element | |
//! | [`mod@draw`] | drawings of a graph | Mermaid, DOT |
//!
//! Everything here is pure: no file is opened and no variable read, except through what the caller passes in.
//! [`load_yaml`], [`load_launch`] and [`GraphBuilder`] are the three ways to a [`Graph`].

pub mod check;
pub mod convert;
pub mod diagnostic;
pub mod doc;
pub mod draw;
pub mod launch;
pub mod params;
pub mod pipeline;
pub mod schema;
pub mod source;
pub mod template;
pub mod yaml;

mod builder;
mod graph;
mod join;
mod load;
mod on_error;
#[cfg(test)]
mod testing;

pub use builder::GraphBuilder;
pub use graph::{Converters, Endpoint, Graph, Link, Node, Settings};
pub use join::{Joined, Member};
pub use load::{LoadError, Loaded, load, load_launch, load_yaml, parse, plugins};
pub use on_error::{GivenUp, OnError, RestartPolicy, RestartScope};
pub use template::Template;
