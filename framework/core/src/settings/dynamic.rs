//! Settings that only a schema describes: text becomes the JSON that the schema asks for.

use serde_json::{Map, Number, Value};

use super::de::{parse_flag, parse_whole};
use super::props::{Format, enum_values, without_null};
use super::units::{Bitrate, ByteSize, DurationSetting};
use super::{Node, NodeKind, SettingsError, SettingsErrorKind};

/// The settings of `node` as the object that `schema` describes. Ranges and unknown properties of nested objects are looked at elsewhere.
pub(super) fn value(node: &Node, schema: &schemars::Schema) -> Result<Value, SettingsError> {
    let empty = Map::new();
    let schema = schema.as_object().unwrap_or(&empty);
    match &node.kind {
        NodeKind::Null => object(&Node::empty_map(node.span), schema),
        _ => object(node, schema),
    }
}

fn object(node: &Node, schema: &Map<String, Value>) -> Result<Value, SettingsError> {
    let Some(entries) = node.entries() else { return Err(wrong(node, "a mapping of properties")) };
    let properties = schema.get("properties").and_then(Value::as_object);
    let open =
        properties.is_none() || schema.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false));
    let mut object = Map::new();
    for (key, entry) in entries {
        let property = properties.and_then(|all| all.get(&key.text)).and_then(Value::as_object);
        let value = match property {
            Some(property) => convert(entry, property).map_err(|e| e.inside(key.text.clone()))?,
            None if open => guess(entry),
            None => {
                let known = properties.into_iter().flat_map(Map::keys).cloned().collect();
                let kind = SettingsErrorKind::UnknownProperty { name: key.text.clone(), known };
                return Err(SettingsError::new(kind).or_at(key.span));
            }
        };
        object.insert(key.text.clone(), value);
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = required.into_iter().find(|name| !object.contains_key(*name)) {
        return Err(SettingsError::new(SettingsErrorKind::MissingProperty { name: name.to_owned() }).or_at(node.span));
    }
    Ok(Value::Object(object))
}

