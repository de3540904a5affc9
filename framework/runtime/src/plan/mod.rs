//! From a checked graph to tasks: which elements share one, and where channels are.
//!
//! A task begins at a source, at a `queue`, at an element that needs a thread of its own, and where several tasks
//! meet. Every other element joins the task that feeds it. A link inside a task is a function call; a link between
//! tasks is a [`Port`] pad.

mod blueprint;
mod domain;

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use millstream_core::registry::LinkedPad;
use millstream_core::template::Seat;
use millstream_core::{
    Blocking, BuildCx, Caps, CapsSet, Direction, Element, Env, Error, PadId, Result, Time, WakeHandle,
};
use millstream_graph::{Graph, Link};

use crate::bus::BusSender;
use crate::control::Control;
use crate::driver::Driver;
use crate::failures::Failures;
use crate::port::PortSender;
use crate::spawner::Place;
use crate::stats::{DropStats, LinkStats, Whereabouts};

pub(crate) use blueprint::{Blueprint, Crossing};
pub(crate) use domain::Domain;

/// A graph, ready to be spawned.
pub(crate) struct Plan {
    pub(crate) tasks: Vec<PlannedTask>,
    /// What parts of it are built anew from.
    pub(crate) blueprint: Arc<Blueprint>,
    pub(crate) drops: Vec<(Arc<str>, Arc<DropStats>)>,
    pub(crate) handles: Handles,
    /// Task and place in its chain of every element.
    pub(crate) places: HashMap<Arc<str>, (usize, usize)>,
    /// Sending end of the entry, when the graph is a branch to be attached.
    pub(crate) entry: Option<PortSender>,
}

/// A built element, and how it is woken from outside.
pub(crate) struct Built {
    pub(crate) element: Element,
    pub(crate) waker: WakeHandle,
}

/// What elements leave for the application, by name.
pub(crate) type Handles = HashMap<Arc<str>, Box<dyn Any + Send + Sync>>;

/// One task of a plan.
pub(crate) struct PlannedTask {
    /// Its number in the plan.
    pub(crate) index: usize,
    pub(crate) driver: Driver,
    pub(crate) control: Arc<Control>,
    pub(crate) whereabouts: Arc<Whereabouts>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) place: Place,
    pub(crate) is_source: bool,
    /// Somewhere in it the stream ends.
    pub(crate) has_sink: bool,
}

/// What the outside may look at of a link.
#[derive(Clone)]
pub(crate) struct LinkHandle {
    pub(crate) stats: Arc<LinkStats>,
    pub(crate) caps: Arc<Mutex<Option<Caps>>>,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The sources that feed a node.
fn roots(graph: &Graph, node: usize) -> Vec<usize> {
    let (mut found, mut open, mut seen) = (Vec::new(), vec![node], vec![false; graph.nodes.len()]);
    while let Some(node) = open.pop() {
        if std::mem::replace(&mut seen[node], true) {
            continue;
        }
        let before = open.len();
        open.extend(graph.links_into(node).map(|l| l.from.node));
        if open.len() == before {
            found.push(node);
        }
    }
    found
}

struct Spec {
    head: usize,
    members: Vec<usize>,
}

/// What a plan takes from the pipeline that it belongs to.
pub(crate) struct Outside<'a> {
    pub(crate) env: &'a Env,
    pub(crate) bus: &'a BusSender,
    pub(crate) failures: &'a Arc<Failures>,
    /// Waiting tasks may look a little before they sleep.
    pub(crate) spin: bool,
    /// For whom the graph is started, and the element that is given it: an instance of a template.
    pub(crate) seat: RefCell<Option<(Arc<str>, Seat)>>,
    /// Since when the pipeline runs, on the clock.
    pub(crate) base_time: Time,
}

impl Outside<'_> {
    fn seat(&self, element: &str) -> Option<Seat> {
        self.seat.borrow_mut().take_if(|(name, _)| &**name == element).map(|(_, seat)| seat)
    }
}

/// Plans a graph. `entry` is the element whose only sink pad is fed from outside, when the graph is a branch.
pub(crate) fn plan(graph: &Graph, outside: &Outside<'_>, entry: Option<usize>) -> Result<Plan> {
    let order = topological(graph)?;
    let sinks = (0..graph.nodes.len()).filter(|n| graph.links_out_of(*n).next().is_none()).count();
    let live = live(graph, &order);
    let elements = build_all(graph, outside, entry, &live)?;
    let blueprint = Arc::new(Blueprint::draw(graph, outside, entry, live, &order, &elements.built));
    let assembled = blueprint.assemble(elements.built, &(0..blueprint.tasks()).collect::<Vec<_>>())?;
    outside.failures.add_sinks(sinks);
    let names = || graph.nodes.iter().map(|node| node.name.clone());
    Ok(Plan {
        tasks: assembled.tasks,
        drops: names().zip(blueprint.drops.iter().cloned()).collect(),
        handles: elements.handles,
        places: names().zip(blueprint.places.iter().copied()).collect(),
        entry: assembled.entry,
        blueprint,
    })
}

/// Elements by node, and what they left for the application.
struct Elements {
    built: Vec<Option<Built>>,
    handles: Handles,
}

fn build_all(graph: &Graph, outside: &Outside<'_>, entry: Option<usize>, live: &[bool]) -> Result<Elements> {
    let mut handles = HashMap::new();
    let mut built = Vec::with_capacity(graph.nodes.len());
    for (node, live) in live.iter().enumerate() {
        let seat = outside.seat(&graph.nodes[node].name);
        let fed = Fed { entry: entry == Some(node), live: *live, seat, base_time: outside.base_time };
        built.push(Some(build(graph, node, outside.env, fed, &mut handles)?));
    }
    Ok(Elements { built, handles })
}

