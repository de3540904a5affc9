//! The last step of a build: `cargo run` builds the library and writes its manifest beside it.

fn main() -> std::io::Result<()> {
    millstream_gstreamer::write_manifest().map(drop)
}
