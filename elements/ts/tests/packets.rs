//! The demuxer on streams made packet by packet.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod common;

use common::demux;
use millstream_ts::adaptation::AdaptationField;
use millstream_ts::demuxer::{DemuxStats, DropReason, Event, Pes, TsDemuxerSettings};
use millstream_ts::packet::{MAX_PAYLOAD, NULL_PACKET, PACKET_SIZE, PacketHeader, Pid};
use millstream_ts::pes::PesHeader;
use millstream_ts::psi::{Descriptors, Pat, PatProgram, Pmt, PmtStream, packetize_section};
use millstream_ts::timestamp::Pcr;

const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;

/// A stream that is built packet by packet.
#[derive(Default)]
struct Builder(Vec<u8>);

impl Builder {
    fn with_tables() -> Self {
        let mut this = Self::default();
        this.pat(0, &[(1, 0x1000)]).pmt(0, 0, &[(VIDEO, 0x1B), (AUDIO, 0x0F)]);
        this
    }

    fn pat(&mut self, counter: u8, programs: &[(u16, u16)]) -> &mut Self {
        let programs =
            programs.iter().map(|&(number, pid)| PatProgram { number, pmt_pid: Pid::from_bits(pid) }).collect();
        let pat = Pat { transport_stream_id: 1, version: 0, programs, network_pid: None };
        self.section(Pid::PAT, counter, &pat.write().unwrap())
    }

    fn pmt(&mut self, counter: u8, version: u8, streams: &[(u16, u8)]) -> &mut Self {
        self.section(Pid::from_bits(0x1000), counter, &pmt(version, streams))
    }

    fn section(&mut self, pid: Pid, counter: u8, section: &[u8]) -> &mut Self {
        for (n, mut packet) in packetize_section(pid, section).into_iter().enumerate() {
            packet[3] |= (counter + n as u8) & 15;
            self.0.extend(packet);
        }
        self
    }

    /// A packet with a field if it says something or the payload is short.
    fn packet(&mut self, header: PacketHeader, field: AdaptationField<'_>, payload: &[u8]) -> &mut Self {
        let room = MAX_PAYLOAD - payload.len();
        let header = PacketHeader { has_adaptation: room > 0, has_payload: !payload.is_empty(), ..header };
        self.0.extend(header.write());
        let mut bytes = vec![0; room];
        assert!(room == 0 || field.write(&mut bytes));
        self.0.extend(bytes);
        self.0.extend(payload);
        self
    }

    fn start(&mut self, pid: u16, counter: u8, text: &[u8]) -> &mut Self {
        self.packet(header(pid, true, counter), AdaptationField::default(), &pes(None, text))
    }

    fn more(&mut self, pid: u16, counter: u8, text: &[u8]) -> &mut Self {
        self.packet(header(pid, false, counter), AdaptationField::default(), text)
    }

    fn read(&self) -> (Vec<Pes>, Vec<Event>, DemuxStats) {
        let (events, demuxer) = demux(&self.0, 1000, TsDemuxerSettings::default());
        let all = events.iter().filter_map(|e| if let Event::Pes(pes) = e { Some(pes.clone()) } else { None });
        (all.collect(), events, demuxer.stats().clone())
    }
}

fn header(pid: u16, start: bool, counter: u8) -> PacketHeader {
    PacketHeader::new(Pid::from_bits(pid), start, counter)
}

fn pes(len: Option<usize>, payload: &[u8]) -> Vec<u8> {
    let header = PesHeader { stream_id: 0xE0, data_alignment: true, pts: Some(1), dts: None, payload_len: len };
    let (bytes, size) = header.write();
    [&bytes[..size], payload].concat()
}

fn pmt(version: u8, streams: &[(u16, u8)]) -> Vec<u8> {
    let streams = streams
        .iter()
        .map(|&(pid, stream_type)| PmtStream { pid: Pid::from_bits(pid), stream_type, descriptors: Descriptors::new() })
        .collect();
    let pmt =
        Pmt { program_number: 1, version, pcr_pid: Pid::from_bits(VIDEO), descriptors: Descriptors::new(), streams };
    pmt.write().unwrap()
}

fn texts(all: &[Pes]) -> Vec<&[u8]> {
    all.iter().map(|pes| &pes.data[..]).collect()
}

#[test]
fn ts_2_packets_without_payload_do_not_count() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"a");
    let alone = AdaptationField { pcr: Some(Pcr::from_ticks(5)), ..AdaptationField::default() };
    stream.packet(header(VIDEO, false, 0), alone, &[]).packet(header(VIDEO, false, 0), alone, &[]);
    stream.more(VIDEO, 1, b"b");
    let (pes, events, stats) = stream.read();
    assert_eq!(texts(&pes), [b"ab"]);
    assert_eq!(stats.dropped.iter().sum::<u64>(), 0);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Pcr(_))).count(), 2);
}

