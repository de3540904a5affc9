//! RTMP.

use bytes::Bytes;
use millstream_core::Time;
use millstream_core::trace::Side;
use millstream_flv::wire::Slices;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::chunk::{ChunkLimits, ChunkReader, ChunkWriter};
use millstream_rtmp::command::{Command, Invoke, PlayStart, PublishType};
use millstream_rtmp::handshake::{ClientForm, ClientHandshake, Layout, ServerHandshake};
use millstream_rtmp::message::{Aggregate, Control, Message, MessageType, UserControl, parse_data};
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::server::{ServerEvent, ServerSession, ServerSettings};
use millstream_rtmp::trace::Dissector;

/// Two packets and a byte: what each side sends in a handshake.
const HANDSHAKE: usize = 1 + 2 * 1536;
/// What a session may say without having been asked: the handshake and the answers to connect, createStream and publish or play.
const GREETING: usize = HANDSHAKE + 4096;

/// The stream, and how large its pieces are: the last byte says.
fn pieces(data: &[u8]) -> Option<(Bytes, usize)> {
    let (last, stream) = data.split_last()?;
    Some((Bytes::copy_from_slice(stream), usize::from(*last).max(1) * 5))
}

fn each_piece(stream: &Bytes, size: usize, mut take: impl FnMut(Bytes) -> bool) {
    let starts = (0..stream.len()).step_by(size);
    let _ =
        starts.map(|at| stream.slice(at..stream.len().min(at + size))).take_while(|piece| take(piece.clone())).count();
}

/// Both halves end after the same number of bytes however they come, and never take more than there are.
pub fn handshake(data: &[u8]) {
    let Some((stream, size)) = pieces(data) else { return };
    let (mut server, mut client) =
        (ServerHandshake::new(1, 0), ClientHandshake::new(ClientForm::Digest(Layout::KeyFirst), 1, 0));
    let (mut taken, mut done) = ([0; 2], [false; 2]);
    each_piece(&stream, size, |piece| {
        let all = [server.receive(&piece), client.receive(&piece)];
        for (side, progress) in all.into_iter().enumerate() {
            if let Ok(progress) = progress {
                taken[side] += progress.consumed;
                done[side] = progress.done;
            }
        }
        true
    });
    for (taken, done) in taken.into_iter().zip(done) {
        assert!(taken <= HANDSHAKE && done == (taken == HANDSHAKE), "{taken} bytes, done: {done}");
    }
}

/// Messages are no longer than what came, memory stays within its limit, and pieces change nothing.
pub fn chunks(data: &[u8]) {
    let Some((stream, size)) = pieces(data) else { return };
    let limits = ChunkLimits { held: 1 << 20, ..ChunkLimits::default() };
    let read = |size: usize| {
        let mut reader = ChunkReader::new(limits);
        let (mut messages, mut error) = (Vec::new(), None);
        each_piece(&stream, size, |piece| {
            reader.push(piece);
            loop {
                match reader.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(found) => error = Some(found),
                }
                if error.is_some() {
                    break;
                }
            }
            assert!(error.is_some() || reader.held() <= limits.held);
            error.is_none()
        });
        (messages, error)
    };
    let whole = read(stream.len().max(1));
    let bytes: usize = whole.0.iter().map(|message| message.payload.len()).sum();
    assert!(bytes <= stream.len(), "{bytes} bytes of {}", stream.len());
    assert!(whole == read(size), "in pieces of {size}");
}

/// What was read, written and read again is the same.
pub fn chunk_round_trip(data: &[u8]) {
    let Some((stream, size)) = pieces(data) else { return };
    let media = |message: &Message| !matches!(message.kind, MessageType::SetChunkSize | MessageType::Abort);
    let read = |stream: Bytes| {
        let mut reader = ChunkReader::default();
        reader.push(stream);
        let messages = std::iter::from_fn(|| reader.next_message().ok().flatten());
        messages.filter(media).collect::<Vec<_>>()
    };
    let (messages, mut writer, mut out) = (read(stream), ChunkWriter::new(), Slices::new());
    writer.set_chunk_size(size as u32, &mut out);
    messages.iter().for_each(|message| writer.write(message, &mut out));
    assert!(messages == read(out.take().concat().into()));
}

/// Every kind of message of the same payload. What is understood and written is understood again.
pub fn messages(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    for kind in (0..=22).map(MessageType::from) {
        if let Ok(Some(control)) = Control::parse(kind, data) {
            assert_eq!(Control::parse(kind, &control.to_message().payload), Ok(Some(control)));
        }
        let message = Message { chunk_stream: 3, kind, timestamp: 0, stream_id: 1, payload: payload.clone() };
        let _ = parse_data(&message);
    }
    if let Ok(event) = UserControl::parse(data) {
        assert_eq!(UserControl::parse(&event.to_message().payload), Ok(event));
    }
    let outer = Message { chunk_stream: 3, kind: MessageType::Aggregate, timestamp: 9, stream_id: 1, payload };
    let mut aggregate = Aggregate::new(outer);
    let mut bytes = 0;
    while let Ok(Some(message)) = aggregate.next_message() {
        bytes += message.payload.len() + 11;
        assert!(bytes <= data.len());
    }
}

