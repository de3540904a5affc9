//! Who a peer is, and what it may.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a peer is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes part.
    #[default]
    Guest,
    /// Also throws out, mutes and says what is preferred.
    Moderator,
    /// Takes and gives media of streams.
    Worker,
}

/// Texts that are allowed: all of them, or those that fit a pattern, in which one `*` stands for anything.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patterns(Option<Vec<String>>);

impl Patterns {
    /// Only these.
    pub fn only(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(Some(patterns.into_iter().map(Into::into).collect()))
    }

    /// Whether a text is allowed.
    pub fn allow(&self, text: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| fits(pattern, text)))
    }
}

/// Whether a text fits a pattern.
pub fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail),
    }
}

/// Somebody whose identity has been proved.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Who {
    /// Who it is; the same for all connections of one person.
    #[serde(rename = "sub")]
    pub identity: String,
    /// For people; the identity where there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is there for.
    #[serde(default)]
    pub role: Role,
    /// Rooms that it may join.
    #[serde(default)]
    pub rooms: Patterns,
    /// Streams that it may publish.
    #[serde(default)]
    pub publish: Patterns,
    /// Streams that it may play.
    #[serde(default)]
    pub play: Patterns,
    /// Until when this holds, in seconds since 1970; for ever without.
    #[serde(default, rename = "exp")]
    pub expires: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_once() {
        for (pattern, text, fit) in [
            ("live/cam", "live/cam", true),
            ("live/*", "live/cam", true),
            ("live/*", "live/", true),
            ("*", "", true),
            ("*.x", "a.x", true),
            ("a*a", "a", false),
            ("live/*", "liv", false),
            ("a*b*", "axb*", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
        assert!(Patterns::default().allow("x") && !Patterns::only(["y"]).allow("x"));
        assert!(!Patterns(Some(Vec::new())).allow("x"), "an empty list allows nothing");
    }
}
