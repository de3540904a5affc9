//! MPEG audio, AC-3, Opus and FLAC against files that libavformat counted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use millstream_codec::ac3::{Ac3Header, Ac3Splitter};
use millstream_codec::flac::StreamInfo;
use millstream_codec::frames::FrameHeader;
use millstream_codec::mpegaudio::{Layer, MpegAudioHeader, MpegAudioSplitter, Version};
use millstream_codec::opus::{self, ControlHeader, OpusHead};
use proptest::prelude::*;

fn count(codec: &str, file: &str) -> usize {
    common::counts(codec).into_iter().find(|(name, _)| name == file).unwrap().1
}

#[test]
fn mp2_frames_of_a_transport_stream() {
    let Some(file) = common::media("gen/mpeg2_mp2.ts") else { return };
    let frames = MpegAudioSplitter::all(&common::ts_payloads(&file, 0xc0..=0xdf).concat());
    assert_eq!(frames.len(), count("mp2", "gen/mpeg2_mp2.ts"));
    let header = &frames[0].header;
    assert_eq!((header.layer, header.sample_rate, header.bit_rate, header.channels), (Layer::Two, 48_000, 128, 2));
}

#[test]
fn frame_sizes_of_mpeg_audio() {
    // 144 * 128 000 / 44 100 = 417.96; MPEG-2 layer III 72 * 32 000 / 22 050 = 104.49; layer I in slots of 4 bytes.
    let header = MpegAudioHeader::parse(&[0xff, 0xfb, 0x92, 0x44]).unwrap();
    assert_eq!((header.version, header.samples(), header.frame_bytes()), (Version::Mpeg1, 1152, 418));
    let header = MpegAudioHeader::parse(&[0xff, 0xf3, 0x40, 0xc0]).unwrap();
    assert_eq!((header.channels, header.samples(), header.frame_bytes()), (1, 576, 104));
    let header = MpegAudioHeader::parse(&[0xff, 0xff, 0xc4, 0x00]).unwrap();
    assert_eq!((header.samples(), header.frame_bytes()), (384, 12 * 384 / 48 * 4));
    assert!(MpegAudioHeader::parse(&[0xff, 0xfb, 0x00, 0x00]).is_err(), "free format");
}

#[test]
fn ac3_frames_are_as_many_as_the_manifest_says() {
    let Some(data) = common::media("es/shaka-packager__bear.ac3") else { return };
    let frames = Ac3Splitter::all(&data);
    assert_eq!(frames.len(), count("ac3", "es/shaka-packager__bear.ac3"));
    assert_eq!((frames[0].header.sample_rate, frames[0].header.channels()), (44_100, 2));
    let file = common::media("gen/h264_ac3.ts").unwrap();
    let frames = Ac3Splitter::all(&common::ts_payloads(&file, 0xbd..=0xbd).concat());
    assert_eq!(frames.len(), count("ac3", "gen/h264_ac3.ts"));
    let data = common::media("es/media__sample.ac3").unwrap();
    let mut splitter = Ac3Splitter::new();
    splitter.push(&data);
    let frames: Vec<_> = std::iter::from_fn(|| splitter.next_frame()).collect();
    // The file is a cut from the middle of a stream: libavformat's ten packets are eight whole frames of 1 536 bytes,
    // the tail of a frame before them and the head of one behind, neither of which is a frame here.
    let ends = (frames[0].skipped as usize, splitter.pending());
    assert_eq!((frames.len(), ends.0 + 8 * 1536 + ends.1), (8, data.len()));
    assert_eq!(frames[0].header.channels(), 6);
}

#[test]
fn eac3_of_a_transport_stream_and_dac3_of_an_mp4_file() {
    let Some(file) = common::media("ts/media__sample_eac3.ts") else { return };
    let frames = Ac3Splitter::all(&common::ts_payloads(&file, 0xbd..=0xbd).concat());
    assert_eq!(frames.len(), count("eac3", "ts/media__sample_eac3.ts"));
    assert!(frames.iter().all(|frame| frame.header.codec_string() == "ec-3"));
    let file = common::media("mp4/media__sample_ac3.mp4").unwrap();
    let sync = file.windows(2).position(|bytes| bytes == [0x0b, 0x77]).unwrap();
    let header = Ac3Header::parse(&file[sync..]).unwrap();
    assert_eq!(header.specific_box(), common::boxes(&file, b"dac3")[0]);
}

