//! Links name elements and pads that exist.

use std::collections::HashMap;

use millstream_core::settings::Span;
use millstream_core::{CapsSet, Direction, Factory, PadTemplate, Presence};

use super::Checker;
use crate::diagnostic::{Diagnostic, codes};
use crate::doc::{EndDoc, LinkDoc, Spanned};

/// A link between two elements that exist in the text.
pub(super) struct Wire<'a> {
    pub(super) doc: &'a LinkDoc,
    pub(super) from: End,
    pub(super) to: End,
    pub(super) filter: Option<CapsSet>,
    /// What both sides allow; only known after solving.
    pub(super) allowed: CapsSet,
    /// Whether a fault of it was reported, so that nothing more is said about it.
    pub(super) broken: bool,
}

/// One end of a wire.
pub(super) struct End {
    pub(super) node: usize,
    pub(super) direction: Direction,
    /// The pad; `None` until it is chosen.
    pub(super) pad: Option<Pad>,
    /// Index of the template that the text names by its pattern (`src_%u`).
    pub(super) only: Option<usize>,
}

/// A pad of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pad {
    pub(super) name: String,
    /// Index into the factory's pads.
    pub(super) template: usize,
}

impl<'a> Checker<'a> {
    pub(super) fn wires(&mut self) {
        let doc = self.doc;
        for link in &doc.links {
            let (from, to) = (self.find(&link.from), self.find(&link.to));
            let filter = link.filter.as_ref().map(|filter| self.filter(filter));
            let (Some(from), Some(to)) = (from, to) else {
                for known in [from, to].into_iter().flatten() {
                    self.excuse(known);
                }
                continue;
            };
            if [from, to].iter().any(|node| self.nodes.get(*node).is_some_and(|node| node.ambiguous)) {
                self.excuse(from);
                self.excuse(to);
                continue;
            }
            if from == to {
                let message = format!("`{}` is linked to itself", link.from.element.value);
                let d = Diagnostic::error(codes::LINK_TO_ITSELF, message).at(link.span, "");
                self.diagnostics.push(d.hint("name another element on one side"));
                self.excuse(from);
                continue;
            }
            let broken = matches!(filter, Some(None)) || self.is_unknown(from) || self.is_unknown(to);
            let mut wire = Wire {
                doc: link,
                from: End { node: from, direction: Direction::Src, pad: None, only: None },
                to: End { node: to, direction: Direction::Sink, pad: None, only: None },
                filter: filter.flatten(),
                allowed: CapsSet::Any,
                broken,
            };
            let named = [(&mut wire.from, &link.from), (&mut wire.to, &link.to)];
            for (end, end_doc) in named {
                wire.broken |= !self.named_pad(end, end_doc);
            }
            if wire.broken {
                self.excuse(from);
                self.excuse(to);
            }
            self.wires.push(wire);
        }
        self.pads_once();
    }