#[test]
fn ts_2_a_third_copy_and_another_payload_under_the_same_counter_are_losses() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"a").more(VIDEO, 1, b"b").more(VIDEO, 1, b"b").more(VIDEO, 2, b"c").more(VIDEO, 2, b"d");
    let (pes, _, stats) = stream.read();
    assert_eq!(texts(&pes), [b"abcd"]);
    assert!(pes[0].corrupted, "16 packets are missing between c and d");
    assert_eq!((stats.of(DropReason::Duplicate).0, stats.of(DropReason::Lost).0), (1, 1));
}

#[test]
fn ts_2_a_loss_in_the_pmt_is_counted_and_the_next_is_read() {
    let mut stream = Builder::default();
    // A map that needs four packets, of which one is lost.
    let streams: Vec<_> = (0..120).map(|n| (VIDEO + n, 0x1B)).collect();
    stream.pat(0, &[(1, 0x1000)]).pmt(0, 0, &streams);
    let lost = 2 * PACKET_SIZE;
    stream.0.drain(lost..lost + PACKET_SIZE);
    let (_, events, stats) = stream.read();
    assert!(!events.iter().any(|event| matches!(event, Event::Program(_))));
    assert_eq!((stats.of(DropReason::Lost).0, stats.of(DropReason::BadSection).0), (1, 1));
    stream.pmt(4, 0, &streams);
    let (_, events, _) = stream.read();
    let Some(Event::Program(program)) = events.iter().find(|event| matches!(event, Event::Program(_))) else {
        panic!("no program")
    };
    assert_eq!(program.streams.len(), 120);
}

#[test]
fn ts_3_a_marked_jump_keeps_the_payload_of_its_packet() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"a").more(VIDEO, 1, b"b");
    let marked = AdaptationField { discontinuity: true, ..AdaptationField::default() };
    stream.packet(header(VIDEO, false, 9), marked, b"c").start(VIDEO, 10, b"d");
    let (pes, _, stats) = stream.read();
    assert_eq!(texts(&pes), [&b"abc"[..], b"d"]);
    assert!(!pes[0].corrupted);
    assert!(pes[1].discontinuity, "the mark is handed on");
    assert_eq!(stats.of(DropReason::Lost).0, 0);
}

#[test]
fn ts_3_a_new_time_base_is_told_with_its_pcr() {
    let mut stream = Builder::with_tables();
    for (n, (ticks, discontinuity)) in [(900_000_000, false), (5_000, true)].into_iter().enumerate() {
        let field = AdaptationField { discontinuity, pcr: Some(Pcr::from_ticks(ticks)), ..AdaptationField::default() };
        stream.packet(header(VIDEO, true, n as u8), field, &pes(None, b"x"));
    }
    let (_, events, _) = stream.read();
    let pcrs: Vec<_> = events
        .iter()
        .filter_map(|e| if let Event::Pcr(p) = e { Some((p.pcr, p.discontinuity)) } else { None })
        .collect();
    assert_eq!(pcrs, [(900_000_000, false), (5_000, true)]);
}

#[test]
fn ts_4_wrong_crc_is_ignored_and_counted() {
    let mut bad = pmt(1, &[(0x200, 0x24)]);
    *bad.last_mut().unwrap() ^= 0x10;
    let mut stream = Builder::with_tables();
    stream.section(Pid::from_bits(0x1000), 1, &bad);
    let (_, events, stats) = stream.read();
    assert_eq!(stats.of(DropReason::BadCrc), (1, bad.len() as u64));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Program(_))).count(), 1);
}

#[test]
fn ts_4_repeats_are_ignored_and_a_new_version_rebuilds_the_tracks() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"v1").start(AUDIO, 0, b"a1");
    stream.pat(1, &[(1, 0x1000)]).pmt(1, 0, &[(VIDEO, 0x1B), (AUDIO, 0x0F)]);
    stream.more(VIDEO, 1, b"+").more(AUDIO, 1, b"+");
    // Audio becomes AC-3; what was under way is of the old codec.
    stream.pmt(2, 1, &[(VIDEO, 0x1B), (AUDIO, 0x81)]);
    stream.more(VIDEO, 2, b"+").start(AUDIO, 2, b"a2");
    let (pes, events, stats) = stream.read();
    let told: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Program(program) => format!("v{} {:?}", program.version, program.streams[1].codec),
            Event::Pes(pes) => String::from_utf8(pes.data.to_vec()).unwrap(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["v0 AacAdts", "a1+", "v1 Ac3", "v1++", "a2"]);
    assert!(pes.iter().all(|pes| !pes.corrupted));
    assert_eq!(stats.dropped.iter().sum::<u64>(), 0);
}

