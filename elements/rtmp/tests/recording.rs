//! Recordings without files: what is sent when, seeks with and without an index, and pauses.

use bytes::Bytes;
use millstream_core::{Time, TimeDelta};
use millstream_flv::wire::{FileHeader, FlvWriter, Keyframes, MetaData, Slices, Tag, TagKind};
use millstream_rtmp::recording::{Answer, Playback, Span, Step};
use proptest::prelude::*;

const AHEAD: TimeDelta = TimeDelta::from_millis(1000);

/// Key frames on every second, other frames on the halves, sound on the quarters; ten seconds that begin at some timestamp.
struct Recording {
    bytes: Vec<u8>,
    /// Offsets of the key frames.
    keys: Vec<u64>,
}

const SECONDS: u32 = 10;

/// Makes an index of the offsets of the key frames.
type Index<'a> = &'a dyn Fn(&[u64]) -> Keyframes;

fn recording(base: u32, index: Option<Index<'_>>) -> Recording {
    // Offsets follow from the sizes alone: twice the same.
    let empty = |count: usize| Keyframes { times: vec![0.0; count], positions: vec![0.0; count] };
    let first = write(base, index.map(|_| empty(SECONDS as usize)));
    match index {
        Some(index) => write(base, Some(index(&first.keys))),
        None => first,
    }
}

fn write(base: u32, keyframes: Option<Keyframes>) -> Recording {
    let (mut writer, mut out, mut keys) = (FlvWriter::new(), Slices::new(), Vec::new());
    writer.file_header(FileHeader::new(true, true), &mut out);
    if keyframes.is_some() {
        let metadata = MetaData { keyframes, duration: Some(9.75), ..MetaData::default() };
        let mut body = Vec::new();
        millstream_amf::amf0::write(&"onMetaData".into(), &mut body);
        millstream_amf::amf0::write(&metadata.to_value(), &mut body);
        writer.tag(TagKind::Script, 0, &[], &[body.into()], &mut out).expect("it fits");
    }
    let mut tag = |kind, timestamp, body: &[u8]| {
        writer.tag(kind, timestamp, &[], &[Bytes::copy_from_slice(body)], &mut out).expect("it fits")
    };
    tag(TagKind::Video, 0, b"\x17\x00\0\0\0\x01\x64\0\x1f");
    tag(TagKind::Audio, 0, b"\xaf\x00\x11\x90");
    for quarter in 0..SECONDS * 4 {
        let timestamp = base.wrapping_add(quarter * 250);
        match quarter % 4 {
            0 => keys.push(tag(TagKind::Video, timestamp, b"\x17\x01\0\0\0key")),
            2 => drop(tag(TagKind::Video, timestamp, b"\x27\x01\0\0\0inter")),
            _ => drop(tag(TagKind::Audio, timestamp, b"\xaf\x01sound")),
        }
    }
    Recording { bytes: out.take().concat(), keys }
}

fn right(keys: &[u64]) -> Keyframes {
    let times = (0..keys.len()).map(|second| second as f64).collect();
    Keyframes { times, positions: keys.iter().map(|offset| *offset as f64).collect() }
}

struct Player {
    playback: Playback,
    file: Vec<u8>,
    now: Time,
    /// Bytes that were read.
    read: usize,
    /// Of each read at most.
    block: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Answer(Answer),
    /// `M`, `V`, `A` for headers; `K`, `v`, `a` for frames.
    Tag(char, u32),
    End,
    Malformed,
}

impl Player {
    fn new(recording: &Recording, span: Span) -> Self {
        let playback = Playback::new(span, AHEAD, Time::ZERO);
        Self { playback, file: recording.bytes.clone(), now: Time::ZERO, read: 0, block: usize::MAX }
    }

    /// What comes until nothing does at this time, and until when.
    fn until_quiet(&mut self) -> (Vec<Got>, Option<Time>) {
        let mut got = Vec::new();
        loop {
            match self.playback.step(self.now) {
                Step::Read { offset, len } => {
                    let rest = self.file.get(offset as usize..).unwrap_or_default();
                    let bytes = Bytes::copy_from_slice(&rest[..rest.len().min(len).min(self.block)]);
                    self.read += bytes.len();
                    self.playback.supply(bytes);
                }
                Step::Answer(answer) => got.push(Got::Answer(answer)),
                Step::Send(tag) => got.push(Got::Tag(letter(&tag), tag.timestamp)),
                Step::Wait(time) => return (got, Some(time)),
                Step::Idle => return (got, None),
                Step::End => got.push(Got::End),
                Step::Malformed => got.push(Got::Malformed),
            }
        }
    }

