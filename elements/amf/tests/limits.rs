//! Hostile input: deep, huge, cut and random.

use std::thread;

use millstream_amf::{AmfErrorKind, MAX_DEPTH, Value, amf0, amf3};
use proptest::prelude::*;

/// Runs on a small stack, as a worker thread has it.
fn on_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread").join().expect("no panic")
}

fn nested(levels: usize, open: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut wire = open.repeat(levels);
    wire.extend(inner);
    wire
}

#[test]
fn rtmp_m10_depth_is_limited_in_amf0() {
    for open in [&b"\x0a\0\0\0\x01"[..], b"\x03\0\x01a", b"\x08\0\0\0\0\0\x01a", b"\x10\0\x01c\0\x01a"] {
        // The innermost value is a level of its own.
        let at_limit = nested(MAX_DEPTH - 1, open, &[5]);
        assert!(on_small_stack(move || amf0::read_all(&at_limit)).is_ok());
        for levels in [MAX_DEPTH, 1_000_000] {
            let deep = nested(levels, open, &[5]);
            let error = on_small_stack(move || amf0::read_all(&deep)).unwrap_err();
            assert_eq!((error.kind, error.offset), (AmfErrorKind::TooDeep, MAX_DEPTH * open.len()));
        }
    }
}

#[test]
fn rtmp_m10_depth_is_limited_in_amf3() {
    // Array of one item, dynamic object with one name, dictionary by key, vector of objects.
    for open in [&b"\x09\x03\x01"[..], b"\x0a\x0b\x01\x03a", b"\x11\x03\0", b"\x10\x03\0\x01"] {
        let at_limit = nested(MAX_DEPTH - 1, open, &[1]);
        let read = on_small_stack(move || amf3::Reader::new(&at_limit).read());
        // Only arrays and vectors are complete without a tail.
        assert!(!matches!(read, Err(ref error) if error.kind == AmfErrorKind::TooDeep), "{read:?}");
        for levels in [MAX_DEPTH, 1_000_000] {
            let deep = nested(levels, open, &[1]);
            let error = on_small_stack(move || amf3::Reader::new(&deep).read()).unwrap_err();
            assert_eq!(error.kind, AmfErrorKind::TooDeep);
        }
    }
    let mixed = nested(40, b"\x0a\0\0\0\x01", &nested(40, b"\x11\x09\x03\x01", &[1])[..]);
    assert!(amf0::read_all(&mixed).is_err());
    let both = nested(40, b"\x0a\0\0\0\x01", &[&b"\x11"[..], &nested(40, b"\x09\x03\x01", &[1])].concat());
    assert_eq!(amf0::read_all(&both).unwrap_err().kind, AmfErrorKind::TooDeep);
}

#[test]
fn rtmp_m10_declared_counts_are_not_believed() {
    let huge: [&[u8]; 4] = [
        b"\x0a\xff\xff\xff\xff\x05",
        b"\x0c\xff\xff\xff\xffabc",
        b"\x11\x0d\xff\xff\xff\xff\0",
        b"\x11\x0c\xff\xff\xff\xff",
    ];
    for wire in huge {
        assert!(matches!(amf0::read_all(wire).unwrap_err().kind, AmfErrorKind::Truncated { .. }));
    }
    let many = [&b"\x0a\x7f\xff\xff\xff"[..], &vec![5; 1 << 20]].concat();
    assert_eq!(amf0::read_all(&many).unwrap_err().kind, AmfErrorKind::TooManyValues);
}

#[test]
fn rtmp_m10_references_do_not_amplify() {
    // One string of 1 MiB, then references to it, two bytes each.
    let text = vec![b'x'; (1 << 20) - 1];
    let mut wire = vec![0x09, 0x81, 0x81, 0x01, 0x01, 0x06];
    let len = (text.len() as u32) << 1 | 1;
    wire.extend([0x80 | (len >> 14) as u8, 0x80 | (len >> 7) as u8 & 0x7F, len as u8 & 0x7F]);
    wire.extend(&text);
    wire.extend(b"\x06\x00".repeat(8000));
    assert_eq!(amf3::Reader::new(&wire).read().unwrap_err().kind, AmfErrorKind::Expansion);
}

