//! GStreamer's log in the host's.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_plugin_sdk::host::level;
use millstream_plugin_sdk::prelude::Host;

use crate::errors::mask;

/// Who hears the log: a host, and the names of what is in its pipeline.
struct Listener {
    pipeline: String,
    host: Host,
    names: HashSet<String>,
}

static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

fn listeners() -> MutexGuard<'static, Vec<Listener>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name for a pipeline that no other one in the process has.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// As long as it is there, what elements of the pipeline log goes to the host.
pub(crate) struct Registration(String);

impl Registration {
    pub(crate) fn new(pipeline: &gst::Pipeline, host: &Host) -> Self {
        let name = pipeline.name().to_string();
        let inside = pipeline.iterate_recurse().into_iter().filter_map(Result::ok);
        let names = inside.map(|element| element.name().to_string()).chain([name.clone()]).collect();
        listeners().push(Listener { pipeline: name.clone(), host: host.clone(), names });
        Self(name)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        listeners().retain(|listener| listener.pipeline != self.0);
    }
}

/// Sends the log to the hosts. Where `GST_DEBUG` says nothing it begins with warnings.
pub(crate) fn install() {
    gst::log::remove_default_log_function();
    if std::env::var_os("GST_DEBUG").is_none() {
        gst::log::set_default_threshold(gst::DebugLevel::Warning);
    }
    gst::log::add_log_function(|category, level, _, _, _, object, message| {
        let text = message.get().map(|text| mask(&text)).unwrap_or_default();
        // What is logged may be about an object that is being freed: its name is all that can be had of it.
        let name = object.map(ToString::to_string).unwrap_or_default();
        let name = name.trim_matches(['<', '>']);
        if let Some(host) = host_of(name.split(':').next().unwrap_or_default()) {
            let separator = if name.is_empty() { "" } else { ": " };
            host.log(level_of(level), category.name(), &format!("{name}{separator}{text}"));
        }
    });
}

/// Whose pipeline has something of this name; anybody's where none has.
fn host_of(name: &str) -> Option<Host> {
    let listeners = listeners();
    let own = listeners.iter().rev().find(|listener| listener.names.contains(name));
    own.or_else(|| listeners.first()).map(|listener| listener.host.clone())
}

fn level_of(theirs: gst::DebugLevel) -> u32 {
    match theirs {
        gst::DebugLevel::Error => level::ERROR,
        gst::DebugLevel::Warning | gst::DebugLevel::Fixme => level::WARN,
        gst::DebugLevel::Info => level::INFO,
        gst::DebugLevel::Debug => level::DEBUG,
        _ => level::TRACE,
    }
}
