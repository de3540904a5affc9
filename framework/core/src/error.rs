//! Errors, sorted by what the runtime should do about them.

use std::fmt;
use std::sync::Arc;

use crate::element::PadId;

/// The result of everything an element does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the runtime should do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The input breaks its own format. Elements drop and count small damage themselves; this ends the stream.
    Malformed,
    /// The timeline broke in a way that the element cannot bridge: reset and go on.
    Discontinuity,
    /// A named limit was reached.
    Limit,
    /// Valid, but not something this element can do.
    Unsupported,
    /// The other end of a connection misbehaved; concerns this session only.
    Peer,
    /// The operating system refused: retry where the policy says so.
    Io,
    /// The user's settings cannot work.
    Settings,
    /// The element itself is wrong.
    Bug,
}

impl ErrorKind {
    /// One word for logs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Discontinuity => "discontinuity",
            Self::Limit => "limit",
            Self::Unsupported => "unsupported",
            Self::Peer => "peer",
            Self::Io => "io",
            Self::Settings => "settings",
            Self::Bug => "bug",
        }
    }
}

/// What went wrong, where, and what may help. One pointer wide, because it travels on the hot path as the unlikely case.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    element: Option<Arc<str>>,
    pad: Option<PadId>,
    offset: Option<u64>,
    property: Option<&'static str>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind. `message` begins in lower case and names the party to blame.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            element: None,
            pad: None,
            offset: None,
            property: None,
            hint: None,
            source: None,
        }))
    }

    /// [`ErrorKind::Malformed`].
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// [`ErrorKind::Limit`].
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// [`ErrorKind::Settings`].
    pub fn settings(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Settings, message)
    }

    /// [`ErrorKind::Bug`].
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// [`ErrorKind::Io`]: what was being done, and what the operating system said.
    pub fn io(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, doing).caused_by(source)
    }

    /// Adds the byte offset in the input.
    pub fn at(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Adds the pad.
    pub fn on_pad(mut self, pad: PadId) -> Self {
        self.0.pad = Some(pad);
        self
    }

    /// Adds the property that is to blame, as it is written in pipelines. The message names it too.
    pub fn on_property(mut self, property: &'static str) -> Self {
        self.0.property = Some(property);
        self
    }

    /// Adds a repair that the user can carry out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the element, unless it is named already.
    pub fn in_element(mut self, name: &Arc<str>) -> Self {
        self.0.element.get_or_insert_with(|| name.clone());
        self
    }

    /// The same error for a second reader, with its cause as text.
    pub fn copy(&self) -> Self {
        let Inner { kind, message, element, pad, offset, property, hint, source } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            message: message.clone(),
            element: element.clone(),
            pad: *pad,
            offset: *offset,
            property: *property,
            hint: hint.clone(),
            source: source.as_ref().map(|e| e.to_string().into()),
        }))
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, without place and cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The element that reported it.
    pub fn element(&self) -> Option<&str> {
        self.0.element.as_deref()
    }

    /// Byte offset in the input.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The property to blame.
    pub fn property(&self) -> Option<&'static str> {
        self.0.property
    }

    /// A repair.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.0;
        if let Some(element) = &e.element {
            write!(f, "{element}: ")?;
        }
        f.write_str(&e.message)?;
        if let Some(offset) = e.offset {
            write!(f, " (at byte {offset})")?;
        }
        if let Some(source) = &e.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} error: {self}", self.0.kind.name())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_where_and_why() {
        let error =
            Error::io("cannot write out.ts", std::io::Error::other("disk full")).at(7).in_element(&"sink".into());
        assert_eq!(error.to_string(), "sink: cannot write out.ts (at byte 7): disk full");
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
