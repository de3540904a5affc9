//! Data in AMF3 as AMF0, which every player reads: in files and in other programs `onMetaData` is AMF0 throughout.

use bytes::Bytes;
use millstream_amf::{EcmaArray, Object, Properties, Value, Vector, amf0};

/// The marker that switches to AMF3 for one value (AMF 0, 3.1).
const AVMPLUS: u8 = 0x11;

/// The same values without AMF3. The very bytes when there is none in it, or when it cannot be said in AMF0.
pub(super) fn in_amf0(body: Bytes) -> Bytes {
    if !body.contains(&AVMPLUS) {
        return body;
    }
    rewritten(&body).map_or(body, Bytes::from)
}

fn rewritten(body: &[u8]) -> Option<Vec<u8>> {
    let mut reader = amf0::Reader::new(body);
    let (mut out, mut switched) = (Vec::with_capacity(body.len()), false);
    while !reader.is_empty() {
        let begin = reader.position();
        let value = reader.read().ok()?;
        if body.get(begin) == Some(&AVMPLUS) {
            switched = true;
            amf0::write(&plain(value)?, &mut out);
        } else {
            out.extend_from_slice(body.get(begin..reader.position())?);
        }
    }
    switched.then_some(out)
}

/// A value of AMF3 as its nearest kin. Nothing when it refers to others, which are counted in other ways there.
fn plain(value: Value) -> Option<Value> {
    let named = |properties: Properties| -> Option<Properties> {
        properties.into_iter().map(|(name, value)| Some((name, plain(value)?))).collect()
    };
    let placed = |items: Vec<Value>| items.into_iter().map(plain).collect::<Option<Vec<_>>>();
    let numbers = |items: Vec<f64>| Value::StrictArray(items.into_iter().map(Value::Number).collect());
    Some(match value {
        Value::Reference(_) => return None,
        Value::Integer(number) => Value::Number(number.into()),
        Value::Object(object) => {
            let Object { class_name, properties, .. } = *object;
            let properties = named(properties)?;
            Value::Object(Box::new(Object { class_name, sealed: 0, dynamic: true, properties }))
        }
        Value::Array(array) if array.associative.is_empty() => Value::StrictArray(placed(array.dense)?),
        Value::Array(array) => {
            let length = u32::try_from(array.dense.len()).ok()?;
            let dense = array.dense.into_iter().enumerate().map(|(at, value)| (at.to_string(), value));
            let properties = named(dense.chain(array.associative).collect())?;
            Value::EcmaArray(EcmaArray { length, properties })
        }
        Value::EcmaArray(array) => {
            Value::EcmaArray(EcmaArray { length: array.length, properties: named(array.properties)? })
        }
        Value::StrictArray(items) => Value::StrictArray(placed(items)?),
        Value::Vector(vector) => numbers(match *vector {
            Vector::Int { items, .. } => items.into_iter().map(f64::from).collect(),
            Vector::Uint { items, .. } => items.into_iter().map(f64::from).collect(),
            Vector::Double { items, .. } => items,
        }),
        Value::ObjectVector(vector) => Value::StrictArray(placed(vector.items)?),
        Value::ByteArray(_) | Value::Dictionary(_) => Value::Unsupported,
        value => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m9_values_of_amf3_become_their_kin_in_amf0() {
        // "x"; AMF3: an array of 1, -2 and the name a: true; then AMF0's null. By hand from AMF 3, 3.11.
        let wire = b"\x02\0\x01x\x11\x09\x05\x03a\x03\x01\x04\x01\x04\xff\xff\xff\xfe\x05";
        let expected = b"\x02\0\x01x\x08\0\0\0\x02\0\x010\0\x3f\xf0\0\0\0\0\0\0\0\x011\0\xc0\0\0\0\0\0\0\0\0\x01a\x01\x01\0\0\x09\x05";
        assert_eq!(in_amf0(Bytes::from_static(wire)), &expected[..]);
        // Without names, it is a strict array.
        let wire = b"\x11\x09\x03\x01\x06\x05hi";
        assert_eq!(in_amf0(Bytes::from_static(wire)), &b"\x0a\0\0\0\x01\x02\0\x02hi"[..]);
        // Bytes are nothing that AMF0 has.
        assert_eq!(in_amf0(Bytes::from_static(b"\x11\x0c\x05ab")), &b"\x0d"[..]);
    }

    #[test]
    fn rtmp_m9_what_is_amf0_or_damaged_or_refers_to_itself_stays_as_it_is() {
        // 0x11 inside of a text; a switch with nothing behind it; an array that contains itself.
        for wire in [&b"\x02\0\x01\x11"[..], b"\x02\0\x01x\x11", b"\x11\x09\x03\x01\x09\x00", b"\x05"] {
            let wire = Bytes::from_static(wire);
            assert_eq!(in_amf0(wire.clone()).as_ptr(), wire.as_ptr(), "{wire:?}");
        }
    }
}
