//! The input: a 1080p FLV of H.264 and AAC, made by repeating a short clip until it is large.

use crate::bench::{Settings, command};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of the large input.
pub(crate) const LARGE: u64 = 450_000_000;
/// Bytes of the small one: for `--quick`, and to see whether memory grows with the input.
pub(crate) const SMALL: u64 = 45_000_000;

/// Five seconds with a visible timer and a beep, for a machine without the shared media.
const GENERATE: &str = "ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=size=1920x1080:rate=30:duration=5 \
    -f lavfi -i sine=frequency=440:sample_rate=48000:beep_factor=4:duration=5 \
    -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -bf 2 -b:v 2500k -c:a aac -b:a 128k -ac 2 -f flv {}";

/// Ten seconds as an encoder streams them: 1080p30, a key frame every two seconds, 2.5 Mbit/s with the sound. The noise is what fills that
/// rate.
pub(crate) const LIVE_2500K: Live =
    Live { size: "1920x1080", noise: 12, video: "2372k", audio: "128k", for_calls: false };
/// The same in small: 360p30, 0.5 Mbit/s.
pub(crate) const LIVE_500K: Live = Live { size: "640x360", noise: 12, video: "436k", audio: "64k", for_calls: false };
/// As a browser or an encoder for WebRTC streams them: 720p30, in the order in which they are shown, of the profile that all browsers know.
pub(crate) const CALL_2500K: Live = Live { size: "1280x720", noise: 12, video: "2500k", audio: "64k", for_calls: true };

/// A stream to publish.
pub(crate) struct Live {
    size: &'static str,
    noise: u32,
    video: &'static str,
    audio: &'static str,
    for_calls: bool,
}

/// An FLV to publish in real time; built once and kept in the work folder.
pub(crate) fn live(settings: &Settings, name: &str, live: &Live) -> Result<PathBuf> {
    let Live { size, noise, video, audio, for_calls } = live;
    let made = settings.work.join(format!("{name}.flv"));
    if !made.is_file() {
        let order = if *for_calls { "-bf 0 -profile:v baseline -level 3.1" } else { "-bf 2" };
        let template = format!(
            "ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=size={size}:rate=30:duration=10,noise=alls={noise}:allf=t \
             -f lavfi -i sine=frequency=440:sample_rate=48000:beep_factor=4:duration=10 \
             -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -keyint_min 60 -sc_threshold 0 {order} \
             -b:v {video} -maxrate {video} -bufsize {video} -c:a aac -b:a {audio} -ac 2 -f flv {{}}"
        );
        make(&template, &[], &made)?;
    }
    Ok(made)
}

/// An FLV of about `bytes`, on tmpfs; built once and kept in the work folder.
pub(crate) fn flv(settings: &Settings, bytes: u64) -> Result<PathBuf> {
    let cached = settings.work.join(format!("input-{}m.flv", bytes / 1_000_000));
    if !cached.is_file() {
        repeat(&clip(settings)?, bytes, &cached)?;
    }
    on_tmpfs(settings, &cached)
}

/// The same streams as MPEG-TS, as ffmpeg writes it.
pub(crate) fn ts(settings: &Settings, bytes: u64) -> Result<PathBuf> {
    let cached = settings.work.join(format!("input-{}m.ts", bytes / 1_000_000));
    if !cached.is_file() {
        let flv = flv(settings, bytes)?;
        make("ffmpeg -nostdin -v error -y -i {} -c copy -f mpegts {}", &[&flv], &cached)?;
    }
    on_tmpfs(settings, &cached)
}

/// The short clip: the shared one where it is present, else one of our making.
pub(crate) fn clip(settings: &Settings) -> Result<PathBuf> {
    if let Some(clip) = &settings.clip {
        return Ok(clip.clone());
    }
    let made = settings.work.join("clip.flv");
    if !made.is_file() {
        make(GENERATE, &[], &made)?;
    }
    Ok(made)
}

fn repeat(clip: &Path, bytes: u64, to: &Path) -> Result<()> {
    let loops = bytes / clip.metadata()?.len().max(1);
    let template = format!("ffmpeg -nostdin -v error -y -stream_loop {loops} -i {{}} -c copy -f flv {{}}");
    make(&template, &[clip], to)
}

/// Runs the command with `to` as its last path, under another name until it is whole.
fn make(template: &str, inputs: &[&Path], to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    let paths: Vec<String> =
        inputs.iter().chain([&part.as_path()]).map(|path| path.to_string_lossy().into_owned()).collect();
    let words = command(template, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let (program, args) = words.split_first().context("an empty command")?;
    let status = Command::new(program).args(args).status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{} ended with {status}", words.join(" "));
    }
    std::fs::rename(&part, to).with_context(|| format!("cannot create {}", to.display()))
}

fn on_tmpfs(settings: &Settings, cached: &Path) -> Result<PathBuf> {
    let there = settings.scratch.path(&cached.file_name().unwrap_or_default().to_string_lossy());
    if !there.is_file() {
        std::fs::copy(cached, &there).with_context(|| format!("cannot create {}", there.display()))?;
    }
    Ok(there)
}
