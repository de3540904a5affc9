//! Plugins from where a user stands: built, found, described and run, and refused in one line.

use std::collections::BTreeMap;

use millstream_core::{MessageKind, Registry};
use millstream_graph::load_launch;
use millstream_runtime::Runtime;
use millstream_tests::plugins::{self, run_with};
use millstream_tests::run;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Runs a line and gives the last fields of each message, by element.
fn messages(registry: &Registry, line: &str) -> BTreeMap<String, Vec<(&'static str, String)>> {
    let loaded = load_launch(line, registry).unwrap_or_else(|e| panic!("{e}"));
    let runtime = Runtime::new().expect("threads");
    let mut pipeline = runtime.start(&loaded.graph).expect("it starts");
    let mut bus = pipeline.bus().expect("the first to ask");
    runtime.block_on(pipeline.wait()).expect("it runs to its end");
    let mut found = BTreeMap::new();
    while let Some(message) = bus.try_next() {
        if let MessageKind::Element { name: "count", fields } = message.kind {
            found.insert(message.element.to_string(), fields);
        }
    }
    found
}

#[test]
fn plugins_in_rust_and_c_run_in_a_pipeline_and_see_every_byte() {
    let dir = dir();
    plugins::c_template(dir.path());
    plugins::rust_template(dir.path());
    let line = "fakesrc num-buffers=250 sizetype=fixed sizemax=1000 ! count name=r ! ccount name=c every=0 ! fakesink";
    let found = messages(&plugins::registry(dir.path()), line);
    let all = vec![("buffers", "250".to_owned()), ("bytes", "250000".to_owned())];
    assert_eq!(found, BTreeMap::from([("c".to_owned(), all.clone()), ("r".to_owned(), all)]));
    assert_eq!(millstream_plugin_host::copied_bytes(), 0, "media crosses without a copy");
}

#[test]
fn plugins_give_on_what_they_are_given() {
    let dir = dir();
    plugins::c_template(dir.path());
    plugins::rust_template(dir.path());
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(dir.path().join("in.bin"), &bytes).expect("written");
    let said = run_with(dir.path(), "launch filesrc location=in.bin ! ccount ! count ! filesink location=out.bin");
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
    assert!(std::fs::read(dir.path().join("out.bin")).expect("written") == bytes, "the same bytes");
}

#[test]
fn elements_of_plugins_look_like_built_in_ones() {
    let dir = dir();
    plugins::c_template(dir.path());
    plugins::rust_template(dir.path());
    let names = ["count", "ccount", "identity"];
    let pages = names.map(|name| run_with(dir.path(), &format!("inspect {name}")).out);
    for (name, page) in names.iter().zip(&pages) {
        for part in
            [&format!("{name}: Passes everything on"), "class: ", "Pads\n  sink  (sink, always)", "Properties\n"]
        {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
    assert!(pages[1].contains("every  (integer; from 0 to 1000000; default 100)"), "{}", pages[1]);
    let listed = run_with(dir.path(), "inspect").out;
    assert!(names.iter().all(|name| listed.lines().any(|line| line.starts_with(name))), "{listed}");
    let schema = run_with(dir.path(), "schema").out;
    assert!(schema.contains("\"ccount\""), "the schema has them too");
    assert!(!run(dir.path(), "inspect").out.contains("ccount"), "without a path there are none");
}

#[test]
fn faults_in_settings_of_plugins_are_found_before_anything_runs() {
    let dir = dir();
    plugins::c_template(dir.path());
    for (line, code) in [
        ("fakesrc ! ccount every=x ! fakesink", "MS0403"),
        ("fakesrc ! ccount evry=5 ! fakesink", "MS0402"),
        ("fakesrc ! ccount every=1000001 ! fakesink", "MS0404"),
    ] {
        let said = run_with(dir.path(), &format!("check --launch {line}"));
        assert!(said.code == 2 && said.err.contains(code), "{line}: {}", said.err);
    }
}

#[test]
fn a_pipeline_file_names_its_plugins() {
    let dir = dir();
    let library = plugins::c_template(dir.path());
    let file = |plugins: &str| {
        let text = format!("plugins: {plugins}\nlinks: ['fakesrc num-buffers=5 ! ccount ! fakesink']\n");
        std::fs::write(dir.path().join("p.yaml"), text).expect("written");
        run(dir.path(), "run p.yaml")
    };
    let name = library.file_name().expect("a file").to_string_lossy();
    for place in [".".to_owned(), format!("[{name}]"), format!("[{{ path: {name} }}]")] {
        let said = file(&place);
        assert_eq!(said.code, 0, "{place}: {}", said.err);
    }
    let pinned = file(&format!("[{{ path: {name}, sha256: {} }}]", "0".repeat(64)));
    assert_eq!((pinned.code, pinned.errors()), (1, 1), "{}", pinned.err);
    assert!(pinned.err.contains("SHA-256"), "{}", pinned.err);
    let missing = file("nowhere");
    for part in
        ["error[MS0411]: plugin nowhere: there is no such file or folder", "p.yaml:1:10", "hint: correct the path"]
    {
        assert!(missing.code == 2 && missing.err.contains(part), "{part} in {}", missing.err);
    }
    // What the file names comes before what is found elsewhere, and after what is built in.
    let other = dir.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    let changed = std::fs::read_to_string(dir.path().join("libtemplate_c.millstream.json")).expect("written");
    std::fs::write(other.join("x.millstream.json"), changed.replace("in C", "elsewhere")).expect("written");
    let mut command = plugins::command(&other);
    command.current_dir(dir.path()).args(["run", "p.yaml"]);
    std::fs::write(
        dir.path().join("p.yaml"),
        format!("plugins: {name}\nlinks: ['fakesrc num-buffers=5 ! ccount ! fakesink']\n"),
    )
    .expect("written");
    let said: millstream_tests::Said = command.output().expect("it starts").into();
    assert_eq!(said.code, 0, "{}", said.err);
}
