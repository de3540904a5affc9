//! What comes out is the sound that went in, at the time at which it went in.
//!
//! The input is computed, so the output can be compared with the same formula: nothing here was copied from an output.

use std::f64::consts::TAU;

use bytes::Bytes;
use millstream_audio::{audioresample, opusdec, opusenc};
use millstream_core::{Buffer, BufferFlags, Factory, Item, Request, Time, TimeDelta};
use millstream_testkit::harness::Harness;

/// A tone in each channel, the second an octave higher, at a time in seconds.
fn tone(seconds: f64, channel: usize) -> f64 {
    0.4 * (TAU * 440.0 * (channel + 1) as f64 * seconds).sin()
}

/// `frames` samples of each channel from one on, as F32LE.
fn tones(rate: u32, channels: usize, from: usize, frames: usize) -> Bytes {
    let samples =
        (from..from + frames).flat_map(|at| (0..channels).map(move |c| tone(at as f64 / f64::from(rate), c) as f32));
    samples.flat_map(f32::to_le_bytes).collect::<Vec<_>>().into()
}

fn caps(rate: u32, channels: usize) -> String {
    format!("audio/x-raw, format=F32LE, layout=interleaved, rate={rate}, channels={channels}")
}

fn harness(factory: &Factory, settings: &str, accepted: &str) -> Harness {
    Harness::builder(factory).settings(settings).sink("sink").src_caps("src", accepted).build().expect("it builds")
}

/// Pushes a second in pieces that are no whole frames.
fn push_second(harness: &mut Harness, rate: u32, channels: usize) {
    const PIECE: usize = 777;
    harness.push_start("sink", &caps(rate, channels)).expect("caps");
    let mut at = 0;
    while at < rate as usize {
        let frames = PIECE.min(rate as usize - at);
        let time = Time::from_millis(5000) + TimeDelta::from_ticks(at as i64, rate);
        let buffer = Buffer::new(tones(rate, channels, at, frames)).with_times(Some(time), None);
        harness.push_buffer("sink", buffer).expect("samples");
        at += frames;
    }
    harness.eos().expect("the end");
    harness.assert_contract();
}

/// Signal over what is not the signal, in dB, of samples that begin at a time (seconds of the tones).
fn signal_to_noise(samples: &[f32], channels: usize, rate: u32, begin: f64) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (at, frame) in samples.chunks_exact(channels).enumerate() {
        for (channel, sample) in frame.iter().enumerate() {
            let right = tone(begin + at as f64 / f64::from(rate), channel);
            signal += right * right;
            noise += (right - f64::from(*sample)).powi(2);
        }
    }
    10.0 * (signal / noise.max(1e-12)).log10()
}

/// The samples of buffers that follow each other without a gap, and the time of the first.
fn joined(buffers: &[Buffer]) -> (Vec<f32>, Time) {
    let mut samples = Vec::new();
    let mut end = buffers[0].pts.expect("a time");
    for buffer in buffers {
        let off = buffer.pts.expect("a time").since(end).nanos();
        assert!(off.abs() <= 1, "{off} ns between two buffers");
        end += buffer.duration.expect("a duration");
        samples.extend(buffer.payload.contiguous().as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)));
    }
    (samples, buffers[0].pts.expect("a time"))
}

/// How much later than its formula a tone is, in seconds, and its level over what else is there, in dB. The samples are whole periods.
fn fit(samples: &[f64], frequency: f64, rate: u32, begin: f64) -> (f64, f64) {
    let angle = |at: usize| TAU * frequency * (begin + at as f64 / f64::from(rate));
    let part = |wave: fn(f64) -> f64| {
        samples.iter().enumerate().map(|(at, v)| v * wave(angle(at))).sum::<f64>() * 2.0 / samples.len() as f64
    };
    let (sine, cosine) = (part(f64::sin), part(f64::cos));
    let power = samples.iter().map(|v| v * v).sum::<f64>() / samples.len() as f64;
    let signal = (sine * sine + cosine * cosine) / 2.0;
    ((-cosine).atan2(sine) / (TAU * frequency), 10.0 * (signal / (power - signal).max(1e-12)).log10())
}

