//! One element of a plugin: made, called, stopped within a time, freed.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use millstream_core::registry::LinkedPad;
use millstream_core::{BuildCx, Error, Item, Output, PadId, Request, Result};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{Str, has_field, status};

use crate::convert::{self, EventView};
use crate::library::Library;
use crate::output::Outlet;
use crate::services::{Services, Shared, outcome};

/// How long an element may take for `stop` and `destroy`. As long as the runtime gives a task that was cancelled.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// An element with all that it needs.
pub(crate) struct Instance {
    element: NonNull<abi::Element>,
    outlet: Box<Outlet>,
    /// `None` only while it is being dropped.
    rest: Option<Rest>,
    interrupt: Interrupt,
}

/// What lives until the element is freed.
struct Rest {
    services: Box<Services>,
    library: Arc<Library>,
}

// SAFETY: the functions of an element may be called on changing threads, one at a time: that is what the ABI demands of plugins.
unsafe impl Send for Instance {}

/// Makes whoever waits in a call of the element return soon, from any thread.
#[derive(Clone)]
pub(crate) struct Interrupt {
    shared: Arc<Shared>,
    target: Arc<Mutex<Option<Target>>>,
}

struct Target(NonNull<abi::Element>, unsafe extern "C" fn(*mut abi::Element));

// SAFETY: `interrupt` may be called on any thread, and the target is gone before the element is.
unsafe impl Send for Target {}

impl Interrupt {
    /// The element is to stop.
    pub(crate) fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
        self.interrupt();
    }

    /// What the element shares with its host.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the element was told to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Acquire)
    }

    /// The element is to return from its call, and goes on.
    /// The thread of the element did not end in time.
    pub(crate) fn left_behind(&self) {
        crate::library::leave_behind(&self.shared.name, self.shared.plugin, "a call");
    }

    pub(crate) fn interrupt(&self) {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Target(element, interrupt)) = &*target {
            // SAFETY: the element is there as long as the target is, whose lock we hold.
            unsafe { interrupt(element.as_ptr()) };
        }
    }
}

/// Linked pads as the ABI has them.
struct Pads {
    _caps: Vec<String>,
    _pads: Vec<abi::Pad>,
    pointers: Vec<*const abi::Pad>,
}

impl Pads {
    fn new(linked: &[LinkedPad]) -> Self {
        let caps: Vec<String> = linked.iter().map(|pad| pad.allowed.to_string()).collect();
        let pad = |(pad, caps): (&LinkedPad, &String)| abi::Pad {
            size: size_of::<abi::Pad>() as u32,
            flags: if pad.random_write { abi::plugin::RANDOM_WRITE } else { 0 },
            name: Str::new(&pad.name),
            caps: Str::new(caps),
        };
        let pads: Vec<abi::Pad> = linked.iter().zip(&caps).map(pad).collect();
        let pointers = pads.iter().map(std::ptr::from_ref).collect();
        Self { _caps: caps, _pads: pads, pointers }
    }
}

impl Instance {
    /// Makes the element of a name with settings as JSON.
    pub(crate) fn create(
        library: Arc<Library>,
        element: &str,
        settings: &str,
        cx: &BuildCx,
        shared: Arc<Shared>,
    ) -> Result<Self> {
        let services = Services::new(shared.clone());
        let (sinks, srcs) = (Pads::new(&cx.sinks), Pads::new(&cx.srcs));
        let create = abi::Create {
            size: size_of::<abi::Create>() as u32,
            live: cx.live.into(),
            element: Str::new(element),
            name: Str::new(&cx.name),
            settings: Str::new(settings),
            sinks: sinks.pointers.as_ptr(),
            sink_count: sinks.pointers.len() as u64,
            srcs: srcs.pointers.as_ptr(),
            src_count: srcs.pointers.len() as u64,
        };
        // SAFETY: all of it is valid during the call, and the services until the element is freed.
        let made = unsafe { library.create(services.as_abi(), &create) };
        let Some(made) = NonNull::new(made) else {
            let told = shared.attend(&mut Output::new(0, 0));
            return Err(told.unwrap_or_else(|| Error::bug("the plugin made no element and did not say why")));
        };
        // SAFETY: just made by the plugin.
        if let Some(what) = unsafe { faulty(made.as_ref()) } {
            // Nothing of it can be called, not even what frees it.
            return Err(Error::bug(format!("the plugin made an element {what}")));
        }
        let (sinks, srcs) = (cx.sinks.len() as u32, cx.srcs.len() as u32);
        // SAFETY: as above.
        let interrupt = unsafe { made.as_ref() }.interrupt.map(|interrupt| Target(made, interrupt));
        Ok(Self {
            element: made,
            outlet: Outlet::new(shared.clone(), sinks, srcs),
            rest: Some(Rest { services, library }),
            interrupt: Interrupt { shared, target: Arc::new(Mutex::new(interrupt)) },
        })
    }

    /// The functions of the element.
    #[inline]
    pub(crate) fn calls(&self) -> &abi::Element {
        // SAFETY: the element is there until it is dropped, and only its `data` is the plugin's to change.
        unsafe { self.element.as_ref() }
    }

    pub(crate) fn shape(&self) -> u32 {
        self.calls().shape
    }

    pub(crate) fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Runs a call of the plugin; gives its status if that is no failure.
    #[inline]
    pub(crate) fn call(
        &mut self,
        out: &mut Output,
        call: impl FnOnce(*mut abi::Element, *mut abi::Output) -> i32,
    ) -> Result<i32> {
        let element = self.element.as_ptr();
        let status = self.outlet.during(out, |outlet| call(element, outlet));
        if status >= 0 && !self.interrupt.shared.wants_attention() {
            return Ok(status);
        }
        self.settle(status, out)
    }

