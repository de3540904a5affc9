//! Reads AMF3.

use std::rc::Rc;

use bytes::Bytes;

use super::{marker, u29};
use crate::error::{AmfError, AmfErrorKind};
use crate::source::Source;
use crate::value::{Array, Date, Dictionary, Object, ObjectVector, Properties, Value, Vector};

/// Reads values one after the other; the reference tables live as long as the reader.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    source: Source<'a>,
    strings: Vec<Rc<str>>,
    traits: Vec<Rc<Traits>>,
    objects: u32,
    last_reference: Option<u32>,
}

/// The shape of a class (AMF 3, 3.12).
#[derive(Debug)]
struct Traits {
    class_name: Rc<str>,
    members: Vec<Rc<str>>,
    dynamic: bool,
}

/// What a compound value begins with.
enum Head {
    /// It was sent before.
    Seen(Value),
    /// A new one: the U29 without its lowest bit.
    New(u32),
}

impl<'a> Reader<'a> {
    /// A reader with empty tables.
    pub fn new(data: &'a [u8]) -> Self {
        Self::with_source(Source::new(data))
    }

    pub(crate) fn with_source(source: Source<'a>) -> Self {
        Self { source, strings: Vec::new(), traits: Vec::new(), objects: 0, last_reference: None }
    }

