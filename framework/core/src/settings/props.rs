//! The list of properties, computed from the JSON Schema of a settings struct.

use schemars::Schema;
use serde_json::{Map, Value};

/// One property of an element, as `inspect` and the reference pages show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Name in kebab-case.
    pub name: String,
    /// Type in words: "integer", "duration", "list of text".
    pub type_text: String,
    /// Value when it is left out; `None` if that is unset or unknown.
    pub default: Option<Value>,
    /// Lowest value.
    pub min: Option<Value>,
    /// Highest value.
    pub max: Option<Value>,
    /// The choices of an enum.
    pub values: Vec<EnumValue>,
    /// The doc comment.
    pub description: String,
    /// Whether the element cannot be made without it.
    pub required: bool,
}

/// One choice of an enum property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumValue {
    /// The word to write.
    pub name: String,
    /// Its doc comment.
    pub description: String,
}

/// The properties in the order of the struct.
pub(super) fn of_schema(schema: &Schema) -> Vec<Property> {
    let Some(root) = schema.as_object() else { return Vec::new() };
    let required: Vec<&str> = root
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = root.get("properties").and_then(Value::as_object) else { return Vec::new() };
    properties
        .iter()
        .filter_map(|(name, schema)| Some((name, schema.as_object()?)))
        .map(|(name, schema)| property(name, schema, required.contains(&name.as_str())))
        .collect()
}

fn property(name: &str, schema: &Map<String, Value>, required: bool) -> Property {
    let range = Range::of(schema);
    Property {
        name: name.to_owned(),
        type_text: type_text(schema),
        default: schema.get("default").filter(|value| !value.is_null()).cloned(),
        min: range.min.cloned(),
        max: range.max.cloned(),
        values: enum_values(schema),
        description: text_of(schema, "description"),
        required,
    }
}

fn text_of(schema: &Map<String, Value>, key: &str) -> String {
    schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The form of text that a scalar of this schema has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Duration,
    ByteSize,
    Bitrate,
    Plain,
}

impl Format {
    pub(super) fn of(schema: &Map<String, Value>) -> Self {
        match schema.get("format").and_then(Value::as_str) {
            Some("duration-text") => Self::Duration,
            Some("byte-size") => Self::ByteSize,
            Some("bitrate") => Self::Bitrate,
            _ => Self::Plain,
        }
    }
}

/// The range that a schema gives a number: `minimum`/`maximum`, or `x-minimum`/`x-maximum` as text with a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range<'a> {
    pub(super) min: Option<&'a Value>,
    pub(super) max: Option<&'a Value>,
}

impl<'a> Range<'a> {
    pub(super) fn of(schema: &'a Map<String, Value>) -> Self {
        let own = |key: &str| {
            let value = schema.get(key)?;
            // The bounds that the unit types always have say nothing to a reader.
            let of_type = match (Format::of(schema), key) {
                (Format::Plain, _) => false,
                (Format::Duration, _) => true,
                (_, "minimum") => value.as_u64() == Some(0),
                _ => value.as_u64() == Some(u64::MAX),
            };
            (!of_type).then_some(value)
        };
        Self {
            min: schema.get("x-minimum").or_else(|| own("minimum")),
            max: schema.get("x-maximum").or_else(|| own("maximum")),
        }
    }
}

/// The schema without the `null` that an `Option` adds.
pub(super) fn without_null(schema: &Map<String, Value>) -> &Map<String, Value> {
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    let Some(choices) = choices else { return schema };
    let is_null = |choice: &&Value| choice.get("type").and_then(Value::as_str) == Some("null");
    let mut others = choices.iter().filter(|choice| !is_null(choice));
    match (others.next().and_then(Value::as_object), others.next()) {
        (Some(only), None) if choices.len() > 1 => only,
        _ => schema,
    }
}

fn type_text(schema: &Map<String, Value>) -> String {
    let schema = without_null(schema);
    match Format::of(schema) {
        Format::Duration => return "duration".to_owned(),
        Format::ByteSize => return "bytes".to_owned(),
        Format::Bitrate => return "bits per second".to_owned(),
        Format::Plain => {}
    }
    if !enum_values(schema).is_empty() {
        return "enum".to_owned();
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => vec![],
    };
    match types.as_slice() {
        [] => "any".to_owned(),
        ["array"] => match schema.get("items").and_then(Value::as_object) {
            Some(items) => format!("list of {}", type_text(items)),
            None => "list".to_owned(),
        },
        [name] => word(name).to_owned(),
        several => several.iter().map(|name| word(name)).collect::<Vec<_>>().join(" or "),
    }
}

fn word(json_type: &str) -> &str {
    match json_type {
        "string" => "text",
        "object" => "mapping",
        "array" => "list",
        other => other,
    }
}

/// The unit variants of an enum: `enum: [..]`, or `oneOf: [{ const, description }]` where variants have docs.
pub(super) fn enum_values(schema: &Map<String, Value>) -> Vec<EnumValue> {
    let schema = without_null(schema);
    let mut values = plain_values(schema);
    for choice in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        match choice.get("const").and_then(Value::as_str) {
            Some(name) => values.push(EnumValue { name: name.to_owned(), description: text_of(choice, "description") }),
            None => values.extend(plain_values(choice)),
        }
    }
    values
}

fn plain_values(schema: &Map<String, Value>) -> Vec<EnumValue> {
    let names = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| EnumValue { name: name.to_owned(), description: String::new() }).collect()
}
