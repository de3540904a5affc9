//! What a viewer's session holds, counted by the allocator.

use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Time, TimeDelta};
use millstream_webrtc::offer::Offer;
use millstream_webrtc::session::{Carries, Codec, Datagram, Event, Output, Packet, Session, Setup};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes of a session: with the queues around it a viewer stays at 100 KiB.
const MOST: usize = 92 << 10;

const VIEWERS: usize = 10;

/// A server's session and that of its viewer.
struct Pair {
    server: Box<Session>,
    viewer: Session,
}

/// All that a session wants now.
fn drained(session: &mut Session) -> (Vec<Datagram>, Vec<Event>) {
    let (mut datagrams, mut events) = (Vec::new(), Vec::new());
    loop {
        match session.poll() {
            Output::Send(datagram) => datagrams.push(datagram),
            Output::Event(event) => events.push(event),
            Output::Wait(_) => return (datagrams, events),
        }
    }
}

impl Pair {
    fn new() -> Self {
        let [server, viewer] = [1, 2].map(|host| ([10, 0, 0, host], 1000).into());
        let setup = Setup { codecs: Codec::ALL.to_vec(), addresses: vec![viewer], ..Setup::default() };
        let mut viewer = Session::new(&setup, Time::ZERO);
        let offer = viewer.offer(&[(Kind::Video, false, true), (Kind::Audio, false, true)]).expect("an offer");
        let codecs = vec![Codec::H264, Codec::Opus];
        let carries = Carries::Packets;
        let setup =
            Setup { codecs, addresses: vec![server], lite: true, carries, is_one_of_many: true, ..Setup::default() };
        let mut server = Box::new(Session::new(&setup, Time::ZERO));
        let answer = server.answer(&Offer::read(&offer).expect("an offer")).expect("an answer");
        viewer.accept(&answer).expect("accepted");
        Self { server, viewer }
    }

    /// Lets both talk until nobody has anything to say; whether a viewer has had a frame.
    fn talk(&mut self, now: Time) -> usize {
        let mut frames = 0;
        loop {
            let (to_viewer, _) = drained(&mut self.server);
            let (to_server, events) = drained(&mut self.viewer);
            frames += events.iter().filter(|event| matches!(event, Event::Frame(_))).count();
            if to_viewer.is_empty() && to_server.is_empty() {
                return frames;
            }
            to_viewer.iter().for_each(|datagram| self.viewer.receive(now, datagram));
            to_server.iter().for_each(|datagram| self.server.receive(now, datagram));
        }
    }
}

#[test]
fn a_playing_viewer_stays_below_its_share_of_memory() {
    let mut pairs: Vec<Pair> = (0..VIEWERS).map(|_| Pair::new()).collect();
    let payload: Arc<[u8]> = vec![0x65; 1100].into();
    let mut frames = 0;
    // 5 s, 25 pictures of 12 packets a second: 2.6 Mbit/s.
    for step in 0..1000_u32 {
        let now = Time::from_millis(i64::from(step) * 5);
        for pair in &mut pairs {
            pair.server.timeout(now);
            pair.viewer.timeout(now);
            let sends = step % 8 == 0 && pair.server.is_connected();
            for track in if sends { pair.server.tracks() } else { Vec::new() } {
                let format = pair.server.formats(track.id)[0];
                let count = if track.kind == Kind::Video { 12 } else { 1 };
                let packet = |index| Packet { payload: payload.clone(), marker: index + 1 == count };
                let packets: Vec<Packet> = (0..count).map(packet).collect();
                for some in packets.chunks(8) {
                    pair.server.send(track.id, &format, some, step * 450, now - TimeDelta::from_millis(1));
                    frames += pair.talk(now);
                }
            }
            frames += pair.talk(now);
        }
    }
    assert!(frames > VIEWERS * 100, "{frames} frames came");
    let (servers, viewers): (Vec<_>, Vec<_>) = pairs.into_iter().map(|pair| (pair.server, pair.viewer)).unzip();
    let before = MEMORY.current_usage();
    drop(servers);
    let each = (before - MEMORY.current_usage()) / VIEWERS;
    drop(viewers);
    assert!(each < MOST, "{each} bytes each");
}
