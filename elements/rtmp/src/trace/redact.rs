//! Leaves out of a trace what must not be shown: stream names, which are keys for who publishes, queries, users and passwords.

use crate::secret::presentable;

/// What stands for a secret.
const HIDDEN: &str = "***";
/// What stands for a query.
const QUERY: &str = "?…";
/// Secrets of one connection that are remembered. A client names its stream in a handful of commands.
const MAX_SECRETS: usize = 32;
/// Below this a secret is looked for as a whole word only: it would be found in the middle of everything.
const MIN_PART: usize = 4;
/// Characters of a text that are shown.
const MAX_TEXT: usize = 160;

/// What is known to be secret on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Remembers a stream name, user or password, and its part ahead of a query.
    pub(super) fn learn(&mut self, secret: &str) {
        let name = secret.split('?').next().unwrap_or_default();
        for part in [secret, name, name.trim_matches('/')] {
            let is_new = !part.is_empty() && !self.secrets.iter().any(|known| known == part);
            if is_new && self.secrets.len() < MAX_SECRETS {
                self.secrets.push(part.to_owned());
            }
        }
        // The longest first, or a part of it would be left.
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// A stream name, which is remembered.
    pub(super) fn name(&mut self, name: &str) -> String {
        self.learn(name);
        match name.split_once('?') {
            None if name.is_empty() => String::new(),
            None => HIDDEN.to_owned(),
            Some(("", _)) => QUERY.to_owned(),
            Some(_) => format!("{HIDDEN}{QUERY}"),
        }
    }

    /// A URL or an application: without user and query, which leave a mark.
    pub(super) fn url(&self, text: &str) -> String {
        let shown = presentable(text);
        let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let shown = match shown.split_once("://") {
            Some((scheme, rest)) if authority.is_some_and(|authority| authority.contains('@')) => {
                format!("{scheme}://{HIDDEN}@{rest}")
            }
            _ => shown,
        };
        let mark = if text.contains(['?', '#']) { QUERY } else { "" };
        self.scrub(&format!("{}{mark}", cut(&shown)))
    }

    /// The URL of an application, of which only `app` is known to be no secret: what follows it is left out.
    pub(super) fn tc_url(&self, text: &str, app: &str) -> String {
        let url = self.url(text);
        let app = self.scrub(&presentable(app));
        let app = app.trim_matches('/');
        let Some((scheme, rest)) = url.split_once("://") else { return url };
        let bare = rest.trim_end_matches(QUERY);
        let Some((host, path)) = bare.split_once('/') else { return url };
        match path.strip_prefix(app) {
            Some("" | "/") => url,
            Some(behind) if behind.starts_with('/') => format!("{scheme}://{host}/{app}/…"),
            _ if path.is_empty() => url,
            _ => format!("{scheme}://{host}/…"),
        }
    }

    /// Where a peer sends the other to: host and the first part of the path.
    pub(super) fn target(&self, text: &str) -> String {
        let path = text.split_once("://").map_or(text, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let app = path.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
        match text.contains("://") {
            true => self.tc_url(text, app),
            false => self.scrub(&format!("{}{}", cut(app), if app.len() < text.len() { "…" } else { "" })),
        }
    }

    /// Text for people: known secrets and anything like a query or a user are left out.
    pub(super) fn text(&self, text: &str) -> String {
        let plain = |word: &str| if word.contains("://") { self.url(word) } else { word.to_owned() };
        let (head, mark) = text.split_once('?').map_or((text, ""), |(head, _)| (head, QUERY));
        let words: Vec<String> = head.split(' ').map(plain).collect();
        self.scrub(&format!("{}{mark}", cut(&words.join(" "))))
    }

    /// Without the secrets that are known.
    fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| match secret.len() < MIN_PART {
            true => replace_word(&text, secret),
            false => text.replace(&**secret, HIDDEN),
        })
    }
}

fn cut(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(MAX_TEXT).map(plain).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Replaces `word` where no letter or digit is beside it.
fn replace_word(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        out.push_str(before);
        let beside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let inside = beside(out.chars().next_back()) || beside(behind.chars().next());
        out.push_str(if inside { word } else { HIDDEN });
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.learn(secret));
        redactor
    }

    #[test]
    fn names_are_hidden_and_remembered() {
        let mut redactor = Redactor::default();
        assert_eq!(redactor.name("live_s3cret?token=t0p"), "***?…");
        assert_eq!(
            (redactor.name(""), redactor.name("?k=1"), redactor.name("cam")),
            ("".into(), "?…".into(), "***".into())
        );
        assert_eq!(redactor.text("/live/live_s3cret is now published."), "/live/*** is now published.");
        assert_eq!(redactor.text("camera cam, (cam)"), "camera ***, (***)", "short names are words");
    }

    #[test]
    fn urls_lose_user_query_and_what_follows_the_application() {
        let redactor = redactor(&["s3cretkey"]);
        assert_eq!(redactor.url("rtmp://u:pw@host:1935/live?k=1"), "rtmp://***@host:1935/live?…");
        assert_eq!(redactor.url("live?authmod=adobe&user=me"), "live?…");
        assert_eq!(redactor.url("http://host/page"), "http://host/page");
        assert_eq!(redactor.tc_url("rtmp://host/live", "live"), "rtmp://host/live");
        assert_eq!(redactor.tc_url("rtmp://host/live?k=1", "live?k=1"), "rtmp://host/live?…");
        assert_eq!(redactor.tc_url("rtmp://host/live/key?k=1", "live"), "rtmp://host/live/…");
        assert_eq!(redactor.tc_url("rtmp://host/other/key", "live"), "rtmp://host/…");
        assert_eq!(redactor.target("rtmp://u:p@host/live/key?k=1"), "rtmp://***@host/live/…");
        assert_eq!((redactor.target("live2/key"), redactor.target("live2")), ("live2…".into(), "live2".into()));
        assert_eq!(redactor.url("rtmp://host/s3cretkey"), "rtmp://host/***");
    }

    #[test]
    fn text_ends_where_a_query_begins() {
        let redactor = redactor(&["bob"]);
        let challenge = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob&salt=xy&challenge=zz";
        assert_eq!(redactor.text(challenge), "[ AccessManager.Reject ] : [ authmod=adobe ] : ?…");
        assert_eq!(redactor.text("see rtmp://me:pw@host/live for bob"), "see rtmp://***@host/live for ***");
        assert!(redactor.text(&"x".repeat(500)).chars().count() < 170);
    }
}
