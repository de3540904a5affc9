//! Caps from and to what a PMT says. Media types and fields are GStreamer's (`tsdemux`, `mpegtsmux` 1.22).

use millstream_codec::opus::OpusHead;
use millstream_core::caps::{field, media};
use millstream_core::{Caps, Error, Result};

use crate::demuxer::ProgramStream;
use crate::psi::{Codec, StreamClass, opus_channels};

/// Pictures that a transport stream takes: byte streams in whole access units.
pub const MUX_VIDEO: &str = "video/x-h264, stream-format=byte-stream, alignment=au; \
    video/x-h265, stream-format=byte-stream, alignment=au; \
    video/x-h266, stream-format=byte-stream, alignment=au; \
    video/x-av1, stream-format=obu-stream; \
    video/mpeg, mpegversion={ 1, 2, 4 }";

/// Sound that a transport stream takes. AAC has to be self-framed.
pub const MUX_AUDIO: &str = "audio/mpeg, mpegversion={ 2, 4 }, stream-format={ adts, loas }; \
    audio/mpeg, mpegversion=1; audio/x-ac3; audio/x-eac3; audio/x-dts; audio/x-opus";

/// Data that a transport stream takes.
pub const MUX_DATA: &str = "meta/x-id3; meta/x-klv; application/x-scte-35; subpicture/x-dvb; private/teletext";

/// Pictures in a transport stream. Whether a PES packet is a whole access unit is not promised, so there is no `alignment`.
pub const DEMUX_VIDEO: &str = "video/x-h264, stream-format=byte-stream; video/x-h265, stream-format=byte-stream; \
    video/x-h266, stream-format=byte-stream; video/x-av1, stream-format=obu-stream; \
    video/mpeg, mpegversion={ 1, 2, 4 }; video/x-wmv";

/// Sound in a transport stream.
pub const DEMUX_AUDIO: &str = "audio/mpeg, mpegversion=4, stream-format={ adts, loas }; audio/mpeg, mpegversion=1; \
    audio/x-ac3; audio/x-eac3; audio/x-dts; audio/x-opus";

/// Data in a transport stream.
pub const DEMUX_DATA: &str = "meta/x-id3; meta/x-klv; application/x-scte-35; subpicture/x-dvb; private/teletext; \
    application/octet-stream";

const DTS: &str = "audio/x-dts";
const TELETEXT: &str = "private/teletext";
const WMV: &str = "video/x-wmv";

/// Name of the field that tells the stream_type of [`media::OCTETS`] from a transport stream.
const STREAM_TYPE: &str = "stream-type";

/// The caps of a stream.
#[must_use]
pub fn of_stream(stream: &ProgramStream) -> Caps {
    let byte_stream = |media| Caps::new(media).with(field::STREAM_FORMAT, "byte-stream");
    let mpeg_video =
        |version: i64| Caps::new(media::MPEG_VIDEO).with(field::MPEG_VERSION, version).with("systemstream", false);
    let mpeg_audio = |version: i64| Caps::new(media::MPEG_AUDIO).with(field::MPEG_VERSION, version);
    match stream.codec {
        Codec::H264 => byte_stream(media::H264),
        Codec::H265 => byte_stream(media::H265),
        Codec::H266 => byte_stream(media::H266),
        Codec::Av1 => Caps::new(media::AV1).with(field::STREAM_FORMAT, "obu-stream").with(field::ALIGNMENT, "tu"),
        Codec::Mpeg1Video => mpeg_video(1),
        Codec::Mpeg2Video => mpeg_video(2),
        Codec::Mpeg4Video => mpeg_video(4),
        Codec::Vc1 => Caps::new(WMV).with("wmvversion", 3).with("format", "WVC1"),
        Codec::AacAdts => mpeg_audio(4).with(field::STREAM_FORMAT, "adts"),
        Codec::AacLatm => mpeg_audio(4).with(field::STREAM_FORMAT, "loas"),
        Codec::Mpeg1Audio | Codec::Mpeg2Audio => mpeg_audio(1),
        Codec::Ac3 => Caps::new(media::AC3),
        Codec::Eac3 => Caps::new(media::EAC3),
        Codec::Dts => Caps::new(DTS),
        Codec::Opus(code) => opus(code),
        Codec::Id3 => Caps::new(media::ID3),
        Codec::Klv => Caps::new(media::KLV).with("parsed", true),
        Codec::Scte35 => Caps::new(media::SCTE35),
        Codec::DvbSubtitle => Caps::new(media::DVB_SUBTITLES),
        Codec::Teletext => Caps::new(TELETEXT),
        _ => Caps::new(media::OCTETS).with(STREAM_TYPE, i64::from(stream.stream_type)),
    }
}

fn opus(code: u8) -> Caps {
    let channels = opus_channels(code).unwrap_or(2);
    let caps = Caps::new(media::OPUS).with(field::RATE, 48_000).with(field::CHANNELS, u32::from(channels));
    // Codes 1 and 2 are RFC 7845's mapping family 0, which needs no table.
    let head = (1..=2).contains(&code).then(|| OpusHead::new(channels)).flatten();
    caps.with_some(field::CODEC_DATA, head.map(|head| bytes::Bytes::from(head.write())))
}

