//! Links are led through what an element wants between it and what comes: see [`millstream_core::detour`].

use millstream_core::settings::{Node, Span};
use millstream_core::{Detour, Registry};

use crate::diagnostic::Diagnostics;
use crate::doc::{ElementDoc, EndDoc, LinkDoc, PipelineDoc, Spanned};
use crate::graph::Graph;
use crate::launch;
use crate::source::SourceText;

/// The text with the elements of detours in it; nothing if there are none. `graph` is the text as it was written, checked.
pub(super) fn lead(doc: &PipelineDoc, graph: &Graph, registry: &Registry) -> Option<PipelineDoc> {
    let mut led: Option<PipelineDoc> = None;
    for node in &graph.nodes {
        let detours = node.settings.make().map(|settings| node.factory.detours_of(&*settings)).unwrap_or_default();
        for detour in detours {
            let is_led = |link: &crate::graph::Link| {
                let to = graph.nodes.get(link.to.node);
                link.to.pad == detour.pad && to.is_some_and(|to| to.name == node.name)
            };
            // Each link of a text that has no fault is a link of its graph.
            let Some(index) = graph.links.iter().position(is_led) else { continue };
            let Some(line) = Line::read(&detour, registry) else { continue };
            line.insert(led.get_or_insert_with(|| doc.clone()), index, &detour);
        }
    }
    led
}

/// The elements of a detour.
struct Line(PipelineDoc);

impl Line {
    /// Nothing where the registry does not have all of them.
    fn read(detour: &Detour, registry: &Registry) -> Option<Self> {
        let mut diagnostics = Diagnostics::default();
        let line = launch::parse(&SourceText::new("detour", detour.through), &mut diagnostics);
        let is_known = |element: &ElementDoc| registry.get(&element.element.value).is_some();
        (!diagnostics.has_errors() && line.elements.iter().all(is_known)).then_some(Self(line))
    }

    /// Puts them into a link: what is said of them is said at its place.
    fn insert(self, doc: &mut PipelineDoc, index: usize, detour: &Detour) {
        let Self(line) = self;
        let (Some(link), Some(first), Some(last)) = (doc.links.get(index), line.elements.first(), line.elements.last())
        else {
            return;
        };
        let (target, span) = (link.to.element.value.clone(), link.span);
        let named = |name: &str| format!("{target}-{}-{name}", detour.pad);
        let (first, last) = (named(&first.name.value), named(&last.name.value));
        if let Some(link) = doc.links.get_mut(index) {
            link.to = end(&first, Some("sink"), span);
        }
        let link = |from, to| LinkDoc { from, to, filter: None, span };
        doc.links.push(link(end(&first, Some("pass"), span), end(&target, Some(detour.pad), span)));
        doc.links.push(link(end(&last, None, span), end(&target, Some(detour.into), span)));
        let pad = |end: &EndDoc| end.pad.as_ref().map(|pad| pad.value.clone());
        doc.links.extend(line.links.into_iter().map(|inner| LinkDoc {
            from: end(&named(&inner.from.element.value), pad(&inner.from).as_deref(), span),
            to: end(&named(&inner.to.element.value), pad(&inner.to).as_deref(), span),
            filter: inner.filter,
            span,
        }));
        doc.elements.extend(line.elements.into_iter().map(|element| ElementDoc {
            name: Spanned::new(named(&element.name.value), span),
            element: Spanned::new(element.element.value, span),
            // What cannot be mended is no reason to end what can be seen without it.
            on_error: Some(Node { span, ..Node::scalar("isolate") }),
            span,
            ..element
        }));
    }
}

fn end(element: &str, pad: Option<&str>, span: Span) -> EndDoc {
    let pad = pad.map(|pad| Spanned::new(pad.to_owned(), span));
    EndDoc { element: Spanned::new(element.to_owned(), span), pad }
}
