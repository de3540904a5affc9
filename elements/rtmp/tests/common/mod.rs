//! What the session tests share.
#![allow(dead_code, reason = "each test binary uses some of it")]

pub(crate) mod ends;

use bytes::Bytes;
use millstream_core::Time;
use millstream_flv::wire::Slices;
use millstream_rtmp::chunk::{ChunkReader, ChunkWriter};
use millstream_rtmp::command::{Command, Invoke};
use millstream_rtmp::message::{Control, Message, MessageType, UserControl};
use millstream_rtmp::session::SessionError;
use millstream_rtmp::session::server::{ServerEvent, ServerSession, ServerSettings};

/// Bytes of C0, C1 and C2, and of S0, S1 and S2.
pub(crate) const HANDSHAKE: usize = 1 + 2 * 1536;

/// Reads what a session sends, the handshake left aside.
#[derive(Default)]
pub(crate) struct Reader {
    handshake: usize,
    chunks: ChunkReader,
}

impl Reader {
    pub(crate) fn read(&mut self, output: Vec<Bytes>) -> Vec<Message> {
        for mut slice in output {
            let head = slice.len().min(HANDSHAKE - self.handshake);
            self.handshake += head;
            self.chunks.push(slice.split_off(head));
        }
        let mut messages = Vec::new();
        while let Some(message) = self.chunks.next_message().expect("chunks that can be read") {
            messages.push(message);
        }
        messages
    }
}

/// A message in a word or three: `SetChunkSize`, `StreamBegin(1)`, `onStatus NetStream.Play.Start`, `_result`, `Audio`.
pub(crate) fn word(message: &Message) -> String {
    match message.kind {
        MessageType::UserControl => format!("{:?}", UserControl::parse(&message.payload).expect("an event")),
        MessageType::Command | MessageType::CommandAmf3 => {
            let invoke = Invoke::parse(message.kind, &message.payload).expect("a command");
            match Command::from_invoke(invoke.clone()) {
                Command::OnStatus(status) => format!("onStatus {}", status.code),
                _ => invoke.name,
            }
        }
        kind => format!("{kind:?}"),
    }
}

pub(crate) fn words(messages: &[Message]) -> Vec<String> {
    messages.iter().map(word).collect()
}

pub(crate) fn control(message: &Message) -> Control {
    Control::parse(message.kind, &message.payload).expect("well-formed").expect("a control message")
}

/// A server that accepts everything, and a client that is played by hand.
pub(crate) struct Served {
    pub(crate) server: ServerSession,
    pub(crate) writer: ChunkWriter,
    pub(crate) reader: Reader,
    pub(crate) now: Time,
}

impl Served {
    /// The handshake is done.
    pub(crate) fn new(settings: ServerSettings) -> Self {
        let mut server = ServerSession::new(settings, 1, Time::ZERO);
        server.receive([&[3][..], &[0; 2 * 1536]].concat().into(), Time::ZERO).expect("a handshake");
        let mut served = Self { server, writer: ChunkWriter::new(), reader: Reader::default(), now: Time::ZERO };
        assert!(served.sent().is_empty(), "nothing but the handshake");
        served
    }

    /// The same, connected.
    pub(crate) fn connected(settings: ServerSettings) -> Self {
        let mut served = Self::new(settings);
        served.command(0, &invoke("connect", 1.0, vec![]));
        served
    }

    /// Sends a message; the events that it brought, all of them accepted.
    pub(crate) fn send(&mut self, message: &Message) -> Vec<ServerEvent> {
        let mut out = Slices::new();
        self.writer.write(message, &mut out);
        self.feed(&out.take().concat())
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<ServerEvent> {
        self.server.receive(Bytes::copy_from_slice(bytes), self.now).expect("bytes of a client");
        accept_all(&mut self.server).expect("a session that goes on")
    }

    pub(crate) fn command(&mut self, stream_id: u32, invoke: &Invoke) -> Vec<ServerEvent> {
        self.send(&command(stream_id, invoke))
    }

    /// What the server sent since the last time.
    pub(crate) fn sent(&mut self) -> Vec<Message> {
        let output = self.server.output();
        self.reader.read(output)
    }

    pub(crate) fn sent_words(&mut self) -> Vec<String> {
        words(&self.sent())
    }
}

/// Handles events as a server does that accepts everything; live streams only.
pub(crate) fn accept_all(server: &mut ServerSession) -> Result<Vec<ServerEvent>, SessionError> {
    let mut events = Vec::new();
    while let Some(event) = accept_next(server, false)? {
        events.push(event);
    }
    Ok(events)
}

/// The next event, accepted.
pub(crate) fn accept_next(server: &mut ServerSession, recorded: bool) -> Result<Option<ServerEvent>, SessionError> {
    let event = server.next_event()?;
    match &event {
        Some(ServerEvent::Connect(_)) => server.accept_connect(),
        Some(ServerEvent::Publish { stream, .. }) => server.accept_publish(*stream),
        Some(ServerEvent::Play { stream, .. }) => server.accept_play(*stream, recorded),
        Some(ServerEvent::StreamLength { request, .. }) => server.answer_stream_length(*request, 0.0),
        Some(ServerEvent::Pause { stream, pause, .. }) => server.answer_pause(*stream, *pause),
        Some(ServerEvent::Seek { stream, .. }) => server.answer_seek(*stream, true),
        _ => {}
    }
    Ok(event)
}

/// A command; the application of `connect` is `live`.
pub(crate) fn invoke(name: &str, transaction: f64, arguments: Vec<millstream_amf::Value>) -> Invoke {
    let object = match name {
        "connect" => millstream_amf::Value::object([("app", "live")].map(|(key, value)| (key, value.into()))),
        _ => millstream_amf::Value::Null,
    };
    Invoke::new(name, transaction, object, arguments)
}

pub(crate) fn command(stream_id: u32, invoke: &Invoke) -> Message {
    let payload = invoke.to_payload();
    Message { chunk_stream: 3, kind: MessageType::Command, timestamp: 0, stream_id, payload }
}

pub(crate) fn media(kind: MessageType, stream_id: u32, timestamp: u32, payload: &[u8]) -> Message {
    let chunk_stream = if kind == MessageType::Video { 6 } else { 4 };
    Message { chunk_stream, kind, timestamp, stream_id, payload: Bytes::copy_from_slice(payload) }
}
