//! What players of HTTP-FLV get: tags that were written once, and for each player a place in their feed.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use millstream_core::Env;
use millstream_flv::live::{CLEARED_METADATA, Class, Cursor, Feed, FeedEntry, classify, is_disposable};
use millstream_flv::wire::{FileHeader, Tag, TagHeader, TagKind};
use millstream_server::access::{Access, Admitted, Purpose, Visit};
use millstream_server::http::websocket::Handshake;
use millstream_server::http::{Answer, Ask, Body, Connection, Live, Route, Slices, text};

/// Bytes of a stream that a player is given at a time. More would be memory that waits for a slow one.
const WRITE_BUDGET: usize = 256 << 10;

/// Size of the tag before the next (FLV 10.1, E.3).
const TAG_SIZE_LEN: usize = 4;

/// A tag as every player gets it.
#[derive(Debug)]
pub(crate) struct Entry {
    tag: Tag,
    head: Bytes,
    tail: Bytes,
    class: Class,
}

impl Entry {
    pub(crate) fn new(tag: Tag) -> Self {
        // The reader cut it by a size of 24 bits.
        let header = TagHeader::new(tag.kind, tag.body.len() as u32, tag.timestamp);
        let mut around = BytesMut::with_capacity(TagHeader::LEN + TAG_SIZE_LEN);
        header.write(&mut around);
        let head = around.split().freeze();
        around.extend_from_slice(&header.tag_size().to_be_bytes());
        let class = classify(tag.kind, &tag.body);
        Self { tag, head, tail: around.freeze(), class }
    }
}

impl FeedEntry for Entry {
    fn class(&self) -> Class {
        self.class
    }

    fn kind(&self) -> TagKind {
        self.tag.kind
    }

    fn timestamp(&self) -> u32 {
        self.tag.timestamp
    }

    fn is_disposable(&self) -> bool {
        is_disposable(self.tag.kind, &self.tag.body)
    }

    fn size(&self) -> usize {
        self.tag.body.len()
    }

    fn clears(&self) -> bool {
        self.tag.body == CLEARED_METADATA
    }

    fn at(&self, timestamp: u32) -> Self {
        Self::new(Tag { timestamp, ..self.tag.clone() })
    }
}

/// Header of the file, and the size of the tag before the first. Browsers wait for what it announces.
fn file_header(feed: &Feed<Entry>) -> Bytes {
    let (audio, video) = (feed.has_audio(), feed.has_video());
    // Before anything has come, either may.
    let unknown = !audio && !video;
    let mut header = BytesMut::with_capacity(FileHeader::LEN + TAG_SIZE_LEN);
    FileHeader::new(audio || unknown, video || unknown).write(&mut header);
    header.extend_from_slice(&[0; TAG_SIZE_LEN]);
    header.freeze()
}

/// A stream at a path, and who may play it.
pub(crate) struct FlvRoute {
    pub(crate) feed: Arc<Feed<Entry>>,
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) env: Env,
}

impl Route for FlvRoute {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        if ask.request.method() == Method::HEAD {
            return response(Body::Full(Bytes::new())).into();
        }
        let handshake = match Handshake::of(ask) {
            Ok(handshake) => handshake,
            Err(refused) => return (*refused).into(),
        };
        let (feed, connection) = (self.feed.clone(), ask.connection.clone());
        let Some(access) = self.access.clone() else { return begin(handshake, player(&feed, connection, None)).into() };
        let (peer, visit) = (ask.connection.peer(), visit(ask, self.env.random()));
        let admit = access.admit(self.env.clone(), visit);
        Answer::Later(Box::pin(async move {
            match admit.await {
                Ok(admitted) => begin(handshake, player(&feed, connection, Some(admitted))),
                Err(denied) => {
                    tracing::warn!(%peer, "may not play: {denied}");
                    text(StatusCode::FORBIDDEN, "This stream is not for everybody.\n")
                }
            }
        }))
    }
}

fn player(feed: &Arc<Feed<Entry>>, connection: Connection, admitted: Option<Admitted>) -> Box<dyn Live> {
    let header = Some(file_header(feed));
    Box::new(Player { header, cursor: Some(feed.join()), connection, _admitted: admitted })
}

/// As a response that does not end, or over a WebSocket.
fn begin(handshake: Option<Handshake>, player: Box<dyn Live>) -> Response<Body> {
    match handshake {
        Some(handshake) => handshake.carry(player),
        None => response(Body::Live(player)),
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/x-flv"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Nothing follows a stream that ends when it ends.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Application and stream are the last parts of the path: `live` and `cam` of `/live/cam.flv`.
fn visit(ask: &Ask<'_>, client: u64) -> Visit {
    let path = ask.request.uri().path();
    let (app, stream) = path.trim_matches('/').rsplit_once('/').unwrap_or(("", path.trim_matches('/')));
    Visit {
        purpose: Purpose::Play,
        peer: ask.connection.peer(),
        client,
        app: app.to_owned(),
        stream: stream.strip_suffix(".flv").unwrap_or(stream).to_owned(),
        query: ask.request.uri().query().unwrap_or_default().into(),
        hello: Arc::default(),
    }
}

/// A player: the body of its response.
struct Player {
    header: Option<Bytes>,
    cursor: Option<Cursor<Entry>>,
    connection: Connection,
    /// Its end is told when this goes.
    _admitted: Option<Admitted>,
}

impl Live for Player {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Slices>> {
        if let Some(header) = self.header.take() {
            return Poll::Ready(Some(header.into()));
        }
        let Some(cursor) = &mut self.cursor else { return Poll::Ready(None) };
        let mut taken = Vec::new();
        cursor.poll_take(cx, WRITE_BUDGET, &mut taken).map(|more| {
            if !more {
                return None;
            }
            let mut slices = Slices::default();
            for entry in taken {
                [&entry.head, &entry.tag.body, &entry.tail].into_iter().for_each(|slice| slices.push(slice.clone()));
            }
            Some(slices)
        })
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It counts as one until it has been sent everything: the element waits for that.
        if let Some(cursor) = self.cursor.take() {
            self.connection.keep(cursor);
        }
    }
}
