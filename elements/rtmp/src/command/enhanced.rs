//! What both sides say of themselves (Enhanced RTMP v2, "Enhancing NetConnection connect Command").

use millstream_amf::{Properties, Value};

use millstream_flv::wire::{AudioCodec, FourCc, VideoCodec};

use crate::session::MediaKind;

/// Bits of `capsEx`.
pub mod caps_ex {
    /// Understands `NetConnection.Connect.ReconnectRequest`.
    pub const RECONNECT: u32 = 0x01;
    /// Understands multitrack packets.
    pub const MULTITRACK: u32 = 0x02;
    /// Can step over ModEx.
    pub const MOD_EX: u32 = 0x04;
    /// Understands nanosecond offsets.
    pub const TIMESTAMP_NANO_OFFSET: u32 = 0x08;
    /// All that is defined, and all that is supported here.
    pub const ALL: u32 = RECONNECT | MULTITRACK | MOD_EX | TIMESTAMP_NANO_OFFSET;
}

/// What a peer can do with a codec: bits of `FourCcInfoMask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FourCcFlags(pub u32);

impl FourCcFlags {
    /// Can show it.
    pub const DECODE: Self = Self(0x01);
    /// Can make it.
    pub const ENCODE: Self = Self(0x02);
    /// Can hand it on.
    pub const FORWARD: Self = Self(0x04);

    /// Whether what is sent to the peer is of use to it: it can decode or forward it.
    pub fn takes(self) -> bool {
        self.0 & (Self::DECODE.0 | Self::FORWARD.0) != 0
    }

    /// Whether any bit is set.
    pub fn any(self) -> bool {
        self.0 != 0
    }
}

/// The name that stands for every codec.
const ANY: &str = "*";
/// Codecs that are looked at; a dozen are defined.
const MAX_CODECS: usize = 64;

/// The capabilities in a `connect` command or its answer. All of it is optional: OBS sends none, and publishes HEVC all the
/// same. So a server takes extended tags without it (ERT-10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enhanced {
    /// `fourCcList`, the older form.
    pub four_cc_list: Vec<String>,
    /// `audioFourCcInfoMap`.
    pub audio: Vec<(String, FourCcFlags)>,
    /// `videoFourCcInfoMap`.
    pub video: Vec<(String, FourCcFlags)>,
    /// `capsEx`, bits of [`caps_ex`].
    pub caps_ex: u32,
}

impl Enhanced {
    /// What a program says that passes on every codec without looking inside.
    pub fn forwarder() -> Self {
        let any = || vec![(ANY.to_owned(), FourCcFlags::FORWARD)];
        Self { four_cc_list: vec![ANY.to_owned()], audio: any(), video: any(), caps_ex: caps_ex::ALL }
    }

    /// Whether the peer said nothing of it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all bits are set in `capsEx`.
    pub fn has(&self, bits: u32) -> bool {
        self.caps_ex & bits == bits
    }

    /// What the peer can do with an audio codec.
    pub fn audio_flags(&self, codec: FourCc) -> FourCcFlags {
        self.flags(&self.audio, codec)
    }

    /// What the peer can do with a video codec.
    pub fn video_flags(&self, codec: FourCc) -> FourCcFlags {
        self.flags(&self.video, codec)
    }

    /// Whether the peer listed codecs of this kind, and cannot do anything with this one that it is sent: neither decode it nor forward it.
    /// `fourCcList` speaks of the kind of which it names a codec; older programs list video only.
    pub fn lacks(&self, kind: MediaKind, codec: FourCc) -> bool {
        let (map, flags) = match kind {
            MediaKind::Audio => (&self.audio, self.audio_flags(codec)),
            MediaKind::Video => (&self.video, self.video_flags(codec)),
        };
        let is_listed = |name: &String| name == ANY || is_of(kind, name);
        let says = !map.is_empty() || self.four_cc_list.iter().any(is_listed);
        says && !flags.takes()
    }

    /// Whether there may be a codec that it lacks.
    pub fn is_selective(&self) -> bool {
        let entries = || self.audio.iter().chain(&self.video);
        let names = self.four_cc_list.iter().chain(entries().map(|(name, _)| name));
        names.into_iter().any(|name| name != ANY) || entries().any(|(_, flags)| !flags.takes())
    }

    /// Names that were listed of a kind.
    pub fn listed(&self, kind: MediaKind) -> impl Iterator<Item = &str> {
        let map = if kind == MediaKind::Audio { &self.audio } else { &self.video };
        let of_list = self.four_cc_list.iter().filter(move |name| is_of(kind, name));
        let of_map = map.iter().map(|(name, _)| name).filter(|name| !self.four_cc_list.contains(name));
        of_list.chain(of_map).map(String::as_str)
    }

    /// `*` overrides what is said of single codecs. A name in `fourCcList` alone can be decoded.
    fn flags(&self, map: &[(String, FourCcFlags)], codec: FourCc) -> FourCcFlags {
        let named = |name: &str| name.as_bytes() == codec.0;
        let find = |is: &dyn Fn(&str) -> bool| map.iter().find(|(name, _)| is(name)).map(|(_, flags)| *flags);
        let listed = || self.four_cc_list.iter().any(|name| name == ANY || named(name)).then_some(FourCcFlags::DECODE);
        find(&|name| name == ANY).or_else(|| find(&named)).or_else(listed).unwrap_or_default()
    }

