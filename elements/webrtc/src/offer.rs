//! What is looked at of an offer before a session sees it: that it is one, that it is secure, and what WHIP and WHEP want of it.
//!
//! Only whole lines and their first words are read here; what they mean is the session's affair.

use std::collections::BTreeSet;

use millstream_core::meter::Kind;

use crate::session::Refused;

/// Longest session description. Browsers with every codec write 12 KiB for two tracks.
pub const MAX_SDP: usize = 64 << 10;

/// Most sections of one. Calls have one for each track of each person.
const MAX_SECTIONS: usize = 64;

/// Longest line.
const MAX_LINE: usize = 4 << 10;

/// An offer of the other end that is whole and secure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    text: String,
    sections: Vec<Section>,
}

/// A section of an offer: `m=` and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Sound, pictures, or something else.
    pub kind: Option<Kind>,
    /// Its name in groups (RFC 5888).
    pub mid: Option<String>,
    /// The other end sends.
    pub sends: bool,
    /// The other end receives.
    pub receives: bool,
    /// Names of its codecs, as written.
    pub codecs: Vec<String>,
    /// Not used: port 0 (RFC 3264, 6).
    pub is_rejected: bool,
    is_secure: bool,
    is_muxed: bool,
    has_fingerprint: bool,
    has_credentials: bool,
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// [`Refused::Malformed`] for what is no session description, [`Refused::Unacceptable`] for one without DTLS-SRTP, BUNDLE or rtcp-mux.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let malformed = |what: &str| Refused::Malformed(what.to_owned());
        if text.len() > MAX_SDP {
            return Err(malformed(&format!("it is longer than {MAX_SDP} bytes")));
        }
        let mut lines = text.lines();
        if lines.next().map(str::trim_end) != Some("v=0") {
            return Err(malformed("it does not begin with `v=0`"));
        }
        let (mut sections, mut session) = (Vec::<Section>::new(), Section::both_ways());
        let mut bundles: Vec<BTreeSet<String>> = Vec::new();
        for (number, line) in (2..).zip(lines) {
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let is_known = line.as_bytes().get(1) == Some(&b'=') && line.as_bytes()[0].is_ascii_lowercase();
            if !is_known || line.len() > MAX_LINE {
                return Err(malformed(&format!("line {number} is no `letter=value`")));
            }
            if let Some(media) = line.strip_prefix("m=") {
                if sections.len() == MAX_SECTIONS {
                    return Err(malformed(&format!("it has more than {MAX_SECTIONS} sections")));
                }
                sections.push(Section::begin(media, &session).ok_or_else(|| malformed("a section cannot be read"))?);
            } else if let Some(group) = line.strip_prefix("a=group:BUNDLE") {
                bundles.push(group.split_ascii_whitespace().map(str::to_owned).collect());
            } else if let Some(attribute) = line.strip_prefix("a=") {
                sections.last_mut().unwrap_or(&mut session).attribute(attribute);
            }
        }
        if sections.is_empty() {
            return Err(malformed("it has no section"));
        }
        let offer = Self { text: text.to_owned(), sections };
        offer.check_secure()?;
        offer.check_bundle(&bundles)?;
        Ok(offer)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its sections, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    fn check_secure(&self) -> Result<(), Refused> {
        for section in self.sections.iter().filter(|section| !section.is_rejected) {
            if !section.is_secure {
                return Err(unacceptable("Media are taken over DTLS-SRTP only: UDP/TLS/RTP/SAVPF."));
            }
            if !section.has_fingerprint {
                return Err(unacceptable("There is no fingerprint: media are taken over DTLS-SRTP only."));
            }
            if !section.has_credentials {
                return Err(unacceptable("There are no credentials for ICE: ice-ufrag and ice-pwd."));
            }
        }
        Ok(())
    }

    /// RFC 9725, 4.4: all media go over one transport, and RTCP with them.
    fn check_bundle(&self, bundles: &[BTreeSet<String>]) -> Result<(), Refused> {
        let used: Vec<&Section> = self.sections.iter().filter(|section| !section.is_rejected).collect();
        if used.iter().any(|section| section.kind.is_some() && !section.is_muxed) {
            return Err(unacceptable("RTCP has to share the way of RTP: rtcp-mux."));
        }
        let in_one = |bundle: &BTreeSet<String>| {
            used.iter().all(|section| section.mid.as_ref().is_some_and(|mid| bundle.contains(mid)))
        };
        if !bundles.iter().any(in_one) {
            return Err(unacceptable("All media have to share one way: a group BUNDLE of all sections."));
        }
        Ok(())
    }

    /// What WHIP wants (RFC 9725, 4.4.2): somebody who sends, and at most one track of each kind.
    ///
    /// # Errors
    /// [`Refused::Unacceptable`] with what is missing.
    pub fn check_publishes(&self) -> Result<(), Refused> {
        if self.sections.iter().any(|section| section.kind.is_some() && !section.is_rejected && !section.sends) {
            return Err(unacceptable("Who publishes sends: every track is sendonly or sendrecv."));
        }
        self.check_tracks()
    }

    /// What is wanted of a further offer of somebody who publishes: still at most one track of each kind that is sent, and perhaps none.
    ///
    /// # Errors
    /// [`Refused::Unacceptable`] with what is wrong.
    pub fn check_publishes_on(&self) -> Result<(), Refused> {
        let sends = |kind| {
            let sent = |one: &&Section| one.kind == Some(kind) && !one.is_rejected && one.sends;
            self.sections.iter().filter(sent).count()
        };
        match sends(Kind::Video) > 1 || sends(Kind::Audio) > 1 {
            true => Err(unacceptable("There is one track of each kind at most.")),
            false => Ok(()),
        }
    }

    /// What WHEP wants: somebody who receives, and at most one track of each kind.
    ///
    /// # Errors
    /// [`Refused::Unacceptable`] with what is missing.
    pub fn check_plays(&self) -> Result<(), Refused> {
        if self.sections.iter().any(|section| section.kind.is_some() && !section.is_rejected && !section.receives) {
            return Err(unacceptable("Who plays receives: every track is recvonly or sendrecv."));
        }
        self.check_tracks()
    }

    fn check_tracks(&self) -> Result<(), Refused> {
        let count = |kind| self.sections.iter().filter(|one| one.kind == Some(kind) && !one.is_rejected).count();
        match (count(Kind::Video), count(Kind::Audio)) {
            (0, 0) => Err(unacceptable("There is no track of sound or pictures.")),
            (0 | 1, 0 | 1) => Ok(()),
            _ => Err(unacceptable("There is one track of each kind at most.")),
        }
    }
}

