//! Data messages (RTMP 1.0, 7.1.2): types 18 and 15, a name and values.
//!
//! Publishers wrap what the server shall keep for late players: `@setDataFrame`, `onMetaData`, values. Players get it without the
//! first string. Bodies are cut here, and rewritten only where they have values in AMF3; [`millstream_flv::wire::parse_script`] takes them apart.

use bytes::{Buf, Bytes};
use millstream_amf::amf0;

use super::plain::in_amf0;
use super::{Message, MessageType};

const SET_DATA_FRAME: &str = "@setDataFrame";
const CLEAR_DATA_FRAME: &str = "@clearDataFrame";
/// A data message's first string is a name; longer ones are none.
const MAX_NAME: usize = 256;

/// What a data message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataFrame {
    /// Hand it on: `onTextData`, `onCuePoint`, `onCaptionInfo` ...
    Pass(Data),
    /// Hand it on, and keep it for players that come later: `@setDataFrame`.
    Set(Data),
    /// Keep what has this name no longer: `@clearDataFrame`.
    Clear(String),
}

/// A name and AMF0 values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The first string, without `@setDataFrame`.
    pub name: String,
    /// The body in AMF0 from that name on: what an FLV script tag holds. A slice of the message, unless that had values in AMF3.
    pub body: Bytes,
}

/// Reads the beginning of a data message. Nothing if it has no name, such as the four bytes of time code that ffmpeg may send.
pub fn parse_data(message: &Message) -> Option<DataFrame> {
    // The selector of AMF3 messages; the values behind it are AMF0.
    let skip = usize::from(message.kind == MessageType::DataAmf3 && message.payload.first() == Some(&0));
    let mut body = in_amf0(message.payload.slice(skip..));
    let (name, rest) = name(&body)?;
    match &*name {
        SET_DATA_FRAME => {
            body.advance(rest);
            let (name, _) = self::name(&body)?;
            Some(DataFrame::Set(Data { name, body }))
        }
        CLEAR_DATA_FRAME => Some(DataFrame::Clear(self::name(body.get(rest..)?)?.0)),
        _ => Some(DataFrame::Pass(Data { name, body })),
    }
}

/// The payload of a data message for a server: `@setDataFrame` ahead of a script body such as `onMetaData`.
pub fn set_data_frame(body: &[u8]) -> Bytes {
    let mut payload = Vec::with_capacity(body.len() + SET_DATA_FRAME.len() + 3);
    amf0::write(&SET_DATA_FRAME.into(), &mut payload);
    payload.extend_from_slice(body);
    payload.into()
}

/// The string at the beginning, and where what follows it begins.
fn name(body: &[u8]) -> Option<(String, usize)> {
    let mut reader = amf0::Reader::new(body.get(..body.len().min(MAX_NAME))?);
    // Other values may be long and deep; they are no name.
    if body.first() != Some(&2) {
        return None;
    }
    let value = reader.read().ok()?;
    Some((value.as_str()?.to_owned(), reader.position()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(kind: MessageType, payload: &[u8]) -> Option<DataFrame> {
        let payload = Bytes::copy_from_slice(payload);
        parse_data(&Message { chunk_stream: 4, kind, timestamp: 0, stream_id: 1, payload })
    }

    const META: &[u8] = b"\x02\0\x0AonMetaData\x08\0\0\0\0\0\0\x09";

    #[test]
    fn rtmp_m11_set_data_frame_is_unwrapped_without_a_copy() {
        let wrapped = [b"\x02\0\x0D@setDataFrame", META].concat();
        let unwrapped = Data { name: "onMetaData".into(), body: Bytes::from_static(META) };
        assert_eq!(data(MessageType::Data, &wrapped), Some(DataFrame::Set(unwrapped.clone())));
        assert_eq!(&set_data_frame(META)[..], &wrapped[..]);
        assert_eq!(data(MessageType::Data, META), Some(DataFrame::Pass(unwrapped)));
    }

    #[test]
    fn rtmp_m9_selector_of_amf3_messages_is_dropped() {
        let wrapped = [b"\0\x02\0\x0D@setDataFrame", META].concat();
        let Some(DataFrame::Set(frame)) = data(MessageType::DataAmf3, &wrapped) else { panic!() };
        assert_eq!(&frame.body[..], META);
        assert!(matches!(data(MessageType::DataAmf3, META), Some(DataFrame::Pass(_))));
    }

    #[test]
    fn rtmp_m10_messages_without_a_name_are_left_alone() {
        // The AMF3 time code of ffmpeg, nothing, a lone null, a name that is cut.
        for payload in [&[0, 0, 0, 0][..], &[], &[5], &META[..8]] {
            assert_eq!(data(MessageType::DataAmf3, payload), None);
            assert_eq!(data(MessageType::Data, payload), None);
        }
    }

    #[test]
    fn rtmp_m11_clear_data_frame_names_what_goes() {
        let clear = [b"\x02\0\x0F@clearDataFrame", META].concat();
        assert_eq!(data(MessageType::Data, &clear), Some(DataFrame::Clear("onMetaData".into())));
    }
}
