//! `cargo xtask setup`: bring the foreign programs where we may, else say exactly what is missing.

use crate::peers::{self, How, Peer};
use crate::sh;
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bring the optional peers too, which are large or compiled from source
    #[arg(long)]
    all_peers: bool,
    /// Install nothing; fail naming what is missing
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure(args.all_peers, !args.check)
}

/// Makes sure that every peer is here. Quick when they are.
pub(crate) fn ensure(optional: bool, install: bool) -> Result<()> {
    let started = Instant::now();
    let wanted: Vec<Peer> = peers::all()?.into_iter().filter(|peer| optional || !peer.optional).collect();
    if install {
        // Debian first: it brings Python's venv and npm, which bring the rest.
        for how in [How::Apt, How::Deb, How::Pip, How::Npm, How::Cargo] {
            bring(how, &absent(&wanted, how))?;
        }
        link_newer_ffmpeg()?;
    }
    let missing: Vec<Peer> = wanted.iter().copied().filter(|peer| !peer.is_here()).collect();
    if !missing.is_empty() {
        bail!("{}", explain(&missing));
    }
    eprintln!("peers: all {} are here ({:.1} s)", wanted.len(), started.elapsed().as_secs_f32());
    Ok(())
}

/// The newer ffmpeg lies deep in a package under a name with its version: `venv/bin/ffmpeg9` leads to it.
fn link_newer_ffmpeg() -> Result<()> {
    let bin = peers::folder().join("venv/bin");
    let link = bin.join("ffmpeg9");
    if link.exists() {
        return Ok(());
    }
    let code = "import imageio_ffmpeg as i; print(i.get_ffmpeg_exe(), end='')";
    let output = Command::new(bin.join("python")).args(["-c", code]).output().context("the venv has no python")?;
    let program = String::from_utf8(output.stdout)?;
    if program.is_empty() {
        bail!("imageio-ffmpeg names no program: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    if link.is_symlink() {
        std::fs::remove_file(&link)?; // it led to the program of an earlier version
    }
    std::os::unix::fs::symlink(program, &link).with_context(|| format!("cannot create {}", link.display()))
}

fn absent(wanted: &[Peer], how: How) -> Vec<Peer> {
    wanted.iter().copied().filter(|peer| peer.how == how && !peer.is_here()).collect()
}

fn bring(how: How, missing: &[Peer]) -> Result<()> {
    if missing.is_empty() || ([How::Apt, How::Deb].contains(&how) && !sh::on_path("apt-get")) {
        return Ok(());
    }
    std::fs::create_dir_all(peers::folder())?;
    if how == How::Deb && missing.iter().any(|peer| !sh::succeeds("apt-cache", &["show", peer.package])) {
        let mut update = Command::new("apt-get");
        update.args(["update", "-q"]);
        as_root(update)?; // a machine that has everything else may still have no list of packages
    }
    for mut command in peers::commands(how, missing) {
        let outcome = if how == How::Apt { as_root(command) } else { sh::run(&mut command) };
        if let Err(error) = outcome {
            bail!("{error:#}\n{}", explain(missing));
        }
    }
    Ok(())
}

/// Runs it as it is for root, through a sudo that asks for no password for others.
fn as_root(mut command: Command) -> Result<()> {
    if is_root() {
        return sh::run(&mut command);
    }
    if !sh::succeeds("sudo", &["-n", "true"]) {
        bail!("Debian packages are missing, and this user is neither root nor may use sudo without a password");
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive"]).arg(command.get_program()).args(command.get_args());
    sh::run(&mut sudo)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn explain(missing: &[Peer]) -> String {
    let mut text = String::from("missing peers; bring them with");
    for how in [How::Apt, How::Deb, How::Pip, How::Npm, How::Cargo] {
        let these: Vec<Peer> = missing.iter().copied().filter(|peer| peer.how == how).collect();
        if these.is_empty() {
            continue;
        }
        let sudo = if how == How::Apt && !is_root() { "sudo " } else { "" };
        for command in peers::commands(how, &these) {
            text.push_str(&format!("\n    {sudo}{}", sh::line(&command)));
        }
    }
    text.push_str("\nor run the tests that need none of them: cargo xtask test --no-peers");
    text
}
