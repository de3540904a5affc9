//! GStreamer in millstream: element `gst` runs any pipeline that `gst-launch-1.0` would, and each installed element is `gst/NAME`.
//!
//! | module | what |
//! | --- | --- |
//! | [`settings`](GstSettings) | element `gst` |
//! | `installed`, `properties`, `joined` | elements `gst/NAME`, and neighbours of them in one bin |
//! | `element` | a pipeline as an aggregate or a source |
//! | `pipe`, `endpoints` | the pipeline, and which of its pads our linked pads are |
//! | `input`, `output` | `appsrc` and `appsink` |
//! | `buffer`, `caps`, `timeline` | media, caps and times across the border |
//! | `transit`, `losses` | how late a slow encoder is, and what elements leave out |
//! | `bus`, `errors`, `debian`, `log` | what GStreamer says |
//! | `clock`, `encoder`, `signal` | our clock in GStreamer, requests to encoders, threads of GStreamer that wake the element |
//!
//! Threads of GStreamer wait in `appsrc` and `appsink`, never on a worker of the host: the element takes what waits when it is called, and is
//! called when something waits. It puts into an `appsrc` what there is room for, and names no pads that are full, so that the host holds them back.

pub mod buffer;
mod bus;
mod caps;
mod clock;
mod debian;
mod element;
mod encoder;
mod endpoints;
mod errors;
mod input;
mod installed;
mod joined;
mod launch;
mod log;
mod losses;
mod output;
mod pipe;
mod properties;
mod signal;
mod timeline;
mod transit;

pub use launch::GstSettings;

use millstream_plugin_sdk::prelude::*;

fn plugin() -> Plugin {
    Plugin::new(vec![launch::factory(), joined::factory()]).dynamic(installed::dynamic())
}

millstream_plugin_sdk::export!("gstreamer", plugin);
