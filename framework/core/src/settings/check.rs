//! What a JSON Schema can refuse before serde sees the settings: ranges and unknown properties, each with its place.

use serde_json::{Map, Value};

use super::props::{Format, Range, without_null};
use super::units::{Bitrate, ByteSize, DurationSetting};
use super::{Node, NodeKind, SettingsError, SettingsErrorKind};

/// All range violations of `node` against `schema`, and unknown properties of structs that would let them pass; outermost first.
///
/// Types are left to serde: a value of the wrong type is no fault here. Recursion is bounded by the depth of `node`, which
/// the readers of text limit.
pub(super) fn check(node: &Node, schema: &Map<String, Value>) -> Vec<SettingsError> {
    let mut errors = Vec::new();
    visit(node, schema, &mut errors);
    errors
}

fn visit(node: &Node, schema: &Map<String, Value>, errors: &mut Vec<SettingsError>) {
    let inner = without_null(schema);
    match &node.kind {
        NodeKind::Null => {}
        NodeKind::Scalar { text, .. } => {
            // A range written on an `Option` field stands beside the `anyOf`, not in it.
            let error = range_error(text, schema).or_else(|| range_error(text, inner));
            errors.extend(error.map(|error| error.or_at(node.span)));
            if let Some(items) = inner.get("items").and_then(Value::as_object) {
                visit(node, items, errors);
            }
        }
        NodeKind::Seq(nodes) => {
            let Some(items) = inner.get("items").and_then(Value::as_object) else { return };
            for (index, item) in nodes.iter().enumerate() {
                nested(item, items, format!("[{index}]"), errors);
            }
        }
        NodeKind::Map(_) => visit_map(node, inner, errors),
    }
}

fn visit_map(node: &Node, schema: &Map<String, Value>, errors: &mut Vec<SettingsError>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    // Where a struct says `deny_unknown_fields`, serde refuses them itself, and knows the aliases that no schema has.
    let serde_knows = schema.get("additionalProperties").is_some();
    for (key, value) in node.entries().unwrap_or_default() {
        match properties.get(&key.text).and_then(Value::as_object) {
            Some(property) => nested(value, property, key.text.clone(), errors),
            None if serde_knows => {}
            None => {
                let known = properties.keys().cloned().collect();
                let kind = SettingsErrorKind::UnknownProperty { name: key.text.clone(), known };
                errors.push(SettingsError::new(kind).or_at(key.span));
            }
        }
    }
}

fn nested(node: &Node, schema: &Map<String, Value>, segment: String, errors: &mut Vec<SettingsError>) {
    let first = errors.len();
    visit(node, schema, errors);
    for error in errors.iter_mut().skip(first) {
        error.path.insert(0, segment.clone());
    }
}

fn range_error(text: &str, schema: &Map<String, Value>) -> Option<SettingsError> {
    let range = Range::of(schema);
    let format = Format::of(schema);
    let value = number(text, format)?;
    let bound = |bound: Option<&Value>| {
        let bound = bound?;
        let text = bound.as_str().map_or_else(|| bound.to_string(), str::to_owned);
        Some((number(&text, format)?, text))
    };
    let (min, max) = (bound(range.min), bound(range.max));
    let low = min.as_ref().is_some_and(|(min, _)| value < *min);
    let high = max.as_ref().is_some_and(|(max, _)| value > *max);
    (low || high).then(|| {
        let (min, max) = (min.map(|(_, text)| text), max.map(|(_, text)| text));
        SettingsError::new(SettingsErrorKind::OutOfRange { value: text.to_owned(), min, max })
    })
}

/// The value of a scalar for comparison; `None` where serde will refuse it (or where it is no number at all).
fn number(text: &str, format: Format) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "bounds are small beside 2^53, and serde checks the exact type")]
    match format {
        Format::Duration => text.parse().ok().map(|DurationSetting(ns)| ns as f64),
        Format::ByteSize => text.parse().ok().map(|ByteSize(bytes)| bytes as f64),
        Format::Bitrate => text.parse().ok().map(|Bitrate(bits)| bits as f64),
        Format::Plain => match super::de::parse_whole(text) {
            Some(whole) => Some(whole as f64),
            None => text.trim().parse().ok(),
        },
    }
}
