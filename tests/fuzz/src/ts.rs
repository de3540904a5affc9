//! MPEG transport streams: the demuxer, its element, tables, PES headers, and the transport stream pad of `hlssink`.

use bytes::Bytes;
use millstream_core::{Item, Registry};
use millstream_hls::playlist::read_media_playlist;
use millstream_testkit::{Harness, TestEnv};
use millstream_ts::adaptation::AdaptationField;
use millstream_ts::demuxer::{DropReason, Event, TsDemuxer, TsDemuxerSettings};
use millstream_ts::packet::{PACKET_SIZE, Packet};
use millstream_ts::pes::PesHeader;
use millstream_ts::psi::{MAX_PSI_SECTION, Pat, Pmt, Section, SectionAssembler};
use millstream_ts::scte35::SpliceInfo;

/// A stream and the size of its pieces, which the last byte says.
fn pieces(data: &[u8]) -> Option<(Bytes, usize)> {
    let (&last, stream) = data.split_last()?;
    Some((Bytes::copy_from_slice(stream), usize::from(last).max(1) * 7))
}

/// The demuxer under the element: every packet and every byte around packets is accounted for.
pub fn demux(data: &[u8]) {
    let Some((stream, piece)) = pieces(data) else { return };
    let mut demuxer = TsDemuxer::new(TsDemuxerSettings { max_pes_bytes: 64 << 10, ..TsDemuxerSettings::default() });
    let mut delivered = 0;
    let mut drain = |demuxer: &mut TsDemuxer| {
        while let Some(event) = demuxer.next_event() {
            match event {
                Event::Pes(pes) => delivered += pes.data.len(),
                Event::Section(section) => drop(SpliceInfo::parse(&section.data)),
                _ => {}
            }
        }
    };
    for start in (0..stream.len()).step_by(piece) {
        demuxer.push(stream.slice(start..stream.len().min(start + piece)));
        drain(&mut demuxer);
    }
    demuxer.finish();
    drain(&mut demuxer);
    let stats = demuxer.stats();
    let outside = stats.of(DropReason::NoSync).1 + stats.of(DropReason::CutPacket).1;
    let packets = stats.packets * PACKET_SIZE as u64;
    assert!(packets + outside <= stream.len() as u64, "{packets} and {outside} bytes of {}", stream.len());
    assert!(delivered as u64 <= packets, "{delivered} bytes delivered of {packets}");
}

/// `tsdemux`: start, caps and segment come ahead of media, no byte comes twice, nothing follows the end.
pub fn tsdemux(data: &[u8]) {
    const PADS: [&str; 4] = ["video", "audio", "private_0", "pid_256"];
    let Some((stream, piece)) = pieces(data) else { return };
    let mut registry = Registry::new();
    millstream_ts::register(&mut registry);
    let factory = registry.get("tsdemux").expect("it is registered");
    let builder = PADS.iter().fold(Harness::builder(&factory), |builder, pad| builder.src(pad));
    let mut harness = builder.build().expect("defaults work");
    let _refused = harness.push_bytes("sink", &stream, piece).and_then(|()| harness.eos());
    harness.assert_contract();
    for pad in PADS {
        let (mut heard, mut bytes) = ([false; 2], 0);
        for item in harness.take(pad) {
            match item {
                Item::StreamStart(_) => heard = [false; 2],
                Item::Caps(_) => heard[0] = true,
                Item::Segment(_) => heard[1] = true,
                Item::Buffer(buffer) => {
                    assert_eq!(heard, [true; 2], "{pad}: media ahead of caps or segment");
                    bytes += buffer.payload.len();
                }
                _ => {}
            }
        }
        assert!(bytes <= stream.len(), "{pad}: {bytes} bytes of {}", stream.len());
    }
}

/// Sections in packet payloads; tables that were read, written and read again are the same.
pub fn psi(data: &[u8]) {
    let mut sections = SectionAssembler::new(MAX_PSI_SECTION);
    for (n, payload) in data.chunks(PACKET_SIZE - 4).enumerate() {
        sections.push(payload, n % 3 == 0, |section| section.into_iter().for_each(table));
    }
    table(data);
}

fn table(bytes: &[u8]) {
    let _ = SpliceInfo::parse(bytes);
    let Ok(section) = Section::parse(bytes) else { return };
    let _ = Pat::parse(&section);
    if let Ok(pmt) = Pmt::parse(&section) {
        for stream in &pmt.streams {
            let _ = stream.codec(&pmt.descriptors);
        }
    }
    let written = section.write().expect("what was read can be written");
    assert_eq!(Section::parse(&written).expect("our own writing is readable").body, section.body);
}

/// Packets and PES headers.
pub fn pes(data: &[u8]) {
    let _ = AdaptationField::parse(data);
    if let Some(packet) = data.first_chunk::<PACKET_SIZE>() {
        let _ = Packet::parse(packet);
    }
    let size = PesHeader::size(data);
    if let Ok((header, at)) = PesHeader::parse(data) {
        assert!(at <= data.len() && size.is_ok(), "a header of {at} bytes in {}", data.len());
        let (written, len) = PesHeader { payload_len: None, ..header }.write();
        let (again, _) = PesHeader::parse(&written[..len]).expect("our own writing is readable");
        assert_eq!((again.pts, again.stream_id), (header.pts, header.stream_id));
    }
}

/// A transport stream through `hlssink`: what the playlist lists is there, and whole packets.
pub fn hlssink(data: &[u8]) {
    let Some((stream, piece)) = pieces(data) else { return };
    let env = TestEnv::new();
    let factory = millstream_hls::sink::factory();
    let settings = "directory=out segment-duration=1s";
    let built = Harness::builder(&factory).settings(settings).sink("sink").env(&env).build();
    let mut harness = built.expect("the settings work");
    let _refused = harness.push_bytes("sink", &stream, piece).and_then(|()| harness.eos());
    let Some(text) = env.fs.get("out/index.m3u8") else { return };
    let playlist = read_media_playlist(&String::from_utf8_lossy(&text)).expect("our own writing is readable");
    for segment in playlist.segments() {
        let bytes = env.fs.get(format!("out/{}", segment.uri)).expect("a listed segment is there");
        assert_eq!(bytes.len() % PACKET_SIZE, 0, "{}", segment.uri);
    }
}
