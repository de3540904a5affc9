//! Waking an element from outside its task.
//!
//! Most elements need none of this: they work when an item, a request or a timer comes. An element whose work goes on in threads of another
//! library (a codec, a device) learns of its results there, and has to be called on its own task to send them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Wakes one element from any thread: a transform's `wake`, an aggregate's `step` and a source's `produce` is called soon, on its task. Several
/// calls before that become one. Wakes before the element runs are kept; those after its end do nothing.
///
/// From [`crate::BuildCx::wake_handle`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct WakeHandle(Arc<Inner>);

type Target = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Inner {
    pending: AtomicBool,
    target: Mutex<Option<Target>>,
}

impl WakeHandle {
    /// Asks for a call.
    pub fn wake(&self) {
        if self.0.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let target = self.target().clone();
        if let Some(target) = target {
            target();
        }
    }

    /// Runtime side: a call that was asked for is about to be made. True when one was.
    pub fn take(&self) -> bool {
        self.0.pending.swap(false, Ordering::AcqRel)
    }

    /// Runtime side: who is told, at once if somebody has asked already.
    pub fn connect(&self, target: impl Fn() + Send + Sync + 'static) {
        let target: Target = Arc::new(target);
        *self.target() = Some(target.clone());
        if self.0.pending.load(Ordering::Acquire) {
            target();
        }
    }

    /// Runtime side: true when the element has kept a handle of its own.
    pub fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn target(&self) -> std::sync::MutexGuard<'_, Option<Target>> {
        self.0.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WakeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakeHandle")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn wakes_are_kept_until_somebody_listens_and_become_one() {
        let handle = WakeHandle::default();
        handle.wake();
        handle.wake();
        let told = Arc::new(AtomicUsize::new(0));
        let counter = told.clone();
        handle.connect(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(told.load(Ordering::Relaxed), 1, "asked before it was connected");
        handle.wake();
        assert_eq!(told.load(Ordering::Relaxed), 1, "the call is still to come");
        assert!(handle.take() && !handle.take());
        handle.wake();
        assert_eq!(told.load(Ordering::Relaxed), 2);
    }
}
