//! AV1, VP9 and VP8 against files that libavformat counted and records that ffmpeg wrote.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use millstream_codec::av1::*;
use millstream_codec::vp8;
use millstream_codec::vp9::{self, VpCodecConfigurationRecord};
use proptest::prelude::*;

/// Frames of an IVF file: a 32-byte header, then size (u32 LE), time (u64) and data.
fn ivf_frames(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut frames, mut rest) = (Vec::new(), &file[32..]);
    while rest.len() > 12 {
        let size = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        frames.push(rest[12..12 + size].to_vec());
        rest = &rest[12 + size..];
    }
    frames
}

/// Video frames of an Enhanced FLV file: the bodies behind the FourCC of packet types 1 and 3, and the configuration.
fn enhanced_flv(file: &[u8]) -> (Vec<u8>, Vec<(bool, Vec<u8>)>) {
    let (mut config, mut frames, mut at) = (Vec::new(), Vec::new(), 13);
    while at + 11 <= file.len() {
        let size = u32::from_be_bytes([0, file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let body = &file[at + 11..at + 11 + size];
        match (file[at], body.first().map(|first| (first >> 4 & 7, first & 0xf))) {
            (9, Some((_, 0))) => config = body[5..].to_vec(),
            (9, Some((kind, 1 | 3))) => frames.push((kind == 1, body[5..].to_vec())),
            _ => {}
        }
        at += 11 + size + 4;
    }
    (config, frames)
}

#[test]
fn temporal_units_of_an_ivf_file() {
    let Some(file) = common::media("es/ex_webrtc__av1_correct.ivf") else { return };
    let frames = ivf_frames(&file);
    assert_eq!(frames.len(), 29);
    let stream = frames.concat();
    for piece in [3, 1000] {
        let mut splitter = TemporalUnitSplitter::new();
        let mut units = Vec::new();
        for piece in stream.chunks(piece) {
            splitter.push(piece);
            while let Some(unit) = splitter.next_unit().unwrap() {
                units.push(unit.to_vec());
            }
        }
        units.extend(splitter.finish().map(|unit| unit.to_vec()));
        assert_eq!(units, frames);
    }
    let obus: Vec<Obu> = Obus::new(&frames[0]).map(Result::unwrap).collect();
    let sequence = obus.iter().find(|obu| obu.header.kind == ObuType::SEQUENCE_HEADER).unwrap();
    let header = SequenceHeader::parse(&frames[0][sequence.payload.clone()]).unwrap();
    assert_eq!((header.max_width, header.max_height), (176, 144));
    assert!(is_key_frame(&frames[0]) && !is_key_frame(&frames[1]));
}

#[test]
fn av1_of_an_enhanced_flv_file() {
    let Some(file) = common::media("gen/eav1_opus.flv") else { return };
    let (config, frames) = enhanced_flv(&file);
    assert_eq!(frames.len(), 75);
    for (at, (key, frame)) in frames.iter().enumerate() {
        assert_eq!(is_key_frame(frame), *key, "frame {at}");
    }
    let config = Bytes::from(config);
    let record = Av1CodecConfigurationRecord::parse(&config).unwrap();
    assert_eq!(record.write(), config);
    let sequence = record.sequence_header().unwrap();
    assert_eq!((sequence.max_width, sequence.max_height, sequence.color.bit_depth), (320, 180, 8));
    assert_eq!(Av1CodecConfigurationRecord::new(&sequence, record.obus.clone()), record);
    assert_eq!(record.codec_string(), sequence.codec_string());
    let boxed = common::boxes(&common::media("gen/av1_aac.mp4").unwrap(), b"av1C");
    assert_eq!(boxed[0], config);
}

#[test]
fn vp9_of_an_enhanced_flv_file() {
    let Some(file) = common::media("gen/evp9_opus.flv") else { return };
    let (config, frames) = enhanced_flv(&file);
    assert_eq!(frames.len(), 100);
    for (at, (key, frame)) in frames.iter().enumerate() {
        assert_eq!(vp9::is_key_frame(frame), *key, "frame {at}");
    }
    let header = vp9::FrameHeader::parse(&frames[0].1).unwrap();
    let key = header.key.unwrap();
    assert_eq!((key.width, key.height, key.bit_depth), (320, 180, 8));
    let record = VpCodecConfigurationRecord::parse(&config).unwrap();
    println!("{config:x?} {record:?}");
    assert_eq!(record.write(), config[config.len() - 8..]);
    let ours = VpCodecConfigurationRecord::new(header.profile, &key, 25);
    assert_eq!((ours.profile, ours.level, ours.bit_depth), (record.profile, record.level, record.bit_depth));
}

#[test]
fn vp8_key_frames_of_the_test_vectors() {
    for vector in 1..=5 {
        let Some(file) = common::media(&format!("es/vp8-test-vectors__vp80-00-comprehensive-00{vector}.ivf")) else {
            return;
        };
        let frames = ivf_frames(&file);
        assert!(frames.len() >= 29);
        let tag = vp8::frame_tag(&frames[0]).unwrap();
        let size = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
        assert_eq!(tag.key_frame, Some((size(12), size(14))), "the IVF header has the size too");
        assert!(!vp8::is_key_frame(&frames[1]));
    }
}

#[test]
fn leb128_is_bounded() {
    assert_eq!(read_leb128(&[0xe5, 0x8e, 0x26]), Ok((624_485, 3)));
    assert_eq!(read_leb128(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Ok((0, 8)));
    assert!(read_leb128(&[0x80; 9]).is_err());
    assert!(read_leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]).is_err(), "over 2^32 - 1");
    assert!(read_leb128(&[0x80]).unwrap_err().is_truncated());
}

fn everything(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let _ = SequenceHeader::parse(data).map(|header| (header.codec_string(), header.frame_rate()));
    let _ = Av1CodecConfigurationRecord::parse(&bytes).map(|record| (record.write(), record.sequence_header()));
    assert!(Obus::new(data).count() <= data.len());
    let _ = is_key_frame(data);
    let mut splitter = TemporalUnitSplitter::new();
    for piece in data.chunks(3) {
        splitter.push(piece);
        while let Ok(Some(unit)) = splitter.next_unit() {
            assert!(!unit.is_empty());
        }
    }
    splitter.finish();
    let _ =
        vp9::FrameHeader::parse(data).map(|header| header.key.map(|key| VpCodecConfigurationRecord::new(0, &key, 60)));
    let _ = VpCodecConfigurationRecord::parse(data).map(|record| record.codec_string());
    let _ = vp8::frame_tag(data);
}

#[test]
fn fuzz_corpus_is_survived() {
    common::torture("mc_av1", everything);
    common::torture("mc_vp9", everything);
}

proptest! {
    #[test]
    fn parsers_never_panic(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        everything(&data);
    }

    #[test]
    fn leb128_round_trips(value in any::<u32>()) {
        let mut out = Vec::new();
        write_leb128(&mut out, value);
        prop_assert_eq!(read_leb128(&out).unwrap(), (value, out.len()));
    }
}
