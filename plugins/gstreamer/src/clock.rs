//! The clock of the pipeline that an element is in, as GStreamer's.

use std::sync::OnceLock;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::subclass::prelude::*;
use millstream_plugin_sdk::prelude::Host;

/// See the module. It waits as the system's clock does, which runs at the same rate.
#[derive(Default)]
pub struct HostClock {
    host: OnceLock<Host>,
}

#[glib::object_subclass]
impl ObjectSubclass for HostClock {
    const NAME: &'static str = "MillstreamClock";
    // A newer build of the plugin may be loaded beside this one.
    const ALLOW_NAME_CONFLICT: bool = true;
    type Type = Wrapper;
    type ParentType = gst::SystemClock;
}

impl ObjectImpl for HostClock {}
impl GstObjectImpl for HostClock {}
impl SystemClockImpl for HostClock {}

impl ClockImpl for HostClock {
    fn internal_time(&self) -> gst::ClockTime {
        let now = self.host.get().map_or(0, |host| host.now().nanos());
        gst::ClockTime::from_nseconds(u64::try_from(now).unwrap_or_default())
    }
}

glib::wrapper! {
    /// The object of a [`HostClock`].
    pub struct Wrapper(ObjectSubclass<HostClock>) @extends gst::SystemClock, gst::Clock, gst::Object;
}

/// The clock of a host.
pub(crate) fn clock(host: &Host) -> gst::Clock {
    let clock: Wrapper = glib::Object::new();
    let _ = clock.imp().host.set(host.clone());
    glib::object::Cast::upcast(clock)
}
