//! Plugins for tests: the templates of the repository, built.

use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_core::Registry;
use millstream_plugin_host::{Plugins, Search};

use crate::{Said, millstream, root, run_args};

/// File name of the library of a name.
pub fn library(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Compiles a plugin in C with the compiler that Rust links with, and the header of a folder.
pub fn compile(source: &Path, name: &str, include: &Path, into: &Path, more: &[&str]) -> PathBuf {
    let library = into.join(library(name));
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

/// A registry with the built-in elements, and those of the plugins in a folder.
pub fn registry(folder: &Path) -> Registry {
    let mut registry = millstream_elements::registry();
    registry.add_provider(Plugins::new(Search::default().with_place(folder, None)));
    registry
}

/// The command line with plugins of a folder, and nothing of the user's.
pub fn command(folder: &Path) -> Command {
    let mut command = millstream(folder);
    command.env("MILLSTREAM_PLUGIN_PATH", folder).env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

/// Runs the command line with plugins of a folder.
pub fn run_with(folder: &Path, line: &str) -> Said {
    command(folder).args(line.split_whitespace()).output().expect("it starts").into()
}

/// Writes the manifest of a library with the command line.
pub fn write_manifest(library: &Path) {
    let said = run_args(library.parent().expect("in a folder"), &["plugins", "manifest", &library.to_string_lossy()]);
    assert_eq!(said.code, 0, "{}", said.err);
}

/// The C template, built into a folder with its manifest.
pub fn c_template(into: &Path) -> PathBuf {
    let library = compile(&root().join("plugins/template-c/plugin.c"), "template_c", &include(), into, &[]);
    write_manifest(&library);
    library
}

/// The Rust template, copied into a folder with its manifest. `cargo xtask test` builds it first.
pub fn rust_template(into: &Path) -> PathBuf {
    built("template-rust", into)
}

/// The plugin for tests, as the Rust template.
pub fn test_plugin(into: &Path) -> PathBuf {
    built("millstream-test-plugin", into)
}

/// The plugin of GStreamer, as the Rust template.
pub fn gstreamer(into: &Path) -> PathBuf {
    built("millstream-gstreamer", into)
}

/// Our elements as a plugin of GStreamer's, copied into a folder. `cargo xtask test` builds it first.
pub fn gst_export(into: &Path) -> PathBuf {
    copied("millstream-gst-export", "gstmillstream", into)
}

fn built(package: &str, into: &Path) -> PathBuf {
    let library = copied(package, &package.replace('-', "_"), into);
    write_manifest(&library);
    library
}

/// The library that was built of a package beside the tests.
fn copied(package: &str, name: &str, into: &Path) -> PathBuf {
    let name = library(name);
    let test = std::env::current_exe().expect("a test is a file");
    let built = test.ancestors().skip(1).map(|dir| dir.join(&name)).find(|path| path.is_file());
    let library = into.join(&name);
    let built = built.unwrap_or_else(|| panic!("{package} is not built: `cargo xtask test` does it"));
    std::fs::copy(built, &library).expect("copied");
    library
}
