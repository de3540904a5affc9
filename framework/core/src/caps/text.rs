//! GStreamer's text form of caps.
//!
//! ```text
//! set   = "ANY" | "EMPTY" | caps *( ";" caps )
//! caps  = media *( "," field "=" [ "(" type ")" ] value )
//! value = word | number | fraction | "text" | "{" value,... "}" | "[" low "," high "]"
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;

use super::{Caps, CapsSet, Structure, Value, ValueSet};

/// Where and why a caps text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the caps")]
pub struct CapsParseError {
    /// Byte offset in the text.
    pub at: usize,
    /// What was expected.
    pub what: String,
}

/// True for a text that needs no quotes: one word that does not read as a number, a truth value or a fraction.
pub(super) fn is_plain_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_word_byte) && matches!(parse_word(text), Value::Text(_))
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+' | b'/')
}

impl FromStr for CapsSet {
    type Err = CapsParseError;

    fn from_str(text: &str) -> Result<Self, CapsParseError> {
        match text.trim() {
            "ANY" => return Ok(Self::Any),
            "EMPTY" | "NONE" => return Ok(Self::Of(Vec::new())),
            _ => {}
        }
        let mut parser = Parser { text, at: 0 };
        let mut list = vec![parser.structure()?];
        while parser.eat(b';') {
            if parser.at_end() {
                break;
            }
            list.push(parser.structure()?);
        }
        if parser.at_end() { Ok(Self::Of(list)) } else { Err(parser.error("expected `,` or `;`")) }
    }
}

impl FromStr for Caps {
    type Err = CapsParseError;

