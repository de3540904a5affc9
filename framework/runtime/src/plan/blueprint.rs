//! Tasks made of elements: chains, ports and links. Kept as long as the pipeline, so that parts of it can be made anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millstream_core::element::Leaky;
use millstream_core::{
    Blocking, CapsSet, Direction, Element, Env, Error, PadId, Presence, QueueLimits, Result, Time, TimeDelta,
    Transform, WakeHandle,
};
use millstream_graph::{Graph, Link, OnError};

use super::domain::{Domain, domains};
use super::{
    Built, Fed, LinkHandle, Outside, PlannedTask, Spec, assign, behind_fan_out, build, element_of, places_of, roots,
};
use crate::bus::BusSender;
use crate::chain::{Chain, Group, Kind, Slot, Upstream};
use crate::control::Control;
use crate::driver::{Driver, Head};
use crate::failures::Failures;
use crate::joint::Joint;
use crate::link::{Dest, Memory, SrcLink};
use crate::port::{DEFAULT_LIMITS, Port, PortSender};
use crate::spawner::Place;
use crate::spin::Spinner;
use crate::stats::{DropStats, Latency, Whereabouts};

/// What a graph becomes, without the elements.
pub(crate) struct Blueprint {
    pub(crate) graph: Graph,
    pub(crate) env: Env,
    pub(crate) bus: BusSender,
    pub(crate) failures: Arc<Failures>,
    spin: bool,
    base_time: Time,
    entry: Option<usize>,
    /// Who feeds the entry: its task and place there, and the name of the link's far end.
    pub(crate) feeder: OnceLock<(Arc<Control>, usize, String)>,
    specs: Vec<Spec>,
    pub(super) places: Vec<(usize, usize)>,
    pub(crate) domains: Vec<Domain>,
    domain_of: Vec<Option<usize>>,
    /// Fed by a live source.
    live: Vec<bool>,
    /// Fed by a live source behind a fan-out: a slow one must not hold up its neighbours.
    leaky: Vec<bool>,
    /// A failing one must not end its neighbours.
    isolated: Vec<bool>,
    pub(crate) links: Vec<LinkHandle>,
    pub(super) drops: Vec<Arc<DropStats>>,
    /// What elements have said while they run, by node.
    latencies: Vec<Arc<Latency>>,
    /// Nodes so that every link goes forward.
    order: Vec<usize>,
    pub(crate) controls: Vec<Arc<Control>>,
    whereabouts: Vec<Arc<Whereabouts>>,
    /// The port of each task as it is now.
    ports: Mutex<Vec<Arc<Port>>>,
    /// What keeps the output of each domain on one timeline.
    joints: Vec<Arc<Joint>>,
    /// How often each domain was built anew.
    pub(crate) restarts: Vec<Arc<AtomicU64>>,
}

/// The sending end of a link that has to be given to a task which runs already.
pub(crate) struct Crossing {
    /// Whom to give it to.
    pub(crate) control: Arc<Control>,
    /// The element in its chain.
    pub(crate) at: usize,
    /// The far end of the link, which names it.
    pub(crate) to: String,
    pub(crate) sender: PortSender,
}

/// Tasks, and what leads to them from outside.
pub(crate) struct Assembled {
    pub(crate) tasks: Vec<PlannedTask>,
    pub(crate) crossings: Vec<Crossing>,
    /// Sending end of the entry, if it is in one of these tasks.
    pub(crate) entry: Option<PortSender>,
}

/// What a built element becomes in a chain: its kind, the element where it is a transform, and the head it makes of
/// the task that begins with it.
type Taken = (Kind, Option<Box<dyn Transform>>, Head);

