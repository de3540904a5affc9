//! Text that must not appear in logs.

pub use millstream_core::Secret;

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
