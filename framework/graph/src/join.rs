//! Neighbours that are made as one element.
//!
//! Elements of another library that are linked with each other keep what flows between them inside of it: their factories say the factory
//! of the element that several of them become ([`Factory::joined`]). Its settings are an object that says which elements it holds and how they are linked:
//!
//! ```json
//! { "live": false,
//!   "elements": [{ "name": "d", "element": "gst/avdec_h264", "settings": {} }, { "name": "e", "element": "gst/x264enc", "settings": {} }],
//!   "links": [{ "from": "d", "from-pad": "src", "to": "e", "to-pad": "sink", "caps": "" }] }
//! ```
//!
//! Its pads are called `NAME.PAD`, after the pads of the elements that it holds.

use std::sync::Arc;

use millstream_core::Factory;
use serde_json::{Value, json};

use crate::graph::{Endpoint, Graph, Link, Node, Settings};

/// A graph whose neighbours have been joined.
pub struct Joined {
    /// The graph to run.
    pub graph: Graph,
    /// Elements of the text, and the element that each has become a part of.
    pub members: Vec<Member>,
}

/// Name of an element, and of the one that it has become part of.
pub type Member = (Arc<str>, Arc<str>);

impl Graph {
    /// The graph with neighbours joined. `None` where there are none.
    pub fn joined(&self) -> Option<Joined> {
        let mut joined: Option<Joined> = None;
        // One after the other: two that are joined may make a cycle where each alone makes none.
        loop {
            let graph = joined.as_ref().map_or(self, |joined| &joined.graph);
            let Some(group) = graph.groups().into_iter().find(|group| graph.is_convex(group)) else { return joined };
            let Some((next, mut members)) = graph.join(&group) else { return joined };
            members.extend(joined.into_iter().flat_map(|joined| joined.members));
            joined = Some(Joined { graph: next, members });
        }
    }

    /// Nodes that are linked with each other and may be joined, two or more, in order.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut group: Vec<usize> = (0..self.nodes.len()).collect();
        for link in self.links.iter().filter(|link| self.may_join(link)) {
            let (Some(&a), Some(&b)) = (group.get(link.from.node), group.get(link.to.node)) else { continue };
            group.iter_mut().filter(|of| **of == a.max(b)).for_each(|of| *of = a.min(b));
        }
        let members = |of: usize| (0..group.len()).filter(|node| group.get(*node) == Some(&of)).collect::<Vec<_>>();
        (0..group.len()).map(members).filter(|members| members.len() > 1).collect()
    }

    fn may_join(&self, link: &Link) -> bool {
        let (Some(a), Some(b)) = (self.nodes.get(link.from.node), self.nodes.get(link.to.node)) else { return false };
        let same = |a: &Arc<Factory>, b: &Arc<Factory>| a.name == b.name;
        let joined = a.factory.joined.as_ref().zip(b.factory.joined.as_ref());
        joined.is_some_and(|(a, b)| same(a, b)) && a.on_error == b.on_error
    }

    /// False where a way leaves the group and comes back: joined, the links would form a cycle.
    fn is_convex(&self, group: &[usize]) -> bool {
        let mut behind: Vec<usize> = Vec::new();
        let mut next: Vec<usize> = group.to_vec();
        while let Some(node) = next.pop() {
            for link in self.links.iter().filter(|link| link.from.node == node) {
                let to = link.to.node;
                if group.contains(&to) {
                    if !group.contains(&node) {
                        return false;
                    }
                } else if !behind.contains(&to) {
                    behind.push(to);
                    next.push(to);
                }
            }
        }
        true
    }
}

impl Graph {
    /// The graph with one element in the place of the first of a group, and who has become part of it.
    fn join(&self, group: &[usize]) -> Option<(Self, Vec<Member>)> {
        let nodes: Vec<&Node> = group.iter().filter_map(|node| self.nodes.get(*node)).collect();
        let first = nodes.first()?;
        let factory = first.factory.joined.clone()?;
        let name: Arc<str> = nodes.iter().map(|node| &*node.name).collect::<Vec<_>>().join("+").into();
        let members = nodes.iter().map(|node| (node.name.clone(), name.clone())).collect();
        let whole =
            Node { name, factory, settings: settings(self, group), on_error: first.on_error.clone(), span: first.span };

        // Where each node is afterwards: all of the group at the place of its first.
        let kept: Vec<usize> =
            (0..self.nodes.len()).filter(|node| !group.contains(node) || group.first() == Some(node)).collect();
        let place = |node: usize| {
            let node = if group.contains(&node) { group.first().copied()? } else { node };
            kept.iter().position(|kept| *kept == node)
        };
        let mut graph = Self { nodes: Vec::new(), links: Vec::new(), ..self.clone() };
        for node in &kept {
            let same = || self.nodes.get(*node).cloned();
            graph.nodes.extend(if group.first() == Some(node) { Some(whole.clone()) } else { same() });
        }
        let end = |end: &Endpoint| {
            let name = self.nodes.get(end.node).filter(|_| group.contains(&end.node)).map(|node| &node.name);
            let pad = name.map_or_else(|| end.pad.clone(), |name| format!("{name}.{}", end.pad));
            Some(Endpoint { node: place(end.node)?, pad })
        };
        for link in self.links.iter().filter(|link| !is_inside(link, group)) {
            graph.links.push(Link { from: end(&link.from)?, to: end(&link.to)?, ..link.clone() });
        }
        Some((graph, members))
    }
}

