//! The conformance kit: what an element of a plugin promises, tried out.
//!
//! Each case is run in a process of its own by `millstream plugins check`: an element that crashes, or never returns, has failed that case
//! and no other. The IDs are those of `docs/spec/plugin-abi.md` and `docs/spec/element.md`.

mod cases;
mod drive;

use std::path::Path;
use std::sync::Arc;

use millstream_core::Env;

use crate::find::{Installed, Search, manifest_of};
use crate::library::{Library, Refused};
use crate::manifest::ElementManifest;
use crate::services::violations;

pub use cases::{CASES, Case};

/// A plugin under test.
pub struct Kit {
    plugin: Arc<Installed>,
    library: Arc<Library>,
}

impl Kit {
    /// Loads a library with the manifest beside it, as it is loaded when it is used.
    ///
    /// # Errors
    /// Why it is not used: the first thing to mend.
    pub fn open(library: &Path) -> Result<Self, Refused> {
        let found = Search::default().with_place(manifest_of(library), None).plugins();
        let missing = || Refused::new(library, "there is no such file or folder", "correct the path");
        let plugin = found.into_iter().next().ok_or_else(missing)?.plugin?;
        let loaded = Library::open(&plugin.library, Some(&plugin.manifest))?;
        Ok(Self { plugin: Arc::new(plugin), library: loaded })
    }

    /// Names of its elements; those that are known only on the machine are not among them.
    #[must_use]
    pub fn elements(&self) -> Vec<String> {
        self.plugin.manifest.elements.iter().map(|element| element.name.clone()).collect()
    }

    /// Runs a case with an element, in this process.
    ///
    /// # Errors
    /// What the element does not keep.
    pub fn run(&self, env: &Env, element: &str, case: &Case) -> Result<(), String> {
        let found = self.plugin.manifest.elements.iter().find(|of| of.name == element);
        let element = found.ok_or_else(|| format!("there is no element `{element}`"))?;
        let subject = Subject { library: self.library.clone(), element, env: env.clone() };
        violations();
        let result = (case.run)(&subject);
        let left = crate::library::left_behind();
        let violations = violations();
        match (left.first(), violations.first()) {
            (Some(left), _) => Err(left.clone()),
            (None, Some(what)) => Err(format!("it {what}")),
            (None, None) => result,
        }
    }
}

/// An element under test.
pub(crate) struct Subject<'a> {
    library: Arc<Library>,
    element: &'a ElementManifest,
    env: Env,
}
