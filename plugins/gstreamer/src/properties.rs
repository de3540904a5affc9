//! Properties of GStreamer's elements: as a JSON Schema, and set from settings.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::prelude::*;
use gstreamer::prelude::*;
use millstream_plugin_sdk::prelude::{Error, Result};
use serde_json::{Map, Value as Json, json};

/// A property that can be set.
pub(crate) struct Property {
    /// Its name.
    pub(crate) name: String,
    /// What it takes.
    schema: Json,
}

/// Properties of every element that say nothing of it.
const LEFT_OUT: [&str; 2] = ["name", "parent"];

/// Those of a class that can be set and written as text.
pub(crate) fn of(class: &glib::Class<glib::Object>) -> Vec<Property> {
    let specs = class.list_properties();
    let settable = specs.iter().filter(|spec| {
        let flags = spec.flags();
        flags.contains(glib::ParamFlags::WRITABLE)
            && !flags.contains(glib::ParamFlags::DEPRECATED)
            && !LEFT_OUT.contains(&spec.name())
    });
    settable.filter_map(|spec| Some(Property { name: spec.name().to_owned(), schema: described(spec)? })).collect()
}

/// The schema of all of them together.
pub(crate) fn schema(properties: &[Property]) -> Json {
    let all: Map<String, Json> = properties.iter().map(|p| (p.name.clone(), p.schema.clone())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": all })
}

fn described(spec: &glib::ParamSpec) -> Option<Json> {
    let mut schema = of_type(spec)?;
    if let Some(default) = default_of(spec) {
        schema["default"] = default;
    }
    let blurb = spec.blurb().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    schema["description"] = blurb.into();
    Some(schema)
}

/// What a property takes; `None` for what cannot be written as text, such as other elements.
fn of_type(spec: &glib::ParamSpec) -> Option<Json> {
    macro_rules! whole {
        ($($of:ident),*) => {
            $(if let Some(range) = spec.downcast_ref::<glib::$of>() {
                return Some(json!({ "type": "integer", "minimum": range.minimum(), "maximum": range.maximum() }));
            })*
        };
    }
    whole!(ParamSpecInt, ParamSpecUInt, ParamSpecInt64, ParamSpecUInt64, ParamSpecLong, ParamSpecULong);
    let of = spec.value_type();
    if of == glib::Type::BOOL {
        return Some(json!({ "type": "boolean" }));
    }
    if of == glib::Type::F32 || of == glib::Type::F64 {
        return Some(json!({ "type": "number" }));
    }
    if let Some(choices) = glib::EnumClass::with_type(of) {
        let choice = |value: &glib::EnumValue| json!({ "const": value.nick(), "description": value.name() });
        return Some(json!({ "oneOf": choices.values().iter().map(choice).collect::<Vec<_>>() }));
    }
    let text = of == glib::Type::STRING || glib::FlagsClass::with_type(of).is_some() || as_text(of);
    text.then(|| json!({ "type": "string" }))
}

/// Types that GStreamer reads from text.
fn as_text(of: glib::Type) -> bool {
    [gst::Fraction::static_type(), gst::Caps::static_type(), gst::Structure::static_type(), gst::Array::static_type()]
        .iter()
        .any(|known| of.is_a(*known))
}

/// The default, in the form of [`of_type`].
fn default_of(spec: &glib::ParamSpec) -> Option<Json> {
    let value = spec.default_value();
    let text = || value.serialize().ok().map(|text| text.to_string());
    if let Ok(flag) = value.get::<bool>() {
        return Some(flag.into());
    }
    if let Ok(text) = value.get::<Option<String>>() {
        return text.map(Json::from);
    }
    if glib::EnumClass::with_type(value.type_()).is_some() {
        return glib::EnumValue::from_value(value).map(|(_, choice)| choice.nick().into());
    }
    if glib::FlagsClass::with_type(value.type_()).is_some() {
        return text().map(Json::from);
    }
    let whole = value.get::<i32>().map(i64::from).or_else(|_| value.get::<u32>().map(i64::from));
    let whole = whole.or_else(|_| value.get::<i64>());
    if let Ok(number) = whole {
        return Some(number.into());
    }
    if let Ok(number) = value.get::<u64>() {
        return Some(number.into());
    }
    let number = value.get::<f64>().or_else(|_| value.get::<f32>().map(f64::from)).ok()?;
    serde_json::Number::from_f64(number).map(Json::Number)
}

/// Sets what settings say. What is the default already is left alone: setting it may mean more than leaving it.
pub(crate) fn set(element: &gst::Element, settings: &Json) -> Result<()> {
    for (name, value) in settings.as_object().into_iter().flatten() {
        let Some(spec) = element.find_property(name) else {
            return Err(Error::settings(format!("`{}` of GStreamer has no property `{name}`", element.name())));
        };
        if value.is_null() || default_of(&spec).as_ref() == Some(value) {
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let made = glib::Value::deserialize_with_pspec(&text, &spec);
        let made = made.map_err(|_| Error::settings(format!("property `{name}` does not take `{text}`")))?;
        element.set_property_from_value(name, &made);
    }
    Ok(())
}
