//! An element of ours as GStreamer describes its own: from what its factory says.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use millstream_core::{Direction, Factory, Presence, Registry};

use crate::media;
use crate::properties::Properties;

/// What GStreamer is told of a type.
pub(crate) struct Exported {
    /// Of the element behind it.
    pub(crate) factory: Arc<Factory>,
    /// Its settings.
    pub(crate) properties: Properties,
    metadata: Option<gst::subclass::ElementMetadata>,
    templates: Vec<gst::PadTemplate>,
}

impl Exported {
    /// The element `name` of those that `register` adds, as a type whose pads are of type `pad`.
    ///
    /// # Panics
    /// When there is no such element: a mistake in this plugin that its first run shows.
    pub(crate) fn new(
        register: fn(&mut Registry),
        name: &str,
        type_name: &str,
        parent: glib::Type,
        pad: glib::Type,
    ) -> Self {
        let mut registry = Registry::new();
        register(&mut registry);
        let factory = registry.get(name).expect("the crate of the element registers it");
        let properties = Properties::new(&factory, type_name, parent);
        let long_name = format!("millstream's {name}");
        let metadata = gst::subclass::ElementMetadata::new(&long_name, factory.klass, factory.summary, "millstream");
        let templates = factory.pads.iter().filter_map(|template| {
            let direction = match template.direction {
                Direction::Sink => gst::PadDirection::Sink,
                Direction::Src => gst::PadDirection::Src,
            };
            let presence = match template.presence {
                Presence::Always => gst::PadPresence::Always,
                Presence::Sometimes => gst::PadPresence::Sometimes,
                Presence::Request => gst::PadPresence::Request,
            };
            let caps = media::to_caps(&template.caps)?;
            gst::PadTemplate::with_gtype(template.name, direction, presence, &caps, pad).ok()
        });
        let templates = templates.collect();
        Self { factory, properties, metadata: Some(metadata), templates }
    }

    /// For GStreamer.
    pub(crate) fn metadata(&self) -> Option<&gst::subclass::ElementMetadata> {
        self.metadata.as_ref()
    }

    /// For GStreamer.
    pub(crate) fn templates(&self) -> &[gst::PadTemplate] {
        &self.templates
    }
}