#[test]
fn ts_4_a_program_that_leaves_the_pat_is_told_and_its_last_unit_delivered() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"last").pat(1, &[(2, 0x1001)]).more(VIDEO, 1, b"unnamed");
    let (pes, events, _) = stream.read();
    assert_eq!((texts(&pes), pes[0].program), (vec![&b"last"[..]], 1));
    assert_eq!(events.last(), Some(&Event::ProgramGone(1)));
}

#[test]
fn packets_before_the_tables_are_read_once_these_have_come() {
    let mut stream = Builder::default();
    stream.start(VIDEO, 0, b"early").more(VIDEO, 1, b"!").start(0x1234, 0, b"nobody");
    stream.0.extend(NULL_PACKET);
    stream.0.extend(Builder::with_tables().0);
    stream.start(VIDEO, 2, b"late");
    let (pes, events, stats) = stream.read();
    assert_eq!(texts(&pes), [&b"early!"[..], b"late"]);
    assert!(matches!(events[0], Event::Program(_)), "the streams are told first");
    assert_eq!(stats.of(DropReason::Unnamed), (1, 188));
    let none = TsDemuxerSettings { max_early_bytes: 0, ..TsDemuxerSettings::default() };
    let (events, _) = demux(&stream.0, 1000, none);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Pes(_))).count(), 1);
}

#[test]
fn a_stream_with_no_tables_ends_and_says_what_was_left_out() {
    let mut stream = Builder::default();
    for n in 0..100 {
        stream.start(VIDEO, n, b"x");
    }
    let (pes, _, stats) = stream.read();
    assert!(pes.is_empty());
    assert_eq!(stats.of(DropReason::Unnamed), (1, 18_800));
    let few = TsDemuxerSettings { max_early_bytes: 5_000, ..TsDemuxerSettings::default() };
    let (_, demuxer) = demux(&stream.0, 188, few);
    assert_eq!(demuxer.stats().of(DropReason::Unnamed), (1, 27 * 188));
}

#[test]
fn bad_scrambled_and_headless_packets_are_told_with_their_place() {
    let mut stream = Builder::with_tables();
    stream.more(VIDEO, 0, &[7; 184]).more(VIDEO, 1, &[7; 184]).start(VIDEO, 2, b"good");
    let at = stream.0.len() as u64;
    let mut scrambled = header(AUDIO, true, 0);
    scrambled.scrambling = 2;
    stream.packet(scrambled, AdaptationField::default(), &[1; 184]);
    let mut broken = header(VIDEO, false, 3);
    broken.transport_error = true;
    stream.packet(broken, AdaptationField::default(), &[2; 184]);
    // Not a start code.
    stream.packet(header(VIDEO, true, 4), AdaptationField::default(), &[9; 184]);
    let (pes, events, stats) = stream.read();
    assert_eq!((texts(&pes), pes[0].corrupted), (vec![&b"good"[..]], true), "a packet is missing behind it");
    assert_eq!(stats.of(DropReason::NoStart), (1, 368), "told as one run");
    assert_eq!(stats.of(DropReason::Scrambled), (1, 188));
    assert_eq!(stats.of(DropReason::TransportError), (1, 188));
    assert_eq!(stats.of(DropReason::BadPes), (1, 184));
    let place = events.iter().find_map(|event| match event {
        Event::Dropped(dropped) if dropped.reason == DropReason::Scrambled => Some((dropped.pid, dropped.offset)),
        _ => None,
    });
    assert_eq!(place, Some((Pid::new(AUDIO), at)));
}

#[test]
fn reset_forgets_units_and_counters_but_keeps_tables() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"before");
    let mut demuxer = millstream_ts::demuxer::TsDemuxer::new(TsDemuxerSettings::default());
    // Enough packets to find the rhythm.
    stream.0.extend(NULL_PACKET.repeat(5));
    demuxer.push(stream.0.into());
    while demuxer.next_event().is_some() {}
    demuxer.reset(5_000);
    let mut elsewhere = Builder::default();
    elsewhere.start(VIDEO, 9, b"after").start(VIDEO, 10, b"and on");
    demuxer.push(elsewhere.0.into());
    demuxer.finish();
    let events: Vec<_> = std::iter::from_fn(|| demuxer.next_event()).collect();
    let [Event::Pes(first), Event::Pes(second)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&first.data[..], first.offset, first.discontinuity), (&b"after"[..], 5_000, true));
    assert!(!second.discontinuity);
    assert_eq!(demuxer.stats().of(DropReason::Lost).0, 0);
}

#[test]
fn ts_4_selected_program_that_never_comes_does_not_hang() {
    let mut stream = Builder::with_tables();
    stream.start(VIDEO, 0, b"x");
    let (events, demuxer) =
        demux(&stream.0, 188, TsDemuxerSettings { program: Some(7), ..TsDemuxerSettings::default() });
    assert!(!events.iter().any(|event| matches!(event, Event::Pes(_))));
    assert!(!demuxer.programs_complete());
}
