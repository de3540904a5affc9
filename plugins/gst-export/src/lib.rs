//! Elements of millstream as elements of GStreamer: `msflvmux`, `mstsmux` and `msrtmpsink`.
//!
//! | module | what |
//! | --- | --- |
//! | `exported` | what GStreamer is told of an element, from its factory |
//! | `properties` | settings of our elements as GObject properties, made from their schema |
//! | `choices` | enumerations that are known only at run time, as types of GObject |
//! | `media` | caps, buffers and times of both sides |
//! | `mux` | one of our muxers, fed and emptied by an aggregator of GStreamer |
//! | `muxing` | what a muxer of ours is as an aggregator: pads, events, time, flushes |
//! | `muxers` | `msflvmux` and `mstsmux` |
//! | `publish` | a pipeline of ours that publishes, fed by a streaming thread of GStreamer |
//! | `sink` | `msrtmpsink` |
//! | `report` | our errors and messages on GStreamer's bus |

mod choices;
mod exported;
mod media;
mod mux;
mod muxers;
mod muxing;
mod properties;
mod publish;
mod report;
mod sink;

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;
use millstream_core::TimeDelta;
use millstream_runtime::{Runtime, TeardownLimits};

/// What is said in GStreamer's log is said under this name.
static LOG: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("millstream", gst::DebugColorFlags::empty(), Some("millstream")));

/// How long a state change waits for a server to take what it was sent, and then for an element that hangs.
const LIMITS: TeardownLimits = TeardownLimits {
    drain: TimeDelta::from_secs(5),
    cancel: TimeDelta::from_secs(2),
    stall: millstream_runtime::STALL_LIMIT,
};

/// Clock and threads of all elements of the process. Made by the first that runs, so that state changes start no threads.
fn runtime() -> millstream_core::Result<&'static Runtime> {
    static RUNTIME: LazyLock<std::io::Result<Runtime>> =
        LazyLock::new(|| Runtime::new().map(|runtime| runtime.with_teardown_limits(LIMITS)));
    RUNTIME.as_ref().map_err(|error| {
        let error = std::io::Error::new(error.kind(), error.to_string());
        millstream_core::Error::io("cannot start the threads of millstream", error)
    })
}

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    muxers::register(plugin)?;
    sink::register(plugin)
}

/// Makes the elements known to a program that has this plugin built in.
///
/// # Errors
/// When GStreamer refuses.
pub fn register() -> Result<(), glib::BoolError> {
    entry::plugin_desc::plugin_register_static()
}

/// What GStreamer looks for in the library.
#[allow(missing_docs, unsafe_code, reason = "made by a macro of gstreamer-rs")]
mod entry {
    use super::{gst, plugin_init};

    gst::plugin_define!(
        millstream,
        "FLV, MPEG-TS and RTMP by millstream",
        plugin_init,
        env!("CARGO_PKG_VERSION"),
        "MIT/X11",
        "millstream",
        "millstream",
        env!("CARGO_PKG_REPOSITORY")
    );
}
