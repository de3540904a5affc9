//! The tree that every text form is read into.

/// A range of byte offsets into one source text: `start` inclusive, `end` exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// A span from `start` to `end`; an `end` before `start` gives an empty span at `start`.
    #[must_use]
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end: end.max(start) }
    }

    /// A span from `usize` offsets. Offsets beyond 4 GiB are held at the end: readers refuse such texts long before.
    #[must_use]
    pub fn of(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self::new(clamp(start), clamp(end))
    }

    /// The empty span at `offset`.
    #[must_use]
    pub fn at(offset: u32) -> Self {
        Self::new(offset, offset)
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether no byte is in the span.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// The key of a mapping entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key without quotes.
    pub text: String,
    /// Where it stands in the source.
    pub span: Span,
}

/// A value with its place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the value stands. A value that `${…}` was replaced in keeps the place of the text before.
    pub span: Span,
    /// The value.
    pub kind: NodeKind,
}

/// What a [`Node`] holds. Scalars stay text until a settings type asks for a number, a flag or a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// Nothing: `~`, `null` or an empty value.
    Null,
    /// Text, with escapes already resolved.
    Scalar {
        /// The text.
        text: String,
        /// Whether it stood in quotes. Only untyped places (a JSON value) care.
        quoted: bool,
    },
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order of the source; keys are unique.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// An unquoted scalar without a place, for tests and for graphs made in code.
    #[must_use]
    pub fn scalar(text: impl Into<String>) -> Self {
        Self { span: Span::default(), kind: NodeKind::Scalar { text: text.into(), quoted: false } }
    }

    /// A mapping without places.
    #[must_use]
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries =
            entries.into_iter().map(|(key, value)| (Key { text: key.into(), span: Span::default() }, value)).collect();
        Self { span: Span::default(), kind: NodeKind::Map(entries) }
    }

    /// A list without places.
    #[must_use]
    pub fn seq(items: impl IntoIterator<Item = Self>) -> Self {
        Self { span: Span::default(), kind: NodeKind::Seq(items.into_iter().collect()) }
    }

    /// A mapping with no entries at `span`.
    #[must_use]
    pub fn empty_map(span: Span) -> Self {
        Self { span, kind: NodeKind::Map(Vec::new()) }
    }

    /// The text, if this is a scalar.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The entries, if this is a mapping.
    #[must_use]
    pub fn entries(&self) -> Option<&[(Key, Self)]> {
        match &self.kind {
            NodeKind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry `key` of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(k, _)| k.text == key).map(|(_, value)| value)
    }

    /// What this is, for error texts: "a list", "the text `abc`".
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::Null => "nothing".to_owned(),
            NodeKind::Scalar { text, .. } => format!("`{}`", shorten(text)),
            NodeKind::Seq(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
        }
    }
}

impl From<&serde_json::Value> for Node {
    /// The same tree from JSON, without places; numbers and flags become their text.
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        let scalar = |text: String, quoted| Self { span: Span::default(), kind: NodeKind::Scalar { text, quoted } };
        match value {
            Value::Null => Self { span: Span::default(), kind: NodeKind::Null },
            Value::Bool(flag) => scalar(flag.to_string(), false),
            Value::Number(number) => scalar(number.to_string(), false),
            Value::String(text) => scalar(text.clone(), true),
            Value::Array(items) => Self::seq(items.iter().map(Self::from)),
            Value::Object(entries) => Self::map(entries.iter().map(|(key, value)| (key.clone(), Self::from(value)))),
        }
    }
}

/// Longest text that an error message repeats, in characters: enough to recognise, short enough for one line.
const MAX_QUOTED: usize = 60;

fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_QUOTED {
        return text.to_owned();
    }
    text.chars().take(MAX_QUOTED).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_spans_both_ends() {
        assert_eq!(Span::new(4, 9).join(Span::new(1, 5)), Span::new(1, 9));
        assert_eq!(Span::new(7, 3), Span::at(7));
    }

    #[test]
    fn json_becomes_text_scalars() {
        let json: serde_json::Value = serde_json::json!({"a": 1.5, "b": [true, null, "x"]});
        let node = Node::from(&json);
        assert_eq!(node.get("a").and_then(Node::as_str), Some("1.5"));
        let Some(NodeKind::Seq(items)) = node.get("b").map(|n| &n.kind) else { panic!("a list") };
        assert_eq!(items[0].as_str(), Some("true"));
        assert_eq!(items[1].kind, NodeKind::Null);
        assert_eq!(items[2].kind, NodeKind::Scalar { text: "x".into(), quoted: true });
    }

    #[test]
    fn long_text_is_shortened_on_a_character_boundary() {
        let described = Node::scalar("é".repeat(100)).describe();
        assert_eq!(described.chars().filter(|c| *c == 'é').count(), MAX_QUOTED);
        assert!(described.ends_with("…`"));
    }
}
