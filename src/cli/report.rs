//! Errors, warnings and diagnostics on standard error.

use millstream::graph::diagnostic::{Diagnostic, RenderOptions, Severity, render_all};
use millstream::graph::source::SourceText;
use millstream::prelude::Error;

use super::{numbers, terminal};

/// Prints an error with its hint.
pub(crate) fn error(message: &str, hint: Option<&str>) {
    line("error", "1;31", message, hint);
}

/// Prints a warning with its hint.
pub(crate) fn warning(message: &str, hint: Option<&str>) {
    line("warning", "1;33", message, hint);
}

/// Prints the error of a pipeline.
pub(crate) fn pipeline_error(e: &Error) {
    error(&e.to_string(), e.hint_text());
}

/// Prints all diagnostics with a closing count.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic], source: &SourceText) {
    if diagnostics.is_empty() {
        return;
    }
    let options = RenderOptions { color: terminal::color_on_stderr() };
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count() as u64;
    let mut text = render_all(diagnostics, source, options);
    let errors = count(Severity::Error);
    if errors > 0 {
        let code = diagnostics.iter().find(|d| d.severity == Severity::Error).map_or("MS0001", |d| d.code);
        text.push_str(&format!("\n{}; `millstream explain {code}` tells more\n", numbers::count(errors, "error")));
    }
    terminal::say(&text);
}

fn line(word: &str, color: &str, message: &str, hint: Option<&str>) {
    let word = if terminal::color_on_stderr() { format!("\x1b[{color}m{word}\x1b[0m") } else { word.to_owned() };
    let hint = hint.map(|hint| format!("  = hint: {hint}\n")).unwrap_or_default();
    terminal::say(&format!("{word}: {message}\n{hint}"));
}
