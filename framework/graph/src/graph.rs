//! The checked graph: what a pipeline is after its text has been read and before it runs.

use std::fmt;
use std::sync::Arc;

use millstream_core::settings::{AnySettings, Node as SettingsNode, Span};
use millstream_core::{CapsSet, Direction, Error, Factory, PadTemplate, Presence, Registry, Result};

use crate::on_error::OnError;

/// A pipeline whose elements exist, whose settings are valid and whose links can meet.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name of the pipeline.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The elements; links refer to them by index.
    pub nodes: Vec<Node>,
    /// The links.
    pub links: Vec<Link>,
    /// What could be inserted into a link whose sides turn out not to meet.
    pub converters: Converters,
}

/// The elements that make one format from another: one input, one output.
#[derive(Clone, Debug, Default)]
pub struct Converters(Arc<[Arc<Factory>]>);

impl Converters {
    /// Those of a registry.
    pub fn of(registry: &Registry) -> Self {
        let is_converter = |factory: &&Arc<Factory>| !factory.passthrough && only_pads(factory).is_some();
        Self(registry.iter().filter(is_converter).cloned().collect())
    }

    /// The name of one that makes something of `wanted` from something of `offered`.
    pub fn between(&self, offered: &CapsSet, wanted: &CapsSet) -> Option<&'static str> {
        let fits = |factory: &&Arc<Factory>| {
            only_pads(factory).is_some_and(|(sink, src)| {
                !sink.caps.intersect(offered).is_empty() && !src.caps.intersect(wanted).is_empty()
            })
        };
        self.0.iter().find(fits).map(|factory| factory.name)
    }
}

/// The pads of an element that has one always on each side and says what they take and give.
fn only_pads(factory: &Factory) -> Option<(&PadTemplate, &PadTemplate)> {
    let only = |direction| {
        let mut pads = factory.templates(direction);
        let pad = pads.next().filter(|pad| pad.presence == Presence::Always && pad.caps != CapsSet::Any)?;
        pads.next().is_none().then_some(pad)
    };
    Some((only(Direction::Sink)?, only(Direction::Src)?))
}

/// One element of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, unique in the graph.
    pub name: Arc<str>,
    /// What it is.
    pub factory: Arc<Factory>,
    /// Its settings.
    pub settings: Settings,
    /// What happens when it fails.
    pub on_error: OnError,
    /// Where the text declares it.
    pub span: Span,
}

/// One link of a graph.
#[derive(Clone, Debug)]
pub struct Link {
    /// Source pad.
    pub from: Endpoint,
    /// Sink pad.
    pub to: Endpoint,
    /// Caps written into the link.
    pub filter: Option<CapsSet>,
    /// What both sides and the filter allow, as far as known before start.
    pub allowed: CapsSet,
    /// Where the text declares it.
    pub span: Span,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Index into [`Graph::nodes`].
    pub node: usize,
    /// Pad name, such as `sink` or `audio_1`.
    pub pad: String,
}

/// Settings that can be made anew for every start of an element.
#[derive(Clone)]
pub struct Settings {
    make: Arc<dyn Fn() -> Result<AnySettings> + Send + Sync>,
}

impl Settings {
    /// Settings given as a Rust value.
    pub fn typed<S: Clone + Send + Sync + 'static>(settings: S) -> Self {
        Self { make: Arc::new(move || Ok(Box::new(settings.clone()))) }
    }

    /// Settings that a function makes.
    pub(crate) fn made(make: impl Fn() -> Result<AnySettings> + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make) }
    }

    /// Settings given as text, which the factory's declaration has read once without fault.
    pub fn text(factory: &Arc<Factory>, node: SettingsNode) -> Self {
        let factory = factory.clone();
        let make = move || factory.settings.parse_again(&node).map_err(|e| Error::settings(e.to_string()));
        Self { make: Arc::new(make) }
    }

    /// The settings.
    pub fn make(&self) -> Result<AnySettings> {
        (self.make)()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings")
    }
}

impl Graph {
    /// Index of the element of a name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| &*n.name == name)
    }

    /// Links into a node, in the order of declaration.
    pub fn links_into(&self, node: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |l| l.to.node == node)
    }

    /// Links out of a node, in the order of declaration.
    pub fn links_out_of(&self, node: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |l| l.from.node == node)
    }
}
