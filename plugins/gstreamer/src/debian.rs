//! Which package of Debian brings an element: what one does about an element that is not installed.

/// The field `Gstreamer-Elements` of Debian 12's packages: `package: element, element …`.
const PACKAGES: &str = include_str!("debian.txt");

/// Elements of ffmpeg begin so; Debian lists a thousand of them.
const LIBAV: [&str; 5] = ["avdec_", "avenc_", "avdemux_", "avmux_", "avdeinterlace"];

/// The package that brings an element.
pub(crate) fn package_of(element: &str) -> Option<&'static str> {
    if LIBAV.iter().any(|start| element.starts_with(start)) {
        return Some("gstreamer1.0-libav");
    }
    let mut package = None;
    for word in PACKAGES.split([',', ' ', '\n']).filter(|word| !word.is_empty()) {
        match word.strip_suffix(':') {
            Some(name) => package = Some(name),
            None if word == element => return package,
            None => {}
        }
    }
    None
}

/// The package that brings the first element that a text names.
pub(crate) fn package_of_words(text: &str) -> Option<&'static str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| word.len() > 4).find_map(package_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_that_debian_says() {
        for (element, package) in [
            ("videoconvert", "gstreamer1.0-plugins-base"),
            ("flvmux", "gstreamer1.0-plugins-good"),
            ("x265enc", "gstreamer1.0-plugins-bad"),
            ("x264enc", "gstreamer1.0-plugins-ugly"),
            ("textoverlay", "gstreamer1.0-x"),
            ("avenc_aac", "gstreamer1.0-libav"),
        ] {
            assert_eq!(package_of(element), Some(package), "{element}");
        }
        assert_eq!(package_of("gstreamer1.0-x:"), None);
        assert_eq!(package_of_words("no element \"x264enc\""), Some("gstreamer1.0-plugins-ugly"));
    }
}
