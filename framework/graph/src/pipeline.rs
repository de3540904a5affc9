//! The sections of a YAML pipeline file to the syntax tree.

use millstream_core::settings::{Key, Node, NodeKind, Span};

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::doc::{ElementDoc, ParamDoc, PipelineDoc, PluginDoc, Spanned, Syntax, is_name};
use crate::launch::parser::bad_name;
use crate::source::{SourceText, SpanMap};
use crate::{launch, yaml};

/// Sections of a pipeline file.
const SECTIONS: [&str; 6] = ["name", "description", "plugins", "params", "elements", "links"];

/// Keys of a param.
const PARAM_KEYS: [&str; 4] = ["default", "description", "env", "required"];

/// Keys of a plugin.
const PLUGIN_KEYS: [&str; 2] = ["path", "sha256"];

/// Key that says what an element is.
const ELEMENT: &str = "element";

/// Key that says what happens when an element fails.
const ON_ERROR: &str = "on-error";

/// Reads a pipeline file. What could be read is returned, every fault is in `diagnostics`.
pub fn parse(source: &SourceText, diagnostics: &mut Diagnostics) -> PipelineDoc {
    let doc = PipelineDoc { syntax: Syntax::Yaml, unresolved: true, ..PipelineDoc::default() };
    // What YAML refused is missing in the tree, and would only be found missing again.
    let Some(root) = yaml::parse(source, diagnostics).filter(|_| !diagnostics.has_errors()) else { return doc };
    let mut reader = Reader { source, diagnostics, doc };
    reader.root(&root);
    reader.doc
}

struct Reader<'a> {
    source: &'a SourceText,
    diagnostics: &'a mut Diagnostics,
    doc: PipelineDoc,
}

