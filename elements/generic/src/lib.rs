//! Elements that know no format.
//!
//! | element | does |
//! | --- | --- |
//! | [`fakesrc`] | makes empty media, for tests and measurements |
//! | [`fakesink`] | throws media away |
//! | [`identity`] | passes everything on; can leave buffers out or fail on demand |
//! | [`queue`] | puts a channel between two tasks |
//! | [`tee`] | copies one stream to many branches |
//! | [`funnel`] | merges many streams into one as they come |
//! | [`fallbackswitch`] | shows the first of several inputs that is alive |
//! | [`mod@concat`] | plays many streams one after the other |
//! | [`valve`] | lets a stream through or not, as the program says while it runs |
//! | [`capsfilter`] | lets only some caps pass |
//! | [`clocksync`] | paces a stream to the clock |
//! | [`appsrc`], [`appsink`] | connect a pipeline with the program around it |
//!
//! Their names and properties are GStreamer's (1.22) where they do the same.

pub mod appsink;
pub mod appsrc;
pub mod capsfilter;
pub mod clocksync;
pub mod concat;
pub mod fakesink;
pub mod fakesrc;
pub mod fallbackswitch;
pub mod funnel;
pub mod identity;
mod pace;
pub mod queue;
mod setting;
pub mod tee;
pub mod valve;

pub use appsink::AppSinkHandle;
pub use appsrc::{AppSrcHandle, Closed};
pub use setting::CapsSetting;
pub use valve::ValveHandle;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(appsink::factory());
    registry.add(appsrc::factory());
    registry.add(capsfilter::factory());
    registry.add(clocksync::factory());
    registry.add(concat::factory());
    registry.add(fakesink::factory());
    registry.add(fakesrc::factory());
    registry.add(fallbackswitch::factory());
    registry.add(funnel::factory());
    registry.add(identity::factory());
    registry.add(queue::factory());
    registry.add(tee::factory());
    registry.add(valve::factory());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_documented() {
        let mut registry = Registry::new();
        register(&mut registry);
        assert_eq!(registry.iter().count(), 13);
        for factory in registry.iter() {
            assert!(!factory.summary.is_empty() && factory.example.contains(factory.name), "{factory:?}");
            for property in factory.settings.properties() {
                assert!(!property.description.is_empty(), "{factory:?} {}", property.name);
            }
        }
    }
}
