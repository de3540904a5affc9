//! A WebSocket (RFC 6455): a live stream of which each piece is a binary message, or a conversation.
//!
//! Any page may open one that carries a stream, as any may read what is served otherwise (CORS): there are no cookies that another page could abuse. Keys in the
//! query are looked at as for every player.

mod frame;
mod open;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::rt::{Read as _, ReadBuf, Write as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Response, StatusCode, Version};
use millstream_core::Env;
use sha1::{Digest as _, Sha1};

pub use self::open::Opened;

use self::frame::{End, Frame, Opcode, Status};
use super::answer::text;
use super::body::{Body, Live, Slices};
use super::routes::{Ask, Connection};

/// RFC 6455, 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Pongs that wait behind a message. A client that asks more often has its answers already.
const MAX_PONGS: usize = 8;

/// Bytes that are read at a time.
const READ_BLOCK: usize = 1 << 10;

/// Longest message of a client that only listens: players have nothing to say.
const LISTENER_SAYS: usize = 4 << 10;

/// What one end of a conversation says.
#[derive(Clone, Debug)]
pub enum Message {
    /// Text.
    Text(Bytes),
    /// Bytes.
    Binary(Slices),
    /// Asks the other end whether it is there. Its answer is heard as [`Heard::Alive`].
    Ping,
    /// The last: a status code (RFC 6455, 7.4) and words for people.
    Close(u16, String),
}

/// What is heard of the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Bytes),
    /// It is there, and has said nothing.
    Alive,
}

/// One end of a conversation. It is dropped when the connection is over.
pub trait Talk: Send {
    /// Longest message of the other end, in bytes; a longer one ends the connection.
    fn longest(&self) -> usize {
        LISTENER_SAYS
    }
    /// What to say next; nothing at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>>;
    /// Hears the other end. Whoever wants to answer wakes the task of [`Talk::poll_next`].
    fn hear(&mut self, heard: Heard) {
        let _ = heard;
    }
}

/// A stream as a conversation in which the client says nothing.
struct Carried(Box<dyn Live>);

impl Talk for Carried {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.poll_next(cx).map(|slices| slices.map(Message::Binary))
    }
}

/// A request to go on as a WebSocket.
pub struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
    connection: Connection,
}

impl Handshake {
    /// What a request asks for; nothing if it wants no WebSocket.
    ///
    /// # Errors
    /// The response to one that breaks the rules of RFC 6455, 4.2.1.
    pub fn of(ask: &Ask<'_>) -> Result<Option<Self>, Box<Response<Body>>> {
        let headers = ask.request.headers();
        if !has(headers, header::UPGRADE, "websocket") {
            return Ok(None);
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        let is_key = |key: &&[u8]| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
        let upgrade = ask.request.extensions().get::<OnUpgrade>().cloned();
        let fits = ask.request.method() == Method::GET
            && ask.request.version() == Version::HTTP_11
            && has(headers, header::CONNECTION, "upgrade");
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            let mut response = text(StatusCode::UPGRADE_REQUIRED, "Only version 13 of WebSocket is spoken.\n");
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return Err(Box::new(response));
        }
        match (key.filter(is_key).and_then(accept), upgrade) {
            (Some(accept), Some(upgrade)) if fits => {
                Ok(Some(Self { accept, upgrade, connection: ask.connection.clone() }))
            }
            _ => Err(Box::new(text(StatusCode::BAD_REQUEST, "This is no handshake of a WebSocket.\n"))),
        }
    }

    /// Goes on as a WebSocket that carries a stream.
    pub fn carry(self, live: Box<dyn Live>) -> Response<Body> {
        self.talk(Box::new(Carried(live)))
    }

