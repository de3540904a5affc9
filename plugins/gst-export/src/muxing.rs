//! What our muxers are as aggregators of GStreamer: pads, events, time and flushes. Knows no type of GStreamer's of ours.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_base as gst_base;
use gstreamer_base::prelude::*;
use millstream_core::inbox::PadState;
use millstream_core::{Item, PadId, PadSet, Result, Tags, Time};

use crate::exported::Exported;
use crate::mux::{Made, Mux, Told, Wants};
use crate::properties::Values;
use crate::{LOG, media, report};

/// What both elements are.
#[derive(Default)]
pub(crate) struct Muxing {
    values: Values,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Made with the first input, when all pads are known.
    mux: Option<Mux>,
    /// Its sink pads.
    pads: Vec<gst_base::AggregatorPad>,
    /// What was told of pads, flushes or not.
    told: Vec<(gst_base::AggregatorPad, Told)>,
    /// What came beside buffers, and has not been given to it.
    waiting: Vec<(gst_base::AggregatorPad, Item)>,
    /// Running time of what waits for other pads in a live pipeline, or for which a block is kept back.
    next: Option<gst::ClockTime>,
}

impl Muxing {
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start(
        &self,
        exported: &Exported,
        element: &gst_base::Aggregator,
    ) -> std::result::Result<(), gst::ErrorMessage> {
        *self.state() = State::default();
        element.set_latency(kept_back(element), None);
        self.values.settings(&exported.factory).map(drop).map_err(|error| report::refusal(&error))
    }

    pub(crate) fn stop(&self) {
        *self.state() = State::default();
    }

    /// Formats and tags come in order with the buffers around them, the end of a flush at once.
    pub(crate) fn event(&self, pad: &gst_base::AggregatorPad, event: &gst::Event) {
        let mut state = self.state();
        match event.view() {
            gst::EventView::Caps(caps) => {
                let Some(caps) = media::caps_of(caps.caps()) else { return };
                state.tell(pad, |told| told.caps = Some(caps.clone()));
                state.waiting.push((pad.clone(), Item::Caps(caps)));
            }
            gst::EventView::Tag(tags) => {
                if let Some(language) = media::language_of(tags.tag()) {
                    state.tell(pad, |told| told.language = Some(language));
                }
                state.waiting.extend(texts(tags.tag()).map(|tags| (pad.clone(), Item::Tags(tags.into()))));
            }
            gst::EventView::FlushStop(_) => state.waiting.push((pad.clone(), Item::Flush(0))),
            _ => {}
        }
    }

    /// All pads have been flushed, as by a seek.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut state = self.state();
        state.next = None;
        if state.mux.as_ref().is_some_and(Mux::ends_with_flush) {
            state.mux = None;
        }
        let State { mux: Some(mux), pads, told, .. } = &mut *state else { return Ok(()) };
        mux.flush()?;
        for (index, pad) in (0..).zip(&*pads) {
            mux.announce(PadId(index), &told_of(told, pad));
        }
        Ok(())
    }

    /// Until when a live pipeline waits for pads without data; without a time it waits for as long as it takes.
    pub(crate) fn next_time(&self, element: &gst_base::Aggregator) -> Option<gst::ClockTime> {
        let pads = element.sink_pads().into_iter().filter_map(|pad| pad.downcast::<gst_base::AggregatorPad>().ok());
        let first = |pad: gst_base::AggregatorPad| media::running_of(&*pad.peek_buffer()?, &pad.segment());
        let waiting = pads.filter_map(first).min().and_then(media::clock_time);
        self.state().next.into_iter().chain(waiting).min()
    }

    /// Muxes what is there.
    pub(crate) fn aggregate(
        &self,
        exported: &Exported,
        element: &gst_base::Aggregator,
        timeout: bool,
    ) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
        let live = Live::now(element);
        let over = live.as_ref().filter(|_| timeout).map(|live| live.over);
        loop {
            // What downstream does, it may do for long, and it may ask for a flush.
            let made = self.state().advance(&self.values, exported, element, over);
            let (made, turn) = made.map_err(|error| {
                report::error(element, &error);
                gst::FlowError::Error
            })?;
            for made in made {
                hand_out(element, made)?;
            }
            match turn {
                Turn::Again => {}
                Turn::Wait => {
                    self.state().wait(live.as_ref());
                    return Ok(gst::FlowSuccess::Ok);
                }
                Turn::Ended => return Err(gst::FlowError::Eos),
            }
        }
    }

    /// The pad that somebody asked for. One with a fixed name that is taken becomes the next of those with a number.
    pub(crate) fn new_pad(
        &self,
        element: &gst_base::Aggregator,
        template: &gst::PadTemplate,
        name: Option<&str>,
    ) -> Option<gst_base::AggregatorPad> {
        if self.state().mux.is_some() {
            gst::warning!(LOG, obj = element, "no pads are added to a stream that has begun");
            return None;
        }
        let free = |name: &str| element.static_pad(name).is_none();
        let pattern = template.name_template();
        let (template, name) = match pattern.strip_suffix("%u") {
            None if free(pattern) => (template.clone(), pattern.to_owned()),
            None => {
                let further = element.pad_template(&format!("{pattern}_%u"))?;
                (further, (1..).map(|number| format!("{pattern}_{number}")).find(|name| free(name))?)
            }
            Some(head) => {
                let asked = name.filter(|name| name.strip_prefix(head).is_some_and(|n| n.parse::<u16>().is_ok()));
                // Where there is one without a number, that is the first.
                let first = u16::from(element.pad_template(head.trim_end_matches('_')).is_some());
                let next = || (first..).map(|number| format!("{head}{number}")).find(|name| free(name));
                (template.clone(), asked.map(str::to_owned).or_else(next).filter(|name| free(name))?)
            }
        };
        Some(gst::PadBuilder::<gst_base::AggregatorPad>::from_template(&template).name(name).build())
    }
}

