//! AAC against ADTS files that libavformat counted and configurations that ffmpeg wrote.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use millstream_codec::aac::*;
use millstream_codec::bits::{BitReader, BitWriter};
use millstream_codec::frames::{Frame, FrameHeader};
use proptest::prelude::*;

fn split(data: &[u8], piece: usize) -> Vec<Frame<AdtsHeader>> {
    let mut splitter = AdtsSplitter::new();
    let mut frames = Vec::new();
    for piece in data.chunks(piece) {
        splitter.push(piece);
        frames.extend(std::iter::from_fn(|| splitter.next_frame()));
    }
    splitter.finish();
    frames.extend(std::iter::from_fn(|| splitter.next_frame()));
    frames
}

#[test]
fn ts_9_frames_are_as_many_as_the_manifest_says() {
    for (name, count) in common::counts("aac") {
        if !(name.ends_with(".aac") || name.ends_with("adts")) {
            continue;
        }
        let data = common::media(&name).unwrap();
        let frames = split(&data, 1000);
        assert_eq!(frames.len(), count, "{name}");
        assert_eq!(split(&data, 3), frames, "{name} in small pieces");
        let bytes: usize = frames.iter().map(|frame| frame.data.len() + frame.skipped as usize).sum();
        assert_eq!(bytes, data.len(), "{name}");
    }
}

#[test]
fn hls_11_id3_before_packed_audio_is_passed_over() {
    let Some(data) = common::media("es/mux.js__test-aac-segment.aac") else { return };
    assert_eq!(&data[..3], b"ID3");
    let first = &split(&data, 100)[0];
    assert_eq!((first.offset, first.skipped), (73, 73));
    assert_eq!((first.header.sample_rate(), first.header.channel_config), (44_100, 2));
}

#[test]
fn resync_after_damage_loses_only_the_damaged_frames() {
    let Some(data) = common::media("gen/aac48s_10s.aac") else { return };
    let frames = split(&data, 1000);
    let (cut, second) = (frames[10].offset as usize, frames[11].offset as usize);
    let mut damaged = data.clone();
    damaged[cut] = 0; // one sync word gone
    damaged.drain(second + 5..second + 9); // bytes missing in the next
    let found = split(&damaged, 1000);
    assert_eq!(found[..10], frames[..10]);
    let tail = found.iter().rposition(|frame| frame.skipped > 0).unwrap();
    assert!(found.len() >= frames.len() - 4, "{}", found.len());
    let same = found[tail..].iter().rev().zip(frames.iter().rev()).all(|(a, b)| a.data == b.data);
    assert!(same);
}

/// `DecoderSpecificInfo` (tag 5) of an `esds` body (ISO/IEC 14496-1 7.2.6).
fn specific_info(esds: &[u8]) -> Option<Vec<u8>> {
    let at = esds.windows(5).position(|bytes| bytes[0] == 5 && bytes[1..4] == [0x80; 3])?;
    Some(esds[at + 5..at + 5 + usize::from(esds[at + 4])].to_vec())
}

#[test]
fn configurations_ffmpeg_wrote_round_trip() {
    for (name, rate) in [("gen/h264b_aac48s_10s.mp4", 48_000), ("gen/av1_aac.mp4", 48_000)] {
        let Some(file) = common::media(name) else { return };
        let bytes = specific_info(&common::boxes(&file, b"esds")[0]).unwrap();
        let config = AudioSpecificConfig::parse(&bytes).unwrap();
        assert_eq!((config.sample_rate, config.codec_string().as_str()), (rate, "mp4a.40.2"), "{name}");
        assert_eq!(config.write().unwrap(), bytes, "{name}");
    }
    let Some(data) = common::media("gen/aac48s_10s.aac") else { return };
    let header = split(&data, 1000)[0].header;
    assert_eq!(header.config(), AudioSpecificConfig::lc(48_000, 2));
}