    pub(crate) fn source(&self) -> &Source<'a> {
        &self.source
    }

    /// Values so far that a reference could mean.
    pub(crate) fn objects(&self) -> u32 {
        self.objects
    }

    /// The last reference to an object.
    pub(crate) fn last_reference(&self) -> Option<u32> {
        self.last_reference
    }

    /// The next value. References to objects stay [`Value::Reference`]; their index counts objects, arrays, dates, XML, byte
    /// arrays, vectors and dictionaries in the order in which they began.
    ///
    /// # Errors
    /// [`AmfError`] at the end of the input, for an unknown marker, an externalizable class, a wrong reference, a lying
    /// length or an exceeded limit.
    pub fn read(&mut self) -> Result<Value, AmfError> {
        self.source.enter()?;
        let value = self.value();
        self.source.leave();
        value
    }

    /// A string without a marker, as names are written.
    ///
    /// # Errors
    /// Those of [`Reader::read`].
    pub fn read_name(&mut self) -> Result<String, AmfError> {
        Ok(String::from(&*self.string()?))
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.source.rest().is_empty()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.source.at()
    }

    /// The bytes that were not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.source.rest()
    }

    fn value(&mut self) -> Result<Value, AmfError> {
        let marker = self.source.u8("marker")?;
        Ok(match marker {
            marker::UNDEFINED => Value::Undefined,
            marker::NULL => Value::Null,
            marker::FALSE => Value::Boolean(false),
            marker::TRUE => Value::Boolean(true),
            marker::INTEGER => Value::Integer(u29::to_signed(u29::read(&mut self.source, "integer")?)),
            marker::DOUBLE => Value::Number(self.source.f64("double")?),
            marker::STRING => Value::String(self.read_name()?),
            marker::XML_DOC => self.compound(|reader, head| Ok(Value::XmlDocument(reader.text(head)?)))?,
            marker::DATE => {
                self.compound(|reader, _| Ok(Value::Date(Date { ms: reader.source.f64("date")?, zone: 0 })))?
            }
            marker::ARRAY => self.compound(Self::array)?,
            marker::OBJECT => self.compound(Self::object)?,
            marker::XML => self.compound(|reader, head| Ok(Value::Xml(reader.text(head)?)))?,
            marker::BYTE_ARRAY => self.compound(Self::byte_array)?,
            marker::VECTOR_INT..=marker::VECTOR_DOUBLE => self.compound(|reader, head| reader.vector(marker, head))?,
            marker::VECTOR_OBJECT => self.compound(Self::object_vector)?,
            marker::DICTIONARY => self.compound(Self::dictionary)?,
            other => {
                return Err(AmfError {
                    offset: self.source.at().saturating_sub(1),
                    kind: AmfErrorKind::Marker3(other),
                });
            }
        })
    }

    /// A value of the object table: a reference, or a new one that `read` reads.
    fn compound(&mut self, read: impl FnOnce(&mut Self, u32) -> Result<Value, AmfError>) -> Result<Value, AmfError> {
        match self.head()? {
            Head::Seen(reference) => Ok(reference),
            Head::New(head) => {
                self.objects += 1;
                read(self, head)
            }
        }
    }

    fn head(&mut self) -> Result<Head, AmfError> {
        let head = u29::read(&mut self.source, "length or reference")?;
        if head & 1 == 1 {
            return Ok(Head::New(head >> 1));
        }
        let index = head >> 1;
        if index >= self.objects {
            return self.wrong_reference("objects", index, self.objects as usize);
        }
        self.last_reference = Some(index);
        Ok(Head::Seen(Value::Reference(index)))
    }

    fn wrong_reference<T>(&self, what: &'static str, index: u32, known: usize) -> Result<T, AmfError> {
        self.source.error(AmfErrorKind::Reference { what, index, known })
    }

    fn string(&mut self) -> Result<Rc<str>, AmfError> {
        let head = u29::read(&mut self.source, "length of a string")?;
        if head & 1 == 1 {
            let text: Rc<str> = self.text(head >> 1)?.into();
            if !text.is_empty() {
                self.strings.push(text.clone());
            }
            return Ok(text);
        }
        match self.strings.get((head >> 1) as usize).cloned() {
            Some(text) => {
                self.source.expand(text.len())?;
                Ok(text)
            }
            None => self.wrong_reference("strings", head >> 1, self.strings.len()),
        }
    }

    fn text(&mut self, len: u32) -> Result<String, AmfError> {
        self.source.text(len as usize, "text")
    }

    /// Names and values up to the empty name. Each turn takes two bytes or more.
    fn properties(&mut self, properties: &mut Properties) -> Result<(), AmfError> {
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Ok(());
            }
            properties.push((String::from(&*name), self.read()?));
        }
    }

    /// The count is not believed further than bytes last: each item takes one or more.
    fn items(&mut self, count: u32) -> Result<Vec<Value>, AmfError> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.read()?);
        }
        Ok(items)
    }

    fn array(&mut self, count: u32) -> Result<Value, AmfError> {
        let mut associative = Properties::new();
        self.properties(&mut associative)?;
        Ok(Value::Array(Box::new(Array { dense: self.items(count)?, associative })))
    }

    fn object(&mut self, head: u32) -> Result<Value, AmfError> {
        let traits = self.traits(head)?;
        let mut properties = Properties::new();
        for name in &traits.members {
            self.source.expand(name.len())?;
            properties.push((String::from(&**name), self.read()?));
        }
        if traits.dynamic {
            self.properties(&mut properties)?;
        }
        let class_name = String::from(&*traits.class_name);
        Ok(Value::Object(Box::new(Object {
            class_name,
            sealed: traits.members.len(),
            dynamic: traits.dynamic,
            properties,
        })))
    }

    /// `head`: bit 0 new class, bit 1 externalizable, bit 2 dynamic, then the number of members (or bit 0 unset: an index).
    fn traits(&mut self, head: u32) -> Result<Rc<Traits>, AmfError> {
        if head & 1 == 0 {
            let Some(traits) = self.traits.get((head >> 1) as usize).cloned() else {
                return self.wrong_reference("classes", head >> 1, self.traits.len());
            };
            self.source.expand(traits.class_name.len())?;
            return Ok(traits);
        }
        let class_name = self.string()?;
        if head & 2 != 0 {
            return self.source.error(AmfErrorKind::Externalizable(String::from(&*class_name)));
        }
        let mut members = Vec::new();
        for _ in 0..head >> 3 {
            members.push(self.string()?);
        }
        let traits = Rc::new(Traits { class_name, members, dynamic: head & 4 != 0 });
        self.traits.push(traits.clone());
        Ok(traits)
    }

    fn byte_array(&mut self, len: u32) -> Result<Value, AmfError> {
        Ok(Value::ByteArray(Bytes::copy_from_slice(self.source.bytes(len as usize, "byte array")?)))
    }

    fn vector(&mut self, marker: u8, count: u32) -> Result<Value, AmfError> {
        let fixed = self.source.u8("fixed")? != 0;
        let width = if marker == marker::VECTOR_DOUBLE { 8 } else { 4 };
        let bytes = self.source.bytes((count as usize).saturating_mul(width), "vector")?;
        let (fours, _) = bytes.as_chunks::<4>();
        Ok(Value::Vector(Box::new(match marker {
            marker::VECTOR_INT => {
                Vector::Int { fixed, items: fours.iter().map(|item| i32::from_be_bytes(*item)).collect() }
            }
            marker::VECTOR_UINT => {
                Vector::Uint { fixed, items: fours.iter().map(|item| u32::from_be_bytes(*item)).collect() }
            }
            _ => {
                let (eights, _) = bytes.as_chunks::<8>();
                Vector::Double { fixed, items: eights.iter().map(|item| f64::from_be_bytes(*item)).collect() }
            }
        })))
    }

    fn object_vector(&mut self, count: u32) -> Result<Value, AmfError> {
        let fixed = self.source.u8("fixed")? != 0;
        let class_name = self.read_name()?;
        Ok(Value::ObjectVector(Box::new(ObjectVector { fixed, class_name, items: self.items(count)? })))
    }

    fn dictionary(&mut self, count: u32) -> Result<Value, AmfError> {
        let weak_keys = self.source.u8("weak keys")? != 0;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push((self.read()?, self.read()?));
        }
        Ok(Value::Dictionary(Box::new(Dictionary { weak_keys, entries })))
    }
}