/// Where the input of a node comes from.
struct Fed {
    /// From outside the graph, by its only sink pad.
    entry: bool,
    /// From a live source.
    live: bool,
    /// From one who has come already.
    seat: Option<Seat>,
    /// Since when the pipeline runs.
    base_time: Time,
}

fn build(graph: &Graph, node: usize, env: &Env, fed: Fed, handles: &mut Handles) -> Result<Built> {
    let spec = &graph.nodes[node];
    let pad = |index: usize, name: &str, link: Option<&Link>| LinkedPad {
        id: PadId(index as u16),
        name: name.to_owned(),
        allowed: link.map_or(CapsSet::Any, |l| l.allowed.clone()),
        random_write: link.is_some_and(|l| can_rewrite(graph, l)),
    };
    let mut sinks: Vec<_> = graph.links_into(node).enumerate().map(|(i, l)| pad(i, &l.to.pad, Some(l))).collect();
    if fed.entry {
        let name = spec.factory.templates(Direction::Sink).next().map_or("sink", |t| t.name);
        sinks.push(pad(sinks.len(), name, None));
    }
    let srcs = graph.links_out_of(node).enumerate().map(|(i, l)| pad(i, &l.from.pad, Some(l))).collect();
    let mut cx = BuildCx::new(&spec.name, env.clone(), sinks, srcs).with_seat(fed.seat);
    (cx.live, cx.base_time) = (fed.live, fed.base_time);
    let settings = spec.settings.make().map_err(|e| e.in_element(&cx.name))?;
    let element = spec.factory.build(settings, &cx)?;
    if let Some(handle) = cx.take_handle() {
        handles.insert(cx.name.clone(), handle);
    }
    Ok(Built { element, waker: cx.wake_handle() })
}

/// Which nodes are live sources, or fed by one.
fn live(graph: &Graph, order: &[usize]) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for &node in order {
        let spec = &graph.nodes[node];
        live[node] = spec.settings.make().is_ok_and(|s| spec.factory.is_live(&*s))
            || graph.links_into(node).any(|l| live[l.from.node]);
    }
    live
}

/// True when the sink at the far end of a link can rewrite what came before.
fn can_rewrite(graph: &Graph, link: &Link) -> bool {
    let node = &graph.nodes[link.to.node];
    let template = node.factory.template(Direction::Sink, &link.to.pad);
    if template.is_some_and(|t| t.random_write) {
        return node.settings.make().is_ok_and(|s| node.factory.can_rewrite(&*s));
    }
    let mut onward = graph.links_out_of(link.to.node).peekable();
    node.factory.passthrough && onward.peek().is_some() && onward.all(|l| can_rewrite(graph, l))
}

/// Nodes so that every link goes forward.
fn topological(graph: &Graph) -> Result<Vec<usize>> {
    let mut missing: Vec<usize> = (0..graph.nodes.len()).map(|n| graph.links_into(n).count()).collect();
    let mut ready: Vec<usize> = (0..graph.nodes.len()).rev().filter(|n| missing[*n] == 0).collect();
    let mut order = Vec::with_capacity(graph.nodes.len());
    while let Some(node) = ready.pop() {
        order.push(node);
        for link in graph.links_out_of(node) {
            missing[link.to.node] -= 1;
            if missing[link.to.node] == 0 {
                ready.push(link.to.node);
            }
        }
    }
    if order.len() == graph.nodes.len() { Ok(order) } else { Err(Error::settings("the links form a cycle")) }
}

/// Which elements share a task. What is built anew by itself does not share one with others.
fn assign(graph: &Graph, order: &[usize], elements: &[Option<Built>], domain_of: &[Option<usize>]) -> Vec<Spec> {
    let mut specs: Vec<Spec> = Vec::new();
    let mut task_of = vec![usize::MAX; graph.nodes.len()];
    for &node in order {
        let mut feeders: Vec<usize> = graph.links_into(node).map(|l| task_of[l.from.node]).collect();
        feeders.dedup();
        let joins = match (element_of(elements, node), feeders.as_slice()) {
            (Some(Element::Transform(_) | Element::Aggregate(_)), [task])
                if domain_of[specs[*task].head] == domain_of[node] =>
            {
                let fed_by_socket = matches!(element_of(elements, specs[*task].head), Some(Element::Source(_)));
                match graph.nodes[node].factory.blocking {
                    Blocking::None => Some(*task),
                    // A slow disk must not keep a socket from being read.
                    Blocking::Io if !fed_by_socket => Some(*task),
                    Blocking::Io | Blocking::Compute => None,
                }
            }
            _ => None,
        };
        task_of[node] = joins.unwrap_or(specs.len());
        match joins {
            Some(task) => specs[task].members.push(node),
            None => specs.push(Spec { head: node, members: vec![node] }),
        }
    }
    specs
}

fn element_of(elements: &[Option<Built>], node: usize) -> Option<&Element> {
    elements[node].as_ref().map(|built| &built.element)
}

fn places_of(specs: &[Spec], nodes: usize) -> Vec<(usize, usize)> {
    let mut places = vec![(0, 0); nodes];
    for (task, spec) in specs.iter().enumerate() {
        for (at, node) in spec.members.iter().enumerate() {
            places[*node] = (task, at);
        }
    }
    places
}

/// Which nodes are behind an element that passes one input on to several.
fn behind_fan_out(graph: &Graph, order: &[usize]) -> Vec<bool> {
    let mut behind = vec![false; graph.nodes.len()];
    for &node in order {
        behind[node] = graph.links_into(node).any(|l| {
            let fans_out = graph.nodes[l.from.node].factory.passthrough && graph.links_out_of(l.from.node).count() > 1;
            fans_out || behind[l.from.node]
        });
    }
    behind
}
