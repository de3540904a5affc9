//! The repository's rules that a program can check, as ordinary tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest Rust file in lines: beyond it nobody knows their way around.
const LONGEST: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders below the root").to_owned()
}

/// The text files that git knows or would add, relative to the root; no fixtures, media or recorded seeds.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is there");
    let text = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let left_out = ["tests/fixtures/", "tests/fuzz/seeds/", "pipelines/media/"];
    let kept = |path: &&str| path.ends_with(".md") || !left_out.iter().any(|folder| path.starts_with(folder));
    let files: Vec<String> = text.lines().filter(kept).map(str::to_owned).collect();
    assert!(files.iter().any(|path| path == "Cargo.toml"), "git lists no files");
    files.into_iter().filter(|path| root().join(path).is_file()).collect()
}

fn ending(suffixes: &[&str]) -> Vec<String> {
    files().into_iter().filter(|path| suffixes.iter().any(|suffix| path.ends_with(suffix))).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// `path:line: text` of each line that the rule finds wrong.
fn wrong_lines(paths: &[String], wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let in_file = |path: &String| {
        let text = read(path);
        let lines = text.lines().enumerate().filter(|(_, line)| wrong(line));
        lines.map(|(n, line)| format!("{path}:{}: {}", n + 1, line.trim())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(in_file).collect()
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}\n{}", found.join("\n"));
}

/// Whether the line holds `folder` as the beginning of an absolute path, not as the middle of another one.
fn holds_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        before.is_none_or(|c| !(c.is_alphanumeric() || "_./~-*}$".contains(c)))
            && after.is_some_and(char::is_alphanumeric)
    })
}

#[test]
fn no_rust_file_is_too_long() {
    let lengths = ending(&[".rs"]).into_iter().map(|path| (read(&path).lines().count(), path));
    let long: Vec<String> =
        lengths.filter(|(lines, _)| *lines > LONGEST).map(|(lines, path)| format!("{path}: {lines} lines")).collect();
    assert_none(&long, &format!("files of more than {LONGEST} lines: split them by wire unit or by task"));
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let text =
        ending(&[".rs", ".md", ".toml", ".yaml", ".yml", ".sh", ".js", ".mjs", ".txt", ".ci/run", ".lock", ".snap"]);
    // Split, so that this file does not find itself.
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    let found = wrong_lines(&text, |line| homes.iter().any(|home| holds_path(line, home)));
    assert_none(&found, "absolute paths of one machine:");
}

#[test]
fn a_path_of_one_machine_is_told_from_a_url_and_from_a_relative_path() {
    let home = concat!("/ho", "me/");
    assert!(holds_path(&format!("open \"{home}me/clip.flv\""), home));
    assert!(!holds_path(&format!("rtmp://host{home}cam"), home));
    assert!(!holds_path(&format!("../shared{home}cam"), home));
}

#[test]
fn nothing_is_ignored_or_left_to_do() {
    let marks = [concat!("#[ig", "nore"), concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("db", "g!(")];
    let found = wrong_lines(&ending(&[".rs"]), |line| marks.iter().any(|mark| line.contains(mark)));
    assert_none(&found, "a test that never runs, or code that is not written:");
}

#[test]
fn every_crate_is_in_the_architecture_page() {
    let page = read("docs/architecture.md");
    let manifests = ending(&["Cargo.toml"]);
    let folders = manifests.iter().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let absent: Vec<String> = folders.filter(|folder| !page.contains(folder)).map(str::to_owned).collect();
    assert_none(&absent, "crates that docs/architecture.md does not name by their folder:");
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let manifests = ending(&["Cargo.toml"]).into_iter().filter(|path| !path.starts_with("tests/fuzz/"));
    let lax: Vec<String> = manifests.filter(|path| !read(path).contains("[lints]\nworkspace = true")).collect();
    assert_none(&lax, "crates without `[lints] workspace = true`:");
}

#[test]
fn every_pipeline_begins_with_its_use_case() {
    let shipped = |path: &String| path.starts_with("pipelines/") && !path.contains("/negative/");
    let silent: Vec<String> =
        ending(&[".yaml"]).into_iter().filter(shipped).filter(|path| !read(path).starts_with("# ")).collect();
    assert_none(&silent, "pipelines without a comment on top that says what they are for:");
}

#[test]
fn every_fixture_has_a_line_of_provenance() {
    for folder in ["tests/fixtures", "pipelines/media"] {
        let page = read(&format!("{folder}/README.md"));
        let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let silent: Vec<String> = names.filter(|name| name != "README.md" && !page.contains(name.as_str())).collect();
        assert_none(&silent, &format!("files that {folder}/README.md does not name:"));
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut dead = Vec::new();
    for page in ending(&[".md"]) {
        let folder = root().join(Path::new(&page).parent().unwrap_or(Path::new("")));
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.contains([':', '<', '`', ' ']) && !folder.join(target).exists() {
                dead.push(format!("{page}: {target}"));
            }
        }
    }
    assert_none(&dead, "links to files that are not there:");
}

/// The IDs that `docs/coverage.md` has to speak of: first number and last number of each list.
const CLAUSES: [(&str, u32, u32); 11] = [
    ("FLV-", 1, 6),
    ("RTMP-H", 1, 7),
    ("RTMP-C", 1, 12),
    ("RTMP-M", 1, 15),
    ("RTMP-V", 1, 6),
    ("ERT-", 1, 13),
    ("TS-", 1, 15),
    ("HLS-", 1, 6),
    ("HLS-", 9, 11),
    ("SIG-", 1, 3),
    ("TURN-", 1, 1),
];

#[test]
fn every_test_that_the_coverage_page_names_is_there() {
    let sources: String = ending(&[".rs"]).iter().map(|path| read(path)).collect();
    let page = read("docs/coverage.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).collect();
    let mut absent = Vec::new();
    let mut untested = Vec::new();
    for row in &rows {
        let Some(tests) = row.trim_end_matches([' ', '|']).rsplit(" | ").next().filter(|cell| cell.contains('`'))
        else {
            continue;
        };
        let names = tests.split('`').skip(1).step_by(2);
        absent.extend(names.filter(|name| !sources.contains(&format!("fn {name}("))).map(str::to_owned));
    }
    // A status of done or partial is a claim that a test has to show.
    for row in rows.iter().filter(|row| row.contains("| done") || row.contains("| partial")) {
        if row.matches('`').count() < 2 {
            untested.push((*row).to_owned());
        }
    }
    assert_none(&absent, "tests that docs/coverage.md names and nobody wrote:");
    assert_none(&untested, "rows of docs/coverage.md that claim without a test:");
}

#[test]
fn the_coverage_page_has_every_clause() {
    let page = read("docs/coverage.md");
    let starts: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let ids = CLAUSES.iter().flat_map(|(list, first, last)| (*first..=*last).map(move |n| format!("{list}{n}")));
    let speaks_of = |id: &str| starts.iter().any(|cell| cell.split(", ").any(|name| name == id));
    let silent: Vec<String> = ids.filter(|id| !speaks_of(id)).collect();
    assert_none(&silent, "clauses that docs/coverage.md does not speak of:");
}
