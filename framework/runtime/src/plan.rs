//! From a checked graph to tasks: which elements share one, and where channels are.
//!
//! A task begins at a source, at a `queue`, at an element that needs a thread of its own, and where several tasks
//! meet. Every other element joins the task that feeds it. A link inside a task is a function call; a link between
//! tasks is a [`Port`] pad.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use millstream_core::element::Leaky;
use millstream_core::registry::LinkedPad;
use millstream_core::{
    Blocking, BuildCx, Caps, CapsSet, Direction, Element, Env, Error, PadId, Presence, QueueLimits, Result, TimeDelta,
    Transform,
};
use millstream_graph::{Graph, Link, OnError};

use crate::bus::BusSender;
use crate::chain::{Chain, Group, Kind, Slot, Upstream};
use crate::control::Control;
use crate::driver::{Driver, Head};
use crate::failures::Failures;
use crate::link::{Dest, Memory, SrcLink};
use crate::port::{DEFAULT_LIMITS, Port, PortSender};
use crate::spin::Spinner;
use crate::stats::{DropStats, LinkStats, Whereabouts};

/// A graph, ready to be spawned.
pub(crate) struct Plan {
    pub(crate) tasks: Vec<PlannedTask>,
    pub(crate) links: Vec<LinkHandle>,
    pub(crate) drops: Vec<(Arc<str>, Arc<DropStats>)>,
    pub(crate) handles: HashMap<Arc<str>, Box<dyn Any + Send + Sync>>,
    /// Task and place in its chain of every element.
    pub(crate) places: HashMap<Arc<str>, (usize, usize)>,
    pub(crate) latency: TimeDelta,
    /// Sending end of the entry, when the graph is a branch to be attached.
    pub(crate) entry: Option<PortSender>,
}

/// One task of a plan.
pub(crate) struct PlannedTask {
    pub(crate) driver: Driver,
    pub(crate) control: Arc<Control>,
    pub(crate) whereabouts: Arc<Whereabouts>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) thread: bool,
    pub(crate) is_source: bool,
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
}

/// Plans a graph. `entry` is the element whose only sink pad is fed from outside, when the graph is a branch.
pub(crate) fn plan(graph: &Graph, outside: &Outside<'_>, entry: Option<usize>) -> Result<Plan> {
    let env = outside.env;
    let order = topological(graph)?;
    let live = live(graph, &order);
    let mut handles = HashMap::new();
    let mut elements = Vec::with_capacity(graph.nodes.len());
    for (node, live) in live.iter().enumerate() {
        elements.push(Some(build(graph, node, env, Fed { entry: entry == Some(node), live: *live }, &mut handles)?));
    }
    let specs = assign(graph, &order, &elements);
    let places = places_of(&specs, graph.nodes.len());
    let Branches { leaky, isolated } = branches(graph, &order, &live)?;
    let sinks = (0..graph.nodes.len()).filter(|n| graph.links_out_of(*n).next().is_none()).count();
    outside.failures.add_sinks(sinks);
    Assembly { graph, outside, entry, elements, specs, places, leaky, isolated, handles }.assemble(&order)
}

/// Where the input of a node comes from.
struct Fed {
    /// From outside the graph, by its only sink pad.
    entry: bool,
    /// From a live source.
    live: bool,
}