#[test]
fn flv_4_mp3_frames_of_flv_files() {
    for (name, rate, channels) in [("gen/flv1_mp3_22k.flv", 22_050, 1), ("gen/h264_mp3_44s.flv", 44_100, 2)] {
        let Some(file) = common::media(name) else { return };
        let (mut stream, mut at) = (Vec::new(), 13);
        while at + 11 <= file.len() {
            let size = u32::from_be_bytes([0, file[at + 1], file[at + 2], file[at + 3]]) as usize;
            if file[at] == 8 {
                stream.extend_from_slice(&file[at + 12..at + 11 + size]);
            }
            at += 11 + size + 4;
        }
        let frames = MpegAudioSplitter::all(&stream);
        assert_eq!(frames.len(), count("mp3float", name), "{name}");
        assert!(frames.iter().all(|frame| (frame.header.sample_rate, frame.header.channels) == (rate, channels)));
    }
}

#[test]
fn ts_11_opus_control_headers() {
    let Some(file) = common::media("gen/h264_opus.ts") else { return };
    let payloads = common::ts_payloads(&file, 0xbd..=0xbd);
    let packets: Vec<_> = payloads
        .iter()
        .flat_map(|payload| opus::ts_packets(&Bytes::from(payload.clone())).collect::<Vec<_>>())
        .collect();
    assert_eq!(packets.len(), count("opus", "gen/h264_opus.ts"));
    for packet in &packets {
        let (header, packet) = packet.as_ref().unwrap();
        assert_eq!(opus::packet_samples(packet), Some(960));
        assert_eq!(ControlHeader::parse(&header.write()).unwrap().0, *header);
    }
    assert_eq!(packets[0].as_ref().unwrap().0.start_trim, Some(312), "libopus' pre-skip");
}

#[test]
fn ts_11_au_size_is_a_run_of_255() {
    for size in [0, 1, 254, 255, 256, 510, 1275] {
        let header = ControlHeader { size, start_trim: None, end_trim: Some(100) };
        let bytes = header.write();
        assert_eq!(bytes.len(), 2 + size / 255 + 1 + 2);
        assert_eq!(ControlHeader::parse(&bytes).unwrap(), (header, bytes.len()));
    }
    assert!(ControlHeader::parse(&[0xff; 400]).is_err());
}

#[test]
fn ts_11_channel_config_codes() {
    let mapping = |code| {
        let head = opus::head_from_ts_descriptor(&[code]).unwrap();
        assert_eq!(opus::ts_channel_config_code(&head), Some(code));
        let family = head.mapping.as_ref().map_or((0, 1, head.channels - 1), |m| (m.family, m.streams, m.coupled));
        (head.channels, family)
    };
    let plain = [(1, (0, 1, 0)), (2, (0, 1, 1)), (3, (1, 2, 1)), (4, (1, 2, 2)), (5, (1, 3, 2)), (6, (1, 4, 2))];
    assert_eq!((1..=6).map(mapping).collect::<Vec<_>>(), plain);
    assert_eq!((mapping(7), mapping(8)), ((7, (1, 4, 3)), (8, (1, 5, 3))));
    assert_eq!((mapping(0), mapping(0x80)), ((2, (255, 1, 1)), (2, (255, 2, 0))));
    assert_eq!((mapping(0x82), mapping(0x88)), ((2, (1, 2, 0)), (8, (1, 8, 0))));
    // Explicit: 3 channels, family 255; streams - 1 = 1 in 2 bits, coupled 1 in 2 bits, map 2 0 1 in 2 bits each.
    let head = opus::head_from_ts_descriptor(&[0x81, 3, 255, 0b0101_1000, 0b0100_0000]).unwrap();
    let mapping = head.mapping.unwrap();
    assert_eq!((mapping.streams, mapping.coupled, mapping.map), (2, 1, vec![2, 0, 1]));
    assert!(opus::head_from_ts_descriptor(&[9]).is_err());
}

