//! Names of segment files, and what a URI makes of them.

use std::fmt::Write as _;

/// Widest number that a pattern may ask for: all digits of a 64-bit number.
const MAX_WIDTH: usize = 20;

/// Most bytes of a name: what file systems allow, less the suffix of a file that is being written.
const MAX_NAME: usize = 255 - ".part".len() - MAX_WIDTH;

/// Why a name cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// It could lead out of the directory, or is none.
    #[error("`{0}` is no plain file name: no `/`, `\\`, control characters, `.` or `..`")]
    NotPlain(String),
    /// It is too long.
    #[error("a file name of {0} bytes is too long; {MAX_NAME} at most")]
    TooLong(usize),
    /// The place of the number is missing, or is there twice, or something else follows a `%`.
    #[error("`{0}` needs exactly one place for the number, such as %05d")]
    Number(String),
}

/// A pattern of segment names with one place for the sequence number: `seg%05d.ts`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentName {
    head: String,
    width: usize,
    tail: String,
}

impl SegmentName {
    /// Reads a pattern. The number is `%d` or, with leading zeros, `%05d`.
    ///
    /// # Errors
    /// If it is no plain file name or has not exactly one place for the number.
    pub fn parse(pattern: &str) -> Result<Self, NameError> {
        check_plain(pattern)?;
        let wrong = || NameError::Number(pattern.to_owned());
        let (head, rest) = pattern.split_once('%').ok_or_else(wrong)?;
        let (width, tail) = rest.split_once('d').ok_or_else(wrong)?;
        let plain = width.is_empty() || (width.starts_with('0') && width.bytes().all(|b| b.is_ascii_digit()));
        let width = if width.is_empty() { Some(0) } else { width.parse().ok() };
        match width {
            Some(width) if plain && width <= MAX_WIDTH && !tail.contains('%') => {
                Ok(Self { head: head.to_owned(), width, tail: tail.to_owned() })
            }
            _ => Err(wrong()),
        }
    }

    /// The file of a segment.
    pub fn file(&self, sequence: u64) -> String {
        format!("{}{sequence:0width$}{}", self.head, self.tail, width = self.width)
    }

    /// The URI reference of a segment, relative to the playlist.
    pub fn uri(&self, sequence: u64) -> String {
        percent_encode(&self.file(sequence))
    }

    /// The sequence number of a file, if it is one of these segments.
    pub fn sequence(&self, file: &str) -> Option<u64> {
        let number = file.strip_prefix(&self.head)?.strip_suffix(&self.tail)?;
        let sequence = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok()).flatten()?;
        (self.file(sequence) == file).then_some(sequence)
    }
}

/// Refuses what is more, or less, than the name of a file.
pub(super) fn check_plain(name: &str) -> Result<(), NameError> {
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong(name.len()));
    }
    let strange = name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control());
    if name.is_empty() || name == "." || name == ".." || strange {
        return Err(NameError::NotPlain(name.to_owned()));
    }
    Ok(())
}

/// Keeps the unreserved characters of RFC 3986, section 2.3, and writes all other bytes as `%XX`, so that no name is taken for
/// a tag, a scheme, a query or a fragment.
pub(super) fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        let name = SegmentName::parse("seg%05d.ts").unwrap();
        assert_eq!((name.file(7), name.file(123_456)), ("seg00007.ts".into(), "seg123456.ts".into()));
        assert_eq!(name.sequence("seg00007.ts"), Some(7));
        assert_eq!(name.sequence("seg123456.ts"), Some(123_456));
        for other in ["seg7.ts", "seg0123456.ts", "seg+0007.ts", "seg00007.ts.part", "index.m3u8", "seg.ts", "ség"] {
            assert_eq!(name.sequence(other), None, "{other}");
        }
        assert_eq!(SegmentName::parse("%d").unwrap().file(0), "0");
    }

    #[test]
    fn names_are_no_paths() {
        for wrong in ["", ".", "..", "a/%d.ts", "../%d", "a\\%d", "/%d", "%d\n", "\0%d"] {
            assert!(matches!(SegmentName::parse(wrong), Err(NameError::NotPlain(_))), "{wrong:?}");
        }
        for wrong in ["seg.ts", "%d%d", "%5d", "%s", "%", "%0", "%021d", "%d%%", "%-1d"] {
            assert!(matches!(SegmentName::parse(wrong), Err(NameError::Number(_))), "{wrong:?}");
        }
        assert!(matches!(SegmentName::parse(&"x".repeat(300)), Err(NameError::TooLong(300))));
    }

    #[test]
    fn uris_are_references_to_the_file() {
        assert_eq!(SegmentName::parse("#a b:%d?é.ts").unwrap().uri(1), "%23a%20b%3A1%3F%C3%A9.ts");
    }
}
