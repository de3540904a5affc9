//! From text to a checked graph in one call.

use std::collections::BTreeSet;
use std::fmt;

use millstream_core::Registry;

use crate::check::{CheckOptions, check};
use crate::diagnostic::{Diagnostic, Diagnostics, RenderOptions, Severity, render_all};
use crate::doc::{PipelineDoc, PluginDoc, Syntax};
use crate::graph::Graph;
use crate::params::{self, ParamSources, Scope, Values, gather};
use crate::source::SourceText;
use crate::template::{self, Filled, Found, Template};
use crate::{launch, pipeline};

/// A pipeline that can run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The checked graph; of a template, that of an instance with values that stand for any.
    pub graph: Graph,
    /// The syntax tree with params replaced.
    pub doc: PipelineDoc,
    /// What the graph is an instance of, if the pipeline has a template source: this, and not the graph, is then run.
    pub template: Option<Template>,
    /// What is probably not as meant, and what is good to know.
    pub warnings: Vec<Diagnostic>,
    /// The text.
    pub source: SourceText,
}

/// A pipeline that cannot run, and everything that is wrong with it. Prints as text with source excerpts.
#[derive(Debug, Clone)]
pub struct LoadError {
    /// All findings, in the order of the text; at least one is an error.
    pub diagnostics: Vec<Diagnostic>,
    /// The text.
    pub source: SourceText,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render_all(&self.diagnostics, &self.source, RenderOptions::default()).trim_end())
    }
}

impl std::error::Error for LoadError {}

/// Reads and checks a YAML pipeline.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_yaml(source: SourceText, registry: &Registry, params: &ParamSources<'_>) -> Result<Loaded, Box<LoadError>> {
    load(source, Syntax::Yaml, registry, params, &CheckOptions::default())
}

/// Reads and checks a launch line.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_launch(line: &str, registry: &Registry) -> Result<Loaded, Box<LoadError>> {
    let source = SourceText::new("command line", line);
    load(source, Syntax::Launch, registry, &ParamSources::default(), &CheckOptions::default())
}

/// Reads and checks a pipeline.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(
    source: SourceText,
    syntax: Syntax,
    registry: &Registry,
    params: &ParamSources<'_>,
    options: &CheckOptions,
) -> Result<Loaded, Box<LoadError>> {
    let mut diagnostics = Diagnostics::default();
    let mut raw = read(&source, syntax, &mut diagnostics);
    let values = if is_readable(&raw, &diagnostics) { gather(&raw, params, &mut diagnostics) } else { Values::new() };
    let found = template::find(&raw, &source, registry, &values, &mut diagnostics);
    // In a launch line `${…}` is text, unless the line is a template: then it would be the same for all.
    raw.unresolved |= found.is_some();
    let mut doc = raw.clone();
    let used = fill_in(&mut doc, &source, registry, &values, found.as_ref(), &mut diagnostics);
    let graph = check(&doc, registry, options, &mut diagnostics);
    let template = found.zip(graph.as_ref()).map(|(found, graph)| {
        found.template(Filled { doc: raw, source: &source, registry, values, used }, graph, &mut diagnostics)
    });
    let diagnostics = diagnostics.into_sorted();
    match graph {
        Some(graph) if diagnostics.iter().all(|d| d.severity != Severity::Error) => {
            Ok(Loaded { graph, doc, template, warnings: diagnostics, source })
        }
        _ => Err(Box::new(LoadError { diagnostics, source })),
    }
}

/// Replaces params, and the variables of a template by what stands for any value. Gives the names that were used.
fn fill_in(
    doc: &mut PipelineDoc,
    source: &SourceText,
    registry: &Registry,
    values: &Values,
    found: Option<&Found>,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<String> {
    if !is_readable(doc, diagnostics) {
        return BTreeSet::new();
    }
    let Some(found) = found else {
        let scope = Scope { elsewhere: &template::elsewhere(registry), ..Scope::PARAMS };
        return params::replace(doc, source, values, &scope, diagnostics);
    };
    found.reserved(doc, diagnostics);
    let value = |name: &str| Some(found.stand_in(name, 1));
    let scope = Scope { variables: found.decl().variables, value: &value, elsewhere: &[] };
    params::replace(doc, source, values, &scope, diagnostics)
}

/// The plugins that a pipeline names. What is wrong with it is found when it is loaded.
#[must_use]
pub fn plugins(source: &SourceText, syntax: Syntax) -> Vec<PluginDoc> {
    read(source, syntax, &mut Diagnostics::default()).plugins
}

/// Reads a pipeline and replaces its params, without a look at the elements.
pub fn parse(
    source: &SourceText,
    syntax: Syntax,
    params: &ParamSources<'_>,
    diagnostics: &mut Diagnostics,
) -> PipelineDoc {
    let mut doc = read(source, syntax, diagnostics);
    if is_readable(&doc, diagnostics) {
        params::resolve(&mut doc, source, params, diagnostics);
    }
    doc
}

fn read(source: &SourceText, syntax: Syntax, diagnostics: &mut Diagnostics) -> PipelineDoc {
    match syntax {
        Syntax::Yaml => pipeline::parse(source, diagnostics),
        Syntax::Launch => launch::parse(source, diagnostics),
    }
}

/// A file that is no YAML has no params to speak of.
fn is_readable(doc: &PipelineDoc, diagnostics: &Diagnostics) -> bool {
    !(diagnostics.has_errors() && doc.elements.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::registry;

    #[test]
    fn a_file_becomes_a_graph() {
        let text =
            "params: { n: 3 }\nelements: { a: { element: fakesrc, num-buffers: \"${n}\" } }\nlinks: [a ! fakesink]\n";
        let set = [("n".to_owned(), "x".to_owned())];
        let source = || SourceText::new("t.yaml", text);
        let loaded = load_yaml(source(), &registry(), &ParamSources::default()).expect("a graph");
        assert_eq!((loaded.graph.nodes.len(), loaded.warnings.len()), (2, 0));
        let settings = loaded.graph.nodes[0].settings.make().expect("settings");
        assert_eq!(settings.downcast_ref::<crate::testing::FakeSettings>().map(|s| s.num_buffers), Some(3));
        let error = load_yaml(source(), &registry(), &ParamSources { set: &set, env: &|_| None }).expect_err("x");
        let expected = "\
error[MS0403]: property `num-buffers` of `fakesrc` is `x`
  --> t.yaml:2:49
   |
 2 | elements: { a: { element: fakesrc, num-buffers: \"${n}\" } }
   |                                                 ^^^^^^
   = expected: a whole number";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_line_becomes_a_graph() {
        assert!(load_launch("fakesrc ! fakesink", &registry()).is_ok());
        assert_eq!(load_launch("fakesrc !", &registry()).expect_err("no sink").diagnostics.len(), 1);
    }
}
