//! What both ends do alike once the handshake is done: chunks, acknowledgements, pings, and taking messages apart.

use bytes::Bytes;
use millstream_flv::wire::Slices;

use super::SessionError;
use super::acknowledge::Acknowledgements;
use super::bandwidth::PeerBandwidth;
use crate::chunk::{ChunkLimits, ChunkReader, ChunkWriter, ReaderStats};
use crate::command::{Command, Invoke};
use crate::message::{Aggregate, Control, DataFrame, Message, MessageType, UserControl, chunk_stream, parse_data};

/// Bytes of answers that wait for a peer to read: thousands of them, as no sane peer has.
const MAX_ANSWERS: usize = 64 << 10;

/// What a media message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// The body of an FLV audio tag.
    Audio,
    /// The body of an FLV video tag.
    Video,
}

/// A media message.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Audio or video.
    pub kind: MediaKind,
    /// Decoding time in milliseconds modulo 2^32.
    pub timestamp: u32,
    /// The body of an FLV tag; a slice of what was received where it lay whole in one piece.
    pub payload: Bytes,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} bytes at {}", self.kind, self.payload.len(), self.timestamp)
    }
}

/// What a session has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkStats {
    /// Bytes received, handshake included.
    pub received: u64,
    /// Bytes handed out for sending, handshake included.
    pub sent: u64,
    /// Bytes sent that the peer has not acknowledged. Many peers never do.
    pub unacknowledged: u64,
    /// Bytes that wait to be handed out for sending.
    pub waiting: usize,
    /// Bytes of memory that unfinished messages take.
    pub held: usize,
    /// The limit that the peer set by Set Peer Bandwidth. It is not enforced here: encoders that set one acknowledge nothing.
    pub peer_limit: Option<u32>,
    /// Messages that could not be understood, and were skipped.
    pub malformed: u64,
    /// Messages of types that are not supported, and media that belongs to no stream.
    pub ignored: u64,
    /// Chunks and messages read.
    pub reader: ReaderStats,
}

/// A message by its meaning.
#[derive(Debug)]
pub(super) enum Incoming {
    Command(u32, Command, f64),
    Media(u32, Media),
    Data(u32, u32, DataFrame),
    UserControl(UserControl),
    /// Set Peer Bandwidth came, and was obeyed.
    Bandwidth,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Link {
    reader: ChunkReader,
    writer: ChunkWriter,
    out: Slices,
    /// Bytes in `out` that answer the peer.
    answers: usize,
    acks: Acknowledgements,
    bandwidth: PeerBandwidth,
    aggregate: Option<Aggregate>,
    malformed: u64,
    ignored: u64,
}

impl Link {
    pub(super) fn new(limits: ChunkLimits) -> Self {
        Self {
            reader: ChunkReader::new(limits),
            writer: ChunkWriter::new(),
            out: Slices::new(),
            answers: 0,
            acks: Acknowledgements::new(),
            bandwidth: PeerBandwidth::default(),
            aggregate: None,
            malformed: 0,
            ignored: 0,
        }
    }

    /// Counts bytes of the handshake.
    pub(super) fn handshake_received(&mut self, len: usize) {
        self.acks.received(len);
    }

    /// Takes bytes of chunks.
    pub(super) fn receive(&mut self, data: Bytes) {
        self.acks.received(data.len());
        self.reader.push(data);
    }

    /// Sends what is no chunk: the handshake.
    pub(super) fn send_raw(&mut self, bytes: &Bytes) {
        self.out.share(bytes);
    }

    pub(super) fn send(&mut self, message: &Message) {
        self.writer.write(message, &mut self.out);
    }

    /// Sends a message whose headers depend on none before, on a chunk stream that others write to as well.
    pub(super) fn send_alone(&mut self, message: &Message) {
        self.writer.write_alone(message, &mut self.out);
    }

    /// Sends something that the peer's messages asked for.
    pub(super) fn answer(&mut self, message: &Message) {
        let before = self.out.len();
        self.send(message);
        self.answers += self.out.len() - before;
    }

    pub(super) fn command(&mut self, stream_id: u32, invoke: &Invoke) {
        let message = Message {
            chunk_stream: chunk_stream::COMMAND,
            kind: MessageType::Command,
            timestamp: 0,
            stream_id,
            payload: invoke.to_payload(),
        };
        self.answer(&message);
    }

    pub(super) fn set_chunk_size(&mut self, size: u32) {
        self.writer.set_chunk_size(size, &mut self.out);
    }

    /// Announces a window, unless the peer knows it.
    pub(super) fn announce_window(&mut self, window: u32) {
        if self.bandwidth.announce(window) {
            self.send(&Control::WindowAcknowledgementSize(window).to_message());
        }
    }

    pub(super) fn has_announced_window(&self) -> bool {
        self.bandwidth.has_announced()
    }

