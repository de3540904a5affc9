//! The foreign programs that tests talk to.

use std::path::PathBuf;

use crate::media::workspace;

/// Whether tests may do without foreign programs, as `MILLSTREAM_PEERS` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peers {
    /// `require`: a missing one fails the test.
    Require,
    /// `off`: tests that need one do nothing.
    Off,
    /// Not set: used when found.
    IfFound,
}

impl Peers {
    /// Reads `MILLSTREAM_PEERS`.
    pub fn policy() -> Self {
        match std::env::var("MILLSTREAM_PEERS").as_deref() {
            Ok("require") => Self::Require,
            Ok("off") => Self::Off,
            _ => Self::IfFound,
        }
    }
}

/// True when a missing foreign program has to fail the test.
pub fn peers_required() -> bool {
    Peers::policy() == Peers::Require
}

/// Where a program is: on `PATH`, or where `cargo xtask setup` puts programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    const OWN: [&str; 4] = ["cargo/bin", "venv/bin", "node/node_modules/.bin", "deb/usr/sbin"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = OWN.iter().map(|dir| workspace().join("target/peers").join(dir));
    std::env::split_paths(&path).chain(own).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The foreign program of a test: `None` when the test should do nothing, because programs are switched off or this
/// one is not here (which is said).
///
/// # Panics
/// When it is not here and [`peers_required`].
pub fn peer(name: &str) -> Option<PathBuf> {
    let policy = Peers::policy();
    if policy == Peers::Off {
        return None;
    }
    let found = find_program(name);
    if found.is_none() {
        assert!(policy != Peers::Require, "the program {name} is missing: run `cargo xtask setup`");
        eprintln!("the program {name} is not here: a test does without it");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_program("cargo").is_some());
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
