//! No cycle, nothing left open, nothing used twice.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use millstream_core::registry::Resource;
use millstream_core::settings::Span;
use millstream_core::{Direction, Presence};

use super::Checker;
use super::elements::conflict;
use super::wires::{Pad, quoted};
use crate::diagnostic::{Diagnostic, codes};

impl Checker<'_> {
    /// The nodes so that each stands behind those that feed it; `None` if there is a cycle, which is reported.
    pub(super) fn order(&mut self) -> Option<Vec<usize>> {
        let mut inputs = vec![0_usize; self.nodes.len()];
        for wire in &self.wires {
            if let Some(count) = inputs.get_mut(wire.to.node) {
                *count = count.saturating_add(1);
            }
        }
        let mut order: Vec<usize> = (0..self.nodes.len()).filter(|node| inputs.get(*node) == Some(&0)).collect();
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next = next.saturating_add(1);
            for wire in self.wires.iter().filter(|wire| wire.from.node == node) {
                let Some(count) = inputs.get_mut(wire.to.node) else { continue };
                *count = count.saturating_sub(1);
                if *count == 0 {
                    order.push(wire.to.node);
                }
            }
        }
        if order.len() == self.nodes.len() {
            return Some(order);
        }
        self.report_cycle(&inputs);
        None
    }

    /// Walks backwards from a node that never became free: each such node has one before it, so a node comes twice.
    fn report_cycle(&mut self, inputs: &[usize]) {
        let stuck = |node: usize| inputs.get(node).is_some_and(|count| *count > 0);
        let Some(mut node) = (0..self.nodes.len()).find(|node| stuck(*node)) else { return };
        let mut path: Vec<(usize, Span)> = Vec::new();
        let cycle = loop {
            if let Some(start) = path.iter().position(|(seen, _)| *seen == node) {
                break path.split_off(start);
            }
            let before = self.wires.iter().find(|wire| wire.to.node == node && stuck(wire.from.node));
            let Some(wire) = before else { return };
            path.push((node, wire.doc.span));
            node = wire.from.node;
        };
        let name = |node: usize| self.nodes.get(node).map(|node| node.name().to_owned()).unwrap_or_default();
        let mut names: Vec<String> = cycle.iter().rev().map(|(node, _)| name(*node)).collect();
        names.extend(names.first().cloned());
        let message = format!("the links form a cycle: {}", names.join(" ! "));
        let mut spans: Vec<Span> = cycle.iter().map(|(_, span)| *span).collect();
        spans.sort_by_key(|span| span.start);
        let mut d = Diagnostic::error(codes::CYCLE, message).hint("remove one of these links; data flows one way");
        if let Some((last, others)) = spans.split_last() {
            d = d.at(*last, "closes the cycle");
            d = others.iter().fold(d, |d, span| d.also(*span, ""));
        }
        self.diagnostics.push(d);
    }

    pub(super) fn unlinked(&mut self) {
        let mut findings = Vec::new();
        let mut open_entry = self.options.branch;
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(factory) = node.factory.as_ref().filter(|_| !node.excused) else { continue };
            let linked = |direction| {
                let ends = self.wires.iter().flat_map(|wire| [&wire.from, &wire.to]);
                ends.filter(move |end| end.node == index && end.direction == direction)
            };
            let none = |direction| linked(direction).next().is_none();
            let has = |direction| factory.templates(direction).next().is_some();
            let open = |direction| has(direction) && none(direction);
            if (has(Direction::Sink) || has(Direction::Src))
                && none(Direction::Sink)
                && none(Direction::Src)
                && !open_entry
            {
                let message = format!("`{}` is not linked to anything", node.name());
                let d = Diagnostic::error(codes::ELEMENT_UNLINKED, message).at(node.doc.span, "");
                findings.push(d.hint(unlinked_hint(node.name(), has(Direction::Sink), has(Direction::Src))));
                continue;
            }
            for direction in [Direction::Sink, Direction::Src] {
                if direction == Direction::Sink && open(direction) && open_entry {
                    open_entry = false;
                    continue;
                }
                let names: Vec<&str> = factory
                    .templates(direction)
                    .filter(|t| match t.presence {
                        Presence::Always => {
                            !linked(direction).any(|end| end.pad.as_ref().is_none_or(|pad| pad.name == t.name))
                        }
                        Presence::Sometimes | Presence::Request => open(direction) && !factory.open_ended,
                    })
                    .map(|t| t.name)
                    .collect();
                if names.is_empty() {
                    continue;
                }
                let always = factory.templates(direction).any(|t| t.presence == Presence::Always);
                findings.push(open_pad(node.name(), node.doc.span, direction, &names, always));
            }
        }
        self.diagnostics.extend(findings);
    }

    /// Asks elements whether the pads that are linked go together.
    pub(super) fn pad_sets(&mut self) {
        let mut findings = Vec::new();
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.excused) {
            let Some(factory) = &node.factory else { continue };
            let sinks = self.wires.iter().filter(|wire| wire.to.node == index).map(|wire| &wire.to.pad);
            let srcs = self.wires.iter().filter(|wire| wire.from.node == index).map(|wire| &wire.from.pad);
            let name = |pad: &'_ Option<Pad>| pad.as_ref().map(|pad| pad.name.clone());
            let (sinks, srcs) =
                (sinks.map(name).collect::<Option<Vec<_>>>(), srcs.map(name).collect::<Option<Vec<_>>>());
            // A link without a pad has been reported.
            let (Some(sinks), Some(srcs)) = (sinks, srcs) else { continue };
            let [sinks, srcs] = [&sinks, &srcs].map(|pads| pads.iter().map(String::as_str).collect::<Vec<_>>());
            if let Err(error) = factory.check_pads(&sinks, &srcs) {
                findings.push(conflict(codes::PADS_CONFLICT, node.doc, &error).at(node.doc.span, ""));
            }
        }
        self.diagnostics.extend(findings);
    }

    pub(super) fn resources(&mut self) {
        let mut first: HashMap<Resource, (String, Span)> = HashMap::new();
        for node in &self.nodes {
            let (Some(factory), Some(settings)) = (&node.factory, &node.parsed) else { continue };
            for resource in factory.exclusive(&**settings) {
                let here = (node.name().to_owned(), node.doc.span);
                let Some((other, span)) = first.get(&normal(&resource)) else {
                    first.insert(normal(&resource), here);
                    continue;
                };
                let (what, hint) = match &resource {
                    Resource::WritesFile(path) => {
                        (format!("write the file {}", path.display()), "give one of them another file")
                    }
                    Resource::WritesDir(path) => {
                        (format!("write to the directory {}", path.display()), "give one of them another directory")
                    }
                    Resource::Listens(address) => (format!("listen on {address}"), "give one of them another address"),
                };
                let message = format!("`{other}` and `{}` both {what}", node.name());
                let d = Diagnostic::error(codes::SHARED_RESOURCE, message).at(node.doc.span, "used again");
                self.diagnostics.push(d.also(*span, "first used here").hint(hint));
            }
        }
    }
}

