//! What to say when the two sides of a link have no caps in common.

use millstream_core::caps::Mismatch;
use millstream_core::{CapsSet, PadTemplate};

use super::Checker;
use super::solve::{Candidate, union};
use super::wires::{End, Wire};
use crate::diagnostic::{Diagnostic, codes};
use crate::doc::EndDoc;
use crate::graph::Converters;

/// Longest text of caps in a message, in characters: templates of demuxers fill many lines.
const MAX_CAPS: usize = 200;

impl Checker<'_> {
    pub(super) fn mismatch(&mut self, index: usize, offers: &[Candidate], takers: &[Candidate]) {
        let offered = union(offers.iter().map(|candidate| candidate.caps.clone()));
        let taken = union(takers.iter().map(|candidate| candidate.caps.clone()));
        let Some(wire) = self.wires.get(index) else { return };
        let origin = self.origin(wire);
        let d = match &wire.filter {
            Some(filter) if offered.intersect(filter).is_empty() => {
                filter_mismatch(wire, filter, &offered, &origin, true)
            }
            Some(filter) if filter.intersect(&taken).is_empty() => {
                filter_mismatch(wire, filter, &taken, &origin, false)
            }
            _ => sides_mismatch(wire, &offered, &taken, &origin),
        };
        let repair = self.repair(wire, &offered, &taken).unwrap_or_else(|| match wire.filter {
            Some(_) => "change the filter or remove it".to_owned(),
            None => "no element here makes one from the other; link another pad or element".to_owned(),
        });
        let d = d.hint(repair);
        self.diagnostics.push(d);
        if let Some(wire) = self.wires.get_mut(index) {
            wire.broken = true;
            // What lies behind is judged as if this link were good.
            wire.allowed = wire.filter.clone().unwrap_or(CapsSet::Any);
        }
    }

    /// The element that really makes what comes out of a pass-through one: "`d.video` (through `q`)".
    fn origin(&self, wire: &Wire<'_>) -> String {
        let own = end_text(&wire.from, &wire.doc.from);
        let mut node = wire.from.node;
        let mut through = Vec::new();
        let mut end = own.clone();
        // The graph has no cycle here; the bound says so to the reader.
        for _ in 0..self.nodes.len() {
            let Some(built) = self.nodes.get(node).filter(|built| built.passthrough()) else { break };
            let mut inputs = self.wires.iter().filter(|wire| wire.to.node == node);
            let (Some(input), None) = (inputs.next(), inputs.next()) else { break };
            through.push(format!("`{}`", built.name()));
            end = end_text(&input.from, &input.doc.from);
            node = input.from.node;
        }
        through.reverse();
        if through.is_empty() { format!("`{own}`") } else { format!("`{end}` (through {})", through.join(", ")) }
    }

    /// A repair: another pad of the same element, or an element between.
    fn repair(&self, wire: &Wire<'_>, offered: &CapsSet, taken: &CapsSet) -> Option<String> {
        let filter = wire.filter.as_ref().unwrap_or(&CapsSet::Any);
        let (flowing, wanted) = (offered.intersect(filter), filter.intersect(taken));
        if let Some(pad) = self.other_pad(&wire.to, &flowing) {
            return Some(format!("`{}.{pad}` takes this", wire.doc.to.element.value));
        }
        if let Some(pad) = self.other_pad(&wire.from, &wanted) {
            return Some(format!("`{}.{pad}` gives this", wire.doc.from.element.value));
        }
        let between = Converters::of(self.registry).between(offered, &wanted)?;
        let (from, to) = (self.as_written(&wire.from, &wire.doc.from), self.as_written(&wire.to, &wire.doc.to));
        let filter = wire.doc.filter.as_ref().map(|filter| format!("{} ! ", filter.value)).unwrap_or_default();
        Some(format!("insert `{between}`: `{from} ! {between} ! {filter}{to}`"))
    }

    /// An end as it stands in a line: an element without a name of its own by its kind.
    fn as_written(&self, end: &End, doc: &EndDoc) -> String {
        match self.nodes.get(end.node).filter(|node| !node.doc.named) {
            Some(node) => node.doc.element.value.clone(),
            None => end_text(end, doc),
        }
    }

    /// Another pad on the same side of the same element that fits, where the text names one.
    fn other_pad(&self, end: &End, caps: &CapsSet) -> Option<&'static str> {
        let own = end.pad.as_ref()?.template;
        let factory = self.nodes.get(end.node)?.factory.as_ref()?;
        let fits = |(index, template): &(usize, &PadTemplate)| {
            *index != own
                && template.direction == end.direction
                && template.caps != CapsSet::Any
                && !template.caps.intersect(caps).is_empty()
        };
        factory.pads.iter().enumerate().find(fits).map(|(_, template)| template.name)
    }
}

