//! Pads that the text leaves open, and the caps of every link.
//!
//! Two passes over the elements in order of flow. Backwards: what does everything behind a pass-through element (queue,
//! tee, identity, capsfilter) accept? Forwards: choose pads by what both sides can, and note what may flow. Then the links around
//! each pass-through element are narrowed to what they share, until nothing changes.

use std::collections::HashSet;

use millstream_core::{CapsSet, Direction, Factory, PadTemplate};

use super::Checker;
use super::wires::{End, Pad, rank};
use crate::diagnostic::{Diagnostic, codes};
use crate::graph::Converters;

/// A pad that could be used for an end: its template and the caps that may flow there.
#[derive(Clone)]
pub(super) struct Candidate {
    template: usize,
    /// By the pad's own template, and upstream of a pass-through element.
    pub(super) caps: CapsSet,
    /// The same, with what lies behind a pass-through element.
    reach: CapsSet,
}

impl Checker<'_> {
    /// `order`: each node behind those that feed it.
    pub(super) fn solve(&mut self, order: &[usize]) {
        let accepts = self.accepts(order);
        for node in order {
            let wires: Vec<usize> = (0..self.wires.len()).filter(|w| self.wires[*w].from.node == *node).collect();
            for wire in wires {
                self.solve_wire(wire, &accepts);
            }
        }
        self.narrow();
    }

    /// For each pass-through node, what everything behind it accepts.
    fn accepts(&self, order: &[usize]) -> Vec<CapsSet> {
        let mut accepts = vec![CapsSet::Any; self.nodes.len()];
        for node in order.iter().rev() {
            let Some(built) = self.nodes.get(*node).filter(|built| built.passthrough()) else { continue };
            let mut all = built.restricts_to().unwrap_or(CapsSet::Any);
            for wire in self.wires.iter().filter(|wire| wire.from.node == *node && !wire.broken) {
                let filter = wire.filter.as_ref().unwrap_or(&CapsSet::Any);
                let behind = self.candidates(&wire.to, &accepts, true);
                let behind = union(behind.into_iter().map(|candidate| candidate.reach));
                all = all.intersect(&filter.intersect(&behind));
            }
            if let Some(slot) = accepts.get_mut(*node) {
                *slot = all;
            }
        }
        accepts
    }

    /// The pads that an end may use: the named one, else all that are free.
    fn candidates(&self, end: &End, accepts: &[CapsSet], taken_too: bool) -> Vec<Candidate> {
        let Some(node) = self.nodes.get(end.node) else { return Vec::new() };
        let Some(factory) = &node.factory else { return Vec::new() };
        let usable = |(index, template): &(usize, &PadTemplate)| match (&end.pad, end.only) {
            (Some(pad), _) => pad.template == *index,
            (None, Some(only)) => only == *index,
            (None, None) => {
                template.direction == end.direction && (taken_too || self.free_name(end, template).is_some())
            }
        };
        let through = match (node.passthrough(), end.direction) {
            (false, _) => CapsSet::Any,
            (true, Direction::Src) => self.offered_to(end.node).intersect(&node.restricts_to().unwrap_or(CapsSet::Any)),
            (true, Direction::Sink) => node.restricts_to().unwrap_or(CapsSet::Any),
        };
        let behind = match (node.passthrough(), end.direction) {
            (true, Direction::Sink) => accepts.get(end.node).cloned().unwrap_or(CapsSet::Any),
            _ => CapsSet::Any,
        };
        let mut found: Vec<(usize, &PadTemplate)> = factory.pads.iter().enumerate().filter(usable).collect();
        found.sort_by_key(|(_, template)| rank(template.presence));
        let candidate = |(template, pad): (usize, &PadTemplate)| {
            let caps = pad.caps.intersect(&through);
            let reach = caps.intersect(&behind);
            Candidate { template, caps, reach }
        };
        found.into_iter().map(candidate).collect()
    }

    /// What may come into a node: all that its input links allow.
    fn offered_to(&self, node: usize) -> CapsSet {
        let inputs: Vec<&CapsSet> = self.wires.iter().filter(|w| w.to.node == node).map(|w| &w.allowed).collect();
        if inputs.is_empty() { CapsSet::Any } else { union(inputs.into_iter().cloned()) }
    }

    /// A name for a pad of this template that no link uses yet.
    fn free_name(&self, end: &End, template: &PadTemplate) -> Option<String> {
        let ends = self.wires.iter().flat_map(|wire| [&wire.from, &wire.to]);
        let same = ends.filter(|other| other.node == end.node && other.direction == end.direction);
        let used: HashSet<&str> = same.filter_map(|other| Some(other.pad.as_ref()?.name.as_str())).collect();
        let pattern = ["%u", "%s"].into_iter().find(|pattern| template.name.contains(pattern));
        match pattern {
            None => (!used.contains(template.name)).then(|| template.name.to_owned()),
            // One of the first n + 1 numbers is free when n are used.
            Some(pattern) => {
                let numbered = |number: usize| template.name.replace(pattern, &number.to_string());
                (0..=used.len()).map(numbered).find(|name| !used.contains(name.as_str()))
            }
        }
    }

    fn solve_wire(&mut self, index: usize, accepts: &[CapsSet]) {
        let Some(wire) = self.wires.get(index).filter(|wire| !wire.broken) else { return };
        let filter = wire.filter.clone().unwrap_or(CapsSet::Any);
        let offers = self.candidates(&wire.from, accepts, false);
        let takers = self.candidates(&wire.to, accepts, false);
        if offers.is_empty() || takers.is_empty() {
            let from_side = offers.is_empty();
            self.no_free_pad(index, from_side);
            return;
        }
        let pairs = || offers.iter().flat_map(|offer| takers.iter().map(move |taker| (offer, taker)));
        let meet = |offer: &CapsSet, taker: &CapsSet| offer.intersect(&filter).intersect(taker);
        let best = pairs().find(|(offer, taker)| !meet(&offer.caps, &taker.reach).is_empty());
        let fits = best.or_else(|| pairs().find(|(offer, taker)| !meet(&offer.caps, &taker.caps).is_empty()));
        let Some((offer, taker)) = fits else {
            self.mismatch(index, &offers, &takers);
            return;
        };
        let reach = meet(&offer.caps, &taker.reach);
        let allowed = if reach.is_empty() { meet(&offer.caps, &taker.caps) } else { reach };
        let (from, to) = (self.pad(index, false, offer.template), self.pad(index, true, taker.template));
        if let Some(wire) = self.wires.get_mut(index) {
            wire.from.pad = from;
            wire.to.pad = to;
            wire.allowed = allowed;
        }
    }

    fn pad(&self, wire: usize, to: bool, template: usize) -> Option<Pad> {
        let wire = self.wires.get(wire)?;
        let end = if to { &wire.to } else { &wire.from };
        if let Some(pad) = &end.pad {
            return Some(pad.clone());
        }
        let factory = self.nodes.get(end.node)?.factory.as_ref()?;
        let name = self.free_name(end, factory.pads.get(template)?)?;
        Some(Pad { name, template })
    }

    fn no_free_pad(&mut self, index: usize, from_side: bool) {
        let Some(wire) = self.wires.get_mut(index) else { return };
        wire.broken = true;
        let ends = [wire.from.node, wire.to.node];
        let (end, doc) = if from_side { (&wire.from, &wire.doc.from) } else { (&wire.to, &wire.doc.to) };
        let (node, direction, name, span) = (end.node, end.direction, doc.element.value.clone(), doc.span());
        let Some(factory) = self.nodes.get(node).and_then(|node| node.factory.clone()) else { return };
        let d = no_free_pad(&factory, direction, &name).at(span, "");
        self.diagnostics.push(d);
        ends.into_iter().for_each(|node| self.excuse(node));
    }

    /// Narrows the links around pass-through elements to what they share.
    fn narrow(&mut self) {
        // Each round that changes something makes a set smaller; the bound keeps hostile graphs cheap.
        for _ in 0..=self.wires.len() {
            let mut changed = false;
            for node in 0..self.nodes.len() {
                if self.nodes.get(node).is_some_and(|node| node.passthrough()) {
                    changed |= self.narrow_node(node);
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn narrow_node(&mut self, node: usize) -> bool {
        let inputs: Vec<usize> = (0..self.wires.len()).filter(|w| self.wires[*w].to.node == node).collect();
        let outputs: Vec<usize> = (0..self.wires.len()).filter(|w| self.wires[*w].from.node == node).collect();
        if inputs.iter().chain(&outputs).any(|wire| self.wires[*wire].broken) {
            return false;
        }
        let mut shared = self.offered_to(node);
        for output in &outputs {
            let both = shared.intersect(&self.wires[*output].allowed);
            if both.is_empty() {
                self.branches_disagree(node, *output, &shared);
                return true;
            }
            shared = both;
        }
        let mut changed = false;
        for wire in inputs.into_iter().chain(outputs) {
            let narrowed = self.wires[wire].allowed.intersect(&shared);
            // Several inputs (funnel) may each bring another part of what is shared.
            if !narrowed.is_empty() && narrowed != self.wires[wire].allowed {
                self.wires[wire].allowed = narrowed;
                changed = true;
            }
        }
        changed
    }

    fn branches_disagree(&mut self, node: usize, output: usize, shared: &CapsSet) {
        let name = self.nodes.get(node).map(|node| node.name().to_owned()).unwrap_or_default();
        let Some(wire) = self.wires.get_mut(output) else { return };
        wire.broken = true;
        let message = format!("the branches of `{name}` cannot agree on caps");
        let d = Diagnostic::error(codes::CAPS_MISMATCH, message)
            .at(wire.doc.span, format!("takes {}", wire.allowed))
            .expected(format!("{shared}, as the other branches take it"));
        let hint = match Converters::of(self.registry).between(shared, &wire.allowed) {
            Some(between) => format!("insert `{between}` in this branch: `{name}. ! {between} ! …`"),
            None => "give the branches sources of their own".to_owned(),
        };
        self.diagnostics.push(d.hint(hint));
    }
}

fn no_free_pad(factory: &Factory, direction: Direction, name: &str) -> Diagnostic {
    let (what, place) = match direction {
        Direction::Src => ("gives nothing", "left"),
        Direction::Sink => ("takes nothing", "right"),
    };
    let names: Vec<&str> = factory.templates(direction).map(|template| template.name).collect();
    if names.is_empty() {
        let message = format!("`{name}` ({}) {what}: it cannot stand {place} of `!`", factory.name);
        return Diagnostic::error(codes::NO_FREE_PAD, message).hint("turn the link round, or take another element");
    }
    let message = format!("all pads of `{name}` on this side are linked already");
    let d = Diagnostic::error(codes::NO_FREE_PAD, message);
    match direction {
        Direction::Src => d.hint(format!("to give one stream to several elements, put a `tee` behind `{name}`")),
        Direction::Sink => {
            d.hint(format!("to join several streams, put `funnel`, `concat` or a muxer before `{name}`"))
        }
    }
}

/// All that one of the sets holds.
pub(super) fn union(sets: impl IntoIterator<Item = CapsSet>) -> CapsSet {
    let mut all = Vec::new();
    for set in sets {
        let CapsSet::Of(structures) = set else { return CapsSet::Any };
        for structure in structures {
            if !all.contains(&structure) {
                all.push(structure);
            }
        }
    }
    CapsSet::Of(all)
}
