//! Codecs that a peer has not listed (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
//!
//! Only codecs that come by their FourCC are looked at: what the legacy headers name was never negotiated. A peer that lists nothing is
//! sent everything, as OBS lists nothing and takes all.

use millstream_flv::wire::{FourCc, parse_audio, parse_video};

use crate::command::Enhanced;
use crate::server::feed::Content;
use crate::session::{Media, MediaKind};

/// Names of a peer's list that are shown; a dozen codecs are defined.
const MAX_SHOWN: usize = 16;

/// The top bit of the first byte says that a FourCC follows ("Enhanced Video").
const EX_VIDEO: u8 = 0x80;
/// The sound format that says the same ("Enhanced Audio").
const EX_AUDIO: u8 = 9;

/// A codec that the peer did not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unlisted {
    name: &'static str,
    four_cc: FourCc,
    kind: MediaKind,
}

impl std::fmt::Display for Unlisted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.four_cc)
    }
}

impl Unlisted {
    /// What the peer listed of its kind, for people.
    pub(crate) fn instead(self, said: &Enhanced) -> String {
        let names: Vec<String> = said.listed(self.kind).take(MAX_SHOWN).map(|name| format!("{name:?}")).collect();
        if names.is_empty() { "none of its kind".to_owned() } else { names.join(", ") }
    }
}

/// The first codec of a message that the peer did not list.
pub(crate) fn unlisted(said: &Enhanced, content: &Content) -> Option<Unlisted> {
    let Content::Media(Media { kind, payload, .. }) = content else { return None };
    let first = *payload.first()?;
    let lacks = |four_cc: &FourCc| said.lacks(*kind, *four_cc);
    let found =
        |name, four_cc: Option<FourCc>| four_cc.filter(lacks).map(|four_cc| Unlisted { name, four_cc, kind: *kind });
    match kind {
        MediaKind::Video if first & EX_VIDEO != 0 => {
            let tag = parse_video(payload).ok()?;
            tag.packets.iter().find_map(|packet| found(packet.codec.name(), packet.codec.fourcc()))
        }
        MediaKind::Audio if first >> 4 == EX_AUDIO => {
            let tag = parse_audio(payload).ok()?;
            tag.packets.iter().find_map(|packet| found(packet.codec.name(), packet.codec.fourcc()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::FourCcFlags;

    fn media(kind: MediaKind, bytes: &'static [u8]) -> Content {
        Content::Media(Media { kind, timestamp: 0, payload: bytes.into() })
    }

    #[test]
    fn ert_13_codecs_by_fourcc_are_held_against_what_was_listed() {
        let said = Enhanced {
            four_cc_list: vec!["av01".into()],
            audio: vec![("Opus".into(), FourCcFlags::DECODE)],
            ..Enhanced::default()
        };
        let text = |content: &Content| unlisted(&said, content).map(|codec| codec.to_string());
        assert_eq!(text(&media(MediaKind::Video, b"\x90hvc1\x01")).as_deref(), Some("HEVC (\"hvc1\")"));
        assert_eq!(text(&media(MediaKind::Video, b"\x90av01\x81")), None);
        // In a ModEx of nanoseconds, and as a second track.
        assert!(text(&media(MediaKind::Video, b"\x97\x02\0\0\x01\x03hvc1\x01")).is_some());
        assert!(text(&media(MediaKind::Video, b"\x96\x03hvc1\x01\x01")).is_some());
        assert_eq!(text(&media(MediaKind::Audio, b"\x90fLaC\x01")).as_deref(), Some("FLAC (\"fLaC\")"));
        assert_eq!(text(&media(MediaKind::Audio, b"\x90Opus\x01")), None);
        // Legacy headers, HEVC as id 12 among them, and what cannot be read.
        for video in [&b"\x17\x00\0\0\0\x01"[..], b"\x1c\x00\0\0\0\x01", b"\x90", b""] {
            assert_eq!(text(&media(MediaKind::Video, video)), None);
        }
        let codec = unlisted(&said, &media(MediaKind::Video, b"\x90hvc1\x01")).unwrap();
        assert_eq!(codec.instead(&said), "\"av01\"");
    }
}
