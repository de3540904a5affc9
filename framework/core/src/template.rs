//! Template sources: elements with which one pipeline text stands for many pipelines, one for each who comes.
//!
//! `rtmpserversrc stream="*"` takes in any stream. A pipeline with it is a template: for each publisher who comes an instance of it is
//! started, with the name of the stream in the place of `${stream}`. What makes an element such a source, and what it gives its instances,
//! is said by its factory ([`crate::Factory::template_source`]); nothing else in the framework knows which element it is.
//!
//! ```text
//! TemplateSource ──opens──► Arrivals ──next──► Arrival ─┬─ name, variables ──► text ──► Graph ─┐
//!                                                       └─ seat ──────────► BuildCx ──► element ┴─► running instance
//! ```

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::env::{BoxFuture, Env};
use crate::error::Result;

/// A variable that instances are given: `${name}` in property values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name. One that ends with a dot stands for that and a word of letters, digits, `_` and `-`: `query.` for `${query.room}`.
    pub name: &'static str,
    /// What it is, in a phrase.
    pub doc: &'static str,
}

impl Variable {
    /// Whether `${name}` is this variable.
    pub fn covers(&self, name: &str) -> bool {
        match self.name.ends_with('.') {
            true => name.strip_prefix(self.name).is_some_and(is_word),
            false => self.name == name,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Values of variables, by name.
pub type Variables = BTreeMap<String, String>;

/// What a kind of element says about templates, whatever its settings.
#[derive(Clone, Copy, Debug)]
pub struct TemplateDecl {
    /// The setting that makes it a template source, as one writes it: `stream: "*"`.
    pub when: &'static str,
    /// What instances are given.
    pub variables: &'static [Variable],
}

type OpenFn = dyn Fn(&Env, Admission) -> Result<Box<dyn Arrivals>> + Send + Sync;

/// An element whose settings make its pipeline a template.
#[derive(Clone)]
pub struct TemplateSource {
    /// Variables that have the same value in each instance.
    pub fixed: Variables,
    open: Arc<OpenFn>,
}

impl TemplateSource {
    /// One whose instances begin with what `open` gives.
    pub fn new(open: impl Fn(&Env, Admission) -> Result<Box<dyn Arrivals>> + Send + Sync + 'static) -> Self {
        Self { fixed: Variables::new(), open: Arc::new(open) }
    }

    /// Gives a variable a value that is the same in each instance.
    #[must_use]
    pub fn fixed(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fixed.insert(name.to_owned(), value.into());
        self
    }

    /// Begins to wait for those who come.
    ///
    /// # Errors
    /// When it cannot, such as at an address that is taken.
    pub fn open(&self, env: &Env, admission: Admission) -> Result<Box<dyn Arrivals>> {
        (self.open)(env, admission)
    }
}

impl fmt::Debug for TemplateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateSource").field("fixed", &self.fixed).finish_non_exhaustive()
    }
}

type AdmitFn = dyn Fn(&Variables) -> Result<()> + Send + Sync;

/// What a template wants of those who come. Asked before one is let in, so that who does not fit is refused and told.
#[derive(Clone)]
pub struct Admission {
    used: Arc<BTreeSet<String>>,
    check: Arc<AdmitFn>,
}

impl Admission {
    /// For a template that uses these variables; `check` says whether its text can be filled in with values.
    pub fn new(used: BTreeSet<String>, check: impl Fn(&Variables) -> Result<()> + Send + Sync + 'static) -> Self {
        Self { used: used.into(), check: Arc::new(check) }
    }

    /// The variables that the text uses.
    pub fn used(&self) -> impl Iterator<Item = &str> {
        self.used.iter().map(String::as_str)
    }

    /// Whether an instance can be made with these values. Computes only, for less than a millisecond.
    ///
    /// # Errors
    /// When it cannot. The error does not have the values in it, which may be secret.
    pub fn check(&self, variables: &Variables) -> Result<()> {
        (self.check)(variables)
    }
}

/// Those who come, for each of whom an instance is started. Dropped, nobody is let in any more.
pub trait Arrivals: Send {
    /// The next who has come; nothing when nobody will.
    ///
    /// # Errors
    /// When nobody can come, such as for want of a certificate. That ends the template.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Arrival>>>;

    /// Where one comes to, for people: a URL with words in capitals for what everybody chooses, `rtmp://127.0.0.1:1935/live/STREAM`.
    fn address(&self) -> Option<String> {
        None
    }
}

/// What an instance's source element is given when it is built ([`crate::BuildCx::take_seat`]): that for which the instance is.
pub type Seat = Box<dyn Any + Send + Sync>;

/// Somebody for whom an instance is to be started.
pub struct Arrival {
    /// Name of the instance among those of its template, fit to be shown: `live/cam`. While one of a name is still ending, the next of that
    /// name waits.
    pub name: String,
    /// Values of the variables.
    pub variables: Variables,
    /// For the source element.
    pub seat: Seat,
    /// Dropped when the instance is gone: counts it as long.
    pub place: Box<dyn Any + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_one_name_or_a_family() {
        let one = Variable { name: "stream", doc: "" };
        assert!(one.covers("stream") && !one.covers("streams") && !one.covers("stream.x"));
        let family = Variable { name: "query.", doc: "" };
        assert!(
            family.covers("query.room")
                && !family.covers("query.")
                && !family.covers("query")
                && !family.covers("query.a b")
        );
    }
}