#[test]
fn another_rate_is_the_same_sound_at_the_same_time() {
    for (from, to, channels) in [(44_100, 48_000, 2), (48_000, 16_000, 1), (22_050, 48_000, 1), (48_000, 44_100, 2)] {
        let mut harness = harness(&audioresample::factory(), "", &format!("audio/x-raw, rate={to}"));
        push_second(&mut harness, from, channels);
        let (samples, begin) = joined(&harness.take_buffers("src"));
        assert_eq!(begin, Time::from_millis(5000));
        assert_eq!(samples.len() / channels, to as usize, "{from} to {to}: a second is a second");
        // The filter rings where the tone is cut off at both ends; 0.9 s of 440 Hz are whole periods.
        let edge = to as usize / 20;
        for channel in 0..channels {
            let middle = samples.iter().skip(edge * channels + channel).step_by(channels).take(to as usize - 2 * edge);
            let middle: Vec<_> = middle.map(|sample| f64::from(*sample)).collect();
            let (late, ratio) = fit(&middle, 440.0 * (channel + 1) as f64, to, 0.05);
            // The middle of the filter may lie between two samples, and its delay is told in whole ones.
            assert!(late.abs() < 1.1 / f64::from(from.min(to)), "{from} to {to}: {late} s late");
            assert!(ratio > 90.0, "{from} to {to}: {ratio} dB");
        }
    }
}

#[test]
fn a_rate_that_is_accepted_passes_untouched() {
    let mut harness = harness(&audioresample::factory(), "", "audio/x-raw, rate={ 44100, 48000 }");
    harness.push_start("sink", &caps(44_100, 1)).expect("caps");
    let sound = tones(44_100, 1, 0, 100);
    harness.push_buffer("sink", Buffer::new(sound.clone())).expect("samples");
    assert_eq!(harness.take_buffers("src")[0].payload.contiguous().as_ptr(), sound.as_ptr());
}

/// Packets of a second of tones.
fn packets(rate: u32, channels: usize, settings: &str) -> (Vec<Item>, Vec<Buffer>) {
    let mut harness = harness(&opusenc::factory(), settings, "ANY");
    push_second(&mut harness, rate, channels);
    let items = harness.take("src");
    let buffers = items
        .iter()
        .filter_map(|item| if let Item::Buffer(buffer) = item { Some(Buffer::clone(buffer)) } else { None });
    let buffers = buffers.collect();
    (items, buffers)
}

fn head(items: &[Item]) -> String {
    items.iter().find_map(|item| if let Item::Caps(caps) = item { Some(caps.to_string()) } else { None }).expect("caps")
}

#[test]
fn opus_there_and_back_is_the_same_sound() {
    for (rate, channels, settings, floor) in [
        (48_000, 2, "bitrate=128000", 25.0),
        (48_000, 1, "bitrate=96000 frame-size=10 bitrate-type=cbr", 25.0),
        (16_000, 1, "bitrate=32000 frame-size=60", 10.0),
        (48_000, 2, "bitrate=128000 frame-size=2.5 audio-type=restricted-lowdelay", 20.0),
    ] {
        let (items, packets) = packets(rate, channels, settings);
        let mut decoder = harness(&opusdec::factory(), "", "ANY");
        decoder.push_start("sink", &head(&items)).expect("caps");
        for packet in packets {
            decoder.push_buffer("sink", packet).expect("a packet");
        }
        let (samples, begin) = joined(&decoder.take_buffers("src"));
        assert!(samples.len() / channels >= 48_000, "all of the second comes back");
        // What the decoder leaves out of the first packet is the encoder's delay: the sound begins with the first sample that is left.
        let skipped = begin.since(Time::from_millis(5000)).seconds();
        assert!((0.0..0.007).contains(&skipped), "{skipped} s were skipped");
        let ratio = signal_to_noise(&samples[4800 * channels..43_200 * channels], channels, 48_000, 0.1);
        assert!(ratio > floor, "{settings}: {ratio} dB");
    }
}

