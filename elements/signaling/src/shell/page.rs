//! The call page: a room in a browser, without scripts, styles or anything else of other origins.

use bytes::Bytes;
use millstream_server::http::watch::fixed;
use millstream_server::http::{Answer, Ask, Route, nothing_here};

const PAGE: &str = include_str!("../page/page.html");
const FILES: [(&str, &str, &str); 4] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../page/app.js")),
    ("signaling.js", "text/javascript; charset=utf-8", include_str!("../page/signaling.js")),
    ("call.js", "text/javascript; charset=utf-8", include_str!("../page/call.js")),
];

/// The page as a folder.
pub(super) struct CallPage {
    page: Bytes,
}

impl CallPage {
    /// The page at a path, which signals at another.
    pub(super) fn new(page: &str, signal: &str) -> Self {
        Self { page: PAGE.replace("{{page}}", &escape(page)).replace("{{signal}}", &escape(signal)).into() }
    }
}

impl Route for CallPage {
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

/// As an attribute's value (HTML, 13.1.2.3).
fn escape(path: &str) -> String {
    path.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
