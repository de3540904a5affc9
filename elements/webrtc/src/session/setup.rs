//! What a session is made with.

use std::net::{IpAddr, SocketAddr};

use millstream_core::TimeDelta;
use str0m::bwe::Bitrate;
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, Rtc, RtcConfig};

use super::Codec;

/// In which form media go through a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carries {
    /// Whole frames, put together of the packets that come.
    #[default]
    Frames,
    /// Packets that were made elsewhere, once for all sessions; what comes is left out.
    Packets,
}

/// What a session is made with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Codecs that it takes, in no order: the other end's counts.
    pub codecs: Vec<Codec>,
    /// How media go through it.
    pub carries: Carries,
    /// Addresses of the sockets at which it is reached: its host candidates.
    pub addresses: Vec<SocketAddr>,
    /// Further addresses at which those sockets are reached from outside, behind a router that forwards: told to the other end with the ports of
    /// the sockets.
    pub advertise: Vec<IpAddr>,
    /// Addresses as which a server of STUN sees sockets, each with its socket: server-reflexive candidates.
    pub reflexive: Vec<(SocketAddr, SocketAddr)>,
    /// Addresses of relays: relayed candidates.
    pub relayed: Vec<SocketAddr>,
    /// The other end finds the way by itself, and this end only answers (ICE lite, RFC 8445 2.5): for servers that are reached where they say.
    pub lite: bool,
    /// Of many viewers most lose nothing: little is kept for sending again until it is asked for.
    pub is_one_of_many: bool,
    /// What the way to the other end is taken to bear at first, in bits a second, where it is to be estimated (TWCC). Without it nothing is.
    pub estimate: Option<u64>,
}

/// How often sender and receiver reports are sent: what the first of them says joins sound and pictures, so it should come soon.
const REPORTS: TimeDelta = TimeDelta::from_millis(500);

/// Datagrams that are kept for sending again to who asks for such: at 2.5 Mbit/s the last second. Each costs 490 bytes a viewer beside the
/// payload, which all share. Who misses older ones is given the group that has begun.
pub(super) const SENT: usize = 256;

/// The same for [`Setup::is_one_of_many`] who has asked for none so far: an eighth of a second, a round trip.
pub(super) const SENT_TO_MANY: usize = 32;

/// How often it is looked whether such a one has asked.
const LOOK: TimeDelta = TimeDelta::from_millis(500);

/// Packets of pictures that wait for one that is missing: a key frame of 1080p has some hundred, and what is asked for twice comes some hundred
/// milliseconds later.
const MISSING: usize = 300;

/// Number of the extension in offers of ours, which none of the usual ones has.
const CAPTURE_TIME: u8 = 5;

impl Setup {
    pub(super) fn config(&self) -> RtcConfig {
        let mut config = Rtc::builder()
            .clear_codecs()
            .set_rtp_mode(self.carries == Carries::Packets)
            .set_ice_lite(self.lite)
            .set_reordering_size_video(MISSING)
            .set_send_buffer_video(SENT)
            .set_rtcp_report_interval_audio(REPORTS.to_std())
            .set_rtcp_report_interval_video(REPORTS.to_std());
        if self.is_one_of_many {
            config = config.set_stats_interval(Some(LOOK.to_std()));
        }
        if let Some(estimate) = self.estimate {
            config = config.enable_bwe(Some(Bitrate::from(estimate)));
        }
        // Numbers over the whole transport (TWCC) would be kept for nobody: 90 KiB for each viewer. Without them the other end estimates, and
        // says what it found (REMB).
        let is_estimated = self.estimate.is_some() || !(self.lite && self.carries == Carries::Packets);
        config = config.set_extension_map(extensions(is_estimated));
        self.codecs.iter().fold(config, |config, codec| match codec {
            Codec::H264 => config.enable_h264(true),
            Codec::H265 => config.enable_h265(true),
            Codec::Vp8 => config.enable_vp8(true),
            Codec::Vp9 => config.enable_vp9(true),
            Codec::Av1 => config.enable_av1(true),
            Codec::Opus => config.enable_opus(true, false),
            Codec::Pcmu => config.enable_pcmu(true, false),
            Codec::Pcma => config.enable_pcma(true, false),
        })
    }

    /// Candidates of this end. Addresses that nobody can be at are none.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let hosts = self.addresses.iter().map(|address| Candidate::host(*address, "udp"));
        let reflexive = self.reflexive.iter().filter(|(mapped, base)| mapped != base);
        let reflexive = reflexive.map(|(mapped, base)| Candidate::server_reflexive(*mapped, *base, "udp"));
        // Where the relay was asked from is nobody's business (RFC 8828).
        let relayed = self.relayed.iter().map(|address| Candidate::relayed(*address, *address, "udp"));
        hosts.chain(reflexive).chain(relayed).filter_map(Result::ok).collect()
    }

    /// Every address that the other end is told.
    pub(super) fn told(&self) -> Vec<SocketAddr> {
        let reflexive = self.reflexive.iter().map(|(mapped, _)| *mapped);
        let mut told: Vec<SocketAddr> = self.addresses.iter().copied().chain(self.advertised()).collect();
        told.extend(reflexive.chain(self.relayed.iter().copied()));
        told.dedup();
        told
    }

    /// Candidates that only the other end knows of: the router makes them those of the sockets.
    pub(super) fn advertised(&self) -> Vec<SocketAddr> {
        let with = |socket: &SocketAddr| {
            let of_family = self.advertise.iter().filter(|ip| ip.is_ipv4() == socket.is_ipv4());
            of_family.map(|ip| SocketAddr::new(*ip, socket.port())).collect::<Vec<_>>()
        };
        let mut all: Vec<SocketAddr> = self.addresses.iter().flat_map(with).collect();
        all.retain(|address| !self.addresses.contains(address));
        all.dedup();
        all
    }
}

/// Extensions of RTP's header: the usual ones, when frames were captured, and transport-wide numbers where they are of use.
fn extensions(with_transport_numbers: bool) -> ExtensionMap {
    let mut extensions = ExtensionMap::empty();
    let standard = ExtensionMap::standard();
    let kept = standard.iter();
    kept.filter(|(_, extension)| with_transport_numbers || **extension != Extension::TransportSequenceNumber)
        .for_each(|(id, extension)| extensions.set(id, extension.clone()));
    extensions.set(CAPTURE_TIME, Extension::AbsoluteCaptureTime);
    extensions
}
