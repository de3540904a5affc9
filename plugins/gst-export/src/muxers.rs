//! `msflvmux` and `mstsmux`: aggregators of GStreamer around our muxers.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_base as gst_base;
use gstreamer_base::prelude::*;
use gstreamer_base::subclass::prelude::*;
use millstream_core::inbox::PadState;
use millstream_core::{Item, PadId, PadSet, Result, Tags};

use crate::exported::Exported;
use crate::mux::{Made, Mux, Wants};
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
    /// What came beside buffers, and has not been given to it.
    waiting: Vec<(gst_base::AggregatorPad, Item)>,
}

impl Muxing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, exported: &Exported) -> std::result::Result<(), gst::ErrorMessage> {
        *self.state() = State::default();
        self.values.settings(&exported.factory).map(drop).map_err(|error| report::refusal(&error))
    }

    fn stop(&self) {
        *self.state() = State::default();
    }

    /// Formats and tags come in order with the buffers around them.
    fn event(&self, pad: &gst_base::AggregatorPad, event: &gst::Event) {
        let item = match event.view() {
            gst::EventView::Caps(caps) => media::caps_of(caps.caps()).map(Item::Caps),
            gst::EventView::Tag(tags) => texts(tags.tag()).map(|tags| Item::Tags(tags.into())),
            _ => None,
        };
        self.state().waiting.extend(item.map(|item| (pad.clone(), item)));
    }

    fn flush(&self) -> Result<()> {
        let mut state = self.state();
        let pads = state.pads.len() as u16;
        state.waiting.clear();
        state.mux.as_mut().map_or(Ok(()), |mux| mux.flush(pads))
    }

    /// Muxes what is there.
    fn aggregate(
        &self,
        exported: &Exported,
        element: &gst_base::Aggregator,
    ) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
        loop {
            // What downstream does, it may do for long, and it may ask for a flush.
            let made = self.state().advance(&self.values, exported, element);
            let (made, turn) = made.map_err(|error| {
                report::error(element, &error);
                gst::FlowError::Error
            })?;
            for made in made {
                hand_out(element, made)?;
            }
            match turn {
                Turn::Again => {}
                Turn::Wait => return Ok(gst::FlowSuccess::Ok),
                Turn::Ended => return Err(gst::FlowError::Eos),
            }
        }
    }

    /// The pad that somebody asked for. One with a fixed name that is taken becomes the next of those with a number.
    fn new_pad(
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

impl State {
    fn advance(
        &mut self,
        values: &Values,
        exported: &Exported,
        element: &gst_base::Aggregator,
    ) -> Result<(Vec<Made>, Turn)> {
        let mux = match &mut self.mux {
            Some(mux) => mux,
            none => {
                let pads = element.sink_pads().into_iter().filter_map(|pad| pad.downcast().ok());
                self.pads = pads.collect::<Vec<gst_base::AggregatorPad>>();
                none.insert(begin(values, exported, element, &self.pads)?)
            }
        };
        for (from, item) in self.waiting.drain(..) {
            if let Some(index) = self.pads.iter().position(|pad| *pad == from) {
                mux.put(PadId(index as u16), item);
            }
        }
        let (made, wants) = mux.step()?;
        let turn = match wants {
            Wants::Turn => Turn::Again,
            Wants::Nothing => Turn::Ended,
            Wants::Pads(wanted) if feed(mux, &self.pads, wanted) => Turn::Again,
            Wants::Pads(_) => Turn::Wait,
        };
        Ok((made, turn))
    }
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

/// A type of GStreamer for one of our muxers.
macro_rules! muxer {
    ($module:ident, $type_name:literal, $element:literal, $register:path) => {
        mod $module {
            use super::*;

            pub(super) static EXPORTED: LazyLock<Exported> = LazyLock::new(|| {
                let (parent, pad) = (gst_base::Aggregator::static_type(), gst_base::AggregatorPad::static_type());
                Exported::new($register, $element, $type_name, parent, pad)
            });

            #[derive(Default)]
            pub(crate) struct Muxer(Muxing);

            #[glib::object_subclass]
            impl ObjectSubclass for Muxer {
                const NAME: &'static str = $type_name;
                type Type = Object;
                type ParentType = gst_base::Aggregator;
            }

            glib::wrapper! {
                pub(crate) struct Object(ObjectSubclass<Muxer>)
                    @extends gst_base::Aggregator, gst::Element, gst::Object;
            }

            impl ObjectImpl for Muxer {
                fn properties() -> &'static [glib::ParamSpec] {
                    EXPORTED.properties.specs()
                }

                fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
                    self.0.values.set(&EXPORTED.properties, spec, value);
                }

                fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
                    self.0.values.get(&EXPORTED.properties, spec)
                }
            }

            impl GstObjectImpl for Muxer {}

            impl ElementImpl for Muxer {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    EXPORTED.metadata()
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    EXPORTED.templates()
                }
            }

            impl AggregatorImpl for Muxer {
                fn start(&self) -> std::result::Result<(), gst::ErrorMessage> {
                    self.0.start(&EXPORTED)
                }

                fn stop(&self) -> std::result::Result<(), gst::ErrorMessage> {
                    self.0.stop();
                    Ok(())
                }

                fn aggregate(&self, _timeout: bool) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
                    self.0.aggregate(&EXPORTED, self.obj().upcast_ref())
                }

                fn sink_event(&self, pad: &gst_base::AggregatorPad, event: gst::Event) -> bool {
                    self.0.event(pad, &event);
                    self.parent_sink_event(pad, event)
                }

                fn flush(&self) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
                    self.0.flush().map_err(|error| {
                        report::error(&*self.obj(), &error);
                        gst::FlowError::Error
                    })?;
                    self.parent_flush()
                }

                fn create_new_pad(
                    &self,
                    template: &gst::PadTemplate,
                    name: Option<&str>,
                    _caps: Option<&gst::Caps>,
                ) -> Option<gst_base::AggregatorPad> {
                    self.0.new_pad(self.obj().upcast_ref(), template, name)
                }

                /// The muxer says its format itself.
                fn negotiate(&self) -> bool {
                    true
                }
            }
        }
    };
}

muxer!(flv, "MsFlvMux", "flvmux", millstream_flv::register);
muxer!(ts, "MsTsMux", "tsmux", millstream_ts::register);

/// Adds both to the plugin.
pub(crate) fn register(plugin: &gst::Plugin) -> std::result::Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "msflvmux", gst::Rank::NONE, flv::Object::static_type())?;
    gst::Element::register(Some(plugin), "mstsmux", gst::Rank::NONE, ts::Object::static_type())
}
