//! One text for many pipelines: a pipeline with a template source ([`millstream_core::template`]).
//!
//! The text is checked once, with values that stand for any ([`load`](crate::load)). Later each instance is checked anew with its own values:
//! they are replaced in scalars that were parsed already, so that nobody who comes can add elements, links or properties.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use millstream_core::registry::Resource;
use millstream_core::template::{Admission, Arrivals, TemplateDecl, TemplateSource, Variables};
use millstream_core::{Env, Error, Registry, Result};

use crate::check::{CheckOptions, check};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, codes, explain};
use crate::doc::PipelineDoc;
use crate::graph::{Graph, Node};
use crate::params::{self, Scope, Values};
use crate::source::SourceText;

/// A pipeline that is started anew for each who comes to its template source. Cheap to clone.
#[derive(Clone)]
pub struct Template(Arc<Inner>);

struct Inner {
    name: String,
    /// As it was read: nothing replaced.
    doc: PipelineDoc,
    source: SourceText,
    registry: Registry,
    values: Values,
    found: Found,
    used: BTreeSet<String>,
}

/// The template source of a pipeline.
pub(crate) struct Found {
    /// Index of its element.
    at: usize,
    decl: TemplateDecl,
    spec: TemplateSource,
}

impl Template {
    /// Name of the pipeline, or of its file.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Name of the element that is its template source.
    pub fn source_element(&self) -> &str {
        self.0.doc.elements.get(self.0.found.at).map_or("", |element| &element.name.value)
    }

    /// The variables that its text uses.
    pub fn used(&self) -> impl Iterator<Item = &str> {
        self.0.used.iter().map(String::as_str)
    }

    /// The graph of an instance.
    ///
    /// # Errors
    /// When it cannot be made with these values. What is said names the place, not the values: they may be secret.
    pub fn instantiate(&self, variables: &Variables) -> Result<Graph> {
        let mut diagnostics = Diagnostics::default();
        let value = |name: &str| variables.get(name).cloned();
        let (graph, _) = self.0.fill_in(&value, &mut diagnostics);
        graph.ok_or_else(|| {
            let error = diagnostics.into_sorted().into_iter().find(|d| d.severity == Severity::Error);
            let place = error.as_ref().and_then(|d| d.primary.as_ref()).map(|label| label.span.start);
            let line = place.map(|at| format!("line {}: ", self.0.source.position(at).line)).unwrap_or_default();
            let title = error.and_then(|d| explain(d.code)).map_or("it has an error", |info| info.title);
            Error::settings(format!("the pipeline cannot be made with these values: {line}{title}"))
        })
    }

    /// Begins to wait for those who come.
    ///
    /// # Errors
    /// When the template source cannot, such as at an address that is taken.
    pub fn open(&self, env: &Env) -> Result<Box<dyn Arrivals>> {
        let template = self.clone();
        let check = move |variables: &Variables| template.instantiate(variables).map(drop);
        self.0.found.spec.open(env, Admission::new(self.0.used.clone(), check))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.0.name)
    }
}

impl Inner {
    fn fill_in(
        &self,
        value: &dyn Fn(&str) -> Option<String>,
        diagnostics: &mut Diagnostics,
    ) -> (Option<Graph>, BTreeSet<String>) {
        let mut doc = self.doc.clone();
        let scope = Scope { variables: self.found.decl.variables, value, elsewhere: &[] };
        let used = params::replace(&mut doc, &self.source, &self.values, &scope, diagnostics);
        let graph = check(&doc, &self.registry, &CheckOptions::default(), diagnostics);
        (graph.filter(|_| !diagnostics.has_errors()), used)
    }
}

