//! Damage of every kind: nothing panics or hangs, every byte is accounted for, the reader finds its way again.

mod common;

use bytes::Bytes;
use common::{media, read_all};
use millstream_flv::wire::{
    AudioCodec, AudioPacket, DropReason, FileHeader, FlvWriter, HeaderForm, MetaData, PacketKind, Slices, SoundFlags,
    Tag, TagKind, VideoCodec, VideoPacket, parse_audio, parse_color_info, parse_script, parse_video,
    write_audio_header, write_audio_tracks, write_video_header, write_video_tracks,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A file of tags with bodies that look like nothing else.
fn file(tags: &[(TagKind, u32, Vec<u8>)]) -> Bytes {
    let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
    writer.file_header(FileHeader::new(true, true), &mut out);
    for (kind, time, body) in tags {
        writer.tag(*kind, *time, body, &[], &mut out).expect("small");
    }
    out.take().concat().into()
}

fn ten_tags() -> Bytes {
    let tag = |i: u32| {
        (if i.is_multiple_of(2) { TagKind::Audio } else { TagKind::Video }, i * 20, vec![0xAA; 50 + i as usize])
    };
    file(&(0..10).map(tag).collect::<Vec<_>>())
}

/// Offset of tag `n` of [`ten_tags`].
fn offset(n: usize) -> usize {
    13 + (0..n).map(|i| 15 + 50 + i).sum::<usize>()
}

/// Everything is either delivered or dropped.
fn account(file: &Bytes, step: usize) -> (Vec<Tag>, Vec<(u64, u64, DropReason)>) {
    let (tags, mut reader) = read_all(file, step);
    let drops: Vec<_> = std::iter::from_fn(|| reader.next_dropped()).map(|d| (d.offset, d.bytes, d.reason)).collect();
    assert_eq!(reader.offset(), file.len() as u64);
    assert_eq!(reader.stats().dropped_bytes, drops.iter().map(|drop| drop.1).sum::<u64>());
    (tags, drops)
}

#[test]
fn flv_1_garbage_between_tags_is_dropped_and_counted() {
    let good = ten_tags();
    for garbage in [&[0u8; 100][..], &[0xFF; 100], b"FL", &[8; 3], &[9, 0, 0, 200, 0, 0, 0, 0, 0, 0, 1, 2, 3]] {
        let at = offset(4);
        let bad = Bytes::from([&good[..at], garbage, &good[at..]].concat());
        for step in [1, 64, 10_000] {
            let (tags, drops) = account(&bad, step);
            assert_eq!(tags.len(), 10, "{garbage:?}");
            assert_eq!(drops, [(at as u64, garbage.len() as u64, DropReason::Damaged)]);
        }
    }
}

#[test]
fn flv_1_damaged_size_is_repaired_from_the_back_pointer() {
    let good = ten_tags();
    let (whole, _) = account(&good, 10_000);
    for (byte, value) in [(1, 0x7F), (2, 1), (3, 3), (3, 200)] {
        let mut bad = good.to_vec();
        bad[offset(3) + byte] = value;
        for step in [5, 10_000] {
            let (tags, mut reader) = read_all(&bad.clone().into(), step);
            assert!(tags == whole, "size byte {byte} = {value}");
            assert_eq!((reader.stats().repaired_sizes, reader.next_dropped()), (1, None));
        }
    }
}

#[test]
fn flv_1_lost_bytes_cost_one_tag() {
    let good = ten_tags();
    for cut in [0, 5, 11, 30, 64] {
        // 20 bytes of tag 5 are gone.
        let at = offset(5) + cut;
        let bad = Bytes::from([&good[..at], &good[at + 20..]].concat());
        let (tags, drops) = account(&bad, 10_000);
        let lost = drops.iter().map(|drop| drop.1).sum::<u64>();
        assert!(tags.len() >= 8 && lost < 150, "cut at {cut}: {} tags, {lost} bytes lost", tags.len());
        assert_eq!(tags[..5], account(&good, 10_000).0[..5], "all whole packets before the damage");
        assert_eq!(tags.last().map(|tag| tag.timestamp), Some(180));
    }
}

#[test]
fn flv_3_encrypted_and_unknown_tags_are_skipped_by_size() {
    let mut bad = ten_tags().to_vec();
    bad[offset(2)] |= 0x20;
    bad[offset(7)] = 0x1F;
    let (tags, drops) = account(&bad.into(), 10_000);
    assert_eq!(tags.len(), 8);
    let at = |n| (offset(n) as u64, 65 + n as u64);
    assert_eq!(drops, [(at(2).0, at(2).1, DropReason::Encrypted), (at(7).0, at(7).1, DropReason::UnknownTagType(31))]);
}

#[test]
fn flv_1_endless_garbage_takes_no_memory() {
    let mut reader = millstream_flv::wire::FlvReader::new();
    reader.push(ten_tags());
    let garbage = Bytes::from(vec![0xFF; 1 << 20]);
    for _ in 0..64 {
        while reader.next().expect("FLV").is_some() {}
        reader.push(garbage.clone());
    }
    while reader.next().expect("FLV").is_some() {}
    // All but the window in which the end of a tag is looked for has been let go.
    assert!(reader.stats().dropped_bytes > 60 << 20);
    assert_eq!(reader.stats().tags, 10);
}

#[test]
fn flv_1_bit_flips_in_real_files() {
    for name in ["gen/emulti_2a.flv", "gen/h264_speex16.flv", "gen/eav1_opus.flv"] {
        let Some(good) = media(name) else { return };
        let total = account(&good, 1 << 20).0.len();
        let mut seed = 20_240_711u64;
        for round in 0..40 {
            let mut bad = good.to_vec();
            for _ in 0..1 << (round % 8) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let bit = (seed >> 24) as usize % (bad.len() * 8);
                bad[bit / 8] ^= 1 << (bit % 8);
            }
            let (tags, mut reader) = read_all(&bad.into(), 1 << 16);
            while reader.next_dropped().is_some() {}
            parse_everything(&tags);
            // 128 flips in 100 kB and more hit few headers; a lost header costs two tags at most.
            assert!(tags.len() + 40 > total, "{name}: {} of {total} tags", tags.len());
        }
    }
}

