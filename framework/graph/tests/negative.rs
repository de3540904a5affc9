//! Every pipeline of `pipelines/negative` is broken in one way, and gives the diagnostic beside it.
//!
//! The first line of each says which code it is for, so that a snapshot cannot hide a wrong answer. With
//! `MILLSTREAM_BLESS=1` the snapshots (`NAME.expected`) are written anew.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use millstream_graph::check::CheckOptions;
use millstream_graph::diagnostic::{CODES, RenderOptions, Severity, codes, render_all};
use millstream_graph::doc::Syntax;
use millstream_graph::params::{ParamSources, parse_set};
use millstream_graph::source::SourceText;
use millstream_graph::{LoadError, load};

/// Codes that no file here can show, and where they are tested instead.
const ELSEWHERE: [&str; 6] = [
    // Too large for a file in the repository: `yaml::tests`, `launch::tests`.
    codes::TOO_LARGE,
    codes::TOO_MANY_NODES,
    codes::TOO_MANY_TOKENS,
    // A note about a pipeline that is good: `launch::tests`.
    codes::BIN_FLATTENED,
    // Needs who loads plugins: `plugins::a_pipeline_file_names_its_plugins`.
    codes::PLUGIN_REFUSED,
    // No text: `the_bytes_of_a_media_file_are_refused`, `params::tests`.
    codes::NOT_UTF8,
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/negative")
}

struct Case {
    path: PathBuf,
    code: String,
    found: LoadError,
}

/// Loads a file. What the first lines ask for: `# CODE: why`, then perhaps `# set: name=value`.
fn case(path: PathBuf) -> Case {
    let text = fs::read_to_string(&path).unwrap();
    let name = format!("pipelines/negative/{}", path.file_name().unwrap().to_string_lossy());
    let code =
        text.strip_prefix("# ").and_then(|rest| rest.split_once(':')).expect("a code on the first line").0.to_owned();
    let set: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# set: ")).map(|s| parse_set(s).unwrap()).collect();
    let launch = path.extension().is_some_and(|ext| ext == "launch");
    let (syntax, text) = match launch {
        // A launch line has no comments; an empty line keeps the line numbers.
        true => (Syntax::Launch, format!("\n{}", text.split_once('\n').unwrap().1)),
        false => (Syntax::Yaml, text),
    };
    let sources = ParamSources { set: &set, env: &|_| None };
    let registry = millstream_elements::registry();
    let found = match load(SourceText::new(name, text), syntax, &registry, &sources, &CheckOptions::default()) {
        Err(error) => *error,
        Ok(loaded) => LoadError { diagnostics: loaded.warnings, source: loaded.source },
    };
    Case { path, code, found }
}

fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "launch"));
    paths.sort();
    paths.into_iter().map(case).collect()
}

#[test]
fn each_gives_its_diagnostic() {
    let bless = std::env::var_os("MILLSTREAM_BLESS").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.iter().filter(|case| case.path.extension().unwrap() == "yaml").count() >= 40);
    for case in &cases {
        let mut expected_path = case.path.clone().into_os_string();
        expected_path.push(".expected");
        let text = render_all(&case.found.diagnostics, &case.found.source, RenderOptions::default());
        let findings = case.found.diagnostics.iter().filter(|d| d.severity != Severity::Note);
        let found: Vec<_> = findings.map(|d| d.code).collect();
        // Broken in one way: nothing else is found, save that a fault may be seen from two sides.
        if found.is_empty() || found.iter().any(|code| *code != case.code) {
            wrong.push(format!("{}: found {found:?}, not only {}\n{text}", case.path.display(), case.code));
        }
        if bless {
            fs::write(&expected_path, &text).unwrap();
        } else if fs::read_to_string(&expected_path).unwrap_or_default() != text {
            wrong.push(format!("{}: differs from its snapshot\n{text}", case.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_error_has_a_repair_or_says_what_was_expected() {
    for case in cases() {
        for d in case.found.diagnostics.into_iter().filter(|d| d.severity != Severity::Note) {
            assert!(d.hint.is_some() || d.expected.is_some(), "{}: {}", case.path.display(), d.message);
            let placed = d.primary.is_some() || [codes::SET_UNKNOWN, codes::EMPTY_PIPELINE].contains(&d.code);
            assert!(placed, "{}: {} has no place", case.path.display(), d.message);
        }
    }
}

#[test]
fn each_code_has_a_file() {
    let shown: BTreeSet<String> = cases().into_iter().map(|case| case.code).collect();
    let missing: Vec<_> =
        CODES.iter().map(|info| info.code).filter(|code| !shown.contains(*code) && !ELSEWHERE.contains(code)).collect();
    assert_eq!(missing, [codes::SET_SYNTAX], "`--set` without `=` never reaches a file");
}

#[test]
fn no_snapshot_is_left_over() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "expected") {
            assert!(path.with_extension("").exists(), "{} belongs to no file", path.display());
        }
    }
}

#[test]
fn the_bytes_of_a_media_file_are_refused() {
    let error = SourceText::from_bytes("a.flv", b"FLV\x01\x05\x00\x00\x00\x09\xff\xfe".to_vec()).unwrap_err();
    assert_eq!((error.code, error.severity), (codes::NOT_UTF8, Severity::Error));
    assert!(SourceText::from_bytes("x", vec![b' '; (1 << 20) + 1]).is_err());
}
