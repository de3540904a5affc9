//! Script data (FLV 10.1 E.4.4): a name and AMF values.

use bytes::BufMut;
use millstream_amf::{AmfError, Value, amf0};

use super::tag::TagKind;

/// The command that publishers put ahead of metadata which a server shall keep for late players (RTMP practice).
const SET_DATA_FRAME: &str = "@setDataFrame";

/// A script data tag, or the body of an RTMP data message.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptTag {
    /// `onMetaData`, `onCuePoint`, `onTextData` ...
    pub name: String,
    /// What follows the name.
    pub values: Vec<Value>,
    /// The body began with `@setDataFrame`, which is unwrapped here.
    pub set_data_frame: bool,
    /// Why the values end early, if they do.
    pub damage: Option<AmfError>,
}

/// Reads the body of a script tag of either kind. Values ahead of damage are kept.
///
/// # Errors
/// [`AmfError`] if not even the name can be read.
pub fn parse_script(kind: TagKind, body: &[u8]) -> Result<ScriptTag, AmfError> {
    let mut reader = match kind {
        TagKind::ScriptAmf3 => amf0::Reader::for_amf3_message(body),
        _ => amf0::Reader::new(body),
    };
    let mut name = reader.read()?;
    let set_data_frame = name.as_str() == Some(SET_DATA_FRAME);
    if set_data_frame {
        name = reader.read()?;
    }
    let mut tag =
        ScriptTag { name: name.as_str().unwrap_or_default().into(), values: Vec::new(), set_data_frame, damage: None };
    while !reader.is_empty() {
        match reader.read() {
            Ok(value) => tag.values.push(value),
            Err(error) => {
                tag.damage = Some(error);
                break;
            }
        }
    }
    Ok(tag)
}

/// Appends the body of an AMF0 script tag.
pub fn write_script(name: &str, values: &[Value], out: &mut impl BufMut) {
    amf0::write(&Value::from(name), out);
    values.iter().for_each(|value| amf0::write(value, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m11_set_data_frame_is_unwrapped() {
        let mut body = Vec::new();
        write_script("@setDataFrame", &["onMetaData".into(), Value::object([("width", 640.0.into())])], &mut body);
        let tag = parse_script(TagKind::Script, &body).unwrap();
        assert!(tag.set_data_frame);
        assert_eq!((tag.name.as_str(), tag.values[0].get("width")), ("onMetaData", Some(&Value::Number(640.0))));
    }

    #[test]
    fn flv_3_amf3_script_skips_its_selector() {
        let tag = parse_script(TagKind::ScriptAmf3, b"\0\x02\0\x01x\x11\x04\x07").unwrap();
        assert_eq!((tag.name.as_str(), &tag.values[..]), ("x", &[Value::Integer(7)][..]));
    }

    #[test]
    fn rtmp_m10_values_ahead_of_damage_are_kept() {
        let tag = parse_script(TagKind::Script, b"\x02\0\x01x\x05\xFF").unwrap();
        assert_eq!(tag.values, [Value::Null]);
        assert!(tag.damage.is_some());
        assert!(parse_script(TagKind::Script, b"").is_err());
        // The four bytes of AMF3 time code that ffmpeg sends.
        assert!(parse_script(TagKind::ScriptAmf3, &[0, 0, 0, 0]).is_err());
    }
}
