//! AMF.

use millstream_amf::{amf0, amf3};

/// Values until the end or the first error; each takes at least its marker, so there are never more than bytes.
pub fn amf0(data: &[u8]) {
    let mut reader = amf0::Reader::new(data);
    let mut position = 0;
    while !reader.is_empty() && reader.read().is_ok() {
        assert!(reader.position() > position, "a value without a byte");
        position = reader.position();
    }
    assert!(reader.position() <= data.len());
}

/// What was read, written and read again, is written the same. (Written forms are compared as NaN equals nothing.)
pub fn amf0_round_trip(data: &[u8]) {
    let Ok(values) = amf0::read_all(data) else { return };
    let write = |values: &[millstream_amf::Value]| {
        let mut wire = Vec::new();
        values.iter().for_each(|value| amf0::write(value, &mut wire));
        wire
    };
    let once = write(&values);
    let again = amf0::read_all(&once).expect("our own writing is readable");
    assert_eq!(write(&again), once);
}

/// Values until the end or the first error.
pub fn amf3(data: &[u8]) {
    let mut reader = amf3::Reader::new(data);
    let mut position = 0;
    while !reader.is_empty() && reader.read().is_ok() {
        assert!(reader.position() > position, "a value without a byte");
        position = reader.position();
    }
}
