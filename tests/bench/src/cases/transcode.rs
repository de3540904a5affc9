//! Decoding, scaling and encoding through the plugin of GStreamer, beside the same elements in gst-launch.

use super::plugins::{manifest, with_plugins};
use crate::bench::{Contender, Settings, alternate, command, median};
use crate::measure::Sample;
use crate::report::{Bar, Figure};
use anyhow::{Context, Result};
use std::path::Path;

/// CPU seconds a picture may be so many times those of gst-launch.
const CPU: f64 = 1.03;
/// The same of peak memory.
const MEMORY: f64 = 1.2;
/// Pairs of runs.
const ROUNDS: usize = 11;
/// Pictures of the clip.
const PICTURES: f64 = 600.0;

/// The elements of both.
const ELEMENTS: &str = "avdec_h264 ! videoconvert ! videoscale ! video/x-raw,width=480,height=270 ! \
                        x264enc bitrate=600 speed-preset=veryfast key-int-max=60";

pub(crate) fn run(settings: &Settings) -> Result<Vec<Figure>> {
    let folder = settings.scratch.path("gstreamer");
    std::fs::create_dir_all(&folder)?;
    let release = Path::new(&settings.ours).parent().context("a program is in a folder")?;
    let library = folder.join("libmillstream_gstreamer.so");
    std::fs::copy(release.join("libmillstream_gstreamer.so"), &library).context("plugins/gstreamer is not built")?;
    manifest(settings, &library)?;

    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/media/demo.flv").display().to_string();
    let [ours, theirs] = ["ours.flv", "theirs.flv"].map(|name| settings.scratch.path(name).display().to_string());
    let around = |input: &str, elements: &str, output: &str| {
        format!(
            "filesrc location={input} ! flvdemux ! h264parse ! {elements} ! h264parse ! flvmux ! filesink location={output}"
        )
    };
    let mut through = with_plugins(&folder, "{} launch --quiet", settings);
    through.push(around(&clip, &format!("gst pipeline=\"{ELEMENTS}\""), &ours));
    let peer = command(&format!("gst-launch-1.0 -q {}", around("{}", ELEMENTS, "{}")), &[&clip, &theirs]);
    let contenders =
        [Contender { name: "millstream", command: through }, Contender { name: "gstreamer", command: peer }];
    let rounds = if settings.quick { settings.rounds } else { ROUNDS };
    alternate(settings, 1, &contenders, || Ok(()))?; // brings programs and libraries into memory
    let samples = alternate(settings, rounds, &contenders, || Ok(()))?;
    let figure = |what: &str, unit, of: &dyn Fn(&Sample) -> f64, bar| {
        let [ours, theirs] = [&samples[0], &samples[1]].map(|samples| samples.iter().map(of).collect::<Vec<f64>>());
        Figure {
            bench: "transcode",
            what: what.to_owned(),
            unit,
            peer: "gstreamer",
            ratio: Some(median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs))),
            ours: median(ours),
            theirs: Some(median(theirs)),
            bar: Some(bar),
            rounds,
        }
    };
    Ok(vec![
        figure("CPU a picture, decoded, scaled and encoded", "ms", &|s| s.cpu * 1e3 / PICTURES, Bar::RatioAtMost(CPU)),
        figure("peak memory", "MB", &|s| s.peak as f64 / 1e6, Bar::RatioAtMost(MEMORY)),
    ])
}
