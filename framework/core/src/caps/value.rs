//! Values of caps fields, fixed and as sets.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// One value of a caps field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A fraction such as a frame rate, in lowest terms, denominator above 0.
    Fraction(i64, i64),
    /// A word or a text.
    Text(Arc<str>),
    /// Raw bytes, such as a decoder configuration.
    Bytes(Bytes),
}

impl Value {
    /// The number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(v) => Some(*v),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(v) => Some(v),
            _ => None,
        }
    }

    /// The bytes, if it is some.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(v) => Some(v),
            _ => None,
        }
    }

    /// Numerator and denominator of a fraction or a whole number.
    pub fn as_fraction(&self) -> Option<(i64, i64)> {
        match self {
            Self::Fraction(n, d) => Some((*n, *d)),
            Self::Int(v) => Some((*v, 1)),
            _ => None,
        }
    }

    /// A fraction in lowest terms; the denominator is made positive, and 0 is taken as 1.
    pub fn fraction(n: i64, d: i64) -> Self {
        let d = if d == 0 { 1 } else { d };
        let g = gcd(n.unsigned_abs(), d.unsigned_abs()).max(1);
        let g = i64::try_from(g).unwrap_or(1);
        let (n, d) = (n / g, d / g);
        if d < 0 { Self::Fraction(n.saturating_neg(), d.saturating_neg()) } else { Self::Fraction(n, d) }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}

impl From<i32> for Value {
    fn from(v: i32) -> Self {
        Self::Int(v.into())
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self::Int(v.into())
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(v.into())
    }
}

impl From<Bytes> for Value {
    fn from(v: Bytes) -> Self {
        Self::Bytes(v)
    }
}

impl From<(i64, i64)> for Value {
    fn from((n, d): (i64, i64)) -> Self {
        Self::fraction(n, d)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Fraction(n, d) => write!(f, "{n}/{d}"),
            Self::Text(v) if super::text::is_plain_word(v) => f.write_str(v),
            Self::Text(v) => write!(f, "\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Bytes(v) => {
                f.write_str("(buffer)")?;
                v.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

/// What a field may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ValueSet {
    /// Exactly this.
    One(Value),
    /// Any of these.
    List(Vec<Value>),
    /// A whole number from the first to the second, both included.
    IntRange(i64, i64),
    /// A fraction from the first to the second, both included.
    FractionRange((i64, i64), (i64, i64)),
}

impl ValueSet {
    /// True when `value` is in the set.
    pub fn contains(&self, value: &Value) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::List(list) => list.contains(value),
            Self::IntRange(low, high) => value.as_int().is_some_and(|v| (*low..=*high).contains(&v)),
            Self::FractionRange(low, high) => value.as_fraction().is_some_and(|v| !less(v, *low) && !less(*high, v)),
        }
    }

    /// What is in both sets; `None` when nothing is.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::IntRange(a, b), Self::IntRange(c, d)) => range_of(*a.max(c), *b.min(d)),
            (Self::FractionRange(a, b), Self::FractionRange(c, d)) => {
                let low = if less(*a, *c) { *c } else { *a };
                let high = if less(*b, *d) { *b } else { *d };
                (!less(high, low)).then_some(Self::FractionRange(low, high))
            }
            (Self::One(v), set) | (set, Self::One(v)) => set.contains(v).then(|| Self::One(v.clone())),
            (Self::List(list), set) | (set, Self::List(list)) => {
                let mut both: Vec<_> = list.iter().filter(|v| set.contains(v)).cloned().collect();
                match both.len() {
                    0 => None,
                    1 => both.pop().map(Self::One),
                    _ => Some(Self::List(both)),
                }
            }
            (Self::IntRange(..), Self::FractionRange(..)) | (Self::FractionRange(..), Self::IntRange(..)) => None,
        }
    }
}

fn range_of(low: i64, high: i64) -> Option<ValueSet> {
    match low.cmp(&high) {
        std::cmp::Ordering::Less => Some(ValueSet::IntRange(low, high)),
        std::cmp::Ordering::Equal => Some(ValueSet::One(Value::Int(low))),
        std::cmp::Ordering::Greater => None,
    }
}

fn less((an, ad): (i64, i64), (bn, bd): (i64, i64)) -> bool {
    i128::from(an) * i128::from(bd) < i128::from(bn) * i128::from(ad)
}

impl fmt::Display for ValueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(v) => write!(f, "{v}"),
            Self::List(list) => {
                f.write_str("{ ")?;
                for (i, v) in list.iter().enumerate() {
                    write!(f, "{}{v}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(" }")
            }
            Self::IntRange(low, high) => write!(f, "[ {low}, {high} ]"),
            Self::FractionRange(low, high) => write!(f, "[ {}/{}, {}/{} ]", low.0, low.1, high.0, high.1),
        }
    }
}