/// Looks for a template source, with the values that params have.
pub(crate) fn find(
    doc: &PipelineDoc,
    source: &SourceText,
    registry: &Registry,
    values: &Values,
    diagnostics: &mut Diagnostics,
) -> Option<Found> {
    let mut found: Option<Found> = None;
    for (at, element) in doc.elements.iter().enumerate() {
        let Some(factory) = registry.get(&element.element.value) else { continue };
        let Some(decl) = factory.template else { continue };
        // Alone, and without a word about faults: those are found when all is checked.
        let mut alone =
            PipelineDoc { unresolved: doc.unresolved, elements: vec![element.clone()], ..Default::default() };
        params::replace(&mut alone, source, values, &Scope::PARAMS, &mut Diagnostics::default());
        let props = alone.elements.first().map(|element| &element.props);
        let settings = props.and_then(|props| factory.settings.parse_all(props).ok());
        let Some(spec) = settings.and_then(|settings| factory.as_template(&*settings)) else { continue };
        match found.as_ref().and_then(|found| doc.elements.get(found.at)) {
            None => found = Some(Found { at, decl, spec }),
            Some(first) => {
                let message = format!("`{}` and `{}` both make this a template", first.name.value, element.name.value);
                let d = Diagnostic::error(codes::TEMPLATE_TWICE, message).at(element.element.span, "the second");
                diagnostics.push(d.also(first.element.span, "the first").hint("give each a pipeline of its own"));
            }
        }
    }
    found
}

/// What would make a template of a pipeline.
pub(crate) fn elsewhere(registry: &Registry) -> Vec<(&'static str, TemplateDecl)> {
    registry.iter().filter_map(|factory| Some((factory.name, factory.template?))).collect()
}

impl Found {
    /// The variables.
    pub(crate) fn decl(&self) -> &TemplateDecl {
        &self.decl
    }

    /// A value that stands for any; another one for each number.
    pub(crate) fn stand_in(&self, name: &str, number: u32) -> String {
        let any = || format!("{}-{number}", name.replace('.', "-"));
        self.spec.fixed.get(name).cloned().unwrap_or_else(any)
    }

    /// Params that nobody could tell from variables.
    pub(crate) fn reserved(&self, doc: &PipelineDoc, diagnostics: &mut Diagnostics) {
        for param in &doc.params {
            let name = &param.name.value;
            if self.decl.variables.iter().any(|variable| variable.covers(name)) {
                let message = format!("the param `{name}` has the name of a variable that each instance is given");
                let d = Diagnostic::error(codes::PARAM_RESERVED, message).at(param.name.span, "");
                diagnostics.push(d.hint("rename the param, or remove it: `${…}` then is the value of the instance"));
            }
        }
    }

    /// The template, whose `first` instance has been checked with stand-ins.
    pub(crate) fn template(self, filled: Filled<'_>, first: &Graph, diagnostics: &mut Diagnostics) -> Template {
        let Filled { doc, source, registry, values, used } = filled;
        let used = used.into_iter().filter(|name| self.decl.variables.iter().any(|v| v.covers(name))).collect();
        let name = doc.name.as_ref().map_or_else(|| stem(source.name()), |name| name.value.clone());
        let inner = Inner { name, doc, source: source.clone(), registry: registry.clone(), values, found: self, used };
        inner.shared(first, diagnostics);
        Template(Arc::new(inner))
    }
}

/// A text, and what was used to fill it in.
pub(crate) struct Filled<'a> {
    pub(crate) doc: PipelineDoc,
    pub(crate) source: &'a SourceText,
    pub(crate) registry: &'a Registry,
    pub(crate) values: Values,
    pub(crate) used: BTreeSet<String>,
}

impl Inner {
    /// What two instances would both write to.
    fn shared(&self, first: &Graph, diagnostics: &mut Diagnostics) {
        let value = |name: &str| Some(self.found.stand_in(name, 2));
        let (Some(second), _) = self.fill_in(&value, &mut Diagnostics::default()) else { return };
        for (one, other) in first.nodes.iter().zip(&second.nodes) {
            let other = resources(other);
            let Some(resource) = resources(one).into_iter().find(|resource| other.contains(resource)) else { continue };
            let what = match resource {
                Resource::WritesFile(path) => format!("write the file {}", path.display()),
                Resource::WritesDir(path) => format!("write to the directory {}", path.display()),
                Resource::Listens(address) => format!("listen on {address}"),
            };
            let message = format!("`{}` of each instance would {what}", one.name);
            let varies = |name: &&str| !self.found.spec.fixed.contains_key(*name);
            let variable = self.found.decl.variables.iter().map(|v| v.name).find(varies).unwrap_or_default();
            let d = Diagnostic::error(codes::SHARED_BY_INSTANCES, message).at(one.span, "");
            diagnostics.push(d.hint(format!("put `${{{variable}}}` into its name, so that each has its own")));
        }
    }
}

