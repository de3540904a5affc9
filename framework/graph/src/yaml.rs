//! YAML text to a tree of [`Node`]s with places. Syntax by `saphyr-parser` (YAML 1.2); limits and refusals are ours.

use std::collections::HashMap;

use millstream_core::settings::{Key, Node, NodeKind, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::source::SourceText;

/// Largest file, in bytes: pipelines are a few kilobytes, and the whole text is held in memory.
pub const MAX_FILE_SIZE: usize = 1 << 20;

/// Deepest nesting of mappings and lists: pipelines need four; code that walks the tree may recurse.
pub const MAX_DEPTH: usize = 64;

/// Most keys and values in one file: bounds memory at a small multiple of [`MAX_FILE_SIZE`].
pub const MAX_NODES: usize = 100_000;

/// Reads one document. `None` if there is nothing to go on with; every fault is in `diagnostics`.
pub fn parse(source: &SourceText, diagnostics: &mut Diagnostics) -> Option<Node> {
    if source.text().len() > MAX_FILE_SIZE {
        let message = format!("the file has {} bytes, more than {MAX_FILE_SIZE}", source.text().len());
        diagnostics.push(Diagnostic::error(codes::TOO_LARGE, message).hint("is this the right file?"));
        return None;
    }
    let mut builder = Builder::new(source, diagnostics);
    for event in Parser::new_from_str(builder.text) {
        let result = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(builder.syntax(&error)),
        };
        if let Err(fatal) = result {
            builder.diagnostics.push(*fatal);
            return None;
        }
    }
    Some(builder.root.unwrap_or(Node { span: Span::default(), kind: NodeKind::Null }))
}

/// A mapping or list that is not finished.
struct Frame {
    start: u32,
    kind: FrameKind,
}

enum FrameKind {
    Seq(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, first: HashMap<String, Span>, key: Option<Key> },
}

struct Builder<'a> {
    source: &'a SourceText,
    text: &'a str,
    offsets: Offsets,
    diagnostics: &'a mut Diagnostics,
    stack: Vec<Frame>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

/// What ends the reading.
type Fatal = Box<Diagnostic>;