    #[cold]
    fn settle(&self, status: i32, out: &mut Output) -> Result<i32> {
        let told = self.interrupt.shared.attend(out);
        outcome(status, told)
    }

    /// Runs a call that the element may not have.
    pub(crate) fn call_if(
        &mut self,
        function: Option<unsafe extern "C" fn(*mut abi::Element, *mut abi::Output) -> i32>,
        out: &mut Output,
    ) -> Result<i32> {
        match function {
            // SAFETY: a function of the element, called as the ABI says.
            Some(function) => self.call(out, |element, out| unsafe { function(element, out) }),
            None => self.call(out, |_, _| status::OK),
        }
    }

    pub(crate) fn start(&mut self, out: &mut Output) -> Result<()> {
        self.call_if(self.calls().start, out).map(drop)
    }

    /// Gives an item of a sink pad to `buffer` or `event`.
    #[inline]
    pub(crate) fn item(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<i32> {
        match (item, self.calls().buffer) {
            (Item::Buffer(buffer), Some(function)) => {
                let buffer = crate::memory::give(buffer);
                // SAFETY: a function of the element, called as the ABI says; the buffer goes with its reference.
                self.call(out, |element, out| unsafe { function(element, pad.0.into(), buffer, out) })
            }
            (Item::Buffer(_), None) => Err(Error::bug("the plugin's element takes no buffers")),
            (item, _) => self.event(pad, item, out),
        }
    }

    #[cold]
    fn event(&mut self, pad: PadId, item: Item, out: &mut Output) -> Result<i32> {
        let Some(function) = self.calls().event else {
            out.forward(item);
            return Ok(status::OK);
        };
        let view = EventView::new(item);
        // SAFETY: a function of the element, called as the ABI says; the event is there during the call.
        self.call(out, |element, out| unsafe { function(element, pad.0.into(), &view.abi, out) })
    }

    pub(crate) fn request(&mut self, pad: PadId, request: Request, out: &mut Output) -> Result<()> {
        let Some(function) = self.calls().request else {
            out.request_all(request);
            return Ok(());
        };
        let view = convert::request_view(&request);
        // SAFETY: a function of the element, called as the ABI says; the request is there during the call.
        self.call(out, |element, out| unsafe { function(element, pad.0.into(), &view, out) }).map(drop)
    }

    pub(crate) fn wake(&mut self, now: i64, out: &mut Output) -> Result<()> {
        let function = self.calls().wake;
        // SAFETY: a function of the element, called as the ABI says.
        let wake = |element, out| function.map_or(status::OK, |wake| unsafe { wake(element, now, out) });
        self.call(out, wake).map(drop)
    }
}

/// What is wrong with an element that a plugin has made.
fn faulty(element: &abi::Element) -> Option<String> {
    use abi::element::shape;
    if !has_field!(element.size, abi::Element, get_extension) {
        return Some(format!(
            "of {} bytes, where ABI 1.0 has {}: one of the two is not true",
            element.size,
            size_of::<abi::Element>()
        ));
    }
    let needs = match element.shape {
        shape::TRANSFORM | shape::SINK => (element.buffer.is_none(), "buffer"),
        shape::AGGREGATE => (element.step.is_none(), "step"),
        shape::SOURCE => (element.produce.is_none(), "produce"),
        other => return Some(format!("of shape {other}, which does not exist")),
    };
    match needs {
        (true, name) => Some(format!("without the function `{name}` that its shape needs")),
        _ if element.destroy.is_none() => Some("without the function `destroy`".to_owned()),
        _ => None,
    }
}

/// What is left to do when an element is dropped, for a thread of its own.
struct Farewell {
    element: NonNull<abi::Element>,
    outlet: Box<Outlet>,
    rest: Rest,
}

// SAFETY: as for `Instance`, of which it is what is left.
unsafe impl Send for Farewell {}

impl Farewell {
    fn say(self) {
        // SAFETY: the element is there, and nobody else calls it any more.
        let (stop, destroy) = unsafe { (self.element.as_ref().stop, self.element.as_ref().destroy) };
        if let Some(stop) = stop {
            // SAFETY: a function of the element, called as the ABI says.
            unsafe { stop(self.element.as_ptr()) };
        }
        if let Some(destroy) = destroy {
            // SAFETY: as above; nothing is called afterwards.
            unsafe { destroy(self.element.as_ptr()) };
        }
        drop((self.outlet, self.rest));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        let shared = rest.services.shared().clone();
        let library = rest.library.clone();
        self.interrupt.cancel();
        *self.interrupt.target.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let outlet = std::mem::replace(&mut self.outlet, Outlet::new(shared.clone(), 0, 0));
        let farewell = Farewell { element: self.element, outlet, rest };
        if leave(farewell).is_err() {
            library.left_behind(&shared.name);
        }
    }
}

/// Stops and frees an element on a thread of its own, and waits for that as long as it may take.
fn leave(farewell: Farewell) -> Result<(), mpsc::RecvTimeoutError> {
    let (done, wait) = mpsc::channel();
    let say = move || {
        farewell.say();
        let _ = done.send(());
    };
    match std::thread::Builder::new().name("plugin-stop".into()).spawn(say) {
        Ok(_) => wait.recv_timeout(STOP_LIMIT),
        // Without threads there is nothing better to do than to leave it.
        Err(_) => Err(mpsc::RecvTimeoutError::Disconnected),
    }
}
