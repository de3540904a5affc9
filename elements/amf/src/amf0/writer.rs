//! Writes AMF0.

use bytes::BufMut;

use super::marker;
use crate::amf3;
use crate::source::MAX_DEPTH;
use crate::value::{Properties, Value};

/// Appends a value.
///
/// What AMF0 lacks: integers become numbers; AMF3 arrays, byte arrays, vectors and dictionaries are written as AMF3 behind the
/// switch marker. Strings of 64 KiB and more become long strings; names are cut there. Values nested deeper than
/// [`MAX_DEPTH`] are written as null, since no reader would take them.
pub fn write(value: &Value, out: &mut impl BufMut) {
    write_at(value, out, 1);
}

/// Appends a name: two bytes of length, then text, cut at 65535 bytes.
pub(crate) fn write_name(name: &str, out: &mut impl BufMut) {
    let name = &name[..name.floor_char_boundary(usize::from(u16::MAX))];
    out.put_u16(name.len() as u16);
    out.put_slice(name.as_bytes());
}

fn write_at(value: &Value, out: &mut impl BufMut, depth: usize) {
    if depth >= MAX_DEPTH && value.has_children() {
        return out.put_u8(marker::NULL);
    }
    match value {
        Value::Undefined => out.put_u8(marker::UNDEFINED),
        Value::Null => out.put_u8(marker::NULL),
        Value::Boolean(value) => out.put_slice(&[marker::BOOLEAN, u8::from(*value)]),
        Value::Integer(value) => write_number(f64::from(*value), out),
        Value::Number(value) => write_number(*value, out),
        Value::String(text) => write_string(text, out),
        Value::Object(object) => {
            if object.class_name.is_empty() {
                out.put_u8(marker::OBJECT);
            } else {
                out.put_u8(marker::TYPED_OBJECT);
                write_name(&object.class_name, out);
            }
            write_properties(&object.properties, out, depth);
        }
        Value::EcmaArray(array) => {
            out.put_u8(marker::ECMA_ARRAY);
            out.put_u32(array.length);
            write_properties(&array.properties, out, depth);
        }
        Value::StrictArray(items) => write_items(items, out, depth),
        Value::Date(date) => {
            out.put_u8(marker::DATE);
            out.put_f64(date.ms);
            out.put_i16(date.zone);
        }
        Value::Xml(text) | Value::XmlDocument(text) => write_long(marker::XML_DOCUMENT, text, out),
        Value::Reference(index) => {
            out.put_u8(marker::REFERENCE);
            out.put_u16(u16::try_from(*index).unwrap_or(u16::MAX));
        }
        Value::Unsupported => out.put_u8(marker::UNSUPPORTED),
        Value::Array(_) | Value::ByteArray(_) | Value::Vector(_) | Value::ObjectVector(_) | Value::Dictionary(_) => {
            out.put_u8(marker::AVMPLUS);
            amf3::Writer::new().write_at(value, out, depth);
        }
    }
}

fn write_number(value: f64, out: &mut impl BufMut) {
    out.put_u8(marker::NUMBER);
    out.put_f64(value);
}

fn write_string(text: &str, out: &mut impl BufMut) {
    if text.len() > usize::from(u16::MAX) {
        return write_long(marker::LONG_STRING, text, out);
    }
    out.put_u8(marker::STRING);
    write_name(text, out);
}

fn write_long(marker: u8, text: &str, out: &mut impl BufMut) {
    let text = &text[..text.floor_char_boundary(u32::MAX as usize)];
    out.put_u8(marker);
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

fn write_properties(properties: &Properties, out: &mut impl BufMut, depth: usize) {
    for (name, value) in properties {
        write_name(name, out);
        write_at(value, out, depth + 1);
    }
    out.put_slice(&[0, 0, marker::OBJECT_END]);
}

fn write_items(items: &[Value], out: &mut impl BufMut, depth: usize) {
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    out.put_u8(marker::STRICT_ARRAY);
    out.put_u32(count);
    for item in items.iter().take(count as usize) {
        write_at(item, out, depth + 1);
    }
}
