//! Diagnostics as text with the source excerpt, and as JSON.

use std::fmt::Write as _;

use millstream_core::settings::Span;
use serde_json::{Value, json};

use super::mask::Mask;
use super::{Diagnostic, Label, Severity};
use crate::source::SourceText;

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Whether to colour with ANSI escapes.
    pub color: bool,
}

/// Longest excerpt of a line, in characters; of a longer line the part around the marked place is shown.
const MAX_EXCERPT: usize = 140;

/// Characters shown before the marked place of a line that is cut.
const EXCERPT_LEAD: usize = 50;

/// One diagnostic as text that ends with a newline.
#[must_use]
pub fn render(diagnostic: &Diagnostic, source: &SourceText, options: RenderOptions) -> String {
    let paint = Paint { color: options.color };
    let word = format!("{}[{}]", diagnostic.severity.as_str(), diagnostic.code);
    let mut out = format!("{}: {}\n", paint.severity(diagnostic.severity, &word), paint.bold(&diagnostic.message));
    let gutter = gutter_width(diagnostic, source);
    if let Some(primary) = &diagnostic.primary {
        let at = source.position(primary.span.start);
        let arrow = paint.blue(&format!("{}-->", " ".repeat(gutter)));
        let _ = writeln!(out, "{arrow} {}:{}:{}", source.name(), at.line, at.column);
        excerpt(&mut out, diagnostic, primary, source, gutter, paint);
    }
    for (word, text) in [("expected", &diagnostic.expected), ("hint", &diagnostic.hint)] {
        if let Some(text) = text {
            let bar = paint.blue(&format!("{} =", " ".repeat(gutter)));
            let _ = writeln!(out, "{bar} {}: {text}", paint.bold(word));
        }
    }
    out
}

/// All diagnostics, a blank line between them.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], source: &SourceText, options: RenderOptions) -> String {
    let texts: Vec<String> = diagnostics.iter().map(|d| render(d, source, options)).collect();
    texts.join("\n")
}

/// All diagnostics as a JSON list: `code`, `severity`, `message`, `file`, `labels` (with `line`, `column`, `end-line`,
/// `end-column`, byte `offset` and `length`; the first is the primary one), `expected`, `hint`.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], source: &SourceText) -> Value {
    diagnostics.iter().map(|d| one_json(d, source)).collect()
}

fn one_json(diagnostic: &Diagnostic, source: &SourceText) -> Value {
    let labels: Vec<Value> = labels(diagnostic).map(|(label, primary)| label_json(label, primary, source)).collect();
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "file": source.name(),
        "labels": labels,
        "expected": diagnostic.expected,
        "hint": diagnostic.hint,
    })
}

fn label_json(label: &Label, primary: bool, source: &SourceText) -> Value {
    let (start, end) = (source.position(label.span.start), source.position(label.span.end));
    json!({
        "primary": primary,
        "line": start.line,
        "column": start.column,
        "end-line": end.line,
        "end-column": end.column,
        "offset": label.span.start,
        "length": label.span.len(),
        "text": label.text,
    })
}

fn labels(diagnostic: &Diagnostic) -> impl Iterator<Item = (&Label, bool)> {
    let primary = diagnostic.primary.iter().map(|label| (label, true));
    primary.chain(diagnostic.secondary.iter().map(|label| (label, false)))
}

fn gutter_width(diagnostic: &Diagnostic, source: &SourceText) -> usize {
    let last = labels(diagnostic).map(|(label, _)| source.position(label.span.start).line).max();
    last.unwrap_or(1).to_string().len().saturating_add(1)
}

fn excerpt(
    out: &mut String,
    diagnostic: &Diagnostic,
    primary: &Label,
    source: &SourceText,
    gutter: usize,
    paint: Paint,
) {
    let bar = paint.blue(&format!("{} |", " ".repeat(gutter)));
    let _ = writeln!(out, "{bar}");
    let mut marks: Vec<(u32, u32, &Label, bool)> = labels(diagnostic)
        .map(|(label, is_primary)| {
            let at = source.position(label.span.start);
            (at.line, at.column, label, is_primary)
        })
        .collect();
    marks.sort_by_key(|(line, column, _, is_primary)| (*line, !is_primary, *column));
    let mask = Mask::of(source.text());
    let mut shown = 0;
    for (line, _, label, is_primary) in marks {
        let window = Window::around(source, line, label.span, &mask);
        if line != shown {
            if shown != 0 && line > shown.saturating_add(1) {
                let _ = writeln!(out, "{}", paint.blue("..."));
            }
            let number = paint.blue(&format!("{line:>gutter$} |"));
            let _ = writeln!(out, "{number} {}", window.text);
            shown = line;
        }
        let mark = if is_primary { "^" } else { "-" }.repeat(window.marked);
        let line_of_marks = format!("{}{mark} {}", " ".repeat(window.before), label.text);
        let painted = match is_primary {
            true => paint.severity(diagnostic.severity, line_of_marks.trim_end()),
            false => paint.blue(line_of_marks.trim_end()),
        };
        let _ = writeln!(out, "{bar} {painted}");
    }
    debug_assert!(labels(diagnostic).next().is_none_or(|(first, _)| first == primary));
}

