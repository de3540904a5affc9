//! What a plugin says of its elements, and how they are made.

use std::borrow::Cow;

use millstream_core::registry::{Direction, Presence};
use millstream_core::settings::{Node, SettingsDecl};
use millstream_core::{Blocking, Error, Result, TimeDelta};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::element::{BuildCx, Element};

/// Text that is either constant or made at run time.
pub type Text = Cow<'static, str>;

/// A kind of pad that an element has.
#[derive(Clone, Debug)]
pub struct PadTemplate {
    /// Name, or a pattern with one `%u` for a number or `%s` for a word (`src_%u`).
    pub name: Text,
    /// Which way.
    pub direction: Direction,
    /// When it exists.
    pub presence: Presence,
    /// What it accepts or may offer, in GStreamer's text form.
    pub caps: Text,
    /// Source: writes byte segments that go back if the other end can. Sink: can rewrite what came before.
    pub random_write: bool,
    /// One sentence, where the name does not say it all.
    pub doc: Text,
}

impl PadTemplate {
    /// A sink pad that always exists.
    pub fn sink(name: impl Into<Text>, caps: impl Into<Text>) -> Self {
        Self::new(name.into(), Direction::Sink, caps.into())
    }

    /// A source pad that always exists.
    pub fn src(name: impl Into<Text>, caps: impl Into<Text>) -> Self {
        Self::new(name.into(), Direction::Src, caps.into())
    }

    fn new(name: Text, direction: Direction, caps: Text) -> Self {
        Self { name, direction, presence: Presence::Always, caps, random_write: false, doc: Text::default() }
    }

    /// Exists when the input has such a stream.
    #[must_use]
    pub fn sometimes(self) -> Self {
        Self { presence: Presence::Sometimes, ..self }
    }

    /// Exists when a link asks for it.
    #[must_use]
    pub fn request(self) -> Self {
        Self { presence: Presence::Request, ..self }
    }

    /// See [`PadTemplate::random_write`].
    #[must_use]
    pub fn random_write(self) -> Self {
        Self { random_write: true, ..self }
    }

    /// Adds a sentence.
    #[must_use]
    pub fn doc(self, doc: impl Into<Text>) -> Self {
        Self { doc: doc.into(), ..self }
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "direction": match self.direction { Direction::Sink => "sink", Direction::Src => "src" },
            "presence": match self.presence {
                Presence::Always => "always",
                Presence::Sometimes => "sometimes",
                Presence::Request => "request",
            },
            "caps": self.caps,
            "random-write": self.random_write,
            "description": self.doc,
        })
    }
}

type BuildFn = dyn Fn(&Value, &BuildCx) -> Result<Element> + Send + Sync;

/// An element's public face: what stands in the manifest, and how it is made.
pub struct Factory {
    /// Name in pipelines.
    pub name: Text,
    class: Text,
    summary: Text,
    details: Text,
    example: Text,
    pads: Vec<PadTemplate>,
    schema: Value,
    blocking: Blocking,
    passthrough: bool,
    latency: TimeDelta,
    live: Value,
    survives_lost_inputs: bool,
    open_ended: bool,
    joined: Text,
    build: Box<BuildFn>,
}

impl Factory {
    /// A factory that builds an element from settings of type `S`, as built-in elements have them.
    pub fn new<S>(
        name: impl Into<Text>,
        class: impl Into<Text>,
        summary: impl Into<Text>,
        build: impl Fn(S, &BuildCx) -> Result<Element> + Send + Sync + 'static,
    ) -> Self
    where
        S: DeserializeOwned + JsonSchema + Send + Sync + 'static,
    {
        let decl = SettingsDecl::of::<S>();
        let build = move |settings: &Value, cx: &BuildCx| {
            let settings = decl.parse_again(&Node::from(settings)).map_err(|e| Error::settings(e.to_string()))?;
            let settings = settings.downcast::<S>().map_err(|_| Error::bug("settings of another type"))?;
            build(*settings, cx)
        };
        Self::dynamic(name, class, summary, decl.schema().to_value(), build)
    }

