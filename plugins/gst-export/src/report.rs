//! Our errors and messages on GStreamer's bus.

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_core::{Error, ErrorKind, MessageKind};

use crate::LOG;

/// What is said of an error: what happened, and what to do.
pub(crate) fn text(error: &Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    }
}

/// An error, as functions that start and stop elements give it.
pub(crate) fn refusal(error: &Error) -> gst::ErrorMessage {
    match error.kind() {
        ErrorKind::Settings => gst::error_msg!(gst::ResourceError::Settings, ("{}", text(error))),
        ErrorKind::Io => gst::error_msg!(gst::ResourceError::OpenWrite, ("{}", text(error))),
        _ => gst::error_msg!(gst::CoreError::Failed, ("{}", text(error))),
    }
}

/// Posts an error that ends the stream.
pub(crate) fn error(element: &impl IsA<gst::Element>, error: &Error) {
    let (element, text) = (element.upcast_ref::<gst::Element>(), text(error));
    let kind = format!("{} error", error.kind().name());
    match error.kind() {
        ErrorKind::Settings => gst::element_error!(element, gst::ResourceError::Settings, ("{}", text), ["{}", kind]),
        ErrorKind::Peer => gst::element_error!(element, gst::ResourceError::Write, ("{}", text), ["{}", kind]),
        ErrorKind::Io => gst::element_error!(element, gst::ResourceError::OpenWrite, ("{}", text), ["{}", kind]),
        ErrorKind::Unsupported => gst::element_error!(element, gst::StreamError::Format, ("{}", text), ["{}", kind]),
        ErrorKind::Bug => gst::element_error!(element, gst::CoreError::Failed, ("{}", text), ["{}", kind]),
        _ => gst::element_error!(element, gst::StreamError::Mux, ("{}", text), ["{}", kind]),
    }
}

/// Tells what an element of ours tells: warnings as GStreamer's, everything else as an element message `millstream-NAME`.
pub(crate) fn message(element: &impl IsA<gst::Element>, said: &MessageKind) {
    let element = element.upcast_ref::<gst::Element>();
    let post = |name: &str, fields: &[(&str, String)]| {
        let mut structure = gst::Structure::new_empty(format!("millstream-{name}"));
        fields.iter().for_each(|(name, value)| structure.set(*name, value));
        gst::info!(LOG, obj = element, "{structure}");
        // Nobody may listen.
        let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
    };
    match said {
        MessageKind::Warning(warning) => {
            gst::element_warning!(element, gst::CoreError::Failed, ("{}", text(warning)));
        }
        MessageKind::Dropped(dropped) => {
            post("dropped", &[("reason", dropped.reason.to_owned()), ("bytes", dropped.bytes.to_string())]);
        }
        MessageKind::Stalled { idle } => post("stalled", &[("idle", idle.to_string())]),
        MessageKind::Recovered { after } => post("recovered", &[("after", after.to_string())]),
        MessageKind::Element { name, fields } => post(name, fields),
        // Errors come back from where the pipeline ends; the rest is told of pipelines that are made anew, or that this one is not.
        _ => {}
    }
}
