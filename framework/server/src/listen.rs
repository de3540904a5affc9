//! Listeners: one for each address of a runtime, and a task for each connection.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millstream_core::env::TaskHandle;
use millstream_core::net::{NetListener, NetStream};
use millstream_core::{Env, Error, MessageKind, Result, TimeDelta};
use tokio::sync::mpsc;

/// Connections of a listener at a time. Each needs a few KiB and a file descriptor; what is beyond is closed at once, so that those that
/// are there go on.
const MAX_CONNECTIONS: usize = 20_000;

/// Ends that are noted before the listener looks at them.
const MAX_ENDS: usize = 1024;

/// How long a listener that fails (for want of file descriptors, mostly) waits before it tries again.
const RETRY: TimeDelta = TimeDelta::from_millis(100);

/// What listens in a runtime, by the address that was asked for. It is there as long as somebody holds it, and everybody who asks for an
/// address gets the same.
pub struct Shared<T>(Mutex<HashMap<SocketAddr, Weak<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// What listens at an address; `make` makes it of a listener if this is the first to ask.
    ///
    /// # Errors
    /// When the address is taken by another program or does not exist; those of `make`.
    pub fn at(env: &Env, address: SocketAddr, make: impl FnOnce(Box<dyn NetListener>) -> Result<T>) -> Result<Arc<T>> {
        let shared = env.shared::<Self>();
        let mut all = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = all.get(&address).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let made = Arc::new(make(listen(env, address)?)?);
        all.retain(|_, one| one.strong_count() > 0);
        all.insert(address, Arc::downgrade(&made));
        Ok(made)
    }
}

/// Who is meant to come to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guest {
    /// Somebody who publishes a stream.
    Publisher,
    /// Somebody who plays it.
    Player,
    /// Somebody who talks to others, with a browser.
    Caller,
}

/// The message `address`, by which an element says, once it listens, where it is reached: `for` has `publishers`, `players` or `callers`, `url` the
/// whole URL. `path` begins with a slash. What listens everywhere is reached on this machine.
pub fn address(guest: Guest, scheme: &str, local: SocketAddr, path: &str) -> MessageKind {
    let guests = match guest {
        Guest::Publisher => "publishers",
        Guest::Player => "players",
        Guest::Caller => "callers",
    };
    let url = url(scheme, local, path);
    MessageKind::Element { name: "address", fields: vec![("for", guests.to_owned()), ("url", url)] }
}

/// The URL by which a listener is reached on this machine. `path` begins with a slash.
pub fn url(scheme: &str, local: SocketAddr, path: &str) -> String {
    let mut reached = local;
    if local.ip().is_unspecified() {
        reached.set_ip(if local.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("{scheme}://{reached}{path}")
}

fn listen(env: &Env, address: SocketAddr) -> Result<Box<dyn NetListener>> {
    env.net.listen(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port (`--set` where the pipeline has a param for it)",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose another port",
            _ => "is this an address of this machine? 0.0.0.0 stands for all of them",
        };
        Error::io(format!("cannot listen at {address}"), error).hint(hint)
    })
}

/// Accepts connections until the handle goes, which ends them too. `serve` makes the task of one.
#[must_use]
pub fn accept<F, T>(listener: Box<dyn NetListener>, env: &Env, serve: F) -> TaskHandle
where
    F: Fn(Box<dyn NetStream>) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    env.tasks.spawn(Box::pin(accept_all(listener, env.clone(), serve)))
}

async fn accept_all<F, T>(mut listener: Box<dyn NetListener>, env: Env, serve: F)
where
    F: Fn(Box<dyn NetStream>) -> T + Send,
    T: Future<Output = ()> + Send + 'static,
{
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
        // In a box of its own: a task that holds it and waits for it has room for it twice.
        let (id, ended, served) = (next, ended.clone(), Box::pin(serve(stream)));
        let task = env.tasks.spawn(Box::pin(async move {
            served.await;
            let _ = ended.send(id).await;
        }));
        connections.insert(id, task);
    }
}
