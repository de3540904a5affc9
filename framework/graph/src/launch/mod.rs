//! Lines in gst-launch's grammar: whole pipelines on the command line, and link lines of YAML files.
//!
//! The grammar is that of GStreamer 1.x (`gst/parse/parse.l` and `grammar.y`, described in `gst-launch-1.0(1)`):
//!
//! ```text
//! line     = *( chain )
//! chain    = end *( "!" [ caps "!" ] end )
//! end      = kind *( property ) | name "." [ pad ] | [ kind "." ] "(" line ")"
//! property = name "=" [ "(" type ")" ] ( word | quoted | "<" value *( "," value ) ">" )
//! ```
//!
//! Left out, each with a diagnostic of its own: `:` links, pads of bins, lists of pads, `child::property`, URLs as elements.
//! Bins only group; their elements become part of the pipeline. In the link lines of YAML, the names of `elements:` may be
//! written without the dot.

mod lexer;
pub(crate) mod parser;

use std::collections::HashMap;

use millstream_core::settings::Span;

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::doc::{PipelineDoc, Syntax};
use crate::source::{SourceText, SpanMap};
use lexer::{Token, lex};
use parser::Parser;

/// Reads a launch line. What could be read is returned, every fault is in `diagnostics`.
pub fn parse(source: &SourceText, diagnostics: &mut Diagnostics) -> PipelineDoc {
    let mut doc = PipelineDoc { syntax: Syntax::Launch, ..PipelineDoc::default() };
    let tokens = lex(source.text(), &SpanMap::Shift(0), diagnostics);
    let taken = parser::names_of(&tokens);
    Parser::new(&mut doc, taken, None, diagnostics).line(&tokens);
    doc
}

/// Reads the link lines of a YAML file into `doc`, whose elements are already there.
pub(crate) fn parse_links(lines: &[(String, SpanMap, Span)], doc: &mut PipelineDoc, diagnostics: &mut Diagnostics) {
    let lexed: Vec<(Vec<Token>, Span)> =
        lines.iter().map(|(text, map, span)| (lex(text, map, diagnostics), *span)).collect();
    let names = doc.elements.iter().map(|element| &element.name).chain(&doc.faulty);
    let declared: HashMap<String, Span> = names.map(|name| (name.value.clone(), name.span)).collect();
    let mut taken: Vec<String> = lexed.iter().flat_map(|(tokens, _)| parser::names_of(tokens)).collect();
    taken.extend(declared.keys().cloned());
    let mut parser = Parser::new(doc, taken, Some(declared), diagnostics);
    for (tokens, span) in &lexed {
        let links = parser.links();
        parser.line(tokens);
        if parser.links() == links && tokens.iter().all(Token::is_end) {
            let d = Diagnostic::error(codes::LINE_SYNTAX, "this line links nothing").at(*span, "");
            parser.report(d.expected("two elements with `!` between them: `in ! demux`"));
        }
    }
}

/// Joins the words of a command line to one launch line, as gst-launch does: white space inside a word is escaped. One word
/// alone is taken as the whole line.
#[must_use]
pub fn join_args<S: AsRef<str>>(args: &[S]) -> String {
    match args {
        [line] => line.as_ref().to_owned(),
        words => words.iter().map(|word| escape_arg(word.as_ref())).collect::<Vec<_>>().join(" "),
    }
}

fn escape_arg(word: &str) -> String {
    let mut quoted = false;
    let mut before = ' ';
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c == '"' && before != '\\' {
            quoted = !quoted;
        }
        if c.is_whitespace() && !quoted {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

#[cfg(test)]
mod tests;
