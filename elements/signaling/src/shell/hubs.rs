//! The signaling servers of a runtime, by the address and path of their WebSocket: where elements of the same process find them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millstream_core::Env;
use tokio::sync::Notify;

use super::hub::Hub;

/// What a server is found by: the address that it was told to listen at, and its path.
type Key = (SocketAddr, String);

/// The servers of a runtime.
#[derive(Default)]
pub struct Hubs {
    all: Mutex<HashMap<Key, Weak<Hub>>>,
    changed: Notify,
}

impl Hubs {
    /// The server that has these settings, `listen` and `path`; waits until it has started.
    pub async fn at(env: &Env, listen: SocketAddr, path: &str) -> Arc<Hub> {
        let hubs = env.shared::<Self>();
        let key = (listen, path.to_owned());
        loop {
            // Told of what comes between the look and the wait too.
            let changed = hubs.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = hubs.lock().get(&key).and_then(Weak::upgrade);
            if let Some(hub) = found {
                return hub;
            }
            changed.await;
        }
    }

    /// A server can be found until what is returned goes.
    pub(super) fn add(env: &Env, listen: SocketAddr, path: &str, hub: &Arc<Hub>) -> Found {
        let hubs = env.shared::<Self>();
        let key = (listen, path.to_owned());
        hubs.lock().insert(key.clone(), Arc::downgrade(hub));
        hubs.changed.notify_waiters();
        Found { hubs, key }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Hub>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server can be found as long as this lives.
pub(super) struct Found {
    hubs: Arc<Hubs>,
    key: Key,
}

impl Drop for Found {
    fn drop(&mut self) {
        self.hubs.lock().remove(&self.key);
    }
}
