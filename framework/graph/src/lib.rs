//! Pipeline text to a checked graph: YAML, launch lines, parameters, diagnostics, schema, drawings.

pub mod diagnostic;
pub mod source;
pub mod yaml;
