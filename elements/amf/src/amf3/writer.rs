//! Writes AMF3.

use std::collections::HashMap;

use bytes::BufMut;

use super::{marker, u29};
use crate::source::MAX_DEPTH;
use crate::value::{Object, Properties, Value, Vector};

/// The largest length that fits beside the flag bit.
const MAX_LEN: usize = (u29::MAX >> 1) as usize;
/// The largest number of class members that fits beside the flag bits.
const MAX_MEMBERS: usize = (u29::MAX >> 4) as usize;

/// Writes values one after the other; strings and classes that were sent before become references.
///
/// What AMF3 lacks: an ECMA array becomes an array with names only, a strict array one without, an unsupported value
/// undefined, and a date loses its zone. An integer beyond 29 bits becomes a double. A name that is empty ends an
/// object on the wire, so such properties are left out. Values nested deeper than [`MAX_DEPTH`] become null.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    strings: HashMap<String, u32>,
    traits: HashMap<Shape, u32>,
}

/// Class name, members, dynamic.
type Shape = (String, Vec<String>, bool);

impl Writer {
    /// A writer with empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a value.
    pub fn write(&mut self, value: &Value, out: &mut impl BufMut) {
        self.write_at(value, out, 1);
    }

    /// Appends a string without a marker, as names are written.
    pub fn write_name(&mut self, text: &str, out: &mut impl BufMut) {
        if let Some(index) = self.strings.get(text) {
            return u29::write(index << 1, out);
        }
        write_text(text, out);
        if !text.is_empty() {
            let index = self.strings.len() as u32;
            self.strings.insert(text.into(), index);
        }
    }

    pub(crate) fn write_at(&mut self, value: &Value, out: &mut impl BufMut, depth: usize) {
        if depth >= MAX_DEPTH && value.has_children() {
            return out.put_u8(marker::NULL);
        }
        match value {
            Value::Undefined | Value::Unsupported => out.put_u8(marker::UNDEFINED),
            Value::Null => out.put_u8(marker::NULL),
            Value::Boolean(value) => out.put_u8(if *value { marker::TRUE } else { marker::FALSE }),
            Value::Integer(value) => write_integer(*value, out),
            Value::Number(value) => write_double(*value, out),
            Value::String(text) => {
                out.put_u8(marker::STRING);
                self.write_name(text, out);
            }
            Value::Object(object) => self.write_object(object, out, depth),
            Value::EcmaArray(array) => self.write_array(&[], &array.properties, out, depth),
            Value::StrictArray(items) => self.write_array(items, &Properties::new(), out, depth),
            Value::Array(array) => self.write_array(&array.dense, &array.associative, out, depth),
            Value::Date(date) => {
                out.put_slice(&[marker::DATE, 1]);
                out.put_f64(date.ms);
            }
            Value::Xml(text) => {
                out.put_u8(marker::XML);
                write_text(text, out);
            }
            Value::XmlDocument(text) => {
                out.put_u8(marker::XML_DOC);
                write_text(text, out);
            }
            Value::ByteArray(bytes) => {
                out.put_u8(marker::BYTE_ARRAY);
                let bytes = &bytes[..bytes.len().min(MAX_LEN)];
                write_len(bytes.len(), out);
                out.put_slice(bytes);
            }
            Value::Vector(vector) => write_vector(vector, out),
            Value::ObjectVector(vector) => {
                out.put_u8(marker::VECTOR_OBJECT);
                write_len(vector.items.len().min(MAX_LEN), out);
                out.put_u8(u8::from(vector.fixed));
                self.write_name(&vector.class_name, out);
                self.write_items(&vector.items, out, depth);
            }
            Value::Dictionary(dictionary) => {
                out.put_u8(marker::DICTIONARY);
                write_len(dictionary.entries.len().min(MAX_LEN), out);
                out.put_u8(u8::from(dictionary.weak_keys));
                for (key, value) in dictionary.entries.iter().take(MAX_LEN) {
                    self.write_at(key, out, depth + 1);
                    self.write_at(value, out, depth + 1);
                }
            }
            Value::Reference(index) => {
                out.put_u8(marker::OBJECT);
                u29::write(index << 1, out);
            }
        }
    }

