//! Detours: elements that a link into an element is led through, because the element wants to be given something else than may come.
//!
//! An element that can say from its settings what has to become of media that it does not take, says it in the words of a launch line
//! ([`crate::Factory::detours`]). The check of a pipeline puts those elements in, where the registry has all of them; so they are planned, drawn and
//! watched as if the text had them. Where it has not, the pipeline stays as it was written, and the element finds its further pad unlinked.
//!
//! ```text
//! as written:  source ───────────────────────────────────────────► pad   element
//! led around:  source ──► first ─┬─ pass ────────────────────────► pad   element
//!                                └─ ... the other elements ... ──► into  element
//! ```

use std::any::Any;
use std::sync::Arc;

use crate::registry::Factory;

/// What a link into a pad is led through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detour {
    /// The sink pad whose link it is.
    pub pad: &'static str,
    /// A launch line. The link leads to the pad `sink` of its first element, and goes on to `pad` from that element's pad `pass`.
    pub through: &'static str,
    /// The sink pad that the last element of the line feeds.
    pub into: &'static str,
}

pub(crate) type DetoursFn = dyn Fn(&(dyn Any + Send + Sync)) -> Vec<Detour> + Send + Sync;

impl Factory {
    /// Says from the settings which detours lead to the element.
    pub fn detours<S: 'static>(mut self, detours: impl Fn(&S) -> Vec<Detour> + Send + Sync + 'static) -> Self {
        self.detours = Some(Arc::new(move |any| any.downcast_ref().map(&detours).unwrap_or_default()));
        self
    }

    /// The detours of an element with these settings.
    pub fn detours_of(&self, settings: &(dyn Any + Send + Sync)) -> Vec<Detour> {
        self.detours.as_ref().map(|detours| detours(settings)).unwrap_or_default()
    }
}