#[test]
fn rtmp_m10_limits_hold_across_switches_to_amf3() {
    // Each switch yields an array of 1000 nulls in 1005 bytes; together they are too many.
    let array = [&[0x11, 0x09, 0x8F, 0x51, 0x01][..], &[0x01; 1000]].concat();
    let wire = [&[0x0A, 0, 0, 0, 255, 0x0A, 0, 0, 0, 255][..], &array.repeat(255)].concat();
    assert!(amf0::read_all(&wire[5..]).is_ok());
    let twice = [&wire[5..], &wire[5..]].concat();
    assert_eq!(amf0::read_all(&twice).unwrap_err().kind, AmfErrorKind::TooManyValues);
}

#[test]
fn rtmp_m10_unknown_markers_and_externalizable_are_refused_by_name() {
    for marker in [0x04, 0x0E, 0x12, 0xFF] {
        assert_eq!(amf0::read_all(&[5, marker]).unwrap_err().kind, AmfErrorKind::Marker0(marker));
    }
    assert_eq!(amf0::read_all(&[5, 0x12]).unwrap_err().offset, 1);
    let flex = b"\x0a\x07\x43flex.messaging.io.ArrayCollection\x09\x01\x01";
    let error = amf3::Reader::new(flex).read().unwrap_err();
    assert_eq!(error.kind, AmfErrorKind::Externalizable("flex.messaging.io.ArrayCollection".into()));
    for wire in [&[7, 0, 0][..], &[0x11, 0x09, 0x00], &[0x11, 0x06, 0x02], &[0x11, 0x0A, 0x01]] {
        assert!(matches!(amf0::read_all(wire).unwrap_err().kind, AmfErrorKind::Reference { .. }), "{wire:?}");
    }
}

#[test]
fn rtmp_m10_ecma_count_and_missing_end_are_tolerated() {
    for count in [0, 1, 99] {
        let wire = [&[8, 0, 0, 0, count][..], b"\0\x01a\x05\0\x01b\x06", &[0, 0, 9], &[5]].concat();
        let values = amf0::read_all(&wire).unwrap();
        assert_eq!(values[0].get("b"), Some(&Value::Undefined));
        assert_eq!(values[1], Value::Null);
    }
    for end in [&[][..], &[0], &[0, 0]] {
        let wire = [&b"\x03\0\x01a\x05"[..], end].concat();
        let mut reader = amf0::Reader::new(&wire);
        assert_eq!(reader.read().unwrap().get("a"), Some(&Value::Null));
        assert!(reader.missing_end() && reader.is_empty());
    }
}

#[test]
fn rtmp_m9_amf3_switch_lasts_one_value_and_selector_is_skipped() {
    // "connect" as AMF0, integer 5 as AMF3, null as AMF0.
    let wire = b"\x00\x02\0\x07connect\x11\x04\x05\x05";
    let mut reader = amf0::Reader::for_amf3_message(wire);
    let values: Vec<_> = std::iter::from_fn(|| (!reader.is_empty()).then(|| reader.read().unwrap())).collect();
    assert_eq!(values, [Value::from("connect"), Value::Integer(5), Value::Null]);
    // Each switch begins with empty tables: the reference in the second value has nothing to refer to.
    assert!(amf0::read_all(b"\x11\x06\x03a\x11\x06\x00").is_err());
}

#[test]
fn rtmp_m10_too_deep_values_are_written_as_null() {
    let mut value = Value::Boolean(true);
    for _ in 0..MAX_DEPTH + 10 {
        value = Value::StrictArray(vec![value]);
    }
    let mut wire = Vec::new();
    amf0::write(&value, &mut wire);
    assert!(amf0::read_all(&wire).is_ok());
    wire.clear();
    amf3::Writer::new().write(&value, &mut wire);
    assert!(amf3::Reader::new(&wire).read().is_ok());
}

proptest! {
    #[test]
    fn rtmp_m10_readers_never_panic(bytes in prop::collection::vec(0u8..=0x20, 0..200), wild: Vec<u8>) {
        for bytes in [&bytes, &wild] {
            let _ = amf0::read_all(bytes);
            let mut reader = amf3::Reader::new(bytes);
            while !reader.is_empty() && reader.read().is_ok() {}
        }
    }
}