#[test]
fn times_of_packets_are_those_of_the_samples() {
    let (_, packets) = packets(48_000, 2, "");
    for (at, packet) in packets.iter().enumerate() {
        assert_eq!(packet.pts, Some(Time::from_millis(5000 + 20 * at as i64)));
        assert_eq!(packet.duration, Some(TimeDelta::from_millis(20)));
    }
    // A second, and the packet that brings out what the encoder holds back.
    assert_eq!(packets.len(), 51);
}

#[test]
fn a_jump_in_the_times_begins_anew_and_jitter_does_not() {
    let mut harness = harness(&opusenc::factory(), "", "ANY");
    harness.push_start("sink", &caps(48_000, 1)).expect("caps");
    for (at, millis) in [0, 21, 39, 5000, 5020].into_iter().enumerate() {
        let buffer = Buffer::new(tones(48_000, 1, at * 960, 960)).with_times(Some(Time::from_millis(millis)), None);
        harness.push_buffer("sink", buffer).expect("samples");
    }
    let packets = harness.take_buffers("src");
    let times: Vec<_> = packets.iter().map(|packet| packet.pts.expect("a time").millis()).collect();
    assert_eq!(times, [0, 20, 40, 60, 5000, 5020], "one packet more brings out what was held back before the jump");
    let broken: Vec<_> = packets.iter().map(|packet| packet.flags.contains(BufferFlags::DISCONT)).collect();
    assert_eq!(broken, [false, false, false, false, true, false]);
}

#[test]
fn a_lost_packet_is_filled_and_a_long_gap_is_not() {
    for (lost, filled) in [(1, true), (5, true), (10, false)] {
        let (items, mut packets) = packets(48_000, 1, "inband-fec=true packet-loss-percentage=20");
        packets.drain(20..20 + lost);
        let mut decoder = harness(&opusdec::factory(), "", "ANY");
        decoder.push_start("sink", &head(&items)).expect("caps");
        for packet in packets {
            decoder.push_buffer("sink", packet).expect("a packet");
        }
        let buffers = decoder.take_buffers("src");
        let broken = buffers.iter().any(|buffer| buffer.flags.contains(BufferFlags::DISCONT));
        assert_eq!(broken, !filled, "{lost} lost");
        if filled {
            let (samples, _) = joined(&buffers);
            assert!(samples.len() >= 48_000, "{lost} lost");
        }
    }
}

#[test]
fn packets_that_are_none_are_counted() {
    let mut decoder = harness(&opusdec::factory(), "", "ANY");
    decoder.push_start("sink", "audio/x-opus, rate=48000, channels=2").expect("caps");
    // Code 3 with more frames than 120 ms hold (RFC 6716 3.2.5), and a packet of nothing.
    for wrong in [&[0xff, 0x3f][..], &[]] {
        decoder.push_buffer("sink", Buffer::new(Bytes::copy_from_slice(wrong))).expect("it is only dropped");
    }
    assert!(decoder.take_buffers("src").is_empty());
    assert_eq!(decoder.drops.len(), 2);
}

#[test]
fn the_bitrate_is_what_was_asked_for() {
    for (settings, asked, bits) in
        [("bitrate=32000", None, 32_000), ("bitrate=128000", None, 128_000), ("bitrate=128000", Some(24_000), 24_000)]
    {
        let mut harness = harness(&opusenc::factory(), &format!("{settings} bitrate-type=cbr"), "ANY");
        if let Some(asked) = asked {
            harness.request("src", Request::Bitrate(asked)).expect("a request");
        }
        push_second(&mut harness, 48_000, 2);
        let packets = harness.take_buffers("src");
        let bytes: usize = packets.iter().map(|packet| packet.payload.len()).sum();
        let made = bytes as f64 * 8.0 / (packets.len() as f64 * 0.02);
        assert!((made / f64::from(bits) - 1.0).abs() < 0.05, "{settings} {asked:?}: {made} bit/s");
    }
}