impl Blueprint {
    pub(super) fn draw(
        graph: &Graph,
        outside: &Outside<'_>,
        entry: Option<usize>,
        live: Vec<bool>,
        order: &[usize],
        elements: &[Option<Built>],
    ) -> Self {
        let behind = behind_fan_out(graph, order);
        let (domains, domain_of) = domains(graph, order, entry, &behind);
        let specs = assign(graph, order, elements, &domain_of);
        let isolated = (0..graph.nodes.len()).map(|node| match graph.nodes[node].on_error {
            OnError::Default => behind[node] && domain_of[node].is_none(),
            OnError::Isolate => true,
            OnError::Fail | OnError::Restart(_) => false,
        });
        let whereabouts = || specs.iter().map(|_| Arc::default()).collect();
        Self {
            env: outside.env.clone(),
            bus: outside.bus.clone(),
            failures: outside.failures.clone(),
            spin: outside.spin,
            base_time: outside.base_time,
            entry,
            feeder: OnceLock::new(),
            places: places_of(&specs, graph.nodes.len()),
            joints: domains.iter().map(|d| Arc::new(Joint::new(live[d.root]))).collect(),
            restarts: domains.iter().map(|_| Arc::default()).collect(),
            leaky: live.iter().zip(&behind).map(|(live, behind)| *live && *behind).collect(),
            isolated: isolated.collect(),
            links: graph.links.iter().map(|link| link_handle(graph, link)).collect(),
            drops: graph.nodes.iter().map(|_| Arc::default()).collect(),
            latencies: graph.nodes.iter().map(|_| Arc::default()).collect(),
            order: order.to_vec(),
            controls: specs.iter().map(|_| Arc::default()).collect(),
            whereabouts: whereabouts(),
            ports: Mutex::new(specs.iter().map(|_| Port::new()).collect()),
            graph: graph.clone(),
            domains,
            domain_of,
            live,
            specs,
        }
    }

    /// The longest latency from a source to a sink, as the elements have said while they run, else as they declare it.
    pub(crate) fn latency(&self) -> TimeDelta {
        let mut at = vec![TimeDelta::ZERO; self.graph.nodes.len()];
        for &node in &self.order {
            let before = self.graph.links_into(node).map(|l| at[l.from.node]).max().unwrap_or_default();
            let own = self.latencies[node].get().unwrap_or(self.graph.nodes[node].factory.latency);
            at[node] = TimeDelta::from_nanos(before.nanos().saturating_add(own.nanos()));
        }
        at.into_iter().max().unwrap_or_default()
    }

    /// Number of tasks.
    pub(super) fn tasks(&self) -> usize {
        self.specs.len()
    }

    /// The domain that a task belongs to.
    pub(crate) fn domain_of_task(&self, task: usize) -> Option<usize> {
        self.domain_of[self.specs[task].head]
    }

    /// The tasks of a domain.
    pub(crate) fn tasks_of(&self, domain: usize) -> Vec<usize> {
        (0..self.specs.len()).filter(|task| self.domain_of_task(*task) == Some(domain)).collect()
    }

    /// Tasks that others feed with what comes from a live source.
    pub(crate) fn live_consumers(&self) -> impl Iterator<Item = usize> {
        let fed = |task: &usize| self.graph.links_into(self.specs[*task].head).next().is_some();
        (0..self.specs.len()).filter(fed).filter(|task| self.live[self.specs[*task].head])
    }

    /// Name of the first element of a task.
    pub(crate) fn head_of(&self, task: usize) -> &Arc<str> {
        &self.graph.nodes[self.specs[task].head].name
    }

    /// The port of a task as it is now.
    pub(crate) fn port(&self, task: usize) -> Arc<Port> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)[task].clone()
    }

    /// The pads of other tasks that a domain feeds, and that outlive it.
    pub(crate) fn fed_by(&self, domain: usize) -> Vec<(Arc<Port>, PadId)> {
        let leaves = |(_, link): &(usize, &Link)| self.leaves(domain, link);
        let links = self.graph.links.iter().enumerate().filter(leaves);
        links.map(|(index, link)| (self.port(self.places[link.to.node].0), self.sink_pad(index))).collect()
    }

    /// Builds the elements of a domain once more, and its tasks of them.
    pub(crate) fn rebuild(&self, domain: usize) -> Result<Assembled> {
        let mut elements: Vec<Option<Built>> = self.graph.nodes.iter().map(|_| None).collect();
        let mut unheard = HashMap::new();
        for &node in &self.domains[domain].nodes {
            let fed =
                Fed { entry: self.entry == Some(node), live: self.live[node], seat: None, base_time: self.base_time };
            elements[node] = Some(build(&self.graph, node, &self.env, fed, &mut unheard)?);
        }
        let tasks = self.tasks_of(domain);
        {
            let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.iter().for_each(|task| ports[*task] = Port::new());
        }
        self.joints[domain].begin_anew();
        self.assemble(elements, &tasks)
    }

    /// Makes these tasks of the elements.
    pub(super) fn assemble(&self, elements: Vec<Option<Built>>, tasks: &[usize]) -> Result<Assembled> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut assembly = Assembly { plan: self, elements, ports, tasks, senders: HashMap::new() };
        let (crossings, entry) = assembly.connect();
        let tasks = tasks.iter().map(|task| assembly.task(*task)).collect::<Result<_>>()?;
        Ok(Assembled { tasks, crossings, entry })
    }

    /// True for a link out of a domain: whoever is at its end hears what the domain sends after a restart.
    fn leaves(&self, domain: usize, link: &Link) -> bool {
        self.domain_of[link.from.node] == Some(domain) && self.domain_of[link.to.node] != Some(domain)
    }

    /// True for a link into a domain: whoever sends on it has to say again what came before.
    fn enters_domain(&self, link: &Link) -> bool {
        let to = self.domain_of[link.to.node];
        to.is_some() && to != self.domain_of[link.from.node]
    }

    fn joint_of(&self, link: &Link) -> Option<Arc<Joint>> {
        let domain = self.domain_of[link.from.node]?;
        self.leaves(domain, link).then(|| self.joints[domain].clone())
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

/// Tasks under construction.
struct Assembly<'a> {
    plan: &'a Blueprint,
    elements: Vec<Option<Built>>,
    ports: Vec<Arc<Port>>,
    tasks: &'a [usize],
    /// Sending ends of the links between tasks, by link.
    senders: HashMap<usize, PortSender>,
}

