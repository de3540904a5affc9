//! Transforms and aggregates: they are called on the task of the chain that they are in.

use millstream_core::{
    Aggregate, Error, Flow, Inbox, Item, Need, Output, PadId, PadSet, Request, Result, Time, Transform,
};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::element::need;
use millstream_plugin_abi::status;

use crate::inbox::Inlet;
use crate::instance::Instance;

/// A transform of a plugin.
pub(crate) struct PluginTransform(pub(crate) Instance);

impl Transform for PluginTransform {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        self.0.start(out)
    }

    #[inline]
    fn handle(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        self.0.item(pad, item, out).map(flow)
    }

    fn resume(&mut self, out: &mut Output) -> Result<Flow> {
        self.0.call_if(self.0.calls().resume, out).map(flow)
    }

    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        self.0.request(pad, request, out)
    }

    fn wake(&mut self, now: Time, out: &mut Output) -> Result<()> {
        self.0.wake(now.nanos(), out)
    }
}

fn flow(status: i32) -> Flow {
    if status == status::MORE { Flow::More } else { Flow::Done }
}

/// An aggregate of a plugin.
pub(crate) struct PluginAggregate {
    instance: Instance,
    inlet: Box<Inlet>,
    pads: PadSet,
}

impl PluginAggregate {
    pub(crate) fn new(instance: Instance, pads: usize) -> Self {
        let all = (0..pads as u16).map(PadId).collect();
        Self { instance, inlet: Inlet::new(pads as u32), pads: all }
    }

    /// Pads that can still give something, of those that the plugin asks for.
    fn pads(&self, wanted: u64, inbox: &Inbox) -> Result<PadSet> {
        let asked: PadSet = (0..PadSet::MAX_PADS as u16).filter(|pad| wanted >> pad & 1 == 1).map(PadId).collect();
        if asked.iter().any(|pad| !self.pads.contains(pad)) {
            return Err(Error::bug("the plugin needs a sink pad that it does not have"));
        }
        Ok(asked.iter().filter(|pad| !inbox.is_over(*pad)).collect())
    }

    fn need(&self, need: &abi::Need, inbox: &Inbox) -> Result<Need> {
        let pads = self.pads(need.pads, inbox)?;
        Ok(match need.kind {
            need::PADS if pads.is_empty() && inbox.is_done() => {
                return Err(Error::bug("the plugin waits for inputs that are over"));
            }
            need::PADS => Need::Pads(pads),
            need::UNTIL => Need::PadsUntil(pads, Time::from_nanos(need.until)),
            need::AGAIN => Need::Again,
            need::DONE => Need::Done,
            need::WAKE => Need::Wake(pads),
            other => return Err(Error::bug(format!("the plugin has a need of kind {other}, which does not exist"))),
        })
    }
}

impl Aggregate for PluginAggregate {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        self.instance.start(out)
    }

    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        let mut wanted = abi::Need { size: size_of::<abi::Need>() as u32, kind: need::PADS, pads: 0, until: 0 };
        let step = self.instance.calls().step;
        let (instance, inlet) = (&mut self.instance, &mut self.inlet);
        inlet.during(inbox, |inlet| {
            instance.call(out, |element, out| match step {
                // SAFETY: a function of the element, called as the ABI says.
                Some(step) => unsafe { step(element, inlet, &raw mut wanted, out) },
                None => status::ERROR,
            })
        })?;
        self.need(&wanted, inbox)
    }

    fn flush(&mut self, out: &mut Output) -> Result<()> {
        self.instance.call_if(self.instance.calls().flush, out).map(drop)
    }

    fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        self.instance.request(pad, request, out)
    }
}
