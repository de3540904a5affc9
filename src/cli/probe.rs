//! Elements that the command line puts into a graph to see what passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use millstream::core::item::SegmentFormat;
use millstream::core::registry::Direction;
use millstream::core::settings::Span;
use millstream::graph::{Endpoint, Graph, Link, Node, OnError, Settings};
use millstream::prelude::*;

use super::job::Watch;

/// Name of the message that tells caps.
pub(crate) const CAPS: &str = "caps";

/// Name of the message that tells tags.
pub(crate) const TAGS: &str = "tags";

/// Kind of the elements that look at what passes.
const PROBE: &str = "probe";

/// Puts probes for `-v` and `-t` into every link.
pub(crate) fn watch(graph: &mut Graph, watch: Watch) {
    let is_probe = |graph: &Graph, at: &Endpoint| graph.nodes[at.node].factory.name == PROBE;
    for index in 0..graph.links.len() {
        let link = &graph.links[index];
        if is_probe(graph, &link.from) {
            continue;
        }
        // Behind a meter stands what the text names.
        let beyond = graph.links.iter().find(|next| is_probe(graph, &link.to) && next.from.node == link.to.node);
        let end = |at: &Endpoint| format!("{}.{}", graph.nodes[at.node].name, at.pad);
        let (from, to) = (end(&link.from), end(&beyond.unwrap_or(link).to));
        insert(graph, index, move || Box::new(Probe { from: from.clone(), to: to.clone(), watch }));
    }
}

/// Puts a meter ahead of each muxer and sink: there time is that of the result, whatever the timestamps of the input began with.
pub(crate) fn meter(graph: &mut Graph) -> Meter {
    let meter = Meter::default();
    for index in 0..graph.links.len() {
        let link = &graph.links[index];
        let is_muxer = |node: usize| graph.nodes[node].factory.klass.contains("Muxer");
        let is_sink = graph.nodes[link.to.node].factory.templates(Direction::Src).next().is_none();
        if !is_muxer(link.from.node) && (is_muxer(link.to.node) || is_sink) {
            let reached = meter.0.clone();
            insert(graph, index, move || Box::new(Metered { reached: reached.clone(), segment: None }));
        }
    }
    meter
}

/// Puts an element into a link. It has the name of the element before it and the name of its pad, so that errors name the
/// same places as without it; the caps written into the link stay before it.
fn insert(graph: &mut Graph, index: usize, make: impl Fn() -> Box<dyn Transform> + Send + Sync + 'static) {
    let factory =
        Factory::new(PROBE, "Generic", "Looks at what passes", move |(), _: &BuildCx| Ok(Element::Transform(make())));
    let factory =
        factory.pad(PadTemplate::sink("%s", "ANY").request()).pad(PadTemplate::src("%s", "ANY")).passthrough();
    let probe = graph.nodes.len();
    let link = &mut graph.links[index];
    let (name, pad) = (graph.nodes[link.from.node].name.clone(), link.from.pad.clone());
    let to = std::mem::replace(&mut link.to, Endpoint { node: probe, pad: pad.clone() });
    let from = Endpoint { node: probe, pad };
    let rest = Link { from, to, filter: None, allowed: link.allowed.clone(), span: link.span };
    graph.nodes.push(node(name, factory));
    graph.links.push(rest);
}

/// A node that no text declares.
pub(crate) fn node(name: Arc<str>, factory: Factory) -> Node {
    let settings = Settings::typed(());
    Node { name, factory: factory.into(), settings, on_error: OnError::Default, span: Span::default() }
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

/// The running time that the media have reached.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<AtomicI64>);

impl Meter {
    /// The running time at the end of the last picture or sound; 0 where nothing has timestamps.
    pub(crate) fn read(&self) -> TimeDelta {
        TimeDelta::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

struct Metered {
    reached: Arc<AtomicI64>,
    segment: Option<Arc<Segment>>,
}

impl Transform for Metered {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match &item {
            Item::Segment(segment) => {
                self.segment = Some(segment.clone()).filter(|segment| segment.format == SegmentFormat::Time);
            }
            Item::Buffer(buffer) => {
                if let Some((segment, time)) = self.segment.as_ref().zip(buffer.pts.or(buffer.dts)) {
                    let end = segment.running_time(time) + buffer.duration.unwrap_or_default();
                    self.reached.fetch_max(end.nanos(), Ordering::Relaxed);
                }
            }
            _ => {}
        }
        out.forward(item);
        Ok(Flow::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_time_is_metered_from_the_start_of_the_segment() {
        let meter = Meter::default();
        let mut metered = Metered { reached: meter.0.clone(), segment: None };
        let mut out = Output::new(1, 1);
        let buffer = |ms| Item::buffer(Buffer::default().with_times(Some(Time::from_millis(ms)), None));
        let items = [
            buffer(7),
            Item::Segment(Segment::time(Time::from_millis(90_000_000)).into()),
            buffer(90_000_080),
            buffer(90_000_040),
        ];
        for item in items {
            assert!(metered.handle(PadId::FIRST, item, &mut out).is_ok());
        }
        assert_eq!(meter.read(), TimeDelta::from_millis(80));
        assert_eq!(out.drain().len(), 4, "everything goes on");
    }
}
