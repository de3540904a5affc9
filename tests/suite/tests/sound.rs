//! Sound that is decoded and encoded here, beside ffmpeg with its own AAC decoder and libopus.

use std::path::Path;
use std::process::Command;

use millstream_tests::{root, run, run_args};

/// Samples of all channels, decoded by ffmpeg with a decoder of ours to choose.
fn ffmpeg(input: &Path, decoder: &[&str], dir: &Path) -> Vec<i16> {
    let out = dir.join("ffmpeg.pcm");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(decoder)
        .arg("-i")
        .arg(input)
        .args(["-vn", "-f", "s16le"])
        .arg(&out)
        .status()
        .expect("ffmpeg runs: `cargo xtask setup` installs it");
    assert!(status.success());
    samples(&out)
}

fn samples(file: &Path) -> Vec<i16> {
    let bytes = std::fs::read(file).expect("a file");
    bytes.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

/// The level of `right` over the difference of both, in dB.
fn likeness(samples: &[i16], right: &[i16]) -> f64 {
    let square = |v: f64| v * v;
    let signal: f64 = right.iter().map(|v| square(f64::from(*v))).sum();
    let noise: f64 = samples.iter().zip(right).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    10.0 * (signal / noise.max(1.0)).log10()
}

/// Runs a line that writes samples; gives them.
fn ours(line: &str, dir: &Path) -> Vec<i16> {
    let said = run(
        dir,
        &format!("launch --quiet {line} ! audioconvert ! audio/x-raw,format=S16LE ! filesink location=ours.pcm"),
    );
    assert_eq!(said.code, 0, "{}", said.err);
    samples(&dir.join("ours.pcm"))
}

#[test]
fn aac_is_decoded_as_ffmpeg_decodes_it() {
    let dir = tempfile::tempdir().expect("a folder");
    for clip in ["audio_only_aac.flv", "h264b_aac48s_10s.flv"] {
        let clip = root().join("tests/fixtures").join(clip);
        let right = ffmpeg(&clip, &[], dir.path());
        let made = ours(
            &format!("filesrc location={} ! flvdemux name=d d.audio ! aacparse ! aacdec", clip.display()),
            dir.path(),
        );
        assert_eq!(made.len(), right.len());
        let like = likeness(&made, &right);
        assert!(like > 80.0, "{}: {like} dB", clip.display());
    }
}

#[test]
fn opus_is_decoded_as_libopus_decodes_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let clip = root().join("tests/fixtures/eav1_opus.flv");
    let ffmpeg9 = millstream_tests::peers::need("ffmpeg9");
    let out = dir.path().join("opus.ogg");
    // Debian's ffmpeg does not read Enhanced FLV.
    let status =
        Command::new(ffmpeg9).args(["-v", "error", "-i"]).arg(&clip).args(["-vn", "-c", "copy"]).arg(&out).status();
    assert!(status.expect("ffmpeg 9 runs").success());
    let right = ffmpeg(&out, &["-c:a", "libopus"], dir.path());
    let made = ours(
        &format!("filesrc location={} ! flvdemux name=d d.audio ! opusparse ! opusdec", clip.display()),
        dir.path(),
    );
    let like = likeness(&made, &right);
    assert!(
        made.len().abs_diff(right.len()) <= 960 * 2 && like > 80.0,
        "{} and {} samples, {like} dB",
        made.len(),
        right.len()
    );
}

#[test]
fn opus_that_is_made_here_is_what_went_in() {
    let dir = tempfile::tempdir().expect("a folder");
    let input = root().join("tests/fixtures/h264b_aac48s_10s.flv");
    let right = ffmpeg(&input, &[], dir.path());
    let (from, to) = (format!("input={}", input.display()), format!("output={}/opus.flv", dir.path().display()));
    let said = run_args(&root(), &["run", "pipelines/aac-to-opus.yaml", "--set", &from, "--set", &to]);
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
    let out = dir.path().join("opus.ogg");
    let ffmpeg9 = millstream_tests::peers::need("ffmpeg9");
    let flv = dir.path().join("opus.flv");
    let status =
        Command::new(ffmpeg9).args(["-v", "error", "-i"]).arg(&flv).args(["-vn", "-c", "copy"]).arg(&out).status();
    assert!(status.expect("ffmpeg 9 runs").success());
    let heard = ffmpeg(&out, &["-c:a", "libopus"], dir.path());
    let like = likeness(&heard, &right);
    // 96 kbit/s of a synthetic tone; another place in time by half a millisecond would be 10 dB.
    assert!(heard.len() >= right.len() && like > 25.0, "{} and {} samples, {like} dB", heard.len(), right.len());
}

#[test]
fn g711_that_is_made_here_ffmpeg_decodes_to_the_same_samples() {
    let dir = tempfile::tempdir().expect("a folder");
    let input = root().join("tests/fixtures/h264b_aac48s_10s.flv");
    let flv = dir.path().join("g711.flv");
    let (from, to) = (format!("input={}", input.display()), format!("output={}", flv.display()));
    let said = run_args(&root(), &["run", "pipelines/aac-to-g711.yaml", "--set", &from, "--set", &to]);
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
    let heard = ffmpeg(&flv, &["-c:a", "pcm_mulaw"], dir.path());
    let made = ours(&format!("filesrc location={} ! flvdemux name=d d.audio ! mulawdec", flv.display()), dir.path());
    assert!(heard.len() >= 79_000, "10 s of 8000 Hz: {}", heard.len());
    assert!(heard == made && heard.iter().any(|sample| sample.abs() > 1000), "as libavcodec decodes it");

    // What ffmpeg encodes to A-law of the same sound, we decode as it does.
    let alaw = dir.path().join("alaw.flv");
    let encode = ["-v", "error", "-y", "-i"].map(str::to_owned).into_iter().chain([flv.display().to_string()]);
    let status = Command::new("ffmpeg").args(encode).args(["-vn", "-c:a", "pcm_alaw"]).arg(&alaw).status();
    assert!(status.expect("ffmpeg runs").success());
    let heard = ffmpeg(&alaw, &["-c:a", "pcm_alaw"], dir.path());
    assert_eq!(
        heard,
        ours(&format!("filesrc location={} ! flvdemux name=d d.audio ! alawdec", alaw.display()), dir.path())
    );
}
