//! `mpegaudioparse`, `ac3parse`, `opusparse` and `av1parse` on real streams.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::parser::*;
use millstream_codec::elements::{av1parse, frameparse, opusparse};
use millstream_core::{Buffer, BufferFlags, Time};
use millstream_testkit::media::media_bytes;
use millstream_testkit::{Harness, manifest};

#[test]
fn ac3_frames_are_as_many_as_the_manifest_says() {
    let file = "es/shaka-packager__bear.ac3";
    let Some(data) = media_bytes(file) else { return };
    let (caps, buffers) = parse_file(&frameparse::ac3_factory(), &data, "ANY", 777);
    assert_eq!(buffers.len() as u64, manifest().row(file).unwrap().lavf.packets("audio").unwrap(), "{file}");
    assert_eq!((caps.len(), caps[0].media()), (1, "audio/x-ac3"));
    let rate = caps[0].rate().unwrap();
    assert_eq!(buffers[3].pts, Some(Time::from_ticks(3 * 1536, rate)));
    assert_eq!(bytes(&buffers).concat(), data[..bytes(&buffers).concat().len()]);
}

#[test]
fn mp2_frames_of_pes_packets_are_as_many_as_the_manifest_says() {
    let Some(file) = media_bytes("gen/mpeg2_mp2.ts") else { return };
    let packets: Vec<Buffer> = common::ts_payloads(&file, 0xc0..=0xdf).into_iter().map(Buffer::new).collect();
    let caps = "audio/mpeg, mpegversion=1";
    let (caps, buffers) = parse_buffers(&frameparse::mpegaudio_factory(), caps, &packets, "ANY");
    assert_eq!(buffers.len(), 167);
    assert_eq!(
        (caps[0].int("layer"), caps[0].rate(), caps[0].int("mpegaudioversion")),
        (Some(2), Some(48_000), Some(1))
    );
    assert_eq!(buffers[1].duration.unwrap().millis(), 24);
}

/// Packets of an Ogg file with one stream, pages in order and undamaged (RFC 3533 6).
fn ogg_packets(file: &Bytes) -> Vec<Bytes> {
    let (mut packets, mut part, mut at) = (Vec::new(), Vec::new(), 0);
    while at + 27 <= file.len() {
        let lacing = &file[at + 27..at + 27 + usize::from(file[at + 26])];
        at += 27 + lacing.len();
        for value in lacing {
            part.extend_from_slice(&file[at..at + usize::from(*value)]);
            at += usize::from(*value);
            if *value < 255 {
                packets.push(Bytes::from(std::mem::take(&mut part)));
            }
        }
    }
    packets
}

#[test]
fn opus_packets_of_ogg_files_get_header_and_durations() {
    for (file, count) in [("gen/opus48s.ogg", 201), ("es/srs-bench__avatar.ogg", 1282)] {
        let Some(data) = media_bytes(file) else { return };
        let packets = ogg_packets(&data);
        let buffers: Vec<Buffer> = packets.iter().cloned().map(Buffer::new).collect();
        let (caps, buffers) = parse_buffers(&opusparse::factory(), "", &buffers, "ANY");
        assert_eq!((buffers.len(), caps.len()), (count, 1), "{file}");
        assert_eq!((caps[0].codec_data(), caps[0].channels()), (Some(&packets[0]), Some(2)));
        assert_eq!(buffers[10].pts, Some(Time::from_millis(200)));
        assert!(buffers.iter().all(|b| b.is_keyframe() && b.duration.unwrap().millis() == 20));
    }
}

#[test]
fn opus_without_a_header_gets_one_and_broken_packets_are_counted() {
    let mut harness = Harness::new(&opusparse::factory(), "");
    harness.push_start("sink", "audio/x-opus, channels=6").unwrap();
    // 20 ms; then code 3 with no frame (RFC 6716 R5).
    for packet in [&[0x98, 1][..], &[0x9b, 0], &[], &[0x98, 1]] {
        harness.push_buffer("sink", Buffer::new(packet.to_vec())).unwrap();
    }
    let (caps, buffers) = taken(&mut harness);
    assert_eq!(caps[0].codec_data().unwrap()[..10], *b"OpusHead\x01\x06");
    assert_eq!((buffers.len(), harness.drops.len()), (2, 2));
    assert!(buffers[1].flags.contains(BufferFlags::DISCONT));
    let (caps, _) = parse_buffers(&opusparse::factory(), "audio/x-opus", &[Buffer::new(vec![0x9c, 1])], "ANY");
    assert_eq!(caps[0].channels(), Some(2), "the stereo bit");
}