#[test]
fn opus_head_of_ogg_files_round_trips() {
    for (name, channels) in [("gen/opus48s.ogg", 2), ("es/srs-bench__avatar.ogg", 2)] {
        let Some(file) = common::media(name) else { return };
        let at = file.windows(8).position(|bytes| bytes == b"OpusHead").unwrap();
        let head = OpusHead::parse(&file[at..at + 19]).unwrap();
        assert_eq!(head.channels, channels);
        assert_eq!(head.write(), file[at..at + 19]);
    }
    let head = OpusHead::new(6).unwrap();
    assert_eq!(OpusHead::parse(&head.write()).unwrap(), head);
}

#[test]
fn opus_durations_of_rfc_6716() {
    // TOC config (table 2) and code: 60 ms SILK, 20 ms hybrid, 2.5 ms CELT twice, code 3 with 4 frames of 20 ms.
    let cases: [(&[u8], Option<u32>); 6] = [
        (&[3 << 3], Some(2880)),
        (&[13 << 3], Some(960)),
        (&[16 << 3 | 1], Some(240)),
        (&[31 << 3 | 3, 4], Some(3840)),
        (&[31 << 3 | 3, 7], None),
        (&[31 << 3 | 3, 0], None),
    ];
    cases.iter().for_each(|(packet, samples)| assert_eq!(opus::packet_samples(packet), *samples, "{packet:?}"));
}

#[test]
fn flac_stream_info_round_trips() {
    let info = StreamInfo {
        min_block: 4096,
        max_block: 4096,
        min_frame: 14,
        max_frame: 11_000,
        sample_rate: 44_100,
        channels: 2,
        bits_per_sample: 16,
        total_samples: 5 << 32,
        md5: [7; 16],
    };
    let body = info.write();
    assert_eq!((body.len(), &body[10..14]), (34, &[0x0a, 0xc4, 0x42, 0xf5][..]));
    let file = [&b"fLaC\x80\0\0\x22"[..], &body].concat();
    assert_eq!((StreamInfo::parse(&body).unwrap(), StreamInfo::parse(&file).unwrap()), (info, info));
}

#[test]
fn opus_descriptor_of_256_streams_is_refused() {
    // channel_config_code 0x81, 255 channels, family 255, and the largest stream_count_minus1 eight bits can say.
    let error = opus::head_from_ts_descriptor(&[0x81, 255, 255, 255, 0, 0]).unwrap_err();
    assert!(error.to_string().contains("at most 255 streams"), "{error}");
}

fn everything(data: &[u8]) {
    let _ = MpegAudioHeader::parse(data).map(|header| (header.frame_bytes(), header.samples()));
    let _ = Ac3Header::parse(data).map(|header| (header.specific_box(), header.bit_rate(), header.channels()));
    let _ = (MpegAudioSplitter::all(data), Ac3Splitter::all(data));
    let _ = OpusHead::parse(data).map(|head| assert_eq!(OpusHead::parse(&head.write()), Ok(head)));
    let _ = opus::head_from_ts_descriptor(data);
    let _ = opus::packet_samples(data);
    let _ = opus::ts_packets(&Bytes::copy_from_slice(data)).count();
    let _ = StreamInfo::parse(data);
}

#[test]
fn fuzz_corpus_is_survived() {
    for prefix in ["mc_ac3", "mc_eac3", "mc_mpeg1audio", "mc_opus"] {
        common::torture(prefix, everything);
    }
}

proptest! {
    #[test]
    fn parsers_never_panic(start in 0usize..5, data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let prefix: [&[u8]; 5] = [&[], &[0x0b, 0x77], &[0xff, 0xfb], &[0x81], b"OpusHead\x01"];
        everything(&[prefix[start], &data].concat());
    }
}
