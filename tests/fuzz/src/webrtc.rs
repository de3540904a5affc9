//! WebRTC: offers, fragments, STUN requests, and frames that become packets.

use bytes::Bytes;
use millstream_core::Time;
use millstream_core::meter::Kind;
use millstream_webrtc::demux::asked_for;
use millstream_webrtc::fragment::Fragment;
use millstream_webrtc::ice::IceServer;
use millstream_webrtc::offer::{MAX_SDP, Offer};
use millstream_webrtc::packet::{MAX_PAYLOAD, Packetizer};
use millstream_webrtc::session::{Codec, Session, Setup};

/// Times a session may want to say something about one datagram.
const MAX_POLLS: usize = 1000;

/// An offer is refused, or a session answers it.
pub fn offer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(offer) = Offer::read(text) else { return };
    assert!(text.len() <= MAX_SDP && offer.text() == text);
    let address = ([127, 0, 0, 1], 9).into();
    let setup = Setup { codecs: Codec::ALL.to_vec(), addresses: vec![address], lite: true, ..Setup::default() };
    let mut session = Session::new(&setup, Time::ZERO);
    if let Ok(answer) = session.answer(&offer) {
        assert!(answer.starts_with("v=0"));
        assert!(session.tracks().len() <= offer.sections().len());
    }
}

/// Fragments, and names in STUN requests, are read or not.
pub fn fragment(data: &[u8]) {
    if let Some(name) = asked_for(data) {
        assert!(name.len() <= data.len() && !name.contains(':'));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Fragment::read(text);
        assert!(Fragment::of_answer(text).len() <= text.len() * 2 + 2);
    }
}

/// What a server says to a client: an answer is refused or agreed to, servers of STUN and TURN in `Link` are those that would be written, and a
/// reason is short.
pub fn reply(data: &[u8]) {
    millstream_webrtc::client::fuzz_problem(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    for server in IceServer::of_value(text) {
        let link = server.link().expect("it can be written");
        let again: Vec<_> = link.to_str().map(|link| IceServer::of_value(link).collect()).unwrap_or_default();
        assert_eq!(again, [server]);
    }
    let address = ([127, 0, 0, 1], 9).into();
    let setup = Setup { codecs: Codec::ALL.to_vec(), addresses: vec![address], ..Setup::default() };
    let mut session = Session::new(&setup, Time::ZERO);
    session.offer(&[(Kind::Video, true, false), (Kind::Audio, true, false)]).expect("an offer");
    let _ = session.accept(text);
    let waits = (0..MAX_POLLS).any(|_| matches!(session.poll(), millstream_webrtc::session::Output::Wait(_)));
    assert!(waits);
}

/// Datagrams of anybody end in nothing or in an answer, and no session runs on for ever.
pub fn datagram(data: &[u8]) {
    let [from, to] = [1, 2].map(|port| ([127, 0, 0, 1], port).into());
    let setup = Setup { codecs: Codec::ALL.to_vec(), addresses: vec![to], lite: true, ..Setup::default() };
    let mut session = Session::new(&setup, Time::ZERO);
    let datagram = millstream_webrtc::session::Datagram { from, to, bytes: data.to_vec() };
    session.receive(Time::ZERO, &datagram);
    let waits = (0..MAX_POLLS).any(|_| matches!(session.poll(), millstream_webrtc::session::Output::Wait(_)));
    assert!(waits);
}

/// Any frame of any codec becomes packets that a network carries, of which only the last of a picture is marked.
pub fn packets(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    for codec in Codec::ALL {
        let mut packetizer = Packetizer::new(codec);
        for is_key in [true, false] {
            let packets = packetizer.packets(&frame, is_key);
            let is_whole = matches!(codec, Codec::Opus | Codec::Pcmu | Codec::Pcma);
            assert!(is_whole || packets.iter().all(|packet| packet.payload.len() <= MAX_PAYLOAD));
            assert!(packets.iter().rev().skip(1).all(|packet| !packet.marker));
        }
    }
}
