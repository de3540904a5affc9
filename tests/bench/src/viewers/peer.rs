//! One end of a connection, with its socket.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Bytes of the largest datagram.
const DATAGRAM: usize = 2000;
/// Kernel buffer for what comes while this side is busy with others.
const SOCKET_BUFFER: usize = 1 << 20;
/// How far the clock of RTP for pictures goes in a millisecond (RFC 6184, 8.2.1).
const TICKS: u32 = 90;

/// One end of a connection.
pub(super) struct Peer {
    rtc: Rtc,
    pub(super) socket: UdpSocket,
    address: SocketAddr,
    /// When it wants to be called again.
    pub(super) due: Instant,
    pub(super) connected: bool,
    /// How many datagrams came, for who loses some of them.
    pub(super) datagrams: u64,
    /// Loses each tenth datagram.
    pub(super) loses: bool,
    /// Its track, once it was negotiated.
    mid: Option<Mid>,
    /// Packets that it has sent.
    sent: u64,
}

impl Peer {
    /// One with a socket at an address of this machine.
    pub(super) fn new(ip: Ipv4Addr) -> Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).context("cannot open a socket")?;
        socket.set_nonblocking(true)?;
        // As much as the kernel lets us have.
        let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &SOCKET_BUFFER);
        let address = socket.local_addr()?;
        let now = Instant::now();
        let mut rtc = Rtc::builder().clear_codecs().enable_h264(true).set_rtp_mode(true).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        Ok(Self { rtc, socket, address, due: now, connected: false, datagrams: 0, loses: false, mid: None, sent: 0 })
    }

    /// Offers pictures, to be received or sent.
    pub(super) fn offer(&mut self, publishes: bool) -> Result<(String, SdpPendingOffer)> {
        let direction = if publishes { Direction::SendOnly } else { Direction::RecvOnly };
        let mut changes = self.rtc.sdp_api();
        self.mid = Some(changes.add_media(MediaKind::Video, direction, None, None, None));
        let (offer, pending) = changes.apply().context("nothing to offer")?;
        Ok((offer.to_sdp_string(), pending))
    }

    /// Takes the answer.
    pub(super) fn accept(&mut self, pending: SdpPendingOffer, answer: &str) -> Result<()> {
        let answer = SdpAnswer::from_sdp_string(answer).context("an answer that is no SDP")?;
        self.rtc.sdp_api().accept_answer(pending, answer).context("an answer that does not fit")?;
        self.drive(&mut |_| {})
    }

    /// Answers an offer.
    pub(super) fn answer(&mut self, offer: &str) -> Result<String> {
        let offer = SdpOffer::from_sdp_string(offer).context("an offer that is no SDP")?;
        let answer = self.rtc.sdp_api().accept_offer(offer).context("an offer that does not fit")?;
        self.drive(&mut |_| {})?;
        Ok(answer.to_sdp_string())
    }

    /// Reads all that has come.
    pub(super) fn read(&mut self, seen: &mut impl FnMut(RtpPacket)) -> Result<()> {
        let mut datagram = [0; DATAGRAM];
        loop {
            let (length, source) = match self.socket.recv_from(&mut datagram) {
                Ok(came) => came,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.drive(seen),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error).context("cannot receive"),
            };
            self.datagrams += 1;
            if self.loses && self.connected && self.datagrams.is_multiple_of(10) {
                continue;
            }
            let Ok(contents) = datagram[..length].try_into() else { continue };
            let receive = Receive { proto: Protocol::Udp, source, destination: self.address, contents };
            self.rtc.handle_input(Input::Receive(Instant::now(), receive))?;
            self.drive(seen)?;
        }
    }

    /// Its time has come.
    pub(super) fn wake(&mut self, seen: &mut impl FnMut(RtpPacket)) -> Result<()> {
        self.rtc.handle_input(Input::Timeout(Instant::now()))?;
        self.drive(seen)
    }

    /// Sends a packet of a picture.
    pub(super) fn send(&mut self, millis: u32, marker: bool, payload: Arc<[u8]>) -> Result<()> {
        let mid = self.mid.context("it offered nothing")?;
        let pt = self.payload_type(mid).context("H.264 in fragments was not negotiated")?;
        let now = Instant::now();
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).context("nothing is sent on that track")?;
        stream.set_unpaced(true);
        let write = RtpWrite::new(pt, self.sent.into(), millis.wrapping_mul(TICKS), now, payload);
        stream.write_rtp(write.marker(marker).nackable(true));
        self.sent += 1;
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drive(&mut |_| {})
    }

    fn payload_type(&mut self, mid: Mid) -> Option<Pt> {
        let wanted = self.rtc.media(mid)?.remote_pts().to_vec();
        let params = self.rtc.codec_config().params();
        let fits = params.iter().find(|params| {
            let spec = params.spec();
            wanted.contains(&params.pt()) && spec.codec == Codec::H264 && spec.format.packetization_mode == Some(1)
        });
        fits.map(|params| params.pt())
    }

    fn drive(&mut self, seen: &mut impl FnMut(RtpPacket)) -> Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.due = at.max(Instant::now() + Duration::from_millis(1));
                    return Ok(());
                }
                // What a socket does not take now is lost, as on any network.
                Output::Transmit(transmit) => drop(self.socket.send_to(&transmit.contents, transmit.destination)),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => seen(packet),
                Output::Event(Event::IceConnectionStateChange(str0m::IceConnectionState::Disconnected)) => {
                    bail!("the connection is lost")
                }
                Output::Event(_) => {}
            }
        }
    }
}
