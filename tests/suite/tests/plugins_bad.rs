//! Plugins that are broken: each gets one clear error, and the program goes on.

use std::path::{Path, PathBuf};

use millstream_tests::plugins::{self, compile, include, library, run_with, write_manifest};
use millstream_tests::{Said, root};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The plugin with one fault, and the manifest of one without.
fn with_fault(folder: &Path, fault: &str) -> PathBuf {
    let source = root().join("tests/suite/plugins/bad.c");
    let built = compile(&source, "bad", &include(), folder, &[]);
    write_manifest(&built);
    compile(&source, "bad", &include(), folder, &[&format!("-DFAULT_{fault}")])
}

const LINE: &str = "launch fakesrc num-buffers=20 ! bad ! fakesink";

/// Runs the plugin with a fault: one error, with these parts, and no crash.
fn refused(fault: &str, parts: &[&str]) {
    let dir = dir();
    with_fault(dir.path(), fault);
    let said = run_with(dir.path(), LINE);
    assert_eq!((said.code, said.errors()), (1, 1), "{fault}: {}", said.err);
    for part in parts {
        assert!(said.err.contains(part), "{fault}: {part} in {}", said.err);
    }
    assert_eq!(run_with(dir.path(), "launch fakesrc num-buffers=2 ! fakesink").code, 0, "{fault}: the rest works");
}

/// The same of a library that is not loaded at all: `doctor` says so in one line.
fn not_loaded(fault: &str, parts: &[&str]) {
    refused(fault, parts);
    let dir = dir();
    with_fault(dir.path(), fault);
    let said = run_with(dir.path(), "doctor");
    let lines: Vec<&str> = said.out.lines().filter(|line| line.starts_with("not used")).collect();
    assert!(said.code == 2 && lines.len() == 1 && lines[0].contains(parts[0]), "{fault}: {}", said.out);
}

#[test]
fn without_a_fault_it_runs() {
    let dir = dir();
    with_fault(dir.path(), "NONE");
    let said = run_with(dir.path(), LINE);
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
fn libraries_that_are_no_plugins_for_us_are_refused() {
    not_loaded("SYMBOL", &["no millstream plugin", "no symbol `millstream_plugin`"]);
    not_loaded("MAGIC", &["no millstream plugin"]);
    not_loaded("SIZE", &["no millstream plugin"]);
    not_loaded("MAJOR", &["it needs plugin ABI 2.0, and this millstream has 1.0", "update millstream"]);
    not_loaded("MINOR", &["it needs plugin ABI 1.99, and this millstream has 1.0", "update millstream"]);
    not_loaded("NO_FACTORY", &["`get_factory` gives null"]);
    not_loaded("FACTORY", &["its factory is too small"]);
    not_loaded("INIT", &["could not be initialised", "gave back -1"]);
    not_loaded("MANIFEST", &["the manifest beside it is of another build", "millstream plugins manifest"]);
}

#[test]
fn elements_that_cannot_be_are_refused() {
    refused("CREATE", &["made no element and did not say why"]);
    refused("ELEMENT_SIZE", &["an element of 24 bytes"]);
    refused("SHAPE", &["of shape 9, which does not exist"]);
    refused("NO_FUNCTION", &["without the function `buffer`"]);
}

#[test]
fn what_is_seen_to_be_false_fails_the_element() {
    refused("PAD", &["a buffer on source pad 7, which it does not have"]);
    refused("ADDRESS", &["bytes at address 0"]);
    refused("SLICES", &["more slices than can be"]);
    refused("LENGTH", &["more bytes than can be"]);
    refused("BUFFER_SIZE", &["smaller than the struct of ABI 1.0"]);
    refused("VTABLE", &["a buffer without vtable"]);
    refused("NO_BUFFER", &["a buffer that is null"]);
    refused("EVENT", &["an event of a kind that does not exist"]);
    refused("EVENT_SIZE", &["an event that is smaller"]);
    refused("SILENT", &["gave back -1 without saying what went wrong"]);
    refused("STATUS", &["gave back -77 without saying what went wrong"]);
}

#[test]
fn an_element_that_does_not_stop_is_named_and_left_behind() {
    let dir = dir();
    with_fault(dir.path(), "STOP");
    let said = run_with(dir.path(), LINE);
    assert!(said.err.contains("did not return from `stop`") && said.err.contains("bad0"), "{}", said.err);
}

/// Runs a line with a library that is a changed copy of the C template's.
fn with_bytes(change: impl FnOnce(&mut Vec<u8>)) -> Said {
    let dir = dir();
    let path = plugins::c_template(dir.path());
    let mut bytes = std::fs::read(&path).expect("it is there");
    change(&mut bytes);
    std::fs::write(&path, bytes).expect("written");
    run_with(dir.path(), "launch fakesrc num-buffers=2 ! ccount ! fakesink")
}

#[test]
fn files_that_cannot_be_loaded_are_refused_before_the_loader_sees_them() {
    for (what, said, part) in [
        ("truncated", with_bytes(|bytes| bytes.truncate(bytes.len() / 2)), "it is truncated"),
        ("a text", with_bytes(|bytes| *bytes = b"#!/bin/sh\n".to_vec()), "it is no shared library"),
        ("empty", with_bytes(Vec::clear), "it is no shared library"),
        ("another machine", with_bytes(|bytes| bytes[18] ^= 0x80), "another kind of machine"),
        ("32 bits", with_bytes(|bytes| bytes[4] = 1), "another kind of machine"),
    ] {
        assert_eq!((said.code, said.errors()), (1, 1), "{what}: {}", said.err);
        assert!(said.err.contains(part), "{what}: {}", said.err);
    }
}

#[test]
fn manifests_that_are_wrong_are_told_of() {
    let dir = dir();
    plugins::c_template(dir.path());
    let path = dir.path().join("libtemplate_c.millstream.json");
    let good = std::fs::read_to_string(&path).expect("it is there");
    for (from, to, part) in [
        ("\"1.0\"", "\"2.0\"", "it needs plugin ABI 2.0"),
        ("\"1.0\"", "\"one\"", "the manifest says ABI `one`, which is no version"),
        ("\"millstream-plugin\": 1", "\"millstream-plugin\": 9", "is of form 9"),
        ("{", "", "the manifest is faulty"),
        (&library("template_c"), "../evil.so", "names a library in another folder"),
        ("\"ANY\"", "\"video/x-raw, width=[\"", "has a fault in the caps of `ccount.sink`"),
    ] {
        std::fs::write(&path, good.replacen(from, to, 1)).expect("written");
        for line in ["launch fakesrc ! ccount ! fakesink", "inspect ccount"] {
            let said = run_with(dir.path(), line);
            assert!(said.code == 2 && said.err.contains(part), "{part} in {line}: {}", said.err);
        }
        let listed = run_with(dir.path(), "plugins list").out;
        assert!(listed.starts_with("not used: ") && listed.contains(part) && listed.lines().count() == 1, "{listed}");
    }
}
