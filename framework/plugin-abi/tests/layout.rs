//! The ABI changes only by growing: against the lock file, and against the C header as compilers of C and C++ see it.

use std::path::Path;
use std::process::Command;

use millstream_plugin_abi::layout::{self, structs};

fn lock() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("abi.lock")).expect("abi.lock is there")
}

/// Lines of the lock file that the ABI does not have any more. Sizes of structs that begin with their size may grow.
fn broken(lock: &str, now: &str) -> Vec<String> {
    let now: Vec<&str> = now.lines().collect();
    let size = |line: &str| line.split(' ').nth(1).and_then(|size| size.parse::<u64>().ok());
    let grows = |line: &str| {
        let name = line.split(' ').next().unwrap_or_default();
        let frozen = ["ms_str", "ms_pair", "ms_slice"].contains(&name);
        let same = now.iter().find(|other| other.split(' ').next() == Some(name));
        !line.contains('.') && !frozen && same.is_some_and(|other| size(other) >= size(line))
    };
    lock.lines().filter(|line| !now.contains(line) && !grows(line)).map(str::to_owned).collect()
}

#[test]
fn abi_grows_only_at_the_end() {
    let (lock, now) = (lock(), layout::text());
    assert_eq!(broken(&lock, &now), Vec::<String>::new(), "fields of ABI 1 that moved or went");
    // What is new stands behind what was: within a struct the lines of the lock come first, in its order.
    for part in structs() {
        let of = |text: &str| {
            let own = text.lines().filter(|line| line.starts_with(&format!("{}.", part.name)));
            own.map(str::to_owned).collect::<Vec<_>>()
        };
        let (locked, fields) = (of(&lock), of(&now));
        assert!(fields.starts_with(&locked), "{}: new fields stand at the end", part.name);
        assert_eq!(locked.len(), fields.len(), "{}: new fields are written into abi.lock", part.name);
    }
}

#[test]
fn abi_that_moves_is_noticed() {
    let moved = layout::text().replace("ms_buffer.pts 16 8", "ms_buffer.pts 24 8");
    assert_eq!(broken(&lock(), &moved), ["ms_buffer.pts 16 8"]);
    let smaller = layout::text().replace("ms_buffer 64", "ms_buffer 56");
    assert_eq!(broken(&lock(), &smaller).len(), 1);
    let larger = layout::text().replace("ms_buffer 64", "ms_buffer 72");
    assert_eq!(broken(&lock(), &larger).len(), 0);
}

/// A program that prints what [`layout::text`] says, as the header has it.
fn probe() -> String {
    let mut lines = String::new();
    for part in structs() {
        let name = part.name;
        for (field, ..) in &part.fields {
            lines += &format!(
                "    printf(\"{name}.{field} %u %u\\n\", (unsigned)offsetof({name}, {field}), (unsigned)sizeof((({name} *)0)->{field}));\n"
            );
        }
        lines += &format!("    printf(\"{name} %u\\n\", (unsigned)sizeof({name}));\n");
    }
    format!("#include \"millstream_plugin.h\"\n#include <stdio.h>\nint main(void) {{\n{lines}    return 0;\n}}\n")
}

fn layout_in(compiler: &str, standard: &str, suffix: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let (source, program) = (dir.path().join(format!("probe.{suffix}")), dir.path().join("probe"));
    std::fs::write(&source, probe()).expect("written");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let flags = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
    let mut command = Command::new(compiler);
    command.arg(standard).args(flags).arg("-I").arg(include).arg(&source).arg("-o").arg(&program);
    let compiled = command.output().unwrap_or_else(|e| panic!("{compiler} is needed: {e}"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(program).output().expect("the probe runs");
    String::from_utf8(printed.stdout).expect("text")
}

#[test]
fn the_header_is_the_same_in_c11() {
    assert_eq!(layout_in("cc", "-std=c11", "c"), layout::text());
}

#[test]
fn the_header_is_the_same_in_cpp17() {
    assert_eq!(layout_in("c++", "-std=c++17", "cc"), layout::text());
}
