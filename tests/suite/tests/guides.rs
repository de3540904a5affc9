//! The guides about plugins, followed to the letter: commands are run, files are written, what they print is compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_tests::{millstream, root};

/// A fenced block of a page.
struct Block {
    /// What stands behind the fence: `sh`, `sh fails`, `text`, `rust src/lib.rs`.
    info: String,
    body: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join("docs/guide").join(page)).expect("the page is there");
    let parts: Vec<&str> = text.split("\n```").collect();
    let fenced = parts.iter().skip(1).step_by(2);
    fenced
        .map(|part| {
            let (info, body) = part.split_once('\n').unwrap_or((part, ""));
            Block { info: info.to_owned(), body: format!("{body}\n") }
        })
        .collect()
}

/// Where a reader is.
struct Reader {
    folder: PathBuf,
    /// Commands so far that matter for later ones.
    exports: String,
    said: String,
}

impl Reader {
    fn run(&mut self, commands: &str, fails: bool) {
        let program = millstream(Path::new("/")).get_program().to_owned();
        let beside = Path::new(&program).parent().expect("in a folder").to_owned();
        let path = std::env::join_paths(
            [beside].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").expect("a PATH"))),
        );
        // What the test itself runs under must not reach the cargo of the page.
        let kept = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
        let script = format!("set -e\n{}\n{commands}\npwd > \"$WHERE\"\n", self.exports);
        let place = self.folder.join(".where");
        let mut bash = Command::new("bash");
        bash.arg("-c").arg(script).current_dir(&self.folder).env_clear();
        bash.envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        bash.env("PATH", path.expect("a PATH"))
            .env("WHERE", &place)
            .env("CARGO_NET_OFFLINE", "true")
            .env("NO_COLOR", "1");
        // That it builds is what matters here, not how fast it runs.
        bash.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        bash.env("CARGO_BUILD_JOBS", "2").env("XDG_CACHE_HOME", self.folder.join(".cache"));
        let output = bash.output().expect("bash is there");
        self.said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), !fails, "{commands}\n{}", self.said);
        if let Ok(place) = std::fs::read_to_string(place) {
            self.folder = place.trim().into();
        }
        self.exports += &commands
            .lines()
            .filter(|line| line.starts_with("export "))
            .map(|line| format!("{line}\n"))
            .collect::<String>();
    }

    fn follow(&mut self, block: &Block) {
        match block.info.split_once(' ').unwrap_or((&block.info, "")) {
            ("sh", "fails") => self.run(&block.body, true),
            ("sh", _) => self.run(&block.body, false),
            ("text", _) => {
                for line in block.body.lines().filter(|line| !line.is_empty()) {
                    assert!(
                        self.said.contains(line),
                        "`{line}` is not in what the page's commands say:\n{}",
                        self.said
                    );
                }
            }
            ("rust", path) if !path.is_empty() => {
                std::fs::write(self.folder.join(path), &block.body).expect("written");
            }
            _ => {}
        }
    }
}

fn follow(page: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut reader = Reader { folder: dir.path().to_owned(), exports: String::new(), said: String::new() };
    let blocks = blocks(page);
    assert!(blocks.len() > 4, "{page} has blocks");
    blocks.iter().for_each(|block| reader.follow(block));
}

#[test]
fn the_guide_to_plugins_in_c_can_be_followed() {
    follow("plugin-c.md");
}

#[test]
fn the_guide_to_plugins_in_rust_can_be_followed() {
    follow("plugin-rust.md");
}
