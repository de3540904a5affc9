//! H.264 against elementary streams that other encoders made and libavformat counted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use millstream_codec::access_unit::AccessUnit;
use millstream_codec::bits::BitWriter;
use millstream_codec::h264::*;
use millstream_codec::nal;
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
    for (name, count) in common::counts("h264") {
        if !(name.ends_with("264") || name.ends_with("annexb")) {
            continue;
        }
        let data = common::media(&name).unwrap();
        let (units, _) = split(&data, 4096);
        println!("{name}: {} {count}", units.len());
        assert_eq!(units.len(), count, "{name}");
        assert_eq!(split(&data, 7).0, units, "{name} in small pieces");
    }
}

/// ffprobe's `WxH` of the first H.264 stream in the manifest row.
fn sizes() -> Vec<(String, u32, u32)> {
    let Some(manifest) = common::media("MANIFEST.tsv") else { return Vec::new() };
    let manifest = String::from_utf8(manifest).unwrap();
    let rows = manifest.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let size = columns.get(6)?.split(":h264:").nth(1)?.split(':').next()?;
        let (width, height) = size.split_once('x')?;
        Some((columns[0].to_owned(), width.parse().ok()?, height.parse().ok()?))
    });
    rows.filter(|(name, ..)| name.starts_with("es/") || name.ends_with(".h264") || name.ends_with(".mp4")).collect()
}

#[test]
fn picture_sizes_are_those_ffprobe_read() {
    let mut seen = 0;
    for (name, width, height) in sizes() {
        let data = common::media(&name).unwrap();
        let sps = if name.ends_with(".mp4") {
            let Some(avcc) = common::boxes(&data, b"avcC").first().cloned() else { continue };
            Sps::parse(&AvcDecoderConfigurationRecord::parse(&avcc.into()).unwrap().sps[0]).unwrap()
        } else {
            split(&data, 4096).1.last_sps().unwrap().clone()
        };
        assert_eq!((sps.width(), sps.height()), (width, height), "{name}");
        seen += 1;
    }
    assert!(seen > 20 || common::media_dir().is_none(), "only {seen} files");
}

#[test]
fn avcc_records_round_trip() {
    let mut seen = 0;
    for (name, ..) in sizes().into_iter().filter(|(name, ..)| name.ends_with(".mp4")) {
        for avcc in common::boxes(&common::media(&name).unwrap(), b"avcC") {
            let avcc = Bytes::from(avcc);
            let record = AvcDecoderConfigurationRecord::parse(&avcc).unwrap();
            let written = record.write().unwrap();
            assert_eq!(AvcDecoderConfigurationRecord::parse(&written).unwrap(), record, "{name}");
            if record.extension.is_some() || record.profile_idc < 100 {
                assert_eq!(written, avcc, "{name}");
            }
            let mut sets = ParameterSets::new();
            assert!(sets.insert_record(&record).unwrap(), "{name}");
            assert!(!sets.insert_record(&record).unwrap(), "{name}: repeats are no news");
            seen += 1;
        }
    }
    assert!(seen > 5 || common::media_dir().is_none(), "only {seen} records");
}

#[test]
fn baseline_clip_has_the_properties_it_was_made_with() {
    let Some(data) = common::media("gen/h264b_10s.h264") else { return };
    let (units, sets) = split(&data, 1000);
    let sps = sets.last_sps().unwrap();
    assert_eq!(sps.frame_rate(), Some((30, 1)));
    assert!(sps.may_reorder() && sps.frame_mbs_only);
    assert_eq!(sps.vui.unwrap().sar, Some((1, 1)));
    // keyint=30 over 300 frames
    let keys: Vec<usize> = (0..units.len()).filter(|at| is_key_frame(&units[*at].nals, KeyFrameRule::Idr)).collect();
    assert_eq!(keys, (0..10).map(|gop| gop * 30).collect::<Vec<_>>());
    // The MP4 of the same stream was written by ffmpeg from the same parameter sets.
    let avcc = &common::boxes(&common::media("gen/h264b_aac48s_10s.mp4").unwrap(), b"avcC")[0];
    assert_eq!(sets.record().unwrap().write().unwrap(), avcc);
    assert_eq!(sets.record().unwrap().codec_string(), sps.codec_string());
}

