//! The call page: a room in a browser, without scripts, styles or anything else of other origins.

use millstream_server::http::page::{Page, PageFile};

const PAGE: &str = include_str!("../page/page.html");
const FILES: [PageFile; 4] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../page/app.js")),
    ("signaling.js", "text/javascript; charset=utf-8", include_str!("../page/signaling.js")),
    ("call.js", "text/javascript; charset=utf-8", include_str!("../page/call.js")),
];

/// The page at a path, which signals at another.
pub(super) fn call_page(page: &str, signal: &str) -> Page {
    Page::new(PAGE.replace("{{page}}", &escape(page)).replace("{{signal}}", &escape(signal)), &FILES)
}

/// As an attribute's value (HTML, 13.1.2.3).
fn escape(path: &str) -> String {
    path.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
