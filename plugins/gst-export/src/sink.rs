//! `msrtmpsink`: publishes FLV to an RTMP server.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_base as gst_base;
use gstreamer_base::prelude::*;
use gstreamer_base::subclass::prelude::*;
use millstream_core::{Buffer, Error, Item, Request};
use millstream_rtmp::RtmpUrl;
use tokio::sync::watch;

use crate::exported::Exported;
use crate::properties::Values;
use crate::publish::{Outcome, Publishing};
use crate::{LOG, media, report};

/// The property that has the stream key in it.
const LOCATION: &str = "location";

static EXPORTED: LazyLock<Exported> = LazyLock::new(|| {
    let (parent, pad) = (gst_base::BaseSink::static_type(), gst::Pad::static_type());
    Exported::new(millstream_rtmp::register, "rtmpsink", "MsRtmpSink", parent, pad)
});

/// See the module.
pub(crate) struct RtmpSink {
    values: Values,
    publishing: Mutex<Option<Publishing>>,
    /// Whether the streaming thread is to come back.
    unlocked: watch::Sender<bool>,
}

impl Default for RtmpSink {
    fn default() -> Self {
        Self { values: Values::default(), publishing: Mutex::default(), unlocked: watch::Sender::new(false) }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for RtmpSink {
    const NAME: &'static str = "MsRtmpSink";
    type Type = Object;
    type ParentType = gst_base::BaseSink;
}

glib::wrapper! {
    pub(crate) struct Object(ObjectSubclass<RtmpSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

impl ObjectImpl for RtmpSink {
    fn properties() -> &'static [glib::ParamSpec] {
        EXPORTED.properties.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        self.values.set(&EXPORTED.properties, spec, value);
    }

    /// What is read is written down, in drawings of pipelines for example: a location without its stream, user and password.
    fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
        let value = self.values.get(&EXPORTED.properties, spec);
        match value.get::<Option<String>>() {
            Ok(Some(location)) if spec.name() == LOCATION => {
                RtmpUrl::parse(&location).map_or_else(|error| error.to_string(), |url| url.to_string()).to_value()
            }
            _ => value,
        }
    }
}

impl GstObjectImpl for RtmpSink {}

impl ElementImpl for RtmpSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        EXPORTED.metadata()
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        EXPORTED.templates()
    }
}

impl BaseSinkImpl for RtmpSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.send_replace(false);
        self.values.settings(&EXPORTED.factory).map(drop).map_err(|error| report::refusal(&error))
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let publishing = self.publishing().take();
        if let Some(publishing) = publishing {
            publishing.stop();
        }
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(bytes) = media::bytes_of(buffer.clone()) else {
            return Err(self.failed(&Error::malformed("a buffer whose bytes cannot be read")));
        };
        let item = Item::buffer(Buffer::new(bytes));
        loop {
            match self.send(item.clone()).map_err(|error| self.failed(&error))? {
                Outcome::Done => return Ok(gst::FlowSuccess::Ok),
                Outcome::Asked(request) => self.ask(&request),
                Outcome::Interrupted => drop(self.obj().wait_preroll()?),
                Outcome::Ended(Ok(())) => return Err(gst::FlowError::Eos),
                Outcome::Ended(Err(error)) => return Err(self.failed(&error)),
            }
        }
    }

    fn event(&self, event: gst::Event) -> bool {
        // The end is told when the server has everything: who hears of it stops the pipeline.
        if let gst::EventView::Eos(_) = event.view()
            && let Err(error) = self.finish()
        {
            let _ = self.failed(&error);
            return false;
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.send_replace(true);
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.send_replace(false);
        Ok(())
    }
}

impl RtmpSink {
    fn publishing(&self) -> MutexGuard<'_, Option<Publishing>> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &Error) -> gst::FlowError {
        report::error(&*self.obj(), error);
        gst::FlowError::Error
    }

    fn send(&self, item: Item) -> Result<Outcome, Error> {
        let mut slot = self.publishing();
        let publishing = match &mut *slot {
            Some(publishing) => publishing,
            none => none.insert(self.begin()?),
        };
        let outcome = publishing.send(item, &mut self.unlocked.subscribe());
        self.tell(publishing);
        outcome
    }

    /// The first buffer has come: from now on the answer to whether the stream is live is known.
    fn begin(&self) -> Result<Publishing, Error> {
        let mut latency = gst::query::Latency::new();
        let live = self.obj().sink_pad().peer_query(&mut latency) && latency.result().0;
        gst::debug!(LOG, imp = self, "begins to publish, live: {live}");
        Publishing::start(&self.values.texts(), live)
    }

    fn finish(&self) -> Result<(), Error> {
        let mut slot = self.publishing();
        let Some(publishing) = &mut *slot else { return Ok(()) };
        let outcome = publishing.finish(&mut self.unlocked.subscribe());
        self.tell(publishing);
        match outcome? {
            Outcome::Ended(ended) => {
                *slot = None;
                ended
            }
            // The element is being stopped, which ends the stream too.
            _ => Ok(()),
        }
    }

    fn tell(&self, publishing: &mut Publishing) {
        publishing.messages().iter().for_each(|said| report::message(&*self.obj(), said));
    }

    fn ask(&self, request: &Request) {
        if let Request::KeyFrame = request {
            // As `gst_video_event_new_upstream_force_key_unit` makes it.
            let wish = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
            self.obj().sink_pad().push_event(gst::event::CustomUpstream::new(wish));
        }
    }
}

/// Adds it to the plugin.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "msrtmpsink", gst::Rank::NONE, Object::static_type())
}
