//! H.265 against elementary streams that other encoders made and libavformat counted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use millstream_codec::access_unit::AccessUnit;
use millstream_codec::h265::*;
use proptest::prelude::*;

fn split(data: &[u8], piece: usize) -> (Vec<AccessUnit>, ParameterSets) {
    let mut splitter = AccessUnitSplitter::new();
    let mut units = Vec::new();
    for piece in data.chunks(piece) {
        splitter.push(piece);
        while let Some(unit) = splitter.next_unit().unwrap() {
            units.push(unit);
        }
    }
    units.extend(splitter.finish().unwrap());
    (units, splitter.detector().parameter_sets().clone())
}

#[test]
fn access_units_are_as_many_as_the_manifest_says() {
    for (name, count) in common::counts("hevc") {
        let data = common::media(&name).unwrap();
        let data = match name.rsplit('.').next() {
            Some("265" | "h265") => data,
            Some("ts") if name.starts_with("gen/") => common::ts_payloads(&data, 0xe0..=0xef).concat(),
            _ => continue,
        };
        let (units, _) = split(&data, 4096);
        assert_eq!(units.len(), count, "{name}");
        assert_eq!(split(&data, 7).0, units, "{name} in small pieces");
    }
}

#[test]
fn picture_sizes_are_those_ffprobe_read() {
    for (name, size) in [
        ("es/libde265__girlshy.h265", (316, 240)),
        ("es/mp4ff__hevc.265", (1920, 1080)),
        ("gen/hevc_4s.h265", (640, 360)),
    ] {
        let Some(data) = common::media(name) else { return };
        let sps = split(&data, 4096).1.last_sps().unwrap().clone();
        assert_eq!((sps.width(), sps.height()), size, "{name}");
    }
}

#[test]
fn hvcc_records_round_trip() {
    let Some(file) = common::media("gen/hevc_aac.mp4") else { return };
    let bytes = Bytes::from(common::boxes(&file, b"hvcC").remove(0));
    let record = HevcDecoderConfigurationRecord::parse(&bytes).unwrap();
    assert_eq!(record.write().unwrap(), bytes);
    let mut sets = ParameterSets::new();
    assert!(sets.insert_record(&record).unwrap());
    assert!(!sets.insert_record(&record).unwrap(), "repeats are no news");
    // ffmpeg made the record and the elementary stream from the same encoder output.
    let (units, sets) = split(&common::media("gen/hevc_4s.h265").unwrap(), 4096);
    let ours = sets.record().unwrap();
    assert_eq!(
        HevcDecoderConfigurationRecord { arrays: Vec::new(), ..ours.clone() },
        HevcDecoderConfigurationRecord { arrays: Vec::new(), parallelism: ours.parallelism, ..record.clone() }
    );
    assert!(ours.nals().all(|nal| record.nals().any(|theirs| theirs == nal)));
    assert_eq!(sets.last_sps().unwrap().frame_rate(), Some((30, 1)));
    let keys: Vec<usize> = (0..units.len()).filter(|at| is_key_frame(&units[*at].nals)).collect();
    assert_eq!(keys, [0, 30, 60, 90]); // keyint=30
}

fn everything(data: &[u8]) {
    let nal = Bytes::copy_from_slice(data);
    let _ = Sps::parse(data).map(|sps| (sps.width(), sps.height(), sps.frame_rate(), sps.codec_string()));
    let _ = HevcDecoderConfigurationRecord::parse(&nal).map(|record| record.write());
    let mut sets = ParameterSets::new();
    let _ = sets.insert(&nal);
    split(data, 5);
}

#[test]
fn fuzz_corpus_is_survived() {
    common::torture("mc_h265", everything);
}

proptest! {
    #[test]
    fn parsers_never_panic(header in 32u8..35, mut data in proptest::collection::vec(any::<u8>(), 2..120)) {
        everything(&data);
        data[..2].copy_from_slice(&[header << 1, 1]);
        everything(&data);
    }
}