    /// A factory whose settings are described by a JSON Schema that is made at run time; they come as a JSON object that fits it.
    pub fn dynamic(
        name: impl Into<Text>,
        class: impl Into<Text>,
        summary: impl Into<Text>,
        schema: Value,
        build: impl Fn(&Value, &BuildCx) -> Result<Element> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            class: class.into(),
            summary: summary.into(),
            details: Text::default(),
            example: Text::default(),
            pads: Vec::new(),
            schema,
            blocking: Blocking::None,
            passthrough: false,
            latency: TimeDelta::ZERO,
            live: Value::Bool(false),
            survives_lost_inputs: false,
            open_ended: false,
            joined: Text::default(),
            build: Box::new(build),
        }
    }

    /// Adds a pad.
    #[must_use]
    pub fn pad(mut self, pad: PadTemplate) -> Self {
        self.pads.push(pad);
        self
    }

    /// Adds what else a user should know; Markdown.
    #[must_use]
    pub fn details(self, details: impl Into<Text>) -> Self {
        Self { details: details.into(), ..self }
    }

    /// Adds a launch line that shows it.
    #[must_use]
    pub fn example(self, example: impl Into<Text>) -> Self {
        Self { example: example.into(), ..self }
    }

    /// Its calls wait for files.
    #[must_use]
    pub fn blocks_on_io(self) -> Self {
        Self { blocking: Blocking::Io, ..self }
    }

    /// Its calls burn processor time, or it holds back its inputs: it has a thread of its own, with a queue before it.
    #[must_use]
    pub fn burns_compute(self) -> Self {
        Self { blocking: Blocking::Compute, ..self }
    }

    /// What comes in goes out with the same caps.
    #[must_use]
    pub fn passthrough(self) -> Self {
        Self { passthrough: true, ..self }
    }

    /// How much later its output comes than its input, when live.
    #[must_use]
    pub fn latency(self, latency: TimeDelta) -> Self {
        Self { latency, ..self }
    }

    /// It is a live source: it cannot be held back.
    #[must_use]
    pub fn live(self) -> Self {
        Self { live: Value::Bool(true), ..self }
    }

    /// It is a live source when this property is true.
    #[must_use]
    pub fn live_if(self, property: impl Into<Text>) -> Self {
        Self { live: Value::String(property.into().into_owned()), ..self }
    }

    /// An input that fails is one that is absent.
    #[must_use]
    pub fn survives_lost_inputs(self) -> Self {
        Self { survives_lost_inputs: true, ..self }
    }

    /// It and neighbours of its kind become this element of the manifest, which is given their names, settings and links.
    #[must_use]
    pub fn joined(self, into: impl Into<Text>) -> Self {
        Self { joined: into.into(), ..self }
    }

    /// It may be linked on one side only: it is a source without inputs, and a sink without outputs.
    #[must_use]
    pub fn open_ended(self) -> Self {
        Self { open_ended: true, ..self }
    }

    /// What stands in the manifest.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "class": self.class,
            "summary": self.summary,
            "details": self.details,
            "example": self.example,
            "blocking": match self.blocking {
                Blocking::None => "none",
                Blocking::Io => "io",
                Blocking::Compute => "compute",
            },
            "passthrough": self.passthrough,
            "latency": self.latency.nanos(),
            "live": self.live,
            "survives-lost-inputs": self.survives_lost_inputs,
            "open-ended": self.open_ended,
            "joined": self.joined,
            "pads": self.pads.iter().map(PadTemplate::json).collect::<Vec<_>>(),
            "settings": self.schema,
        })
    }

    pub(crate) fn build(&self, settings: &Value, cx: &BuildCx) -> Result<Element> {
        (self.build)(settings, cx)
    }
}

/// Elements that are known only on the machine.
pub struct Dynamic {
    /// How their names begin, such as `gst/`.
    pub prefix: &'static str,
    /// Whether a name that no other element has means the one of that name behind the prefix.
    pub aliases: bool,
    /// Files and folders whose change makes another list; `${NAME}` stands for a variable of the environment.
    pub stamp: Vec<String>,
    /// All of them. Asked in a process of its own, and kept.
    pub all: fn() -> Vec<Factory>,
    /// One of them.
    pub find: fn(&str) -> Option<Factory>,
}

/// A plugin: what [`crate::export!`] exports.
#[derive(Default)]
pub struct Plugin {
    elements: Vec<Factory>,
    dynamic: Option<Dynamic>,
}

impl Plugin {
    /// A plugin of these elements.
    #[must_use]
    pub fn new(elements: Vec<Factory>) -> Self {
        Self { elements, dynamic: None }
    }

    /// The same with elements that are known only on the machine.
    #[must_use]
    pub fn dynamic(self, dynamic: Dynamic) -> Self {
        Self { dynamic: Some(dynamic), ..self }
    }

    /// An element of the manifest.
    pub(crate) fn get(&self, name: &str) -> Option<&Factory> {
        self.elements.iter().find(|factory| factory.name == name)
    }

    /// An element that is known only on the machine.
    pub(crate) fn find(&self, name: &str) -> Option<Factory> {
        (self.dynamic.as_ref()?.find)(name)
    }

    /// All of these.
    pub(crate) fn all(&self) -> Vec<Factory> {
        self.dynamic.as_ref().map(|dynamic| (dynamic.all)()).unwrap_or_default()
    }

    /// The manifest of the plugin of a package, with the file name of its library.
    #[must_use]
    pub fn manifest(&self, about: &About, library: &str) -> Value {
        let mut manifest = json!({
            "millstream-plugin": 1,
            "name": about.name,
            "version": about.version,
            "licence": about.licence,
            "abi": format!("{}.{}", millstream_plugin_abi::ABI_MAJOR, millstream_plugin_abi::ABI_MINOR),
            "library": library,
            "elements": self.elements.iter().map(Factory::describe).collect::<Vec<_>>(),
        });
        if let Some(dynamic) = &self.dynamic {
            manifest["dynamic"] =
                json!({ "prefix": dynamic.prefix, "aliases": dynamic.aliases, "stamp": dynamic.stamp });
        }
        manifest
    }
}

/// Whose plugin it is: taken from the package by [`crate::export!`].
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Name of the plugin.
    pub name: &'static str,
    /// Version of the package.
    pub version: &'static str,
    /// Licence of the package.
    pub licence: &'static str,
    /// Name of the package.
    pub package: &'static str,
}
