//! A plugin that was built against ABI 1.0 loads and runs in this host, whatever has been added since.

use millstream_core::MessageKind;
use millstream_generic::AppSinkHandle;
use millstream_graph::load_launch;
use millstream_runtime::Runtime;
use millstream_tests::plugins::{self, compile, run_with, write_manifest};
use millstream_tests::root;
use sha2::{Digest, Sha256};

/// What stands in `plugins/abi-1.0`, as it was when ABI 1.0 was released.
const FROZEN: [(&str, &str); 2] = [
    ("millstream_plugin.h", "d7f958995cedecb885a4b41b2c4d2c013f3b1ad8d0f068d9f3c4128a9c495586"),
    ("plugin.c", "a96f2d50a853cacb072797c35c1f846b33f9ddf1c9c242522247a8d42971f4cf"),
];

fn folder() -> std::path::PathBuf {
    root().join("tests/suite/plugins/abi-1.0")
}

#[test]
fn the_header_of_abi_1_0_is_never_changed() {
    for (file, sum) in FROZEN {
        let bytes = std::fs::read(folder().join(file)).expect("it is there");
        let own: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(own, sum, "{file} is a copy of what was released; what is added goes into the header of the crate");
    }
}

#[test]
fn a_plugin_built_against_abi_1_0_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let library = compile(&folder().join("plugin.c"), "old", &folder(), dir.path(), &[]);
    write_manifest(&library);
    let registry = plugins::registry(dir.path());
    for copy in ["false", "true"] {
        let line = format!("oldsrc ! tee name=t t. ! oldinvert name=it copy={copy} ! appsink name=out t. ! fakesink");
        let loaded = load_launch(&line, &registry).unwrap_or_else(|e| panic!("{e}"));
        let runtime = Runtime::new().expect("threads");
        let mut pipeline = runtime.start(&loaded.graph).unwrap_or_else(|e| panic!("{e}"));
        let mut bus = pipeline.bus().expect("the first to ask");
        let out: AppSinkHandle = pipeline.handle("out").expect("an appsink");
        let mut got = Vec::new();
        while let Some(buffer) = out.blocking_next_buffer() {
            let byte = buffer.payload.contiguous()[0];
            got.push((byte, buffer.pts.map(|pts| pts.millis())));
        }
        runtime.block_on(pipeline.wait()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(got, (0..10_u8).map(|n| (!n, Some(i64::from(n)))).collect::<Vec<_>>(), "copy={copy}");
        let mut said = Vec::new();
        while let Some(message) = bus.try_next() {
            if let MessageKind::Element { name: "caps", fields } = message.kind {
                said.push((message.element.to_string(), fields));
            }
        }
        assert_eq!(said, [("it".to_owned(), vec![("value", "application/octet-stream".to_owned())])]);
    }
    let said = run_with(dir.path(), "plugins check libold.so");
    assert!(said.code == 0 && said.out.contains("0 failed"), "{}", said.out);
}
