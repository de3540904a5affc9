//! What threads of GStreamer tell the element, and how they have it called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_plugin_sdk::prelude::{Error, Host, PadId, Request};

use crate::losses::Losses;

/// Shared by an element and the callbacks that it leaves in its pipeline.
pub(crate) struct Signal {
    pub(crate) host: Host,
    /// What elements of the pipeline have left out.
    pub(crate) losses: Losses,
    /// The element has been asked for and has not looked yet.
    pending: AtomicBool,
    /// The pipeline has posted an error.
    failed: AtomicBool,
    news: Mutex<News>,
}

/// What has happened since the element looked.
#[derive(Default)]
pub(crate) struct News {
    /// The first error of the pipeline.
    pub(crate) error: Option<Error>,
    /// Every sink of the pipeline has had the end.
    pub(crate) eos: bool,
    /// No pad will be added any more.
    pub(crate) no_more_pads: bool,
    /// The latency may be another one.
    pub(crate) latency: bool,
    /// What elements of the pipeline ask of what feeds them.
    pub(crate) requests: Vec<(PadId, Request)>,
}

/// Requests that wait for the element; beyond it the oldest is left out.
const MAX_REQUESTS: usize = 64;

impl Signal {
    pub(crate) fn new(host: Host) -> Arc<Self> {
        Arc::new(Self {
            host,
            losses: Losses::default(),
            pending: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            news: Mutex::default(),
        })
    }

    /// Has the element called soon. Calls before it looks become one.
    pub(crate) fn ring(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            self.host.wake();
        }
    }

    /// The element looks now: what is told from here on has it called again.
    pub(crate) fn look(&self) -> News {
        self.pending.store(false, Ordering::Release);
        std::mem::take(&mut *self.lock())
    }

    /// Tells the element something.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.lock());
        self.ring();
    }

    /// The first error is told; others follow from it.
    pub(crate) fn fail(&self, error: Error) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            self.tell(|news| news.error = Some(error));
        }
    }

    /// What ends after this is not whole.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn request(&self, pad: PadId, request: Request) {
        self.tell(|news| {
            if news.requests.len() == MAX_REQUESTS {
                news.requests.remove(0);
            }
            news.requests.push((pad, request));
        });
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
