//! Remuxing a large file, against `ffmpeg -c copy`, against GStreamer once, and against `cp`, which is the limit.

use super::media;
use crate::bench::{Contender, Settings, alternate, command};
use crate::measure::{self, Sample};
use crate::report::{Memory, Row, Unit};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One conversion, as each program is told to do it. Both paths, input and output, stand in for `{}` in this order.
struct Conversion {
    name: &'static str,
    ours: &'static str,
    ffmpeg: &'static str,
    gstreamer: &'static str,
    /// What to open in the output folder.
    output: &'static str,
    /// How many times ffmpeg's rate is asked for.
    bar: f64,
}

/// Twenty times what it needs for the large file.
const GSTREAMER_SECONDS: u32 = 120;

/// Bytes that no conversion may need, whatever the length of the file.
const PEAK: u64 = 16 << 20;

const CONVERSIONS: [Conversion; 4] = [
    Conversion {
        name: "flv-ts",
        ours: "filesrc location={} ! flvdemux name=d d.video ! h264parse ! m.video d.audio ! aacparse ! m.audio \
               tsmux name=m ! filesink location={}/out.ts",
        ffmpeg: "-f mpegts {}/out.ts",
        gstreamer: "filesrc location={} ! flvdemux name=d mpegtsmux name=m ! filesink location={}/out.ts \
                    d.video ! queue ! h264parse ! m. d.audio ! queue ! aacparse ! m.",
        output: "out.ts",
        bar: 1.5,
    },
    Conversion {
        name: "flv-hls",
        ours: "filesrc location={} ! flvdemux name=d d.video ! h264parse ! h.video d.audio ! aacparse ! h.audio \
               hlssink name=h directory={} segment-duration=2s window=0s",
        ffmpeg: "-f hls -hls_time 2 -hls_list_size 0 {}/index.m3u8",
        gstreamer: "filesrc location={} ! flvdemux name=d \
                    hlssink2 name=h target-duration=2 max-files=0 playlist-length=0 location={}/%05d.ts playlist-location={}/index.m3u8 \
                    d.video ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! h264parse ! h.video \
                    d.audio ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! aacparse ! h.audio",
        output: "index.m3u8",
        bar: 2.0,
    },
    Conversion {
        name: "flv-flv",
        ours: "filesrc location={} ! flvdemux name=d d.video ! h264parse ! m.video d.audio ! aacparse ! m.audio \
               flvmux name=m ! filesink location={}/out.flv",
        ffmpeg: "-f flv {}/out.flv",
        gstreamer: "filesrc location={} ! flvdemux name=d flvmux name=m ! filesink location={}/out.flv \
                    d.video ! queue ! h264parse ! m.video d.audio ! queue ! aacparse ! m.audio",
        output: "out.flv",
        bar: 1.4,
    },
    Conversion {
        name: "ts-flv",
        ours: "filesrc location={} ! tsdemux name=d d.video ! h264parse ! m.video d.audio ! aacparse ! m.audio \
               flvmux name=m ! filesink location={}/out.flv",
        ffmpeg: "-f flv {}/out.flv",
        gstreamer: "filesrc location={} ! tsdemux name=d flvmux name=m ! filesink location={}/out.flv \
                    d. ! queue ! h264parse ! m.video d. ! queue ! aacparse ! m.audio",
        output: "out.flv",
        bar: 1.4,
    },
];

/// The line that ours runs for the conversion of this name, for other benches of it.
pub(crate) fn line(name: &str) -> Result<&'static str> {
    Ok(find(name)?.ours)
}