#[test]
fn conversions_keep_every_unit() {
    let Some(data) = common::media("gen/h264b_10s.h264") else { return };
    for unit in split(&data, 1000).0 {
        let stream = nal::join(&unit.to_annex_b());
        let avc = nal::join(&unit.to_length_prefixed());
        assert_eq!(nal::annex_b(&stream).collect::<Vec<_>>(), unit.nals.to_vec());
        assert_eq!(nal::join(&nal::annex_b_to_length_prefixed(&stream)), avc);
        assert_eq!(nal::length_prefixed_to_annex_b_in_place(avc).unwrap().unwrap(), stream);
    }
}

#[test]
fn a_new_bottom_field_is_a_new_picture_but_a_new_slice_is_not() {
    let picture = PictureFields {
        frame_num: 3,
        field: true,
        bottom: false,
        idr_pic_id: None,
        pic_order_cnt_lsb: 6,
        delta_pic_order_cnt: [0; 2],
    };
    let top = SliceHeader {
        nal_ref_idc: 1,
        idr: false,
        first_mb: 0,
        slice_type: SliceType::P,
        pps_id: 0,
        picture: Some(picture),
    };
    let next = SliceHeader { first_mb: 40, slice_type: SliceType::B, nal_ref_idc: 2, ..top };
    assert!(!next.starts_new_picture(&top));
    let bottom = SliceHeader { picture: Some(PictureFields { bottom: true, ..picture }), ..top };
    assert!(bottom.starts_new_picture(&top));
    assert!(SliceHeader { nal_ref_idc: 0, ..next }.starts_new_picture(&top));
}

fn everything(data: &[u8]) {
    let nal = Bytes::copy_from_slice(data);
    let _ = Sps::parse(data).map(|sps| (sps.width(), sps.height(), sps.frame_rate(), sps.codec_string()));
    let _ = Pps::parse(data);
    let _ = recovery_point(data);
    let _ = AvcDecoderConfigurationRecord::parse(&nal).map(|record| record.write());
    let mut sets = ParameterSets::new();
    let _ = sets.insert(&nal);
    let _ = SliceHeader::parse(data, &sets);
    split(data, 5);
}

#[test]
fn fuzz_corpus_is_survived() {
    common::torture("mc_h264", everything);
}

proptest! {
    #[test]
    fn parsers_never_panic(header in 0u8..32, mut data in proptest::collection::vec(any::<u8>(), 1..80)) {
        everything(&data);
        data[0] = header;
        everything(&data);
    }

    #[test]
    fn damaged_streams_are_survived(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut data = common::media("es/openh264__SVA_BA1_B.264").unwrap_or_else(|| vec![0, 0, 1, 0x67, 66, 0, 10]);
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        split(&data, 1500);
    }
}

#[test]
fn ts_8_access_units_of_transport_streams() {
    for (name, count) in common::counts("h264") {
        if name.starts_with("gen/") && name.ends_with(".ts") {
            let stream = common::ts_payloads(&common::media(&name).unwrap(), 0xe0..=0xef).concat();
            let (units, _) = split(&stream, 4000);
            assert_eq!(units.len(), count, "{name}");
            let delimited = units.iter().filter(|unit| NalType::of(&unit.nals[0]) == Some(NalType::Aud)).count();
            assert_eq!(delimited, count, "{name}: ffmpeg's muxer puts a delimiter first in each access unit");
        }
    }
}

#[test]
fn interlaced_sps_crops_in_units_of_four_rows() {
    // Main profile 1920x1080 interlaced: 34 map units of two macroblock rows, 2 crop units of 4 rows (H.264 7-22).
    let mut writer = BitWriter::new();
    writer.bytes(&[0x67, 77, 0, 40]);
    [0, 0, 2, 1].into_iter().for_each(|code| writer.ue(code)); // id, frame_num, picture order type 2, one reference
    writer.flag(false);
    writer.ue(119);
    writer.ue(33);
    writer.u(0b0011, 4); // fields, no MBAFF, direct 8x8, cropping
    [0, 0, 0, 2].into_iter().for_each(|code| writer.ue(code));
    writer.u(0b01, 2); // no VUI, stop bit
    let sps = Sps::parse(&writer.finish()).unwrap();
    assert_eq!((sps.width(), sps.height(), sps.frame_mbs_only), (1920, 1080, false));
    assert!(!sps.may_reorder(), "picture order type 2");
}