    pub(super) fn excuse(&mut self, node: usize) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.excused = true;
        }
    }

    fn is_unknown(&self, node: usize) -> bool {
        self.nodes.get(node).is_none_or(|node| node.factory.is_none())
    }

    fn find(&mut self, end: &EndDoc) -> Option<usize> {
        let name = &end.element.value;
        let found = self.nodes.iter().position(|node| node.name() == name);
        // Each unknown name once, however many links have it.
        let faulty = self.doc.faulty.iter().any(|faulty| faulty.value == *name);
        if found.is_none() && !faulty && self.unknown.insert(name.clone()) {
            let d = Diagnostic::error(codes::LINK_UNKNOWN, format!("no element of the pipeline is called `{name}`"));
            let d = d.at(end.element.span, "");
            let kind = self.nodes.iter().find(|node| node.doc.element.value == *name);
            self.diagnostics.push(match (kind, self.registry.get(name)) {
                (Some(node), _) if node.doc.named => d.hint(format!("the `{name}` here is called `{}`", node.name())),
                (Some(_), _) => d.hint(format!("name it, `{name} name=x`, then link `x.`")),
                (None, Some(_)) => d.hint(format!("`{name}` is a kind of element; make one with a name first")),
                (None, None) => d.suggest(name, self.doc.elements.iter().map(|e| e.name.value.as_str())),
            });
        }
        found
    }

    fn filter(&mut self, filter: &Spanned<String>) -> Option<CapsSet> {
        match filter.value.parse::<CapsSet>() {
            Ok(set) => Some(set),
            Err(error) => {
                let same = filter.span.len() == filter.value.len();
                let start = (filter.span.start as usize).saturating_add(error.at);
                let span = match same && error.at < filter.value.len() {
                    true => Span::of(start, start.saturating_add(1)),
                    false => filter.span,
                };
                let d = Diagnostic::error(codes::BAD_CAPS, format!("these caps cannot be read: {}", error.what));
                self.diagnostics.push(d.at(span, "").expected("caps such as `video/x-h264,stream-format=avc`"));
                None
            }
        }
    }

    /// Looks a named pad up; says whether nothing is wrong with it.
    fn named_pad(&mut self, end: &mut End, doc: &EndDoc) -> bool {
        let Some(pad) = &doc.pad else { return true };
        let Some(factory) = self.nodes.get(end.node).and_then(|node| node.factory.clone()) else { return false };
        let is = |template: &PadTemplate| template.direction == end.direction;
        let pattern = factory.pads.iter().position(|t| is(t) && t.name == pad.value && t.name.contains('%'));
        let fits = factory.pads.iter().position(|t| is(t) && t.matches(&pad.value));
        match (pattern, fits) {
            (Some(template), _) => end.only = Some(template),
            (None, Some(template)) => end.pad = Some(Pad { name: pad.value.clone(), template }),
            (None, None) => {
                let d = missing_pad(&factory, end.direction, pad, &doc.element.value);
                self.diagnostics.push(d);
                return false;
            }
        }
        true
    }

    fn pads_once(&mut self) {
        let mut first: HashMap<(usize, bool, String), Span> = HashMap::new();
        for wire in &mut self.wires {
            for (end, doc) in [(&wire.from, &wire.doc.from), (&wire.to, &wire.doc.to)] {
                let Some(pad) = &end.pad else { continue };
                let key = (end.node, end.direction == Direction::Src, pad.name.clone());
                let Some(before) = first.insert(key.clone(), doc.span()) else { continue };
                first.insert(key, before);
                let message = format!("the pad `{}.{}` is linked twice", doc.element.value, pad.name);
                let d = Diagnostic::error(codes::PAD_TWICE, message).at(doc.span(), "linked again");
                let d = d.also(before, "first linked here");
                self.diagnostics.push(match end.direction {
                    Direction::Src => d.hint("to give one stream to several elements, put a `tee` behind it"),
                    Direction::Sink => d.hint("to join several streams, use `funnel` or `concat`, or another pad"),
                });
                wire.broken = true;
            }
        }
    }
}

fn missing_pad(factory: &Factory, direction: Direction, pad: &Spanned<String>, element: &str) -> Diagnostic {
    let other = match direction {
        Direction::Src => Direction::Sink,
        Direction::Sink => Direction::Src,
    };
    let names: Vec<&str> = factory.templates(direction).map(|template| template.name).collect();
    let wrong_way = factory.template(other, &pad.value).is_some();
    if wrong_way {
        let (is, place) = match direction {
            Direction::Src => ("takes data", "right"),
            Direction::Sink => ("gives data", "left"),
        };
        let message = format!("the pad `{element}.{}` {is}, so it stands {place} of `!`", pad.value);
        let d = Diagnostic::error(codes::PAD_DIRECTION, message).at(pad.span, "");
        return match names.as_slice() {
            [] => d.hint("turn the link round"),
            names => d.hint(format!("use {} here, or turn the link round", quoted(names))),
        };
    }
    let what = match direction {
        Direction::Src => "source pad",
        Direction::Sink => "sink pad",
    };
    let message = format!("`{element}` ({}) has no {what} `{}`", factory.name, pad.value);
    let d = Diagnostic::error(codes::UNKNOWN_PAD, message).at(pad.span, "");
    match names.is_empty() {
        true => d.hint(format!("`{}` has no {what}s", factory.name)),
        false => d.suggest(&pad.value, names),
    }
}

/// Names for a sentence: "`a`, `b` or `c`".
pub(super) fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// How sure a pad is to exist, for choosing among pads that fit.
pub(super) fn rank(presence: Presence) -> u8 {
    match presence {
        Presence::Always => 0,
        Presence::Sometimes => 1,
        Presence::Request => 2,
    }
}
