//! From the names of an application and a stream to the file of a recording.

use std::path::PathBuf;

/// Longest path of a recording below its directory, bytes: file systems take 255 for each part.
const MAX_LEN: usize = 1024;

/// Path of the recording of a stream below the directory of recordings: `live/cam.flv` of `live` and `cam`, `cam.flv` or `flv:cam`, each
/// perhaps with a query. Nothing for a name that could lead elsewhere.
///
/// ```
/// use millstream_rtmp::recording::file_name;
/// assert_eq!(file_name("vod", "flv:talks/one?token=x"), Some("vod/talks/one.flv".into()));
/// assert_eq!(file_name("vod", "../secret"), None);
/// ```
pub fn file_name(app: &str, stream: &str) -> Option<PathBuf> {
    let [app, stream] = [app, stream].map(|name| name.split('?').next().unwrap_or_default());
    let stream = stream.strip_prefix("flv:").unwrap_or(stream);
    let stream = stream.strip_suffix(".flv").unwrap_or(stream);
    let mut path = PathBuf::new();
    for part in parts(app).chain(parts(stream)) {
        path.push(part?);
    }
    path.as_mut_os_string().push(".flv");
    (path.as_os_str().len() <= MAX_LEN).then_some(path)
}

/// The parts of a path between slashes; nothing for one that is no plain name.
fn parts(path: &str) -> impl Iterator<Item = Option<&str>> {
    path.trim_matches('/').split('/').map(|part| Some(part).filter(|part| is_plain(part)))
}

/// Names with a dot in front are hidden files and the ways up; a colon is a drive or a stream on some systems.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(|c: char| c.is_control() || c == '\\' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m5_names_of_recordings() {
        for name in ["cam", "cam.flv", "flv:cam", "flv:cam.flv", "/cam", "cam?key=a/../b", "cam/"] {
            assert_eq!(file_name("live", name), Some("live/cam.flv".into()), "{name}");
        }
        assert_eq!(file_name("live/one?x", "a/b"), Some("live/one/a/b.flv".into()));
    }

    #[test]
    fn rtmp_m5_path_tricks_are_no_names() {
        let tricks = [
            "",
            "/",
            "?",
            ".",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "a//b",
            "./x",
            ".hidden",
            "a\\..\\x",
            "a\0",
            "a\n",
            "c:x",
            "flv:../x",
            "mp4:x",
            "..flv",
            "flv:",
            ".flv",
        ];
        for trick in tricks {
            assert_eq!(file_name("live", trick), None, "{trick:?}");
            assert_eq!(file_name(trick, "cam"), None, "{trick:?}");
        }
        assert_eq!(file_name("live", &"x".repeat(2000)), None);
        // Slashes at the ends mean nothing, so that nothing is absolute.
        assert_eq!(file_name("/etc", "//passwd"), Some("etc/passwd.flv".into()));
    }
}
