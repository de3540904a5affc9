//! The JSON Schema of pipeline files, made from the elements that are really there.

use millstream_core::{Factory, Registry};
use serde_json::{Map, Value, json};

use crate::on_error;

/// Dialect that the schema is written in, the one that schemars makes.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Names of elements and params, as [`crate::doc::is_name`] has them.
const NAME_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$";

/// The JSON Schema (draft 2020-12) of pipeline files, for editors. What only [`crate::check::check`] can know (links, caps) is not
/// in it.
#[must_use]
pub fn schema(registry: &Registry) -> Value {
    let defs: Map<String, Value> =
        registry.all().iter().map(|factory| (factory.name.to_owned(), element_schema(factory))).collect();
    json!({
        "$schema": DIALECT,
        "title": "millstream pipeline",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "description": "Name of the pipeline." },
            "description": { "type": "string", "description": "What the pipeline is for." },
            "plugins": plugins_schema(),
            "params": params_schema(),
            "elements": elements_schema(registry),
            "links": links_schema(),
        },
        "$defs": defs,
    })
}

fn plugins_schema() -> Value {
    let place = json!({
        "anyOf": [
            { "type": "string", "description": "A folder, a manifest or a library; relative to this file." },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["path"],
                "properties": {
                    "path": { "type": "string", "description": "A folder, a manifest or a library; relative to this file." },
                    "sha256": { "type": "string", "description": "SHA-256 of the library, if only that one will do." },
                },
            },
        ],
    });
    json!({
        "description": "Where plugins of this pipeline are, before the usual places.",
        "anyOf": [place, { "type": ["array", "null"], "items": place }],
    })
}

fn params_schema() -> Value {
    let text = json!({ "type": ["string", "number", "boolean"] });
    json!({
        "type": ["object", "null"],
        "description": "Values that `--set name=value` gives and `${name}` uses.",
        "propertyNames": { "pattern": NAME_PATTERN },
        "additionalProperties": {
            "anyOf": [
                { "type": ["string", "number", "boolean", "null"], "description": "The default; without one the param must be set." },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "default": text,
                        "description": { "type": "string" },
                        "env": { "type": "string", "description": "Environment variable that gives the value." },
                        "required": { "type": "boolean", "description": "Must be set, whatever the default." },
                    },
                },
            ],
        },
    })
}

fn elements_schema(registry: &Registry) -> Value {
    let all = registry.all();
    let kinds: Vec<Value> =
        all.iter().map(|factory| json!({ "const": factory.name, "description": factory.summary })).collect();
    let rules: Vec<Value> = all
        .iter()
        .map(|factory| {
            json!({
                "if": { "properties": { "element": { "const": factory.name } }, "required": ["element"] },
                "then": { "$ref": format!("#/$defs/{}", pointer_escape(factory.name)) },
            })
        })
        .collect();
    json!({
        "type": ["object", "null"],
        "description": "The elements by name.",
        "propertyNames": { "pattern": NAME_PATTERN },
        "additionalProperties": {
            "anyOf": [
                { "oneOf": kinds, "description": "The kind of an element without properties." },
                {
                    "type": "object",
                    "required": ["element"],
                    "properties": { "element": { "oneOf": kinds, "description": "What the element is." } },
                    "allOf": rules,
                },
            ],
        },
    })
}

fn links_schema() -> Value {
    json!({
        "description": "Chains of elements: `in ! demux`, `demux.video ! h264parse ! mux.video`.",
        "anyOf": [{ "type": ["string", "null"] }, { "type": "array", "items": { "type": "string" } }],
    })
}

/// The schema of one element's entry: its properties, what it is, and what happens when it fails.
fn element_schema(factory: &Factory) -> Value {
    let mut own = factory.settings.schema().to_value();
    let Some(root) = own.as_object_mut() else { return json!({}) };
    root.remove("$schema");
    root.remove("title");
    root.insert("description".to_owned(), factory.summary.into());
    let properties = root.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        for property in properties.values_mut() {
            allow_param(property);
        }
        properties.insert("element".to_owned(), json!({ "const": factory.name }));
        properties.insert("on-error".to_owned(), on_error::schema());
    }
    root.insert("additionalProperties".to_owned(), Value::Bool(false));
    own
}

/// A property that is no text may still be written as a param: `"${n}"`.
fn allow_param(property: &mut Value) {
    let is_text = property.get("type").is_some_and(|kind| match kind {
        Value::String(name) => name == "string",
        Value::Array(names) => names.iter().any(|name| name == "string") && property.get("pattern").is_none(),
        _ => false,
    });
    if is_text && property.get("enum").is_none() {
        return;
    }
    let Some(schema) = property.as_object_mut() else { return };
    // What a reader sees stays outside, so that editors show it.
    let mut outer = Map::new();
    for key in ["description", "default"] {
        if let Some(value) = schema.remove(key) {
            outer.insert(key.to_owned(), value);
        }
    }
    let param = json!({ "type": "string", "pattern": r"\$\{[A-Za-z_]" });
    outer.insert("anyOf".to_owned(), json!([Value::Object(std::mem::take(schema)), param]));
    *schema = outer;
}

/// A key in a JSON Pointer, RFC 6901 section 3.
fn pointer_escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load_yaml;
    use crate::params::ParamSources;
    use crate::source::SourceText;
    use crate::testing::registry;

    #[test]
    fn elements_and_their_properties_are_in_it() {
        let schema = schema(&registry());
        let fake = &schema["$defs"]["fakesrc"];
        assert_eq!(fake["additionalProperties"], false);
        let buffers = &fake["properties"]["num-buffers"];
        assert_eq!(buffers["description"], "Number of buffers; -1 for no end.");
        assert_eq!(buffers["anyOf"][0]["minimum"], -1);
        assert_eq!(buffers["anyOf"][1]["type"], "string");
        assert_eq!(schema["$defs"]["filesrc"]["required"], json!(["location"]));
        assert_eq!(schema["$defs"]["filesrc"]["properties"]["location"]["type"], "string");
        let rules = schema["properties"]["elements"]["additionalProperties"]["anyOf"][1]["allOf"].as_array();
        assert_eq!(rules.map(Vec::len), Some(registry().iter().count()));
        assert_eq!(pointer_escape("gst/x~"), "gst~1x~0");
    }

    #[test]
    fn what_the_check_refuses_is_not_offered() {
        let registry = registry();
        let schema = schema(&registry);
        let offered =
            schema["$defs"]["fakesink"]["properties"]["on-error"]["anyOf"][0]["enum"].as_array().unwrap().clone();
        assert!(!offered.is_empty());
        for word in offered.iter().map(|word| word.as_str().unwrap()) {
            let text =
                format!("elements:\n  out: {{ element: fakesink, on-error: {word} }}\nlinks: [ fakesrc ! out ]\n");
            let loaded = load_yaml(SourceText::new("a.yaml", text), &registry, &ParamSources::default());
            assert!(loaded.is_ok(), "{word}");
        }
    }
}
