//! What can be wrong with settings.

use std::fmt;

use super::Span;

/// A fault in settings: where, which property, what.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsError {
    /// The innermost place that is known; `None` for settings that came from no text.
    pub span: Option<Span>,
    /// Property names from the outermost in; list positions as `[2]`.
    pub path: Vec<String>,
    /// What is wrong.
    pub kind: SettingsErrorKind,
}

/// The kinds of fault. Texts are phrases without a full stop.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingsErrorKind {
    /// A property that the settings do not have.
    UnknownProperty {
        /// The name as written.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A value of another type, a missing unit, or text that is no number.
    WrongType {
        /// What is wanted, e.g. "a whole number".
        expected: String,
        /// What is there, e.g. "`abc`".
        found: String,
    },
    /// A number outside its range.
    OutOfRange {
        /// The number as written.
        value: String,
        /// The lowest value allowed, if there is one.
        min: Option<String>,
        /// The highest value allowed, if there is one.
        max: Option<String>,
    },
    /// A property without default that is not there.
    MissingProperty {
        /// Its name.
        name: String,
    },
    /// A word that is none of the choices.
    UnknownVariant {
        /// The word as written.
        name: String,
        /// The choices.
        known: Vec<String>,
    },
    /// Whatever else a settings type refuses, in its words.
    Custom(String),
}

impl SettingsError {
    /// A fault without a place yet; [`SettingsError::or_at`] adds it.
    #[must_use]
    pub fn new(kind: SettingsErrorKind) -> Self {
        Self { span: None, path: Vec::new(), kind }
    }

    /// The same fault at `span`, unless a place further in is known.
    #[must_use]
    pub fn or_at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// The same fault inside property (or list position) `segment`.
    #[must_use]
    pub fn inside(mut self, segment: impl Into<String>) -> Self {
        self.path.insert(0, segment.into());
        self
    }

    /// The property as dotted text, `limits.max-bytes`; empty for a fault of the settings as a whole.
    #[must_use]
    pub fn property(&self) -> String {
        self.path.iter().fold(String::new(), |mut text, segment| {
            if !text.is_empty() && !segment.starts_with('[') {
                text.push('.');
            }
            text + segment
        })
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "property `{}`: ", self.property())?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for SettingsErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProperty { name, .. } => write!(f, "unknown property `{name}`"),
            Self::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::OutOfRange { value, min, max } => {
                write!(f, "`{value}` is out of range, it must be {}", range_text(min.as_deref(), max.as_deref()))
            }
            Self::MissingProperty { name } => write!(f, "property `{name}` is missing"),
            Self::UnknownVariant { name, known } => {
                write!(f, "`{name}` is not one of {}", known.join(", "))
            }
            Self::Custom(text) => f.write_str(text),
        }
    }
}

/// A range in words: "1 to 10", "at least 1", "at most 10".
pub(super) fn range_text(min: Option<&str>, max: Option<&str>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "smaller".to_owned(),
    }
}

impl std::error::Error for SettingsError {}

impl serde::de::Error for SettingsError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(SettingsErrorKind::Custom(text.to_string()))
    }

    fn invalid_type(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(SettingsErrorKind::WrongType { expected: expected.to_string(), found: found.to_string() })
    }

    fn invalid_value(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(len: usize, expected: &dyn serde::de::Expected) -> Self {
        Self::new(SettingsErrorKind::WrongType { expected: expected.to_string(), found: format!("{len} entries") })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(SettingsErrorKind::UnknownVariant { name: name.to_owned(), known: owned(known) })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(SettingsErrorKind::UnknownProperty { name: name.to_owned(), known: owned(known) })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(SettingsErrorKind::MissingProperty { name: name.to_owned() })
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::custom(format_args!("property `{name}` is given twice"))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
