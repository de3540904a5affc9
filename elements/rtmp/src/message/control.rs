//! Protocol control messages (RTMP 1.0, 5.4): types 1, 2, 3, 5 and 6.
//!
//! Each is one number of 32 bits; Set Peer Bandwidth has a byte more:
//!
//! ```text
//!  0                    4            5
//! +--------------------+------------+
//! | number             | limit type |
//! +--------------------+------------+
//! ```

use bytes::{BufMut, Bytes};

use super::{Message, MessageError, MessageType};

/// A protocol control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// 1: the sender's chunks hold so many bytes from now on.
    SetChunkSize(u32),
    /// 2: forget the unfinished message on this chunk stream.
    Abort {
        /// The chunk stream.
        chunk_stream: u32,
    },
    /// 3: bytes that the sender received so far, modulo 2^32.
    Acknowledgement(u32),
    /// 5: the sender expects an acknowledgement each time it has sent so many bytes.
    WindowAcknowledgementSize(u32),
    /// 6: the receiver shall not have more than so many bytes under way without acknowledgement.
    SetPeerBandwidth {
        /// Bytes.
        window: u32,
        /// How the window is meant.
        limit: PeerLimit,
    },
}

/// How a peer bandwidth is meant (RTMP 1.0, 5.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerLimit {
    /// 0: this is the limit.
    Hard,
    /// 1: this is the limit, unless a smaller one is in effect.
    Soft,
    /// 2: hard if the limit before was hard, else nothing. Unknown values are taken for this one.
    Dynamic,
}

impl Control {
    /// Reads a message; nothing if it is of another type.
    ///
    /// # Errors
    /// [`MessageError`] when the payload is too short.
    pub fn parse(kind: MessageType, payload: &[u8]) -> Result<Option<Self>, MessageError> {
        let number = || {
            let bytes =
                payload.first_chunk().ok_or(MessageError::new(kind, payload.len(), "a number of four bytes"))?;
            Ok(u32::from_be_bytes(*bytes))
        };
        Ok(Some(match kind {
            MessageType::SetChunkSize => Self::SetChunkSize(number()?),
            MessageType::Abort => Self::Abort { chunk_stream: number()? },
            MessageType::Acknowledgement => Self::Acknowledgement(number()?),
            MessageType::WindowAcknowledgementSize => Self::WindowAcknowledgementSize(number()?),
            MessageType::SetPeerBandwidth => {
                let limit = match payload.get(4) {
                    Some(0) => PeerLimit::Hard,
                    Some(1) => PeerLimit::Soft,
                    _ => PeerLimit::Dynamic,
                };
                Self::SetPeerBandwidth { window: number()?, limit }
            }
            _ => return Ok(None),
        }))
    }

    /// The message's type.
    pub fn kind(&self) -> MessageType {
        match self {
            Self::SetChunkSize(_) => MessageType::SetChunkSize,
            Self::Abort { .. } => MessageType::Abort,
            Self::Acknowledgement(_) => MessageType::Acknowledgement,
            Self::WindowAcknowledgementSize(_) => MessageType::WindowAcknowledgementSize,
            Self::SetPeerBandwidth { .. } => MessageType::SetPeerBandwidth,
        }
    }

    /// The message.
    pub fn to_message(self) -> Message {
        let mut payload = Vec::with_capacity(5);
        match self {
            Self::SetChunkSize(number)
            | Self::Abort { chunk_stream: number }
            | Self::Acknowledgement(number)
            | Self::WindowAcknowledgementSize(number) => payload.put_u32(number),
            Self::SetPeerBandwidth { window, limit } => {
                payload.put_u32(window);
                payload.put_u8(limit as u8);
            }
        }
        Message::control(self.kind(), Bytes::from(payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_c11_control_messages_as_real_servers_write_them() {
        // Type and payload as node-media-server and ffmpeg sent them.
        let wire: [(Control, u8, &[u8]); 6] = [
            (Control::WindowAcknowledgementSize(5_000_000), 5, &[0x00, 0x4C, 0x4B, 0x40]),
            (
                Control::SetPeerBandwidth { window: 2_500_000, limit: PeerLimit::Dynamic },
                6,
                &[0x00, 0x26, 0x25, 0xA0, 2],
            ),
            (Control::SetPeerBandwidth { window: 1, limit: PeerLimit::Hard }, 6, &[0, 0, 0, 1, 0]),
            (Control::SetChunkSize(65_535), 1, &[0, 0, 0xFF, 0xFF]),
            (Control::Abort { chunk_stream: 300 }, 2, &[0, 0, 1, 0x2C]),
            (Control::Acknowledgement(u32::MAX), 3, &[0xFF; 4]),
        ];
        for (control, kind, payload) in wire {
            let message = control.to_message();
            assert_eq!((u8::from(message.kind), &message.payload[..]), (kind, payload));
            assert_eq!((message.stream_id, message.chunk_stream), (0, 2));
            assert_eq!(Control::parse(message.kind, payload), Ok(Some(control)));
            let error = Control::parse(message.kind, &payload[..3]).unwrap_err();
            assert_eq!(error.offset, 3);
        }
        assert_eq!(Control::parse(MessageType::Audio, &[]), Ok(None));
    }

    #[test]
    fn rtmp_c11_a_missing_limit_type_is_dynamic() {
        let parsed = Control::parse(MessageType::SetPeerBandwidth, &[0, 0, 0, 9]);
        assert_eq!(parsed, Ok(Some(Control::SetPeerBandwidth { window: 9, limit: PeerLimit::Dynamic })));
    }
}
