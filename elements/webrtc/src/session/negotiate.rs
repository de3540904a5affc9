//! Offers and answers (RFC 8829, RFC 3264).

use std::fmt::Write as _;

use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction, MediaKind};

use super::{Session, TrackId};
use crate::offer::Offer;
use millstream_core::meter::Kind;

/// The stream that all tracks of a session belong to: browsers play sound and pictures of one stream at the same time, and those of several
/// each for itself (RFC 8830, 2).
const STREAM: &str = "millstream";

/// Bytes of candidates that are kept, to tell of them where a session is never reached.
const MAX_TRICKLED: usize = 4 << 10;

/// Why an offer or an answer cannot be used. The text is for the other end, and for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no session description.
    #[error("This is no session description: {0}.")]
    Malformed(String),
    /// It is one, but nothing that can be agreed to.
    #[error("{0}")]
    Unacceptable(String),
    /// None of its codecs is taken here.
    #[error("{0}")]
    NoCodec(String),
}

/// What an offer changes of what was agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tracks that are new, each with whether this end sends and whether it receives.
    pub add: Vec<(Kind, bool, bool)>,
    /// Tracks that there are, and which ways media go on them from now on.
    pub turn: Vec<(TrackId, bool, bool)>,
    /// ICE begins anew.
    pub restarts: bool,
}

fn direction(sends: bool, receives: bool) -> Direction {
    match (sends, receives) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (false, false) => Direction::Inactive,
    }
}

impl Session {
    /// The answer to an offer. What it says is agreed from here on.
    ///
    /// # Errors
    /// When the offer cannot be used. The session is over then, unless it was one already.
    pub fn answer(&mut self, offer: &Offer) -> Result<String, Refused> {
        let answer = self.accept_offer(offer.text())?;
        self.remote = Some(agreed(offer.text(), &answer));
        Ok(answer)
    }

    fn accept_offer(&mut self, text: &str) -> Result<String, Refused> {
        let named = with_stream(text);
        let parsed = SdpOffer::from_sdp_string(&named).map_err(|error| Refused::Malformed(plain(&error)))?;
        let accepted = self.rtc.sdp_api().accept_offer(parsed);
        let answer = accepted.map_err(|error| Refused::Unacceptable(format!("{}.", plain(&error))))?;
        // ICE begins with the time; without it an end that is not lite waits until it is asked.
        self.input(str0m::Input::Timeout(self.now));
        Ok(self.with_advertised(&answer.to_sdp_string()))
    }

    /// An offer of these tracks, each with whether this end sends and whether it receives.
    pub fn offer(&mut self, tracks: &[(Kind, bool, bool)]) -> Option<String> {
        self.offer_changes(&Changes { add: tracks.to_vec(), ..Changes::default() })
    }

    /// An offer that begins ICE anew (RFC 8445, 9), with the tracks that there are.
    pub fn offer_restart(&mut self) -> Option<String> {
        self.offer_changes(&Changes { restarts: true, ..Changes::default() })
    }

    /// An offer of what is to be otherwise; nothing without any change. What was offered before and is not answered counts no more.
    pub fn offer_changes(&mut self, changes: &Changes) -> Option<String> {
        let mut api = self.rtc.sdp_api();
        for (kind, sends, receives) in &changes.add {
            let kind = if *kind == Kind::Audio { MediaKind::Audio } else { MediaKind::Video };
            api.add_media(kind, direction(*sends, *receives), Some(STREAM.to_owned()), None, None);
        }
        for (track, sends, receives) in &changes.turn {
            api.set_direction(track.0, direction(*sends, *receives));
        }
        if changes.restarts {
            api.ice_restart(true);
        }
        let (offer, pending) = api.apply()?;
        self.pending = Some(pending);
        Some(self.with_advertised(&offer.to_sdp_string()))
    }

