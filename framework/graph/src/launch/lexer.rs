//! Launch text to tokens with places.

use millstream_core::settings::{Node, NodeKind, Span};

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::doc::Spanned;
use crate::source::SpanMap;

/// Most tokens of one line: a line is a pipeline, and each token becomes a value in memory.
pub(super) const MAX_TOKENS: usize = 10_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

impl Token {
    /// Whether this may be the end of a link.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.kind, TokenKind::Name(_) | TokenKind::Ref { .. })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// `!`
    Link,
    /// `(`, perhaps with a kind before it: `bin.(`
    Open(Option<String>),
    /// `)`
    Close,
    /// `key=value`
    Assign { key: Spanned<String>, value: Node },
    /// `name.` or `name.pad`
    Ref { element: Spanned<String>, pad: Option<Spanned<String>> },
    /// A caps filter.
    Caps(String),
    /// A bare word.
    Name(String),
    /// Something that was reported already.
    Bad,
}

/// Types that GStreamer lets stand before a value: `(string)x`. They say nothing here, as the property knows its type.
const VALUE_TYPES: [&str; 20] = [
    "int", "i", "uint", "u", "int64", "uint64", "float", "f", "double", "d", "boolean", "bool", "b", "string", "str",
    "s", "fraction", "enum", "flags", "caps",
];

/// First halves of media types. Anything else with a slash is an element of a plugin (`gst/x264enc`).
const MEDIA_TYPES: [&str; 11] = [
    "audio",
    "video",
    "image",
    "text",
    "application",
    "subpicture",
    "closedcaption",
    "meta",
    "multipart",
    "message",
    "unknown",
];

/// Whether a word begins caps: `video/x-h264`.
fn is_caps_start(word: &str) -> bool {
    word.split_once('/').is_some_and(|(major, minor)| MEDIA_TYPES.contains(&major) && !minor.is_empty())
}

pub(super) fn lex(text: &str, map: &SpanMap, diagnostics: &mut Diagnostics) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, map, diagnostics, tokens: Vec::new() };
    lexer.run();
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    map: &'a SpanMap,
    diagnostics: &'a mut Diagnostics,
    tokens: Vec<Token>,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '%')
}

