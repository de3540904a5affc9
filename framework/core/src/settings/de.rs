//! Our serde `Deserializer` over a [`Node`]: text becomes what the settings type asks for.

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{Key, Node, NodeKind, SettingsError, SettingsErrorKind};

/// Fills a serde type from a [`Node`].
///
/// Scalars are text and become what the type asks for: numbers (decimal or `0x…`), flags (`true`/`false`, `yes`/`no`,
/// `on`/`off`, `1`/`0`), text, unit variants of enums, newtypes. One value where a list is wanted is a list of one. Errors
/// hold the place of the innermost value.
#[derive(Debug, Clone, Copy)]
pub struct NodeDeserializer<'a> {
    node: &'a Node,
}

impl<'a> NodeDeserializer<'a> {
    /// A deserializer for `node`.
    #[must_use]
    pub fn new(node: &'a Node) -> Self {
        Self { node }
    }

    fn text(self, expected: &str) -> Result<&'a str, SettingsError> {
        self.node.as_str().ok_or_else(|| self.wrong(expected))
    }

    fn wrong(self, expected: &str) -> SettingsError {
        SettingsError::new(SettingsErrorKind::WrongType { expected: expected.to_owned(), found: self.node.describe() })
            .or_at(self.node.span)
    }

    fn at<T>(self, result: Result<T, SettingsError>) -> Result<T, SettingsError> {
        result.map_err(|error| error.or_at(self.node.span))
    }

    fn whole_number(self, min: i128, max: i128) -> Result<i128, SettingsError> {
        let text = self.text(WHOLE_NUMBER)?;
        let value = parse_whole(text).ok_or_else(|| self.wrong(WHOLE_NUMBER))?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        let kind = SettingsErrorKind::OutOfRange {
            value: text.to_owned(),
            min: Some(min.to_string()),
            max: Some(max.to_string()),
        };
        Err(SettingsError::new(kind).or_at(self.node.span))
    }
}

const WHOLE_NUMBER: &str = "a whole number";

/// A whole number as people write it: `-3`, `+4`, `0x1F`.
pub(super) fn parse_whole(text: &str) -> Option<i128> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.starts_with(['+', '-']) => None,
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A flag as people write it.
pub(super) fn parse_flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
            let value = self.whole_number(<$type>::MIN.into(), <$type>::MAX.into())?;
            let value = <$type>::try_from(value).map_err(|_| self.wrong(WHOLE_NUMBER))?;
            self.at(visitor.$visit(value))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'de> {
    type Error = SettingsError;

    whole_numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        match &self.node.kind {
            NodeKind::Null => self.at(visitor.visit_unit()),
            NodeKind::Seq(_) => self.deserialize_seq(visitor),
            NodeKind::Map(_) => self.deserialize_map(visitor),
            NodeKind::Scalar { text, quoted: true } => self.at(visitor.visit_borrowed_str(text)),
            NodeKind::Scalar { text, quoted: false } => self.at(visit_guess(text, visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        const EXPECTED: &str = "true or false";
        let flag = parse_flag(self.text(EXPECTED)?).ok_or_else(|| self.wrong(EXPECTED))?;
        self.at(visitor.visit_bool(flag))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        const EXPECTED: &str = "a number";
        let number: f64 = self.text(EXPECTED)?.trim().parse().map_err(|_| self.wrong(EXPECTED))?;
        if !number.is_finite() {
            return Err(self.wrong(EXPECTED));
        }
        self.at(visitor.visit_f64(number))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        let text = self.text("one character")?;
        self.at(visitor.visit_borrowed_str(text))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        let text = self.text("text")?;
        self.at(visitor.visit_borrowed_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        match self.node.kind {
            NodeKind::Null => self.at(visitor.visit_none()),
            _ => self.at(visitor.visit_some(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        self.at(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        let items = match &self.node.kind {
            NodeKind::Seq(items) => items.as_slice(),
            NodeKind::Null => &[],
            NodeKind::Scalar { .. } => std::slice::from_ref(self.node),
            NodeKind::Map(_) => return Err(self.wrong("a list")),
        };
        let mut access = Items { items: items.iter().enumerate() };
        let value = self.at(visitor.visit_seq(&mut access))?;
        match access.items.next() {
            Some((index, extra)) => {
                let found = format!("{} entries", items.len());
                let kind = SettingsErrorKind::WrongType { expected: format!("{index} entries"), found };
                Err(SettingsError::new(kind).or_at(extra.span))
            }
            None => Ok(value),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, SettingsError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        let entries = match &self.node.kind {
            NodeKind::Map(entries) => entries.as_slice(),
            NodeKind::Null => &[],
            _ => return Err(self.wrong("a mapping of properties")),
        };
        self.at(visitor.visit_map(Entries { entries: entries.iter(), value: None }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        const EXPECTED: &str = "one of the choices";
        match &self.node.kind {
            NodeKind::Scalar { text, .. } => self.at(visitor.visit_enum(text.as_str().into_deserializer())),
            NodeKind::Map(entries) => match entries.as_slice() {
                [(key, value)] => self.at(visitor.visit_enum(Variant { key, value })),
                _ => Err(self.wrong(EXPECTED)),
            },
            _ => Err(self.wrong(EXPECTED)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingsError> {
        self.at(visitor.visit_unit())
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct identifier }
}

/// The type that plain text has where no type asks: YAML 1.2 core schema (section 10.3), with flags spelled out only.
fn visit_guess<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, SettingsError> {
    if matches!(text, "true" | "false") {
        return visitor.visit_bool(text == "true");
    }
    if let Some(number) = parse_whole(text) {
        if let Ok(number) = u64::try_from(number) {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = i64::try_from(number) {
            return visitor.visit_i64(number);
        }
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => visitor.visit_f64(number),
        _ => visitor.visit_borrowed_str(text),
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> de::SeqAccess<'de> for &mut Items<'de> {
    type Error = SettingsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, SettingsError> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        seed.deserialize(NodeDeserializer { node })
            .map(Some)
            .map_err(|error| error.or_at(node.span).inside(format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a (Key, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = SettingsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SettingsError> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        let text: de::value::StrDeserializer<'de, SettingsError> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|error| error.or_at(key.span))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, SettingsError> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(NodeDeserializer { node }).map_err(|error| error.or_at(node.span).inside(&key.text))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// An enum variant with content, written `{ variant: content }`.
struct Variant<'a> {
    key: &'a Key,
    value: &'a Node,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = SettingsError;
    type Variant = NodeDeserializer<'de>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), SettingsError> {
        let text: de::value::StrDeserializer<'de, SettingsError> = self.key.text.as_str().into_deserializer();
        let variant = seed.deserialize(text).map_err(|error| error.or_at(self.key.span))?;
        Ok((variant, NodeDeserializer { node: self.value }))
    }
}

impl<'de> de::VariantAccess<'de> for NodeDeserializer<'de> {
    type Error = SettingsError;

    fn unit_variant(self) -> Result<(), SettingsError> {
        match self.node.kind {
            NodeKind::Null => Ok(()),
            _ => Err(self.wrong("nothing")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, SettingsError> {
        self.at(seed.deserialize(self))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, SettingsError> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SettingsError> {
        de::Deserializer::deserialize_map(self, visitor)
    }
}
