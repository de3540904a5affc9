//! Aggregate messages (RTMP 1.0, 7.1.6): type 22, several messages in one.
//!
//! The body has the form of an FLV file without its header:
//!
//! ```text
//! +--------------+---------+--------------+--------------+---------+- - -
//! | header 0, 11 | data 0  | back ptr, 4  | header 1, 11 | data 1  |
//! +--------------+---------+--------------+--------------+---------+- - -
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use millstream_flv::wire::TagHeader;

use super::{Message, MessageError, MessageType};

/// Bytes of a back pointer.
const BACK_POINTER: usize = 4;

/// The messages inside an aggregate, slices of it.
///
/// The stream id of the aggregate wins over those inside. Times are shifted so that the first is that of the aggregate.
#[derive(Debug, Clone)]
pub struct Aggregate {
    outer: Message,
    at: usize,
    /// What is added to the times inside.
    shift: Option<u32>,
}

impl Aggregate {
    /// The messages inside `outer`, whose type is not looked at.
    pub fn new(outer: Message) -> Self {
        Self { outer, at: 0, shift: None }
    }

    /// The next message; nothing at the end.
    ///
    /// # Errors
    /// [`MessageError`] when the rest is shorter than what it says of itself; the messages before were whole. There is nothing
    /// behind an error.
    pub fn next_message(&mut self) -> Result<Option<Message>, MessageError> {
        let rest = self.outer.payload.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let header = rest.first_chunk().map(TagHeader::parse);
        let header = header.ok_or_else(|| self.truncated(0, "a message header"))?;
        let begin = self.at + TagHeader::LEN;
        let end = begin + header.size as usize;
        if end > self.outer.payload.len() {
            return Err(self.truncated(TagHeader::LEN, "the data of a message"));
        }
        // The last back pointer is missing in some.
        self.at = (end + BACK_POINTER).min(self.outer.payload.len());
        let shift = *self.shift.get_or_insert(self.outer.timestamp.wrapping_sub(header.timestamp));
        Ok(Some(Message {
            kind: MessageType::from(header.type_byte),
            timestamp: header.timestamp.wrapping_add(shift),
            payload: self.outer.payload.slice(begin..end),
            ..self.outer.clone()
        }))
    }

    fn truncated(&mut self, behind: usize, expected: &'static str) -> MessageError {
        let offset = self.at + behind;
        self.at = self.outer.payload.len();
        MessageError::new(MessageType::Aggregate, offset, expected)
    }
}

/// Puts messages into one aggregate that goes on the stream and at the time of the first. Nothing if there are none.
pub fn aggregate(messages: &[Message]) -> Option<Message> {
    let first = messages.first()?;
    let mut payload = BytesMut::new();
    for message in messages {
        let size = message.payload.len() as u32;
        let stream_id = message.stream_id;
        let header = TagHeader { type_byte: message.kind.into(), size, timestamp: message.timestamp, stream_id };
        header.write(&mut payload);
        payload.put_slice(&message.payload);
        payload.put_u32(header.tag_size());
    }
    Some(Message { kind: MessageType::Aggregate, payload: Bytes::from(payload), ..first.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: Message) -> (Vec<Message>, Option<MessageError>) {
        let mut aggregate = Aggregate::new(message);
        let mut messages = Vec::new();
        loop {
            match aggregate.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, None),
                Err(error) => {
                    assert_eq!(aggregate.next_message(), Ok(None), "nothing behind an error");
                    return (messages, Some(error));
                }
            }
        }
    }

    fn outer(timestamp: u32, payload: &[u8]) -> Message {
        let payload = Bytes::copy_from_slice(payload);
        Message { chunk_stream: 4, kind: MessageType::Aggregate, timestamp, stream_id: 5, payload }
    }

    const TWO: &[u8] = &[
        8, 0, 0, 2, 0, 0, 100, 0, 0, 0, 9, 0xAF, 1, 0, 0, 0, 13, // audio at 100 on stream 9
        9, 0, 0, 1, 0, 0, 140, 0, 0, 0, 9, 0x27, 0, 0, 0, 12, // video at 140
    ];

    #[test]
    fn rtmp_m12_outer_stream_wins_and_times_are_shifted() {
        let (messages, error) = read(outer(1000, TWO));
        assert_eq!(error, None);
        let seen: Vec<_> = messages.iter().map(|m| (m.kind, m.timestamp, m.stream_id, &m.payload[..])).collect();
        assert_eq!(seen, [(MessageType::Audio, 1000, 5, &[0xAF, 1][..]), (MessageType::Video, 1040, 5, &[0x27][..])]);
        // Backwards, and over the wrap.
        assert_eq!(read(outer(10, TWO)).0[1].timestamp, 50);
        assert_eq!(read(outer(u32::MAX, TWO)).0[1].timestamp, 39);
    }

    #[test]
    fn rtmp_m12_a_cut_aggregate_gives_what_is_whole() {
        for cut in 0..=TWO.len() {
            let (messages, error) = read(outer(0, &TWO[..cut]));
            let whole = [13, 29].iter().filter(|end| cut >= **end).count();
            assert_eq!(messages.len(), whole, "cut at {cut}");
            let clean = [0, 13, 14, 15, 16, 17].contains(&cut) || cut >= 29;
            assert_eq!(error.is_none(), clean, "cut at {cut}");
        }
    }

    #[test]
    fn rtmp_m12_written_as_the_standard_draws_it() {
        let messages = read(Message { stream_id: 9, ..outer(100, TWO) }).0;
        let written = aggregate(&messages).unwrap();
        assert_eq!((&written.payload[..], written.timestamp, written.stream_id), (TWO, 100, 9));
        assert_eq!(aggregate(&[]), None);
    }
}