    /// The other end's answer to [`Session::offer`].
    ///
    /// # Errors
    /// When it is none, or fits no offer. The offer stands.
    pub fn accept(&mut self, answer: &str) -> Result<(), Refused> {
        let parsed = SdpAnswer::from_sdp_string(answer).map_err(|error| Refused::Malformed(plain(&error)))?;
        let Some(pending) = self.pending.take() else {
            return Err(Refused::Unacceptable("Nothing was offered that this answers.".to_owned()));
        };
        let accepted = self.rtc.sdp_api().accept_answer(pending, parsed);
        accepted.map_err(|error| Refused::Unacceptable(format!("{}.", plain(&error))))?;
        self.remote = Some(answer.to_owned());
        Ok(())
    }

    /// A candidate of the other end: `candidate:…` as in SDP (RFC 8839, 5.1), with or without `a=` before it. What cannot be reached from
    /// here, such as a name of multicast DNS, is left out: the other end reaches us.
    ///
    /// # Errors
    /// When it is no candidate.
    pub fn add_remote_candidate(&mut self, line: &str) -> Result<(), Refused> {
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        if self.trickled.len() + line.len() < MAX_TRICKLED {
            self.trickled.push_str("a=");
            self.trickled.push_str(line);
            self.trickled.push('\n');
        }
        if is_name(line) {
            return Ok(());
        }
        let candidate = Candidate::from_sdp_string(line).map_err(|error| Refused::Malformed(plain(&error)))?;
        self.rtc.add_remote_candidate(candidate);
        Ok(())
    }

    /// Begins ICE anew with credentials of the other end (RFC 8445, 9), and gives the answer. Media go the old way until there is a new one.
    ///
    /// # Errors
    /// When there was no offer, or this is nothing to begin with. The session goes on as it was.
    pub fn restart(&mut self, ufrag: &str, password: &str) -> Result<String, Refused> {
        let Some(remote) = &self.remote else {
            return Err(Refused::Unacceptable("Nothing was offered that could begin anew.".to_owned()));
        };
        let renewed = with_credentials(remote, ufrag, password);
        let answer = self.accept_offer(&renewed)?;
        self.remote = Some(renewed);
        Ok(answer)
    }

    /// The tracks that were agreed on.
    pub fn tracks(&self) -> Vec<super::Track> {
        let mids: Vec<_> = self.remote.as_deref().map(mids).unwrap_or_default();
        mids.into_iter().filter_map(|mid| self.track(mid)).collect()
    }

    /// Whether any codec of a track is taken by both ends.
    pub fn has_format(&mut self, track: TrackId) -> bool {
        !self.formats_of(track.0).is_empty()
    }

    /// Adds the candidates that only the other end can use behind those of the first section, which are those of all.
    fn with_advertised(&self, sdp: &str) -> String {
        if self.advertised.is_empty() {
            return sdp.to_owned();
        }
        let mut lines = String::new();
        for (index, address) in self.advertised.iter().enumerate() {
            // RFC 8445, 5.1.2.1: a host candidate, below those that really are at this machine.
            let priority = (126_u64 << 24) + (60_000_u64.saturating_sub(index as u64) << 8) + 255;
            let (ip, port) = (address.ip(), address.port());
            let _ = write!(lines, "a=candidate:advertised{index} 1 udp {priority} {ip} {port} typ host\r\n");
        }
        match sdp.find("a=end-of-candidates").or_else(|| sdp.find("a=candidate:")) {
            Some(at) => [&sdp[..at], &lines, &sdp[at..]].concat(),
            None => sdp.to_owned(),
        }
    }
}

/// The offer with a stream for tracks that name none, as those that are only received do. str0m answers each track with the stream that the
/// offer has for it, and without one with a stream of its own.
fn with_stream(offer: &str) -> String {
    let mut out = String::with_capacity(offer.len() + 64);
    for (index, section) in sections(offer).enumerate() {
        let is_media = section.starts_with("m=audio") || section.starts_with("m=video");
        let has_stream = section.lines().any(|line| line.starts_with("a=msid:") && !line.starts_with("a=msid:-"));
        let lines = section.lines().filter(|line| !is_media || has_stream || !line.starts_with("a=msid:"));
        lines.for_each(|line| out.extend([line, "\r\n"]));
        if is_media && !has_stream {
            let _ = write!(out, "a=msid:{STREAM} track{index}\r\n");
        }
    }
    out
}