impl Reader<'_> {
    fn root(&mut self, root: &Node) {
        let Some(entries) = root.entries() else {
            let d = Diagnostic::error(codes::NOT_A_PIPELINE, "this is not a pipeline")
                .at(first_line(root, self.source), "");
            let d = d.expected("a mapping with `elements` and `links`");
            let is_line = root.as_str().is_some_and(|text| text.contains(" ! "));
            self.diagnostics.push(match is_line {
                true => d.hint("a launch line is run with `launch`; `convert` makes a file of it"),
                false => d.hint("`init` writes a file to start from"),
            });
            return;
        };
        let mut links = None;
        for (key, value) in entries {
            match key.text.as_str() {
                "name" => self.doc.name = self.text("name", value),
                "description" => self.doc.description = self.text("description", value),
                "plugins" => self.plugins(value),
                "params" => self.params(value),
                "elements" => self.elements(value),
                "links" => links = Some(value),
                _ => self.unknown_key(key, "section", &SECTIONS),
            }
        }
        // Last, because links refer to elements wherever in the file those stand.
        if let Some(links) = links {
            self.links(links);
        }
    }

    fn unknown_key(&mut self, key: &Key, what: &str, known: &[&str]) {
        let d = Diagnostic::error(codes::UNKNOWN_SECTION, format!("unknown {what} `{}`", key.text)).at(key.span, "");
        self.diagnostics.push(d.suggest(&key.text, known.iter().copied()));
    }

    fn wrong_shape(&mut self, what: &str, node: &Node, expected: &str) {
        let message = format!("{what} is {}", node.describe());
        let d = Diagnostic::error(codes::WRONG_SHAPE, message).at(first_line(node, self.source), "");
        self.diagnostics.push(d.expected(expected));
    }

    fn text(&mut self, what: &str, node: &Node) -> Option<Spanned<String>> {
        match &node.kind {
            NodeKind::Scalar { text, .. } => Some(Spanned::new(text.clone(), node.span)),
            NodeKind::Null => None,
            _ => {
                self.wrong_shape(&format!("`{what}`"), node, "text");
                None
            }
        }
    }

    /// Text where a `${…}` would not be replaced.
    fn fixed_text(&mut self, what: &str, node: &Node) -> Option<Spanned<String>> {
        let text = self.text(what, node)?;
        self.no_param(&text.value, text.span, what);
        Some(text)
    }

    fn no_param(&mut self, text: &str, span: Span, what: &str) {
        if text.contains("${") {
            let message = format!("a `${{…}}` is not replaced in {what}");
            let d = Diagnostic::error(codes::PARAM_PLACE, message).at(span, "not replaced here");
            self.diagnostics.push(d.hint("params stand in property values only; write the text itself"));
        }
    }

    fn plugins(&mut self, node: &Node) {
        let places = match &node.kind {
            NodeKind::Seq(places) => places.as_slice(),
            NodeKind::Null => &[],
            NodeKind::Scalar { .. } | NodeKind::Map(_) => std::slice::from_ref(node),
        };
        for place in places {
            self.plugin(place);
        }
    }

    fn plugin(&mut self, place: &Node) {
        let NodeKind::Map(fields) = &place.kind else {
            let path = self.fixed_text("the path of a plugin", place);
            self.doc.plugins.extend(path.map(|path| PluginDoc { path, sha256: None }));
            return;
        };
        let (mut path, mut sha256) = (None, None);
        for (key, value) in fields {
            match key.text.as_str() {
                "path" => path = self.fixed_text("the path of a plugin", value),
                "sha256" => sha256 = self.fixed_text("the SHA-256 of a plugin", value),
                _ => self.unknown_key(key, "key of a plugin", &PLUGIN_KEYS),
            }
        }
        match path {
            Some(path) => self.doc.plugins.push(PluginDoc { path, sha256 }),
            None => self.wrong_shape("a plugin", place, "a path, or a mapping with path and sha256"),
        }
    }

    fn params(&mut self, node: &Node) {
        let entries = match &node.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => return,
            _ => return self.wrong_shape("`params`", node, "a mapping: `out: { default: ./hls, description: … }`"),
        };
        for (key, value) in entries {
            let name = Spanned::new(key.text.clone(), key.span);
            if !is_name(&key.text) {
                self.diagnostics.push(bad_name(&name));
                continue;
            }
            let mut param = ParamDoc { name, default: None, description: String::new(), env: None, required: false };
            match &value.kind {
                NodeKind::Null => {}
                NodeKind::Scalar { .. } => param.default = self.fixed_text("the default of a param", value),
                NodeKind::Map(fields) => self.param_fields(&mut param, fields),
                NodeKind::Seq(_) => self.wrong_shape(
                    &format!("param `{}`", key.text),
                    value,
                    "a default, or a mapping with default, description, env and required",
                ),
            }
            self.doc.params.push(param);
        }
    }

    fn param_fields(&mut self, param: &mut ParamDoc, fields: &[(Key, Node)]) {
        for (key, value) in fields {
            match key.text.as_str() {
                "default" => param.default = self.fixed_text("the default of a param", value),
                "description" => {
                    param.description = self.text("description", value).map(|t| t.value).unwrap_or_default()
                }
                "env" => param.env = self.fixed_text("the name of a variable", value),
                "required" => match value.as_str() {
                    Some("true") => param.required = true,
                    Some("false") => param.required = false,
                    _ => self.wrong_shape("`required`", value, "true or false"),
                },
                _ => self.unknown_key(key, "key of a param", &PARAM_KEYS),
            }
        }
    }

    fn elements(&mut self, node: &Node) {
        let entries = match &node.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => return,
            _ => return self.wrong_shape("`elements`", node, "a mapping: `in: { element: filesrc, location: a.flv }`"),
        };
        for (key, value) in entries {
            let name = Spanned::new(key.text.clone(), key.span);
            if key.text.contains("${") {
                self.no_param(&key.text, key.span, "the name of an element");
                continue;
            }
            if !is_name(&key.text) {
                self.diagnostics.push(bad_name(&name));
            }
            let elements = self.doc.elements.len();
            self.element(name.clone(), value);
            if self.doc.elements.len() == elements {
                self.doc.faulty.push(name);
            }
        }
    }

    fn element(&mut self, name: Spanned<String>, node: &Node) {
        let example = format!("`{}: {{ element: filesrc, location: a.flv }}`", name.value);
        match &node.kind {
            NodeKind::Scalar { .. } => {
                // `in: filesrc`, an element without properties.
                let element = self.fixed_text("the kind of an element", node).filter(|e| !e.value.contains("${"));
                let Some(element) = element else { return };
                let span = name.span.join(node.span);
                let props = Node::empty_map(Span::at(node.span.end));
                let doc = ElementDoc { name, named: true, element, props, on_error: None, incomplete: false, span };
                self.doc.elements.push(doc);
            }
            NodeKind::Map(fields) => self.element_fields(name, node.span, fields, &example),
            NodeKind::Null => {
                let message = format!("element `{}` does not say what it is", name.value);
                self.diagnostics
                    .push(Diagnostic::error(codes::ELEMENT_MISSING, message).at(name.span, "").expected(example));
            }
            NodeKind::Seq(_) => self.wrong_shape(&format!("element `{}`", name.value), node, &example),
        }
    }

    fn element_fields(&mut self, name: Spanned<String>, span: Span, fields: &[(Key, Node)], example: &str) {
        let mut element = None;
        let mut on_error = None;
        let mut props = Vec::new();
        let mut missing = true;
        for (key, value) in fields {
            match key.text.as_str() {
                ELEMENT => {
                    missing = matches!(value.kind, NodeKind::Null);
                    element = self.fixed_text("the kind of an element", value);
                }
                ON_ERROR => on_error = Some(value.clone()),
                _ => props.push((key.clone(), value.clone())),
            }
        }
        if missing {
            let message = format!("element `{}` does not say what it is", name.value);
            let mut d = Diagnostic::error(codes::ELEMENT_MISSING, message).at(name.span, "no `element:` in it");
            let slip = fields
                .iter()
                .find(|(key, _)| matches!(key.text.as_str(), "type" | "kind" | "name" | "elem" | "elements"));
            d = match slip {
                Some((key, _)) => {
                    d.also(key.span, "should be `element`").hint(format!("write `element` instead of `{}`", key.text))
                }
                None => d.expected(example),
            };
            self.diagnostics.push(d);
        }
        if let Some(element) = element.filter(|element| !element.value.contains("${")) {
            let whole = name.span.join(span);
            let props = Node { span, kind: NodeKind::Map(props) };
            let doc = ElementDoc { name, named: true, element, props, on_error, incomplete: false, span: whole };
            self.doc.elements.push(doc);
        }
    }

    fn links(&mut self, node: &Node) {
        let lines = match &node.kind {
            NodeKind::Null => return,
            NodeKind::Seq(lines) => lines.as_slice(),
            NodeKind::Scalar { .. } => std::slice::from_ref(node),
            NodeKind::Map(_) => return self.wrong_shape("`links`", node, "a list of lines: `- in ! demux`"),
        };
        let mut texts = Vec::new();
        for line in lines {
            match line.as_str() {
                Some(text) => texts.push((text.to_owned(), SpanMap::of(self.source, line.span, text), line.span)),
                None => self.wrong_shape("a link", line, "a line of text: `in ! demux`; with `: ` in it, in quotes"),
            }
        }
        launch::parse_links(&texts, &mut self.doc, self.diagnostics);
    }
}

