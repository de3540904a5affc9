//! What the tests of this crate share: where the media is, and a plain reader of packets that knows nothing of the crate's own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_testkit::media::media_bytes;
use millstream_ts::demuxer::{Event, Pes, TsDemuxer, TsDemuxerSettings};

/// A file of the media folder, if this machine has it.
pub fn media(name: &str) -> Option<Vec<u8>> {
    let read = media_bytes(name).map(Vec::from);
    if read.is_none() {
        println!("no {name}: this test runs on fewer files");
    }
    read
}

/// Rows of the manifest whose file satisfies `wanted`: file and what libavformat 62 read.
pub fn manifest(wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let text = media("MANIFEST.tsv").unwrap_or_default();
    let text = String::from_utf8(text).expect("the manifest is text");
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| wanted(row[0])).map(|row| (row[0].to_owned(), row[7].to_owned())).collect()
}

/// All events of an input that comes in pieces of `piece` bytes.
pub fn demux(input: &[u8], piece: usize, settings: TsDemuxerSettings) -> (Vec<Event>, TsDemuxer) {
    let mut demuxer = TsDemuxer::new(settings);
    let mut events = Vec::new();
    for piece in input.chunks(piece) {
        demuxer.push(Bytes::copy_from_slice(piece));
        while let Some(event) = demuxer.next_event() {
            events.push(event);
        }
    }
    demuxer.finish();
    while let Some(event) = demuxer.next_event() {
        events.push(event);
    }
    (events, demuxer)
}

/// The PES payloads among events, by PID.
pub fn pes_by_pid(events: &[Event]) -> BTreeMap<u16, Vec<Pes>> {
    let mut all: BTreeMap<u16, Vec<Pes>> = BTreeMap::new();
    for event in events {
        if let Event::Pes(pes) = event {
            all.entry(pes.pid.get()).or_default().push(pes.clone());
        }
    }
    all
}

/// A transport packet as plain bytes say it.
#[derive(Debug, Clone)]
pub struct Plain {
    pub pid: u16,
    pub start: bool,
    pub counter: u8,
    pub field: Vec<u8>,
    pub payload: Vec<u8>,
    pub has_payload: bool,
}

impl Plain {
    pub fn pcr(&self) -> Option<u64> {
        let f = &self.field;
        if f.first().is_none_or(|flags| flags & 0x10 == 0) {
            return None;
        }
        let base = f[1..5].iter().fold(0u64, |v, &b| v << 8 | u64::from(b)) << 1 | u64::from(f[5] >> 7);
        Some(base * 300 + (u64::from(f[5] & 1) << 8 | u64::from(f[6])))
    }

    pub fn discontinuity(&self) -> bool {
        self.field.first().is_some_and(|flags| flags & 0x80 != 0)
    }

    pub fn random_access(&self) -> bool {
        self.field.first().is_some_and(|flags| flags & 0x40 != 0)
    }

    /// PTS and DTS of a PES that starts here.
    pub fn stamps(&self) -> (Option<u64>, Option<u64>) {
        let p = &self.payload;
        if !self.start || p[..3] != [0, 0, 1] {
            return (None, None);
        }
        let stamp = |at: usize| {
            let b: Vec<u64> = p[at..at + 5].iter().map(|&b| u64::from(b)).collect();
            assert!(b[0] & 1 == 1 && b[2] & 1 == 1 && b[4] & 1 == 1, "marker bits");
            (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
        };
        match p[7] >> 6 {
            2 => (Some(stamp(9)), None),
            3 => (Some(stamp(9)), Some(stamp(14))),
            _ => (None, None),
        }
    }
}

/// Cuts a stream into packets; checks what must hold for any.
pub fn plain(stream: &[u8]) -> Vec<Plain> {
    assert_eq!(stream.len() % 188, 0);
    let mut counters: BTreeMap<u16, u8> = BTreeMap::new();
    let mut all = Vec::new();
    for p in stream.chunks(188) {
        assert_eq!((p[0], p[1] & 0x80, p[3] & 0xC0), (0x47, 0, 0), "sync, error, scrambling");
        let (has_field, has_payload) = (p[3] & 0x20 != 0, p[3] & 0x10 != 0);
        assert!(has_field || has_payload);
        let field_len = if has_field { usize::from(p[4]) + 1 } else { 0 };
        assert!(if has_payload { field_len <= 183 } else { field_len == 184 }, "field of {field_len}");
        let field = if field_len > 1 { p[5..4 + field_len].to_vec() } else { Vec::new() };
        let pid = u16::from_be_bytes([p[1] & 0x1F, p[2]]);
        let counter = p[3] & 15;
        if pid != 0x1FFF {
            let last = counters.insert(pid, counter);
            let expected = last.map(|last| if has_payload { (last + 1) & 15 } else { last });
            assert!(expected.is_none_or(|e| e == counter), "counter of PID {pid:#x}");
        }
        let start = p[1] & 0x40 != 0;
        all.push(Plain { pid, start, counter, field, payload: p[4 + field_len..].to_vec(), has_payload });
    }
    all
}
