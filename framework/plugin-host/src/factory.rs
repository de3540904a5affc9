//! A factory of each element in a manifest: what is known of it comes from there, and the library is loaded when one is built.

use std::sync::Arc;

use millstream_core::{BuildCx, Element, Error, ErrorKind, Factory, Result};
use millstream_plugin_abi::element::shape;
use serde_json::Value;

use crate::find::Installed;
use crate::fused::{PluginAggregate, PluginTransform};
use crate::instance::Instance;
use crate::intern::intern;
use crate::library::Library;
use crate::manifest::{ElementManifest, Live};
use crate::services::Shared;
use crate::threaded::{Bell, Mailbox, PluginSink, PluginSource};

/// The factory of an element.
pub(crate) fn factory(plugin: &Arc<Installed>, element: &ElementManifest) -> Factory {
    let name = intern(&element.name);
    let (from, settings) = (plugin.clone(), element.settings());
    let defaults = defaults(&element.settings);
    let build = move |mut settings: Value, cx: &BuildCx| {
        if let Value::Object(settings) = &mut settings {
            for (name, value) in &defaults {
                settings.entry(name.as_str()).or_insert_with(|| value.clone());
            }
        }
        build(&from, name, &settings, cx)
    };
    let mut factory = Factory::dynamic(name, intern(&element.class), intern(&element.summary), settings, build)
        .details(intern(&element.details))
        .example(intern(&element.example))
        .latency(element.latency());
    factory.pads = element.pads();
    factory.blocking = element.blocking();
    factory.passthrough = element.passthrough;
    factory.survives_lost_inputs = element.survives_lost_inputs;
    factory.open_ended = element.open_ended;
    let joined =
        plugin.manifest.elements.iter().find(|other| other.name == element.joined && other.name != element.name);
    factory.joined = joined.map(|joined| Arc::new(self::factory(plugin, joined)));
    match element.live.clone() {
        Live::Always(false) => factory,
        Live::Always(true) => factory.live(|_: &Value| true),
        Live::Property(name) => factory.live(move |settings: &Value| settings.get(&name) == Some(&Value::Bool(true))),
    }
}

/// Values of properties that are left out: a plugin in C finds all of them in its settings.
fn defaults(schema: &Value) -> Vec<(String, Value)> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let default = |(name, schema): (&String, &Value)| {
        let default = schema.get("default").filter(|value| !value.is_null())?;
        Some((name.clone(), default.clone()))
    };
    properties.filter_map(default).collect()
}

fn build(plugin: &Arc<Installed>, element: &'static str, settings: &Value, cx: &BuildCx) -> Result<Element> {
    let refused = |refused: crate::Refused| {
        Error::new(ErrorKind::Unsupported, format!("{}: {}", refused.file.display(), refused.reason))
            .hint(refused.advice)
    };
    plugin.check_pin().map_err(refused)?;
    let library = Library::open(&plugin.library, Some(&plugin.manifest)).map_err(refused)?;
    let (mailbox, bell) = (Arc::<Mailbox>::default(), Arc::<Bell>::default());
    let wake = {
        let (task, mailbox, bell) = (cx.wake_handle(), mailbox.clone(), bell.clone());
        move || {
            task.wake();
            mailbox.wake();
            bell.ring();
        }
    };
    let shared = Shared::new(cx.name.clone(), library.name, cx.env.clone(), cx.base_time, wake);
    let instance = Instance::create(library, element, &settings.to_string(), cx, shared)?;
    let (sink_pads, src_pads) = (cx.sinks.len(), cx.srcs.len());
    Ok(match instance.shape() {
        shape::AGGREGATE => Element::Aggregate(Box::new(PluginAggregate::new(instance, sink_pads))),
        shape::SOURCE => Element::Source(Box::new(PluginSource { instance, mailbox, src_pads: src_pads as u16 })),
        shape::SINK => Element::Sink(Box::new(PluginSink { instance, sink_pads: sink_pads as u16, bell })),
        _ => Element::Transform(Box::new(PluginTransform(instance))),
    })
}
