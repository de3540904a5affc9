//! Chunks: byte vectors written by hand from RTMP 1.0, 5.3, and what real peers sent.

use bytes::Bytes;
use millstream_flv::wire::{Slices, TimestampUnwrapper};
use millstream_rtmp::chunk::{ChunkError, ChunkLimits, ChunkReader, ChunkWriter, DEFAULT_CHUNK_SIZE};
use millstream_rtmp::message::{Message, MessageType};
use millstream_testkit::media::media_bytes;
use proptest::prelude::*;

/// All messages of a stream that comes in pieces of `step` bytes.
fn read_in(step: usize, wire: &[u8]) -> Result<Vec<Message>, ChunkError> {
    let mut reader = ChunkReader::default();
    let mut messages = Vec::new();
    for piece in wire.chunks(step.max(1)) {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(message) = reader.next_message()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// The same, asserting that segmentation changes nothing.
fn read(wire: &[u8]) -> Result<Vec<Message>, ChunkError> {
    let whole = read_in(wire.len(), wire);
    for step in [1, 2, 3, 17] {
        assert_eq!(read_in(step, wire), whole, "in pieces of {step}");
    }
    whole
}

fn write(messages: &[Message], chunk_size: u32) -> Vec<u8> {
    let (mut writer, mut out) = (ChunkWriter::new(), Slices::new());
    if chunk_size != DEFAULT_CHUNK_SIZE {
        writer.set_chunk_size(chunk_size, &mut out);
    }
    messages.iter().for_each(|message| writer.write(message, &mut out));
    out.take().concat()
}

fn message(chunk_stream: u32, kind: MessageType, timestamp: u32, stream_id: u32, len: usize) -> Message {
    let payload = (0..len).map(|at| (at * 7) as u8).collect::<Vec<_>>().into();
    Message { chunk_stream, kind, timestamp, stream_id, payload }
}

fn times(messages: &[Message]) -> Vec<u32> {
    messages.iter().map(|message| message.timestamp).collect()
}

/// A full header on a chunk stream below 64, with its extended timestamp.
fn full(chunk_stream: u8, timestamp: u32, len: u32, kind: u8, stream_id: u32) -> Vec<u8> {
    let mut out = vec![chunk_stream];
    out.extend_from_slice(&timestamp.min(0xFF_FFFF).to_be_bytes()[1..]);
    out.extend_from_slice(&len.to_be_bytes()[1..]);
    out.push(kind);
    out.extend_from_slice(&stream_id.to_le_bytes());
    if timestamp >= 0xFF_FFFF {
        out.extend_from_slice(&timestamp.to_be_bytes());
    }
    out
}

fn set_chunk_size(size: u32) -> Vec<u8> {
    [full(2, 0, 4, 1, 0), size.to_be_bytes().to_vec()].concat()
}

#[test]
fn rtmp_c3_example_1_of_the_standard_is_written_and_read() {
    let messages: Vec<Message> =
        [1000, 1020, 1040, 1060].iter().map(|time| message(3, MessageType::Audio, *time, 12345, 32)).collect();
    let body = &messages[0].payload;
    let wire = [
        &[0x03, 0, 3, 0xE8, 0, 0, 32, 8, 0x39, 0x30, 0, 0][..],
        body,
        &[0x83, 0, 0, 20],
        body,
        &[0xC3],
        body,
        &[0xC3],
        body,
    ]
    .concat();
    assert_eq!(write(&messages, 128), wire);
    assert_eq!(read(&wire).unwrap(), messages);
}

#[test]
fn rtmp_c3_example_2_of_the_standard_is_written_and_read() {
    let video = message(4, MessageType::Video, 1000, 12346, 307);
    let body = &video.payload;
    let head = [0x04, 0, 3, 0xE8, 0, 1, 0x33, 9, 0x3A, 0x30, 0, 0];
    let wire = [&head[..], &body[..128], &[0xC4], &body[128..256], &[0xC4], &body[256..]].concat();
    assert_eq!(write(std::slice::from_ref(&video), 128), wire);
    assert_eq!(read(&wire).unwrap(), [video]);
}

#[test]
fn rtmp_c1_every_size_of_id_on_the_wire() {
    let ids = [3, 63, 64, 319, 320, 1000, 65_599];
    let messages: Vec<Message> = ids.iter().map(|id| message(*id, MessageType::Audio, 5, 1, 200)).collect();
    let wire = write(&messages, 128);
    assert_eq!(read(&wire).unwrap(), messages);
}

#[test]
fn rtmp_c1_an_id_sent_in_two_and_three_bytes_is_one_stream() {
    // The message begins in the two-byte form and goes on in the three-byte form of id 100.
    let begin = [&[0x00, 36, 0, 0, 1, 0, 0, 130, 8, 1, 0, 0, 0][..], &[7; 128]].concat();
    let wire = [&begin[..], &[0xC1, 36, 0, 8, 9]].concat();
    let messages = read(&wire).unwrap();
    assert_eq!((messages.len(), messages[0].chunk_stream, &messages[0].payload[128..]), (1, 100, &[8, 9][..]));
}

#[test]
fn rtmp_c3_format_3_behind_format_0_adds_that_timestamp() {
    // As Flash Media Live Encoder sends audio: 0xC4 behind a full header.
    let wire = [full(4, 23, 1, 8, 1), vec![1, 0xC4, 2, 0xC4, 3]].concat();
    assert_eq!(times(&read(&wire).unwrap()), [23, 46, 69]);
}

#[test]
fn rtmp_c3_format_3_repeats_the_last_delta() {
    let wire =
        [full(4, 100, 1, 8, 1), vec![1, 0x84, 0, 0, 21, 2, 0xC4, 3, 0x44, 0, 0, 4, 0, 0, 1, 8, 4, 0xC4, 5]].concat();
    assert_eq!(times(&read(&wire).unwrap()), [100, 121, 142, 146, 150]);
}

#[test]
fn rtmp_c3_ping_of_librtmp_may_begin_with_format_1_and_others_may_not() {
    let ping = [&[0x42, 0, 0, 0, 0, 0, 6, 4][..], &[0, 6, 0, 0, 0, 9]].concat();
    let messages = read(&ping).unwrap();
    assert_eq!((messages[0].kind, messages[0].stream_id), (MessageType::UserControl, 0));
    for first in [0x43, 0x82, 0x83, 0xC2, 0xC3] {
        let wire = [&[first][..], &[0; 20]].concat();
        assert!(matches!(read(&wire), Err(ChunkError::FirstChunk { offset: 0, .. })), "{first:#04x}");
    }
}

#[test]
fn rtmp_c4_extended_timestamp_on_format_3_is_written_and_read() {
    for time in [0xFF_FFFF, 0x100_0000, u32::MAX] {
        let video = message(6, MessageType::Video, time, 1, 300);
        let (body, extended) = (&video.payload, time.to_be_bytes());
        let wire = [
            &full(6, time, 300, 9, 1)[..],
            &body[..128],
            &[0xC6],
            &extended,
            &body[128..256],
            &[0xC6],
            &extended,
            &body[256..],
        ]
        .concat();
        assert_eq!(write(std::slice::from_ref(&video), 128), wire);
        assert_eq!(read(&wire).unwrap(), [video]);
    }
}

#[test]
fn rtmp_c4_peers_that_leave_it_out_on_format_3_are_followed() {
    let video = message(6, MessageType::Video, 0x0123_4567, 1, 300);
    let body = &video.payload;
    let wire =
        [&full(6, 0x0123_4567, 300, 9, 1)[..], &body[..128], &[0xC6], &body[128..256], &[0xC6], &body[256..]].concat();
    assert_eq!(read(&wire).unwrap(), std::slice::from_ref(&video));
    // Known to leave it out, its payload may hold the very bytes.
    let mut trap = body.to_vec();
    trap[128..132].copy_from_slice(&0x0123_4567_u32.to_be_bytes());
    let again =
        [&wire[..], &full(6, 0x0123_4567, 300, 9, 1), &trap[..128], &[0xC6], &trap[128..256], &[0xC6], &trap[256..]];
    assert_eq!(read(&again.concat()).unwrap()[1].payload, trap);
}

#[test]
fn rtmp_c4_payload_that_equals_the_timestamp_stays_payload() {
    let time = 0x0123_4567_u32;
    let mut payload = vec![0; 300];
    payload[128..132].copy_from_slice(&time.to_be_bytes());
    payload[256..260].copy_from_slice(&time.to_be_bytes());
    let video = Message { payload: payload.into(), ..message(6, MessageType::Video, time, 1, 0) };
    assert_eq!(read(&write(std::slice::from_ref(&video), 128)).unwrap(), [video]);
}

#[test]
fn rtmp_c4_a_short_last_chunk_without_it_is_not_waited_for() {
    // Two bytes of payload follow, and nothing more: they are not the beginning of the timestamp.
    let wire = [&full(6, 0x0123_4567, 130, 9, 1)[..], &[0xAA; 128], &[0xC6, 0xBB, 0xBB]].concat();
    assert_eq!(read(&wire).unwrap().len(), 1);
}

#[test]
fn rtmp_c4_extended_delta_of_formats_1_and_2() {
    let delta = 0x0200_0000_u32.to_be_bytes();
    let head = [&full(4, 10, 1, 8, 1)[..], &[1, 0x84, 0xFF, 0xFF, 0xFF], &delta, &[2]].concat();
    // Format 3 begins a message: its field is a difference too.
    let wire = [&head[..], &[0xC4], &delta, &[3]].concat();
    assert_eq!(times(&read(&wire).unwrap()), [10, 0x0200_000A, 0x0400_000A]);
}

#[test]
fn rtmp_c5_timestamps_wrap_after_49_days_and_keep_their_order() {
    let tracks = [(MessageType::Audio, 4), (MessageType::Video, 6)];
    let start = u32::MAX - 100;
    let mut sent = Vec::new();
    for step in 0..20_u32 {
        let (kind, chunk_stream) = tracks[(step % 2) as usize];
        sent.push(message(chunk_stream, kind, start.wrapping_add(step * 11), 1, 150));
    }
    let messages = read(&write(&sent, 128)).unwrap();
    assert_eq!(messages, sent);
    let mut unwrapper = TimestampUnwrapper::default();
    let continuous: Vec<i64> = messages.iter().map(|message| unwrapper.unwrap(message.timestamp)).collect();
    assert!(continuous.windows(2).all(|pair| pair[1] - pair[0] == 11), "{continuous:?}");
}

#[test]
fn rtmp_c5_24_bit_boundary_is_crossed() {
    let sent: Vec<Message> = (0..8).map(|step| message(6, MessageType::Video, 0xFF_FFFC + step, 1, 200)).collect();
    assert_eq!(read(&write(&sent, 128)).unwrap(), sent);
}

#[test]
fn rtmp_c6_a_step_back_is_written_with_format_0() {
    let sent = [100, 50, u32::MAX - 3_600_000, 3_600_000].map(|time| message(4, MessageType::Audio, time, 1, 2));
    let wire = write(&sent, 128);
    assert_eq!(read(&wire).unwrap(), sent);
    // Header, payload, and again: each begins with format 0.
    assert_eq!((wire[0], wire[14], wire[28]), (4, 4, 4));
}

#[test]
fn rtmp_c7_chunk_size_changes_for_the_very_next_chunk_even_inside_a_message() {
    let body: Vec<u8> = (0..=255).collect();
    let wire = [
        &full(6, 0, 256, 9, 1)[..],
        &body[..128],
        &set_chunk_size(100),
        &[0xC6],
        &body[128..228],
        &set_chunk_size(60_000),
        &[0xC6],
        &body[228..],
    ]
    .concat();
    let messages = read(&wire).unwrap();
    assert_eq!((messages.len(), &messages[2].payload[..]), (3, &body[..]));
}

#[test]
fn rtmp_c7_sizes_from_1_to_the_largest_and_the_top_bit() {
    for size in [1, 2, 128, 60_000, 65_536, 100_000, 0x00FF_FFFF, 0x7FFF_FFFF] {
        let sent = message(6, MessageType::Video, 1, 1, 70_000);
        let messages = read_in(1000, &write(std::slice::from_ref(&sent), size)).unwrap();
        assert_eq!(messages.last(), Some(&sent), "chunk size {size}");
    }
    let mut reader = ChunkReader::default();
    reader.push(set_chunk_size(0x8000_1000).into());
    reader.next_message().unwrap();
    assert_eq!(reader.chunk_size(), 0x1000);
}

#[test]
fn rtmp_c7_zero_and_short_are_errors() {
    assert!(matches!(read(&set_chunk_size(0)), Err(ChunkError::Control { offset: 16, .. })));
    assert!(matches!(read(&set_chunk_size(0x8000_0000)), Err(ChunkError::Control { .. })));
    for len in 0..4 {
        let wire = [full(2, 0, len, 1, 0), vec![1; len as usize]].concat();
        assert!(matches!(read(&wire), Err(ChunkError::Control { .. })), "{len} bytes");
    }
}

#[test]
fn rtmp_c8_interleaved_messages_and_empty_ones() {
    let (audio, video) = ([1; 130], [2; 130]);
    let wire = [
        &full(6, 5, 130, 9, 1)[..],
        &video[..128],
        &full(4, 6, 130, 8, 1),
        &audio[..128],
        &full(5, 7, 0, 8, 1),
        &[0xC6],
        &video[128..],
        &[0xC4],
        &audio[128..],
    ]
    .concat();
    let messages = read(&wire).unwrap();
    assert_eq!(times(&messages), [7, 5, 6]);
    assert!(messages[0].payload.is_empty() && messages[1].payload == video[..] && messages[2].payload == audio[..]);
}

#[test]
fn rtmp_c8_abort_discards_the_partial_message_it_names() {
    let abort = |id: u32| [full(2, 0, 4, 2, 0), id.to_be_bytes().to_vec()].concat();
    let wire = [
        &full(6, 5, 130, 9, 1)[..],
        &[9; 128],
        &full(4, 6, 130, 8, 1),
        &[8; 128],
        &abort(6),
        &abort(77),
        &[0xC4],
        &[8; 2],
        &full(6, 9, 1, 9, 1),
        &[3],
    ]
    .concat();
    let messages = read(&wire).unwrap();
    let kinds: Vec<_> = messages.iter().map(|message| (message.kind, message.payload.len())).collect();
    assert_eq!(
        kinds,
        [(MessageType::Abort, 4), (MessageType::Abort, 4), (MessageType::Audio, 130), (MessageType::Video, 1)]
    );
}

#[test]
fn rtmp_c9_limits_hold() {
    let limits = ChunkLimits { message_len: 1000, held: 64 << 10, chunk_streams: 4 };
    let refuse = |wire: Vec<u8>| {
        let mut reader = ChunkReader::new(limits);
        reader.push(wire.into());
        std::iter::from_fn(|| reader.next_message().transpose()).find_map(Result::err)
    };
    assert!(matches!(refuse(full(3, 0, 1001, 8, 1)), Some(ChunkError::MessageTooLong { len: 1001, limit: 1000, .. })));
    let five: Vec<u8> = (3..8).flat_map(|id| [full(id, 0, 1, 8, 1), vec![0]].concat()).collect();
    assert!(matches!(refuse(five), Some(ChunkError::TooManyStreams { limit: 4, .. })));
    let mut reader = ChunkReader::new(ChunkLimits { message_len: 1 << 20, held: 64 << 10, chunk_streams: 64 });
    let begun: Vec<u8> = (3..10).flat_map(|id| [full(id, 0, 1 << 20, 8, 1), vec![0; 128]].concat()).collect();
    reader.push(begun.into());
    assert!(matches!(reader.next_message(), Err(ChunkError::TooMuchHeld { .. })));
}

#[test]
fn rtmp_c9_a_declared_length_takes_no_memory() {
    let mut reader = ChunkReader::default();
    reader.push([full(6, 0, 0xFF_FFFF, 9, 1), vec![0; 128]].concat().into());
    assert_eq!(reader.next_message(), Ok(None));
    assert!(reader.held() <= 16 << 10, "{} held", reader.held());
}

/// What reading a message of this length in chunks of one byte costs: chunks, allocations, and bytes that were copied into them.
fn cost_of_single_bytes(len: u32, step: usize) -> (u64, usize, usize) {
    let payload = (0..len).flat_map(|at| [[0xC6, at as u8]]).flatten().skip(1);
    let wire: Vec<u8> = [&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1], &full(6, 0, len, 9, 1)[..]]
        .concat()
        .into_iter()
        .chain(payload)
        .collect();
    let mut reader = ChunkReader::default();
    let (mut allocations, mut copied, mut held) = (0, 0, 0);
    for piece in wire.chunks(step) {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(message) = reader.next_message().expect("chunks") {
            let is_sent = |(at, byte): (usize, &u8)| *byte == at as u8;
            assert!(message.kind != MessageType::Video || message.payload.iter().enumerate().all(is_sent));
        }
        assert!(reader.pending() < 20, "what can be read is read at once");
        // Room that grew is a new piece of memory, into which everything before was copied.
        if reader.held() > held {
            (allocations, copied) = (allocations + 1, copied + held);
        }
        held = reader.held();
    }
    assert_eq!((reader.stats().messages, reader.held()), (2, 0));
    // The first is Set Chunk Size to 1.
    (reader.stats().chunks - 1, allocations, copied + len as usize)
}

#[test]
fn rtmp_c9_chunks_of_one_byte_cost_in_proportion() {
    for step in [1, 2] {
        for len in [1000, 100_000, 200_000, 400_000, 800_000] {
            let (chunks, allocations, copied) = cost_of_single_bytes(len, step);
            assert_eq!(chunks, u64::from(len));
            // Room doubles: each byte is copied once as it comes, and less than twice more in all.
            assert!(copied <= 3 * len as usize, "{copied} bytes copied for {len}");
            // One for Set Chunk Size, one of 16 KiB, and one each time that this doubles.
            let doublings = (len >> 14).checked_ilog2().map_or(0, |log| log as usize + 1);
            assert!(allocations <= 2 + doublings, "{allocations} for {len}");
        }
    }
}

#[test]
fn whole_messages_are_slices_of_what_was_pushed() {
    let sent = message(4, MessageType::Audio, 1, 1, 100);
    let wire = Bytes::from(write(std::slice::from_ref(&sent), 128));
    let mut reader = ChunkReader::default();
    reader.push(wire.clone());
    let payload = reader.next_message().unwrap().unwrap().payload;
    assert_eq!(payload.as_ptr(), wire[12..].as_ptr());
}

/// Recorded payloads behind the handshake; how many messages an independent decoder found in them, and of which types.
const RECORDED: [(&str, usize, usize, usize); 9] = [
    ("rtmp/ffmpeg51_publish_h264_aac.c2s.bin", 219, 79, 131),
    ("rtmp/ffmpeg9_publish_hevc_aac.c2s.bin", 246, 94, 143),
    ("rtmp/gst_rtmp2sink_publish.c2s.bin", 261, 77, 142),
    ("rtmp/obs29_publish.c2s.bin", 1813, 705, 1101),
    ("rtmp/ffmpeg51_play.s2c.bin", 152, 53, 89),
    ("rtmp/rtmpdump_play.s2c.bin", 409, 147, 252),
    ("rtmp/fq__ffmpeg_server_stream.bin", 421, 0, 410),
    ("rtmp/ffmpeg51_play.c2s.bin", 7, 0, 0),
    ("rtmp/rtmpdump_play.c2s.bin", 8, 0, 0),
];

#[test]
fn rtmp_m15_recorded_sessions_are_read_whole() {
    for (file, all, video, audio) in RECORDED {
        let Some(bytes) = media_bytes(file) else { continue };
        for step in [1, 4096, bytes.len()] {
            let messages = read_in(step, &bytes[3073..]).unwrap_or_else(|error| panic!("{file}: {error}"));
            let count = |kind| messages.iter().filter(|message| message.kind == kind).count();
            assert_eq!(
                (messages.len(), count(MessageType::Video), count(MessageType::Audio)),
                (all, video, audio),
                "{file}"
            );
        }
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    let kinds = vec![MessageType::Audio, MessageType::Video, MessageType::Data, MessageType::Command];
    let times = prop_oneof![any::<u32>(), 0..3000_u32, 0xFF_FFF0..0x100_0010_u32];
    let ids = prop_oneof![2..8_u32, 60..70_u32, 315..325_u32, 65_590..=65_599_u32];
    (ids, prop::sample::select(kinds), times, 0..3_u32, 0..700_usize)
        .prop_map(|(id, kind, time, stream_id, len)| message(id, kind, time, stream_id, len))
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec(any_message(), 1..40),
        chunk_size in 1..400_u32,
        step in 1..500_usize,
    ) {
        let wire = write(&messages, chunk_size);
        let read = read_in(step, &wire).unwrap();
        let skipped = usize::from(chunk_size != DEFAULT_CHUNK_SIZE);
        prop_assert_eq!(&read[skipped..], &messages[..]);
    }

    #[test]
    fn any_bytes_never_panic_and_mean_the_same_in_pieces(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let whole = read_in(bytes.len(), &bytes);
        // An error shows itself after the same messages.
        prop_assert_eq!(read_in(1, &bytes), whole);
    }
}
