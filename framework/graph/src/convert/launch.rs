//! A syntax tree as a launch line.

use std::collections::HashSet;

use millstream_core::settings::{Node, NodeKind};

use super::chains::{Mentions, chains};
use crate::diagnostic::{Diagnostic, codes};
use crate::doc::{ElementDoc, PipelineDoc};
use crate::on_error;

/// Writes `doc` as one launch line.
///
/// Params must have been replaced ([`crate::params::resolve`]); name, description and params have no place in a line and
/// are left out.
///
/// # Errors
/// What a line cannot say: properties that are mappings or nothing.
pub fn to_launch(doc: &PipelineDoc) -> Result<String, Vec<Diagnostic>> {
    let chains = chains(doc);
    let mut writer =
        Writer { doc, mentions: Mentions::of(&chains), made: HashSet::new(), words: Vec::new(), errors: Vec::new() };
    for chain in &chains {
        // What the chain mentions with a pad has to be made before it.
        for (_, end) in chain.ends().filter(|(_, end)| end.pad.is_some()) {
            writer.make(&end.element.value);
        }
        for (index, (filter, end)) in chain.ends().enumerate() {
            if index > 0 {
                writer.words.push("!".to_owned());
            }
            if let Some(filter) = filter {
                writer.words.push(filter.to_owned());
                writer.words.push("!".to_owned());
            }
            let name = &end.element.value;
            if end.pad.is_some() || !writer.make(name) {
                let pad = end.pad.as_ref().map(|pad| pad.value.as_str()).unwrap_or_default();
                writer.words.push(format!("{name}.{pad}"));
            }
        }
    }
    for element in &doc.elements {
        writer.make(&element.name.value);
    }
    if writer.errors.is_empty() { Ok(writer.words.join(" ")) } else { Err(writer.errors) }
}

struct Writer<'a> {
    doc: &'a PipelineDoc,
    mentions: Mentions<'a>,
    made: HashSet<String>,
    words: Vec<String>,
    errors: Vec<Diagnostic>,
}

impl Writer<'_> {
    /// Writes the element if it is not there yet; says whether it did.
    fn make(&mut self, name: &str) -> bool {
        let Some(element) = self.doc.elements.iter().find(|element| element.name.value == name) else { return false };
        if !self.made.insert(name.to_owned()) {
            return false;
        }
        self.words.push(element.element.value.clone());
        if element.named || self.mentions.count(name) > 1 || self.with_pad(element) {
            self.words.push(format!("name={name}"));
        }
        self.properties(element);
        true
    }

    fn with_pad(&self, element: &ElementDoc) -> bool {
        self.mentions.count(&element.name.value) == 1 && !self.mentions.can_be_inline(element)
    }

    fn properties(&mut self, element: &ElementDoc) {
        if let Some(on_error) = &element.on_error {
            match on_error::as_text(on_error) {
                Some(text) => self.words.push(format!("on-error={}", scalar(&text, false))),
                None => {
                    let message = format!("`on-error` of `{}` cannot be said in a launch line", element.name.value);
                    self.errors.push(Diagnostic::error(codes::NOT_SUPPORTED, message).at(on_error.span, ""));
                }
            }
        }
        for (key, value) in element.props.entries().unwrap_or_default() {
            match value_text(value) {
                Some(text) => self.words.push(format!("{}={text}", key.text)),
                None => {
                    let message = format!("the value of `{}` cannot be said in a launch line", key.text);
                    self.errors.push(
                        Diagnostic::error(codes::NOT_SUPPORTED, message)
                            .at(value.span, "")
                            .expected("text or a list of texts"),
                    );
                }
            }
        }
    }
}

/// The elements of a link line in YAML: kind and properties. `None` if a property cannot be said there.
pub(super) fn inline(element: &ElementDoc) -> Option<String> {
    let mut words = vec![element.element.value.clone()];
    for (key, value) in element.props.entries()? {
        words.push(format!("{}={}", key.text, value_text(value)?));
    }
    Some(words.join(" "))
}

fn value_text(value: &Node) -> Option<String> {
    match &value.kind {
        NodeKind::Scalar { text, quoted } => Some(scalar(text, *quoted)),
        NodeKind::Seq(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(list_item)).collect();
            Some(format!("<{}>", items?.join(",")))
        }
        NodeKind::Null | NodeKind::Map(_) => None,
    }
}

/// An item of a list: `,` and `>` end it.
fn list_item(text: &str) -> String {
    let ends = |c| matches!(c, ',' | '>');
    if text.contains(ends) { double_quoted(text) } else { scalar(text, false) }
}

/// Whether an untyped place would take plain text for a number or a flag.
pub(super) fn looks_typed(text: &str) -> bool {
    text.parse::<f64>().is_ok() || text.starts_with("0x") || matches!(text, "true" | "false")
}

/// Whether the text means itself without quotes.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| {
        c.is_alphanumeric()
            || matches!(c, '_' | '-' | '.' | '/' | ':' | '+' | ',' | '=' | '@' | '%' | '~' | '$' | '{' | '}')
    };
    !text.is_empty() && text.chars().all(safe)
}

fn scalar(text: &str, quoted: bool) -> String {
    if is_plain(text) && !(quoted && looks_typed(text)) {
        return text.to_owned();
    }
    double_quoted(text)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
