//! Data on a channel (RFC 8656, 12.4), and where a message ends on TCP (12.5).
//!
//! ```text
//! channel(16) length(16) | data
//! ```

use std::ops::RangeInclusive;

use super::HEADER;

/// Channels: those of RFC 8656 end at 0x4FFF, those of RFC 5766, which coturn's client still takes, at 0x7FFF.
pub const CHANNELS: RangeInclusive<u16> = 0x4000..=0x7FFF;

/// Data on a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelData<'a> {
    /// Which one: of [`CHANNELS`].
    pub channel: u16,
    /// What it carries.
    pub data: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// Reads it; padding may follow. Nothing where it is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(4)?;
        let channel = u16::from_be_bytes([head[0], head[1]]);
        let data = rest.get(..usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        CHANNELS.contains(&channel).then_some(Self { channel, data })
    }
}

/// Writes data on a channel, padded to 4 bytes for TCP.
pub fn write_channel(channel: u16, data: &[u8], padded: bool) -> Vec<u8> {
    let data = &data[..data.len().min(usize::from(u16::MAX))];
    let mut bytes = Vec::with_capacity(data.len() + 8);
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(data);
    if padded {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Bytes of the message or channel data at the beginning of a stream, padding included; nothing before that can be told.
///
/// # Errors
/// When it is neither.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, super::StunError> {
    let Some(head) = bytes.get(..4) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] >> 6 {
        0 if length.is_multiple_of(4) => Ok(Some(HEADER + length)),
        1 => Ok(Some(4 + length.next_multiple_of(4))),
        _ => Err(super::StunError::NotStun),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_1_channel_data_is_read_as_it_is_written() {
        for len in [0, 1, 4, 1200] {
            let data = vec![9; len];
            for padded in [false, true] {
                let bytes = write_channel(0x4001, &data, padded);
                assert_eq!(ChannelData::read(&bytes), Some(ChannelData { channel: 0x4001, data: &data }));
                assert_eq!(frame_len(&bytes).unwrap(), Some(4 + len.next_multiple_of(4)));
            }
        }
        assert_eq!(ChannelData::read(&[0x80, 0, 0, 0]), None);
        assert_eq!(ChannelData::read(&[0x40, 0, 0, 1]), None);
        assert!(frame_len(&[0x80, 0, 0, 0]).is_err() && frame_len(&[0, 1, 0]).unwrap().is_none());
    }
}