    fn write_items(&mut self, items: &[Value], out: &mut impl BufMut, depth: usize) {
        for item in items.iter().take(MAX_LEN) {
            self.write_at(item, out, depth + 1);
        }
    }

    fn write_properties(&mut self, properties: &[(String, Value)], out: &mut impl BufMut, depth: usize) {
        for (name, value) in properties.iter().filter(|(name, _)| !name.is_empty()) {
            self.write_name(name, out);
            self.write_at(value, out, depth + 1);
        }
        self.write_name("", out);
    }

    fn write_array(&mut self, dense: &[Value], associative: &Properties, out: &mut impl BufMut, depth: usize) {
        out.put_u8(marker::ARRAY);
        write_len(dense.len().min(MAX_LEN), out);
        self.write_properties(associative, out, depth);
        self.write_items(dense, out, depth);
    }

    fn write_object(&mut self, object: &Object, out: &mut impl BufMut, depth: usize) {
        let sealed = object.sealed.min(object.properties.len()).min(MAX_MEMBERS);
        let (members, rest) = object.properties.split_at(sealed);
        // What the class does not declare needs a dynamic class.
        let dynamic = object.dynamic || !rest.is_empty();
        out.put_u8(marker::OBJECT);
        self.write_traits(&object.class_name, members, dynamic, out);
        for (_, value) in members {
            self.write_at(value, out, depth + 1);
        }
        if dynamic {
            self.write_properties(rest, out, depth);
        }
    }

    fn write_traits(&mut self, class: &str, members: &[(String, Value)], dynamic: bool, out: &mut impl BufMut) {
        let shape = (class.into(), members.iter().map(|(name, _)| name.clone()).collect(), dynamic);
        if let Some(index) = self.traits.get(&shape) {
            return u29::write(index << 2 | 0b01, out);
        }
        u29::write((members.len() as u32) << 4 | u32::from(dynamic) << 3 | 0b011, out);
        self.write_name(class, out);
        for (name, _) in members {
            self.write_name(name, out);
        }
        let index = self.traits.len() as u32;
        self.traits.insert(shape, index);
    }
}

fn write_len(len: usize, out: &mut impl BufMut) {
    u29::write((len as u32) << 1 | 1, out);
}

fn write_text(text: &str, out: &mut impl BufMut) {
    let text = &text[..text.floor_char_boundary(MAX_LEN)];
    write_len(text.len(), out);
    out.put_slice(text.as_bytes());
}

fn write_integer(value: i32, out: &mut impl BufMut) {
    if u29::fits_signed(value) {
        out.put_u8(marker::INTEGER);
        u29::write(value as u32, out);
    } else {
        write_double(f64::from(value), out);
    }
}

fn write_double(value: f64, out: &mut impl BufMut) {
    out.put_u8(marker::DOUBLE);
    out.put_f64(value);
}

fn write_vector(vector: &Vector, out: &mut impl BufMut) {
    match vector {
        Vector::Int { fixed, items } => {
            write_vector_head(marker::VECTOR_INT, items.len(), *fixed, out);
            items.iter().take(MAX_LEN).for_each(|item| out.put_i32(*item));
        }
        Vector::Uint { fixed, items } => {
            write_vector_head(marker::VECTOR_UINT, items.len(), *fixed, out);
            items.iter().take(MAX_LEN).for_each(|item| out.put_u32(*item));
        }
        Vector::Double { fixed, items } => {
            write_vector_head(marker::VECTOR_DOUBLE, items.len(), *fixed, out);
            items.iter().take(MAX_LEN).for_each(|item| out.put_f64(*item));
        }
    }
}

fn write_vector_head(marker: u8, len: usize, fixed: bool, out: &mut impl BufMut) {
    out.put_u8(marker);
    write_len(len.min(MAX_LEN), out);
    out.put_u8(u8::from(fixed));
}