    fn from_str(text: &str) -> Result<Self, CapsParseError> {
        let mut parser = Parser { text, at: 0 };
        let structure = parser.structure()?;
        if !parser.at_end() {
            return Err(parser.error("expected `,` or the end: fixed caps have one media type"));
        }
        structure.fields.into_iter().try_fold(Self::new(&structure.media), |caps, (name, set)| match set {
            ValueSet::One(value) => Ok(caps.with(&name, value)),
            _ => Err(CapsParseError { at: 0, what: format!("expected one value for `{name}`, not a list or a range") }),
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn structure(&mut self) -> Result<Structure, CapsParseError> {
        let media = self.word()?;
        if !media.contains('/') {
            return Err(self.error("expected a media type such as video/x-h264"));
        }
        let mut fields = BTreeMap::new();
        while self.eat(b',') {
            let name = self.word()?;
            if !self.eat(b'=') {
                return Err(self.error("expected `=`"));
            }
            fields.insert(name.into(), self.value_set()?);
        }
        Ok(Structure { media: media.into(), fields })
    }

    fn value_set(&mut self) -> Result<ValueSet, CapsParseError> {
        let type_name = self.type_name()?;
        if self.eat(b'{') {
            return self.list();
        }
        if self.eat(b'[') {
            return self.range();
        }
        self.value(type_name.as_deref()).map(ValueSet::One)
    }

    fn list(&mut self) -> Result<ValueSet, CapsParseError> {
        let mut list = Vec::new();
        loop {
            let type_name = self.type_name()?;
            list.push(self.value(type_name.as_deref())?);
            if self.eat(b'}') {
                return Ok(ValueSet::List(list));
            }
            if !self.eat(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn range(&mut self) -> Result<ValueSet, CapsParseError> {
        let low = self.value(None)?;
        if !self.eat(b',') {
            return Err(self.error("expected `,` between the ends of the range"));
        }
        let high = self.value(None)?;
        if !self.eat(b']') {
            return Err(self.error("expected `]`"));
        }
        match (low, high) {
            (Value::Int(low), Value::Int(high)) if low <= high => Ok(ValueSet::IntRange(low, high)),
            (low, high) => match (low.as_fraction(), high.as_fraction()) {
                (Some(low), Some(high)) => Ok(ValueSet::FractionRange(low, high)),
                _ => Err(self.error("expected two numbers or fractions, the lower first")),
            },
        }
    }

    fn type_name(&mut self) -> Result<Option<String>, CapsParseError> {
        if !self.eat(b'(') {
            return Ok(None);
        }
        let name = self.word()?;
        if self.eat(b')') { Ok(Some(name)) } else { Err(self.error("expected `)`")) }
    }

    fn value(&mut self, type_name: Option<&str>) -> Result<Value, CapsParseError> {
        self.skip_space();
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            return self.quoted().map(|text| Value::Text(text.into()));
        }
        if type_name == Some("buffer") {
            // No digits at all are an empty buffer.
            let digits = self.word_or_nothing();
            return hex(&digits).map(Value::Bytes).ok_or_else(|| self.error("expected pairs of hexadecimal digits"));
        }
        let word = self.word()?;
        match type_name {
            Some("string" | "str" | "s") => Ok(Value::Text(word.into())),
            _ => Ok(parse_word(&word)),
        }
    }

    fn quoted(&mut self) -> Result<String, CapsParseError> {
        let mut out = String::new();
        let start = self.at + 1;
        let mut chars = self.text[start..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + i + 1;
                    return Ok(out);
                }
                '\\' => out.extend(chars.next().map(|(_, c)| c)),
                c => out.push(c),
            }
        }
        Err(self.error("expected a closing quote for the one"))
    }

    fn word(&mut self) -> Result<String, CapsParseError> {
        let word = self.word_or_nothing();
        if word.is_empty() { Err(self.error("expected a word")) } else { Ok(word) }
    }

    fn word_or_nothing(&mut self) -> String {
        self.skip_space();
        let len = self.text[self.at..].bytes().take_while(|b| is_word_byte(*b)).count();
        let word = self.text[self.at..self.at + len].to_owned();
        self.at += len;
        word
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    fn skip_space(&mut self) {
        self.at += self.text[self.at..].bytes().take_while(u8::is_ascii_whitespace).count();
    }

    fn error(&self, what: &str) -> CapsParseError {
        CapsParseError { at: self.at, what: what.to_owned() }
    }
}

fn parse_word(word: &str) -> Value {
    if let Ok(v) = word.parse() {
        return Value::Int(v);
    }
    if let Some((n, d)) = word.split_once('/')
        && let (Ok(n), Ok(d)) = (n.parse(), d.parse())
        && d != 0
    {
        return Value::fraction(n, d);
    }
    match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::from(word),
    }
}

fn hex(word: &str) -> Option<Bytes> {
    let nibbles: Option<Vec<u8>> = word.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let nibbles = nibbles?;
    nibbles.len().is_multiple_of(2).then(|| nibbles.chunks(2).map(|p| p[0] << 4 | p[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_survives_the_way_there_and_back() {
        for text in [
            "ANY",
            "EMPTY",
            "video/x-h264",
            "video/x-h264, stream-format={ avc, byte-stream }, width=[ 1, 4096 ]; audio/mpeg, mpegversion=4",
            "video/x-raw, framerate=[ 1/1, 60/1 ], format=\"odd \\\"one\\\"\"",
            "audio/mpeg, codec_data=(buffer)1190, framed=true",
        ] {
            let set: CapsSet = text.parse().unwrap();
            assert_eq!(set.to_string().parse::<CapsSet>(), Ok(set), "{text}");
        }
    }

    #[test]
    fn typed_values_of_gst_launch_are_read() {
        let caps: Caps = "video/x-raw,width=(int)320,framerate=(fraction)60/2,x=(string)7".parse().unwrap();
        assert_eq!(caps.int("width"), Some(320));
        assert_eq!(caps.framerate(), Some((30, 1)));
        assert_eq!(caps.text("x"), Some("7"));
        assert_eq!(caps.to_string().parse::<Caps>().unwrap(), caps, "a text of digits keeps its quotes");
    }

    #[test]
    fn a_text_that_reads_as_something_else_keeps_its_quotes() {
        for text in ["0/14", "30000/1001", "-3", "+7", "true", "false", "", "a b", "a,b", "\"", "1/0", "a/b", "ü"] {
            let caps = Caps::new("a/b").with("x", text).with("y", Bytes::new());
            assert_eq!(caps.to_string().parse::<Caps>(), Ok(caps), "{text}");
        }
        assert_eq!(Caps::new("a/b").with("x", "0/14").to_string(), "a/b, x=\"0/14\"");
        assert_eq!(Caps::new("a/b").with("x", "high-4:2:2").to_string(), "a/b, x=high-4:2:2");
    }

    #[test]
    fn errors_find_the_byte() {
        for (text, at) in
            [("video", 5), ("video/x-raw,width", 17), ("a/b,c=[1 2]", 9), ("a/b,c=(buffer)0", 15), ("a/b)", 3)]
        {
            assert_eq!(text.parse::<CapsSet>().map_err(|e| e.at), Err(at), "{text}");
        }
    }
}