impl Assembly<'_> {
    /// Makes the links between tasks, those of these tasks to others included. Gives those from others.
    fn connect(&mut self) -> (Vec<Crossing>, Option<PortSender>) {
        let plan = self.plan;
        let mut crossings = Vec::new();
        for (index, link) in plan.graph.links.iter().enumerate() {
            let ((from, at), (to, _)) = (plan.places[link.from.node], plan.places[link.to.node]);
            let (ours_from, ours_to) = (self.tasks.contains(&from), self.tasks.contains(&to));
            if from == to || !(ours_from || ours_to) {
                continue;
            }
            let outlived = plan.joint_of(link).is_some();
            let mut sender = match ours_to {
                true => self.ports[to].add_pad(self.limits(link.to.node), plan.links[index].stats.clone()),
                false => self.ports[to].sender_again(plan.sink_pad(index)),
            };
            sender.set_outlived(outlived);
            let roots = roots(&plan.graph, link.from.node);
            sender.set_upstream(plan.controls[from].clone(), at, plan.src_pad(index), roots);
            if ours_from {
                self.senders.insert(index, sender);
            } else {
                let to = plan.links[index].to.clone();
                crossings.push(Crossing { control: plan.controls[from].clone(), at, to, sender });
            }
        }
        let entry = plan.entry.filter(|node| self.tasks.contains(&plan.places[*node].0));
        let entry = entry.map(|node| self.ports[plan.places[node].0].add_pad(self.limits(node), Arc::default()));
        for task in self.tasks.iter().filter(|task| plan.domain_of_task(**task).is_some()) {
            self.ports[*task].outlive_consumer(plan.live[plan.specs[*task].head]);
        }
        (crossings, entry)
    }

    fn limits(&self, node: usize) -> QueueLimits {
        let mut limits = match element_of(&self.elements, node) {
            Some(Element::Queue(limits)) => *limits,
            _ => DEFAULT_LIMITS,
        };
        if self.plan.leaky[node] && limits.leaky == Leaky::No {
            limits.leaky = Leaky::ToKeyframe;
        }
        limits
    }

    fn task(&mut self, task: usize) -> Result<PlannedTask> {
        let plan = self.plan;
        let whereabouts = plan.whereabouts[task].clone();
        let mut chain = Chain::new(plan.bus.clone(), whereabouts.clone(), plan.failures.clone());
        let mut head = None;
        for &node in &plan.specs[task].members {
            let built = self.elements[node].take().ok_or_else(|| Error::bug("an element was used twice"))?;
            let (kind, transform, node_head) = self.kind_of(built.element, node, task);
            head = head.or(Some(node_head));
            if built.waker.is_used() {
                let (control, at) = (plan.controls[task].clone(), chain.nodes.len());
                built.waker.connect(move || control.wake(at));
            }
            chain.add(self.slot(node, kind, built.waker), transform);
        }
        let Some(head) = head else { return Err(Error::bug("a task without elements")) };
        let blocks = |n: &usize| plan.graph.nodes[*n].factory.blocking != Blocking::None;
        let blocks = plan.specs[task].members.iter().any(blocks);
        let place = match head {
            Head::Blocking => Place::Thread,
            Head::Port(_) if blocks => Place::Files,
            Head::Port(_) | Head::Source(_) | Head::Sink(..) => Place::Worker,
        };
        let is_source = matches!(head, Head::Blocking | Head::Source(_));
        let has_sink = chain.nodes.iter().any(|slot| slot.srcs.is_empty());
        let names = chain.nodes.iter().map(|s| s.name.clone()).collect();
        let control = plan.controls[task].clone();
        let (env, spinner) = (plan.env.clone(), Spinner::new(plan.spin));
        let driver = Driver { chain, head, control: control.clone(), env, quick: !blocks, spinner };
        Ok(PlannedTask { index: task, driver, control, whereabouts, names, place, is_source, has_sink })
    }

    fn kind_of(&self, element: Element, node: usize, task: usize) -> Taken {
        let port = &self.ports[task];
        let fed = || Head::Port(port.clone());
        match element {
            Element::Transform(t) => (Kind::Transform, Some(t), fed()),
            Element::Aggregate(a) => {
                let pads = self.plan.graph.links_into(node).count() + usize::from(self.plan.entry == Some(node));
                (Kind::Aggregate(Box::new(Group::new(a, pads))), None, fed())
            }
            Element::Queue(_) => (Kind::Queue, None, fed()),
            Element::BlockingSource(s) => (Kind::BlockingSource(s), None, Head::Blocking),
            Element::Source(s) => (Kind::Outside(Default::default()), None, Head::Source(s)),
            Element::Sink(s) => (Kind::Outside(Default::default()), None, Head::Sink(s, port.clone())),
        }
    }

    fn slot(&mut self, node: usize, kind: Kind, waker: WakeHandle) -> Slot {
        let plan = self.plan;
        let (task, _) = plan.places[node];
        let all = || plan.graph.links.iter().enumerate();
        let upstream = |(i, (index, link)): (usize, (usize, &Link))| match plan.places[link.from.node] {
            (from, at) if from == task => Upstream::Local(at, plan.src_pad(index)),
            _ => Upstream::Port(self.ports[task].clone(), PadId(i as u16)),
        };
        let mut sinks: Vec<_> = all().filter(|(_, l)| l.to.node == node).enumerate().map(upstream).collect();
        if plan.entry == Some(node) {
            sinks.push(Upstream::Nobody);
        }
        let srcs = all()
            .filter(|(_, l)| l.from.node == node)
            .map(|(index, link)| {
                let dest = match self.senders.remove(&index) {
                    Some(sender) => Dest::Port(sender),
                    None => Dest::Local(plan.places[link.to.node].1, plan.sink_pad(index)),
                };
                plan.src_link(link, dest, &plan.links[index])
            })
            .collect();
        Slot {
            name: plan.graph.nodes[node].name.clone(),
            kind,
            open_sinks: sinks.len(),
            sinks,
            srcs,
            drops: plan.drops[node].clone(),
            latency: plan.latencies[node].clone(),
            wake: None,
            seek: None,
            isolated: plan.isolated[node],
            survives_lost_inputs: plan.graph.nodes[node].factory.survives_lost_inputs,
            waker,
        }
    }
}

