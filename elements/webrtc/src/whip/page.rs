//! The publish page: camera or screen of a browser, without scripts, styles or anything else of other origins.

use bytes::Bytes;
use millstream_server::http::watch::fixed;
use millstream_server::http::{Answer, Ask, Route, nothing_here};

const PAGE: &str = include_str!("page/page.html");
const FILES: [(&str, &str, &str); 2] = [
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
];

/// The page as a folder.
pub(super) struct PublishPage {
    page: Bytes,
}

impl PublishPage {
    /// The page at a path, which publishes to another.
    pub(super) fn new(page: &str, endpoint: &str) -> Self {
        Self { page: PAGE.replace("{{page}}", &url(page)).replace("{{whip}}", &url(endpoint)).into() }
    }
}

impl Route for PublishPage {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        if ask.rest.is_empty() {
            return fixed("text/html; charset=utf-8", self.page.clone()).into();
        }
        match FILES.iter().find(|(name, ..)| *name == ask.rest) {
            Some((_, media_type, text)) => fixed(media_type, Bytes::from_static(text.as_bytes())).into(),
            None => nothing_here().into(),
        }
    }
}

/// A path as a URL has it (RFC 3986, 3.3), which is then also fit for an attribute.
fn url(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let part = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_stream_cannot_leave_its_attribute() {
        let page = PublishPage::new("/publish/live/a\"><script>", "/whip/live/ä b").page;
        let text = std::str::from_utf8(&page).expect("text");
        assert!(text.contains("src=\"/publish/live/a%22%3E%3Cscript%3E/app.js\""), "{text}");
        assert!(text.contains("data-endpoint=\"/whip/live/%C3%A4%20b\""), "{text}");
    }
}
