use millstream_core::{Buffer, BufferFlags, Item, Time};
use millstream_testkit::Harness;

use super::*;

fn ms(ms: i64) -> Time {
    Time::from_millis(ms)
}

fn at(time: i64, flags: BufferFlags) -> Buffer {
    Buffer::new(vec![0; 3]).with_times(Some(ms(time)), Some(ms(time))).with_flags(flags)
}

const KEY: BufferFlags = BufferFlags::KEYFRAME;
const DELTA: BufferFlags = BufferFlags::empty();

fn switch(settings: &str, sinks: &[&str], srcs: &[&str]) -> Result<Harness> {
    let factory = factory();
    let builder = sinks.iter().fold(Harness::builder(&factory).settings(settings), |b, pad| b.sink(pad));
    srcs.iter().fold(builder, |b, pad| b.src(pad)).build()
}

/// An input at 40 ms a frame with a key frame every five: sends frame `n` of a stream whose first timestamp is `start`.
fn frame(harness: &mut Harness, pad: &str, start: i64, n: i64) -> Result<()> {
    let flags = if n % 5 == 0 { KEY } else { DELTA };
    harness.push_buffer(pad, at(start + n * 40, flags))
}

/// Timestamps, `K` for key frames, `!` for a break.
fn sent(harness: &mut Harness, pad: &str) -> Vec<String> {
    let text = |b: &Buffer| {
        let mark = |flag, text| if b.flags.contains(flag) { text } else { "" };
        format!("{}{}{}", b.pts.expect("each has a time").millis(), mark(KEY, "K"), mark(BufferFlags::DISCONT, "!"))
    };
    harness.take_buffers(pad).iter().map(text).collect()
}

#[test]
fn a_dead_input_is_replaced_at_a_key_frame_and_returned_to_when_it_is_stable() -> Result<()> {
    let mut h = switch("timeout=200ms stable-for=300ms", &["sink_0", "sink_1"], &["src"])?;
    h.push_start("sink_0", "video/x-h264")?;
    h.push_start("sink_1", "video/x-h264")?;
    for n in 0..6 {
        h.advance_to(ms(n * 40))?;
        frame(&mut h, "sink_1", 90_000, n)?;
        frame(&mut h, "sink_0", 0, n)?;
    }
    assert_eq!(sent(&mut h, "src"), ["0K", "40", "80", "120", "160", "200K"], "the first keeps its timestamps");
    // Nothing of the primary since 200 ms: dead at 400, the next key frame of the backup is the 11th frame.
    for n in 6..20 {
        h.advance_to(ms(n * 40))?;
        frame(&mut h, "sink_1", 90_000, n)?;
    }
    let spliced = sent(&mut h, "src");
    assert_eq!(spliced[..3], ["240K!", "280", "320"], "a frame behind the last");
    assert_eq!(spliced.len(), 10, "from frame 10 on");
    // Back at 800 ms with timestamps from 0, stable at 1100 ms; its next key frame then is frame 10, at 1200 ms.
    for n in 20..34 {
        h.advance_to(ms(n * 40))?;
        frame(&mut h, "sink_1", 90_000, n)?;
        frame(&mut h, "sink_0", 0, n - 20)?;
    }
    let back = sent(&mut h, "src");
    assert_eq!(back[..10].last().expect("ten"), "1000");
    assert_eq!(back[10..], ["1040K", "1080K!", "1120", "1160", "1200"], "{back:?}");
    h.assert_contract();
    // The end of one is not the end.
    h.push("sink_0", Item::Eos)?;
    assert!(h.items().all(|(_, item)| !matches!(item, Item::Eos)));
    for n in 35..37 {
        frame(&mut h, "sink_1", 90_000, n)?;
    }
    assert_eq!(sent(&mut h, "src"), ["1240K!", "1280"]);
    h.push("sink_1", Item::Eos)?;
    assert_eq!(h.items().last().map(|(_, item)| item.name()), Some("eos"));
    Ok(())
}

fn tag(kind: u8, time: u32, body: &[u8], flags: BufferFlags) -> Buffer {
    let [extended, high, middle, low] = time.to_be_bytes();
    let mut bytes = vec![kind, 0, 0, body.len() as u8, high, middle, low, extended, 0, 0, 0];
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
    Buffer::new(bytes).with_times(Some(ms(time.into())), Some(ms(time.into()))).with_flags(flags)
}

#[test]
fn flv_inputs_bring_their_headers_and_tags_tell_the_time_of_the_output() -> Result<()> {
    let mut h = switch("timeout=200ms", &["sink_0", "sink_1"], &["src"])?;
    for (pad, id, start) in [("sink_0", 1, 5000), ("sink_1", 2, 70_000)] {
        h.push_start(pad, "video/x-flv")?;
        h.push_buffer(pad, Buffer::new(&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..]).with_flags(BufferFlags::HEADER))?;
        h.push_buffer(pad, tag(18, 0, &[id, 18], BufferFlags::HEADER))?;
        h.push_buffer(pad, tag(9, 0, &[id, 9], BufferFlags::HEADER))?;
        h.push_buffer(pad, tag(9, start, &[id], KEY))?;
        h.push_buffer(pad, tag(8, start + 10, &[id], KEY))?;
    }
    h.advance_to(ms(250))?;
    // Sound is a key frame of its own in FLV, and no place to enter at where there are pictures.
    h.push_buffer("sink_1", tag(8, 70_100, &[2, 8], KEY))?;
    h.push_buffer("sink_1", tag(9, 70_110, &[2, 1], KEY))?;
    h.push_buffer("sink_1", tag(8, 70_120, &[2, 8], KEY))?;
    let buffers = h.take_buffers("src");
    let tags: Vec<_> = buffers
        .iter()
        .map(|b| b.payload.contiguous())
        .map(|b| {
            (b[0], u32::from_be_bytes([b[7], b[4], b[5], b[6]]), b.get(11..b.len() - 4).unwrap_or_default().to_vec())
        })
        .skip(1)
        .collect();
    let expected = [
        (18, 5000, vec![1, 18]),
        (9, 5000, vec![1, 9]),
        (9, 5000, vec![1]),
        (8, 5010, vec![1]),
        (18, 5020, vec![2, 18]),
        (9, 5020, vec![2, 9]),
        (9, 5020, vec![2, 1]),
        (8, 5030, vec![2, 8]),
    ];
    assert_eq!(tags, expected);
    assert!(buffers[0].payload.contiguous().starts_with(b"FLV"));
    h.assert_contract();
    Ok(())
}

