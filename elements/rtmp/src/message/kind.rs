//! Message types (RTMP 1.0, 5.4, 6.2 and 7.1).

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// 1: Set Chunk Size.
    SetChunkSize,
    /// 2: Abort Message.
    Abort,
    /// 3: Acknowledgement.
    Acknowledgement,
    /// 4: User Control.
    UserControl,
    /// 5: Window Acknowledgement Size.
    WindowAcknowledgementSize,
    /// 6: Set Peer Bandwidth.
    SetPeerBandwidth,
    /// 8: the body of an FLV audio tag.
    Audio,
    /// 9: the body of an FLV video tag.
    Video,
    /// 15: data whose values may switch to AMF3.
    DataAmf3,
    /// 17: a command whose values may switch to AMF3.
    CommandAmf3,
    /// 18: data in AMF0.
    Data,
    /// 20: a command in AMF0.
    Command,
    /// 22: several messages in one.
    Aggregate,
    /// Any other; 16 and 19 are shared objects, which are not supported.
    Other(u8),
}

impl From<u8> for MessageType {
    fn from(id: u8) -> Self {
        match id {
            1 => Self::SetChunkSize,
            2 => Self::Abort,
            3 => Self::Acknowledgement,
            4 => Self::UserControl,
            5 => Self::WindowAcknowledgementSize,
            6 => Self::SetPeerBandwidth,
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::DataAmf3,
            17 => Self::CommandAmf3,
            18 => Self::Data,
            20 => Self::Command,
            22 => Self::Aggregate,
            other => Self::Other(other),
        }
    }
}

impl From<MessageType> for u8 {
    fn from(kind: MessageType) -> Self {
        match kind {
            MessageType::SetChunkSize => 1,
            MessageType::Abort => 2,
            MessageType::Acknowledgement => 3,
            MessageType::UserControl => 4,
            MessageType::WindowAcknowledgementSize => 5,
            MessageType::SetPeerBandwidth => 6,
            MessageType::Audio => 8,
            MessageType::Video => 9,
            MessageType::DataAmf3 => 15,
            MessageType::CommandAmf3 => 17,
            MessageType::Data => 18,
            MessageType::Command => 20,
            MessageType::Aggregate => 22,
            MessageType::Other(other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for id in 0..=u8::MAX {
            assert_eq!(u8::from(MessageType::from(id)), id);
        }
    }
}
