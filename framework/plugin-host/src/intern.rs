//! Text of plugins that the vocabulary wants to live for ever: names of elements, pads, properties and reasons.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Longest text that is kept for a name that comes while running, in bytes. Names of reasons and messages are a few words.
const MAX_NAME: usize = 200;

/// Names that are kept in all. A plugin that makes up names as it goes (a reason with a number in it) stops here.
const MAX_NAMES: usize = 10_000;

static TEXTS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// The same text for ever. For what is known of plugins before they run: as much as there are manifests.
pub(crate) fn intern(text: &str) -> &'static str {
    keep(text, usize::MAX)
}

/// As [`intern`], for names that come while running: those beyond a limit become `other`.
pub(crate) fn intern_name(text: &str) -> &'static str {
    if text.len() > MAX_NAME { "other" } else { keep(text, MAX_NAMES) }
}

fn keep(text: &str, limit: usize) -> &'static str {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    match texts.get(text) {
        Some(kept) => kept,
        None if texts.len() >= limit => "other",
        None => {
            let kept: &'static str = Box::leak(text.into());
            texts.insert(kept);
            kept
        }
    }
}
