//! Recordings that are played, and that are made.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_core::{Time, TimeDelta};
use millstream_flv::live::{Class, Head, classify};
use millstream_flv::wire::{FlvReader, Tag, TagKind};
use millstream_rtmp::recording::{Playback, Span, Step, Tape};

/// Requests of a client at the most.
const REQUESTS: usize = 16;
/// Bytes of a request: what, and a number.
const REQUEST: usize = 5;
/// Steps for each byte of the file and each request: a seek reads the file once more, an index that lies a second time.
const STEPS: usize = 8;

/// The last byte says how many requests are ahead of it, what is in front of them is a file.
struct Script<'a> {
    requests: VecDeque<(u8, u32)>,
    file: &'a [u8],
}

fn script(data: &[u8]) -> Option<Script<'_>> {
    let (last, rest) = data.split_last()?;
    let len = (usize::from(*last) % REQUESTS * REQUEST).min(rest.len());
    let (file, requests) = rest.split_at(rest.len() - len);
    let number = |bytes: &[u8]| u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
    let requests = requests.chunks_exact(REQUEST).map(|bytes| (bytes[0], number(bytes))).collect();
    Some(Script { requests, file })
}

/// A client asks for something.
fn ask(playback: &mut Playback, (what, number): (u8, u32), now: Time) {
    match what % 8 {
        0 | 1 => playback.seek(number % 20_000),
        2 => playback.seek(number),
        3 => playback.pause(),
        4 => playback.resume(number, now),
        5 => playback.receive(number % 2 == 0, number % 3 == 0),
        6 => playback.set_ahead(TimeDelta::from_millis((number % 10_000).into())),
        _ => {
            let mut next = Playback::behind(playback);
            next.join(playback);
            *playback = next;
        }
    }
}

/// Whatever the file holds and the client asks: it comes to an end, no tag is longer than the file, and what is to be waited for lies ahead.
pub fn playback(data: &[u8]) {
    let Some(Script { mut requests, file }) = script(data) else { return };
    let (start, duration) = match requests.pop_front() {
        Some((what, number)) => (number % 15_000, (what % 2 == 0).then_some(number % 5_000)),
        None => (0, None),
    };
    let mut now = Time::ZERO;
    let span = Span { start, duration, timestamp: 0 };
    let mut playback = Playback::new(span, TimeDelta::from_secs(1), now);
    let limit = STEPS * (requests.len() + 1) * (file.len() + 64);
    let mut last = false;
    for _ in 0..limit {
        match playback.step(now) {
            Step::Read { offset, len } => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
                playback.supply(Bytes::copy_from_slice(&file[from..file.len().min(from.saturating_add(len))]));
            }
            Step::Send(tag) => assert!(tag.body.len() <= file.len()),
            Step::Wait(until) => {
                assert!(until > now, "it waits for {until:?} at {now:?}");
                now = until;
                // Clients ask in the middle too.
                if let Some(request) = requests.pop_front() {
                    ask(&mut playback, request, now);
                }
            }
            Step::Answer(_) => {}
            Step::End | Step::Malformed | Step::Idle => match requests.pop_front() {
                Some(request) => ask(&mut playback, request, now),
                None if last => return,
                // What is paused for good would wait.
                None => {
                    last = true;
                    playback.resume(0, now);
                }
            },
        }
    }
    panic!("it does not end");
}

/// Tags as the bytes say them: kind, timestamp, length, body.
fn tags(mut data: &[u8]) -> Vec<(u8, u32, Bytes)> {
    let mut tags = Vec::new();
    while let [kind, a, b, c, d, len, rest @ ..] = data {
        let (body, behind) = rest.split_at(usize::from(*len).min(rest.len()));
        tags.push((*kind, u32::from_be_bytes([*a, *b, *c, *d]), Bytes::copy_from_slice(body)));
        data = behind;
    }
    tags
}

/// A file of whatever was published can be read, holds all of it in order, and begins with what the rest holds.
pub fn tape(data: &[u8]) {
    let (mut tape, mut pushed, mut file) = (Tape::default(), Vec::new(), Vec::new());
    for (kind, timestamp, body) in tags(data) {
        let kind = match kind % 8 {
            0 => {
                tape.next_part();
                continue;
            }
            1..4 => TagKind::Audio,
            7 => TagKind::Script,
            _ => TagKind::Video,
        };
        tape.push(kind, timestamp, &body);
        if classify(kind, &body) != Class::Head(Head::MetaData) {
            pushed.push((kind, body));
        }
        file.extend(tape.take().concat());
    }
    assert_eq!(tape.is_empty(), pushed.is_empty());
    for (offset, bytes) in tape.finish() {
        // Of what holds nothing there is no file to write to.
        if let Some(place) = usize::try_from(offset).ok().filter(|_| !file.is_empty()) {
            file[place..place + bytes.len()].copy_from_slice(&bytes);
        }
    }
    let mut reader = FlvReader::new();
    reader.push(file.into());
    reader.finish();
    let read: Vec<Tag> = std::iter::from_fn(|| reader.next().expect("FLV")).collect();
    assert_eq!((reader.stats().drops, reader.stats().wrong_previous_tag_size), (0, 0));
    let held: Vec<_> = read.into_iter().skip(1).map(|tag| (tag.kind, tag.body)).collect();
    assert_eq!(held, pushed);
}
