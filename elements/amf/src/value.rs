//! The value that both formats hold.

use bytes::Bytes;

/// Named values in the order in which they were sent. Names may repeat; look-ups take the first.
pub type Properties = Vec<(String, Value)>;

/// A value of AMF0 or AMF3.
///
/// What only one format has is written in the other as its nearest kin; the writers say which.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value.
    #[default]
    Undefined,
    /// The null object.
    Null,
    /// True or false.
    Boolean(bool),
    /// A signed 29-bit number (AMF3 only).
    Integer(i32),
    /// A double.
    Number(f64),
    /// Text.
    String(String),
    /// Named values, perhaps of a class.
    Object(Box<Object>),
    /// Named values of an array (AMF0 only).
    EcmaArray(EcmaArray),
    /// Values by position (AMF0 only).
    StrictArray(Vec<Self>),
    /// Values by position and by name (AMF3 only).
    Array(Box<Array>),
    /// A point in time.
    Date(Date),
    /// An E4X document: AMF3 `xml`; AMF0 knows no difference and reads [`Value::XmlDocument`].
    Xml(String),
    /// An XML document of the older kind.
    XmlDocument(String),
    /// Bytes (AMF3 only).
    ByteArray(Bytes),
    /// Numbers of one type (AMF3 only).
    Vector(Box<Vector>),
    /// Objects of one class (AMF3 only).
    ObjectVector(Box<ObjectVector>),
    /// Values by value (AMF3 only).
    Dictionary(Box<Dictionary>),
    /// Index of a compound value that was sent before in the same message; see [`Value::find_reference`].
    Reference(u32),
    /// What the sender could not serialise (AMF0 only).
    Unsupported,
}

/// Named values: an AMF0 object, an AMF0 typed object or an AMF3 object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The class alias; empty for an anonymous object.
    pub class_name: String,
    /// How many of the properties are members that the class declares (AMF3). They come first.
    pub sealed: usize,
    /// Whether the class takes further properties (AMF3). Always true for AMF0.
    pub dynamic: bool,
    /// Members, then dynamic properties.
    pub properties: Properties,
}

/// An ECMA array of AMF0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EcmaArray {
    /// The length as declared, which need not be the number of properties: writers are sloppy, and in script it is the
    /// highest index plus one.
    pub length: u32,
    /// The properties.
    pub properties: Properties,
}

/// An array of AMF3.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Values at 0, 1, 2 ...
    pub dense: Vec<Value>,
    /// Named values.
    pub associative: Properties,
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Date {
    /// Milliseconds since 1970-01-01T00:00:00 UTC.
    pub ms: f64,
    /// Minutes, reserved by the AMF0 standard yet set by some writers; 0 in AMF3.
    pub zone: i16,
}

/// A typed vector of AMF3.
#[derive(Debug, Clone, PartialEq)]
pub enum Vector {
    /// Signed 32-bit numbers.
    Int {
        /// The length cannot change.
        fixed: bool,
        /// The numbers.
        items: Vec<i32>,
    },
    /// Unsigned 32-bit numbers.
    Uint {
        /// The length cannot change.
        fixed: bool,
        /// The numbers.
        items: Vec<u32>,
    },
    /// Doubles.
    Double {
        /// The length cannot change.
        fixed: bool,
        /// The numbers.
        items: Vec<f64>,
    },
}

/// A vector of objects of AMF3.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectVector {
    /// The length cannot change.
    pub fixed: bool,
    /// The class alias of the items; empty for any.
    pub class_name: String,
    /// The items.
    pub items: Vec<Value>,
}

/// A dictionary of AMF3.
#[derive(Debug, Clone, PartialEq)]
pub struct Dictionary {
    /// Keys are weakly referenced by the player.
    pub weak_keys: bool,
    /// Keys and values.
    pub entries: Vec<(Value, Value)>,
}

impl Value {
    /// An anonymous object.
    pub fn object<K: Into<String>>(properties: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(Box::new(Object::new(properties)))
    }

