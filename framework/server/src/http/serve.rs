//! One connection of a client.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use millstream_core::Env;
use millstream_core::net::NetStream;

use super::answer::answer;
use super::body::Body;
use super::io::{EnvTimer, Io};
use super::routes::{Connection, Routes};

/// Longest head of a request, and how much of a response waits before no more is asked for. Browsers send some KiB of cookies.
const MAX_HEAD: usize = 16 << 10;

/// How long a client may take for the head of a request, and be silent between two.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// Serves one client until it leaves or has to.
pub(super) async fn serve(stream: Box<dyn NetStream>, routes: Arc<Routes>, env: Env) {
    let peer = stream.peer();
    let connection = Connection::new(peer);
    let service = service_fn(|request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, ());
        let (routes, env, connection) = (&routes, &env, &connection);
        async move {
            let response = answer(routes, env, &request, body, connection).await;
            tracing::debug!(%peer, method = %request.method(), path = request.uri().path(), status = %response.status());
            Ok::<Response<Body>, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(EnvTimer::new(env.clone()))
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .auto_date_header(false)
        .serve_connection(Io::new(stream, env.clone()), service)
        .with_upgrades()
        .await;
    if let Some(next) = connection.next() {
        next.await;
    }
    match served {
        Ok(()) => tracing::debug!(%peer, "left"),
        Err(error) => tracing::debug!(%peer, %error, "lost"),
    }
}