/// What comes after a turn.
enum Turn {
    Again,
    Wait,
    Ended,
}

/// Times of a live pipeline.
struct Live {
    /// Running time.
    now: gst::ClockTime,
    /// How much later anything goes out.
    latency: gst::ClockTime,
    /// What is of this running time should have come.
    over: Time,
}

impl Live {
    /// `None` where nothing is live.
    fn now(element: &gst_base::Aggregator) -> Option<Self> {
        let (latency, now) = (element.latency()?, element.current_running_time()?);
        let nanos = |time: gst::ClockTime| i64::try_from(time.nseconds()).ok();
        // At the start nothing is over.
        let over = Time::from_nanos(nanos(now)?.saturating_sub(nanos(latency)?));
        Some(Self { now, latency, over })
    }
}

impl State {
    /// Notes what is told of a pad.
    fn tell(&mut self, pad: &gst_base::AggregatorPad, note: impl FnOnce(&mut Told)) {
        match self.told.iter_mut().find(|(known, _)| known == pad) {
            Some((_, told)) => note(told),
            None => {
                let mut told = Told::default();
                note(&mut told);
                self.told.push((pad.clone(), told));
            }
        }
    }

    /// Makes the muxer if there is none, and gives it what has come beside buffers.
    fn ready(&mut self, values: &Values, exported: &Exported, element: &gst_base::Aggregator) -> Result<()> {
        let Self { mux, pads, told, waiting, .. } = self;
        let mux = match mux {
            Some(mux) => mux,
            none => {
                *pads = element.sink_pads().into_iter().filter_map(|pad| pad.downcast().ok()).collect();
                // It is told what is known by now.
                waiting.retain(|(_, item)| matches!(item, Item::Tags(_)));
                let mux = none.insert(begin(values, exported, element, pads)?);
                (0..).zip(&*pads).for_each(|(index, pad)| mux.announce(PadId(index), &told_of(told, pad)));
                mux
            }
        };
        for (from, item) in waiting.drain(..) {
            let Some(index) = pads.iter().position(|pad| *pad == from) else { continue };
            let (id, flushed) = (PadId(index as u16), matches!(item, Item::Flush(_)));
            mux.put(id, item);
            if flushed {
                mux.announce(id, &told_of(told, &from));
            }
        }
        Ok(())
    }

