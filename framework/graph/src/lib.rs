//! Pipeline text to a checked graph: YAML, launch lines, parameters, diagnostics, schema, drawings.

pub mod convert;
pub mod diagnostic;
pub mod doc;
pub mod launch;
pub mod params;
pub mod pipeline;
pub mod source;
pub mod yaml;

mod graph;

pub use graph::{Endpoint, Graph, Link, Node, Settings};