fn parse_everything(tags: &[Tag]) {
    for tag in tags {
        match tag.kind {
            TagKind::Audio => drop(parse_audio(&tag.body)),
            TagKind::Video => drop(parse_video(&tag.body)),
            kind => drop(parse_script(kind, &tag.body).map(|script| MetaData::from_script(&script))),
        }
    }
}

fn frame() -> impl Strategy<Value = PacketKind> {
    (any::<bool>(), prop_oneof![Just(0), -(1i32 << 23)..(1 << 23)], prop_oneof![Just(0u32), 0u32..1_000_000])
        .prop_map(|(key, composition_time_ms, nano_offset)| PacketKind::Frame { key, composition_time_ms, nano_offset })
}

fn video_codec() -> impl Strategy<Value = VideoCodec> {
    use VideoCodec::{Av1, H264, Hevc, Vp8, Vp9, Vvc};
    prop::sample::select(vec![Av1, H264, Hevc, Vp8, Vp9, Vvc])
}

fn audio_codec() -> impl Strategy<Value = AudioCodec> {
    use AudioCodec::{Aac, Ac3, Eac3, Flac, Mp3, Opus};
    prop::sample::select(vec![Aac, Ac3, Eac3, Flac, Mp3, Opus])
}

/// What comes back for a codec that cannot carry composition times.
fn carried(codec: VideoCodec, kind: PacketKind) -> PacketKind {
    match kind {
        PacketKind::Frame { key, nano_offset, .. } if !codec.has_composition_time() => {
            PacketKind::Frame { key, composition_time_ms: 0, nano_offset }
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn flv_1_reader_and_parsers_never_panic(bytes: Vec<u8>, header: bool, step in 1usize..40) {
        let head = if header { &b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..] } else { b"" };
        let (tags, _) = read_all(&[head, &bytes].concat().into(), step);
        parse_everything(&tags);
        let body = Bytes::from(bytes);
        for first in [0x17, 0x1C, 0x90, 0x91, 0x95, 0x96, 0x97, 0xAF, 0xD1] {
            let body = Bytes::from([&[first][..], &body].concat());
            drop((parse_audio(&body), parse_video(&body), parse_script(TagKind::Script, &body), parse_color_info(&body)));
        }
    }

    #[test]
    fn flv_1_damaged_files_are_accounted_for(
        bodies in vec((0usize..3, any::<u32>(), vec(any::<u8>(), 0..80)), 1..12),
        at in any::<prop::sample::Index>(),
        damage in vec(any::<u8>(), 0..30),
        lost in 0usize..40,
        step in 1usize..200,
    ) {
        let kinds = [TagKind::Audio, TagKind::Video, TagKind::ScriptAmf3];
        let good = file(&bodies.into_iter().map(|(kind, time, body)| (kinds[kind], time, body)).collect::<Vec<_>>());
        let at = at.index(good.len()).max(13);
        let bad = Bytes::from([&good[..at.min(good.len())], &damage, &good[(at + lost).min(good.len())..]].concat());
        let (tags, _) = account(&bad, step);
        // All whole tags ahead of the damage.
        let whole = account(&good, 10_000).0;
        let before = whole.iter().take_while(|tag| tag.offset as usize + 15 + tag.body.len() <= at).count();
        prop_assert!(tags.len() >= before && tags[..before] == whole[..before]);
    }

    #[test]
    fn ert_3_video_headers_round_trip(track in 0u8..3, codec in video_codec(), kind in frame(), extended: bool, body: Vec<u8>) {
        let form = if extended { HeaderForm::Extended } else { HeaderForm::Auto };
        let mut wire = Vec::new();
        write_video_header(track, codec, kind, form, &mut wire).unwrap();
        wire.extend(&body);
        let read = parse_video(&wire.into()).unwrap();
        prop_assert_eq!(&read.packets[..], &[VideoPacket { track_id: track, codec, kind: carried(codec, kind), payload: body.into() }]);
    }

    #[test]
    fn ert_1_audio_headers_round_trip(track in 0u8..3, codec in audio_codec(), nano_offset in 0u32..1_000_000, body: Vec<u8>) {
        let kind = PacketKind::Frame { key: true, composition_time_ms: 0, nano_offset };
        let mut wire = Vec::new();
        write_audio_header(track, codec, kind, SoundFlags::AAC, HeaderForm::Auto, &mut wire).unwrap();
        wire.extend(&body);
        let read = parse_audio(&wire.into()).unwrap();
        prop_assert_eq!(&read.packets[..], &[AudioPacket { track_id: track, codec, kind, payload: body.into() }]);
    }

    #[test]
    fn ert_7_many_tracks_round_trip(
        video in vec((any::<u8>(), video_codec(), -5i32..5, vec(any::<u8>(), 0..20)), 1..5),
        audio in vec((any::<u8>(), audio_codec(), vec(any::<u8>(), 0..20)), 1..5),
        key: bool,
        nano_offset in 0u32..3,
    ) {
        let video: Vec<_> = video.into_iter().map(|(track_id, codec, composition_time_ms, payload)| {
            let kind = carried(codec, PacketKind::Frame { key, composition_time_ms, nano_offset });
            VideoPacket { track_id, codec, kind, payload: payload.into() }
        }).collect();
        let mut wire = Vec::new();
        write_video_tracks(&video, &mut wire).unwrap();
        prop_assert_eq!(&parse_video(&wire.into()).unwrap().packets[..], &video[..]);
        let audio: Vec<_> = audio.into_iter().map(|(track_id, codec, payload)| {
            AudioPacket { track_id, codec, kind: PacketKind::Config, payload: payload.into() }
        }).collect();
        let mut wire = Vec::new();
        write_audio_tracks(&audio, &mut wire).unwrap();
        prop_assert_eq!(&parse_audio(&wire.into()).unwrap().packets[..], &audio[..]);
    }
}