    /// Lets the muxer work; it goes on without what has not come where something waits since `over`.
    fn advance(
        &mut self,
        values: &Values,
        exported: &Exported,
        element: &gst_base::Aggregator,
        over: Option<Time>,
    ) -> Result<(Vec<Made>, Turn)> {
        self.ready(values, exported, element)?;
        let Self { mux: Some(mux), pads, .. } = self else { return Ok((Vec::new(), Turn::Wait)) };
        let (made, wants) = mux.step()?;
        let goes_on =
            |mux: &mut Mux, wanted| feed(mux, pads, wanted) || over.is_some_and(|over| mux.pass(wanted, over));
        let turn = match wants {
            Wants::Turn => Turn::Again,
            Wants::Nothing => Turn::Ended,
            Wants::Pads(wanted) if goes_on(mux, wanted) => Turn::Again,
            Wants::Pads(_) => Turn::Wait,
        };
        Ok((made, turn))
    }

    /// Notes when the muxer has to be called although nothing comes.
    fn wait(&mut self, live: Option<&Live>) {
        self.next = live.zip(self.mux.as_ref()).and_then(|(live, mux)| {
            let head = mux.head().and_then(media::clock_time);
            let due = mux.due().and_then(|due| u64::try_from(due.nanos()).ok()).map(gst::ClockTime::from_nseconds);
            // The latency is added again to what is said.
            let due = due.map(|due| live.now.saturating_add(due).saturating_sub(live.latency));
            head.into_iter().chain(due).min()
        });
    }
}

/// How long the element itself keeps anything back: what is set as latency, where it makes blocks as large as it likes.
fn kept_back(element: &gst_base::Aggregator) -> gst::ClockTime {
    let in_blocks = element.find_property("alignment").is_some_and(|_| element.property::<i32>("alignment") < 0);
    let known = element.find_property("ms-latency").filter(|_| in_blocks);
    gst::ClockTime::from_nseconds(known.map_or(0, |_| element.property("ms-latency")))
}

fn told_of(told: &[(gst_base::AggregatorPad, Told)], pad: &gst_base::AggregatorPad) -> Told {
    told.iter().find(|(known, _)| known == pad).map(|(_, told)| told.clone()).unwrap_or_default()
}

fn begin(
    values: &Values,
    exported: &Exported,
    element: &gst_base::Aggregator,
    pads: &[gst_base::AggregatorPad],
) -> Result<Mux> {
    // A sink that can write at any offset can have its head put right at the end.
    let mut seeking = gst::query::Seeking::new(gst::Format::Bytes);
    let random_write = element.src_pad().peer_query(&mut seeking) && seeking.result().0;
    let settings = values.settings(&exported.factory)?;
    let names: Vec<String> = pads.iter().map(|pad| pad.name().to_string()).collect();
    let env = crate::runtime()?.env();
    gst::debug!(LOG, obj = element, "begins with pads {names:?}, downstream can be rewritten: {random_write}");
    Mux::new(&exported.factory, settings, &element.name(), &names, random_write, env)
}

/// Gives the muxer what is there of what it wants; `false` if that is nothing.
fn feed(mux: &mut Mux, pads: &[gst_base::AggregatorPad], wanted: PadSet) -> bool {
    let mut fed = false;
    for (index, pad) in (0_u16..).zip(pads).filter(|(index, _)| wanted.contains(PadId(*index))) {
        let id = PadId(index);
        let segment = pad.segment();
        if let Some(buffer) = pad.pop_buffer() {
            if let Some(item) = media::item_of(buffer, &segment) {
                mux.put(id, item);
            }
            fed = true;
        } else if pad.is_eos() && mux.state(id) == PadState::Open {
            mux.put(id, Item::Eos);
            fed = true;
        }
    }
    fed
}

fn hand_out(element: &gst_base::Aggregator, made: Made) -> std::result::Result<(), gst::FlowError> {
    match made {
        Made::Caps(caps) => element.set_src_caps(&caps),
        Made::Segment(segment) => {
            if let Some(time) = segment.downcast_ref::<gst::ClockTime>() {
                element.update_segment(time);
            } else if let Some(bytes) = segment.downcast_ref::<gst::format::Bytes>() {
                element.update_segment(bytes);
            }
        }
        Made::Buffer(buffer) => {
            element.finish_buffer(buffer)?;
        }
        Made::Message(message) => report::message(element, &message),
    }
    Ok(())
}

/// The tags that are text.
fn texts(tags: &gst::TagListRef) -> Option<Tags> {
    let texts = tags.iter().filter_map(|(name, value)| Some((name.to_string(), value.get::<String>().ok()?)));
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then_some(Tags(texts))
}
