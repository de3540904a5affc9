//! Pipeline text to a checked graph: YAML, launch lines, parameters, diagnostics, schema, drawings.
