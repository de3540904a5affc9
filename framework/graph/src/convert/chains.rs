//! Links grouped to chains, as people write them.

use std::collections::HashMap;

use crate::doc::{ElementDoc, EndDoc, LinkDoc, PipelineDoc};

/// Links that follow each other: the right end of one is the left end of the next.
pub(super) struct Chain<'a> {
    pub(super) links: Vec<&'a LinkDoc>,
}

impl<'a> Chain<'a> {
    /// The ends in order, each with the filter before it.
    pub(super) fn ends(&self) -> impl Iterator<Item = (Option<&'a str>, &'a EndDoc)> {
        let first = self.links.first().map(|link| (None, &link.from));
        let filter = |link: &'a LinkDoc| link.filter.as_ref().map(|filter| filter.value.as_str());
        first.into_iter().chain(self.links.iter().map(move |link| (filter(link), &link.to)))
    }
}

/// The links of `doc` in order, joined where no pad is named.
pub(super) fn chains(doc: &PipelineDoc) -> Vec<Chain<'_>> {
    let mut chains: Vec<Chain<'_>> = Vec::new();
    for link in &doc.links {
        let goes_on = |last: &&LinkDoc| {
            last.to.pad.is_none() && link.from.pad.is_none() && last.to.element.value == link.from.element.value
        };
        match chains.last_mut().filter(|chain| chain.links.last().is_some_and(goes_on)) {
            Some(chain) => chain.links.push(link),
            None => chains.push(Chain { links: vec![link] }),
        }
    }
    chains
}

/// How often each element is mentioned in the chains, and whether with a pad.
pub(super) struct Mentions<'a> {
    counts: HashMap<&'a str, (usize, bool)>,
}

impl<'a> Mentions<'a> {
    pub(super) fn of(chains: &[Chain<'a>]) -> Self {
        let mut counts: HashMap<&str, (usize, bool)> = HashMap::new();
        for (_, end) in chains.iter().flat_map(Chain::ends) {
            let (count, with_pad) = counts.entry(&end.element.value).or_default();
            *count = count.saturating_add(1);
            *with_pad |= end.pad.is_some();
        }
        Self { counts }
    }

    pub(super) fn count(&self, element: &str) -> usize {
        self.counts.get(element).map_or(0, |(count, _)| *count)
    }

    /// Whether the element can be written in the chain itself, without a name.
    pub(super) fn can_be_inline(&self, element: &ElementDoc) -> bool {
        !element.named
            && element.on_error.is_none()
            && self.counts.get(element.name.value.as_str()) == Some(&(1, false))
    }
}
