//! Settings of our elements as GObject properties: names, types, ranges, defaults and texts come from the schema of the settings.
//!
//! | setting | property |
//! | --- | --- |
//! | boolean, text | the same |
//! | integer | integer of 32 bits where its range fits, else of 64 |
//! | duration | unsigned integer of 64 bits, nanoseconds, as GStreamer has it |
//! | bytes, bits per second | unsigned integer of 64 bits |
//! | enum | enumeration; where the schema knows no default, with the further value `default` |
//! | any number that may be left out | integer of 64 bits, -1 for what is left out |

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use millstream_core::settings::units::{Bitrate, ByteSize, DurationSetting};
use millstream_core::settings::{AnySettings, EnumValue, Node, Property};
use millstream_core::{Error, Factory, Result};

use crate::choices;

/// The word for what is not set, where no other value says so.
const NOT_SET: &str = "default";

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Plain,
    Nanoseconds,
    Bytes,
    Bits,
}

impl Unit {
    /// How the schema writes a value of it.
    fn read(self, value: &serde_json::Value) -> Option<i64> {
        if let Some(number) = value.as_i64() {
            return Some(number);
        }
        let text = value.as_str()?;
        match self {
            Self::Plain => text.parse().ok(),
            Self::Nanoseconds => text.parse().ok().map(DurationSetting::as_nanos),
            Self::Bytes => text.parse::<ByteSize>().ok().and_then(|size| i64::try_from(size.0).ok()),
            Self::Bits => text.parse::<Bitrate>().ok().and_then(|rate| i64::try_from(rate.0).ok()),
        }
    }

    /// How a pipeline writes a value of it.
    fn write(self, number: i64) -> String {
        if self == Self::Nanoseconds { format!("{number}ns") } else { number.to_string() }
    }

    fn note(self) -> &'static str {
        match self {
            Self::Plain | Self::Bytes | Self::Bits => "",
            Self::Nanoseconds => " (ns)",
        }
    }
}

/// The type of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flag,
    Text,
    /// With whether the value 0 says that nothing is set.
    Choice(glib::Type, bool),
    Int(Unit),
    /// With whether -1 says that nothing is set.
    Long(Unit, bool),
    Unsigned(Unit),
}

/// A value that was set.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Flag(bool),
    Number(i64),
    Text(Option<String>),
}

/// One setting as a property.
struct Described {
    /// Name of the setting; the property may have another, see [`Properties::new`].
    setting: String,
    kind: Kind,
    spec: glib::ParamSpec,
}

/// The settings of one of our elements as properties of one of GStreamer's.
pub(crate) struct Properties {
    list: Vec<Described>,
    specs: Vec<glib::ParamSpec>,
}

impl Properties {
    /// Those of `factory`, for a type of this name. Names that `parent` has for properties of its own get `ms-` ahead of them.
    pub(crate) fn new(factory: &Factory, type_name: &str, parent: glib::Type) -> Self {
        let theirs = glib::Class::<glib::Object>::from_type(parent);
        let taken = |name: &str| theirs.as_ref().is_some_and(|class| class.find_property(name).is_some());
        let describe = |property: &Property| {
            let name = if taken(&property.name) { format!("ms-{}", property.name) } else { property.name.clone() };
            let kind = Kind::of(property, type_name);
            Described { setting: property.name.clone(), kind, spec: kind.spec(property, &name) }
        };
        let list: Vec<_> = factory.settings.properties().iter().map(describe).collect();
        let specs = list.iter().map(|described| described.spec.clone()).collect();
        Self { list, specs }
    }

    /// For GObject.
    pub(crate) fn specs(&self) -> &[glib::ParamSpec] {
        &self.specs
    }

    fn find(&self, spec: &glib::ParamSpec) -> Option<&Described> {
        self.list.iter().find(|described| described.spec.name() == spec.name())
    }
}

impl Kind {
    fn of(property: &Property, type_name: &str) -> Self {
        let optional = property.default.is_none() && !property.required;
        let unit = match property.type_text.as_str() {
            "boolean" => return Self::Flag,
            "enum" => return Self::choice(property, type_name, optional),
            "duration" => Unit::Nanoseconds,
            "bytes" => Unit::Bytes,
            "bits per second" => Unit::Bits,
            "integer" => Unit::Plain,
            _ => return Self::Text,
        };
        let (min, max) = unit.range(property);
        match unit {
            _ if optional => Self::Long(unit, true),
            Unit::Plain if i32::try_from(min).is_ok() && i32::try_from(max).is_ok() => Self::Int(unit),
            Unit::Plain => Self::Long(unit, false),
            _ => Self::Unsigned(unit),
        }
    }

    fn choice(property: &Property, type_name: &str, optional: bool) -> Self {
        let description = "As the element thinks best.".to_owned();
        let not_set = optional.then(|| EnumValue { name: NOT_SET.to_owned(), description });
        let default = property.default.as_ref().and_then(|value| value.as_str());
        // GObject's default is the first.
        let (first, rest): (Vec<_>, Vec<_>) =
            property.values.iter().cloned().partition(|value| Some(value.name.as_str()) == default);
        let values: Vec<_> = not_set.into_iter().chain(first).chain(rest).collect();
        Self::Choice(choices::register(&format!("{type_name}{}", camel(&property.name)), &values), optional)
    }

