//! Every program in `examples/` runs and is content with its own result.

use std::process::Command;

use millstream_tests::root;

#[test]
fn every_example_runs() {
    // target/debug/deps/examples-… is this test; the examples are beside `deps`.
    let test = std::env::current_exe().expect("a test is a file");
    let folder = test.ancestors().nth(2).expect("two up").join("examples");
    let sources = std::fs::read_dir(root().join("examples")).expect("a folder");
    let mut names: Vec<String> = sources
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        assert!(program.is_file(), "{name} is not built: `cargo build --package millstream --examples`");
        let output = Command::new(&program).output().expect("it starts");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty(), "{name} says what it did");
    }
}
