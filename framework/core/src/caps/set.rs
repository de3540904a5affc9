//! Sets of caps: what a pad accepts or may offer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Caps, Value, ValueSet};

/// One media type with a set of values for each named field. A field that is not named may be anything or absent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Structure {
    /// The media type.
    pub media: Arc<str>,
    /// The fields that are restricted.
    pub fields: BTreeMap<Arc<str>, ValueSet>,
}

/// Any caps, or the caps that fit one of some structures. The empty set accepts nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CapsSet {
    /// Everything; written `ANY`.
    Any,
    /// What fits one of these; none at all is written `EMPTY`.
    Of(Vec<Structure>),
}

/// Why two sides of a link cannot meet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mismatch {
    /// The media types differ.
    Media,
    /// The media type is shared, this field has no value in common.
    Field {
        /// The field's name.
        name: String,
        /// What the upstream side offers.
        offered: String,
        /// What the downstream side accepts.
        accepted: String,
    },
}

impl CapsSet {
    /// The set of this one media type with any fields.
    pub fn media(media: &str) -> Self {
        Self::Of(vec![Structure { media: media.into(), fields: BTreeMap::new() }])
    }

    /// True when nothing fits.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Of(list) if list.is_empty())
    }

    /// True when `caps` fit. A restricted field that `caps` lack does not rule them out: parsers learn it later.
    pub fn accepts(&self, caps: &Caps) -> bool {
        match self {
            Self::Any => true,
            Self::Of(list) => list.iter().any(|s| s.accepts(caps)),
        }
    }

    /// What both sets hold.
    pub fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, set) | (set, Self::Any) => set.clone(),
            (Self::Of(a), Self::Of(b)) => {
                let mut both: Vec<Structure> = Vec::new();
                for s in a.iter().flat_map(|x| b.iter().filter_map(|y| x.intersect(y))) {
                    if !both.contains(&s) {
                        both.push(s);
                    }
                }
                Self::Of(both)
            }
        }
    }

    /// The first thing that keeps `self` (upstream) from meeting `accepted` (downstream); `None` when they meet.
    pub fn mismatch(&self, accepted: &Self) -> Option<Mismatch> {
        if !self.intersect(accepted).is_empty() {
            return None;
        }
        let (Self::Of(up), Self::Of(down)) = (self, accepted) else { return Some(Mismatch::Media) };
        let same_media = up.iter().flat_map(|u| down.iter().map(move |d| (u, d))).find(|(u, d)| u.media == d.media);
        let Some((u, d)) = same_media else { return Some(Mismatch::Media) };
        let field = u.fields.iter().find_map(|(name, offered)| {
            let accepted = d.fields.get(name)?;
            offered.intersect(accepted).is_none().then(|| Mismatch::Field {
                name: name.to_string(),
                offered: offered.to_string(),
                accepted: accepted.to_string(),
            })
        });
        field.or(Some(Mismatch::Media))
    }

    /// The values that a field may take in structures of `media`, when it is restricted to words; for elements that
    /// choose an output framing by what is accepted downstream.
    pub fn allows_text(&self, media: &str, field: &str, word: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Of(list) => list
                .iter()
                .filter(|s| &*s.media == media)
                .any(|s| s.fields.get(field).is_none_or(|set| set.contains(&Value::from(word)))),
        }
    }
}

impl Structure {
    /// True when the media type is the same and no field contradicts.
    pub fn accepts(&self, caps: &Caps) -> bool {
        &*self.media == caps.media()
            && self.fields.iter().all(|(name, set)| caps.get(name).is_none_or(|value| set.contains(value)))
    }

    fn intersect(&self, other: &Self) -> Option<Self> {
        if self.media != other.media {
            return None;
        }
        let mut fields = self.fields.clone();
        for (name, set) in &other.fields {
            let met = match fields.get(name) {
                Some(own) => own.intersect(set)?,
                None => set.clone(),
            };
            fields.insert(name.clone(), met);
        }
        Some(Self { media: self.media.clone(), fields })
    }
}

impl From<&Caps> for CapsSet {
    fn from(caps: &Caps) -> Self {
        let fields = caps.fields().map(|(n, v)| (n.into(), ValueSet::One(v.clone()))).collect();
        Self::Of(vec![Structure { media: caps.media().into(), fields }])
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.media)?;
        self.fields.iter().try_for_each(|(name, set)| write!(f, ", {name}={set}"))
    }
}

impl fmt::Display for CapsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("ANY"),
            Self::Of(list) if list.is_empty() => f.write_str("EMPTY"),
            Self::Of(list) => {
                for (i, s) in list.iter().enumerate() {
                    write!(f, "{}{s}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> CapsSet {
        text.parse().unwrap()
    }

    #[test]
    fn sets_meet_field_by_field() {
        let up = set("video/x-h264, stream-format={avc, byte-stream}, width=[16,4096]; audio/mpeg");
        let down = set("video/x-h264, stream-format=byte-stream, alignment=au");
        let met = up.intersect(&down);
        assert_eq!(met, set("video/x-h264, alignment=au, stream-format=byte-stream, width=[16,4096]"));
        assert_eq!(up.mismatch(&down), None);
        assert_eq!(CapsSet::Any.intersect(&down), down);
    }

    #[test]
    fn the_first_field_that_does_not_meet_is_named() {
        let up = set("video/x-h264, stream-format=avc");
        let found = up.mismatch(&set("video/x-h264, stream-format=byte-stream; audio/mpeg"));
        let Some(Mismatch::Field { name, offered, accepted }) = found else { panic!("{found:?}") };
        assert_eq!((&*name, &*offered, &*accepted), ("stream-format", "avc", "byte-stream"));
        assert_eq!(up.mismatch(&set("audio/mpeg")), Some(Mismatch::Media));
    }

    #[test]
    fn a_missing_field_does_not_rule_caps_out() {
        let accepted = set("audio/mpeg, mpegversion=4, stream-format={raw, adts}");
        assert!(accepted.accepts(&"audio/mpeg, mpegversion=4".parse().unwrap()));
        assert!(!accepted.accepts(&"audio/mpeg, mpegversion=1".parse().unwrap()));
        assert!(
            set("video/x-raw, framerate=[1/1, 60/1]").accepts(&"video/x-raw, framerate=30000/1001".parse().unwrap())
        );
        assert!(!set("EMPTY").accepts(&Caps::new("video/x-raw")));
    }
}
