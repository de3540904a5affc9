//! Fragments of session descriptions: candidates that were found later, and new credentials (RFC 8840, RFC 9725 4.3).

use std::fmt::Write as _;

use crate::session::Refused;

/// Longest fragment: it has credentials and candidates only.
pub const MAX_FRAGMENT: usize = 16 << 10;

/// Most candidates that are taken of one.
const MAX_CANDIDATES: usize = 64;

/// What a fragment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// `ice-ufrag`.
    pub ufrag: Option<String>,
    /// `ice-pwd`.
    pub password: Option<String>,
    /// The candidates, `candidate:…`.
    pub candidates: Vec<String>,
}

impl Fragment {
    /// Reads one.
    ///
    /// # Errors
    /// When it has lines that are none of SDP, or is too large.
    pub fn read(text: &str) -> Result<Self, Refused> {
        if text.len() > MAX_FRAGMENT {
            return Err(Refused::Malformed(format!("it is longer than {MAX_FRAGMENT} bytes")));
        }
        let mut fragment = Self::default();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if line.as_bytes().get(1) != Some(&b'=') || !line.as_bytes()[0].is_ascii_lowercase() {
                return Err(Refused::Malformed("a line is no `letter=value`".to_owned()));
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            match attribute.split_once(':') {
                Some(("ice-ufrag", ufrag)) => fragment.ufrag = Some(ice_word(ufrag, 4)?),
                Some(("ice-pwd", password)) => fragment.password = Some(ice_word(password, 22)?),
                Some(("candidate", _)) if fragment.candidates.len() < MAX_CANDIDATES => {
                    fragment.candidates.push(attribute.to_owned());
                }
                _ => {}
            }
        }
        Ok(fragment)
    }

    /// A fragment of an answer: its credentials and candidates, for who has begun ICE anew.
    pub fn of_answer(sdp: &str) -> String {
        let mut out = String::new();
        let mut lines = sdp.lines().map(str::trim_end).peekable();
        let has = |line: &str, name: &str| line.starts_with(name);
        let mut seen = false;
        for line in lines.by_ref() {
            let wanted = match line {
                _ if has(line, "m=") && seen => break,
                _ if has(line, "m=") => {
                    seen = true;
                    true
                }
                _ => {
                    seen && ["a=mid:", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"]
                        .iter()
                        .any(|name| has(line, name))
                }
            };
            if wanted {
                let _ = write!(out, "{line}\r\n");
            }
        }
        out
    }
}

/// A word of ICE: letters, digits, `+` and `/`, at least so many and at most 256 (RFC 8839, 5.4).
fn ice_word(word: &str, least: usize) -> Result<String, Refused> {
    let is_plain =
        word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='));
    match is_plain && (least..=256).contains(&word.len()) {
        true => Ok(word.to_owned()),
        false => Err(Refused::Malformed("its credentials for ICE cannot be".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_candidates_are_read() {
        // RFC 9725, figure 6, shortened.
        let text = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
            a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
            a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
            a=end-of-candidates\r\n";
        let fragment = Fragment::read(text).unwrap();
        assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
        assert_eq!(fragment.password.as_deref(), Some("P2uYro0UCOQ4zxjKXaWCBui1"));
        assert_eq!(fragment.candidates.len(), 1);
        assert!(Fragment::read("hello").is_err() && Fragment::read("a=ice-ufrag:x y").is_err());
        assert!(Fragment::read(&"a=x\r\n".repeat(MAX_FRAGMENT)).is_err());
    }
}