#[test]
fn explicit_signalling_of_sbr_and_ps() {
    // ISO/IEC 14496-3 1.6.5: LC at 22.05 kHz with SBR to 44.1 kHz, both ways, and with parametric stereo.
    let cases: [(&[u8], Option<bool>, bool, &str); 3] = [
        (&[0x2b, 0x92, 0x08, 0x00], None, true, "mp4a.40.5"),
        (&[0x13, 0x90, 0x56, 0xe5, 0xa0], None, false, "mp4a.40.5"),
        (&[0x13, 0x90, 0x56, 0xe5, 0xa5, 0x48, 0x80], Some(true), false, "mp4a.40.29"),
    ];
    for (bytes, ps, hierarchical, string) in cases {
        let config = AudioSpecificConfig::parse(bytes).unwrap();
        assert_eq!(config.sbr, Some(Sbr { present: true, sample_rate: 44_100, ps, hierarchical }));
        assert_eq!((config.object_type, config.sample_rate), (ObjectType::LC, 22_050));
        assert_eq!((config.output_sample_rate(), config.codec_string().as_str()), (44_100, string));
        assert_eq!(config.write().unwrap(), bytes);
    }
}

#[test]
fn escapes_of_object_type_and_frequency() {
    // Object type 42 = 31 escape + 10, 48 kHz, stereo.
    let config = AudioSpecificConfig::parse(&[0xf9, 0x46, 0x40]).unwrap();
    assert_eq!((config.object_type, config.sample_rate, config.channels()), (ObjectType::USAC, 48_000, Some(2)));
    // LC, frequency index 15 with 24 bits of 12 345 Hz, mono.
    let mut config = AudioSpecificConfig::lc(12_345, 1);
    let bytes = config.write().unwrap();
    assert_eq!(bytes, [0b0001_0111, 0b1000_0000, 0b0001_1000, 0b0001_1100, 0b1000_1000]);
    assert_eq!(AudioSpecificConfig::parse(&bytes).unwrap(), config);
    config.object_type = ObjectType(5);
    assert!(config.write().is_err());
}

#[test]
fn channel_configuration_0_takes_the_program_config_element() {
    let program = ProgramConfig {
        front: vec![(false, 0), (true, 0)],
        back: vec![(true, 1)],
        lfe: vec![0],
        matrix_mixdown: Some((1, true)),
        comment: b"5.1".to_vec(),
        ..ProgramConfig::default()
    };
    let config = AudioSpecificConfig { program: Some(program), ..AudioSpecificConfig::lc(48_000, 0) };
    let back = AudioSpecificConfig::parse(&config.write().unwrap()).unwrap();
    assert_eq!((back.channels(), &back), (Some(6), &config));
}

#[test]
fn ts_9_latm_payloads_come_out() {
    // StreamMuxConfig of RFC 6416 7.3 (AAC LC, 24 kHz, stereo): 44 bits and padding.
    let mux = u64::from_be_bytes([0, 0, 0x40, 0x00, 0x26, 0x20, 0x3f, 0xc0]);
    let frame: Vec<u8> = (0..300).map(|at| at as u8).collect();
    let mut writer = BitWriter::new();
    writer.flag(false);
    writer.u(mux >> 4, 44);
    writer.bytes(&[255, 45]);
    writer.bytes(&frame);
    let mut reader = LatmReader::new();
    assert!(reader.read(&[0x80, 1, 2]).unwrap().is_empty());
    assert_eq!(reader.read(&writer.finish()).unwrap(), std::slice::from_ref(&frame));
    assert_eq!(reader.config(), Some(&AudioSpecificConfig::lc(24_000, 2)));
    assert_eq!(reader.config_bytes().unwrap()[..], [0x13, 0x10]);
    let mut writer = BitWriter::new();
    writer.flag(true);
    writer.bytes(&[2, 7, 8]);
    let element = writer.finish();
    assert_eq!(reader.read(&element).unwrap()[0][..], [7, 8]);
    let loas = [&[0x56, 0xe0, element.len() as u8][..], &element].concat().repeat(3);
    let found = LoasSplitter::all(&loas);
    assert_eq!((found.len(), &found[2].data[3..]), (3, &element[..]));
}

