//! A source text with a name and a line index.

use millstream_core::settings::Span;

use crate::diagnostic::{Diagnostic, codes};
use crate::yaml;

/// A text that a pipeline is read from, its name for messages and where its lines start.
#[derive(Debug, Clone)]
pub struct SourceText {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

/// A place in a text as people count it: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl SourceText {
    /// A source called `name` (a path, or "command line") with `text`.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let after_newline =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| clamp(i.saturating_add(1)));
        let line_starts = std::iter::once(0).chain(after_newline).collect();
        Self { name: name.into(), text, line_starts }
    }

    /// A source from the bytes of a file.
    ///
    /// # Errors
    /// When the bytes are no UTF-8, or more than a pipeline can have.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Box<Diagnostic>> {
        let name = name.into();
        if bytes.len() > yaml::MAX_FILE_SIZE {
            let message = format!("{name} has {} bytes, more than {}", bytes.len(), yaml::MAX_FILE_SIZE);
            return Err(Box::new(Diagnostic::error(codes::TOO_LARGE, message).hint("is this the right file?")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let d = Diagnostic::error(codes::NOT_UTF8, format!("{name} is not UTF-8 text: see byte {at}"));
                Err(Box::new(
                    d.hint("a media file is played with `launch filesrc location=…`, and looked into with `discover`"),
                ))
            }
        }
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part of the text that `span` covers; empty if it is outside the text or cuts a character.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Line and column of byte `offset`. An offset beyond the end is held at the end.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let index = self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let line_start = self.line_start(index);
        let before = self.floor(offset as usize).max(line_start);
        let column = self.text.get(line_start..before).unwrap_or_default().chars().count();
        Position { line: clamp(index).saturating_add(1), column: clamp(column).saturating_add(1) }
    }

    /// The text of line `line` (from 1) without its line end.
    #[must_use]
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let start = self.line_start(index);
        let end = self.line_starts.get(index.saturating_add(1)).map_or(self.text.len(), |next| *next as usize);
        self.text.get(start..end).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }

    /// Byte offset of the start of line `line` (from 1).
    #[must_use]
    pub fn line_offset(&self, line: u32) -> u32 {
        clamp(self.line_start((line as usize).saturating_sub(1)))
    }

    fn line_start(&self, index: usize) -> usize {
        self.line_starts.get(index).map_or(self.text.len(), |start| *start as usize)
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset = offset.saturating_sub(1);
        }
        offset
    }
}

fn clamp(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// Where each byte of a decoded text stands in its source: a YAML scalar may be folded or hold escapes.
#[derive(Debug, Clone)]
pub(crate) enum SpanMap {
    /// The text stands in the source as it is, from this offset.
    Shift(u32),
    /// One source offset per byte of the text, and one for its end.
    Table(Vec<u32>),
    /// Only the place of the whole is known.
    Whole(Span),
}

impl SpanMap {
    /// Finds `text`, which was decoded from `span` of `source`.
    pub(crate) fn of(source: &SourceText, span: Span, text: &str) -> Self {
        let raw = source.slice(span);
        if raw == text {
            return Self::Shift(span.start);
        }
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if raw.starts_with(['"', '\'']) && inner == text {
            return Self::Shift(span.start.saturating_add(1));
        }
        Self::align(raw, span, text).unwrap_or(Self::Whole(span))
    }

    /// The source span of bytes `start..end` of the text.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        match self {
            Self::Shift(base) => {
                let base = *base as usize;
                Span::of(base.saturating_add(start), base.saturating_add(end))
            }
            Self::Table(offsets) => {
                let first = offsets.get(start).copied().unwrap_or_default();
                let last = match end.checked_sub(1) {
                    Some(last) if end > start => offsets.get(last).map_or(first, |at| at.saturating_add(1)),
                    _ => first,
                };
                Span::new(first, last)
            }
            Self::Whole(span) => *span,
        }
    }

    /// Walks text and source together: white space of any length matches, backslashes and quotes may be skipped.
    fn align(raw: &str, span: Span, text: &str) -> Option<Self> {
        let mut rest = raw.char_indices().peekable();
        if raw.starts_with(['|', '>']) {
            // The header line of a block scalar.
            while rest.next_if(|(_, c)| *c != '\n').is_some() {}
        }
        let mut offsets = Vec::with_capacity(text.len().saturating_add(1));
        let mut in_space = false;
        for wanted in text.chars() {
            if wanted.is_whitespace() && !in_space {
                while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            }
            in_space = wanted.is_whitespace();
            while !in_space && rest.peek().is_some_and(|(_, c)| *c != wanted) {
                rest.next_if(|(_, c)| c.is_whitespace() || matches!(c, '\\' | '"' | '\''))?;
            }
            let found = match in_space {
                true => rest.peek().map_or(raw.len(), |(at, _)| *at),
                false => rest.next()?.0,
            };
            let at = span.start.saturating_add(clamp(found));
            offsets.extend((0..clamp(wanted.len_utf8())).map(|byte| at.saturating_add(byte)));
        }
        offsets.push(span.end);
        Some(Self::Table(offsets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let source = SourceText::new("x", "ab\r\nçé!\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(8), Position { line: 2, column: 3 });
        assert_eq!(source.position(5), Position { line: 2, column: 1 }, "inside a character");
        assert_eq!(source.position(999), Position { line: 3, column: 1 });
        assert_eq!((source.line(1), source.line(2), source.line(3), source.line(9)), ("ab", "çé!", "", ""));
    }

    #[test]
    fn folded_text_is_found_again() {
        let source = SourceText::new("x", "- \"a \\\"b\\\"\n   c\"");
        let span = Span::of(2, source.text().len());
        let map = SpanMap::of(&source, span, "a \"b\" c");
        assert_eq!(source.slice(map.span(3, 4)), "b");
        assert_eq!(source.slice(map.span(6, 7)), "c");
        assert!(matches!(SpanMap::of(&source, span, "zzz"), SpanMap::Whole(_)));
        assert!(matches!(SpanMap::of(&source, Span::of(14, 15), "c"), SpanMap::Shift(14)));
    }
}
