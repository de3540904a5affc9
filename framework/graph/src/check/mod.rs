//! The syntax tree against a registry: everything that can be known to be wrong before start, all of it at once.
//!
//! | step | module |
//! | --- | --- |
//! | elements exist, settings are valid | `elements` |
//! | links name elements and pads that exist | `wires` |
//! | no cycle, nothing left open, nothing used twice | `shape` |
//! | pads that were left to choose, caps on every link | `solve` |
//! | what to say when caps do not meet | `mismatch` |
//! | what links are led through | `detour` |

mod detour;
mod elements;
mod mismatch;
mod shape;
mod solve;
mod wires;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use millstream_core::Registry;

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::doc::PipelineDoc;
use crate::graph::{Converters, Endpoint, Graph, Link, Node, Settings};
use elements::Built;
use wires::Wire;

/// What a check takes into account beside the text.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// The graph is a branch for a running pipeline: its first element has one sink pad that is still open.
    pub branch: bool,
    /// Settings made in Rust, by element name, each with the name of its type.
    pub(crate) typed: HashMap<String, (&'static str, Settings)>,
}

/// The state of a check.
struct Checker<'a> {
    doc: &'a PipelineDoc,
    registry: &'a Registry,
    options: &'a CheckOptions,
    diagnostics: &'a mut Diagnostics,
    nodes: Vec<Built<'a>>,
    wires: Vec<Wire<'a>>,
    /// Names in links that no element has.
    unknown: HashSet<String>,
}

/// Checks `doc`, whose params are replaced. `None` if there is an error; every finding is in `diagnostics`.
pub fn check(
    doc: &PipelineDoc,
    registry: &Registry,
    options: &CheckOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Graph> {
    let graph = as_written(doc, registry, options, diagnostics)?;
    let Some(doc) = detour::lead(doc, &graph, registry) else { return Some(graph) };
    // What is to be said of the text has been said.
    let mut found = Diagnostics::default();
    let detoured = as_written(&doc, registry, options, &mut found);
    if detoured.is_none() {
        found.into_sorted().into_iter().for_each(|diagnostic| diagnostics.push(diagnostic));
    }
    detoured
}

fn as_written(
    doc: &PipelineDoc,
    registry: &Registry,
    options: &CheckOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Graph> {
    if doc.elements.is_empty() && !diagnostics.has_errors() {
        let d = Diagnostic::error(codes::EMPTY_PIPELINE, "the pipeline has no elements");
        diagnostics.push(d.hint("begin with a source and a sink: `fakesrc ! fakesink`"));
    }
    // What could not be read may have been the missing link.
    let all_read = !diagnostics.has_errors();
    let unknown = HashSet::new();
    let mut checker = Checker { doc, registry, options, diagnostics, nodes: Vec::new(), wires: Vec::new(), unknown };
    checker.elements();
    checker.wires();
    checker.resources();
    if let Some(order) = checker.order() {
        checker.solve(&order);
    }
    checker.pad_sets();
    if all_read {
        checker.unlinked();
    }
    if checker.diagnostics.has_errors() { None } else { checker.graph() }
}

impl Checker<'_> {
    /// The graph. `None` would mean that something was wrong and not reported; there is no such case.
    fn graph(self) -> Option<Graph> {
        let converters = Converters::of(self.registry);
        let text =
            |text: &Option<crate::doc::Spanned<String>>| text.as_ref().map(|t| t.value.clone()).unwrap_or_default();
        let nodes: Option<Vec<Node>> = self.nodes.into_iter().map(node).collect();
        let links: Option<Vec<Link>> = self.wires.into_iter().map(link).collect();
        Some(Graph {
            name: text(&self.doc.name),
            description: text(&self.doc.description),
            nodes: nodes?,
            links: links?,
            converters,
        })
    }
}

fn node(built: Built<'_>) -> Option<Node> {
    Some(Node {
        name: Arc::from(built.doc.name.value.as_str()),
        factory: built.factory?,
        settings: built.settings?,
        on_error: built.on_error,
        span: built.doc.span,
    })
}

fn link(wire: Wire<'_>) -> Option<Link> {
    Some(Link {
        from: Endpoint { node: wire.from.node, pad: wire.from.pad?.name },
        to: Endpoint { node: wire.to.node, pad: wire.to.pad?.name },
        filter: wire.filter,
        allowed: wire.allowed,
        span: wire.doc.span,
    })
}

#[cfg(test)]
mod tests;
