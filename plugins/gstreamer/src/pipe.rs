//! A pipeline of GStreamer's with an `appsrc` for each of our sink pads and an `appsink` for each source pad.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_plugin_sdk::LinkedPad;
use millstream_plugin_sdk::prelude::*;

use crate::endpoints::{Endpoints, Origin, suits};
use crate::input::{Gate, Input};
use crate::output::OutputPad;
use crate::signal::Signal;
use crate::{bus, clock, log, losses};

/// See the module.
pub(crate) struct Pipe {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<OutputPad>,
    later: Later,
    gate: Arc<Gate>,
    stopped: Arc<AtomicBool>,
    _log: log::Registration,
}

/// Pads that wait for one that is not there yet.
type Later = Arc<Mutex<Vec<Waiting>>>;

/// One of them.
pub(crate) struct Waiting {
    /// Name of the pad that is waited for, or of the output that it becomes.
    pub(crate) name: String,
    /// The element that will have it; any where it is not known.
    pub(crate) of: Option<gst::Element>,
    /// What it is linked with.
    pub(crate) to: gst::Pad,
}

impl Pipe {
    /// Links the pads of an element with the free pads of a bin. Within it some pads may be waited for already.
    pub(crate) fn new(bin: &gst::Bin, inside: Vec<Waiting>, cx: &BuildCx, signal: &Arc<Signal>) -> Result<Self> {
        let pipeline = gst::Pipeline::with_name(&log::unique(&cx.name));
        add(&pipeline, bin)?;
        let ends = Endpoints::of(bin);
        let gate = Arc::<Gate>::default();
        let input = |pad| input(bin, &ends, pad, || Input::new(pad.id, cx.live, &gate, signal));
        let inputs = cx.sinks.iter().map(input).collect::<Result<Vec<_>>>()?;
        inputs.iter().for_each(|input| input.listen(signal));
        let later = Later::new(Mutex::new(inside));
        let mut outputs = Vec::new();
        for pad in &cx.srcs {
            let made = OutputPad::new(pad, cx.sinks.is_empty(), signal);
            connect(bin, &ends, pad, &made, &later)?;
            outputs.push(made);
        }
        ends.growing().for_each(|element| grow(bin, element, &later, signal));
        pipeline.use_clock(Some(&clock::clock(&cx.host)));
        pipeline.set_start_time(gst::ClockTime::NONE);
        let base = u64::try_from(cx.host.base_time().nanos()).unwrap_or_default();
        pipeline.set_base_time(gst::ClockTime::from_nseconds(base));
        bus::listen(&pipeline, signal);
        losses::watch(bin, signal);
        let _log = log::Registration::new(&pipeline, &cx.host);
        Ok(Self { pipeline, inputs, outputs, later, gate, stopped: Arc::default(), _log })
    }

    /// Lets it run, on a thread of GStreamer's: on the way it may wait for a device or a server, or for room in an `appsink`.
    pub(crate) fn start(&self, signal: &Arc<Signal>) {
        let (signal, gate, stopped) = (signal.clone(), self.gate.clone(), self.stopped.clone());
        self.pipeline.call_async(move |pipeline| {
            if stopped.load(Ordering::Acquire) {
                return;
            }
            let started = pipeline.set_state(gst::State::Playing);
            if stopped.load(Ordering::Acquire) {
                // The end overtook the start.
                let _ = pipeline.set_state(gst::State::Null);
            } else if started.is_err() {
                // What an element has said before counts.
                signal.fail(Error::unsupported("the pipeline of GStreamer does not start, and does not say why"));
            } else if let Err(error) = gate.open() {
                signal.fail(error);
            }
        });
    }

    /// How much later than its input the output of a live pipeline comes. An `appsink`, which does not wait for the clock, says nothing of
    /// it: what is before it does.
    pub(crate) fn latency(&self) -> Option<gst::ClockTime> {
        let of = |output: &OutputPad| {
            let mut query = gst::query::Latency::new();
            let told = output.sink.static_pad("sink").is_some_and(|pad| pad.peer_query(&mut query));
            let (live, min, _) = query.result();
            (told && live).then_some(min)
        };
        self.outputs.iter().filter_map(of).max()
    }