/// The stream in an IVF file: a 32-byte header, then size (u32 LE), time (u64) and data of each frame.
fn ivf_stream(file: &Bytes) -> Bytes {
    let (mut stream, mut at) = (Vec::new(), 32);
    while at + 12 < file.len() {
        let size = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        stream.extend_from_slice(&file[at + 12..at + 12 + size]);
        at += 12 + size;
    }
    stream.into()
}

fn av1(setting: &str, caps: &str, buffers: &[Buffer]) -> Parsed {
    let mut harness = Harness::new(&av1parse::factory(), setting);
    harness.push_start("sink", caps).unwrap();
    buffers.iter().for_each(|buffer| harness.push_buffer("sink", buffer.clone()).unwrap());
    harness.eos().unwrap();
    taken(&mut harness)
}

#[test]
fn av1_temporal_units_and_their_delimiters() {
    let Some(file) = media_bytes("es/ex_webrtc__av1_correct.ivf") else { return };
    let stream = ivf_stream(&file);
    let (caps, units) = parse_file(&av1parse::factory(), &stream, "ANY", 100);
    assert_eq!((units.len(), caps.len(), caps[0].size()), (29, 1, Some((176, 144))));
    assert!(units[0].is_keyframe() && !units[1].is_keyframe());
    assert_eq!(bytes(&units).concat(), stream);
    let tu = "video/x-av1, stream-format=obu-stream, alignment=tu";
    let (_, bare) = av1("temporal-delimiters=remove", tu, &units);
    assert!(bytes(&bare).iter().zip(bytes(&units)).all(|(bare, unit)| *bare == unit[2..]));
    let (_, back) = av1("temporal-delimiters=add", tu, &bare);
    assert_eq!(bytes(&back), bytes(&units));
    assert_eq!(bytes(&av1("temporal-delimiters=add", tu, &units).1), bytes(&units), "one is enough");
    let offsets: Vec<_> = units.iter().map(|unit| unit.offset.unwrap() as usize).collect();
    assert_eq!(offsets[1], units[0].payload.len());
}

#[test]
fn av1_of_flv_keeps_its_configuration_and_times() {
    let Some(file) = media_bytes("gen/eav1_opus.flv") else { return };
    let (config, frames) = flv_buffers(&file);
    let caps = with_codec_data("video/x-av1, stream-format=obu-stream, alignment=tu", &config);
    let (caps, units) = av1("", &caps, &frames);
    assert_eq!((units.len(), caps.len(), caps[0].codec_data()), (75, 2, Some(&config)));
    // SVT-AV1's global header has other coding tools than its stream, so the stream's header replaces it.
    let sequence = frames[0].payload.contiguous().slice(..13);
    assert_eq!(caps[1].codec_data().unwrap()[..], [&config[..4], &sequence].concat());
    assert!(units.iter().zip(&frames).all(|(unit, frame)| unit.pts == frame.pts));
    let key = |buffer: &&Buffer| buffer.is_keyframe();
    assert!(units[0].is_keyframe() && units.iter().filter(key).count() < units.len());
    // Without configuration the caps come from the stream.
    let (found, _) = av1("", "video/x-av1, alignment=tu", &frames);
    assert_eq!(found[0].size(), caps[0].size());
    assert_eq!(found[0].codec_data().unwrap()[..4], config[..4]);
}

#[test]
fn av1_damage_costs_the_damaged_units() {
    let Some(file) = media_bytes("es/ex_webrtc__av1_correct.ivf") else { return };
    let (_, units) = parse_file(&av1parse::factory(), &ivf_stream(&file), "ANY", 100);
    let mut harness = Harness::new(&av1parse::factory(), "");
    harness.push_start("sink", "video/x-av1, alignment=tu").unwrap();
    harness.push_buffer("sink", units[1].clone()).unwrap();
    assert_eq!((taken(&mut harness).1.len(), harness.drops.len()), (0, 1), "before the sequence header");
    let cut = Buffer::new(units[1].payload.contiguous().slice(..units[1].payload.len() - 1));
    for unit in [units[0].clone(), cut, units[2].clone()] {
        harness.push_buffer("sink", unit).unwrap();
    }
    let discont: Vec<_> = taken(&mut harness).1.iter().map(|b| b.flags.contains(BufferFlags::DISCONT)).collect();
    assert_eq!((discont, harness.drops.len()), (vec![true, true], 2));
}
