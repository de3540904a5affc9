//! MultichannelConfig: which channel is which speaker (Enhanced RTMP v2, `ExAudioTagBody`).

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use super::cursor::Cursor;
use super::error::BodyError;

/// The speaker layout of an audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultichannelConfig {
    /// 0: so many channels in an unknown order.
    Unspecified {
        /// Number of channels.
        count: u8,
    },
    /// 1: channels in the order of the bits of `AudioChannelMask`.
    Native {
        /// Number of channels.
        count: u8,
        /// Which speakers there are.
        mask: u32,
    },
    /// 2: an `AudioChannel` number for each channel; 0xFE is unused, 0xFF unknown.
    Custom(SmallVec<[u8; 8]>),
}

impl MultichannelConfig {
    /// Reads the payload of a [`PacketKind::MultichannelConfig`](super::PacketKind::MultichannelConfig) packet.
    ///
    /// # Errors
    /// [`BodyError::Truncated`]; [`BodyError::PacketType`] for a channel order that the standard reserves.
    pub fn parse(payload: &Bytes) -> Result<Self, BodyError> {
        let mut cursor = Cursor::new(payload.clone());
        let order = cursor.u8("audioChannelOrder")?;
        let count = cursor.u8("channelCount")?;
        match order {
            0 => Ok(Self::Unspecified { count }),
            1 => Ok(Self::Native { count, mask: cursor.u32("audioChannelFlags")? }),
            2 => Ok(Self::Custom(cursor.bytes(usize::from(count), "audioChannelMapping")?[..].into())),
            other => Err(BodyError::PacketType(other)),
        }
    }

    /// Appends the payload. A custom layout is cut at 255 channels.
    pub fn write(&self, out: &mut impl BufMut) {
        match self {
            Self::Unspecified { count } => out.put_slice(&[0, *count]),
            Self::Native { count, mask } => {
                out.put_slice(&[1, *count]);
                out.put_u32(*mask);
            }
            Self::Custom(channels) => {
                let channels = &channels[..channels.len().min(usize::from(u8::MAX))];
                out.put_slice(&[2, channels.len() as u8]);
                out.put_slice(channels);
            }
        }
    }

    /// Number of channels.
    pub fn count(&self) -> usize {
        match self {
            Self::Unspecified { count } | Self::Native { count, .. } => usize::from(*count),
            Self::Custom(channels) => channels.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn ert_2_three_orders_read_and_write() {
        let custom: SmallVec<[u8; 8]> = smallvec![2, 0, 1, 0xFE];
        for (wire, config) in [
            (&[0, 6][..], MultichannelConfig::Unspecified { count: 6 }),
            // As ffmpeg 8 writes mono Opus: front centre.
            (&[1, 1, 0, 0, 0, 4], MultichannelConfig::Native { count: 1, mask: 4 }),
            (&[2, 4, 2, 0, 1, 0xFE], MultichannelConfig::Custom(custom)),
        ] {
            assert_eq!(MultichannelConfig::parse(&Bytes::copy_from_slice(wire)), Ok(config.clone()));
            let mut out = Vec::new();
            config.write(&mut out);
            assert_eq!(out, wire);
        }
    }

    #[test]
    fn ert_2_truncated_and_reserved_orders_are_errors() {
        for wire in [&[][..], &[1], &[1, 2, 0, 0, 0], &[2, 3, 0, 0], &[3, 1]] {
            assert!(MultichannelConfig::parse(&Bytes::copy_from_slice(wire)).is_err(), "{wire:?}");
        }
    }
}
