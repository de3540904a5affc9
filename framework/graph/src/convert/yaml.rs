//! A syntax tree as a YAML file.

use std::fmt::Write as _;

use millstream_core::settings::{Node, NodeKind};

use super::chains::{Chain, Mentions, chains};
use super::launch::{inline, looks_typed};
use crate::doc::{ElementDoc, ParamDoc, PipelineDoc};

/// Writes `doc` as a YAML pipeline file that reads back to the same.
///
/// Elements without a name of their own stay in the link lines where they can.
#[must_use]
pub fn to_yaml(doc: &PipelineDoc) -> String {
    let mut out = String::new();
    for (key, text) in [("name", &doc.name), ("description", &doc.description)] {
        if let Some(text) = text {
            let _ = writeln!(out, "{key}: {}", scalar(&text.value, true));
        }
    }
    if !doc.plugins.is_empty() {
        out.push_str("plugins:\n");
    }
    for plugin in &doc.plugins {
        let path = scalar(&plugin.path.value, true);
        let _ = match &plugin.sha256 {
            None => writeln!(out, "  - {path}"),
            Some(sha256) => writeln!(out, "  - {{ path: {path}, sha256: {} }}", scalar(&sha256.value, true)),
        };
    }
    if !doc.params.is_empty() {
        out.push_str("params:\n");
        doc.params.iter().for_each(|param| write_param(&mut out, param));
    }
    let chains = chains(doc);
    let mentions = Mentions::of(&chains);
    let is_inline = |element: &&ElementDoc| mentions.can_be_inline(element) && inline(element).is_some();
    let mut listed = doc.elements.iter().filter(|element| !is_inline(element)).peekable();
    if listed.peek().is_some() {
        out.push_str("elements:\n");
        listed.for_each(|element| write_element(&mut out, element, doc.unresolved));
    }
    if !chains.is_empty() {
        out.push_str("links:\n");
    }
    for chain in &chains {
        let inline = |name: &str| doc.elements.iter().find(|e| e.name.value == name).filter(is_inline);
        let _ = writeln!(out, "  - {}", line(&chain_text(chain, doc.unresolved, inline)));
    }
    out
}

fn write_param(out: &mut String, param: &ParamDoc) {
    let mut fields = Vec::new();
    if let Some(default) = &param.default {
        fields.push(format!("default: {}", scalar(&default.value, true)));
    }
    if !param.description.is_empty() {
        fields.push(format!("description: {}", scalar(&param.description, true)));
    }
    if let Some(env) = &param.env {
        fields.push(format!("env: {}", scalar(&env.value, false)));
    }
    if param.required {
        fields.push("required: true".to_owned());
    }
    let _ = writeln!(out, "  {}: {}", key(&param.name.value), mapping(&fields));
}

fn write_element(out: &mut String, element: &ElementDoc, unresolved: bool) {
    let mut fields = vec![format!("element: {}", scalar(&element.element.value, false))];
    if let Some(on_error) = &element.on_error {
        fields.push(format!("on-error: {}", node(on_error, true)));
    }
    for (name, value) in element.props.entries().unwrap_or_default() {
        fields.push(format!("{}: {}", key(&name.text), node(value, unresolved)));
    }
    let _ = writeln!(out, "  {}: {}", key(&element.name.value), mapping(&fields));
}

fn mapping(fields: &[String]) -> String {
    match fields {
        [] => "{}".to_owned(),
        fields => format!("{{ {} }}", fields.join(", ")),
    }
}

/// A value in flow style. Recursion is bounded by the depth limit of the reader.
fn node(value: &Node, unresolved: bool) -> String {
    match &value.kind {
        NodeKind::Null => "null".to_owned(),
        NodeKind::Scalar { text, quoted } => scalar(&escaped(text, unresolved), *quoted),
        NodeKind::Seq(items) => {
            let items: Vec<String> = items.iter().map(|item| node(item, unresolved)).collect();
            format!("[{}]", items.join(", "))
        }
        NodeKind::Map(entries) => {
            let fields: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{}: {}", key(&name.text), node(value, unresolved)))
                .collect();
            mapping(&fields)
        }
    }
}

/// `${` that stands for itself is written `$${`.
fn escaped(text: &str, unresolved: bool) -> String {
    if unresolved { text.to_owned() } else { text.replace("${", "$${") }
}

fn chain_text<'a>(
    chain: &Chain<'_>,
    unresolved: bool,
    inline_element: impl Fn(&str) -> Option<&'a ElementDoc>,
) -> String {
    let mut words = Vec::new();
    for (index, (filter, end)) in chain.ends().enumerate() {
        if index > 0 {
            words.push("!".to_owned());
        }
        if let Some(filter) = filter {
            words.push(filter.to_owned());
            words.push("!".to_owned());
        }
        let name = &end.element.value;
        let made = inline_element(name).and_then(inline).map(|text| escaped(&text, unresolved));
        words.push(match (&end.pad, made) {
            (Some(pad), _) => format!("{name}.{}", pad.value),
            (None, Some(text)) => text,
            (None, None) => name.clone(),
        });
    }
    words.join(" ")
}

/// A link line: plain where YAML allows.
fn line(text: &str) -> String {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let plain = starts_well
        && !text.ends_with(':')
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains("  ")
        && !text.ends_with(' ')
        && text.chars().all(|c| c == ' ' || (!c.is_whitespace() && !is_special(c)));
    if plain { text.to_owned() } else { double_quoted(text) }
}

fn key(text: &str) -> String {
    scalar(text, false)
}

/// Text as a scalar in flow style. `quoted` keeps the quotes of a text that would be a number or a flag without them.
fn scalar(text: &str, quoted: bool) -> String {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | '%' | ':');
    let starts_well = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-'));
    let reserved = ["", "null", "Null", "NULL", "-", "--", "---", "...", "."];
    let plain = starts_well
        && text.chars().all(safe)
        && !text.ends_with(':')
        && !text.contains("::")
        && !reserved.contains(&text);
    if plain && !(quoted && looks_typed(text)) { text.to_owned() } else { double_quoted(text) }
}

fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Text in double quotes with the escapes of YAML 1.2.2, section 5.7.
fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_special(c) => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
