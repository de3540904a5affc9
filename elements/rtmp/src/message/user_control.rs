//! User control messages (RTMP 1.0, 6.2 and 7.1.7): type 4.
//!
//! ```text
//!  0            2                    6
//! +------------+--------------------+--------------------+
//! | event      | stream or time     | buffer length      |  (3 only)
//! +------------+--------------------+--------------------+
//! ```

use bytes::{BufMut, Bytes};

use super::{Message, MessageError, MessageType};

/// A user control event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserControl {
    /// 0: the stream can be used. Stream 0 is the connection.
    StreamBegin(u32),
    /// 1: what was asked for on the stream has been played.
    StreamEof(u32),
    /// 2: nothing came for the stream for a while.
    StreamDry(u32),
    /// 3: the client keeps so many milliseconds of the stream ahead of what it shows.
    SetBufferLength {
        /// The stream.
        stream_id: u32,
        /// Milliseconds.
        milliseconds: u32,
    },
    /// 4: the stream is a recording.
    StreamIsRecorded(u32),
    /// 6: answer this, with the same time.
    PingRequest(u32),
    /// 7: the answer.
    PingResponse(u32),
    /// Any other, such as 31 and 32 of Flash Media Server, whose meaning is not documented. Ignored.
    Other(u16),
}

impl UserControl {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`MessageError`] when it ends too early.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let number = |at: usize, expected| {
            let bytes = payload.get(at..).and_then(|rest| rest.first_chunk());
            let bytes = bytes.ok_or(MessageError::new(MessageType::UserControl, payload.len(), expected))?;
            Ok(u32::from_be_bytes(*bytes))
        };
        let event = payload.first_chunk().ok_or(MessageError::new(MessageType::UserControl, 0, "an event type"))?;
        Ok(match u16::from_be_bytes(*event) {
            0 => Self::StreamBegin(number(2, "a stream id")?),
            1 => Self::StreamEof(number(2, "a stream id")?),
            2 => Self::StreamDry(number(2, "a stream id")?),
            3 => Self::SetBufferLength {
                stream_id: number(2, "a stream id")?,
                milliseconds: number(6, "a buffer length")?,
            },
            4 => Self::StreamIsRecorded(number(2, "a stream id")?),
            6 => Self::PingRequest(number(2, "a time")?),
            7 => Self::PingResponse(number(2, "a time")?),
            other => Self::Other(other),
        })
    }

    /// The message. [`UserControl::Other`] has no data.
    pub fn to_message(self) -> Message {
        let mut payload = Vec::with_capacity(10);
        let (event, number) = match self {
            Self::StreamBegin(id) => (0, Some(id)),
            Self::StreamEof(id) => (1, Some(id)),
            Self::StreamDry(id) => (2, Some(id)),
            Self::SetBufferLength { stream_id, .. } => (3, Some(stream_id)),
            Self::StreamIsRecorded(id) => (4, Some(id)),
            Self::PingRequest(time) => (6, Some(time)),
            Self::PingResponse(time) => (7, Some(time)),
            Self::Other(event) => (event, None),
        };
        payload.put_u16(event);
        number.into_iter().for_each(|number| payload.put_u32(number));
        if let Self::SetBufferLength { milliseconds, .. } = self {
            payload.put_u32(milliseconds);
        }
        Message::control(MessageType::UserControl, Bytes::from(payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_c12_events_are_read_and_written() {
        let wire: [(UserControl, &[u8]); 7] = [
            (UserControl::StreamBegin(1), &[0, 0, 0, 0, 0, 1]),
            (UserControl::StreamEof(1), &[0, 1, 0, 0, 0, 1]),
            (UserControl::StreamDry(0x0102_0304), &[0, 2, 1, 2, 3, 4]),
            // As ffmpeg sends it ahead of play.
            (UserControl::SetBufferLength { stream_id: 1, milliseconds: 3000 }, &[0, 3, 0, 0, 0, 1, 0, 0, 0x0B, 0xB8]),
            (UserControl::StreamIsRecorded(3), &[0, 4, 0, 0, 0, 3]),
            (UserControl::PingRequest(u32::MAX), &[0, 6, 0xFF, 0xFF, 0xFF, 0xFF]),
            (UserControl::PingResponse(9), &[0, 7, 0, 0, 0, 9]),
        ];
        for (event, payload) in wire {
            assert_eq!(UserControl::parse(payload), Ok(event));
            assert_eq!(&event.to_message().payload[..], payload);
            for cut in 0..payload.len() {
                assert!(UserControl::parse(&payload[..cut]).is_err());
            }
        }
    }

    #[test]
    fn rtmp_c12_unknown_events_are_no_errors() {
        for event in [5, 26, 31, 32, 65_535] {
            assert_eq!(UserControl::parse(&u16::to_be_bytes(event)), Ok(UserControl::Other(event)));
        }
    }
}
