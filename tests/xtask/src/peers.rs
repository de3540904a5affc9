//! The list of foreign programs in `tests/peers/peers.txt`, and which of them are here.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The list, compiled in so that a test of this file cannot read another one.
const LIST: &str = include_str!("../../peers/peers.txt");

/// Which installer brings a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A Debian package, system-wide.
    Apt,
    /// A Debian package that is only unpacked, in `target/peers/deb`: no service of it starts.
    Deb,
    /// A Python package, in `target/peers/venv`.
    Pip,
    /// An npm package, in `target/peers/node`.
    Npm,
    /// A Rust program, in `target/peers/cargo`.
    Cargo,
}

/// One line of the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) how: How,
    /// Only for `--all-peers`: it is large, or compiled.
    pub(crate) optional: bool,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    proof: &'static str,
}

/// Every peer of the list, in its order.
pub(crate) fn all() -> Result<Vec<Peer>> {
    let lines = LIST.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(n, line)| parse(line).with_context(|| format!("tests/peers/peers.txt:{}: {line}", n + 1))).collect()
}

fn parse(line: &'static str) -> Result<Peer> {
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next().context("expected: how package version proof purpose");
    let word = next()?;
    let required = word.strip_suffix('?');
    let how = match required.unwrap_or(word) {
        "apt" => How::Apt,
        "deb" => How::Deb,
        "pip" => How::Pip,
        "npm" => How::Npm,
        "cargo" => How::Cargo,
        other => bail!("unknown installer {other}"),
    };
    let peer = Peer { how, optional: required.is_some(), package: next()?, version: next()?, proof: next()? };
    next()?;
    Ok(peer)
}

/// The folder of everything that is not installed system-wide.
pub(crate) fn folder() -> PathBuf {
    sh::root().join("target/peers")
}

impl Peer {
    /// Whether it is here already, whoever brought it.
    pub(crate) fn is_here(&self) -> bool {
        match self.how {
            How::Apt | How::Deb => self.proof_holds(),
            How::Pip => self.in_venv(),
            How::Npm => self.in_node_modules(),
            How::Cargo => folder().join("cargo/bin").join(self.package).is_file() || sh::on_path(self.package),
        }
    }

    fn proof_holds(&self) -> bool {
        match self.proof.split_once(':') {
            Some(("cmd", program)) => sh::on_path(program),
            Some(("gst", element)) => sh::succeeds("gst-inspect-1.0", &["--exists", element]),
            Some(("file", path)) => folder().join("deb").join(path).is_file(),
            Some(("dpkg", package)) => sh::succeeds("dpkg", &["--status", package]),
            Some(("py", module)) => sh::succeeds("python3", &["-c", &format!("import {module}")]),
            _ => false,
        }
    }

    fn in_venv(&self) -> bool {
        let python = folder().join("venv/bin/python");
        let code = format!(
            "import importlib.metadata as m, sys; sys.exit(m.version({:?}) != {:?})",
            self.package, self.version
        );
        python.is_file() && sh::succeeds(&python.to_string_lossy(), &["-c", &code])
    }

    fn in_node_modules(&self) -> bool {
        let manifest = folder().join("node/node_modules").join(self.package).join("package.json");
        let wanted = format!("\"version\": \"{}\"", self.version);
        std::fs::read_to_string(manifest).is_ok_and(|text| text.contains(&wanted))
    }
}

/// The commands that bring these peers, all by one installer. The program `sudo` stands before them where needed.
pub(crate) fn commands(how: How, missing: &[Peer]) -> Vec<Command> {
    match how {
        How::Apt => {
            let mut install = command("apt-get", &["install", "-y", "--no-install-recommends"]);
            install.args(missing.iter().map(|peer| peer.package)).env("DEBIAN_FRONTEND", "noninteractive");
            vec![command("apt-get", &["update", "-q"]), install]
        }
        How::Deb => vec![unpack(missing)],
        How::Pip => pip(&folder().join("venv"), missing),
        How::Npm => {
            let mut install = command("npm", &["install", "--no-audit", "--no-fund", "--save-exact", "--prefix"]);
            install.arg(folder().join("node")).args(pinned(missing, "@"));
            vec![install]
        }
        How::Cargo => missing.iter().map(cargo).collect(),
    }
}

/// Downloads packages and unpacks them where nothing of the system is.
fn unpack(missing: &[Peer]) -> Command {
    let names: Vec<&str> = missing.iter().map(|peer| peer.package).collect();
    let (folder, names) = (folder().join("deb"), names.join(" "));
    let script = format!(
        "mkdir -p {folder:?} && cd {folder:?} && apt-get -q download {names} && \
         for deb in *.deb; do dpkg -x $deb . && rm $deb || exit 1; done"
    );
    command("sh", &["-c", &script])
}

fn pip(venv: &Path, missing: &[Peer]) -> Vec<Command> {
    let mut create = command("python3", &["-m", "venv"]);
    create.arg(venv);
    let mut install = Command::new(venv.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(pinned(missing, "=="));
    if venv.join("bin/python").is_file() { vec![install] } else { vec![create, install] }
}

fn cargo(peer: &Peer) -> Command {
    let mut install = sh::cargo();
    install.args(["install", "--locked", "--quiet", peer.package, "--version", peer.version, "--root"]);
    install.arg(folder().join("cargo"));
    install
}

fn pinned(peers: &[Peer], separator: &str) -> Vec<String> {
    peers.iter().map(|peer| format!("{}{separator}{}", peer.package, peer.version)).collect()
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_readable_and_pins_what_is_not_debian() {
        let peers = all().unwrap();
        assert!(peers.iter().any(|peer| peer.package == "ffmpeg"));
        for peer in peers {
            let debian = [How::Apt, How::Deb].contains(&peer.how);
            assert_eq!(peer.version == "-", debian, "{}", peer.package);
            assert_eq!(peer.proof.contains(':'), debian, "{}", peer.package);
        }
    }

    #[test]
    fn a_line_without_a_purpose_or_with_a_strange_installer_is_refused() {
        assert!(parse("apt ffmpeg - cmd:ffmpeg reads").is_ok());
        assert!(parse("apt ffmpeg - cmd:ffmpeg").is_err());
        assert!(parse("apt? ffmpeg - cmd:ffmpeg reads").is_ok_and(|peer| peer.optional && peer.how == How::Apt));
        assert!(parse("brew ffmpeg - cmd:ffmpeg reads").is_err());
    }
}
