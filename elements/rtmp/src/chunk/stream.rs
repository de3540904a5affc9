//! What a chunk stream remembers from chunk to chunk.

use super::message_header::MessageHeader;
use super::partial::Partial;
use crate::message::MessageType;

/// A chunk stream of a reader.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Time of the message that is being read, or was read last.
    pub(super) timestamp: u32,
    /// What format 3 adds when it begins a message.
    delta: u32,
    pub(super) len: u32,
    pub(super) kind: MessageType,
    pub(super) stream_id: u32,
    /// The extended timestamp of the last header that was not format 3.
    pub(super) extended: Option<u32>,
    pub(super) partial: Option<Partial>,
    /// The longest whole message so far.
    pub(super) largest: usize,
}

impl Stream {
    pub(super) fn new(id: u32) -> Self {
        let kind = MessageType::Other(0);
        Self { id, timestamp: 0, delta: 0, len: 0, kind, stream_id: 0, extended: None, partial: None, largest: 0 }
    }

    /// Length and type that a header says, or leaves as they were.
    pub(super) fn announced(&self, header: &MessageHeader) -> (u32, MessageType) {
        match *header {
            MessageHeader::Full { len, kind, .. } | MessageHeader::SameStream { len, kind, .. } => (len, kind),
            MessageHeader::SameLength { .. } | MessageHeader::Same => (self.len, self.kind),
        }
    }

    /// Takes over the header of the first chunk of a message. `repeated` is the extended timestamp of a format 3 header.
    pub(super) fn begin(&mut self, header: &MessageHeader, repeated: Option<u32>) {
        (self.len, self.kind) = self.announced(header);
        match *header {
            MessageHeader::Full { timestamp, stream_id, .. } => {
                self.stream_id = stream_id;
                self.timestamp = timestamp;
                // A format 3 chunk behind it takes this as the difference of time (RTMP 1.0, 5.3.1.2.4).
                self.delta = timestamp;
            }
            MessageHeader::SameStream { delta, .. } | MessageHeader::SameLength { delta } => self.advance(delta),
            MessageHeader::Same => self.advance(repeated.unwrap_or(self.delta)),
        }
        if *header != MessageHeader::Same {
            self.extended = header.extended();
        } else if repeated.is_some() {
            self.extended = repeated;
        }
    }

    fn advance(&mut self, delta: u32) {
        self.delta = delta;
        self.timestamp = self.timestamp.wrapping_add(delta);
    }
}
