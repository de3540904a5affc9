//! A WebRTC session without sockets, clock and tasks: datagrams, media and the time go in, and out come datagrams, events and the time at
//! which it wants to be called again.
//!
//! It is what elements, WHIP, WHEP and signaling share. ICE (RFC 8445), DTLS-SRTP (RFC 5763, RFC 5764), RTP and RTCP are str0m's.
//!
//! ```text
//!             offer(), answer(), accept(), add_remote_candidate()      signaling
//!                                  │
//! receive(now, datagram) ──►  ┌─────────┐ ──► Output::Send      datagrams
//! timeout(now)           ──►  │ Session │ ──► Output::Event     frames, tracks, requests for key frames ...
//! send(), request...()   ──►  └─────────┘ ──► Output::Wait      until when
//! ```
//!
//! After each call of a method that takes `&mut self`, [`Session::poll`] is called until it says [`Output::Wait`].

mod codec;
mod event;
mod format;
mod instant;
mod negotiate;
mod setup;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use millstream_core::Time;
use millstream_core::meter::Kind;
use str0m::bwe::Bitrate;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{AbsCaptureTime, ExtensionValues, RtpWrite, SeqNo};
use str0m::{Input, Rtc};

pub use codec::Codec;
pub use event::{Event, Frame, IceState, SenderReport, Track, TrackId};
pub use format::Format;
pub use negotiate::{Changes, Refused};
pub use setup::{Carries, Setup};

use self::instant::{instant, time, time_of_day};
use self::negotiate::plain;
use crate::diagnose::{Pair, Unreached, candidates};

/// What a session wants.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Send(Datagram),
    /// This has happened.
    Event(Event),
    /// Nothing until something comes, or this time.
    Wait(Time),
}

/// A datagram and its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sends it.
    pub from: SocketAddr,
    /// Who receives it.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A packet of RTP to be sent: payload that all who get it share.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Payload, with the header of its format.
    pub payload: Arc<[u8]>,
    /// The last of its frame (video), or the first after a silence (audio).
    pub marker: bool,
}

/// One end of a WebRTC connection.
pub struct Session {
    rtc: Rtc,
    now: Instant,
    /// Session description of the other end, as long as a restart of ICE may need it.
    remote: Option<String>,
    pending: Option<str0m::change::SdpPendingOffer>,
    /// Further addresses of this end that only the other end knows: [`Setup::advertise`].
    advertised: Vec<SocketAddr>,
    /// Every address of this end that the other one is told, and candidates of the other end that came later.
    told: Vec<SocketAddr>,
    trickled: String,
    sending: Vec<Sending>,
    /// See [`Setup::is_one_of_many`]; no more when something was asked for again.
    is_one_of_many: bool,
    failed: bool,
    /// What failed, in words.
    failure: Option<String>,
}

/// How long datagrams are kept at most for sending again.
const KEPT: std::time::Duration = std::time::Duration::from_secs(3);

/// Of all that is sent so much may be sent again: who asks for the same again and again does not get more.
const AGAIN: Option<f32> = Some(0.15);

/// What is known of a track that packets are written to.
struct Sending {
    mid: Mid,
    next: u64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

impl Session {
    /// One that has said nothing so far.
    pub fn new(setup: &Setup, now: Time) -> Self {
        let now = instant(now);
        let mut rtc = setup.config().build(now);
        for candidate in setup.candidates() {
            rtc.add_local_candidate(candidate);
        }
        let (advertised, told, trickled) = (setup.advertised(), setup.told(), String::new());
        let (sending, is_one_of_many) = (Vec::new(), setup.is_one_of_many);
        Self {
            rtc,
            now,
            remote: None,
            pending: None,
            advertised,
            told,
            trickled,
            sending,
            is_one_of_many,
            failed: false,
            failure: None,
        }
    }

    /// The name by which the other end asks for this session in its STUN requests: a datagram belongs to it whose user name begins with that
    /// and a colon (RFC 8445, 7.2.2). A restart of ICE changes it.
    pub fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// False when it is over: closed, or not reached any more.
    pub fn is_alive(&self) -> bool {
        !self.failed && self.rtc.is_alive()
    }

    /// False when it is over because something went wrong in it.
    pub(crate) fn has_not_failed(&self) -> bool {
        !self.failed
    }

    /// True when the other end was reached, and media may flow.
    pub fn is_connected(&self) -> bool {
        self.rtc.is_connected()
    }

    /// What is known of a session that nobody has reached, after these pairs were tried.
    pub(crate) fn unreached(&self, pairs: &[Pair]) -> Unreached {
        let all = format!("{}\n{}", self.remote.as_deref().unwrap_or_default(), self.trickled);
        let (remote, names) = candidates(&all);
        let remote = remote.into_iter().map(|told| told.address).collect();
        Unreached { told: self.told.clone(), remote, names, pairs: pairs.to_vec(), failure: self.failure.clone() }
    }

    /// A datagram has come. What is none of this session's is left out.
    pub fn receive(&mut self, now: Time, datagram: &Datagram) {
        self.advance(now);
        let Ok(contents) = datagram.bytes.as_slice().try_into() else { return };
        let (source, destination) = (datagram.from, datagram.to);
        let receive = Receive { proto: Protocol::Udp, source, destination, contents };
        self.input(Input::Receive(self.now, receive));
    }