impl Lexer<'_> {
    fn run(&mut self) {
        loop {
            self.skip_space();
            let Some(c) = self.peek() else { return };
            let start = self.at;
            if self.tokens.len() >= MAX_TOKENS {
                let message = format!("the line has more than {MAX_TOKENS} words");
                self.diagnostics.push(Diagnostic::error(codes::TOO_MANY_TOKENS, message).at(self.span(start), ""));
                return;
            }
            let kind = match c {
                '!' => self.single(TokenKind::Link),
                '(' => self.single(TokenKind::Open(None)),
                ')' => self.single(TokenKind::Close),
                ':' => {
                    self.bump();
                    let d = Diagnostic::error(codes::NOT_SUPPORTED, "links with `:` are not supported");
                    self.bad(d.at(self.span(start), "").hint("use `!`, once for each pad: `a.video ! b  a.audio ! c`"))
                }
                c if is_word(c) => self.word(),
                c => self.stray(c),
            };
            let span = self.span(start);
            self.tokens.push(Token { kind, span });
            if self.at == start {
                // Each round takes a character: stray() takes at least one.
                self.bump();
            }
        }
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.bump();
        kind
    }

    fn bad(&mut self, diagnostic: Diagnostic) -> TokenKind {
        self.diagnostics.push(diagnostic);
        TokenKind::Bad
    }

    /// A character that begins nothing: takes the whole word.
    fn stray(&mut self, c: char) -> TokenKind {
        let start = self.at;
        self.bump();
        self.take_while(|c| !c.is_whitespace());
        let span = self.span(start);
        let word = self.slice(start);
        let d = match c {
            '$' => return self.param_here(start),
            '.' => Diagnostic::error(codes::NOT_SUPPORTED, format!("`{word}` has no element before the dot"))
                .hint("name the element: `name=d` after it, then `d.pad`"),
            '"' | '\'' => Diagnostic::error(codes::LINE_SYNTAX, "a quoted text stands where an element should be")
                .hint("if it is the value of a property, write `property=\"…\"` without white space in between"),
            _ => Diagnostic::error(codes::LINE_SYNTAX, format!("`{word}` is no element and no property")),
        };
        self.bad(d.at(span, ""))
    }

    fn param_here(&mut self, start: usize) -> TokenKind {
        self.take_while(|c| !c.is_whitespace());
        let d = Diagnostic::error(codes::PARAM_PLACE, "a `${…}` can only stand in the value of a property");
        self.bad(d.at(self.span(start), "not replaced here").hint("write the name itself"))
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        self.take_word_with_slashes();
        let word = self.slice(start).to_owned();
        if is_caps_start(&word) && self.peek() != Some('=') {
            self.at = start;
            return self.caps();
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with("://") {
            self.take_while(|c| !c.is_whitespace());
            let url = self.slice(start).to_owned();
            let d = Diagnostic::error(codes::NOT_SUPPORTED, "a URL cannot stand for an element");
            return self.bad(d.at(self.span(start), "").hint(format!("write the element: `filesrc location={url}`")));
        }
        if rest.starts_with("${") {
            return self.param_here(start);
        }
        if rest.trim_start().starts_with('=') {
            return self.assign(word, start);
        }
        if rest.starts_with('.') {
            return self.reference(word, start);
        }
        TokenKind::Name(word)
    }

    /// A word that may hold `/` (elements of plugins, media types) and `::` (properties of children).
    fn take_word_with_slashes(&mut self) {
        loop {
            self.take_while(is_word);
            let rest = self.text.get(self.at..).unwrap_or_default();
            let mut next = rest.chars();
            match (next.next(), next.next()) {
                (Some('/'), Some(c)) if is_word(c) => self.at = self.at.saturating_add(1),
                (Some(':'), Some(':')) => self.at = self.at.saturating_add(2),
                // Dots and pluses are part of media types only: `application/x-foo.bar+xml`.
                (Some('.' | '+'), Some(c)) if is_word(c) && self.in_media_type() => {
                    self.at = self.at.saturating_add(1);
                }
                _ => return,
            }
        }
    }

    fn in_media_type(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '!' | '(')).next();
        word.is_some_and(is_caps_start)
    }

    fn reference(&mut self, word: String, start: usize) -> TokenKind {
        let element = Spanned::new(word, self.span(start));
        self.bump();
        let after_dot = self.at;
        self.skip_space();
        if self.peek() == Some('(') {
            self.bump();
            return TokenKind::Open(Some(element.value));
        }
        self.at = after_dot;
        self.take_while(is_word);
        let pad = self.slice(after_dot).to_owned();
        let pad_span = self.span(after_dot);
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with("${") {
            return self.param_here(start);
        }
        if rest.starts_with(',') {
            self.take_while(|c| !c.is_whitespace());
            let d = Diagnostic::error(codes::NOT_SUPPORTED, "lists of pads are not supported");
            return self.bad(d.at(self.span(start), "").hint("write a link for each pad"));
        }
        let pad = (!pad.is_empty()).then(|| Spanned::new(pad, pad_span));
        TokenKind::Ref { element, pad }
    }

    fn assign(&mut self, key: String, start: usize) -> TokenKind {
        let key = Spanned::new(key, self.span(start));
        self.skip_space();
        self.bump();
        self.skip_space();
        if key.value.contains("::") {
            self.value(&key);
            let d = Diagnostic::error(codes::NOT_SUPPORTED, "properties of children are not supported");
            return self.bad(d.at(key.span, "").hint("name the element in the line and set its property there"));
        }
        match self.value(&key) {
            Some(value) => TokenKind::Assign { key, value },
            None => TokenKind::Bad,
        }
    }

    fn value(&mut self, key: &Spanned<String>) -> Option<Node> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let link_follows =
            rest.strip_prefix('!').is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace));
        if rest.is_empty() || link_follows {
            let d = Diagnostic::error(codes::PROPERTY_SYNTAX, format!("property `{}` has no value", key.value));
            self.diagnostics.push(d.at(key.span, "").hint(format!("write `{}=\"\"` for an empty text", key.value)));
            return None;
        }
        self.skip_type();
        match self.peek() {
            Some('<') => self.list().or_else(|| Some(self.plain())),
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => Some(self.plain()),
        }
    }

    fn skip_type(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let inner = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some((name, _)) = inner.filter(|(name, _)| VALUE_TYPES.contains(name)) {
            self.at = self.at.saturating_add(name.len()).saturating_add(2);
        }
    }

    fn plain(&mut self) -> Node {
        let start = self.at;
        let text = self.take_escaped(char::is_whitespace);
        Node { span: self.span(start), kind: NodeKind::Scalar { text, quoted: false } }
    }

    fn quoted(&mut self, quote: char) -> Option<Node> {
        let start = self.at;
        self.bump();
        let text = self.take_escaped(|c| c == quote);
        if self.peek() != Some(quote) {
            let d = Diagnostic::error(codes::UNCLOSED_QUOTE, "this quote is not closed");
            self.diagnostics.push(
                d.at(self.map.span(start, start.saturating_add(1)), "")
                    .hint(format!("add {quote} at the end of the value")),
            );
            return None;
        }
        self.bump();
        Some(Node { span: self.span(start), kind: NodeKind::Scalar { text, quoted: true } })
    }

    /// `<a,"b c">`. `None`, and nothing taken, if it is not closed: then it is text that begins with `<`.
    fn list(&mut self) -> Option<Node> {
        let start = self.at;
        self.bump();
        let mut items = Vec::new();
        loop {
            self.skip_space();
            let item = match self.peek() {
                Some('>') if items.is_empty() => {
                    self.bump();
                    break;
                }
                Some(quote @ ('"' | '\'')) => self.quoted(quote),
                Some(_) => {
                    let start = self.at;
                    let text = self.take_escaped(|c| matches!(c, ',' | '>') || c.is_whitespace());
                    Some(Node { span: self.span(start), kind: NodeKind::Scalar { text, quoted: false } })
                }
                None => None,
            };
            items.extend(item);
            self.skip_space();
            match self.peek() {
                Some(',') => self.bump(),
                Some('>') => {
                    self.bump();
                    break;
                }
                _ => {
                    self.at = start;
                    return None;
                }
            }
        }
        Some(Node { span: self.span(start), kind: NodeKind::Seq(items) })
    }

    /// Takes characters up to one that is an end; a backslash takes the next character as it is.
    fn take_escaped(&mut self, is_end: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            if is_end(c) {
                break;
            }
            self.bump();
            match (c, self.peek()) {
                ('\\', Some(escaped)) => {
                    text.push(escaped);
                    self.bump();
                }
                _ => text.push(c),
            }
        }
        text
    }

    /// Caps go on over white space only beside a separator, so that a missing `!` is noticed where it is missing.
    fn caps(&mut self) -> TokenKind {
        let start = self.at;
        let mut text = String::new();
        let mut quote = None;
        let mut depth = 0_usize;
        while let Some(c) = self.peek() {
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '(' | '[' | '{' | '<') => depth = depth.saturating_add(1),
                (None, ')' | ']' | '}' | '>') if depth > 0 => depth = depth.saturating_sub(1),
                (None, '!' | ')') if depth == 0 => break,
                (None, '\\') => {
                    self.bump();
                    if let Some(escaped) = self.peek() {
                        text.push(escaped);
                        self.bump();
                    }
                    continue;
                }
                (None, c) if c.is_whitespace() && depth == 0 && !self.caps_go_on(&text) => break,
                (None, '$') if self.text.get(self.at..).unwrap_or_default().starts_with("${") => {
                    self.take_while(|c| !c.is_whitespace() && c != '!');
                    let d = Diagnostic::error(codes::PARAM_PLACE, "a `${…}` is not replaced in a caps filter");
                    let d = d.at(self.span(start), "").hint("use the element: `capsfilter caps=\"${caps}\"`");
                    return self.bad(d);
                }
                _ => {}
            }
            text.push(c);
            self.bump();
        }
        TokenKind::Caps(text.trim_end().to_owned())
    }

    fn caps_go_on(&self, before: &str) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        before.trim_end().ends_with([',', ';', '=']) || rest.starts_with([',', ';', '='])
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn bump(&mut self) {
        self.at = self.at.saturating_add(self.peek().map_or(0, char::len_utf8));
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&keep) {
            self.bump();
        }
    }

    fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn slice(&self, start: usize) -> &str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn span(&self, start: usize) -> Span {
        self.map.span(start, self.at)
    }
}
