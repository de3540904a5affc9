//! The syntax tree of a pipeline, the same for YAML and launch lines. Nothing in it is checked against elements yet.

use millstream_core::settings::{Node, Span};

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value` at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// Which text form a [`PipelineDoc`] was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// A YAML file.
    #[default]
    Yaml,
    /// A launch line.
    Launch,
}

/// A pipeline as it was written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PipelineDoc {
    /// The text form.
    pub syntax: Syntax,
    /// Whether `${name}` in property values still stands for a param; otherwise it is just text.
    pub unresolved: bool,
    /// `name:`.
    pub name: Option<Spanned<String>>,
    /// `description:`.
    pub description: Option<Spanned<String>>,
    /// `plugins:` in order.
    pub plugins: Vec<PluginDoc>,
    /// `params:` in order.
    pub params: Vec<ParamDoc>,
    /// Elements in the order in which they first occur.
    pub elements: Vec<ElementDoc>,
    /// Links in order.
    pub links: Vec<LinkDoc>,
    /// Names in `elements:` whose entry could not be read, with their places: links to them are no fault of their own.
    pub faulty: Vec<Spanned<String>>,
}

/// One entry of `plugins:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDoc {
    /// A folder, a manifest or a library.
    pub path: Spanned<String>,
    /// SHA-256 of the library, if only that one will do.
    pub sha256: Option<Spanned<String>>,
}

/// One entry of `params:`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamDoc {
    /// Name in `${name}` and `--set name=value`.
    pub name: Spanned<String>,
    /// Value if nothing else gives one.
    pub default: Option<Spanned<String>>,
    /// What it is for.
    pub description: String,
    /// Environment variable that gives the value, after `--set` and before the default.
    pub env: Option<Spanned<String>>,
    /// Whether it must be set although it may have a default.
    pub required: bool,
}

/// One element.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementDoc {
    /// Name in this pipeline.
    pub name: Spanned<String>,
    /// Whether the name was written; otherwise it was made from the kind and a number.
    pub named: bool,
    /// Kind: the name of a factory.
    pub element: Spanned<String>,
    /// Properties: always a mapping.
    pub props: Node,
    /// `on-error:`.
    pub on_error: Option<Node>,
    /// Whether a property is left out because a fault in it was reported already.
    pub incomplete: bool,
    /// The whole element.
    pub span: Span,
}

/// One link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkDoc {
    /// Where data comes from.
    pub from: EndDoc,
    /// Where data goes.
    pub to: EndDoc,
    /// Caps filter between them, as text.
    pub filter: Option<Spanned<String>>,
    /// Both ends and what is between.
    pub span: Span,
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct EndDoc {
    /// Name of an element of this pipeline.
    pub element: Spanned<String>,
    /// Name of its pad; `None` lets the check choose.
    pub pad: Option<Spanned<String>>,
}

impl EndDoc {
    /// The place of element and pad.
    #[must_use]
    pub fn span(&self) -> Span {
        self.pad.as_ref().map_or(self.element.span, |pad| self.element.span.join(pad.span))
    }
}

/// Longest name of an element or param, in characters: names stand in every message.
pub const MAX_NAME: usize = 64;

/// Whether `name` can be the name of an element or param: a letter or `_`, then letters, digits, `_` and `-`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && name.len() <= MAX_NAME
}