impl<'a> Builder<'a> {
    fn new(source: &'a SourceText, diagnostics: &'a mut Diagnostics) -> Self {
        // A byte order mark is no part of the text (YAML 1.2.2, section 5.2).
        let text = source.text().strip_prefix('\u{feff}').unwrap_or(source.text());
        let base = source.text().len().saturating_sub(text.len());
        let offsets = Offsets::of(text, base);
        Self { source, text, offsets, diagnostics, stack: Vec::new(), root: None, nodes: 0, documents: 0 }
    }

    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Result<(), Fatal> {
        let span = self.offsets.span(span);
        match event {
            Event::DocumentStart(_) => self.document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(anchor, tag.is_some(), span);
                self.scalar(&text, style, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(anchor, tag.is_some(), span);
                self.open(span, FrameKind::Seq(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(anchor, tag.is_some(), span);
                self.open(span, FrameKind::Map { entries: Vec::new(), first: HashMap::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(_) => {
                self.refuse(1, false, span);
                self.value(Node { span, kind: NodeKind::Null })
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Fatal> {
        self.documents = self.documents.saturating_add(1);
        if self.documents == 1 {
            return Ok(());
        }
        let message = "a second document begins here";
        let d = Diagnostic::error(codes::SEVERAL_DOCUMENTS, message).at(span, "");
        Err(Box::new(d.hint("put the second pipeline into a file of its own")))
    }

    fn refuse(&mut self, anchor: usize, tag: bool, span: Span) {
        if anchor != 0 {
            let d = Diagnostic::error(codes::YAML_ALIAS, "anchors and aliases are not allowed");
            self.diagnostics
                .push(d.at(span, "").hint("write the value out, or put quotes around text with `&` or `*`"));
        }
        if tag {
            let d = Diagnostic::error(codes::YAML_TAG, "tags are not allowed");
            let hint = "put quotes around text that begins with `!`; a link line begins with an element";
            self.diagnostics.push(d.at(span, "").hint(hint));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Result<(), Fatal> {
        let quoted = style != ScalarStyle::Plain;
        let span = Span::new(span.start, self.trimmed(span.start, span.end));
        // The null forms of the core schema (YAML 1.2.2, section 10.3.2).
        let null = !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let is_value = !matches!(self.stack.last(), Some(Frame { kind: FrameKind::Map { key: None, .. }, .. }));
        let kind = match null && is_value {
            true => NodeKind::Null,
            false => NodeKind::Scalar { text: text.to_owned(), quoted },
        };
        self.value(Node { span, kind })
    }

    fn open(&mut self, span: Span, kind: FrameKind) -> Result<(), Fatal> {
        if let Some(Frame { kind: FrameKind::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(self.complex_key(span));
        }
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("the text is nested more than {MAX_DEPTH} deep");
            let d = Diagnostic::error(codes::TOO_DEEP, message).at(Span::at(span.start), "");
            return Err(Box::new(d.expected("four levels, as in any pipeline")));
        }
        self.stack.push(Frame { start: span.start, kind });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Fatal> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let (kind, last) = match frame.kind {
            FrameKind::Seq(items) => {
                let last = items.last().map(|item| item.span.end);
                (NodeKind::Seq(items), last)
            }
            FrameKind::Map { entries, .. } => {
                let last = entries.last().map(|(_, value)| value.span.end);
                (NodeKind::Map(entries), last)
            }
        };
        // A block ends where its last value does; only the end of `{ }` and `[ ]` is a character of its own.
        let end = if span.is_empty() { last.unwrap_or(span.end) } else { self.trimmed(frame.start, span.end) };
        self.value(Node { span: Span::new(frame.start, end), kind })
    }

    /// The end without the white space that the parser counts to a closing bracket or quote.
    fn trimmed(&self, start: u32, end: u32) -> u32 {
        let text = self.source.slice(Span::new(start, end));
        Span::of(0, (start as usize).saturating_add(text.trim_end().len())).end
    }

    fn value(&mut self, node: Node) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            let message = format!("the text has more than {MAX_NODES} values");
            let d = Diagnostic::error(codes::TOO_MANY_NODES, message).at(Span::at(node.span.start), "");
            return Err(Box::new(d.hint("is this the right file?")));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame { kind: FrameKind::Seq(items), .. }) => items.push(node),
            Some(Frame { kind: FrameKind::Map { entries, first, key }, .. }) => match key.take() {
                Some(name) => match first.insert(name.text.clone(), name.span) {
                    None => entries.push((name, node)),
                    Some(before) => {
                        let message = format!("the key `{}` is given twice", name.text);
                        let d = Diagnostic::error(codes::DUPLICATE_KEY, message).at(name.span, "given again");
                        self.diagnostics.push(d.also(before, "first given here").hint("remove or rename one of them"));
                        first.insert(name.text, before);
                    }
                },
                None => match node.kind {
                    NodeKind::Scalar { text, .. } => *key = Some(Key { text, span: node.span }),
                    _ => return Err(self.complex_key(node.span)),
                },
            },
        }
        Ok(())
    }

    fn complex_key(&self, span: Span) -> Fatal {
        let d = Diagnostic::error(codes::COMPLEX_KEY, "a key must be plain text").at(span, "");
        Box::new(match self.unquoted_param(span.start) {
            true => d.hint("put quotes around `${…}`: \"${name}\""),
            false => d.hint("write `key: value`"),
        })
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let at = self.offsets.offset(error.marker());
        let info = error.info();
        let d = Diagnostic::error(codes::YAML_SYNTAX, format!("this is not YAML: {info}"))
            .at(Span::new(at, at.saturating_add(1)), "");
        Box::new(match syntax_hint(info) {
            _ if self.unquoted_param(at) => d.hint("put quotes around `${…}` inside `{ }` and `[ ]`: \"${name}\""),
            Some(hint) => d.hint(hint),
            None => d,
        })
    }

    /// Whether the line of `offset` has a `${` that is not in quotes.
    fn unquoted_param(&self, offset: u32) -> bool {
        let line = self.source.line(self.source.position(offset).line);
        line.match_indices("${").any(|(at, _)| {
            let before = line.get(..at).unwrap_or_default();
            before.matches('"').count() % 2 == 0 && before.matches('\'').count() % 2 == 0
        })
    }
}

fn syntax_hint(info: &str) -> Option<&'static str> {
    let table = [
        ("tab", "indent with spaces; YAML allows no tabs there"),
        ("mapping values are not allowed", "put quotes around a value that has `: ` in it, or check the indentation"),
        ("simple key", "a `:` is missing after the key, or the line is indented differently from its neighbours"),
        ("quoted scalar", "a quote is not closed"),
        ("trailing content", "put quotes around the whole value"),
        ("flow mapping", "a `}` or a comma is missing"),
        ("flow sequence", "a `]` or a comma is missing"),
        ("flow construct", "a `}` or `]` is missing"),
        ("bracket", "a bracket has no partner"),
        ("did not find expected key", "the line is indented differently from its neighbours"),
        ("'-' indicator", "the line is indented differently from its neighbours, or its `- ` is missing"),
        ("block sequence entries", "a list begins on a line of its own, below its key"),
        ("anchor", "put quotes around text that begins with `&` or `*`"),
        ("tag", "put quotes around text that begins with `!`"),
        ("directive", "put quotes around text that begins with `%`"),
        ("expected next token", "put quotes around text that begins with a special character"),
        ("recursion limit", "the text is nested far too deeply"),
    ];
    table.iter().find(|(part, _)| info.contains(part)).map(|(_, hint)| *hint)
}

/// Turns the parser's character counts into byte offsets.
enum Offsets {
    Ascii {
        base: u32,
        len: u32,
    },
    /// Byte offset of each character and of the end.
    Table(Vec<u32>),
}

impl Offsets {
    fn of(text: &str, base: usize) -> Self {
        let at = |offset: usize| Span::of(offset.saturating_add(base), usize::MAX).start;
        if text.is_ascii() {
            return Self::Ascii { base: at(0), len: at(text.len()).saturating_sub(at(0)) };
        }
        Self::Table(text.char_indices().map(|(offset, _)| at(offset)).chain([at(text.len())]).collect())
    }

    fn offset(&self, marker: &Marker) -> u32 {
        match self {
            Self::Ascii { base, len } => {
                base.saturating_add(u32::try_from(marker.index()).unwrap_or(u32::MAX).min(*len))
            }
            Self::Table(offsets) => offsets.get(marker.index()).or(offsets.last()).copied().unwrap_or_default(),
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span::new(self.offset(&span.start), self.offset(&span.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{RenderOptions, render_all};

    fn read(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
        let source = SourceText::new("t.yaml", text);
        let mut diagnostics = Diagnostics::default();
        let node = parse(&source, &mut diagnostics);
        (node, diagnostics.into_sorted())
    }

    fn codes_of(text: &str) -> Vec<&'static str> {
        read(text).1.iter().map(|d| d.code).collect()
    }

    /// Every scalar and key with the text at its span.
    fn places(text: &str) -> Vec<(String, String)> {
        fn visit(node: &Node, source: &SourceText, out: &mut Vec<(String, String)>) {
            match &node.kind {
                NodeKind::Null => {}
                NodeKind::Scalar { text, .. } => out.push((text.clone(), source.slice(node.span).to_owned())),
                NodeKind::Seq(items) => items.iter().for_each(|item| visit(item, source, out)),
                NodeKind::Map(entries) => {
                    for (key, value) in entries {
                        out.push((key.text.clone(), source.slice(key.span).to_owned()));
                        visit(value, source, out);
                    }
                }
            }
        }
        let source = SourceText::new("t", text);
        let (node, diagnostics) = read(text);
        assert!(diagnostics.is_empty(), "{}", render_all(&diagnostics, &source, RenderOptions::default()));
        let mut out = Vec::new();
        visit(&node.expect("a tree"), &source, &mut out);
        out
    }

    #[test]
    fn places_are_bytes_of_the_source() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        for text in
            ["é: { b: \"ü\", c: [d] }\n", "é:\r\n  b: \"ü\"\r\n  c:\r\n  - d\r\n", "\u{feff}é:\n  b: \"ü\"\n  c: [d]"]
        {
            let expected = [pair("é", "é"), pair("b", "b"), pair("ü", "\"ü\""), pair("c", "c"), pair("d", "d")];
            assert_eq!(places(text), expected, "{text:?}");
        }
        assert_eq!(places("a: b c # note\n"), [pair("a", "a"), pair("b c", "b c")]);
    }

    #[test]
    fn nulls_are_values_only() {
        let (node, _) = read("null: ~\nb:\nc: \"\"\n");
        let node = node.expect("a tree");
        assert_eq!(node.get("null").map(|n| &n.kind), Some(&NodeKind::Null));
        assert_eq!(node.get("b").map(|n| &n.kind), Some(&NodeKind::Null));
        assert_eq!(node.get("c").and_then(Node::as_str), Some(""));
    }

    #[test]
    fn a_block_ends_with_its_last_value() {
        let source = SourceText::new("t", "a:\n  b: c\n  d: e\n\n# note\nf: g\n");
        let (node, _) = read(source.text());
        let node = node.expect("a tree");
        assert_eq!(source.slice(node.get("a").expect("a").span), "b: c\n  d: e");
    }

    #[test]
    fn what_is_refused_is_named() {
        assert_eq!(codes_of("a: 1\nb: 2\na: 3\n"), [codes::DUPLICATE_KEY]);
        assert_eq!(codes_of("a: &x 1\nb: *x\n"), [codes::YAML_ALIAS, codes::YAML_ALIAS]);
        assert_eq!(codes_of("a: !!str 1\n"), [codes::YAML_TAG]);
        assert_eq!(codes_of("a: 1\n---\nb: 2\n"), [codes::SEVERAL_DOCUMENTS]);
        assert_eq!(codes_of("? [a]\n: b\n"), [codes::COMPLEX_KEY]);
        assert_eq!(codes_of("a: [1\n"), [codes::YAML_SYNTAX]);
        assert_eq!(codes_of("a:\n\tb: 1\n"), [codes::YAML_SYNTAX]);
        assert_eq!(codes_of("a: b: c\n"), [codes::YAML_SYNTAX]);
    }

    #[test]
    fn a_param_without_quotes_in_braces_gets_the_right_hint() {
        let (_, diagnostics) = read("a: { b: ${x} }\n");
        let hints: Vec<_> = diagnostics.iter().filter_map(|d| d.hint.as_deref()).collect();
        assert!(hints.iter().any(|hint| hint.contains("put quotes around `${…}`")), "{diagnostics:?}");
    }

    #[test]
    fn sec_unbounded_recursion_limits_hold() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(codes_of(&nested(MAX_DEPTH)).is_empty());
        assert_eq!(codes_of(&nested(MAX_DEPTH + 1)), [codes::TOO_DEEP]);
        assert!(!codes_of(&"[".repeat(MAX_FILE_SIZE)).is_empty());
        assert!(!codes_of(&"- ".repeat(MAX_FILE_SIZE / 2)).is_empty());
        assert!(!codes_of(&"? ".repeat(MAX_FILE_SIZE / 2)).is_empty());
        assert_eq!(codes_of(&"x".repeat(MAX_FILE_SIZE + 1)), [codes::TOO_LARGE]);
        assert_eq!(codes_of(&format!("[{}]", "1,".repeat(MAX_NODES + 1))), [codes::TOO_MANY_NODES]);
    }
}