/// One value as its schema asks for.
fn convert(node: &Node, schema: &Map<String, Value>) -> Result<Value, SettingsError> {
    let inner = without_null(schema);
    let choices = enum_values(schema);
    if !choices.is_empty() {
        let text = node.as_str().ok_or_else(|| wrong(node, "one of the choices"))?;
        let known: Vec<String> = choices.into_iter().map(|choice| choice.name).collect();
        if known.iter().any(|name| name == text) {
            return Ok(Value::String(text.to_owned()));
        }
        let kind = SettingsErrorKind::UnknownVariant { name: text.to_owned(), known };
        return Err(SettingsError::new(kind).or_at(node.span));
    }
    match Format::of(inner) {
        Format::Plain => {}
        format => return unit(node, format),
    }
    let types = types(inner);
    if matches!(node.kind, NodeKind::Null) && (types.contains(&"null") || !std::ptr::eq(inner, schema)) {
        return Ok(Value::Null);
    }
    let mut first = None;
    for name in types.iter().filter(|name| **name != "null") {
        match of_type(node, name, inner) {
            Ok(value) => return Ok(value),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or_else(|| Ok(guess(node)), Err)
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn of_type(node: &Node, name: &str, schema: &Map<String, Value>) -> Result<Value, SettingsError> {
    let scalar = |expected: &str| node.as_str().ok_or_else(|| wrong(node, expected));
    match name {
        "boolean" => {
            const EXPECTED: &str = "true or false";
            parse_flag(scalar(EXPECTED)?).map(Value::Bool).ok_or_else(|| wrong(node, EXPECTED))
        }
        "integer" => {
            const EXPECTED: &str = "a whole number";
            let number = parse_whole(scalar(EXPECTED)?).and_then(Number::from_i128);
            number.map(Value::Number).ok_or_else(|| wrong(node, EXPECTED))
        }
        "number" => {
            const EXPECTED: &str = "a number";
            let number = scalar(EXPECTED)?.trim().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| wrong(node, EXPECTED))
        }
        "string" => scalar("text").map(|text| Value::String(text.to_owned())),
        "array" => array(node, schema),
        "object" => object(node, schema),
        _ => Ok(guess(node)),
    }
}

fn array(node: &Node, schema: &Map<String, Value>) -> Result<Value, SettingsError> {
    let empty = Map::new();
    let of = schema.get("items").and_then(Value::as_object).unwrap_or(&empty);
    let items = match &node.kind {
        NodeKind::Seq(items) => items.as_slice(),
        NodeKind::Null => &[],
        NodeKind::Scalar { .. } => std::slice::from_ref(node),
        NodeKind::Map(_) => return Err(wrong(node, "a list")),
    };
    let item = |(at, item)| convert(item, of).map_err(|e| e.inside(format!("[{at}]")));
    items.iter().enumerate().map(item).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// Text with a unit stays text, once it is known to be right.
fn unit(node: &Node, format: Format) -> Result<Value, SettingsError> {
    let text = node.as_str().ok_or_else(|| wrong(node, "a number with its unit"))?;
    let checked = match format {
        Format::Duration => text.parse::<DurationSetting>().map(drop).map_err(|e| e.to_string()),
        Format::ByteSize => text.parse::<ByteSize>().map(drop).map_err(|e| e.to_string()),
        Format::Bitrate => text.parse::<Bitrate>().map(drop).map_err(|e| e.to_string()),
        Format::Plain => Ok(()),
    };
    match checked {
        Ok(()) => Ok(Value::String(text.to_owned())),
        Err(fault) => Err(SettingsError::new(SettingsErrorKind::Custom(fault)).or_at(node.span)),
    }
}

/// What no schema describes, as YAML would read it.
fn guess(node: &Node) -> Value {
    serde::Deserialize::deserialize(super::NodeDeserializer::new(node)).unwrap_or(Value::Null)
}

fn wrong(node: &Node, expected: &str) -> SettingsError {
    let kind = SettingsErrorKind::WrongType { expected: expected.to_owned(), found: node.describe() };
    SettingsError::new(kind).or_at(node.span)
}

#[cfg(test)]
mod tests {
    use schemars::Schema;
    use serde_json::json;

    use super::super::SettingsDecl;
    use super::*;

    fn decl() -> SettingsDecl {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["bitrate"],
            "properties": {
                "bitrate": { "type": "integer", "minimum": 1, "maximum": 100 },
                "live": { "type": "boolean" },
                "gain": { "type": ["number", "null"] },
                "tune": { "enum": ["fast", "good"] },
                "wait": { "type": ["string", "integer"], "format": "duration-text" },
                "names": { "type": "array", "items": { "type": "string" } },
            },
        });
        SettingsDecl::dynamic(Box::leak(Box::new(Schema::try_from(schema).unwrap())))
    }

    fn node(json: Value) -> Node {
        Node::from(&json)
    }

    #[test]
    fn text_becomes_what_the_schema_says() {
        let text =
            json!({ "bitrate": "0x10", "live": "yes", "gain": "1.5", "tune": "good", "wait": "2s", "names": "a" });
        let settings = decl().parse(&node(text)).unwrap().downcast::<Value>().unwrap();
        let expected =
            json!({ "bitrate": 16, "live": true, "gain": 1.5, "tune": "good", "wait": "2s", "names": ["a"] });
        assert_eq!(*settings, expected);
        assert_eq!(decl().properties().len(), 6);
    }

    #[test]
    fn every_fault_is_of_its_kind() {
        let fault = |json| decl().parse(&node(json)).map(drop).unwrap_err().to_string();
        assert_eq!(fault(json!({})), "property `bitrate` is missing");
        assert_eq!(fault(json!({ "bitrate": "x" })), "property `bitrate`: expected a whole number, found `x`");
        assert!(fault(json!({ "bitrate": 101 })).contains("must be 1 to 100"));
        assert_eq!(fault(json!({ "bitrate": 1, "bitrat": 1 })), "unknown property `bitrat`");
        assert!(fault(json!({ "bitrate": 1, "tune": "bad" })).contains("is not one of fast, good"));
        assert!(fault(json!({ "bitrate": 1, "wait": "2 weeks" })).starts_with("property `wait`"));
        assert!(fault(json!({ "bitrate": 1, "live": [1] })).contains("expected true or false, found a list"));
    }
}