/// The head of a description, and its sections.
fn sections(sdp: &str) -> impl Iterator<Item = &str> {
    let starts = sdp.match_indices("\nm=").map(|(at, _)| at + 1);
    let ends = starts.clone().chain([sdp.len()]);
    [0].into_iter().chain(starts).zip(ends).map(|(start, end)| &sdp[start..end])
}

/// Text of an error, without what would end a line.
pub(super) fn plain(error: &impl std::fmt::Display) -> String {
    error.to_string().replace(['\r', '\n'], " ").trim_end_matches('.').chars().take(200).collect()
}

/// Whether the address of a candidate is a name. Those of browsers mean something on their own network only (RFC 8828, mDNS).
fn is_name(candidate: &str) -> bool {
    candidate.split_ascii_whitespace().nth(4).is_some_and(|address| address.parse::<std::net::IpAddr>().is_err())
}

/// What of an offer is kept for when ICE begins anew: without codecs that the answer does not take, which are most of its text.
fn agreed(offer: &str, answer: &str) -> String {
    let media = |line: &&str| line.starts_with("m=");
    let mut taken = answer.lines().filter(media).map(|line| line.split(' ').skip(3).collect::<Vec<_>>());
    let (mut kept, mut types) = (String::new(), None);
    for line in offer.lines() {
        if media(&line) {
            types = taken.next();
            let (head, all): (Vec<_>, Vec<_>) = line.split(' ').enumerate().partition(|(index, _)| *index < 3);
            let is_taken = |of: &&str| types.as_ref().is_none_or(|types| types.contains(of));
            let words: Vec<&str> =
                head.into_iter().chain(all).filter(|(at, of)| *at < 3 || is_taken(of)).map(|(_, word)| word).collect();
            kept += &words.join(" ");
        } else {
            let of = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].into_iter().find_map(|name| line.strip_prefix(name));
            let of = of.and_then(|rest| rest.split(' ').next()).filter(|of| *of != "*");
            if of.zip(types.as_ref()).is_some_and(|(of, types)| !types.contains(&of)) {
                continue;
            }
            kept += line;
        }
        kept += "\r\n";
    }
    kept.shrink_to_fit();
    kept
}

fn with_credentials(offer: &str, ufrag: &str, password: &str) -> String {
    let mut out = String::with_capacity(offer.len());
    for line in offer.lines() {
        if line.starts_with("a=ice-ufrag:") {
            let _ = write!(out, "a=ice-ufrag:{ufrag}");
        } else if line.starts_with("a=ice-pwd:") {
            let _ = write!(out, "a=ice-pwd:{password}");
        } else if line.starts_with("a=candidate:") {
            continue;
        } else {
            out.push_str(line);
        }
        out.push_str("\r\n");
    }
    out
}

fn mids(offer: &str) -> Vec<str0m::media::Mid> {
    offer.lines().filter_map(|line| line.strip_prefix("a=mid:")).map(|mid| mid.trim().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Codec, Setup};
    use millstream_core::Time;

    /// Streams that the tracks of an answer belong to.
    fn streams(answer: &str) -> Vec<&str> {
        answer.lines().filter_map(|line| line.strip_prefix("a=msid:")?.split(' ').next()).collect()
    }

    fn answer_to(offer: &str) -> String {
        let setup = Setup { codecs: vec![Codec::H264, Codec::Opus], ..Setup::default() };
        let offer = Offer::read(offer).expect("an offer");
        Session::new(&setup, Time::ZERO).answer(&offer).expect("an answer")
    }

    #[test]
    fn web_2_sound_and_pictures_that_a_browser_receives_are_of_one_stream() {
        let offer = include_str!("../../../../tests/fixtures/whep_chromium.sdp");
        assert_eq!(streams(&answer_to(offer)), [STREAM, STREAM]);
        let unnamed = offer.replace("a=mid:", "a=msid:- track\r\na=mid:");
        assert_eq!(streams(&answer_to(&unnamed)), [STREAM, STREAM]);
        let named = offer.replace("a=mid:", "a=msid:theirs track\r\na=mid:");
        assert_eq!(streams(&answer_to(&named)), ["theirs", "theirs"], "a stream that they name is theirs");
    }
}