fn everything(data: &[u8]) {
    if let Ok(config) = AudioSpecificConfig::parse(data) {
        let _ = (config.channels(), config.codec_string(), config.output_sample_rate(), config.frame_samples());
        if let Ok(bytes) = config.write() {
            assert_eq!(AudioSpecificConfig::parse(&bytes).unwrap().object_type, config.object_type);
        }
    }
    let _ = AdtsHeader::parse(data);
    let _ = LatmReader::new().read(data);
    let _ = (AdtsSplitter::all(data), LoasSplitter::all(data));
    let _ = BitReader::new("test", data).u64(64);
}

#[test]
fn fuzz_corpus_is_survived() {
    common::torture("mc_mpeg4audio", everything);
}

proptest! {
    #[test]
    fn parsers_never_panic(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        everything(&data);
    }

    #[test]
    fn adts_headers_round_trip(object in 1u8..5, index in 0usize..13, channels in 0u8..8, size in 0usize..8184) {
        let config = AudioSpecificConfig { object_type: ObjectType(object), ..AudioSpecificConfig::lc(SAMPLE_RATES[index], channels) };
        let header = AdtsHeader::new(&config, size).unwrap();
        prop_assert_eq!(AdtsHeader::parse(&header.write()).unwrap(), header);
        prop_assert_eq!(header.config(), config);
        prop_assert_eq!(header.frame_bytes() - header.header_bytes(), size);
    }

    #[test]
    fn every_byte_is_given_or_counted(
        junk in proptest::collection::vec(prop_oneof![Just(0xffu8), Just(0xf1), Just(0x56), any::<u8>()], 0..200),
        piece in 1usize..50,
    ) {
        let mut data = junk;
        for size in [30, 40, 50] {
            data.extend(AdtsHeader::new(&AudioSpecificConfig::lc(48_000, 2), size).unwrap().write());
            data.extend(std::iter::repeat_n(0x21, size));
        }
        let mut splitter = AdtsSplitter::new();
        let mut seen = 0;
        for piece in data.chunks(piece) {
            splitter.push(piece);
            while let Some(frame) = splitter.next_frame() {
                seen += frame.skipped as usize + frame.data.len();
            }
        }
        splitter.finish();
        while let Some(frame) = splitter.next_frame() {
            seen += frame.skipped as usize + frame.data.len();
        }
        prop_assert_eq!(seen + splitter.skipped() as usize, data.len());
        prop_assert_eq!(splitter.pending(), 0);
    }
}

#[test]
fn ts_9_latm_of_a_broadcast_sample() {
    let Some(file) = common::media("ts/media__sample_latm.ts") else { return };
    let stream = common::ts_payloads(&file, 0xc0..=0xdf).concat();
    let mut reader = LatmReader::new();
    let frames: Vec<_> = LoasSplitter::all(&stream)
        .iter()
        .flat_map(|frame| reader.read(&frame.data[LoasHeader::BYTES..]).unwrap())
        .collect();
    let config = reader.config().unwrap();
    // Stereo comes from parametric stereo inside the SBR data, which the configuration does not announce.
    assert_eq!((frames.len(), config.output_sample_rate(), config.channels()), (5, 44_100, Some(1)));
}

#[test]
fn ts_9_adts_of_transport_streams() {
    for (name, count) in
        common::counts("aac").into_iter().filter(|(name, _)| name.starts_with("gen/") && name.ends_with(".ts"))
    {
        let stream = common::ts_payloads(&common::media(&name).unwrap(), 0xc0..=0xdf).concat();
        assert_eq!(split(&stream, 4000).len(), count, "{name}");
    }
}