    /// The specification of a property.
    fn spec(self, property: &Property, name: &str) -> glib::ParamSpec {
        let flags = glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY;
        let blurb = property.description.split_whitespace().collect::<Vec<_>>().join(" ");
        let default = property.default.as_ref();
        let number = |unit: Unit| (unit.range(property), default.and_then(|value| unit.read(value)).unwrap_or(-1));
        match self {
            Self::Flag => {
                let default = default.and_then(serde_json::Value::as_bool).unwrap_or_default();
                glib::ParamSpecBoolean::builder(name).blurb(&blurb).flags(flags).default_value(default).build()
            }
            Self::Text => {
                let default = default.and_then(serde_json::Value::as_str);
                glib::ParamSpecString::builder(name).blurb(&blurb).flags(flags).default_value(default).build()
            }
            Self::Choice(kind, _) => choices::param_spec(name, &blurb, kind, flags),
            Self::Int(unit) => {
                let ((min, max), default) = number(unit);
                let [min, max, default] = [min, max, default].map(|n| i32::try_from(n).unwrap_or_default());
                let spec = glib::ParamSpecInt::builder(name).blurb(&blurb).flags(flags);
                spec.minimum(min).maximum(max).default_value(default).build()
            }
            Self::Long(unit, optional) => {
                let ((min, max), default) = number(unit);
                let (note, min) = if optional { (" (-1: not set)", min.min(-1)) } else { ("", min) };
                let blurb = format!("{blurb}{}{note}", unit.note());
                let spec = glib::ParamSpecInt64::builder(name).blurb(&blurb).flags(flags);
                spec.minimum(min).maximum(max).default_value(default).build()
            }
            Self::Unsigned(unit) => {
                let ((min, max), default) = number(unit);
                let [min, max, default] = [min, max, default].map(|n| u64::try_from(n).unwrap_or_default());
                let blurb = format!("{blurb}{}", unit.note());
                let spec = glib::ParamSpecUInt64::builder(name).blurb(&blurb).flags(flags);
                spec.minimum(min).maximum(max).default_value(default).build()
            }
        }
    }

    fn take(self, value: &glib::Value) -> Option<Held> {
        match self {
            Self::Flag => value.get().ok().map(Held::Flag),
            Self::Text => value.get().ok().map(Held::Text),
            Self::Choice(..) => choices::number(value).map(|number| Held::Number(number.into())),
            Self::Int(_) => value.get::<i32>().ok().map(|number| Held::Number(number.into())),
            Self::Long(..) => value.get().ok().map(Held::Number),
            Self::Unsigned(_) => {
                value.get::<u64>().ok().and_then(|number| i64::try_from(number).ok()).map(Held::Number)
            }
        }
    }

    fn give(self, held: &Held) -> Option<glib::Value> {
        match (self, held) {
            (Self::Flag, Held::Flag(flag)) => Some(flag.to_value()),
            (Self::Text, Held::Text(text)) => Some(text.to_value()),
            (Self::Choice(kind, _), Held::Number(number)) => {
                glib::EnumClass::with_type(kind)?.to_value(i32::try_from(*number).ok()?)
            }
            (Self::Int(_), Held::Number(number)) => i32::try_from(*number).ok().map(|number| number.to_value()),
            (Self::Long(..), Held::Number(number)) => Some(number.to_value()),
            (Self::Unsigned(_), Held::Number(number)) => u64::try_from(*number).ok().map(|number| number.to_value()),
            _ => None,
        }
    }

    /// What a pipeline would write; `None` for what is not set.
    fn text(self, held: &Held) -> Option<String> {
        match (self, held) {
            (Self::Flag, Held::Flag(flag)) => Some(flag.to_string()),
            (Self::Text, Held::Text(text)) => text.clone(),
            (Self::Choice(_, true), Held::Number(0)) | (Self::Long(_, true), Held::Number(-1)) => None,
            (Self::Choice(kind, _), Held::Number(number)) => choices::word(kind, i32::try_from(*number).ok()?),
            (Self::Int(unit) | Self::Long(unit, _) | Self::Unsigned(unit), Held::Number(number)) => {
                Some(unit.write(*number))
            }
            _ => None,
        }
    }
}

impl Unit {
    fn range(self, property: &Property) -> (i64, i64) {
        let bound = |value: &Option<serde_json::Value>| value.as_ref().and_then(|value| self.read(value));
        (bound(&property.min).unwrap_or(0), bound(&property.max).unwrap_or(i64::MAX))
    }
}

/// `tls-verify` as a part of the name of a type: `TlsVerify`.
fn camel(name: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('-').map(part).collect()
}

/// What the user of one element has set.
#[derive(Default)]
pub(crate) struct Values(Mutex<BTreeMap<String, (Kind, Held)>>);

impl Values {
    /// Takes a value.
    pub(crate) fn set(&self, all: &Properties, spec: &glib::ParamSpec, value: &glib::Value) {
        let Some(described) = all.find(spec) else { return };
        if let Some(held) = described.kind.take(value) {
            self.locked().insert(described.setting.clone(), (described.kind, held));
        }
    }

    /// The value of a property.
    pub(crate) fn get(&self, all: &Properties, spec: &glib::ParamSpec) -> glib::Value {
        let values = self.locked();
        let held = all.find(spec).and_then(|described| values.get(&described.setting));
        held.and_then(|(kind, held)| kind.give(held)).unwrap_or_else(|| spec.default_value().clone())
    }

    /// The settings as text, as a pipeline has them.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let values = self.locked();
        values.iter().filter_map(|(name, (kind, held))| Some((name.clone(), kind.text(held)?))).collect()
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// The first that cannot be, of kind [`millstream_core::ErrorKind::Settings`].
    pub(crate) fn settings(&self, factory: &Factory) -> Result<AnySettings> {
        let node = Node::map(self.texts().into_iter().map(|(name, text)| (name, Node::scalar(text))));
        let settings = factory.settings.parse(&node).map_err(|error| Error::settings(error.to_string()))?;
        factory.check_settings(&*settings)?;
        Ok(settings)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, (Kind, Held)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
