//! A listener, and a task for each connection.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use millstream_core::env::TaskHandle;
use millstream_core::net::{NetListener, NetStream};
use millstream_core::{Env, TimeDelta};
use tokio::sync::mpsc;

use super::answer::answer;
use super::body::Body;
use super::io::{EnvTimer, Io};
use super::routes::{Connection, Routes};

/// Connections at a time. Each needs some KiB and a file descriptor; what is beyond is closed at once, so that those that are there
/// go on.
const MAX_CONNECTIONS: usize = 20_000;

/// Ends that are noted before the listener looks at them.
const MAX_ENDS: usize = 1024;

/// How long a listener that fails (for want of file descriptors, mostly) waits before it tries again.
const RETRY: TimeDelta = TimeDelta::from_millis(100);

/// Longest head of a request, and how much of a response waits before no more is asked for. Browsers send some KiB of cookies.
const MAX_HEAD: usize = 16 << 10;

/// How long a client may take for the head of a request, and be silent between two.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// Accepts connections for ever.
pub(super) async fn accept(mut listener: Box<dyn NetListener>, routes: Arc<Routes>, env: Env) {
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
        let (id, ended, routes, own) = (next, ended.clone(), routes.clone(), env.clone());
        let task = env.tasks.spawn(Box::pin(async move {
            serve(stream, &routes, own).await;
            let _ = ended.send(id).await;
        }));
        connections.insert(id, task);
    }
}

/// Serves one client until it leaves or has to.
async fn serve(stream: Box<dyn NetStream>, routes: &Routes, env: Env) {
    let peer = stream.peer();
    let connection = Connection::default();
    let service = service_fn(|request: Request<Incoming>| {
        // Nothing that is served looks at a body.
        let request = request.map(drop);
        let response = answer(routes, &env, &request, &connection);
        tracing::debug!(%peer, method = %request.method(), path = request.uri().path(), status = %response.status());
        std::future::ready(Ok::<Response<Body>, Infallible>(response))
    });
    let served = http1::Builder::new()
        .timer(EnvTimer::new(env.clone()))
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .auto_date_header(false)
        .serve_connection(Io::new(stream, env.clone()), service)
        .await;
    match served {
        Ok(()) => tracing::debug!(%peer, "left"),
        Err(error) => tracing::debug!(%peer, %error, "lost"),
    }
}
