//! What a session says.

use bytes::Bytes;
use millstream_core::meter::Kind;
use millstream_core::{Time, TimeDelta};
use str0m::IceConnectionState;
use str0m::bwe::BweKind;
use str0m::media::{MediaAdded, MediaData, Mid};

use super::instant::time;
use super::{Codec, Format, Session};
use crate::diagnose::Unreached;

/// Which track of a session: what SDP calls `mid` (RFC 5888).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub(super) Mid);

impl std::fmt::Display for TrackId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A track, and which ways media go on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Which one.
    pub id: TrackId,
    /// Pictures or sound.
    pub kind: Kind,
    /// This end sends.
    pub sends: bool,
    /// The other end sends.
    pub receives: bool,
}

/// How far ICE is (RFC 8445), as browsers call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IceState {
    /// Nothing has been tried.
    New,
    /// Ways are being tried.
    Checking,
    /// There is a way.
    Connected,
    /// There is a way, and all have been tried.
    Completed,
    /// There is none any more, or never was.
    Disconnected,
}

impl IceState {
    /// One word for people and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Checking => "checking",
            Self::Connected => "connected",
            Self::Completed => "completed",
            Self::Disconnected => "disconnected",
        }
    }
}

/// A frame that came: an access unit, a picture, a packet of sound.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which track.
    pub track: TrackId,
    /// Its codec.
    pub codec: Codec,
    /// Channels of sound, as negotiated.
    pub channels: Option<u8>,
    /// Its bytes. H.264 and H.265 in the byte stream format of their annex B, AV1 as OBUs that have a size.
    pub data: Bytes,
    /// Time on the clock of the codec in its ticks, which does not wrap.
    pub ticks: i64,
    /// Decoding can begin here.
    pub is_key: bool,
    /// Nothing is missing since the frame before.
    pub is_contiguous: bool,
    /// When the first of its packets came, on the clock of the environment.
    pub received: Time,
    /// What the other end's clock said at which ticks, by its last sender report.
    pub report: Option<SenderReport>,
}

/// A moment on the clock of the other end, and the same on that of the codec (RFC 3550, 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Time since 1970 on the clock of the other end.
    pub wall: TimeDelta,
    /// Ticks.
    pub ticks: i64,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// ICE is this far.
    Ice(IceState),
    /// The other end was reached and is who it should be: media can flow.
    Connected,
    /// There is a track, or one has changed.
    Track(Track),
    /// A frame has come, in a session that [carries frames](super::Carries::Frames).
    Frame(Frame),
    /// The other end asks for a key frame of a track (PLI or FIR).
    KeyFrameWanted(TrackId),
    /// What the way to the other end takes, in bits a second (TWCC or REMB).
    Bitrate(u64),
    /// It is over, and the other end was never reached: what was tried. [`Event::Closed`] follows.
    Unreached(Box<Unreached>),
    /// It is over.
    Closed,
}

impl Session {
    pub(super) fn event(&mut self, event: str0m::Event) -> Option<Event> {
        use str0m::Event as Other;
        Some(match event {
            Other::Connected => {
                // Nobody asks any more what was tried.
                self.trickled = String::new();
                Event::Connected
            }
            Other::IceConnectionStateChange(state) => Event::Ice(ice(state)),
            Other::MediaAdded(MediaAdded { mid, .. }) => Event::Track(self.track(mid)?),
            Other::MediaChanged(changed) => Event::Track(self.track(changed.mid)?),
            Other::MediaData(data) => Event::Frame(frame(data)?),
            Other::KeyframeRequest(request) => Event::KeyFrameWanted(TrackId(request.mid)),
            Other::EgressBitrateEstimate(BweKind::Twcc { estimate, .. } | BweKind::Remb { estimate, .. }) => {
                Event::Bitrate(estimate.as_u64())
            }
            Other::MediaEgressStats(stats) => {
                if stats.nacks > 0 {
                    self.keep_more(stats.mid);
                }
                return None;
            }
            Other::Closed => Event::Closed,
            _ => return None,
        })
    }

    pub(super) fn track(&self, mid: Mid) -> Option<Track> {
        let media = self.rtc.media(mid)?;
        let (direction, kind) = (media.direction(), media.kind());
        let kind = if kind.is_audio() { Kind::Audio } else { Kind::Video };
        Some(Track { id: TrackId(mid), kind, sends: direction.is_sending(), receives: direction.is_receiving() })
    }

    pub(super) fn formats_of(&mut self, mid: Mid) -> Vec<Format> {
        let Some(media) = self.rtc.media(mid) else { return Vec::new() };
        let order: Vec<_> = media.remote_pts().to_vec();
        let params = self.rtc.codec_config().params();
        let of = |pt| params.iter().find(|params| params.pt() == pt);
        order.into_iter().filter_map(of).filter_map(format).collect()
    }
}

fn format(params: &str0m::format::PayloadParams) -> Option<Format> {
    let spec = params.spec();
    let codec = Codec::of(spec.codec)?;
    let splits = codec != Codec::H264 || spec.format.packetization_mode == Some(1);
    Some(Format {
        codec,
        payload_type: *params.pt(),
        profile_level_id: spec.format.profile_level_id,
        splits,
        profile_id: spec.format.profile_id,
    })
}

fn ice(state: IceConnectionState) -> IceState {
    match state {
        IceConnectionState::New => IceState::New,
        IceConnectionState::Checking => IceState::Checking,
        IceConnectionState::Connected => IceState::Connected,
        IceConnectionState::Completed => IceState::Completed,
        IceConnectionState::Disconnected => IceState::Disconnected,
    }
}

fn frame(data: MediaData) -> Option<Frame> {
    let codec = Codec::of(data.params.spec().codec)?;
    let is_key = codec.kind() == Kind::Audio || data.is_keyframe();
    let said = data.last_sender_info.map(|info| (info.ntp_time, info.rtp_time));
    // Before the first report the frame itself may say when it was captured.
    let said = said.or(data.ext_vals.abs_capture_time.map(|captured| (captured.capture_time, data.time)));
    let report = said.map(|(wall, at)| SenderReport {
        wall: wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().into(),
        ticks: ticks(at, codec),
    });
    Some(Frame {
        track: TrackId(data.mid),
        codec,
        channels: data.params.spec().channels,
        ticks: ticks(data.time, codec),
        is_key,
        is_contiguous: data.contiguous,
        received: time(data.network_time),
        report,
        data: Bytes::from_owner(data.data),
    })
}

fn ticks(time: str0m::media::MediaTime, codec: Codec) -> i64 {
    let hz = i128::from(time.frequency().get());
    let ticks = i128::from(time.numer()) * i128::from(codec.rate()) / hz.max(1);
    i64::try_from(ticks).unwrap_or(i64::MAX)
}
