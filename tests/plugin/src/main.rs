//! Writes the manifest beside the library.

fn main() -> std::io::Result<()> {
    millstream_test_plugin::write_manifest().map(drop)
}