fn is_inside(link: &Link, group: &[usize]) -> bool {
    group.contains(&link.from.node) && group.contains(&link.to.node)
}

/// The settings of the element that holds a group.
fn settings(from: &Graph, group: &[usize]) -> Settings {
    let nodes: Vec<Node> = group.iter().filter_map(|node| from.nodes.get(*node).cloned()).collect();
    let name = |node: usize| from.nodes.get(node).map(|node| node.name.to_string()).unwrap_or_default();
    let inside = from.links.iter().filter(|link| is_inside(link, group));
    let links: Value = inside
        .map(|link| {
            let caps = link.filter.as_ref().map(ToString::to_string).unwrap_or_default();
            json!({
                "from": name(link.from.node), "from-pad": link.from.pad,
                "to": name(link.to.node), "to-pad": link.to.pad, "caps": caps,
            })
        })
        .collect();
    Settings::made(move || {
        let (mut elements, mut live) = (Vec::new(), false);
        for node in &nodes {
            let made = node.settings.make()?;
            live |= node.factory.is_live(&*made);
            let settings = made.downcast::<Value>().map(|value| *value).unwrap_or_default();
            elements.push(json!({ "name": &*node.name, "element": node.factory.name, "settings": settings }));
        }
        Ok(Box::new(json!({ "live": live, "elements": elements, "links": links })))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load_launch;
    use crate::testing::registry;

    /// A line in whose registry `queue` and `identity` may be joined: names of nodes and links.
    fn joined(line: &str) -> Option<(Vec<String>, Vec<String>, Joined)> {
        let mut loaded = load_launch(line, &registry()).expect("a line").graph;
        let bin = registry().get("anybin").expect("in the registry").clone();
        for node in loaded.nodes.iter_mut().filter(|node| ["queue", "identity"].contains(&node.factory.name)) {
            let mut factory = (*node.factory).clone();
            factory.joined = Some(bin.clone());
            node.factory = factory.into();
        }
        let joined = loaded.joined()?;
        let graph = &joined.graph;
        let end = |end: &Endpoint| format!("{}:{}", graph.nodes[end.node].name, end.pad);
        let links = graph.links.iter().map(|link| format!("{} {}", end(&link.from), end(&link.to))).collect();
        Some((graph.nodes.iter().map(|node| node.name.to_string()).collect(), links, joined))
    }

    #[test]
    fn neighbours_become_one_element() {
        let (nodes, links, joined) =
            joined("fakesrc name=s ! queue name=a ! identity name=b ! fakesink name=t").expect("two neighbours");
        assert_eq!(nodes, ["s", "a+b", "t"]);
        assert_eq!(links, ["s:src a+b:a.sink", "a+b:b.src t:sink"]);
        assert_eq!(joined.members, [("a".into(), "a+b".into()), ("b".into(), "a+b".into())]);
        let settings = joined.graph.nodes[1].settings.make().expect("settings").downcast::<Value>().expect("JSON");
        assert_eq!(
            settings["links"][0],
            json!({ "from": "a", "from-pad": "src", "to": "b", "to-pad": "sink", "caps": "" })
        );
        assert_eq!(settings["elements"][1]["element"], "identity");
    }

    #[test]
    fn what_is_no_neighbour_or_would_make_a_cycle_stays_apart() {
        assert!(joined("fakesrc ! queue ! fakesink").is_none());
        assert!(joined("fakesrc ! queue ! tee ! identity ! fakesink").is_none());
    }

    #[test]
    fn a_way_around_a_group_keeps_it_apart() {
        let line = "fakesrc ! tee name=t t. ! funnel name=f ! fakesink t. ! identity name=i ! f.";
        let graph = load_launch(line, &registry()).expect("a line").graph;
        let group: Vec<usize> = ["t", "f"].iter().filter_map(|name| graph.find(name)).collect();
        assert!(!graph.is_convex(&group), "through `i` it leads back");
        let all: Vec<usize> = ["t", "f", "i"].iter().filter_map(|name| graph.find(name)).collect();
        assert!(graph.is_convex(&all));
    }
}