/// The part of a line that is shown, and where in it the marks go (in characters as shown).
struct Window {
    text: String,
    before: usize,
    marked: usize,
}

impl Window {
    fn around(source: &SourceText, line: u32, span: Span, mask: &Mask) -> Self {
        let (text, begin) = (source.line(line), source.line_offset(line) as usize);
        let in_line = |offset: u32| {
            let offset = offset.saturating_sub(source.line_offset(line)) as usize;
            text.char_indices().take_while(|(at, _)| *at < offset).count()
        };
        let (start, end) = (in_line(span.start), in_line(span.end));
        let count = text.chars().count();
        let first = if count > MAX_EXCERPT { start.saturating_sub(EXCERPT_LEAD) } else { 0 };
        let part = text.char_indices().skip(first).take(MAX_EXCERPT);
        let mut shown: String = part.map(|(at, c)| printable(mask.shown(begin.saturating_add(at), c))).collect();
        let mut before = start.saturating_sub(first);
        if first > 0 {
            shown.insert(0, '…');
            before = before.saturating_add(1);
        }
        if first.saturating_add(MAX_EXCERPT) < count {
            shown.push('…');
        }
        let room = shown.chars().count().saturating_sub(before);
        Self { text: shown.trim_end().to_owned(), before, marked: end.saturating_sub(start).clamp(1, room.max(1)) }
    }
}

/// A character that takes one cell and does nothing to the terminal.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[derive(Debug, Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn blue(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Note => "1;36",
        };
        self.with(code, text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes;
    use super::*;

    fn span_of(source: &SourceText, part: &str) -> Span {
        let at = source.text().find(part).expect("the part is in the text");
        Span::of(at, at + part.len())
    }

    #[test]
    fn the_place_is_marked() {
        let source = SourceText::new("p.yaml", "a: é\nhls: { segment-durations: 2s }\n");
        let d = Diagnostic::error(codes::UNKNOWN_PROPERTY, "no such property")
            .at(span_of(&source, "segment-durations"), "not here")
            .also(span_of(&source, "é"), "é is here")
            .expected("another")
            .hint("did you mean `segment-duration`?");
        let expected = "\
error[MS0402]: no such property
  --> p.yaml:2:8
   |
 1 | a: é
   |    - é is here
 2 | hls: { segment-durations: 2s }
   |        ^^^^^^^^^^^^^^^^^ not here
   = expected: another
   = hint: did you mean `segment-duration`?
";
        assert_eq!(render(&d, &source, RenderOptions::default()), expected);
        let coloured = render(&d, &source, RenderOptions { color: true });
        assert!(coloured.contains("\x1b[1;31merror[MS0402]\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let source = SourceText::new("p", format!("{}HERE{}", "a".repeat(500), "b".repeat(500)));
        let d = Diagnostic::error(codes::YAML_SYNTAX, "x").at(span_of(&source, "HERE"), "");
        let text = render(&d, &source, RenderOptions::default());
        let lines: Vec<&str> = text.lines().collect();
        let column = lines[3].chars().position(|c| c == 'H').expect("HERE is shown");
        assert_eq!(lines[4].chars().position(|c| c == '^'), Some(column));
        assert!(lines[3].chars().count() < 160);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let source = SourceText::new("p", "a\x1b[2Jb");
        let d = Diagnostic::error(codes::YAML_SYNTAX, "x").at(Span::of(1, 2), "");
        assert!(!render(&d, &source, RenderOptions::default()).contains('\x1b'));
    }

    #[test]
    fn sec_keys_are_hidden_in_excerpts_and_marks_stay_in_place() {
        let source =
            SourceText::new("p.yaml", "in:\n  keys:\n    cam: s3cret\n  location: rtmp://h/live/s3cret, oops: 1\n");
        let d = Diagnostic::error(codes::UNKNOWN_PROPERTY, "x")
            .at(span_of(&source, "oops"), "")
            .also(span_of(&source, "cam"), "");
        let text = render(&d, &source, RenderOptions::default());
        assert!(!text.contains("s3cret"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[lines.len() - 2].find("oops"), lines[lines.len() - 1].find("^^^^"), "{text}");
    }

    #[test]
    fn json_gives_lines_and_offsets() {
        let source = SourceText::new("p", "x\nabc");
        let d = Diagnostic::warning(codes::PARAM_UNUSED, "x").at(Span::of(3, 5), "t");
        let json = to_json(&[d], &source);
        assert_eq!(json[0]["labels"][0]["line"], 2);
        assert_eq!(json[0]["labels"][0]["column"], 2);
        assert_eq!(json[0]["labels"][0]["end-column"], 4);
        assert_eq!(json[0]["severity"], "warning");
        assert_eq!(json[0]["hint"], Value::Null);
    }
}
