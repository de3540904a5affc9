//! Caps of both sides: the same media types and fields, of other types.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use millstream_plugin_sdk::bytes::Bytes;
use millstream_plugin_sdk::core::caps::{field, media};
use millstream_plugin_sdk::prelude::{Caps, Value};

/// GStreamer's caps for ours, with what its elements insist on and ours leave out.
pub(crate) fn to_gst(caps: &Caps) -> gst::Caps {
    let mut structure = gst::Structure::new_empty(caps.media());
    for (name, value) in caps.fields() {
        structure.set_value(name, to_value(name, value));
    }
    complete(&mut structure, caps);
    let mut made = gst::Caps::new_empty();
    made.make_mut().append_structure(structure);
    made
}

fn to_value(name: &str, value: &Value) -> glib::SendValue {
    match value {
        Value::Int(mask) if name == "channel-mask" => gst::Bitmask::new(*mask as u64).to_send_value(),
        Value::Int(number) => match i32::try_from(*number) {
            Ok(number) => number.to_send_value(),
            Err(_) => number.to_send_value(),
        },
        Value::Bool(flag) => flag.to_send_value(),
        Value::Fraction(numer, denom) => {
            let part = |part: &i64| i32::try_from(*part).unwrap_or(i32::MAX);
            gst::Fraction::new(part(numer), part(denom).max(1)).to_send_value()
        }
        Value::Text(text) => (**text).to_send_value(),
        Value::Bytes(bytes) => gst::Buffer::from_slice(bytes.clone()).to_send_value(),
    }
}

/// Our streams are whole access units and frames; GStreamer's decoders want to read that in the caps.
fn complete(structure: &mut gst::Structure, caps: &Caps) {
    let mut default = |name: &str, value: glib::SendValue| {
        if !structure.has_field(name) {
            structure.set_value(name, value);
        }
    };
    match caps.media() {
        media::H264 | media::H265 => {
            default("parsed", true.to_send_value());
            if caps.stream_format() != Some("byte-stream") {
                default(field::ALIGNMENT, "au".to_send_value());
            }
        }
        media::MPEG_AUDIO if caps.int(field::MPEG_VERSION) == Some(1) => default("parsed", true.to_send_value()),
        media::MPEG_AUDIO => default("framed", true.to_send_value()),
        media::OPUS => {
            default("channel-mapping-family", 0_i32.to_send_value());
            if let Some(head) = caps.codec_data() {
                let head = gst::Buffer::from_slice(head.clone()).to_send_value();
                default("streamheader", gst::Array::from_values([head]).to_send_value());
            }
        }
        _ => {}
    }
}

/// Our caps for GStreamer's. Fields of types that ours do not have are left out. `None` for caps that are not fixed.
pub(crate) fn from_gst(caps: &gst::CapsRef) -> Option<Caps> {
    let structure = caps.structure(0).filter(|_| caps.is_fixed())?;
    let fields = structure.iter().filter_map(|(name, value)| Some((name, from_value(value)?)));
    let made = fields.fold(Caps::new(structure.name()), |caps, (name, value)| caps.with(name, value));
    // The head of an Opus stream is in its stream header there, and the decoder's configuration here.
    let head = match made.media() == media::OPUS && made.codec_data().is_none() {
        true => structure.get::<gst::Array>("streamheader").ok().and_then(|all| from_value(all.as_slice().first()?)),
        false => None,
    };
    Some(made.with_some(field::CODEC_DATA, head))
}

fn from_value(value: &glib::Value) -> Option<Value> {
    if let Ok(number) = value.get::<i32>() {
        return Some(Value::Int(number.into()));
    }
    if let Ok(flag) = value.get::<bool>() {
        return Some(Value::Bool(flag));
    }
    if let Ok(fraction) = value.get::<gst::Fraction>() {
        return Some(Value::fraction(fraction.numer().into(), fraction.denom().into()));
    }
    if let Ok(text) = value.get::<&str>() {
        return Some(Value::from(text));
    }
    if let Ok(buffer) = value.get::<gst::Buffer>() {
        let bytes = buffer.map_readable().ok()?;
        return Some(Value::Bytes(Bytes::copy_from_slice(&bytes)));
    }
    if let Ok(mask) = value.get::<gst::Bitmask>() {
        return Some(Value::Int(*mask as i64));
    }
    value.get::<u32>().map(i64::from).or_else(|_| value.get::<i64>()).ok().map(Value::Int)
}

/// What may flow over a link, for an `appsink`. Text that GStreamer does not understand allows all.
pub(crate) fn filter(allowed: &str) -> gst::Caps {
    allowed.parse().unwrap_or_else(|_| gst::Caps::new_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(text: &str) -> String {
        gst::init().expect("GStreamer is there");
        let caps = to_gst(&text.parse().expect("caps"));
        from_gst(&caps).expect("fixed").to_string()
    }

    #[test]
    fn fields_of_every_type_survive_the_way_there_and_back() {
        for text in [
            "video/x-h264, alignment=au, codec_data=(buffer)01640028, framerate=30000/1001, height=1080, parsed=true, \
             stream-format=avc, width=1920",
            "audio/mpeg, channels=2, codec_data=(buffer)1190, framed=true, mpegversion=4, rate=48000, stream-format=raw",
            "audio/x-raw, channel-mask=63, channels=6, format=S16LE, layout=interleaved, rate=44100",
            "video/x-raw, format=I420, height=2, name=\"12\", width=2",
        ] {
            assert_eq!(there_and_back(text), text);
        }
    }

    #[test]
    fn what_decoders_insist_on_is_added() {
        assert!(there_and_back("video/x-h265, stream-format=hvc1").contains("alignment=au, parsed=true"));
        assert!(there_and_back("audio/mpeg, layer=3, mpegversion=1").contains("parsed=true"));
        // RFC 7845, 5.1: the identification header.
        let head = "4f70757348656164010238018";
        let head = format!("{head}0bb0000000000");
        let opus = to_gst(&format!("audio/x-opus, codec_data=(buffer){head}").parse().expect("caps"));
        let headers = opus.structure(0).and_then(|s| s.get::<gst::Array>("streamheader").ok()).expect("a header");
        assert_eq!(headers.as_slice().len(), 1);
    }

    #[test]
    fn what_ours_cannot_say_is_left_out() {
        gst::init().expect("GStreamer is there");
        let caps: gst::Caps = "video/x-raw, width=(int)2, gain=(double)0.5".parse().expect("caps");
        assert_eq!(from_gst(&caps).map(|c| c.to_string()).as_deref(), Some("video/x-raw, width=2"));
        assert_eq!(from_gst(&"video/x-raw, width=[1,2]".parse::<gst::Caps>().expect("caps")), None);
    }
}
