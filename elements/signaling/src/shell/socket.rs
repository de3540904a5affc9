//! One WebSocket, and who may open it.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use millstream_server::http::hyper::header::{HOST, HeaderName, ORIGIN};
use millstream_server::http::hyper::{Request, StatusCode};
use millstream_server::http::websocket::{Handshake, Heard, Message, Talk};
use millstream_server::http::{Answer, Ask, Route, text};

use super::hub::Hub;
use super::outbox::{Item, Outbox};
use super::watch::Watch;
use crate::board::ConnId;
use crate::message::MAX_MESSAGE;

/// The code with which connections are closed: the first that applications may use (RFC 6455, 7.4.2).
const CLOSED: u16 = 4000;

/// Opens WebSockets.
pub(super) struct SignalRoute {
    pub(super) hub: Arc<Hub>,
    pub(super) origins: Vec<String>,
}

impl Route for SignalRoute {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        let handshake = match Handshake::of(ask) {
            Ok(Some(handshake)) => handshake,
            Ok(None) => return text(StatusCode::UPGRADE_REQUIRED, "Here is a WebSocket, for signaling.\n").into(),
            Err(refused) => return (*refused).into(),
        };
        let peer = ask.connection.peer();
        if !is_welcome(ask.request, &self.origins) {
            tracing::warn!(%peer, "a page of another origin may not come; `origins` lets it");
            return text(StatusCode::FORBIDDEN, "Pages of this origin may not come.\n").into();
        }
        let (conn, outbox) = self.hub.connect(peer, None);
        let watch = Watch::new(self.hub.env().clock.now());
        let socket = Socket { hub: self.hub.clone(), conn, outbox, watch };
        handshake.talk(Box::new(socket)).into()
    }
}

/// Whether a page of this origin may come (RFC 6455, 10.2). What is no browser says none.
fn is_welcome(request: &Request<()>, origins: &[String]) -> bool {
    let header = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let Some(origin) = header(ORIGIN) else { return true };
    let own = origin.split_once("://").is_some_and(|(_, host)| header(HOST).is_some_and(|asked| same(host, asked)));
    own || origins.iter().any(|allowed| allowed == "*" || same(allowed, origin))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

struct Socket {
    hub: Arc<Hub>,
    conn: ConnId,
    outbox: Outbox,
    watch: Watch,
}

impl Talk for Socket {
    fn longest(&self) -> usize {
        // One that is a little longer is still told why it is refused.
        MAX_MESSAGE + 1024
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        match self.outbox.poll_take(cx) {
            Poll::Ready(Some(Item::Message(envelope))) => {
                return Poll::Ready(Some(Message::Text(Bytes::from(envelope.to_json()))));
            }
            Poll::Ready(Some(Item::Close(reason))) => {
                return Poll::Ready(Some(Message::Close(CLOSED, reason.as_str().to_owned())));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        self.watch.poll(&*self.hub.env().clock, cx)
    }

    fn hear(&mut self, heard: Heard) {
        self.watch.heard(self.hub.env().clock.now());
        let conn = self.conn;
        match heard {
            Heard::Text(text) => self.hub.with(|board, at| board.hear_text(at, conn, &text)),
            Heard::Binary(_) => self.hub.with(|board, at| board.hear_bytes(at, conn)),
            Heard::Alive => {}
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.hub.lost(self.conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sig_3_pages_of_other_origins_come_only_if_they_may() {
        for (origin, allowed, welcome) in [
            (None, "", true),
            (Some("http://Here:8080"), "", true),
            (Some("https://here:8080"), "", true),
            (Some("http://here"), "", false),
            (Some("http://elsewhere"), "", false),
            (Some("null"), "", false),
            (Some("http://elsewhere"), "http://elsewhere", true),
            (Some("https://elsewhere"), "http://elsewhere", false),
            (Some("null"), "*", true),
        ] {
            let mut request = Request::builder().header(HOST, "here:8080");
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            let origins: Vec<String> = (!allowed.is_empty()).then(|| allowed.to_owned()).into_iter().collect();
            assert_eq!(is_welcome(&request.body(()).unwrap(), &origins), welcome, "{origin:?} {allowed}");
        }
    }
}
