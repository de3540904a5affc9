//! Errors and other messages of GStreamer's for the bus of the host.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::{CoreError, LibraryError, ResourceError, StreamError};
use millstream_plugin_sdk::prelude::{Error, ErrorKind};

use crate::debian;

/// An error or warning of an element: its name, what it says, and what it says to those who debug it.
pub(crate) fn error(fault: &glib::Error, debug: Option<&str>, source: Option<&gst::Object>) -> Error {
    let name = source.map_or_else(|| "GStreamer".to_owned(), |object| object.name().to_string());
    let said = mask(fault.message().trim_end_matches('.'));
    let error = Error::new(kind(fault), format!("`{name}` of GStreamer: {said}"));
    let error = match debug.map(brief).filter(|debug| !debug.is_empty()) {
        Some(debug) => error.caused_by(mask(&debug)),
        None => error,
    };
    match hint(fault, debug.unwrap_or_default()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn kind(fault: &glib::Error) -> ErrorKind {
    if let Some(resource) = fault.kind::<ResourceError>() {
        return if resource == ResourceError::Settings { ErrorKind::Settings } else { ErrorKind::Io };
    }
    if let Some(stream) = fault.kind::<StreamError>() {
        return match stream {
            StreamError::CodecNotFound | StreamError::NotImplemented => ErrorKind::Unsupported,
            StreamError::Failed => ErrorKind::Unsupported,
            _ => ErrorKind::Malformed,
        };
    }
    match (fault.kind::<CoreError>(), fault.kind::<LibraryError>()) {
        (Some(_), _) => ErrorKind::Unsupported,
        (_, Some(LibraryError::Settings)) => ErrorKind::Settings,
        _ => ErrorKind::Bug,
    }
}

fn hint(fault: &glib::Error, debug: &str) -> Option<String> {
    if fault.matches(CoreError::MissingPlugin) || fault.matches(StreamError::CodecNotFound) {
        let package = debian::package_of_words(debug).unwrap_or("gstreamer1.0-libav gstreamer1.0-plugins-bad");
        return Some(format!("install what decodes it: `apt-get install {package}`"));
    }
    if debug.contains("not-negotiated") {
        let hint = "two neighbours in the pipeline cannot agree on caps: put `videoconvert`, `audioconvert ! audioresample` or a parser between them";
        return Some(hint.to_owned());
    }
    fault.matches(ResourceError::NotFound).then(|| "see that the file or device is there".to_owned())
}

/// What cannot be made of the text of a pipeline.
pub(crate) fn parse(fault: &glib::Error, missing: &[String]) -> Error {
    let error = Error::settings(format!("GStreamer does not understand the pipeline: {}", mask(fault.message())));
    let error = error.on_property("pipeline");
    match missing.first() {
        Some(name) => error.hint(missing_element(name)),
        None => error,
    }
}

/// What to do about an element that is not installed.
pub(crate) fn missing_element(name: &str) -> String {
    match debian::package_of(name) {
        Some(package) => format!("`{name}` is not installed: `apt-get install {package}` brings it"),
        None => format!(
            "`{name}` is not installed, and in no package of Debian's GStreamer: see that the name is right with `gst-inspect-1.0`"
        ),
    }
}

/// The words of a debug text without its first line, which says where in GStreamer's source it was said.
fn brief(debug: &str) -> String {
    let lines = debug.lines().skip_while(|line| line.contains("(): /")).map(str::trim);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Hides what comes behind the host of an address: stream keys, tokens and passwords stand there.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        let address = tail.find(|c: char| c.is_whitespace() || "\"'`<>)".contains(c)).unwrap_or(tail.len());
        let (address, behind) = tail.split_at(address);
        let (authority, path) = address.split_at(address.find('/').unwrap_or(address.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        masked += head;
        // The path of a file is no secret.
        masked += if head.ends_with("file://") { address } else { host };
        masked += if path.len() > 1 && !head.ends_with("file://") { "/…" } else { "" };
        rest = behind;
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_host_is_hidden() {
        assert_eq!(mask("no rtmp://me:pw@host:1935/live/key?t=1 \"x\""), "no rtmp://host:1935/… \"x\"");
        assert_eq!(mask("file:///tmp/a.mp4 and http://b"), "file:///tmp/a.mp4 and http://b");
    }

    #[test]
    fn the_party_to_blame_and_the_package_are_named() {
        let fault = glib::Error::new(ResourceError::NotFound, "Could not open \"/nowhere\".");
        let found = error(
            &fault,
            Some("../gstfilesrc.c(1): open (): /GstPipeline:p/GstFileSrc:f:\nNo such file \"/nowhere\""),
            None,
        );
        assert_eq!(
            (found.kind(), found.message()),
            (ErrorKind::Io, "`GStreamer` of GStreamer: Could not open \"/nowhere\"")
        );
        let cause = std::error::Error::source(&found).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("No such file \"/nowhere\""));
        assert!(missing_element("x264enc").contains("gstreamer1.0-plugins-ugly"));
        assert!(missing_element("avdec_h264").contains("gstreamer1.0-libav"));
        assert!(missing_element("nonsense").contains("in no package"));
    }
}
