//! `msflvmux` and `mstsmux`: aggregators of GStreamer around our muxers.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_base as gst_base;
use gstreamer_base::subclass::prelude::*;

use crate::exported::Exported;
use crate::muxing::Muxing;
use crate::report;

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
                    self.0.values().set(&EXPORTED.properties, spec, value);
                }

                fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
                    self.0.values().get(&EXPORTED.properties, spec)
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
                    self.0.start(&EXPORTED, self.obj().upcast_ref())
                }

                fn stop(&self) -> std::result::Result<(), gst::ErrorMessage> {
                    self.0.stop();
                    Ok(())
                }

                fn aggregate(&self, timeout: bool) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
                    self.0.aggregate(&EXPORTED, self.obj().upcast_ref(), timeout)
                }

                fn next_time(&self) -> Option<gst::ClockTime> {
                    self.0.next_time(self.obj().upcast_ref())
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
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "msflvmux", gst::Rank::NONE, flv::Object::static_type())?;
    gst::Element::register(Some(plugin), "mstsmux", gst::Rank::NONE, ts::Object::static_type())
}
