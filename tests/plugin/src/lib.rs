//! A plugin for tests: each shape of element, faults at every place, and elements that are known only on the machine.

mod edit;
mod fault;
mod shapes;

use millstream_plugin_sdk::factory::Dynamic;
use millstream_plugin_sdk::prelude::*;
use serde_json::json;

/// Elements that are known only on the machine: as many as `MILLSTREAM_TEST_DYNAMIC` says.
fn dynamic() -> Vec<Factory> {
    let count = std::env::var("MILLSTREAM_TEST_DYNAMIC").ok().and_then(|count| count.parse().ok()).unwrap_or(2);
    (0..count).map(|number| one(format!("dyn/pass{number}"))).collect()
}

fn one(name: String) -> Factory {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": { "gain": { "type": "number", "default": 1.5, "description": "A number." } },
    });
    Factory::dynamic(name, "Test", "Known only on the machine", schema, |settings, cx| {
        if settings["gain"].as_f64().is_none() {
            return Err(Error::settings(format!("`gain` of {} is not there", cx.element)));
        }
        Ok(Element::transform(edit::Edit { how: edit::How::Pass }))
    })
    .pad(PadTemplate::sink("sink", "ANY"))
    .pad(PadTemplate::src("src", "ANY"))
    .passthrough()
}

fn plugin() -> Plugin {
    let mut elements = vec![fault::factory(), shapes::worker(), shapes::src(), shapes::sink(), edit::factory()];
    elements.extend(shapes::panics());
    Plugin::new(elements).dynamic(Dynamic {
        prefix: "dyn/",
        aliases: true,
        stamp: vec!["${MILLSTREAM_TEST_DYNAMIC}".to_owned()],
        all: dynamic,
        find: |name| dynamic().into_iter().find(|factory| factory.name == name),
    })
}

millstream_plugin_sdk::export!("test", plugin);