fn end_text(end: &End, doc: &EndDoc) -> String {
    match &end.pad {
        Some(pad) => format!("{}.{}", doc.element.value, pad.name),
        None => doc.element.value.clone(),
    }
}

fn sides_mismatch(wire: &Wire<'_>, offered: &CapsSet, taken: &CapsSet, origin: &str) -> Diagnostic {
    let to = end_text(&wire.to, &wire.doc.to);
    let message = match offered.mismatch(taken) {
        Some(Mismatch::Field { name, offered, accepted }) => {
            format!("{origin} gives {name}={offered}, `{to}` takes {name}={accepted}")
        }
        _ => format!("{origin} gives {}, `{to}` takes {}", media(offered), media(taken)),
    };
    Diagnostic::error(codes::CAPS_MISMATCH, message)
        .at(wire.doc.to.span(), format!("takes {}", shorten(taken)))
        .also(wire.doc.from.span(), format!("gives {}", shorten(offered)))
}

fn filter_mismatch(wire: &Wire<'_>, filter: &CapsSet, side: &CapsSet, origin: &str, upstream: bool) -> Diagnostic {
    let span = wire.doc.filter.as_ref().map_or(wire.doc.span, |filter| filter.span);
    let to = end_text(&wire.to, &wire.doc.to);
    let met = if upstream { side.mismatch(filter) } else { filter.mismatch(side) };
    let message = match (met, upstream) {
        (Some(Mismatch::Field { name, offered, accepted }), true) => {
            format!("{origin} gives {name}={offered}, the filter lets {name}={accepted} pass")
        }
        (Some(Mismatch::Field { name, offered, accepted }), false) => {
            format!("the filter lets {name}={offered} pass, `{to}` takes {name}={accepted}")
        }
        (_, true) => format!("{origin} gives {}, the filter lets {} pass", media(side), media(filter)),
        (_, false) => format!("the filter lets {} pass, `{to}` takes {}", media(filter), media(side)),
    };
    let d = Diagnostic::error(codes::CAPS_MISMATCH, message).at(span, "");
    match upstream {
        true => d.also(wire.doc.from.span(), format!("gives {}", shorten(side))),
        false => d.also(wire.doc.to.span(), format!("takes {}", shorten(side))),
    }
}

/// The media types of a set: "video/x-h264 or audio/mpeg".
fn media(set: &CapsSet) -> String {
    let CapsSet::Of(structures) = set else { return "anything".to_owned() };
    let mut names: Vec<&str> = Vec::new();
    for structure in structures {
        if !names.contains(&&*structure.media) {
            names.push(&structure.media);
        }
    }
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some(_) if names.len() > 4 => format!("{} or others", names.get(..3).unwrap_or_default().join(", ")),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

fn shorten(set: &CapsSet) -> String {
    let text = set.to_string();
    if text.chars().count() <= MAX_CAPS {
        return text;
    }
    text.chars().take(MAX_CAPS).chain(['…']).collect()
}