/// Rows against each peer, and the memory that ours needed.
pub(crate) fn run(settings: &Settings, name: &str) -> Result<(Vec<Row>, Memory)> {
    let conversion = find(name)?;
    let bytes = if settings.quick { media::SMALL } else { media::LARGE };
    let input = input(settings, conversion, bytes)?;
    let out = settings.scratch.path("out");
    let [ours, ffmpeg, cp, gstreamer] = contenders(settings, conversion, &input, &out);

    check(settings, &ours, conversion, &input, &out)?;
    let pairs = [ours, ffmpeg, cp];
    let samples = alternate(settings, settings.rounds, &pairs, || empty(&out))?;
    empty(&out)?;
    let once = measure::run(&gstreamer.command, &settings.log());
    empty(&out)?;

    let length = input.metadata()?.len();
    let row = |peer: &Contender, theirs: &[Sample], bar| {
        let mut row = Row::new(conversion.name, peer.name, Unit::Seconds, &samples[0], theirs);
        (row.bytes, row.bar) = (Some(length), bar);
        row
    };
    let mut rows = vec![row(&pairs[1], &samples[1], Some(conversion.bar)), row(&pairs[2], &samples[2], None)];
    match once {
        Ok(sample) => rows.push(row(&gstreamer, &[sample], None)),
        // It has no bar to hold, and a graph of it whose queues fill up never ends.
        Err(error) => eprintln!("no figure of gstreamer: {error}"),
    }
    let memory = memory(settings, conversion, (length, peak(&samples[0])), peak(&samples[1]))?;
    Ok((rows, memory))
}

fn find(name: &str) -> Result<&'static Conversion> {
    CONVERSIONS.iter().find(|conversion| conversion.name == name).with_context(|| format!("no conversion {name}"))
}

fn input(settings: &Settings, conversion: &Conversion, bytes: u64) -> Result<PathBuf> {
    if conversion.name.starts_with("ts") { media::ts(settings, bytes) } else { media::flv(settings, bytes) }
}

fn contenders(settings: &Settings, conversion: &Conversion, input: &Path, out: &Path) -> [Contender; 4] {
    let (input, out) = (&*input.to_string_lossy(), &*out.to_string_lossy());
    let ours = command(&format!("{{}} launch {}", conversion.ours), &[&settings.ours, input, out]);
    let ffmpeg = format!("ffmpeg -nostdin -v error -y -i {{}} -c copy {}", conversion.ffmpeg);
    let gstreamer = format!("timeout {GSTREAMER_SECONDS} gst-launch-1.0 -q {}", conversion.gstreamer);
    [
        Contender { name: "millstream", command: ours },
        Contender { name: "ffmpeg", command: command(&ffmpeg, &[input, out]) },
        Contender { name: "cp", command: command("cp {} {}/copy", &[input, out]) },
        Contender { name: "gstreamer", command: command(&gstreamer, &[input, out, out]) },
    ]
}

/// Removes what the run before wrote: giving its pages back is nobody's cost.
fn empty(out: &Path) -> Result<()> {
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    Ok(std::fs::create_dir_all(out)?)
}

/// A rate means nothing if packets are lost: runs ours once and compares what ffprobe counts before and after.
fn check(settings: &Settings, ours: &Contender, conversion: &Conversion, input: &Path, out: &Path) -> Result<()> {
    empty(out)?;
    measure::run(&ours.command, &settings.log())?;
    let (before, after) = (packets(input)?, packets(&out.join(conversion.output))?);
    if before != after {
        bail!("{}: packets {before:?} went in, {after:?} came out", conversion.name);
    }
    Ok(())
}

/// `type,packets` of each stream, sorted.
fn packets(file: &Path) -> Result<Vec<String>> {
    let mut probe = Command::new("ffprobe");
    probe.args([
        "-v",
        "error",
        "-count_packets",
        "-show_entries",
        "stream=codec_type,nb_read_packets",
        "-of",
        "csv=p=0",
    ]);
    let output = probe.arg(file).output().context("cannot start ffprobe")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut streams: Vec<String> = text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    streams.retain(|line| !line.is_empty());
    streams.sort();
    streams.dedup(); // a transport stream's streams are listed again under their program
    Ok(streams)
}

fn peak(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.peak).max().unwrap_or(0)
}

/// Peaks of the large input beside that of the small one.
fn memory(settings: &Settings, conversion: &Conversion, measured: (u64, u64), peer: u64) -> Result<Memory> {
    let mut peaks = Vec::new();
    if !settings.quick {
        let small = input(settings, conversion, media::SMALL)?;
        let out = settings.scratch.path("out");
        let [ours, ..] = contenders(settings, conversion, &small, &out);
        empty(&out)?;
        peaks.push((small.metadata()?.len(), measure::run(&ours.command, &settings.log())?.peak));
        empty(&out)?;
    }
    peaks.push(measured);
    Ok(Memory { bench: conversion.name, peaks, peer, bar: PEAK })
}