/// The same path in one spelling: `./a`, `a/` and `a` are one file. Links in the file system are not looked at.
fn normal(resource: &Resource) -> Resource {
    let clean = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    match resource {
        Resource::WritesFile(path) => Resource::WritesFile(clean(path)),
        Resource::WritesDir(path) => Resource::WritesDir(clean(path)),
        Resource::Listens(address) => Resource::Listens(address.clone()),
    }
}

fn unlinked_hint(name: &str, takes: bool, gives: bool) -> String {
    match (takes, gives) {
        (true, true) => format!("link it, `… ! {name} ! …`, or remove it"),
        (true, false) => format!("link something to it, `… ! {name}`, or remove it"),
        _ => format!("link it to something, `{name} ! …`, or remove it"),
    }
}

fn link_hint(name: &str, pads: &[&str]) -> String {
    match pads.first() {
        Some(pad) if !pad.contains('%') && pads.len() > 1 => format!("link it: `… ! {name}.{pad}`"),
        _ => format!("link it: `… ! {name}`"),
    }
}

fn open_pad(name: &str, span: Span, direction: Direction, pads: &[&str], always: bool) -> Diagnostic {
    let one_of = if pads.len() > 1 && !always { "one of " } else { "" };
    match direction {
        Direction::Sink => {
            let message = format!("nothing is linked to the input of `{name}`");
            let d = Diagnostic::error(codes::PAD_UNLINKED, message).at(span, "");
            d.expected(format!("a link to {one_of}{}", quoted(pads))).hint(link_hint(name, pads))
        }
        // What is only there if the input has it may stay open, but then the element does nothing.
        Direction::Src => {
            let message = format!("the output of `{name}` is not linked");
            let d = if always {
                Diagnostic::error(codes::PAD_UNLINKED, message)
            } else {
                Diagnostic::warning(codes::PAD_UNLINKED, message)
            };
            d.at(span, "")
                .expected(format!("a link from {one_of}{}", quoted(pads)))
                .hint("what nobody wants goes to `fakesink`")
        }
    }
}
