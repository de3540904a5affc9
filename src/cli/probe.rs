//! Elements that the command line puts into a graph to see what passes.

use std::sync::Arc;

use millstream::core::settings::Span;
use millstream::graph::{Endpoint, Graph, Link, Node, OnError, Settings};
use millstream::prelude::*;

use super::job::Watch;

/// Name of the message that tells caps.
pub(crate) const CAPS: &str = "caps";

/// Name of the message that tells tags.
pub(crate) const TAGS: &str = "tags";

/// Puts a probe into every link. The caps written into a link stay before it, so that errors name the same place.
pub(crate) fn insert(graph: &mut Graph, watch: Watch) {
    for index in 0..graph.links.len() {
        let link = &graph.links[index];
        let end = |at: &Endpoint| format!("{}.{}", graph.nodes[at.node].name, at.pad);
        let (from, to) = (end(&link.from), end(&link.to));
        let probe = graph.nodes.len();
        let rest = Link {
            from: Endpoint { node: probe, pad: "src".to_owned() },
            to: link.to.clone(),
            filter: None,
            allowed: link.allowed.clone(),
            span: link.span,
        };
        graph.nodes.push(node(from.clone().into(), factory(from, to, watch)));
        graph.links[index].to = Endpoint { node: probe, pad: "sink".to_owned() };
        graph.links.push(rest);
    }
}

/// A node that no text declares.
pub(crate) fn node(name: Arc<str>, factory: Factory) -> Node {
    let settings = Settings::typed(());
    Node { name, factory: factory.into(), settings, on_error: OnError::Default, span: Span::default() }
}

fn factory(from: String, to: String, watch: Watch) -> Factory {
    let build =
        move |(), _: &BuildCx| Ok(Element::Transform(Box::new(Probe { from: from.clone(), to: to.clone(), watch })));
    Factory::new("probe", "Generic", "Tells the caps and tags that pass", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
}

struct Probe {
    from: String,
    to: String,
    watch: Watch,
}

impl Transform for Probe {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match &item {
            Item::Caps(caps) if self.watch.caps => self.tell(CAPS, caps.to_string(), out),
            Item::Tags(tags) if self.watch.tags => {
                let list: Vec<String> = tags.0.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                self.tell(TAGS, list.join("; "), out);
            }
            _ => {}
        }
        out.forward(item);
        Ok(Flow::Done)
    }
}

impl Probe {
    fn tell(&self, name: &'static str, text: String, out: &mut Output) {
        let fields = vec![("from", self.from.clone()), ("to", self.to.clone()), (name, text)];
        out.post(MessageKind::Element { name, fields });
    }
}
