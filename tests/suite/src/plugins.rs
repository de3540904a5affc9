//! Plugins for tests: the templates of the repository, built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{root, run_args};

/// File name of the library of a name.
pub fn library(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Compiles a plugin in C with the compiler that Rust links with, and the header of a folder.
pub fn compile(source: &Path, include: &Path, into: &Path, more: &[&str]) -> PathBuf {
    let name = source.file_stem().expect("a file").to_string_lossy();
    let library = into.join(library(&name));
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pedantic"]);
    command.args(["-shared", "-fPIC", "-fvisibility=hidden", "-I"]).arg(include).args(more);
    let output = command.arg("-o").arg(&library).arg(source).output().expect("a C compiler, which Rust needs too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Where the header is.
pub fn include() -> PathBuf {
    root().join("framework/plugin-abi/include")
}

/// Writes the manifest of a library with the command line.
pub fn write_manifest(library: &Path) {
    let said = run_args(library.parent().expect("in a folder"), &["plugins", "manifest", &library.to_string_lossy()]);
    assert_eq!(said.code, 0, "{}", said.err);
}

/// The C template, built into a folder with its manifest.
pub fn c_template(into: &Path) -> PathBuf {
    let library = compile(&root().join("plugins/template-c/plugin.c"), &include(), into, &[]);
    write_manifest(&library);
    library
}

/// The Rust template, copied into a folder with its manifest. `cargo xtask test` builds it first.
pub fn rust_template(into: &Path) -> PathBuf {
    let name = library("template_rust");
    let test = std::env::current_exe().expect("a test is a file");
    let built = test.ancestors().skip(1).map(|dir| dir.join(&name)).find(|path| path.is_file());
    let library = into.join(&name);
    std::fs::copy(built.expect("it is built: `cargo build --package template-rust`"), &library).expect("copied");
    write_manifest(&library);
    library
}
