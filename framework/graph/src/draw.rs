//! Drawings of a graph: Mermaid, DOT and plain text.

use std::fmt::Write as _;
use std::str::FromStr;

use millstream_core::CapsSet;

use crate::graph::{Graph, Link, Node};

/// The forms of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawFormat {
    /// Mermaid flowchart, as GitHub shows it.
    Mermaid,
    /// Graphviz DOT.
    Dot,
    /// Plain text.
    Text,
}

impl FromStr for DrawFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mermaid" => Ok(Self::Mermaid),
            "dot" => Ok(Self::Dot),
            "text" => Ok(Self::Text),
            _ => Err(format!("`{text}` is no format; there are mermaid, dot and text")),
        }
    }
}

/// Longest caps on a link, in characters: codec data fills lines.
const MAX_LABEL: usize = 100;

/// Draws `graph`. `negotiated` has the caps of each link as they were at run time, in the order of [`Graph::links`]; where it
/// has none, the drawing shows what the link allows.
#[must_use]
pub fn draw(graph: &Graph, format: DrawFormat, negotiated: &[Option<String>]) -> String {
    let caps: Vec<String> =
        graph.links.iter().enumerate().map(|(index, link)| caps_text(link, negotiated.get(index))).collect();
    match format {
        DrawFormat::Mermaid => mermaid(graph, &caps),
        DrawFormat::Dot => dot(graph, &caps),
        DrawFormat::Text => text(graph, &caps),
    }
}

fn caps_text(link: &Link, negotiated: Option<&Option<String>>) -> String {
    let text = match (negotiated, &link.allowed) {
        (Some(Some(caps)), _) => caps.clone(),
        (_, CapsSet::Any) => String::new(),
        (_, allowed) => allowed.to_string(),
    };
    if text.chars().count() <= MAX_LABEL {
        return text;
    }
    text.chars().take(MAX_LABEL).chain(['…']).collect()
}

/// Name and kind of an element.
fn title(node: &Node) -> (String, String) {
    (node.name.to_string(), node.factory.name.to_owned())
}

fn mermaid(graph: &Graph, caps: &[String]) -> String {
    let safe = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    let mut out = String::from("flowchart LR\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let (name, kind) = title(node);
        let _ = writeln!(out, "  n{index}[\"<b>{}</b><br/>{}\"]", safe(&name), safe(&kind));
    }
    for (link, caps) in graph.links.iter().zip(caps) {
        let pads = format!("{} → {}", link.from.pad, link.to.pad);
        let label = if caps.is_empty() { safe(&pads) } else { format!("{}<br/>{}", safe(&pads), safe(caps)) };
        let _ = writeln!(out, "  n{} -- \"{label}\" --> n{}", link.from.node, link.to.node);
    }
    out
}

fn dot(graph: &Graph, caps: &[String]) -> String {
    let safe = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out =
        String::from("digraph pipeline {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=sans];\n");
    out.push_str("  edge [fontname=sans, fontsize=9];\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let (name, kind) = title(node);
        let _ = writeln!(out, "  n{index} [label=\"{}\\n{}\"];", safe(&name), safe(&kind));
    }
    for (link, caps) in graph.links.iter().zip(caps) {
        let _ = writeln!(
            out,
            "  n{} -> n{} [taillabel=\"{}\", headlabel=\"{}\", label=\"{}\"];",
            link.from.node,
            link.to.node,
            safe(&link.from.pad),
            safe(&link.to.pad),
            safe(caps)
        );
    }
    out.push_str("}\n");
    out
}

fn text(graph: &Graph, caps: &[String]) -> String {
    let mut out = String::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let (name, kind) = title(node);
        let _ = writeln!(out, "{name} ({kind})");
        for (link, caps) in graph.links.iter().zip(caps).filter(|(link, _)| link.from.node == index) {
            let to = graph.nodes.get(link.to.node).map(|node| node.name.to_string()).unwrap_or_default();
            let caps = if caps.is_empty() { String::new() } else { format!("  [{caps}]") };
            let _ = writeln!(out, "  {} ─► {to}.{}{caps}", link.from.pad, link.to.pad);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load_launch;
    use crate::testing::registry;

    fn graph() -> Graph {
        load_launch("fakesrc name=a ! flvdemux name=d d.video ! h264parse ! fakesink", &registry())
            .expect("a graph")
            .graph
    }

    #[test]
    fn text_shows_allowed_then_negotiated_caps() {
        let before = "\
a (fakesrc)
  src ─► d.sink  [video/x-flv]
d (flvdemux)
  video ─► h264parse0.sink  [video/x-h264, stream-format=avc]
h264parse0 (h264parse)
  src ─► fakesink0.sink  [video/x-h264, stream-format={ avc, byte-stream }]
fakesink0 (fakesink)
";
        assert_eq!(draw(&graph(), DrawFormat::Text, &[]), before);
        let negotiated = [None, None, Some(format!("video/x-h264, x=\"{}\"", "0".repeat(200)))];
        let after = draw(&graph(), DrawFormat::Text, &negotiated);
        assert!(after.contains("[video/x-flv]") && after.contains("x=\"000") && after.contains("…]"), "{after}");
    }

    #[test]
    fn labels_are_escaped() {
        let negotiated = [Some("a<b>\"c\"\\".to_owned())];
        let mermaid = draw(&graph(), DrawFormat::Mermaid, &negotiated);
        assert!(mermaid.contains("n0 -- \"src → sink<br/>a&lt;b&gt;&quot;c&quot;\\\" --> n1"), "{mermaid}");
        let dot = draw(&graph(), DrawFormat::Dot, &negotiated);
        assert!(dot.contains("label=\"a<b>\\\"c\\\"\\\\\""), "{dot}");
        assert!("svg".parse::<DrawFormat>().is_err());
    }
}
