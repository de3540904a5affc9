//! Bodies of Flash shared objects against the JSON that another project expects of them.
#![allow(clippy::disallowed_methods, reason = "a test reads its media itself")]

use std::path::{Path, PathBuf};

use millstream_amf::{Object, Value, Vector, amf0, amf3};
use serde_json::{Value as Json, json};

fn folder() -> Option<PathBuf> {
    let found = std::env::var_os("MILLSTREAM_MEDIA").map(PathBuf::from).or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/media")).find(|d| d.is_dir())
    });
    if found.is_none() {
        eprintln!("no media folder: this test runs on no file");
    }
    found.map(|root| root.join("amf"))
}

/// The body of a shared object and its AMF version: `00 BF`, length, `TCSO`, six bytes, name, three zero bytes, version.
fn body(file: &[u8]) -> (u8, &[u8]) {
    assert_eq!(&file[6..10], b"TCSO");
    let name = usize::from(u16::from_be_bytes([file[16], file[17]]));
    (file[18 + name + 3], &file[18 + name + 4..])
}

/// Name, value and a zero byte, over and over. References count over the whole body.
fn read_body(version: u8, body: &[u8]) -> Vec<(String, Value)> {
    let mut entries = Vec::new();
    let (mut amf0, mut amf3) = (amf0::Reader::new(body), amf3::Reader::new(body));
    while !amf0.is_empty() && !amf3.is_empty() {
        if version == 0 {
            entries.push((amf0.read_name().expect("name"), amf0.read().expect("value")));
            // AMF0 has one kind of XML; the JSON says "the new kind" there.
            if let Some((_, value @ Value::XmlDocument(_))) = entries.last_mut() {
                let Value::XmlDocument(text) = std::mem::take(value) else { unreachable!("just matched") };
                *value = Value::Xml(text);
            }
            amf0.skip(1);
        } else {
            entries.push((amf3.read_name().expect("name"), amf3.read().expect("value")));
            // The zero byte reads as "undefined".
            assert_eq!(amf3.read(), Ok(Value::Undefined));
        }
    }
    assert!(!amf0.missing_end());
    entries
}

fn elements(properties: &[(String, Value)]) -> Json {
    properties.iter().map(|(name, value)| json!({"name": name, "value": to_json(value)})).collect()
}

fn object(object: &Object) -> Json {
    let members: Vec<_> = object.properties[..object.sealed].iter().map(|(name, _)| name).collect();
    json!({"elements": elements(&object.properties), "class_name": object.class_name, "members": members})
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Undefined => json!("Undefined"),
        Value::Null => json!("Null"),
        Value::Boolean(value) => json!({"Bool": value}),
        Value::Integer(value) => json!({"Integer": value}),
        Value::Number(value) => json!({"Number": value}),
        Value::String(value) => json!({"String": value}),
        Value::Object(value) => json!({"Object": object(value)}),
        Value::EcmaArray(array) => json!({"ECMAArray": [[], elements(&array.properties), array.length]}),
        Value::Array(array) => {
            let dense: Vec<_> = array.dense.iter().map(to_json).collect();
            if array.associative.is_empty() {
                json!({"StrictArray": dense})
            } else {
                json!({"ECMAArray": [dense, elements(&array.associative), dense.len()]})
            }
        }
        Value::Date(date) => json!({"Date": date.ms}),
        Value::Xml(text) => json!({"XML": [text, true]}),
        Value::XmlDocument(text) => json!({"XML": [text, false]}),
        Value::ByteArray(bytes) => json!({"ByteArray": bytes.to_vec()}),
        Value::Vector(vector) => match &**vector {
            Vector::Int { fixed, items } => json!({"VectorInt": [items, fixed]}),
            Vector::Uint { fixed, items } => json!({"VectorUInt": [items, fixed]}),
            Vector::Double { fixed, items } => json!({"VectorDouble": [items, fixed]}),
        },
        Value::ObjectVector(vector) => {
            let items: Vec<_> = vector.items.iter().map(to_json).collect();
            json!({"VectorObject": [items, vector.class_name, vector.fixed]})
        }
        Value::Dictionary(dictionary) => {
            let entries: Vec<_> =
                dictionary.entries.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect();
            json!({"Dictionary": [entries, dictionary.weak_keys]})
        }
        other => panic!("no file holds {other:?}"),
    }
}

/// The expected JSON without what we do not keep: object ids, and class attributes that follow from the members.
fn simplify(json: &Json) -> Json {
    match json {
        Json::Array(items) => items.iter().map(simplify).collect(),
        Json::Object(map) if map.contains_key("Object") => {
            let data = &map["Object"]["data"];
            let class = &data["class_definition"];
            json!({"Object": {
                "elements": simplify(&data["elements"]),
                "class_name": class["name"].as_str().unwrap_or_default(),
                "members": class["static_properties"].as_array().cloned().unwrap_or_default(),
            }})
        }
        Json::Object(map) => {
            let mut out = serde_json::Map::new();
            for (key, value) in map {
                // The first item of these is an object id.
                let with_id = ["ECMAArray", "StrictArray", "Dictionary", "VectorObject"];
                let value = match (key.as_str(), value) {
                    (key, Json::Array(items)) if with_id.contains(&key) => match items.as_slice() {
                        [_, only] => simplify(only),
                        [_, rest @ ..] => rest.iter().map(simplify).collect(),
                        [] => Json::Null,
                    },
                    ("Date", Json::Array(items)) => items[0].clone(),
                    (_, value) => simplify(value),
                };
                out.insert(key.clone(), value);
            }
            Json::Object(out)
        }
        other => other.clone(),
    }
}

#[test]
fn rtmp_m10_shared_objects_read_as_expected() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sol") {
            continue;
        }
        let file = std::fs::read(&path).unwrap();
        let (version, body) = body(&file);
        let entries = read_body(version, body);
        let Ok(expected) = std::fs::read_to_string(path.with_extension("json")) else { continue };
        let expected: Json = serde_json::from_str(&expected).unwrap();
        // Through text, so that both sides have been through the same parser of numbers.
        let read: Json = serde_json::from_str(&elements(&entries).to_string()).unwrap();
        assert_eq!(read, simplify(&expected["body"]), "{}", path.display());
        compared += 1;
    }
    assert_eq!(compared, 32);
}

/// Our writers give back the very bytes of Flash Player.
#[test]
fn rtmp_m10_shared_objects_are_written_byte_for_byte() {
    let Some(folder) = folder() else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sol") {
            continue;
        }
        let file = std::fs::read(&path).unwrap();
        let (version, body) = body(&file);
        let mut out = Vec::new();
        let mut writer = amf3::Writer::new();
        for (name, value) in read_body(version, body) {
            if version == 0 {
                out.extend((name.len() as u16).to_be_bytes());
                out.extend(name.as_bytes());
                amf0::write(&value, &mut out);
            } else {
                writer.write_name(&name, &mut out);
                writer.write(&value, &mut out);
            }
            out.push(0);
        }
        assert_eq!(out, body, "{}", path.display());
    }
}
