//! What is written is read back the same.

use bytes::Bytes;
use millstream_amf::{Array, Date, Dictionary, EcmaArray, Object, ObjectVector, Value, Vector, amf0, amf3};
use proptest::prelude::*;

fn scalar() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("NaN is not equal to itself", |value| !value.is_nan());
    prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        number.prop_map(Value::Number),
        ".{0,20}".prop_map(Value::String),
    ]
}

fn properties(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(String, Value)>> {
    prop::collection::vec(("[a-c]{1,2}", value), 0..4)
}

fn amf0_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        scalar(),
        Just(Value::Unsupported),
        (-1e15..1e15, any::<i16>()).prop_map(|(ms, zone)| Value::Date(Date { ms, zone })),
        ".*".prop_map(Value::XmlDocument),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            ("[A-Z]{0,3}", properties(inner.clone())).prop_map(|(class_name, properties)| {
                Value::Object(Box::new(Object { class_name, sealed: 0, dynamic: true, properties }))
            }),
            (any::<u32>(), properties(inner.clone()))
                .prop_map(|(length, properties)| Value::EcmaArray(EcmaArray { length, properties })),
            prop::collection::vec(inner, 0..4).prop_map(Value::StrictArray),
        ]
    })
}

fn vector() -> impl Strategy<Value = Vector> {
    prop_oneof![
        (any::<bool>(), any::<Vec<i32>>()).prop_map(|(fixed, items)| Vector::Int { fixed, items }),
        (any::<bool>(), any::<Vec<u32>>()).prop_map(|(fixed, items)| Vector::Uint { fixed, items }),
        (any::<bool>(), prop::collection::vec(-1e300..1e300, 0..9))
            .prop_map(|(fixed, items)| Vector::Double { fixed, items }),
    ]
}

fn amf3_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        scalar(),
        (-(1 << 28)..(1 << 28)).prop_map(Value::Integer),
        (-1e15..1e15).prop_map(|ms| Value::Date(Date { ms, zone: 0 })),
        ".*".prop_map(Value::Xml),
        ".*".prop_map(Value::XmlDocument),
        any::<Vec<u8>>().prop_map(|bytes| Value::ByteArray(Bytes::from(bytes))),
        vector().prop_map(|vector| Value::Vector(Box::new(vector))),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            ("[A-Z]{0,2}", properties(inner.clone()), any::<bool>(), 0usize..4).prop_map(
                |(class_name, properties, dynamic, sealed)| {
                    let sealed = if dynamic { sealed.min(properties.len()) } else { properties.len() };
                    Value::Object(Box::new(Object { class_name, sealed, dynamic, properties }))
                }
            ),
            (items.clone(), properties(inner.clone()))
                .prop_map(|(dense, associative)| Value::Array(Box::new(Array { dense, associative }))),
            (any::<bool>(), "[A-Z]{0,2}", items).prop_map(|(fixed, class_name, items)| Value::ObjectVector(Box::new(
                ObjectVector { fixed, class_name, items }
            ))),
            (any::<bool>(), prop::collection::vec((inner.clone(), inner), 0..3))
                .prop_map(|(weak_keys, entries)| Value::Dictionary(Box::new(Dictionary { weak_keys, entries }))),
        ]
    })
}

#[test]
fn rtmp_m10_long_strings_begin_at_64_kib() {
    for (len, marker) in [(65_534, 0x02), (65_535, 0x02), (65_536, 0x0C)] {
        let value = Value::String("x".repeat(len));
        let mut wire = Vec::new();
        amf0::write(&value, &mut wire);
        assert_eq!(wire[0], marker);
        assert_eq!(amf0::read_all(&wire), Ok(vec![value]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn rtmp_m10_amf0_round_trip(values in prop::collection::vec(amf0_value(), 0..4)) {
        let mut wire = Vec::new();
        values.iter().for_each(|value| amf0::write(value, &mut wire));
        prop_assert_eq!(&amf0::read_all(&wire).unwrap(), &values);
        // Every cut is an error or fewer values, never more.
        for cut in (0..wire.len()).step_by(7) {
            if let Ok(some) = amf0::read_all(&wire[..cut]) {
                prop_assert!(some.len() <= values.len());
            }
        }
    }

    #[test]
    fn rtmp_m9_amf3_round_trip(values in prop::collection::vec(amf3_value(), 0..4)) {
        let mut wire = Vec::new();
        let mut writer = amf3::Writer::new();
        values.iter().for_each(|value| writer.write(value, &mut wire));
        let mut reader = amf3::Reader::new(&wire);
        for value in &values {
            prop_assert_eq!(&reader.read().unwrap(), value);
        }
        prop_assert!(reader.is_empty());
    }

    /// Values that only AMF3 has travel inside AMF0 behind the switch.
    #[test]
    fn rtmp_m9_amf3_inside_amf0(inner in amf3_value()) {
        let value = Value::Array(Box::new(Array { dense: vec![inner], associative: Vec::new() }));
        let mut wire = Vec::new();
        amf0::write(&Value::object([("x", value.clone())]), &mut wire);
        prop_assert_eq!(wire[4], 0x11);
        let values = amf0::read_all(&wire).unwrap();
        prop_assert_eq!(values[0].get("x"), Some(&value));
    }
}

/// Found by fuzzing: references of AMF3 that became references of AMF0 meant other objects, or none.
#[test]
fn rtmp_m10_references_of_both_formats_do_not_mix() {
    use millstream_amf::AmfErrorKind::MixedReference;
    let kind = |wire: &[u8]| amf0::read_all(wire).map_err(|error| error.kind);
    // An AMF3 object {a: date, b: the same date}: an AMF0 object has no such reference.
    let object = b"\x11\x0a\x0b\x01\x03a\x08\x01\0\0\0\0\0\0\0\0\x03b\x08\x02\x01";
    assert_eq!(kind(object), Err(MixedReference(1)));
    // An AMF3 object, an AMF0 object, and an AMF0 reference to the first AMF0 object.
    let behind = b"\x11\x0a\x0b\x01\x01\x03\0\0\x09\x07\0\0";
    assert_eq!(kind(behind), Err(MixedReference(0)));
    // An AMF3 array is written as AMF3 again, and keeps its references.
    let array = b"\x11\x09\x05\x01\x08\x01\0\0\0\0\0\0\0\0\x08\x02";
    let values = amf0::read_all(array).unwrap();
    let mut wire = Vec::new();
    values.iter().for_each(|value| amf0::write(value, &mut wire));
    assert_eq!(amf0::read_all(&wire).unwrap(), values);
    assert!(matches!(&values[0], Value::Array(array) if array.dense[1] == Value::Reference(1)));
}