impl Blueprint {
    fn src_link(&self, link: &Link, dest: Dest, handle: &LinkHandle) -> SrcLink {
        let (from, to) = (&self.graph.nodes[link.from.node], &self.graph.nodes[link.to.node]);
        let accepts = to.factory.template(Direction::Sink, &link.to.pad).map_or(CapsSet::Any, |t| t.caps.clone());
        let presence = from.factory.template(Direction::Src, &link.from.pad).map_or(Presence::Always, |t| t.presence);
        let mut memory = Memory::default();
        memory.keep_headers(self.enters_domain(link));
        SrcLink {
            dest,
            stats: handle.stats.clone(),
            from: handle.from.clone(),
            to: handle.to.clone(),
            accept: link.filter.as_ref().map_or(accepts.clone(), |f| f.intersect(&accepts)),
            presence,
            memory,
            until_keyframe: false,
            resumes: false,
            joint: self.joint_of(link),
            converters: self.graph.converters.clone(),
            caps: handle.caps.clone(),
        }
    }

    /// How often elements were built anew, by the one that says `restart`.
    pub(crate) fn restarts(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        let counts = self.domains.iter().zip(&self.restarts);
        counts.map(|(domain, count)| (self.graph.nodes[domain.root].name.clone(), count.load(Ordering::Relaxed)))
    }
}

fn link_handle(graph: &Graph, link: &Link) -> LinkHandle {
    let name = |node: usize, pad: &str| format!("{}.{pad}", graph.nodes[node].name);
    LinkHandle {
        stats: Arc::default(),
        caps: Arc::default(),
        from: name(link.from.node, &link.from.pad),
        to: name(link.to.node, &link.to.pad),
    }
}
