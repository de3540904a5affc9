//! The schema in the specification is that of the types.

#[test]
fn the_schema_of_the_specification_is_that_of_the_types() {
    let written: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/spec/signaling.schema.json")).unwrap();
    let hint = "cargo run -p millstream-signaling --example schema > docs/spec/signaling.schema.json";
    assert!(written == millstream_signaling::message::schema(), "written before a message changed: {hint}");
}
