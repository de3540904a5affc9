//! What of a text must not be shown in an excerpt: keys, passwords, tokens. Excerpts end up in logs, issues and screens.
//!
//! It goes by the text alone, as there are excerpts of texts that nobody can read. Too much is hidden rather than too little.

use std::ops::Range;

/// Ends of names whose values are hidden.
const SECRET_NAMES: [&str; 6] = ["keys", "key", "password", "passwd", "token", "secret"];

/// Names that end so, and have the path of a file.
const FILE_NAMES: [&str; 2] = ["tls-key", "ca-key"];

/// Places of a text that are not shown, in bytes.
#[derive(Debug, Default)]
pub(super) struct Mask(Vec<Range<usize>>);

impl Mask {
    pub(super) fn of(text: &str) -> Self {
        let mut hidden = Vec::new();
        urls(text, &mut hidden);
        values(text, &mut hidden);
        Self(hidden)
    }

    /// A character as it is shown. What gives values their form stays.
    pub(super) fn shown(&self, at: usize, c: char) -> char {
        let stays = c.is_whitespace() || "{}[]\"',:".contains(c);
        if !stays && self.0.iter().any(|range| range.contains(&at)) { '*' } else { c }
    }
}

/// User and password of URLs, queries, and the streams of RTMP.
fn urls(text: &str, hidden: &mut Vec<Range<usize>>) {
    for (colon, _) in text.match_indices("://") {
        let begin = colon + "://".len();
        let rest = text.get(begin..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == '\'').unwrap_or(rest.len());
        let url = rest.get(..end).unwrap_or_default();
        let path = url.find(['/', '?']).unwrap_or(url.len());
        if let Some(at) = url.get(..path).and_then(|authority| authority.rfind('@')) {
            hidden.push(begin..begin + at);
        }
        let query = url.find('?').unwrap_or(url.len());
        hidden.push(begin + query..begin + url.len());
        let before = text.get(..colon).unwrap_or_default();
        let scheme =
            before.rfind(|c: char| !c.is_alphanumeric()).map_or(before, |at| before.get(at..).unwrap_or_default());
        if scheme.contains("rtmp") {
            // The application is no secret; what follows it is the key.
            let app = url.get(path + 1..query).and_then(|path| path.find('/'));
            hidden.extend(app.map(|app| begin + path + 1 + app + 1..begin + query));
        }
    }
}

/// Values behind names such as `keys:` and `stream-key=`, on the same line or as a block below.
fn values(text: &str, hidden: &mut Vec<Range<usize>>) {
    let mut offset = 0;
    let mut block = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let is_item = line.trim_start().starts_with("- ");
        match block {
            Some(column) if line.trim().is_empty() || indent > column || (indent == column && is_item) => {
                let items = line.len() - line.trim_start_matches([' ', '-']).len();
                hidden.push(offset + items..offset + line.len());
            }
            _ => block = line_values(line, offset, hidden),
        }
        offset += line.len();
    }
}

/// The column of a name that ends the line: its value is a block.
fn line_values(line: &str, offset: usize, hidden: &mut Vec<Range<usize>>) -> Option<usize> {
    let mut block = None;
    for (at, _) in line.match_indices([':', '=']) {
        let name = line.get(..at)?.trim_end().trim_end_matches(['"', '\'']);
        let begin = name.rfind(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').map_or(0, |at| at + 1);
        let name = name.get(begin..)?.to_ascii_lowercase();
        let is_secret = SECRET_NAMES.iter().any(|end| name.ends_with(end));
        if !is_secret || FILE_NAMES.contains(&name.as_str()) {
            continue;
        }
        let behind = line.get(at + 1..)?;
        let value = behind.trim_start();
        if value.is_empty() || value.starts_with('#') {
            block = Some(begin);
            continue;
        }
        let start = at + 1 + behind.len() - value.len();
        hidden.push(offset + start..offset + start + length(value));
    }
    block
}

/// Where a value ends: with its quotes or brackets, else at the next space or quote.
fn length(value: &str) -> usize {
    let is_plain = !value.starts_with(['"', '\'', '{', '[']);
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in value.char_indices() {
        match (quote, c) {
            (None, _) if is_plain && (c.is_whitespace() || c == '"' || c == '\'') => return at,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 && c.is_whitespace() => return at,
            (None, _) => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mask = Mask::of(text);
        text.char_indices().map(|(at, c)| mask.shown(at, c)).collect()
    }

    #[test]
    fn sec_keys_and_passwords_are_not_shown() {
        for (text, expected) in [
            ("location: rtmp://me:pw@h/live/cam?k=1 ! x", "location: rtmp://**:**@h/live/******* ! x"),
            ("location=\"rtmps://h:1/app/a/b\"", "location=\"rtmps://h:1/app/***\""),
            ("rtmp://h/live", "rtmp://h/live"),
            (
                "location: \"rtmpx://h/live/cam?token=a\", bad: 1 }",
                "location: \"rtmpx://h/live/***********\", bad: 1 }",
            ),
            ("on-publish: http://u:p@h/x/y?t=1, z", "on-publish: http://*:*@h/x/y****, z"),
            ("keys: { cam: one, all: [a, \"b c\"] }, oops: 1 }", "keys: { ***: ***, ***: [*, \"* *\"] }, oops: 1 }"),
            ("keys=s3cret stream=cam", "keys=****** stream=cam"),
            ("{ youtube-key: abc, app: live }", "{ youtube-key: ***, app: live }"),
            ("tls-key: server.pem", "tls-key: server.pem"),
            ("keys-file: list.txt", "keys-file: list.txt"),
            ("monkey business: none", "monkey business: none"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn sec_blocks_of_keys_are_not_shown_up_to_their_end() {
        let text = "in:\n  keys: # of cam\n    cam:\n      - é1\n\n    other: two\n  app: live\n";
        let expected = "in:\n  keys: # of cam\n    ***:\n      - **\n\n    *****: ***\n  app: live\n";
        assert_eq!(shown(text), expected);
        assert_eq!(shown("keys:\n- one\napp: live"), "keys:\n- ***\napp: live");
    }
}
