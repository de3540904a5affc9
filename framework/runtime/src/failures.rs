//! Failures that ended a branch and not the pipeline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use millstream_core::Error;

/// What has failed so far, and how many sinks still receive something.
#[derive(Default)]
pub(crate) struct Failures {
    sinks: AtomicUsize,
    errors: Mutex<Vec<Error>>,
}

impl Failures {
    pub(crate) fn add_sinks(&self, count: usize) {
        self.sinks.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn record(&self, error: Error) {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    pub(crate) fn sink_is_gone(&self) {
        self.sinks.fetch_sub(1, Ordering::Relaxed);
    }

    /// True when branches have failed until nobody receives anything any more: then the pipeline has no purpose left.
    /// Sinks also go when a pipeline is cancelled; that is no failure.
    pub(crate) fn left_no_sink(&self) -> bool {
        let failed = !self.errors.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        failed && self.sinks.load(Ordering::Relaxed) == 0
    }

    /// The first failure, which is what the pipeline reports at its end.
    pub(crate) fn take_first(&self) -> Option<Error> {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() { None } else { Some(errors.remove(0)) }
    }
}