/// The first line of a node: enough to find it, where the whole would fill the screen.
fn first_line(node: &Node, source: &SourceText) -> Span {
    let text = source.slice(node.span);
    let len = text.find(['\n', '\r']).unwrap_or(text.len());
    Span::of(node.span.start as usize, (node.span.start as usize).saturating_add(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (PipelineDoc, Vec<Diagnostic>) {
        let mut diagnostics = Diagnostics::default();
        let doc = parse(&SourceText::new("t.yaml", text), &mut diagnostics);
        (doc, diagnostics.into_sorted())
    }

    fn fault(text: &str, code: &str, marked: &str) {
        let source = SourceText::new("t.yaml", text);
        let (_, diagnostics) = read(text);
        let found: Vec<_> =
            diagnostics.iter().map(|d| (d.code, source.slice(d.primary.as_ref().expect("a place").span))).collect();
        assert_eq!(found, [(code, marked)], "{text}: {diagnostics:?}");
    }

    #[test]
    fn the_example_of_the_design_is_read() {
        let text = "\
name: rtmp-to-hls
description: Take one RTMP publisher, write a live HLS playlist.
params:
  listen: { default: \"127.0.0.1:1935\", description: address that publishers connect to }
  out:    { default: ./hls, description: directory for playlist and segments }
elements:
  in:    { element: rtmpserversrc, listen: \"${listen}\", app: live, stream: cam }
  demux: { element: flvdemux }
  hls:   { element: hlssink, directory: \"${out}\", segment-duration: 2s, window: 12s }
links:
  - in ! demux
  - demux.video ! h264parse ! hls.video      # inline elements as in gst-launch
  - demux.audio ! aacparse ! hls.audio
";
        let (doc, diagnostics) = read(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert_eq!(doc.name.as_ref().map(|n| n.value.as_str()), Some("rtmp-to-hls"));
        assert_eq!(doc.params[1].default.as_ref().map(|d| d.value.as_str()), Some("./hls"));
        let names: Vec<_> = doc.elements.iter().map(|e| (e.name.value.as_str(), e.element.value.as_str())).collect();
        let expected = [
            ("in", "rtmpserversrc"),
            ("demux", "flvdemux"),
            ("hls", "hlssink"),
            ("h264parse0", "h264parse"),
            ("aacparse0", "aacparse"),
        ];
        assert_eq!(names, expected);
        assert_eq!(doc.elements[2].props.get("segment-duration").and_then(Node::as_str), Some("2s"));
        assert_eq!(doc.elements[2].props.get("element"), None);
        assert_eq!(doc.links.len(), 5);
        let source = SourceText::new("t", text);
        assert_eq!(source.slice(doc.links[2].span), "h264parse ! hls.video");
        let pad = doc.links[2].to.pad.as_ref().expect("a pad");
        assert_eq!(source.slice(pad.span), "video");
    }

    #[test]
    fn links_may_be_one_text_of_many_lines() {
        let text = "elements: { a: fakesrc, b: { element: fakesink } }\nlinks: |\n  a !\n    identity ! b\n";
        let (doc, diagnostics) = read(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert_eq!(doc.links.len(), 2);
        let source = SourceText::new("t", text);
        assert_eq!(source.slice(doc.links[1].from.element.span), "identity");
        assert_eq!(source.slice(doc.links[1].to.element.span), "b");
    }

    #[test]
    fn each_fault_is_marked() {
        fault("- a\n", codes::NOT_A_PIPELINE, "- a");
        fault("fakesrc ! fakesink\n", codes::NOT_A_PIPELINE, "fakesrc ! fakesink");
        fault("element: {}\n", codes::UNKNOWN_SECTION, "element");
        fault("elements: [a]\n", codes::WRONG_SHAPE, "[a]");
        fault("elements: { a: [b] }\n", codes::WRONG_SHAPE, "[b]");
        fault("elements: { a: }\n", codes::ELEMENT_MISSING, "a");
        fault("elements: { a: { type: filesrc } }\n", codes::ELEMENT_MISSING, "a");
        fault("elements: { 1a: filesrc }\n", codes::BAD_NAME, "1a");
        fault("elements: { a: \"${b}\" }\n", codes::PARAM_PLACE, "\"${b}\"");
        fault("elements: { \"${a}\": filesrc }\n", codes::PARAM_PLACE, "\"${a}\"");
        fault("params: { a: { defalt: 1 } }\n", codes::UNKNOWN_SECTION, "defalt");
        fault("params: { a: { required: 7 } }\n", codes::WRONG_SHAPE, "7");
        fault("params: { a: \"${b}\" }\n", codes::PARAM_PLACE, "\"${b}\"");
        fault("params: { a: [1] }\n", codes::WRONG_SHAPE, "[1]");
        fault("links: { a: b }\n", codes::WRONG_SHAPE, "{ a: b }");
        fault("links: [[a]]\n", codes::WRONG_SHAPE, "[a]");
        fault("elements: { a: b }\nlinks: [a]\n", codes::LINE_SYNTAX, "a");
        fault("elements: { a: b }\nlinks: [a x=1 ! c]\n", codes::PROPERTY_OF_REFERENCE, "x");
    }
}
