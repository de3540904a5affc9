//! WebRTC (RFC 8825): publishing over WHIP, playing over WHEP, both through our signaling, and the sessions that all are made of.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | RFC 8445 (ICE), RFC 5764 (DTLS-SRTP), RFC 3550 (RTP), RFC 4585 (feedback) | by str0m, without sockets | [`session`] |
//! | RFC 8866 (SDP), RFC 8843 (BUNDLE) | what an offer must have | [`offer`] |
//! | RFC 8489 (STUN) | whose a datagram is | [`demux`] |
//! | RFC 8445, 5.1.1 (server-reflexive and relayed candidates) | beside the sockets' own addresses | [`ice`] |
//! | RFC 9725 (WHIP) | publishing by HTTP | [`http`], [`whip`] |
//! | draft-ietf-wish-whep (WHEP) | playing by HTTP | [`http`], [`whep`] |
//! | RFC 6184, RFC 7741, RFC 9628, AV1 over RTP | frames into packets | [`packet`] |
//! | ours, `docs/spec/signaling.md` | publishing and playing through our signaling | [`signaling`] |
//! | RFC 9725, draft-ietf-wish-whep | publishing to and playing from servers of others | [`client`] |
//! | RFC 8445, RFC 5780 | why a session does not connect | [`diagnose`] |
//! | RFC 8840 | fragments of SDP with candidates | [`fragment`] |
//!
//! Sessions are apart from sockets: a [`session::Session`] knows neither, [`ports`] has one UDP socket for each address of the machine, for all
//! sessions of a port, and a [`driver`] brings one of the first and the second together.

pub mod client;
mod control;
pub mod demux;
pub mod diagnose;
pub mod driver;
pub mod fragment;
pub mod http;
pub mod ice;
pub mod offer;
pub mod packet;
pub mod ports;
pub mod receive;
pub mod send;
pub mod session;
pub mod signaling;
mod timeline;
pub mod whep;
pub mod whip;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(send::gate::factory());
    registry.add(signaling::sink::factory());
    registry.add(signaling::source::factory());
    registry.add(whep::factory());
    registry.add(whip::factory());
    registry.add(client::sink::factory());
    registry.add(client::src::factory());
}