    /// Goes on as a WebSocket on which both ends talk.
    pub fn talk(self, talk: Box<dyn Talk>) -> Response<Body> {
        let upgrade = self.upgrade;
        self.connection.go_on_with(Box::pin(async move {
            if let Ok(stream) = upgrade.await {
                Socket::new(stream, talk, None).run().await;
            }
        }));
        let mut response = Response::new(Body::Full(Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        response
    }
}

/// Whether a list has a word, in any case.
fn has(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

fn accept(key: &[u8]) -> Option<HeaderValue> {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(hash)).ok()
}

/// An open WebSocket.
struct Socket {
    stream: Upgraded,
    talk: Box<dyn Talk>,
    input: BytesMut,
    /// A message of which frames are still to come.
    begun: Option<(Opcode, BytesMut)>,
    pongs: VecDeque<Bytes>,
    /// Of a frame that is being sent.
    output: Slices,
    /// The last frame is on its way.
    closing: bool,
    /// Makes keys that mask, at the end that asked for the connection.
    masks: Option<Env>,
}

impl Socket {
    fn new(stream: Upgraded, talk: Box<dyn Talk>, masks: Option<Env>) -> Self {
        let (input, pongs, output) = (BytesMut::new(), VecDeque::new(), Slices::default());
        Self { stream, talk, input, begun: None, pongs, output, closing: false, masks }
    }

    async fn run(mut self) {
        // The other end is gone, or has been told what is wrong.
        let _ = poll_fn(|cx| self.poll(cx)).await;
    }

    fn frame(&self, opcode: Opcode, payload: Slices) -> Slices {
        match &self.masks {
            None => frame::plain(opcode, payload),
            Some(env) => {
                // Where the system has no random numbers, what is sent is no less safe than over any other TCP.
                let key = env.key().ok().and_then(|key| key.first_chunk().copied());
                frame::masked(opcode, payload, key.unwrap_or_default())
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(over) = self.poll_read(cx) {
            return Poll::Ready(over);
        }
        loop {
            while !self.output.is_empty() {
                let mut places = [IoSlice::new(&[]); 64];
                let count = self.output.chunks_vectored(&mut places);
                let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &places[..count]))?;
                if sent == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.output.advance(sent);
            }
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            if self.closing {
                return Pin::new(&mut self.stream).poll_shutdown(cx);
            }
            if let Some(payload) = self.pongs.pop_front() {
                self.output = self.frame(Opcode::Pong, payload.into());
                continue;
            }
            match ready!(self.talk.poll_next(cx)) {
                Some(Message::Text(text)) => self.output = self.frame(Opcode::Text, text.into()),
                Some(Message::Binary(slices)) => self.output = self.frame(Opcode::Binary, slices),
                Some(Message::Ping) => self.output = self.frame(Opcode::Ping, Slices::default()),
                Some(Message::Close(code, words)) => self.close_with(code, &words),
                None => self.close(Status::Normal),
            }
        }
    }

    fn close(&mut self, status: Status) {
        self.close_with(status as u16, "");
    }

    fn close_with(&mut self, code: u16, words: &str) {
        let farewell = self.frame(Opcode::Close, frame::farewell(code, words).into());
        self.output.append(farewell);
        self.closing = true;
    }

    /// Takes what the other end says; ready when it has gone.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut block = [0; READ_BLOCK];
            let mut buffer = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer.unfilled()))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            // What comes behind the end is of no interest.
            if !self.closing {
                self.input.extend_from_slice(buffer.filled());
                self.hear();
            }
        }
    }

    fn hear(&mut self) {
        let from = if self.masks.is_some() { End::Server } else { End::Client };
        while !self.closing {
            match frame::read(&mut self.input, self.talk.longest(), from) {
                Ok(None) => return,
                Ok(Some(frame)) => match frame.opcode {
                    Opcode::Close => self.close(Status::Normal),
                    Opcode::Ping => {
                        if self.pongs.len() < MAX_PONGS {
                            self.pongs.push_back(frame.payload);
                        }
                        self.talk.hear(Heard::Alive);
                    }
                    Opcode::Pong => self.talk.hear(Heard::Alive),
                    Opcode::Continuation | Opcode::Text | Opcode::Binary => match self.assemble(frame) {
                        Ok(Some(heard)) => self.talk.hear(heard),
                        Ok(None) => {}
                        Err(status) => self.close(status),
                    },
                },
                Err(status) => self.close(status),
            }
        }
    }

    /// Puts the frames of a message together (RFC 6455, 5.4).
    fn assemble(&mut self, frame: Frame) -> Result<Option<Heard>, Status> {
        let (opcode, payload) = match (frame.opcode, self.begun.take()) {
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Status::Protocol),
            (Opcode::Continuation, Some((opcode, mut begun))) => {
                if begun.len() + frame.payload.len() > self.talk.longest() {
                    return Err(Status::TooBig);
                }
                begun.extend_from_slice(&frame.payload);
                (opcode, begun)
            }
            (opcode, _) => (opcode, BytesMut::from(frame.payload)),
        };
        if !frame.is_last {
            self.begun = Some((opcode, payload));
            return Ok(None);
        }
        match opcode {
            Opcode::Text => String::from_utf8(payload.into()).map(Heard::Text).map(Some).map_err(|_| Status::NoText),
            _ => Ok(Some(Heard::Binary(payload.freeze()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_accepted_as_in_the_standard() {
        // RFC 6455, 1.3.
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
