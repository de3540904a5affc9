//! Two sessions against each other, without sockets and clock.

#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use millstream_core::meter::Kind;
use millstream_core::{Time, TimeDelta};
use millstream_webrtc::offer::Offer;
use millstream_webrtc::packet::Packetizer;
use millstream_webrtc::session::{Carries, Codec, Datagram, Event, Format, Output, Session, Setup, TrackId};

const HERE: ([u8; 4], u16) = ([192, 0, 2, 1], 4000);
const THERE: ([u8; 4], u16) = ([192, 0, 2, 2], 5000);

/// An access unit with an IDR slice, small enough for one packet.
const PICTURE: &[u8] = &[0, 0, 0, 1, 0x65, 0x88, 0x84, 0, 0x33, 0xff];

/// One end that sends pictures to the other.
struct Pair {
    sender: Session,
    receiver: Session,
    now: Time,
    /// What the receiver made of it, and the datagrams to it.
    frames: usize,
    sent: Vec<Datagram>,
}

impl Pair {
    fn connected() -> (Self, TrackId, Format) {
        let setup = |carries, address: ([u8; 4], u16)| {
            let addresses = vec![address.into()];
            Setup { codecs: vec![Codec::H264], carries, addresses, ..Setup::default() }
        };
        let mut sender = Session::new(&setup(Carries::Packets, HERE), Time::ZERO);
        let mut receiver = Session::new(&setup(Carries::Frames, THERE), Time::ZERO);
        let offer = sender.offer(&[(Kind::Video, true, false)]).unwrap();
        let answer = receiver.answer(&Offer::read(&offer).unwrap()).unwrap();
        sender.accept(&answer).unwrap();
        let mut pair = Self { sender, receiver, now: Time::ZERO, frames: 0, sent: Vec::new() };
        while !(pair.sender.is_connected() && pair.receiver.is_connected()) {
            pair.pass();
            assert!(pair.now < Time::from_millis(20_000), "no connection");
        }
        let track = pair.sender.tracks()[0].id;
        let format = *pair.sender.formats(track).iter().find(|format| format.splits).unwrap();
        (pair, track, format)
    }

    /// Ten milliseconds, in which everything arrives.
    fn pass(&mut self) {
        self.now += TimeDelta::from_millis(10);
        self.sender.timeout(self.now);
        self.receiver.timeout(self.now);
        loop {
            let (there, _) = drain(&mut self.sender);
            let (back, frames) = drain(&mut self.receiver);
            self.frames += frames;
            if there.is_empty() && back.is_empty() {
                return;
            }
            there.iter().for_each(|datagram| self.receiver.receive(self.now, datagram));
            back.iter().for_each(|datagram| self.sender.receive(self.now, datagram));
            self.sent.extend(there);
        }
    }

    fn send(&mut self, track: TrackId, format: &Format, ticks: u32) {
        let packets = Packetizer::new(Codec::H264).packets(&Bytes::from_static(PICTURE), true);
        self.sender.send(track, format, &packets, ticks, self.now);
        self.pass();
    }
}

/// Datagrams of a session, and how many frames it has made.
fn drain(session: &mut Session) -> (Vec<Datagram>, usize) {
    let (mut datagrams, mut frames) = (Vec::new(), 0);
    loop {
        match session.poll() {
            Output::Send(datagram) => datagrams.push(datagram),
            Output::Event(event) => frames += usize::from(matches!(event, Event::Frame(_))),
            Output::Wait(_) => return (datagrams, frames),
        }
    }
}

/// RFC 5764, 5.1.2: the first byte tells RTP from STUN and DTLS. RFC 3711, 3.3: what is not authentic is discarded.
#[test]
fn sec_rtp_without_protection_or_changed_is_dropped() {
    let (mut pair, track, format) = Pair::connected();
    pair.send(track, &format, 0);
    pair.send(track, &format, 3000);
    let good = pair.frames;
    assert!(good >= 1, "what is protected arrives");
    let is_rtp = |datagram: &&Datagram| datagram.bytes[0] >> 6 == 2 && datagram.bytes[1] & 0x7f == format.payload_type;
    let last = pair.sent.iter().rfind(is_rtp).expect("a packet").clone();
    let number = u16::from_be_bytes([last.bytes[2], last.bytes[3]]);
    for ahead in 1..20_u16 {
        let number = number.wrapping_add(ahead).to_be_bytes();
        // The same stream, the next number and time, and the picture in the clear, as a unit of its own (RFC 6184, 5.6).
        let mut plain = last.bytes[..12].to_vec();
        (plain[0], plain[1]) = (0x80, 0x80 | plain[1]);
        plain[2..4].copy_from_slice(&number);
        plain[4..8].copy_from_slice(&(6000 + u32::from(ahead) * 3000).to_be_bytes());
        plain.extend_from_slice(&PICTURE[4..]);
        let mut changed = last.bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        changed[2..4].copy_from_slice(&number);
        for bytes in [plain, changed] {
            pair.receiver.receive(pair.now, &Datagram { bytes, ..last.clone() });
            pair.pass();
        }
    }
    assert_eq!(pair.frames, good, "nothing of it is a picture");
    assert!(pair.receiver.is_connected(), "and it does no harm");
    pair.send(track, &format, 9000);
    pair.send(track, &format, 12_000);
    assert!(pair.frames > good, "what is protected still arrives");
}