    /// What comes to the end, and when.
    fn plays_out(&mut self) -> Vec<(i64, Got)> {
        let mut all = Vec::new();
        loop {
            let (got, next) = self.until_quiet();
            all.extend(got.into_iter().map(|got| (self.now.millis(), got)));
            match next {
                Some(time) => self.now = time,
                None => return all,
            }
        }
    }

    fn goes_to(&mut self, millis: i64) -> Vec<Got> {
        let mut all = Vec::new();
        while self.now < Time::from_millis(millis) {
            let (got, next) = self.until_quiet();
            all.extend(got);
            self.now = next.unwrap_or(Time::MAX).min(Time::from_millis(millis));
        }
        all.extend(self.until_quiet().0);
        all
    }
}

fn letter(tag: &Tag) -> char {
    match (tag.kind, tag.body.first(), tag.body.get(1)) {
        (TagKind::Video, _, Some(0)) => 'V',
        (TagKind::Video, Some(0x17), _) => 'K',
        (TagKind::Video, ..) => 'v',
        (TagKind::Audio, _, Some(0)) => 'A',
        (TagKind::Audio, ..) => 'a',
        _ => 'M',
    }
}

/// `K0 a250 …`
fn shown(got: &[Got]) -> String {
    let word = |got: &Got| match got {
        Got::Tag(letter, position) => format!("{letter}{position}"),
        other => format!("{other:?}"),
    };
    got.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn from(start: u32) -> Span {
    Span { start, ..Span::default() }
}

#[test]
fn rtmp_m6_a_recording_is_sent_as_far_ahead_as_the_client_keeps() {
    // Whatever its first timestamp is, positions begin with 0.
    for base in [0, 5000, u32::MAX - 3000] {
        let mut player = Player::new(&recording(base, None), Span::default());
        let all = player.plays_out();
        let (times, got): (Vec<i64>, Vec<Got>) = all.into_iter().unzip();
        let begin = "Answer(Started) V0 A0 K0 a250 v500 a750 K1000 a1250 v1500";
        assert!(shown(&got).starts_with(begin), "{}", shown(&got));
        assert!(shown(&got).ends_with("v9500 a9750 End"), "{}", shown(&got));
        for (time, got) in times.iter().zip(&got) {
            if let Got::Tag(_, position) = got {
                assert_eq!(*time, (i64::from(*position) - 1000).max(0), "{got:?}");
            }
        }
    }
}

#[test]
fn rtmp_m6_a_start_is_at_the_key_frame_at_or_before_with_headers() {
    let wrong: Index<'_> = &|keys| {
        let mut told = right(keys);
        told.positions.rotate_left(3);
        told.positions.sort_by(f64::total_cmp);
        told.positions.iter_mut().for_each(|offset| *offset += 40.0);
        told
    };
    for (index, name) in [(None, "none"), (Some(&right as Index<'_>), "right"), (Some(wrong), "wrong")] {
        for block in [usize::MAX, 7] {
            for (start, key) in [(0, 0), (999, 0), (1000, 1000), (4600, 4000), (9700, 9000)] {
                let recording = recording(0, index);
                let mut player = Player::new(&recording, from(start));
                player.block = block;
                let got = player.until_quiet().0;
                // Timestamps begin with 0, as with Flash Media Server.
                let begin = if index.is_none() { "Answer(Started) V0 A0 K0 " } else { "Answer(Started) M0 V0 A0 K0 " };
                assert!(shown(&got).starts_with(begin), "index {name}, start {start}: {}", shown(&got));
                // What lies before where it begins comes at once, and what lies behind ahead of its time.
                let last = (start + 1000).min(9750) / 250 * 250 - key;
                assert!(shown(&got).contains(&last.to_string()), "start {start}: {}", shown(&got));
                assert!(!shown(&got).contains(&(last + 250).to_string()), "start {start}: {}", shown(&got));
            }
        }
    }
}

#[test]
fn rtmp_m6_an_index_spares_reading_what_lies_before() {
    let padded = |index| {
        let mut recording = recording(0, index);
        let at = recording.keys[8] as usize;
        // Two seconds that are read, and much behind the headers that is not.
        recording.bytes.truncate(at + 200);
        recording
    };
    let mut told = Player::new(&padded(Some(&right)), from(8000));
    told.block = 64;
    let got = told.until_quiet().0;
    assert!(shown(&got).starts_with("Answer(Started) M0 V0 A0 K0"), "{}", shown(&got));
    assert!(told.read < told.file.len(), "{} of {}", told.read, told.file.len());
}

#[test]
fn rtmp_m6_a_duration_ends_it_and_0_is_a_single_frame() {
    let recording = recording(0, None);
    let play = |start, duration| {
        let mut player = Player::new(&recording, Span { start, duration: Some(duration), timestamp: 0 });
        let got: Vec<Got> = player.plays_out().into_iter().map(|(_, got)| got).collect();
        shown(&got)
    };
    assert_eq!(play(0, 600), "Answer(Started) V0 A0 K0 a250 v500 End");
    assert_eq!(play(3000, 500), "Answer(Started) V0 A0 K0 a250 End");
    assert_eq!(play(5000, 0), "Answer(Started) V0 A0 K0 End");
    assert_eq!(play(60_000, 500), "Answer(Started) End", "behind the end");
}

#[test]
fn rtmp_m6_seeks_go_anywhere_and_not_beyond_the_end() {
    for index in [None, Some(&right as Index<'_>)] {
        let mut player = Player::new(&recording(0, index), Span::default());
        player.goes_to(500);
        let heads = |at| if index.is_some() { format!("M0 V{at} A{at} K{at}") } else { format!("V{at} A{at} K{at}") };
        player.playback.seek(7200);
        let got = shown(&player.until_quiet().0);
        assert_eq!(got, format!("Answer(Sought(true)) {} a7250 v7500 a7750 K8000", heads(7000)));
        player.playback.seek(2000);
        let got = shown(&player.goes_to(1000));
        assert_eq!(got, format!("Answer(Sought(true)) {} a2250 v2500 a2750 K3000 a3250 v3500", heads(2000)));
        player.playback.seek(11_000);
        assert_eq!(shown(&player.until_quiet().0), "Answer(Sought(false))");
        assert_eq!(shown(&player.goes_to(1250)), "a3750", "it goes on where it was");
        // The second of two seeks at once counts, and both are answered.
        player.playback.seek(9000);
        player.playback.seek(0);
        let got = shown(&player.until_quiet().0);
        assert!(got.starts_with("Answer(Sought(true)) Answer(Sought(true)) "), "{got}");
        assert!(got.contains("V0 A0 K0 a250"), "{got}");
        // Also from the end.
        player.plays_out();
        player.playback.seek(8000);
        assert!(shown(&player.until_quiet().0).contains("K8000"));
    }
}

#[test]
fn rtmp_m6_a_pause_goes_on_behind_where_the_client_stands() {
    let mut player = Player::new(&recording(0, None), Span::default());
    player.goes_to(1000);
    player.playback.pause();
    assert_eq!(player.goes_to(60_000), []);
    // It kept everything: what comes is new, at the speed of time.
    player.playback.resume(2000, player.now);
    assert_eq!(shown(&player.goes_to(60_250)), "Answer(Resumed) a2250 v2500 a2750 K3000 a3250");
    player.playback.pause();
    // It kept nothing beyond what it has shown: the rest comes again, no frame of it twice and none missing.
    player.playback.resume(1600, player.now);
    assert_eq!(shown(&player.until_quiet().0), "Answer(Resumed) a1750 K2000 a2250 v2500");
    // A client that claims to be ahead of everything is where it can be.
    player.playback.pause();
    player.playback.resume(1_000_000, player.now);
    let got = shown(&player.until_quiet().0);
    assert!(got.starts_with("Answer(Resumed) a2750 K3000"), "{got}");
}

#[test]
fn rtmp_m6_positions_are_those_of_the_client_also_behind_a_start() {
    let mut player = Player::new(&recording(0, None), Span { start: 4000, timestamp: 500, ..Span::default() });
    assert_eq!(shown(&player.until_quiet().0), "Answer(Started) V500 A500 K500 a750 v1000 a1250 K1500");
    player.playback.pause();
    player.playback.resume(800, player.now);
    assert_eq!(shown(&player.until_quiet().0), "Answer(Resumed) v1000 a1250 K1500 a1750");
    // A seek is to a position of the recording, whose timestamps count from then on.
    player.playback.seek(1000);
    assert!(shown(&player.until_quiet().0).starts_with("Answer(Sought(true)) V1000 A1000 K1000 a1250"));
}

#[test]
fn rtmp_m6_another_rate_goes_on_at_the_next_key_frame() {
    for index in [None, Some(&right as Index<'_>)] {
        for start in [0, 3000] {
            let mut old = Player::new(&recording(0, None), from(start));
            let mut sent = old.goes_to(700);
            let mut new = Player::new(&recording(0, index), from(0));
            new.playback = Playback::behind(&old.playback);
            // It looks, and says nothing.
            assert_eq!(new.until_quiet(), (vec![], None));
            let joins = new.playback.joins_at().expect("a key frame");
            assert_eq!(joins, start + 2000);
            old.playback.end_at(joins);
            sent.extend(old.goes_to(1000));
            let end = sent.pop();
            assert_eq!(end, Some(Got::End));
            new.playback.join(&old.playback);
            new.now = old.now;
            let goes_on = new.goes_to(1500);
            let heads = if index.is_some() { "M0 V2000 A2000" } else { "V2000 A2000" };
            assert_eq!(shown(&goes_on), format!("{heads} K2000 a2250 v2500"), "as far ahead as before");
            assert!(shown(&sent).ends_with("K1000 a1250 v1500 a1750"), "{}", shown(&sent));
        }
    }
    // There is nothing to go over to behind the last key frame.
    let mut old = Player::new(&recording(0, None), from(9000));
    old.goes_to(500);
    let mut new = Player::new(&recording(0, None), from(0));
    new.playback = Playback::behind(&old.playback);
    assert_eq!(new.until_quiet(), (vec![Got::End], None));
}

#[test]
fn rtmp_m6_a_seek_while_it_pauses_is_answered_and_waits() {
    let mut player = Player::new(&recording(0, None), Span::default());
    player.goes_to(500);
    player.playback.pause();
    player.playback.seek(6000);
    assert_eq!(shown(&player.goes_to(9000)), "Answer(Sought(true))");
    player.playback.resume(700, player.now);
    assert_eq!(shown(&player.until_quiet().0), "Answer(Resumed) V6000 A6000 K6000 a6250 v6500 a6750 K7000");
}

#[test]
fn rtmp_m6_video_that_is_wanted_again_resumes_at_a_key_frame() {
    let mut player = Player::new(&recording(0, None), Span::default());
    player.until_quiet();
    player.playback.receive(false, false);
    assert_eq!(player.goes_to(1250), []);
    player.playback.receive(true, true);
    assert_eq!(shown(&player.goes_to(2250)), "a2750 K3000 a3250", "v2500 is left out");
}

#[test]
fn rtmp_m6_sound_alone_can_be_sought_in() {
    let (mut writer, mut out) = (FlvWriter::new(), Slices::new());
    writer.file_header(FileHeader::new(true, false), &mut out);
    for step in 0..100 {
        writer.tag(TagKind::Audio, step * 100, &[], &[Bytes::from_static(b"\x2fsound")], &mut out).expect("it fits");
    }
    let recording = Recording { bytes: out.take().concat(), keys: Vec::new() };
    let mut player = Player::new(&recording, from(5550));
    assert!(shown(&player.until_quiet().0).starts_with("Answer(Started) a0 a100"));
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    for start in [0, 1000] {
        let recording = Recording { bytes: b"no FLV at all, but long enough".to_vec(), keys: Vec::new() };
        let got = shown(&Player::new(&recording, from(start)).until_quiet().0);
        assert!(got.ends_with("Malformed"), "{got}");
        let empty = Recording { bytes: Vec::new(), keys: Vec::new() };
        let got = shown(&Player::new(&empty, from(start)).until_quiet().0);
        assert_eq!(got, "Answer(Started) End");
    }
}

proptest! {
    /// Damage anywhere neither panics nor hangs, and seeks are answered.
    #[test]
    fn damaged_recordings_are_played_to_their_end(
        damage in prop::collection::vec((0..2000_usize, any::<u8>()), 0..30),
        seeks in prop::collection::vec(0..12_000_u32, 0..5),
        cut in 0..2000_usize,
        start in 0..12_000_u32,
    ) {
        let mut recording = recording(0, Some(&right));
        for (at, byte) in damage {
            if let Some(place) = recording.bytes.get_mut(at) {
                *place = byte;
            }
        }
        recording.bytes.truncate(recording.bytes.len() - cut.min(recording.bytes.len()));
        let mut player = Player::new(&recording, from(start));
        let mut answers = 0;
        for seek in &seeks {
            answers += player.until_quiet().0.iter().filter(|got| matches!(got, Got::Answer(_))).count();
            player.playback.seek(*seek);
        }
        let rest = player.plays_out();
        answers += rest.iter().filter(|(_, got)| matches!(got, Got::Answer(_))).count();
        let malformed = rest.iter().any(|(_, got)| *got == Got::Malformed);
        prop_assert!(malformed || answers == seeks.len() + 1, "{answers} of {}", seeks.len() + 1);
    }
}