fn build(
    graph: &Graph,
    node: usize,
    env: &Env,
    fed: Fed,
    handles: &mut HashMap<Arc<str>, Box<dyn Any + Send + Sync>>,
) -> Result<Element> {
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
    let mut cx = BuildCx::new(&spec.name, env.clone(), sinks, srcs);
    cx.live = fed.live;
    let settings = spec.settings.make().map_err(|e| e.in_element(&cx.name))?;
    let element = spec.factory.build(settings, &cx)?;
    if let Some(handle) = cx.take_handle() {
        handles.insert(cx.name.clone(), handle);
    }
    Ok(element)
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

/// Which elements share a task.
fn assign(graph: &Graph, order: &[usize], elements: &[Option<Element>]) -> Vec<Spec> {
    let mut specs: Vec<Spec> = Vec::new();
    let mut task_of = vec![usize::MAX; graph.nodes.len()];
    for &node in order {
        let mut feeders: Vec<usize> = graph.links_into(node).map(|l| task_of[l.from.node]).collect();
        feeders.dedup();
        let joins = match (&elements[node], feeders.as_slice()) {
            (Some(Element::Transform(_) | Element::Aggregate(_)), [task]) => {
                let fed_by_socket = matches!(elements[specs[*task].head], Some(Element::Source(_)));
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

fn places_of(specs: &[Spec], nodes: usize) -> Vec<(usize, usize)> {
    let mut places = vec![(0, 0); nodes];
    for (task, spec) in specs.iter().enumerate() {
        for (at, node) in spec.members.iter().enumerate() {
            places[*node] = (task, at);
        }
    }
    places
}

/// What follows for each node from being behind a fan-out.
struct Branches {
    /// Fed by a live source: a slow one must not hold up its neighbours.
    leaky: Vec<bool>,
    /// A failing one must not end its neighbours.
    isolated: Vec<bool>,
}

fn branches(graph: &Graph, order: &[usize], live: &[bool]) -> Result<Branches> {
    let mut behind_fan_out = vec![false; graph.nodes.len()];
    let mut isolated = vec![false; graph.nodes.len()];
    for &node in order {
        let spec = &graph.nodes[node];
        behind_fan_out[node] = graph.links_into(node).any(|l| {
            let fans_out = graph.nodes[l.from.node].factory.passthrough && graph.links_out_of(l.from.node).count() > 1;
            fans_out || behind_fan_out[l.from.node]
        });
        isolated[node] = match spec.on_error {
            OnError::Default => behind_fan_out[node],
            OnError::Fail => false,
            OnError::Isolate => true,
            OnError::Restart(_) => {
                let message = format!("`on-error: restart` of {} is not supported yet", spec.name);
                return Err(Error::unsupported(message).hint("use `isolate` or `fail`").in_element(&spec.name));
            }
        };
    }
    let leaky = live.iter().zip(behind_fan_out).map(|(live, behind)| *live && behind).collect();
    Ok(Branches { leaky, isolated })
}

/// What a built element becomes in a chain: its kind, the element where it is a transform, and the head it makes of
/// the task that begins with it.
type Taken = (Kind, Option<Box<dyn Transform>>, Head);

struct Assembly<'a> {
    graph: &'a Graph,
    outside: &'a Outside<'a>,
    entry: Option<usize>,
    elements: Vec<Option<Element>>,
    specs: Vec<Spec>,
    places: Vec<(usize, usize)>,
    leaky: Vec<bool>,
    isolated: Vec<bool>,
    handles: HashMap<Arc<str>, Box<dyn Any + Send + Sync>>,
}

impl Assembly<'_> {
    fn assemble(mut self, order: &[usize]) -> Result<Plan> {
        let links: Vec<LinkHandle> = self.graph.links.iter().map(|l| self.link_handle(l)).collect();
        let ports: Vec<Arc<Port>> = self.specs.iter().map(|_| Port::new()).collect();
        let controls: Vec<Arc<Control>> = self.specs.iter().map(|_| Arc::default()).collect();
        let mut senders = self.senders(&ports, &controls, &links);
        let entry = self.entry.map(|node| ports[self.places[node].0].add_pad(self.limits(node), Arc::default()));
        let mut drops = Vec::new();
        let mut tasks = Vec::new();
        for task in 0..self.specs.len() {
            let whereabouts = Arc::<Whereabouts>::default();
            let mut chain = Chain::new(self.outside.bus.clone(), whereabouts.clone(), self.outside.failures.clone());
            let mut head = None;
            for node in self.specs[task].members.clone() {
                let (kind, transform, node_head) = self.kind_of(node, &ports[task])?;
                head = head.or(Some(node_head));
                let slot = self.slot(node, kind, &ports, &links, &mut senders);
                drops.push((slot.name.clone(), slot.drops.clone()));
                chain.add(slot, transform);
            }
            let Some(head) = head else { return Err(Error::bug("a task without elements")) };
            tasks.push(self.task(task, chain, head, controls[task].clone(), whereabouts));
        }
        let places = self.graph.nodes.iter().zip(&self.places).map(|(n, p)| (n.name.clone(), *p)).collect();
        Ok(Plan { tasks, links, drops, handles: self.handles, places, latency: latency(self.graph, order), entry })
    }

    fn task(
        &self,
        task: usize,
        chain: Chain,
        head: Head,
        control: Arc<Control>,
        whereabouts: Arc<Whereabouts>,
    ) -> PlannedTask {
        let blocks = |n: &usize| self.graph.nodes[*n].factory.blocking != Blocking::None;
        let thread = match head {
            Head::Blocking => true,
            Head::Port(_) => self.specs[task].members.iter().any(blocks),
            Head::Source(_) | Head::Sink(..) => false,
        };
        let is_source = matches!(head, Head::Blocking | Head::Source(_));
        let names = chain.nodes.iter().map(|s| s.name.clone()).collect();
        let quick = !self.specs[task].members.iter().any(blocks);
        let driver = Driver {
            chain,
            head,
            control: control.clone(),
            env: self.outside.env.clone(),
            quick,
            spinner: Spinner::new(self.outside.spin),
        };
        PlannedTask { driver, control, whereabouts, names, thread, is_source }
    }

    fn kind_of(&mut self, node: usize, port: &Arc<Port>) -> Result<Taken> {
        let element = self.elements[node].take().ok_or_else(|| Error::bug("an element was used twice"))?;
        let fed = || Head::Port(port.clone());
        Ok(match element {
            Element::Transform(t) => (Kind::Transform, Some(t), fed()),
            Element::Aggregate(a) => {
                let pads = self.graph.links_into(node).count() + usize::from(self.entry == Some(node));
                (Kind::Aggregate(Box::new(Group::new(a, pads))), None, fed())
            }
            Element::Queue(_) => (Kind::Queue, None, fed()),
            Element::BlockingSource(s) => (Kind::BlockingSource(s), None, Head::Blocking),
            Element::Source(s) => (Kind::Outside(Default::default()), None, Head::Source(s)),
            Element::Sink(s) => (Kind::Outside(Default::default()), None, Head::Sink(s, port.clone())),
        })
    }

    fn limits(&self, node: usize) -> QueueLimits {
        let mut limits = match &self.elements[node] {
            Some(Element::Queue(limits)) => *limits,
            _ => DEFAULT_LIMITS,
        };
        if self.leaky[node] && limits.leaky == Leaky::No {
            limits.leaky = Leaky::ToKeyframe;
        }
        limits
    }

    /// Sending ends of the links between tasks, by link index.
    fn senders(
        &self,
        ports: &[Arc<Port>],
        controls: &[Arc<Control>],
        links: &[LinkHandle],
    ) -> HashMap<usize, PortSender> {
        let mut senders = HashMap::new();
        for spec in &self.specs {
            let into = self.graph.links.iter().enumerate().filter(|(_, l)| l.to.node == spec.head);
            for (index, link) in into {
                let port = &ports[self.places[spec.head].0];
                let sender = port.add_pad(self.limits(spec.head), links[index].stats.clone());
                let (task, at) = self.places[link.from.node];
                sender.set_upstream(controls[task].clone(), at, self.src_pad(index), roots(self.graph, link.from.node));
                senders.insert(index, sender);
            }
        }
        senders
    }

    fn slot(
        &self,
        node: usize,
        kind: Kind,
        ports: &[Arc<Port>],
        handles: &[LinkHandle],
        senders: &mut HashMap<usize, PortSender>,
    ) -> Slot {
        let (task, _) = self.places[node];
        let all = || self.graph.links.iter().enumerate();
        let upstream = |(i, (index, link)): (usize, (usize, &Link))| match self.places[link.from.node] {
            (from, at) if from == task => Upstream::Local(at, self.src_pad(index)),
            _ => Upstream::Port(ports[task].clone(), PadId(i as u16)),
        };
        let mut sinks: Vec<_> = all().filter(|(_, l)| l.to.node == node).enumerate().map(upstream).collect();
        if self.entry == Some(node) {
            sinks.push(Upstream::Nobody);
        }
        let srcs = all()
            .filter(|(_, l)| l.from.node == node)
            .map(|(index, link)| {
                let dest = match senders.remove(&index) {
                    Some(sender) => Dest::Port(sender),
                    None => Dest::Local(self.places[link.to.node].1, self.sink_pad(index)),
                };
                self.src_link(link, dest, &handles[index])
            })
            .collect();
        let name = self.graph.nodes[node].name.clone();
        Slot {
            name,
            kind,
            open_sinks: sinks.len(),
            sinks,
            srcs,
            drops: Arc::default(),
            wake: None,
            seek: None,
            isolated: self.isolated[node],
        }
    }

    fn src_link(&self, link: &Link, dest: Dest, handle: &LinkHandle) -> SrcLink {
        let (from, to) = (&self.graph.nodes[link.from.node], &self.graph.nodes[link.to.node]);
        let accepts = to.factory.template(Direction::Sink, &link.to.pad).map_or(CapsSet::Any, |t| t.caps.clone());
        let presence = from.factory.template(Direction::Src, &link.from.pad).map_or(Presence::Always, |t| t.presence);
        SrcLink {
            dest,
            stats: handle.stats.clone(),
            from: handle.from.clone(),
            to: handle.to.clone(),
            accept: link.filter.as_ref().map_or(accepts.clone(), |f| f.intersect(&accepts)),
            presence,
            memory: Memory::default(),
            until_keyframe: false,
            converters: self.graph.converters.clone(),
            caps: handle.caps.clone(),
        }
    }

    fn link_handle(&self, link: &Link) -> LinkHandle {
        let name = |node: usize, pad: &str| format!("{}.{pad}", self.graph.nodes[node].name);
        LinkHandle {
            stats: Arc::default(),
            caps: Arc::default(),
            from: name(link.from.node, &link.from.pad),
            to: name(link.to.node, &link.to.pad),
        }
    }

    /// Number of the source pad of a link within its element.
    fn src_pad(&self, link: usize) -> PadId {
        let node = self.graph.links[link].from.node;
        PadId(self.graph.links[..link].iter().filter(|l| l.from.node == node).count() as u16)
    }

    /// Number of the sink pad of a link within its element.
    fn sink_pad(&self, link: usize) -> PadId {
        let node = self.graph.links[link].to.node;
        PadId(self.graph.links[..link].iter().filter(|l| l.to.node == node).count() as u16)
    }
}

/// The longest latency from a source to a sink.
fn latency(graph: &Graph, order: &[usize]) -> TimeDelta {
    let mut at = vec![TimeDelta::ZERO; graph.nodes.len()];
    for &node in order {
        let before = graph.links_into(node).map(|l| at[l.from.node]).max().unwrap_or_default();
        at[node] = before + graph.nodes[node].factory.latency;
    }
    at.into_iter().max().unwrap_or_default()
}