    /// Takes the properties out of those of a command object.
    pub(super) fn take(properties: &mut Properties) -> Self {
        let mut take = |name: &str| {
            let place = properties.iter().position(|(key, _)| key == name)?;
            Some(properties.remove(place).1)
        };
        Self {
            four_cc_list: take("fourCcList").map(|value| list(&value)).unwrap_or_default(),
            audio: take("audioFourCcInfoMap").map(|value| map(&value)).unwrap_or_default(),
            video: take("videoFourCcInfoMap").map(|value| map(&value)).unwrap_or_default(),
            caps_ex: take("capsEx").and_then(|value| value.as_f64()).unwrap_or_default() as u32,
        }
    }

    /// The same as properties; none if there is nothing to say.
    pub(super) fn to_properties(&self) -> Properties {
        let mut properties = Properties::new();
        let mut put = |name: &str, value| properties.push((name.to_owned(), value));
        if !self.four_cc_list.is_empty() {
            let names = self.four_cc_list.iter().map(|name| Value::from(&**name));
            put("fourCcList", Value::StrictArray(names.collect()));
        }
        for (name, map) in [("audioFourCcInfoMap", &self.audio), ("videoFourCcInfoMap", &self.video)] {
            if !map.is_empty() {
                put(name, Value::object(map.iter().map(|(name, flags)| (name.clone(), f64::from(flags.0).into()))));
            }
        }
        if self.caps_ex != 0 {
            put("capsEx", f64::from(self.caps_ex).into());
        }
        properties
    }
}

/// Whether it is the name of a codec of this kind.
fn is_of(kind: MediaKind, name: &str) -> bool {
    let Ok(four_cc) = name.as_bytes().try_into().map(FourCc) else { return false };
    match kind {
        MediaKind::Audio => AudioCodec::from_fourcc(four_cc).is_some(),
        MediaKind::Video => VideoCodec::from_fourcc(four_cc).is_some(),
    }
}

/// Names by position, or as some write them, as the values of an object.
fn list(value: &Value) -> Vec<String> {
    let named = value.properties().into_iter().flatten().map(|(_, value)| value);
    let items = value.items().unwrap_or_default().iter().chain(named);
    items.filter_map(Value::as_str).take(MAX_CODECS).map(str::to_owned).collect()
}

fn map(value: &Value) -> Vec<(String, FourCcFlags)> {
    let entries = value.properties().into_iter().flatten().take(MAX_CODECS);
    entries.map(|(name, value)| (name.clone(), FourCcFlags(value.as_f64().unwrap_or_default() as u32))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ert_10_maps_list_and_caps_are_read_and_written() {
        // The examples of the standard.
        let mut properties: Properties = vec![
            ("app".into(), "live".into()),
            ("fourCcList".into(), Value::StrictArray(vec!["av01".into(), "vp09".into()])),
            ("videoFourCcInfoMap".into(), Value::object([("vp09", 3.0.into()), ("hvc1", Value::from(1.0))])),
            ("audioFourCcInfoMap".into(), Value::ecma_array([("*", 4.0.into()), ("Opus", Value::from(3.0))])),
            ("capsEx".into(), 3.0.into()),
        ];
        let enhanced = Enhanced::take(&mut properties);
        assert_eq!(properties.len(), 1, "the rest stays");
        assert_eq!(enhanced.video_flags(FourCc(*b"vp09")), FourCcFlags(3));
        assert_eq!(enhanced.video_flags(FourCc(*b"av01")), FourCcFlags::DECODE, "only in the list");
        assert_eq!(enhanced.video_flags(FourCc(*b"vvc1")), FourCcFlags(0));
        assert_eq!(enhanced.audio_flags(FourCc(*b"Opus")), FourCcFlags::FORWARD, "* overrides");
        assert!(enhanced.has(caps_ex::RECONNECT | caps_ex::MULTITRACK) && !enhanced.has(caps_ex::MOD_EX));
        let mut written = enhanced.to_properties();
        assert_eq!(Enhanced::take(&mut written), enhanced);
    }

    #[test]
    fn ert_13_what_a_peer_lacks_is_what_it_listed_others_of() {
        let list = |names: &[&str]| Enhanced {
            four_cc_list: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Enhanced::default()
        };
        let lacks = |said: &Enhanced| {
            (said.lacks(MediaKind::Video, FourCc(*b"hvc1")), said.lacks(MediaKind::Audio, FourCc(*b"Opus")))
        };
        assert_eq!(lacks(&Enhanced::default()), (false, false), "saying nothing is fine");
        assert_eq!(lacks(&list(&["*"])), (false, false));
        // The list of Enhanced RTMP v1 is of video.
        assert_eq!(lacks(&list(&["av01", "vp09"])), (true, false));
        assert_eq!(lacks(&list(&["av01", "hvc1", "fLaC"])), (false, true));
        let video = |flags: u32| Enhanced { video: vec![("hvc1".into(), FourCcFlags(flags))], ..list(&["av01"]) };
        assert_eq!(
            [1, 2, 4, 7].map(|flags| lacks(&video(flags)).0),
            [false, true, false, false],
            "to encode is not to take"
        );
        assert!(!Enhanced::forwarder().is_selective() && !Enhanced::default().is_selective());
        assert!(!Enhanced { caps_ex: 3, ..Enhanced::default() }.lacks(MediaKind::Video, FourCc(*b"hvc1")));
        assert!(list(&["av01"]).is_selective() && video(1).is_selective());
        assert!(Enhanced { video: video(1).video, ..list(&["*"]) }.is_selective());
        assert_eq!(video(1).listed(MediaKind::Video).collect::<Vec<_>>(), ["av01", "hvc1"]);
    }

    #[test]
    fn ert_10_saying_nothing_is_fine() {
        let enhanced = Enhanced::take(&mut Properties::new());
        assert!(enhanced.is_empty() && enhanced.to_properties().is_empty());
        assert!(Enhanced::forwarder().audio_flags(FourCc(*b"fLaC")).any());
    }
}