/// What a PMT says of a stream with these caps.
///
/// # Errors
/// If no transport stream can carry it in this form; says what repairs it.
pub fn codec_of(caps: &Caps) -> Result<Codec> {
    let codec = match (caps.media(), caps.int(field::MPEG_VERSION), caps.stream_format()) {
        (media::H264, _, Some("byte-stream")) => Codec::H264,
        (media::H265, _, Some("byte-stream")) => Codec::H265,
        (media::H266, _, Some("byte-stream")) => Codec::H266,
        (media::AV1, _, Some("obu-stream") | None) => Codec::Av1,
        (media::MPEG_VIDEO, Some(1), _) => Codec::Mpeg1Video,
        (media::MPEG_VIDEO, Some(2), _) => Codec::Mpeg2Video,
        (media::MPEG_VIDEO, Some(4), _) => Codec::Mpeg4Video,
        (media::MPEG_AUDIO, Some(2 | 4), Some("adts")) => Codec::AacAdts,
        (media::MPEG_AUDIO, Some(2 | 4), Some("loas")) => Codec::AacLatm,
        // Sample rates below 32 kHz are MPEG-2's (ISO/IEC 13818-3).
        (media::MPEG_AUDIO, Some(1), _) if caps.rate().is_some_and(|rate| rate < 32_000) => Codec::Mpeg2Audio,
        (media::MPEG_AUDIO, Some(1), _) => Codec::Mpeg1Audio,
        (media::AC3, ..) => Codec::Ac3,
        (media::EAC3, ..) => Codec::Eac3,
        (DTS, ..) => Codec::Dts,
        (media::OPUS, ..) => Codec::Opus(opus_code(caps)),
        (media::ID3, ..) => Codec::Id3,
        (media::KLV, ..) => Codec::Klv,
        (media::SCTE35, ..) => Codec::Scte35,
        (media::DVB_SUBTITLES, ..) => Codec::DvbSubtitle,
        (TELETEXT, ..) => Codec::Teletext,
        (other, ..) => return Err(refused(caps, other)),
    };
    Ok(codec)
}

/// channel_config_code: that of the OpusHead, or the channel count.
fn opus_code(caps: &Caps) -> u8 {
    let head = caps.codec_data().and_then(|data| OpusHead::parse(data).ok());
    let code = head.and_then(|head| millstream_codec::opus::ts_channel_config_code(&head));
    let channels = caps.channels().and_then(|c| u8::try_from(c).ok()).filter(|c| (1..=8).contains(c));
    code.or(channels).unwrap_or(2)
}

fn refused(caps: &Caps, media: &str) -> Error {
    let error = Error::unsupported(format!("a transport stream cannot carry {caps}"));
    match media {
        media::H264 => error.hint("insert h264parse: it makes the byte stream that is needed"),
        media::H265 => error.hint("insert h265parse: it makes the byte stream that is needed"),
        media::MPEG_AUDIO => error.hint("insert aacparse: it makes the ADTS framing that is needed"),
        media::AV1 => error.hint("insert av1parse: it makes the OBU stream that is needed"),
        _ => error.hint("encode to a codec that transport streams have, such as H.264 and AAC"),
    }
}

/// True for streams of pictures.
#[must_use]
pub fn is_video(codec: Codec) -> bool {
    codec.class() == StreamClass::Video
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Pid;
    use crate::psi::Descriptors;
    use millstream_core::CapsSet;

    fn stream(codec: Codec) -> ProgramStream {
        let (stream_type, descriptors) = (codec.stream_type(), Descriptors::new());
        ProgramStream { pid: Pid::from_bits(0x100), stream_type, codec, language: None, descriptors }
    }

    #[test]
    fn ts_10_what_is_read_can_be_written_again() {
        use Codec::*;
        let sets = [MUX_VIDEO, MUX_AUDIO, MUX_DATA].map(|text| text.parse::<CapsSet>().unwrap());
        let offers = [DEMUX_VIDEO, DEMUX_AUDIO, DEMUX_DATA].map(|text| text.parse::<CapsSet>().unwrap());
        let codecs = [
            H264,
            H265,
            H266,
            Av1,
            Mpeg1Video,
            Mpeg2Video,
            Mpeg4Video,
            AacAdts,
            AacLatm,
            Mpeg1Audio,
            Ac3,
            Eac3,
            Dts,
            Opus(1),
            Opus(2),
            Opus(6),
            Id3,
            Klv,
            Scte35,
            DvbSubtitle,
            Teletext,
        ];
        for codec in codecs {
            let caps = of_stream(&stream(codec));
            assert_eq!(codec_of(&caps).unwrap(), codec, "{caps}");
            assert_eq!(sets.iter().filter(|set| set.accepts(&caps)).count(), 1, "{caps}");
            assert_eq!(offers.iter().filter(|set| set.accepts(&caps)).count(), 1, "{caps}");
        }
        assert!(offers[2].accepts(&of_stream(&stream(PrivatePes))));
    }

    #[test]
    fn refusal_names_the_parser() {
        for (caps, parser) in [
            ("video/x-h264, stream-format=avc", "h264parse"),
            ("audio/mpeg, mpegversion=4, stream-format=raw", "aacparse"),
            ("video/x-h265, stream-format=hvc1", "h265parse"),
        ] {
            let error = codec_of(&caps.parse().unwrap()).unwrap_err();
            assert!(error.hint_text().unwrap().contains(parser), "{caps}: {error}");
        }
    }
}