fn resources(node: &Node) -> Vec<Resource> {
    node.settings.make().map(|settings| node.factory.exclusive(&*settings)).unwrap_or_default()
}

fn stem(path: &str) -> String {
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| !stem.contains(' ')).unwrap_or_else(|| "pipeline".to_owned())
}

#[cfg(test)]
mod tests {
    use millstream_core::template::Variable;
    use millstream_core::{Factory, PadTemplate};

    use super::*;
    use crate::load_yaml;
    use crate::params::ParamSources;
    use crate::testing::{FileSettings, registry};

    const VARIABLES: &[Variable] =
        &[Variable { name: "stream", doc: "its name" }, Variable { name: "query.", doc: "a parameter" }];

    /// `anysrc location="*"` is a template source.
    fn load(text: &str) -> Template {
        let mut registry = registry();
        let decl = TemplateDecl { when: "location: \"*\"", variables: VARIABLES };
        let source = |settings: &FileSettings| {
            (settings.location == "*").then(|| TemplateSource::new(|_, _| Err(Error::bug("not to be opened"))))
        };
        let build = |_: FileSettings, _: &millstream_core::BuildCx| Err(Error::bug("not to be built"));
        let any = Factory::new("anysrc", "Test", "For tests.", build).pad(PadTemplate::src("src", "ANY"));
        registry.add(any.template_source(decl, source));
        let source = SourceText::new("some/dir/all.yaml", text);
        let loaded = load_yaml(source, &registry, &ParamSources::default()).unwrap_or_else(|error| panic!("{error}"));
        loaded.template.expect("a template")
    }

    fn values(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn location(graph: &Graph, name: &str) -> String {
        let settings = graph.nodes[graph.find(name).expect("a node")].settings.make().expect("settings");
        settings.downcast_ref::<FileSettings>().expect("of a file").location.clone()
    }

    const TEXT: &str = "
params: { out: rec, any: '*' }
elements:
  in: { element: anysrc, location: '${any}' }
  out: { element: filesink, location: '${out}/${query.room}/${stream}.flv' }
links: [in ! out]
";

    #[test]
    fn an_instance_has_its_own_values_beside_those_of_params() {
        let template = load(TEXT);
        assert_eq!((template.name(), template.source_element()), ("all", "in"));
        assert_eq!(template.used().collect::<Vec<_>>(), ["query.room", "stream"]);
        let graph = template.instantiate(&values(&[("stream", "cam"), ("query.room", "blue")])).expect("a graph");
        assert_eq!(location(&graph, "out"), "rec/blue/cam.flv");
    }

    #[test]
    fn sec_values_add_no_structure() {
        let template = load(TEXT);
        for hostile in ["x\nlinks: []", "' }\n  evil: fakesrc\n", "${out}", "$${", "a ! b", "{ a: 1 }", "*"] {
            let graph = template.instantiate(&values(&[("stream", hostile), ("query.room", "r")])).expect("a graph");
            assert_eq!((graph.nodes.len(), graph.links.len()), (2, 1), "{hostile:?}");
            assert_eq!(location(&graph, "out"), format!("rec/r/{hostile}.flv"), "it is not looked into again");
        }
    }

    #[test]
    fn sec_an_error_names_the_place_and_not_the_value() {
        let template = load(TEXT);
        let error = template.instantiate(&values(&[("stream", "s3cret")])).expect_err("a value is missing");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