    /// No stream will appear any more: the outputs that still wait have none.
    pub(crate) fn give_up_late(&mut self, out: &mut Output) {
        for waiting in lock(&self.later).drain(..) {
            let given_up = |output: &&mut OutputPad| output.sink.static_pad("sink").as_ref() == Some(&waiting.to);
            self.outputs.iter_mut().filter(given_up).for_each(|output| output.give_up(out));
        }
    }

    /// Ends it, whatever its threads are doing.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // No thread waits in an `appsink` any more; a change of state may wait for such a thread.
        self.outputs.iter().for_each(|output| output.sink.set_property("drop", true));
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stop();
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

fn add(bin: &impl IsA<gst::Bin>, element: &impl IsA<gst::Element>) -> Result<()> {
    bin.add(element).map_err(|_| Error::settings("two elements of the pipeline have one name").on_property("pipeline"))
}

fn input(bin: &gst::Bin, ends: &Endpoints, pad: &LinkedPad, new: impl FnOnce() -> Input) -> Result<Input> {
    let to = ends.sink(&pad.name)?;
    let input = new();
    add(bin, &input.src)?;
    let from = input.src.static_pad("src");
    let linked = from.is_some_and(|from| from.link(&to).is_ok());
    if linked { Ok(input) } else { Err(unlinkable(&pad.name, &to)) }
}

fn connect(bin: &gst::Bin, ends: &Endpoints, pad: &LinkedPad, output: &OutputPad, later: &Later) -> Result<()> {
    let origin = ends.src(&pad.name)?;
    add(bin, &output.sink)?;
    match origin {
        Origin::Pad(from) => {
            let linked = output.sink.static_pad("sink").is_some_and(|to| from.link(&to).is_ok());
            if !linked {
                return Err(unlinkable(&pad.name, &from).hint(format!("it has to give {}", pad.allowed)));
            }
        }
        Origin::Later(of, name) => {
            let to = output.sink.static_pad("sink").ok_or_else(|| Error::bug("an appsink without a pad"))?;
            lock(later).push(Waiting { name, of, to });
        }
    }
    Ok(())
}

fn unlinkable(name: &str, pad: &gst::Pad) -> Error {
    let element = pad.parent_element().map(|element| element.name().to_string()).unwrap_or_default();
    let message = format!("the link of `{name}` does not fit the pad `{element}.{}` of the pipeline", pad.name());
    Error::settings(message).on_property("pipeline")
}

/// Links pads that appear with the outputs that wait for them; nobody looks at the others.
fn grow(bin: &gst::Bin, element: &gst::Element, later: &Later, signal: &Arc<Signal>) {
    let (within, waiting) = (bin.downgrade(), later.clone());
    element.connect_pad_added(move |_, pad| {
        if pad.direction() == gst::PadDirection::Src
            && !pad.is_linked()
            && let Some(bin) = within.upgrade()
        {
            appeared(&bin, pad, &waiting);
        }
    });
    let signal = signal.clone();
    element.connect_no_more_pads(move |_| signal.tell(|news| news.no_more_pads = true));
}

fn appeared(bin: &gst::Bin, pad: &gst::Pad, waiting: &Later) {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let media = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
    let mut all = lock(waiting);
    let owner = pad.parent_element();
    let own = |waiting: &Waiting| waiting.of.is_none() || waiting.of == owner;
    // One that waits for just this pad comes before one that takes any of its kind.
    let exact =
        all.iter().position(|waiting| own(waiting) && waiting.name == pad.name() && pad.link(&waiting.to).is_ok());
    let fits = |waiting: &Waiting| own(waiting) && suits(&waiting.name, &media) && pad.link(&waiting.to).is_ok();
    if let Some(at) = exact.or_else(|| all.iter().position(fits)) {
        all.remove(at);
        return;
    }
    drop(all);
    let Ok(sink) = gst::ElementFactory::make("fakesink").property("async", false).property("sync", false).build()
    else {
        return;
    };
    if bin.add(&sink).is_ok()
        && let Some(to) = sink.static_pad("sink")
    {
        let _ = sink.sync_state_with_parent();
        let _ = pad.link(&to);
    }
}

fn lock(later: &Later) -> MutexGuard<'_, Vec<Waiting>> {
    later.lock().unwrap_or_else(PoisonError::into_inner)
}
