//! `plugins check`: content with plugins that keep what they promise, and names what others do not.

use std::path::Path;
use std::process::Command;

use millstream_tests::plugins::{self, compile, include, run_with, write_manifest};
use millstream_tests::{Said, root};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn check(library: &Path, more: &str) -> Said {
    let name = library.file_name().expect("a file").to_string_lossy();
    run_with(library.parent().expect("in a folder"), &format!("plugins check {name} {more}"))
}

fn content(said: &Said) {
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("cases run, 0 failed") && !said.out.contains("FAIL"), "{}", said.out);
}

#[test]
fn the_templates_keep_all_that_they_promise() {
    let dir = dir();
    content(&check(&plugins::c_template(dir.path()), ""));
    content(&check(&plugins::rust_template(dir.path()), ""));
}

#[test]
fn elements_of_every_shape_keep_what_they_promise() {
    let dir = dir();
    let library = plugins::test_plugin(dir.path());
    for element in ["testworker", "testsrc", "testsink", "testedit"] {
        content(&check(&library, &format!("--element {element}")));
    }
    let said = check(&library, "--element testfault --case properties");
    assert!(said.code == 1 && said.out.contains("`place` = \"create\": panicked"), "{}", said.out);
}

/// With this fault this case fails, and says so.
fn named(fault: &str, case: &str, part: &str) {
    let dir = dir();
    let library = compile(
        &root().join("tests/suite/plugins/bad.c"),
        "bad",
        &include(),
        dir.path(),
        &[&format!("-DFAULT_{fault}")],
    );
    write_manifest(&library);
    let said = check(&library, &format!("--case {case}"));
    assert!(said.code == 1 && said.out.contains(&format!("FAIL  bad {case}")), "{fault}: {}{}", said.out, said.err);
    assert!(said.out.contains(part), "{fault}: {part} in {}", said.out);
}

#[test]
fn what_is_not_kept_is_named() {
    named("LEAK", "references", "40 buffers are still held when it is gone");
    named("TWICE", "stream", "a buffer that it has given back already");
    named("NO_EOS", "stream", "source pad 0 ended 0 times");
    named("TWO_EOS", "stream", "source pad 0 sent eos after its end");
    named("NO_FLUSH", "flush", "a flush came out of source pad 0 0 times");
    named("KEPT_OUTPUT", "stream", "used an output after the call");
    named("PAD", "threads", "a buffer on source pad 7");
    named("SILENT", "stream", "without saying what went wrong");
    named("CREATE", "settings", "did not say why");
    named("CREATE", "life", "it cannot be made with its defaults");
}

#[test]
fn an_element_that_crashes_or_never_stops_fails_its_case_and_not_the_kit() {
    named("CRASH", "stream", "it ended the process (signal: 11");
    named("STOP", "life", "did not return from `stop` in time");
}

#[test]
fn the_c_template_is_clean_under_the_address_sanitizer() {
    let dir = dir();
    let source = root().join("plugins/template-c/plugin.c");
    // The manifest is written without: the library is the same but for its checks.
    let plain = plugins::c_template(dir.path());
    let flags = ["-fsanitize=address", "-fno-omit-frame-pointer"];
    let library = compile(&source, "template_c", &include(), dir.path(), &flags);
    assert_eq!(plain, library);
    let runtime = Command::new("cc").arg("-print-file-name=libasan.so").output().expect("a C compiler");
    let runtime = String::from_utf8(runtime.stdout).expect("a path");
    let run = |library: &Path| -> Said {
        let mut command = plugins::command(dir.path());
        // What our own process keeps for ever is no leak of the plugin's: the kit counts references itself.
        command.env("LD_PRELOAD", runtime.trim()).env("ASAN_OPTIONS", "detect_leaks=0");
        command.args(["plugins", "check"]).arg(library).output().expect("it starts").into()
    };
    content(&run(&library));
    // And it would see a wrong access.
    let bad = root().join("tests/suite/plugins/bad.c");
    let flags = [flags[0], flags[1], "-DFAULT_FREED"];
    let library = compile(&bad, "bad", &include(), dir.path(), &flags);
    compile(&bad, "bad", &include(), dir.path(), &[]);
    write_manifest(&library);
    compile(&bad, "bad", &include(), dir.path(), &flags);
    let said = run(&library);
    assert!(said.code == 1 && said.out.contains("heap-use-after-free"), "{}{}", said.out, said.err);
}