fn unacceptable(what: &str) -> Refused {
    Refused::Unacceptable(what.to_owned())
}

impl Section {
    /// Media go both ways unless something is said (RFC 8866, 6.7).
    fn both_ways() -> Self {
        Self { sends: true, receives: true, ..Self::default() }
    }

    /// The rest of `m=`: kind, port, protocol, formats. What the session says holds for it too.
    fn begin(media: &str, session: &Self) -> Option<Self> {
        let mut words = media.split(' ');
        let kind = match words.next()? {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        };
        let port: u16 = words.next()?.split('/').next()?.parse().ok()?;
        let protocol = words.next()?;
        words.next()?;
        let is_secure = matches!(protocol, "UDP/TLS/RTP/SAVPF" | "TCP/TLS/RTP/SAVPF" | "TCP/DTLS/RTP/SAVPF")
            || (kind.is_none() && matches!(protocol, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" | "DTLS/SCTP"));
        // RFC 8843, 6: with port 0 and `bundle-only` it is used.
        Some(Self { kind, is_rejected: port == 0, is_secure, ..session.clone() })
    }

    fn attribute(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "sendonly" => (self.sends, self.receives) = (true, false),
            "recvonly" => (self.sends, self.receives) = (false, true),
            "sendrecv" => (self.sends, self.receives) = (true, true),
            "inactive" => (self.sends, self.receives) = (false, false),
            "mid" => self.mid = Some(value.to_owned()),
            "rtcp-mux" => self.is_muxed = true,
            "bundle-only" => self.is_rejected = false,
            "fingerprint" => self.has_fingerprint = true,
            "ice-ufrag" => self.has_credentials = true,
            "rtpmap" => {
                let codec = value.split_once(' ').and_then(|(_, codec)| codec.split('/').next());
                self.codecs.extend(codec.map(str::to_owned));
            }
            _ => {}
        }
    }
}
