//! Recordings as files: what was pushed is there, on one timeline, and the beginning says what the rest holds.

use bytes::Bytes;
use millstream_flv::wire::{FlvReader, MetaData, Tag, TagKind, parse_script};
use millstream_rtmp::recording::Tape;

const CONFIG: &[u8] = b"\x17\x00\0\0\0\x01\x64\0\x1f";
const KEY: &[u8] = b"\x17\x01\0\0\0key";
const INTER: &[u8] = b"\x27\x01\0\0\0inter";
const SOUND: &[u8] = b"\x2fsound";

fn push(tape: &mut Tape, kind: TagKind, timestamp: u32, body: &'static [u8]) {
    tape.push(kind, timestamp, &Bytes::from_static(body));
}

/// Two seconds that begin at some timestamp, behind headers that are older.
fn part(tape: &mut Tape, base: u32) {
    push(tape, TagKind::Video, 0, CONFIG);
    for step in 0..8 {
        let timestamp = base.wrapping_add(step * 250);
        match step % 4 {
            0 => push(tape, TagKind::Video, timestamp, KEY),
            2 => push(tape, TagKind::Video, timestamp, INTER),
            _ => push(tape, TagKind::Audio, timestamp, SOUND),
        }
    }
}

fn file(tape: &mut Tape) -> Vec<u8> {
    let mut file = tape.take().concat();
    for (offset, bytes) in tape.finish() {
        file[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    file
}

fn read(file: &[u8]) -> (FlvReader, Vec<Tag>, MetaData) {
    let mut reader = FlvReader::new();
    reader.push(Bytes::copy_from_slice(file));
    reader.finish();
    let mut tags: Vec<Tag> = std::iter::from_fn(|| reader.next().expect("FLV")).collect();
    assert_eq!((reader.stats().drops, reader.stats().wrong_previous_tag_size), (0, 0));
    let script = parse_script(tags[0].kind, &tags.remove(0).body).expect("metadata comes first");
    (reader, tags, MetaData::from_script(&script).expect("metadata"))
}

fn times(tags: &[Tag]) -> Vec<u32> {
    tags.iter().map(|tag| tag.timestamp).collect()
}

#[test]
fn rtmp_m7_a_recording_begins_with_0_and_says_what_it_holds() {
    for base in [0, 90_000, u32::MAX - 600] {
        let mut tape = Tape::default();
        assert!(tape.is_empty());
        let told = b"\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x05width\0\x40\x94\0\0\0\0\0\0\0\0\x09";
        push(&mut tape, TagKind::Script, 0, told);
        assert!(tape.is_empty(), "nothing to play");
        part(&mut tape, base);
        let file = file(&mut tape);
        let (reader, tags, metadata) = read(&file);
        let header = reader.header().expect("a header");
        assert!(header.has_audio && header.has_video);
        assert_eq!(times(&tags), [0, 0, 250, 500, 750, 1000, 1250, 1500, 1750], "{base}");
        assert_eq!((metadata.width, metadata.duration), (Some(1280.0), Some(1.75)));
        assert_eq!(metadata.file_size, Some(file.len() as f64));
        let index = metadata.keyframes.expect("an index");
        let keys = tags.iter().filter(|tag| tag.body == KEY);
        let expected: (Vec<f64>, Vec<f64>) =
            keys.map(|tag| (f64::from(tag.timestamp) / 1000.0, tag.offset as f64)).unzip();
        assert_eq!((index.times, index.positions), expected);
    }
}

#[test]
fn rtmp_m7_what_is_appended_goes_on_behind_what_is_there() {
    let mut first = Tape::default();
    part(&mut first, 5000);
    let first = file(&mut first);
    // As a recorder does: what is there, and then the next part.
    let mut tape = Tape::default();
    let mut reader = FlvReader::new();
    reader.push(first.into());
    reader.finish();
    while let Some(tag) = reader.next().expect("FLV") {
        tape.push(tag.kind, tag.timestamp, &tag.body);
    }
    tape.next_part();
    part(&mut tape, 70_000);
    let (_, tags, metadata) = read(&file(&mut tape));
    let times = times(&tags);
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times[8..], [1750, 1770, 1770, 2020, 2270, 2520, 2770, 3020, 3270, 3520]);
    assert_eq!(metadata.duration, Some(3.52));
    assert_eq!(metadata.keyframes.expect("an index").times, [0.0, 1.0, 1.77, 2.77]);
}

#[test]
fn rtmp_m7_sound_alone_is_announced_as_such_and_cleared_metadata_is_no_tag() {
    let mut tape = Tape::default();
    push(&mut tape, TagKind::Audio, 40, SOUND);
    push(&mut tape, TagKind::Script, 40, b"\x02\0\x0aonMetaData\x06");
    push(&mut tape, TagKind::Script, 50, b"\x02\0\x0aonTextData\x02\0\x02hi");
    let (reader, tags, _) = read(&file(&mut tape));
    let header = reader.header().expect("a header");
    assert_eq!((header.has_audio, header.has_video), (true, false));
    assert_eq!(times(&tags), [0, 10]);
}
