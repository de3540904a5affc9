//! Bytes that no peer means: sessions refuse or skip them, and never panic.

mod common;

use bytes::Bytes;
use common::HANDSHAKE;
use common::ends::{Conversation, PLAY, PUBLISH, client_settings, play, publish};
use common::{Served, accept_all};
use millstream_core::Time;
use millstream_core::trace::Side;
use millstream_rtmp::chunk::ChunkLimits;
use millstream_rtmp::session::client::{ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::server::{ServerSession, ServerSettings};
use millstream_testkit::pair::Network;
use proptest::prelude::*;

/// A server and a client behind their handshakes.
fn open(purpose: Purpose) -> (ServerSession, ClientSession) {
    let limits = ChunkLimits { held: 1 << 20, ..ChunkLimits::default() };
    let settings = ClientSettings { limits, ..client_settings(purpose) };
    let mut client = ClientSession::new(settings, 1, Time::ZERO);
    client.receive([&[3][..], &[0; 2 * 1536]].concat().into(), Time::ZERO).expect("a handshake");
    (Served::new(ServerSettings::default()).server, client)
}

fn serve(server: &mut ServerSession, bytes: &[u8], step: usize) {
    for piece in bytes.chunks(step) {
        let _ = server.receive(Bytes::copy_from_slice(piece), Time::ZERO);
        let _ = accept_all(server);
    }
}

fn answer(client: &mut ClientSession, bytes: &[u8], step: usize) {
    for piece in bytes.chunks(step) {
        let _ = client.receive(Bytes::copy_from_slice(piece), Time::ZERO);
        while let Ok(Some(_)) = client.next_event() {}
    }
}

/// What a side sent in a whole conversation, behind its handshake.
fn sent(conversation: Conversation, side: Side) -> Vec<u8> {
    let wire = conversation(Network::default(), None).take_wire();
    let bytes: Vec<Bytes> = wire.into_iter().filter(|(from, _)| *from == side).map(|(_, bytes)| bytes).collect();
    bytes.concat().split_off(HANDSHAKE)
}

proptest! {
    #[test]
    fn any_bytes_never_panic_a_session(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1..40_usize) {
        let (mut server, mut client) = open(PLAY);
        serve(&mut server, &bytes, step);
        answer(&mut client, &bytes, step);
    }

    #[test]
    fn a_damaged_conversation_never_panics(at in any::<prop::sample::Index>(), flip in 1..=255_u8, step in 1..200_usize) {
        for (purpose, conversation) in [(PUBLISH, publish as Conversation), (PLAY, play)] {
            let (mut server, mut client) = open(purpose);
            let [mut up, mut down] = [Side::Client, Side::Server].map(|side| sent(conversation, side));
            for bytes in [&mut up, &mut down] {
                let place = at.index(bytes.len());
                bytes[place] ^= flip;
            }
            serve(&mut server, &up, step);
            answer(&mut client, &down, step);
        }
    }
}