    /// An ECMA array whose length is the number of properties.
    pub fn ecma_array<K: Into<String>>(properties: impl IntoIterator<Item = (K, Self)>) -> Self {
        let properties = named(properties);
        Self::EcmaArray(EcmaArray { length: u32::try_from(properties.len()).unwrap_or(u32::MAX), properties })
    }

    /// The named values of an object, ECMA array or AMF3 array; peers use them interchangeably.
    pub fn properties(&self) -> Option<&Properties> {
        match self {
            Self::Object(object) => Some(&object.properties),
            Self::EcmaArray(array) => Some(&array.properties),
            Self::Array(array) => Some(&array.associative),
            _ => None,
        }
    }

    /// The values by position of a strict array, AMF3 array or vector of objects.
    pub fn items(&self) -> Option<&[Self]> {
        match self {
            Self::StrictArray(items) => Some(items),
            Self::Array(array) => Some(&array.dense),
            Self::ObjectVector(vector) => Some(&vector.items),
            _ => None,
        }
    }

    /// A named value; none if this holds no named values.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.properties()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Integer(value) => Some(f64::from(*value)),
            _ => None,
        }
    }

    /// The text, if it is some.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// True or false, if it is either.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether this is null or undefined.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }

    /// Whether other values are inside.
    pub(crate) fn has_children(&self) -> bool {
        let named = self.properties().is_some_and(|properties| !properties.is_empty());
        let listed = self.items().is_some_and(|items| !items.is_empty());
        named || listed || matches!(self, Self::Dictionary(dictionary) if !dictionary.entries.is_empty())
    }

    /// Whether AMF0 has no such value and writes it as AMF3.
    pub(crate) fn is_amf3_only(&self) -> bool {
        matches!(
            self,
            Self::Array(_) | Self::ByteArray(_) | Self::Vector(_) | Self::ObjectVector(_) | Self::Dictionary(_)
        )
    }

    /// The compound value that a [`Value::Reference`] inside one of `roots` means, as AMF0 counts: objects and arrays in the
    /// order in which they began. Values are not copied into the place of their references, as these may form cycles.
    pub fn find_reference(roots: &[Self], index: u32) -> Option<&Self> {
        let mut left = index;
        roots.iter().find_map(|root| root.nth_compound(&mut left))
    }

    fn nth_compound(&self, left: &mut u32) -> Option<&Self> {
        let compound = matches!(self, Self::Object(_) | Self::EcmaArray(_) | Self::StrictArray(_));
        if compound {
            match left.checked_sub(1) {
                None => return Some(self),
                Some(less) => *left = less,
            }
        }
        let properties = self.properties().into_iter().flatten().map(|(_, value)| value);
        properties.chain(self.items().unwrap_or_default()).find_map(|value| value.nth_compound(left))
    }
}

impl Object {
    /// An anonymous, dynamic object.
    pub fn new<K: Into<String>>(properties: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self { class_name: String::new(), sealed: 0, dynamic: true, properties: named(properties) }
    }
}

fn named<K: Into<String>>(properties: impl IntoIterator<Item = (K, Value)>) -> Properties {
    properties.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m10_objects_and_ecma_arrays_read_alike() {
        for value in [Value::object([("a", Value::Null)]), Value::ecma_array([("a", Value::Null)])] {
            assert_eq!(value.get("a"), Some(&Value::Null));
            assert_eq!(value.get("b"), None);
        }
    }

    #[test]
    fn rtmp_m10_reference_is_found_in_the_order_of_beginnings() {
        let inner = Value::object([("deep", Value::StrictArray(vec![Value::Boolean(true)]))]);
        let roots = [Value::from("f"), Value::ecma_array([("x", inner.clone()), ("y", Value::Reference(1))])];
        assert_eq!(Value::find_reference(&roots, 0), Some(&roots[1]));
        assert_eq!(Value::find_reference(&roots, 1), Some(&inner));
        assert_eq!(Value::find_reference(&roots, 2), inner.get("deep"));
        assert_eq!(Value::find_reference(&roots, 3), None);
    }

    #[test]
    fn values_are_small() {
        assert!(size_of::<Value>() <= 40, "{}", size_of::<Value>());
    }
}