    /// What is to be sent, an acknowledgement that is due among it. `is_open` says that the handshake is done.
    pub(super) fn output(&mut self, is_open: bool) -> Vec<Bytes> {
        if let Some(sequence) = is_open.then(|| self.acks.due()).flatten() {
            self.send(&Control::Acknowledgement(sequence).to_message());
        }
        self.answers = 0;
        self.acks.sent(self.out.len());
        // A new one, so that no block stays behind for a connection that has little to say.
        std::mem::take(&mut self.out).take()
    }

    /// Whether [`Link::output`] would give anything but an acknowledgement.
    pub(super) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Bytes that were sent past [`Link::output`].
    pub(super) fn note_sent(&mut self, len: usize) {
        self.acks.sent(len);
    }

    /// The connection is gone: gives up what was not sent, and what came in part.
    pub(super) fn release(&mut self) {
        self.out = Slices::new();
        self.answers = 0;
        self.aggregate = None;
        self.reader.release();
    }

    pub(super) fn ignore(&mut self) {
        self.ignored += 1;
    }

    pub(super) fn stats(&self) -> LinkStats {
        LinkStats {
            received: self.acks.total_received(),
            sent: self.acks.total_sent(),
            unacknowledged: self.acks.unacknowledged(),
            waiting: self.out.len(),
            held: self.reader.held(),
            peer_limit: self.bandwidth.limit(),
            malformed: self.malformed,
            ignored: self.ignored,
            reader: self.reader.stats(),
        }
    }

    /// The next message that the session has to look at.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, SessionError> {
        // Each turn takes a message off the reader or an aggregate, or ends.
        loop {
            if self.answers > MAX_ANSWERS {
                return Err(SessionError::Flood { limit: MAX_ANSWERS });
            }
            let message = match self.next_of_aggregate() {
                Some(message) => message,
                None => match self.reader.next_message()? {
                    Some(message) => message,
                    None => return Ok(None),
                },
            };
            if let Some(incoming) = self.understand(message) {
                return Ok(Some(incoming));
            }
        }
    }

    fn next_of_aggregate(&mut self) -> Option<Message> {
        match self.aggregate.as_mut()?.next_message() {
            // An aggregate inside an aggregate is not followed.
            Ok(Some(message)) if message.kind != MessageType::Aggregate => return Some(message),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => self.malformed += 1,
        }
        self.aggregate = None;
        None
    }

    fn understand(&mut self, message: Message) -> Option<Incoming> {
        let Message { kind, timestamp, stream_id, .. } = message;
        match kind {
            MessageType::Audio | MessageType::Video => {
                let kind = if kind == MessageType::Audio { MediaKind::Audio } else { MediaKind::Video };
                Some(Incoming::Media(stream_id, Media { kind, timestamp, payload: message.payload }))
            }
            MessageType::Command | MessageType::CommandAmf3 => match Invoke::parse(kind, &message.payload) {
                Ok(invoke) => {
                    let transaction = invoke.transaction;
                    Some(Incoming::Command(stream_id, Command::from_invoke(invoke), transaction))
                }
                Err(_) => self.skip(),
            },
            MessageType::Data | MessageType::DataAmf3 => match parse_data(&message) {
                Some(data) => Some(Incoming::Data(stream_id, timestamp, data)),
                None => self.skip(),
            },
            MessageType::UserControl => match UserControl::parse(&message.payload) {
                Ok(event) => self.user_control(event),
                Err(_) => self.skip(),
            },
            MessageType::Aggregate => {
                self.aggregate = Some(Aggregate::new(message));
                None
            }
            MessageType::Other(_) => {
                self.ignored += 1;
                None
            }
            _ => self.control(&message),
        }
    }

    fn control(&mut self, message: &Message) -> Option<Incoming> {
        let Ok(control) = Control::parse(message.kind, &message.payload) else { return self.skip() };
        match control? {
            Control::Acknowledgement(sequence) => self.acks.acknowledged(sequence),
            Control::WindowAcknowledgementSize(window) => self.acks.set_window(window),
            Control::SetPeerBandwidth { window, limit } => {
                if let Some(window) = self.bandwidth.set(window, limit) {
                    self.answer(&Control::WindowAcknowledgementSize(window).to_message());
                }
                return Some(Incoming::Bandwidth);
            }
            // The reader obeyed.
            Control::SetChunkSize(_) | Control::Abort { .. } => {}
        }
        None
    }

    fn user_control(&mut self, event: UserControl) -> Option<Incoming> {
        match event {
            UserControl::PingRequest(time) => {
                self.answer(&UserControl::PingResponse(time).to_message());
                None
            }
            UserControl::Other(_) => {
                self.ignored += 1;
                None
            }
            event => Some(Incoming::UserControl(event)),
        }
    }

    fn skip(&mut self) -> Option<Incoming> {
        self.malformed += 1;
        None
    }
}