/// A command that is understood, written and read again means the same.
pub fn command(data: &[u8]) {
    for kind in [MessageType::Command, MessageType::CommandAmf3] {
        let Ok(invoke) = Invoke::parse(kind, data) else { continue };
        let command = Command::from_invoke(invoke.clone());
        let written = command.to_invoke(invoke.transaction).to_payload();
        let again = Invoke::parse(MessageType::Command, &written).expect("what was written");
        // Debug text, because numbers may be no numbers and are then not equal to themselves.
        assert_eq!(format!("{command:?}"), format!("{:?}", Command::from_invoke(again)));
    }
    let _ = std::str::from_utf8(data).map(|url| {
        let base = RtmpUrl::parse("rtmp://host/live/cam").expect("a URL");
        let _ = (RtmpUrl::parse(url), base.resolve(url));
    });
}

/// What is said of a conversation is bounded, and pieces change nothing. Both ends say the same.
pub fn trace(data: &[u8]) {
    const LONGEST: usize = 256 << 10;
    let Some((stream, size)) = pieces(data) else { return };
    let told = |size: usize| {
        let mut dissector = Dissector::default();
        for side in [Side::Client, Side::Server] {
            dissector.take(side, vec![3; HANDSHAKE].into(), Time::ZERO);
            each_piece(&stream, size, |piece| {
                dissector.take(side, piece, Time::ZERO);
                true
            });
        }
        dissector.flush();
        std::iter::from_fn(|| dissector.next_event()).map(|event| event.to_string()).collect::<Vec<_>>()
    };
    let whole = told(stream.len().max(1));
    assert!(whole.iter().all(|line| line.len() < LONGEST));
    assert_eq!(told(size), whole);
}

/// A server that accepts everything, behind its handshake: what it hands out came in, and it says little more than it hears.
pub fn server(data: &[u8]) {
    let Some((stream, size)) = pieces(data) else { return };
    let limits = ChunkLimits { held: 1 << 20, ..ChunkLimits::default() };
    let mut server = ServerSession::new(ServerSettings { limits, ..ServerSettings::default() }, 1, Time::ZERO);
    server.receive(vec![3; HANDSHAKE].into(), Time::ZERO).expect("a handshake");
    let (mut media, mut said, mut open) = (0, 0, 0_i64);
    each_piece(&stream, size, |piece| {
        let heard = server.receive(piece, Time::ZERO).is_ok();
        let goes_on = loop {
            match server.next_event() {
                Ok(None) => break heard,
                Err(_) => break false,
                Ok(Some(event)) => {
                    accept(&mut server, &event);
                    media += if let ServerEvent::Media { media, .. } = &event { media.payload.len() } else { 0 };
                    open += balance(&event);
                }
            }
        };
        said += server.output().iter().map(Bytes::len).sum::<usize>();
        goes_on
    });
    server.disconnected();
    while let Ok(Some(event)) = server.next_event() {
        open += balance(&event);
    }
    assert!(media <= stream.len(), "{media} bytes of media in {}", stream.len());
    // A command of 20 bytes or more can bring a few statuses.
    assert!(said <= GREETING + 64 * stream.len(), "{said} bytes said to {}", stream.len());
    assert!(open <= 0, "what is published and played ends");
}

fn accept(server: &mut ServerSession, event: &ServerEvent) {
    match event {
        ServerEvent::Connect(_) => server.accept_connect(),
        ServerEvent::Publish { stream, .. } => server.accept_publish(*stream),
        ServerEvent::Play { stream, .. } => server.accept_play(*stream, true),
        ServerEvent::StreamLength { request, .. } => server.answer_stream_length(*request, 0.0),
        ServerEvent::Call { request: Some(request), .. } => {
            server.answer_call(*request, Ok(millstream_amf::Value::Null))
        }
        _ => {}
    }
}

/// Publishing and playing begin and end in turn; a playlist may begin more than once.
fn balance(event: &ServerEvent) -> i64 {
    match event {
        ServerEvent::Publish { .. } => 1,
        ServerEvent::Play { play, .. } if play.reset => 1,
        ServerEvent::Unpublish { .. } | ServerEvent::Stop { .. } => -1,
        _ => 0,
    }
}

/// A publishing and a playing client behind their handshakes.
pub fn client(data: &[u8]) {
    let Some((stream, size)) = pieces(data) else { return };
    for purpose in [Purpose::Publish(PublishType::Live), Purpose::Play { start: PlayStart::Live, duration: None }] {
        let url = RtmpUrl::parse("rtmp://user:password@host/live/cam").expect("a URL");
        let limits = ChunkLimits { held: 1 << 20, ..ChunkLimits::default() };
        let settings = ClientSettings { limits, ..ClientSettings::new(url, purpose) };
        let mut client = ClientSession::new(settings, 1, Time::ZERO);
        client.receive(vec![3; HANDSHAKE].into(), Time::ZERO).expect("a handshake");
        let (mut media, mut said) = (0, 0);
        each_piece(&stream, size, |piece| {
            let heard = client.receive(piece, Time::ZERO).is_ok();
            let goes_on = loop {
                match client.next_event() {
                    Ok(None) => break heard,
                    Err(error) => {
                        assert!(!error.to_string().contains("password"));
                        break false;
                    }
                    Ok(Some(event)) => {
                        media += if let ClientEvent::Media { media, .. } = &event { media.payload.len() } else { 0 };
                    }
                }
            };
            said += client.output().iter().map(Bytes::len).sum::<usize>();
            goes_on
        });
        assert!(media <= stream.len(), "{media} bytes of media in {}", stream.len());
        assert!(said <= GREETING + 64 * stream.len(), "{said} bytes said to {}", stream.len());
    }
}