#[test]
fn a_slate_waits_is_paced_and_loops_without_a_jump() -> Result<()> {
    let mut h = switch("timeout=200ms slate=7", &["sink_0", "sink_7"], &["src"])?;
    h.push_start("sink_0", "video/x-h264")?;
    h.push_start("sink_7", "video/x-h264")?;
    for _ in 0..3 {
        h.push_buffer("sink_7", at(0, KEY | BufferFlags::DISCONT))?;
        (1..10).try_for_each(|n| frame(&mut h, "sink_7", 0, n))?;
    }
    frame(&mut h, "sink_0", 1000, 0)?;
    h.advance_to(ms(199))?;
    assert_eq!(sent(&mut h, "src"), ["1000K"], "the file waits");
    h.advance_to(ms(200))?;
    assert_eq!(sent(&mut h, "src"), ["1040K!"], "from its beginning, and not faster than the clock");
    h.advance_to(ms(200 + 80))?;
    assert_eq!(sent(&mut h, "src"), ["1080", "1120"]);
    h.advance_to(ms(200 + 12 * 40))?;
    let looped = sent(&mut h, "src");
    assert_eq!(looped[6..9], ["1400", "1440K!", "1480"], "{looped:?}");
    // The primary returns at once where nothing is to be waited for.
    let mut h = switch("timeout=200ms stable-for=0s slate=7", &["sink_0", "sink_7"], &["src"])?;
    (0..10).try_for_each(|n| frame(&mut h, "sink_7", 0, n))?;
    h.advance_to(ms(220))?;
    assert_eq!(sent(&mut h, "src"), ["0K"]);
    frame(&mut h, "sink_0", 0, 1)?;
    frame(&mut h, "sink_0", 0, 5)?;
    assert_eq!(sent(&mut h, "src"), ["40K!"], "not before a key frame");
    Ok(())
}

#[test]
fn picture_and_sound_change_together() -> Result<()> {
    let sinks = ["video_0", "audio_0", "video_1", "audio_1"];
    let mut h = switch("timeout=200ms", &sinks, &["video", "audio"])?;
    for n in ["0", "1"] {
        h.push_start(&format!("video_{n}"), "video/x-h264")?;
        h.push_start(&format!("audio_{n}"), "audio/mpeg, mpegversion=4")?;
    }
    frame(&mut h, "video_0", 0, 0)?;
    h.push_buffer("audio_0", at(7, KEY))?;
    h.advance_to(ms(250))?;
    h.push_buffer("audio_1", at(495, KEY))?;
    frame(&mut h, "video_1", 500, 0)?;
    h.push_buffer("audio_1", at(497, KEY))?;
    h.push_buffer("audio_1", at(520, KEY))?;
    assert_eq!(sent(&mut h, "video"), ["0K", "47K!"], "behind the sound, which reaches further: 7 + 40");
    assert_eq!(sent(&mut h, "audio"), ["7K", "67K!"], "sound from before the picture is left out");
    h.assert_contract();
    Ok(())
}

#[test]
fn pads_have_to_belong_together() -> Result<()> {
    let factory = factory();
    let refused = |sinks: &[&str], srcs: &[&str]| factory.check_pads(sinks, srcs).is_err();
    assert!(refused(&["sink_0", "video_1"], &["src", "video"]));
    assert!(refused(&["video_0", "audio_0"], &["video"]));
    assert!(!refused(&["video_0", "audio_0"], &["video", "audio"]) && !refused(&["sink_0"], &["src"]));
    Ok(())
}

#[test]
fn without_any_input_there_is_no_stream() -> Result<()> {
    let mut h = switch("", &["sink_0", "sink_1"], &["src"])?;
    h.push("sink_0", Item::Absent)?;
    h.push("sink_1", Item::Absent)?;
    assert_eq!(h.timeline().to_string(), "src absent\n");
    Ok(())
}

#[test]
fn with_gaps_kept_the_output_is_where_the_clock_is() -> Result<()> {
    let mut h = switch("timeout=200ms keep-gaps=true", &["sink_0", "sink_1"], &["src"])?;
    h.push_start("sink_0", "video/x-h264")?;
    h.push_start("sink_1", "video/x-h264")?;
    for n in 0..20 {
        h.advance_to(ms(n * 40))?;
        frame(&mut h, "sink_1", 90_000, n)?;
        if n < 6 {
            frame(&mut h, "sink_0", 7_000, n)?;
        }
    }
    let sent = sent(&mut h, "src");
    // Dead 200 ms after its last at 200; the next key frame of the other is at 400.
    assert_eq!(sent[..8], ["7000K", "7040", "7080", "7120", "7160", "7200K", "7400K!", "7440"]);
    assert_eq!(sent.last().map(String::as_str), Some("7760"), "as far as the clock");
    Ok(())
}
