//! Connections of listeners, counted: how many there are, and why those that were closed were.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millstream_core::Env;

/// The counters of a listener. They are there to be read as long as somebody holds them.
#[derive(Debug)]
pub struct Door {
    url: String,
    counts: Mutex<Counts>,
}

/// What a [`Door`] says at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are there.
    pub open: u64,
    /// Connections that this end closed or the network lost, by reason.
    pub closed: BTreeMap<&'static str, u64>,
}

/// All doors of a runtime ([`Env::shared`]).
#[derive(Debug, Default)]
pub struct Doors(Mutex<Vec<Weak<Door>>>);

impl Doors {
    /// Counters for the listener at a URL.
    pub fn add(env: &Env, url: String) -> Arc<Door> {
        let door = Arc::new(Door { url, counts: Mutex::default() });
        let doors = env.shared::<Self>();
        let mut all = doors.lock();
        all.retain(|door| door.strong_count() > 0);
        all.push(Arc::downgrade(&door));
        door.clone()
    }

    /// Those that are there, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Door>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Door>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    /// The listener, as a URL without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection is there.
    pub fn entered(&self) {
        self.lock().open += 1;
    }

    /// A connection has gone.
    pub fn left(&self) {
        let mut counts = self.lock();
        counts.open = counts.open.saturating_sub(1);
    }

    /// A connection was closed, and why. Gives how many were for this reason.
    pub fn closed(&self, reason: &'static str) -> u64 {
        let mut counts = self.lock();
        let count = counts.closed.entry(reason).or_default();
        *count += 1;
        *count
    }

    /// What it says now.
    pub fn read(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
