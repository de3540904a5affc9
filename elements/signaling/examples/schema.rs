//! Writes the JSON Schema of the signaling protocol: `cargo run -p millstream-signaling --example schema > docs/spec/signaling.schema.json`.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

fn main() {
    println!("{:#}", millstream_signaling::message::schema());
}
