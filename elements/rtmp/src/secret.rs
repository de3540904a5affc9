//! Text that must not appear in logs.

use std::fmt;

/// A stream key, password or token. Its `Debug` form shows nothing of it; there is no `Display`.
///
/// ```
/// # use millstream_rtmp::Secret;
/// let key = Secret::from("live_1234");
/// assert_eq!(format!("{key:?}"), "Secret");
/// assert_eq!(key.reveal(), "live_1234");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the wire and for comparing; never for a message to people.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The part of an application name or URL that may be shown: no user info, no query.
pub(crate) fn presentable(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = authority.rsplit('@').next().unwrap_or_default();
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_and_query_are_not_shown() {
        assert_eq!(presentable("live?token=abc"), "live");
        assert_eq!(presentable("rtmp://me:pw@host:1935/live/x?k=1"), "rtmp://host:1935/live/x");
        assert_eq!(presentable("rtmp://me:p@w@host"), "rtmp://host");
    }
}
