//! Graphs made in Rust, checked like those from text.

use std::collections::HashMap;

use millstream_core::Registry;
use millstream_core::settings::{Node, Span};

use crate::check::{CheckOptions, check};
use crate::diagnostic::Diagnostics;
use crate::doc::{ElementDoc, EndDoc, LinkDoc, PipelineDoc, Spanned, Syntax};
use crate::graph::{Graph, Settings};
use crate::load::LoadError;
use crate::source::SourceText;

/// Makes a [`Graph`] in code. Mistakes are collected and given by [`GraphBuilder::build`].
///
/// ```no_run
/// # use millstream_core::Registry;
/// # use millstream_core::settings::Node;
/// # use millstream_graph::GraphBuilder;
/// # #[derive(Clone)] struct FileSrcSettings { location: String }
/// # fn example(registry: &Registry) -> Result<(), Box<dyn std::error::Error>> {
/// let graph = GraphBuilder::new(registry)
///     .element("in", "filesrc", FileSrcSettings { location: "a.flv".into() })
///     .element_text("out", "filesink", [("location", "b.ts")])
///     .plain("demux", "flvdemux")
///     .plain("mux", "tsmux")
///     .link("in", "demux")
///     .link("demux.video", "mux")
///     .link("mux", "out")
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct GraphBuilder<'a> {
    registry: &'a Registry,
    doc: PipelineDoc,
    typed: HashMap<String, (&'static str, Settings)>,
    branch: bool,
}

impl<'a> GraphBuilder<'a> {
    /// An empty graph of elements from `registry`.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        let doc = PipelineDoc { syntax: Syntax::Launch, ..PipelineDoc::default() };
        Self { registry, doc, typed: HashMap::new(), branch: false }
    }

    /// Names the pipeline.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.doc.name = Some(spanned(name));
        self
    }

    /// Makes the graph a branch for a running pipeline: its first element has one sink pad that stays open.
    #[must_use]
    pub fn branch(self) -> Self {
        Self { branch: true, ..self }
    }

    /// Adds an element of kind `element` with settings of its own type.
    #[must_use]
    pub fn element<S: Clone + Send + Sync + 'static>(mut self, name: &str, element: &str, settings: S) -> Self {
        self.typed.insert(name.to_owned(), (std::any::type_name::<S>(), Settings::typed(settings)));
        self.add(name, element, Node::empty_map(Span::default()))
    }

    /// Adds an element with properties as text.
    #[must_use]
    pub fn element_text<'t>(
        self,
        name: &str,
        element: &str,
        props: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Self {
        self.add(name, element, Node::map(props.into_iter().map(|(key, value)| (key, Node::scalar(value)))))
    }

    /// Adds an element with default settings.
    #[must_use]
    pub fn plain(self, name: &str, element: &str) -> Self {
        self.add(name, element, Node::empty_map(Span::default()))
    }

    fn add(mut self, name: &str, element: &str, props: Node) -> Self {
        self.doc.elements.push(ElementDoc {
            name: spanned(name),
            named: true,
            element: spanned(element),
            props,
            on_error: None,
            incomplete: false,
            span: Span::default(),
        });
        self
    }

    /// Links two elements: `"name"` lets the pad be chosen, `"name.pad"` names it.
    #[must_use]
    pub fn link(self, from: &str, to: &str) -> Self {
        self.add_link(from, None, to)
    }

    /// Links two elements with a caps filter between them.
    #[must_use]
    pub fn link_filtered(self, from: &str, caps: &str, to: &str) -> Self {
        self.add_link(from, Some(spanned(caps)), to)
    }

    fn add_link(mut self, from: &str, filter: Option<Spanned<String>>, to: &str) -> Self {
        self.doc.links.push(LinkDoc { from: end(from), to: end(to), filter, span: Span::default() });
        self
    }

    /// Checks what was said.
    ///
    /// # Errors
    /// Everything that is wrong with it; the diagnostics have no places, as there is no text.
    pub fn build(self) -> Result<Graph, Box<LoadError>> {
        let mut diagnostics = Diagnostics::default();
        let options = CheckOptions { branch: self.branch, typed: self.typed };
        if let Some(graph) = check(&self.doc, self.registry, &options, &mut diagnostics) {
            return Ok(graph);
        }
        let mut diagnostics = diagnostics.into_sorted();
        for diagnostic in &mut diagnostics {
            diagnostic.primary = None;
            diagnostic.secondary.clear();
        }
        Err(Box::new(LoadError { diagnostics, source: SourceText::new("graph", "") }))
    }
}

fn spanned(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), Span::default())
}

fn end(text: &str) -> EndDoc {
    let (element, pad) = text.split_once('.').unwrap_or((text, ""));
    EndDoc { element: spanned(element), pad: (!pad.is_empty()).then(|| spanned(pad)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSettings, registry};

    #[test]
    fn typed_and_text_settings() {
        let registry = registry();
        let fake = FakeSettings { num_buffers: 7, ..FakeSettings::default() };
        let graph = GraphBuilder::new(&registry)
            .name("x")
            .element("a", "fakesrc", fake)
            .plain("q", "queue")
            .element_text("b", "fakesink", [("sync", "true")])
            .link("a", "q.sink")
            .link_filtered("q", "video/x-flv", "b")
            .build()
            .expect("a graph");
        assert_eq!((graph.name.as_str(), graph.links[0].to.pad.as_str()), ("x", "sink"));
        assert_eq!(graph.links[0].allowed.to_string(), "video/x-flv");
        let made = graph.nodes[0].settings.make().expect("settings");
        assert_eq!(made.downcast_ref::<FakeSettings>().map(|s| s.num_buffers), Some(7));
    }

    #[test]
    fn mistakes_are_collected() {
        let registry = registry();
        let error = GraphBuilder::new(&registry)
            .element("a", "fakesrc", 5_u8)
            .element_text("b", "fakesink", [("synk", "true")])
            .link("a", "c")
            .build()
            .expect_err("three mistakes");
        let text = error.to_string();
        assert!(text.contains("settings of type u8"), "{text}");
        assert!(text.contains("did you mean `sync`?"), "{text}");
        assert!(text.contains("is called `c`"), "{text}");
        assert!(!text.contains("-->"), "{text}");
    }
}
