//! Enumerations whose values are read from a schema, as types of GObject.
//!
//! glib's derive macro wants a Rust enum, which would say every value a second time.

#![allow(unsafe_code, reason = "glib registers such types from Rust enums only")]

use std::ffi::CString;

use gstreamer::glib;
use gstreamer::glib::translate::{IntoGlib, from_glib, from_glib_none};
use millstream_core::settings::EnumValue;

/// A type with these values, numbered in order. One that is registered already is given as it is.
pub(crate) fn register(name: &str, values: &[EnumValue]) -> glib::Type {
    if let Some(known) = glib::Type::from_name(name) {
        return known;
    }
    let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default().into_raw().cast_const();
    let number = |value: &EnumValue, index: i32| glib::gobject_ffi::GEnumValue {
        value: index,
        value_name: text(if value.description.is_empty() { &value.name } else { &value.description }),
        value_nick: text(&value.name),
    };
    let end = glib::gobject_ffi::GEnumValue { value: 0, value_name: std::ptr::null(), value_nick: std::ptr::null() };
    let list: Vec<_> = values.iter().zip(0_i32..).map(|(value, index)| number(value, index)).chain([end]).collect();
    let (name, list) = (text(name), Vec::leak(list));
    // SAFETY: the name and the list, which ends with an entry of nulls, are never freed: GObject keeps pointers to them.
    unsafe { from_glib(glib::gobject_ffi::g_enum_register_static(name, list.as_ptr())) }
}

/// A property of such a type.
pub(crate) fn param_spec(name: &str, blurb: &str, kind: glib::Type, flags: glib::ParamFlags) -> glib::ParamSpec {
    let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
    let (name, blurb) = (text(name), text(blurb));
    debug_assert!(kind.is_a(glib::Type::ENUM));
    // SAFETY: the type is an enumeration with a value 0; the texts outlive the call, which copies them, as no flag says that they are static.
    // The specification is floating: `from_glib_none` takes it.
    unsafe {
        from_glib_none(glib::gobject_ffi::g_param_spec_enum(
            name.as_ptr(),
            name.as_ptr(),
            blurb.as_ptr(),
            kind.into_glib(),
            0,
            flags.into_glib(),
        ))
    }
}

/// The number of a value.
pub(crate) fn number(value: &glib::Value) -> Option<i32> {
    glib::EnumValue::from_value(value).map(|(_, choice)| choice.value())
}

/// The word of a number.
pub(crate) fn word(kind: glib::Type, number: i32) -> Option<String> {
    glib::EnumClass::with_type(kind)?.value(number).map(|choice| choice.nick().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_words_and_are_registered_once() {
        let value = |name: &str, doc: &str| EnumValue { name: name.to_owned(), description: doc.to_owned() };
        let values = [value("running", "Running time."), value("keep", "")];
        let kind = register("MillstreamTestChoice", &values);
        assert_eq!(register("MillstreamTestChoice", &values), kind);
        let class = glib::EnumClass::with_type(kind).expect("an enumeration");
        let read: Vec<_> = class.values().iter().map(|v| (v.value(), v.nick(), v.name())).collect();
        assert_eq!(read, [(0, "running", "Running time."), (1, "keep", "keep")]);
        assert_eq!(number(&class.to_value(1).expect("there is one")), Some(1));
        assert_eq!(word(kind, 1).as_deref(), Some("keep"));
        assert_eq!(word(kind, 2), None);
    }
}
