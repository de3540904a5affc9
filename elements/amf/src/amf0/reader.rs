//! Reads AMF0.

use super::marker;
use crate::amf3;
use crate::error::{AmfError, AmfErrorKind};
use crate::source::Source;
use crate::value::{Date, EcmaArray, Object, Properties, Value};

/// Reads the values of a message one after the other.
///
/// Lenient where peers are sloppy: the declared length of an ECMA array is kept but not believed, and an object whose end
/// marker is missing at the end of the message is taken as ended (see [`Reader::missing_end`]).
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    source: Source<'a>,
    missing_end: bool,
    compounds: u32,
    /// A value in AMF3 had objects in it, which the references of AMF0 do not count.
    mixed: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a data or command message, or of script data.
    pub fn new(data: &'a [u8]) -> Self {
        Self { source: Source::new(data), missing_end: false, compounds: 0, mixed: false }
    }

    /// A reader of a message of an AMF3 type (15, 16, 17), which begins with the format selector 0; the values behind it are
    /// AMF0 still, each of which may switch to AMF3 (Enhanced RTMP v2, "Important AMF3-encoded Historical Specification
    /// Clarification"). A message without the selector is read as if it were there.
    pub fn for_amf3_message(data: &'a [u8]) -> Self {
        let mut reader = Self::new(data);
        // A number's marker is 0 as well, but no message begins with a number.
        if data.first() == Some(&0) {
            reader.source.skip(1);
        }
        reader
    }

    /// The next value.
    ///
    /// # Errors
    /// [`AmfError`] at the end of the input, for an unknown marker, a lying length or an exceeded limit. The reader then
    /// stands inside the value, and nothing further can be read.
    pub fn read(&mut self) -> Result<Value, AmfError> {
        self.source.enter()?;
        let value = self.value();
        self.source.leave();
        value
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.source.rest().is_empty()
    }

    /// The bytes that were not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.source.rest()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.source.at()
    }

    /// Passes over bytes between values that are not AMF, such as the zero byte behind each entry of a shared object.
    pub fn skip(&mut self, len: usize) {
        self.source.skip(len);
    }

    /// Whether the end marker of an object was missing at the end of the message.
    pub fn missing_end(&self) -> bool {
        self.missing_end
    }

    /// A property name as shared objects and `@setDataFrame`-like bodies have it: two bytes of length, then text.
    ///
    /// # Errors
    /// [`AmfErrorKind::Truncated`] if it is not all there.
    pub fn read_name(&mut self) -> Result<String, AmfError> {
        let len = self.source.u16("length of a name")?;
        self.source.text(usize::from(len), "name")
    }

    fn value(&mut self) -> Result<Value, AmfError> {
        let marker = self.source.u8("marker")?;
        Ok(match marker {
            marker::NUMBER => Value::Number(self.source.f64("number")?),
            marker::BOOLEAN => Value::Boolean(self.source.u8("boolean")? != 0),
            marker::STRING => Value::String(self.read_name()?),
            marker::OBJECT => self.object(String::new)?,
            marker::NULL => Value::Null,
            marker::UNDEFINED => Value::Undefined,
            marker::REFERENCE => self.reference()?,
            marker::ECMA_ARRAY => self.ecma_array()?,
            marker::STRICT_ARRAY => self.strict_array()?,
            marker::DATE => self.date()?,
            marker::LONG_STRING => Value::String(self.long_text()?),
            marker::UNSUPPORTED => Value::Unsupported,
            marker::XML_DOCUMENT => Value::XmlDocument(self.long_text()?),
            marker::TYPED_OBJECT => {
                let class_name = self.read_name()?;
                self.object(|| class_name)?
            }
            marker::AVMPLUS => self.amf3_value()?,
            other => {
                return Err(AmfError {
                    offset: self.source.at().saturating_sub(1),
                    kind: AmfErrorKind::Marker0(other),
                });
            }
        })
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        let len = self.source.u32("length of a long string")?;
        self.source.text(usize::try_from(len).unwrap_or(usize::MAX), "long string")
    }

    fn object(&mut self, class_name: impl FnOnce() -> String) -> Result<Value, AmfError> {
        self.compounds += 1;
        let properties = self.properties()?;
        Ok(Value::Object(Box::new(Object { class_name: class_name(), sealed: 0, dynamic: true, properties })))
    }

    fn ecma_array(&mut self) -> Result<Value, AmfError> {
        self.compounds += 1;
        let length = self.source.u32("length of an ECMA array")?;
        Ok(Value::EcmaArray(EcmaArray { length, properties: self.properties()? }))
    }

    /// Names and values up to the empty name with the end marker. Each turn takes three bytes or more.
    fn properties(&mut self) -> Result<Properties, AmfError> {
        let mut properties = Properties::new();
        loop {
            if matches!(self.source.rest(), [] | [0] | [0, 0]) {
                self.missing_end = true;
                self.source.skip(2);
                return Ok(properties);
            }
            let name = self.read_name()?;
            if name.is_empty() && self.source.rest().first() == Some(&marker::OBJECT_END) {
                self.source.skip(1);
                return Ok(properties);
            }
            properties.push((name, self.read()?));
        }
    }

    /// The count is not believed further than bytes last: each item takes one or more.
    fn strict_array(&mut self) -> Result<Value, AmfError> {
        self.compounds += 1;
        let count = self.source.u32("length of a strict array")?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.read()?);
        }
        Ok(Value::StrictArray(items))
    }

    fn date(&mut self) -> Result<Value, AmfError> {
        let ms = self.source.f64("date")?;
        let zone = i16::from_be_bytes(self.source.array("time zone")?);
        Ok(Value::Date(Date { ms, zone }))
    }

    fn reference(&mut self) -> Result<Value, AmfError> {
        let index = u32::from(self.source.u16("reference")?);
        if self.mixed {
            return self.source.error(AmfErrorKind::MixedReference(index));
        }
        if index >= self.compounds {
            let known = self.compounds as usize;
            return self.source.error(AmfErrorKind::Reference { what: "objects", index, known });
        }
        Ok(Value::Reference(index))
    }

    /// The switch lasts for one value, whose reference tables begin empty.
    fn amf3_value(&mut self) -> Result<Value, AmfError> {
        let mut nested = amf3::Reader::with_source(self.source.nested());
        let offset = self.source.at();
        let value = nested.read().map_err(|error| AmfError { offset: error.offset.saturating_add(offset), ..error })?;
        self.source.resume(nested.source());
        self.mixed |= nested.objects() > 0;
        match nested.last_reference() {
            // Written again it would be an AMF0 object, where the index means another one.
            Some(index) if !value.is_amf3_only() => self.source.error(AmfErrorKind::MixedReference(index)),
            _ => Ok(value),
        }
    }
}

/// Reads all values of a message.
///
/// # Errors
/// Those of [`Reader::read`].
pub fn read_all(data: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut reader = Reader::new(data);
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(reader.read()?);
    }
    Ok(values)
}
