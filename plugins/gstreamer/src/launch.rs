//! Element `gst`: a pipeline in the words of `gst-launch-1.0`.

use std::sync::OnceLock;

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_plugin_sdk::prelude::*;

use crate::{element, errors, log};

/// Settings of `gst`.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GstSettings {
    /// Elements of GStreamer as `gst-launch-1.0` takes them, such as `videoconvert ! x264enc tune=zerolatency bitrate=2500`.
    pub pipeline: String,
    /// The pipeline is a source that cannot be held back: a camera, or a stream from the network.
    #[serde(default)]
    pub live: bool,
}

const DETAILS: &str = "\
Pads of the pipeline that its text leaves unlinked are the pads of the element: the first free one for each link, or that of the element in the text
which has the name of the linked pad.

```yaml
elements:
  av: { element: gst, pipeline: \"videoconvert name=picture ! x264enc name=video  audioconvert name=sound ! avenc_aac name=audio\" }
links:
  - demux.video ! h264parse ! gst pipeline=avdec_h264 ! av.picture
  - av.video ! h264parse ! mux
```

Raw pictures and sound stay within one `gst` if the text has all that works on them: that is fastest. Without an input it is a source. `video` and `audio`
are the streams of these kinds where the pipeline finds out what there is (`decodebin`). The caps that the neighbour takes go into
the pipeline, so `x264enc` before `flvmux` gives `stream-format=avc` by itself. GStreamer's messages are written to the log, from warnings on, or as
`GST_DEBUG` says.";

/// What is known of `gst`.
pub(crate) fn factory() -> Factory {
    Factory::new("gst", "Generic/Bin", "Runs a pipeline of GStreamer", build)
        .details(DETAILS)
        .pad(PadTemplate::sink("sink", "ANY").request().doc("The first free input of the pipeline."))
        .pad(PadTemplate::src("src", "ANY").request().doc("The first free output of the pipeline."))
        .pad(
            PadTemplate::sink("%s", "ANY")
                .request()
                .doc("The input of the element of this name in the pipeline, or the next one."),
        )
        .pad(
            PadTemplate::src("%s", "ANY")
                .request()
                .doc("The output of the element of this name in the pipeline, or the next one."),
        )
        .open_ended()
        .burns_compute()
        .live_if("live")
        .example("gst pipeline=\"videotestsrc num-buffers=10 ! x264enc\" ! h264parse ! fakesink")
}

fn build(settings: GstSettings, cx: &BuildCx) -> Result<Element> {
    init()?;
    element::element(&parse(&settings.pipeline)?, Vec::new(), cx)
}

/// Starts GStreamer, once.
pub(crate) fn init() -> Result<()> {
    static STARTED: OnceLock<Option<String>> = OnceLock::new();
    let failed = STARTED.get_or_init(|| {
        let failed = gst::init().err().map(|fault| fault.to_string());
        if failed.is_none() {
            log::install();
        }
        failed
    });
    match failed {
        None => Ok(()),
        Some(fault) => Err(Error::unsupported(format!("GStreamer does not start: {fault}"))
            .hint("install it: `apt-get install libgstreamer1.0-0 gstreamer1.0-plugins-base`")),
    }
}

/// The bin of a text.
fn parse(text: &str) -> Result<gst::Bin> {
    let mut context = gst::ParseContext::new();
    let flags = gst::ParseFlags::FATAL_ERRORS;
    let text = closed(text);
    let parsed = gst::parse::bin_from_description_with_name_full(&text, false, "text", Some(&mut context), flags);
    let element = parsed.map_err(|fault| errors::parse(&fault, &context.missing_elements()))?;
    element.downcast().map_err(|_| Error::bug("the text of a pipeline is no bin"))
}

/// Caps may stand at either end of a text too, where GStreamer wants an element behind or before them.
fn closed(text: &str) -> String {
    let text = text.trim();
    let are_caps = |end: &str| {
        let word = end.trim().split([',', ' ', '(']).next().unwrap_or_default();
        word.contains('/') && !word.contains('=') && !word.contains('"')
    };
    let first = if text.split('!').next().is_some_and(are_caps) { "identity ! " } else { "" };
    let last = if text.rsplit('!').next().is_some_and(are_caps) { " ! identity" } else { "" };
    format!("{first}{text}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_may_stand_at_either_end() {
        assert_eq!(closed("a ! video/x-raw,width=2"), "a ! video/x-raw,width=2 ! identity");
        assert_eq!(closed("audio/x-raw ! a ! b"), "identity ! audio/x-raw ! a ! b");
        assert_eq!(closed("filesrc location=/tmp/a ! b location=c/d"), "filesrc location=/tmp/a ! b location=c/d");
    }

    #[test]
    fn a_text_is_checked_when_the_element_is_made() {
        init().expect("GStreamer is there");
        assert!(parse("videotestsrc ! video/x-raw,width=64").is_ok());
        let error = parse("videotestsrc ! x265enk").expect_err("no such element");
        assert_eq!(error.property(), Some("pipeline"));
        assert!(error.message().contains("x265enk"), "{error}");
    }
}
