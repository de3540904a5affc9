//! One writing for each path (RFC 3986, 5.2.4 and 6.2.2).

/// A path without percent-encoding, empty segments, `.` and `..`, which begins with a slash and has none at its end. Nothing for what
/// leads out of the root, is not UTF-8, or has characters that no path needs.
pub fn normalise(path: &str) -> Option<String> {
    let decoded = decode(path.strip_prefix('/')?)?;
    if decoded.contains(|c: char| c.is_control() || matches!(c, '\\' | '?' | '#')) {
        return None;
    }
    let mut segments = Vec::new();
    // Decoded first: an encoded slash separates like a plain one, and hides nothing.
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            segment => segments.push(segment),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writing_for_each_path() {
        for (path, plain) in [
            ("/", "/"),
            ("/live/cam.flv", "/live/cam.flv"),
            ("//live/./cam.flv/", "/live/cam.flv"),
            ("/live/x/../cam.flv", "/live/cam.flv"),
            ("/live%2Fx%2f%2e%2E/c%61m.flv", "/live/cam.flv"),
            ("/%C3%BC", "/ü"),
        ] {
            assert_eq!(normalise(path).as_deref(), Some(plain), "{path}");
        }
    }

    #[test]
    fn no_path_leaves_its_root() {
        for path in [
            "",
            "live",
            "*",
            "/..",
            "/a/../../b",
            "/%2e%2e/b",
            "/a\\..\\b",
            "/%",
            "/%4",
            "/%zz",
            "/%00",
            "/%ff",
            "/%3Fa",
        ] {
            assert_eq!(normalise(path), None, "{path}");
        }
    }
}