    /// The time has come that [`Output::Wait`] named, or any other.
    pub fn timeout(&mut self, now: Time) {
        self.advance(now);
        self.input(Input::Timeout(self.now));
    }

    fn advance(&mut self, now: Time) {
        self.now = self.now.max(instant(now));
    }

    fn input(&mut self, input: Input<'_>) {
        if let Err(error) = self.rtc.handle_input(input) {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &str0m::RtcError) {
        tracing::debug!(%error, "a session failed");
        self.failed = true;
        self.failure = Some(plain(error));
        self.rtc.disconnect();
    }

    /// What it wants next.
    pub fn poll(&mut self) -> Output {
        loop {
            if self.failed {
                return Output::Wait(Time::MAX);
            }
            match self.rtc.poll_output() {
                Ok(str0m::Output::Timeout(at)) => return Output::Wait(time(at)),
                Ok(str0m::Output::Transmit(transmit)) => {
                    let (from, to) = (transmit.source, transmit.destination);
                    return Output::Send(Datagram { from, to, bytes: transmit.contents.into() });
                }
                Ok(str0m::Output::Event(event)) => {
                    if let Some(event) = self.event(event) {
                        return Output::Event(event);
                    }
                }
                Err(error) => {
                    self.fail(&error);
                    return Output::Event(Event::Closed);
                }
            }
        }
    }

    /// Asks the other end for a key frame of a track (RFC 4585, PLI).
    pub fn request_key_frame(&mut self, track: TrackId) {
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(track.0, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.input(Input::Timeout(self.now));
    }

    /// Asks the other end for at most so many bits a second (REMB).
    pub fn request_bitrate(&mut self, track: TrackId, bits_per_second: u64) {
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(track.0, None) {
            stream.request_remb(Bitrate::from(bits_per_second));
        }
        self.input(Input::Timeout(self.now));
    }

    /// What a track is sent in: the formats that both ends take, the best first.
    pub fn formats(&mut self, track: TrackId) -> Vec<Format> {
        self.formats_of(track.0)
    }

    /// Sends the packets of a frame, for a session that [carries packets](Carries::Packets). `ticks` is its time on the clock of the codec,
    /// `at` the same moment on the clock of the environment: what the other end joins sound and pictures by (RFC 3550, 6.4.1).
    pub fn send(&mut self, track: TrackId, format: &Format, packets: &[Packet], ticks: u32, at: Time) {
        let Some(index) = self.sending(track.0) else { return };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(track.0, None) else { return };
        let Some(sending) = self.sending.get_mut(index) else { return };
        // Of those who have not agreed on it nobody is told (abs-capture-time). The same clock captures and sends.
        let captured = Some(AbsCaptureTime { capture_time: time_of_day(at), clock_offset: None });
        for (index, packet) in packets.iter().enumerate() {
            let number: SeqNo = sending.next.into();
            sending.next += 1;
            let abs_capture_time = captured.filter(|_| index == 0);
            let write = RtpWrite::new(format.payload_type.into(), number, ticks, instant(at), packet.payload.clone());
            let write = write.ext_vals(ExtensionValues { abs_capture_time, ..ExtensionValues::default() });
            stream.write_rtp(write.marker(packet.marker).nackable(format.codec.kind() == Kind::Video));
        }
        self.input(Input::Timeout(self.now));
    }

    fn sending(&mut self, mid: Mid) -> Option<usize> {
        if let Some(index) = self.sending.iter().position(|one| one.mid == mid) {
            return Some(index);
        }
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None)?;
        // What is sent is paced by who made it.
        stream.set_unpaced(true);
        if self.is_one_of_many {
            stream.set_rtx_cache(setup::SENT_TO_MANY, KEPT, None);
        }
        self.sending.push(Sending { mid, next: u64::from(first_number()) });
        Some(self.sending.len() - 1)
    }

    /// Packets of a track were asked for again: from now on more are kept.
    fn keep_more(&mut self, mid: Mid) {
        let is_sent = self.sending.iter().any(|one| one.mid == mid);
        if self.is_one_of_many && is_sent {
            self.is_one_of_many = false;
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None) {
                stream.set_rtx_cache(setup::SENT, KEPT, AGAIN);
            }
        }
    }

    /// How much the media have of what is sent, in bits a second: lets the estimate of what the way takes grow beyond it.
    pub fn set_sending_rate(&mut self, current: u64, wanted: u64) {
        self.rtc.bwe().set_bitrate(Bitrate::from(current), Bitrate::from(wanted));
        self.input(Input::Timeout(self.now));
    }

    /// Takes leave of the other end. [`Session::poll`] has what is to be sent for it, then [`Event::Closed`].
    pub fn close(&mut self) {
        if self.rtc.close().is_err() {
            self.failed = true;
        }
    }
}

/// Packets begin to be counted anywhere in the lower half (RFC 3550, 5.1; RFC 3711, 3.3.1: the first must not wrap around too soon).
fn first_number() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness the first number is known to all, which is what SRTP protects from anyway.
    let _ = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes) >> 1
}
