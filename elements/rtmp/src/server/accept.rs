//! A listener, and a task for each connection.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_core::env::TaskHandle;
use millstream_core::net::NetListener;
use millstream_core::{Env, TimeDelta};
use tokio::sync::mpsc;

use super::connection::Connection;
use super::mounts::Mounts;

/// Connections at a time. Each needs a few KiB and a file descriptor; what is beyond is closed at once, so that those that are there
/// go on.
const MAX_CONNECTIONS: usize = 20_000;

/// Ends that are noted before the listener looks at them.
const MAX_ENDS: usize = 1024;

/// How long a listener that fails (for want of file descriptors, mostly) waits before it tries again.
const RETRY: TimeDelta = TimeDelta::from_millis(100);

/// Accepts connections for ever.
pub(super) async fn accept(mut listener: Box<dyn NetListener>, mounts: Arc<Mounts>, env: Env) {
    let mut connections: HashMap<u64, TaskHandle> = HashMap::new();
    let (ended, mut ends) = mpsc::channel(MAX_ENDS);
    let mut next = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            Some(end) = ends.recv() => {
                connections.remove(&end);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok(stream) if connections.len() < MAX_CONNECTIONS => stream,
            Ok(stream) => {
                tracing::warn!(peer = %stream.peer(), "closed: there are {MAX_CONNECTIONS} connections");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                env.clock.sleep_until(env.clock.now() + RETRY).await;
                continue;
            }
        };
        next += 1;
        let (id, ended) = (next, ended.clone());
        let connection = Connection::new(stream, mounts.clone(), env.clone());
        let task = env.tasks.spawn(Box::pin(async move {
            connection.run().await;
            let _ = ended.send(id).await;
        }));
        connections.insert(id, task);
    }
}
