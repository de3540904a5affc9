//! What is wrong with a pipeline, where, and what repairs it.

mod code;
mod mask;
mod render;
mod suggest;

pub use code::{CODES, CodeInfo, codes, explain};
pub use render::{RenderOptions, render, render_all, to_json};
pub use suggest::did_you_mean;

use millstream_core::settings::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline will not start.
    Error,
    /// It will start, but something is probably not as meant.
    Warning,
    /// Something good to know.
    Note,
}

impl Severity {
    /// The word that messages begin with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A place in the source with a few words that stand under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The words; may be empty.
    pub text: String,
}

/// One finding about a pipeline. Everything is collected; nothing stops at the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code from [`codes`]; [`explain`] tells more.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The place; `None` for what stands in no file, such as `--set`.
    pub primary: Option<Label>,
    /// Other places that matter, such as the first of two equal names.
    pub secondary: Vec<Label>,
    /// What was expected.
    pub expected: Option<String>,
    /// A repair.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            severity: Severity::Error,
            message,
            primary: None,
            secondary: Vec::new(),
            expected: None,
            hint: None,
        }
    }

    /// A warning without a place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// A note without a place yet.
    #[must_use]
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(code, message) }
    }

    /// Sets the place and the words under it.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Sets what was expected.
    #[must_use]
    pub fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    /// Sets the repair.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Sets the repair to "did you mean …?" if one of `known` is close to `name`, else says what `known` there are.
    #[must_use]
    pub fn suggest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match did_you_mean(name, known.iter().copied()) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self.hint_known(&known),
        }
    }

    fn hint_known(self, known: &[&str]) -> Self {
        match known {
            [] => self,
            [only] => self.hint(format!("there is only `{only}`")),
            names if names.len() <= MAX_LISTED => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                self.hint(format!("there are {}", names.join(", ")))
            }
            _ => self,
        }
    }
}

/// Most names that a hint lists: more than that is for `inspect`.
const MAX_LISTED: usize = 16;

/// Most findings of one pipeline: beyond that the text is not a pipeline, and memory must not grow with it.
pub const MAX_DIAGNOSTICS: usize = 100;

/// A list of findings that stops growing at [`MAX_DIAGNOSTICS`].
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a finding, unless it is there already or the list is full.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MAX_DIAGNOSTICS && !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds findings.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            self.push(diagnostic);
        }
    }

    /// Whether the pipeline cannot start.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The findings in the order of the source.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| d.primary.as_ref().map(|label| label.span.start));
        self.list
    }
}
