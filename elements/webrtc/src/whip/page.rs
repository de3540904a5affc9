//! The publish page: camera or screen of a browser, without scripts, styles or anything else of other origins.

use millstream_server::http::page::{Page, PageFile};

const PAGE: &str = include_str!("page/page.html");
const FILES: [PageFile; 2] = [
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
];

/// The page at a path, which publishes to another.
pub(super) fn publish_page(page: &str, endpoint: &str) -> Page {
    Page::new(html(page, endpoint), &FILES)
}

fn html(page: &str, endpoint: &str) -> String {
    PAGE.replace("{{page}}", &url(page)).replace("{{whip}}", &url(endpoint))
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
        let text = html("/publish/live/a\"><script>", "/whip/live/ä b");
        assert!(text.contains("src=\"/publish/live/a%22%3E%3Cscript%3E/app.js\""), "{text}");
        assert!(text.contains("data-endpoint=\"/whip/live/%C3%A4%20b\""), "{text}");
    }
}
