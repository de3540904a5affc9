//! A small registry for this crate's tests: the shapes of the real elements, which cannot be built.

use millstream_core::registry::Resource;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{CapsSet, Error, Factory, PadTemplate, Registry};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct NoSettings {}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FileSettings {
    /// The file.
    pub(crate) location: String,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct FakeSettings {
    /// Number of buffers; -1 for no end.
    #[schemars(range(min = -1))]
    pub(crate) num_buffers: i64,
    pub(crate) sync: bool,
    pub(crate) every: DurationSetting,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct FilterSettings {
    /// What passes.
    pub(crate) caps: String,
}

const H264: &str = "video/x-h264, stream-format={avc, byte-stream}";

fn factory<S>(name: &'static str) -> Factory
where
    S: serde::de::DeserializeOwned + JsonSchema + Send + Sync + 'static,
{
    Factory::new::<S>(name, "Test", "For tests.", |_, _| Err(Error::bug("not to be built")))
}

/// filesrc, filesink, fakesrc, fakesink, identity, anybin, queue, tee, funnel, capsfilter, flvdemux, flvmux, h264parse, aacparse.
pub(crate) fn registry() -> Registry {
    let file = |s: &FileSettings| vec![Resource::WritesFile(s.location.clone().into())];
    let mut registry = Registry::new();
    let through = |name| {
        factory::<NoSettings>(name)
            .pad(PadTemplate::sink("sink", "ANY"))
            .pad(PadTemplate::src("src", "ANY"))
            .passthrough()
    };
    let all = [
        factory::<FileSettings>("filesrc").pad(PadTemplate::src("src", "ANY")),
        factory::<FileSettings>("filesink").pad(PadTemplate::sink("sink", "ANY")).resources(file),
        factory::<FakeSettings>("fakesrc").pad(PadTemplate::src("src", "ANY")),
        factory::<FakeSettings>("fakesink").pad(PadTemplate::sink("sink", "ANY")),
        through("identity"),
        factory::<NoSettings>("anybin")
            .pad(PadTemplate::sink("sink", "ANY").request())
            .pad(PadTemplate::src("src", "ANY").request())
            .open_ended(),
        through("queue"),
        factory::<NoSettings>("tee")
            .pad(PadTemplate::sink("sink", "ANY"))
            .pad(PadTemplate::src("src_%u", "ANY").request())
            .passthrough(),
        factory::<NoSettings>("funnel")
            .pad(PadTemplate::sink("sink_%u", "ANY").request())
            .pad(PadTemplate::src("src", "ANY"))
            .passthrough(),
        factory::<FilterSettings>("capsfilter")
            .pad(PadTemplate::sink("sink", "ANY"))
            .pad(PadTemplate::src("src", "ANY"))
            .passthrough()
            .caps_from(|s: &FilterSettings| s.caps.parse::<CapsSet>().ok()),
        factory::<NoSettings>("flvdemux")
            .pad(PadTemplate::sink("sink", "video/x-flv"))
            .pad(PadTemplate::src("video", "video/x-h264, stream-format=avc; video/x-vp9").sometimes())
            .pad(PadTemplate::src("audio", "audio/mpeg, mpegversion=4, stream-format=raw; audio/x-opus").sometimes()),
        factory::<NoSettings>("flvmux")
            .pad(PadTemplate::sink("video", "video/x-h264, stream-format=avc").request())
            .pad(PadTemplate::sink("audio", "audio/mpeg, mpegversion=4, stream-format=raw").request())
            .pad(PadTemplate::src("src", "video/x-flv")),
        factory::<NoSettings>("tsmux")
            .pad(PadTemplate::sink("video_%u", "video/x-h264, stream-format=byte-stream").request())
            .pad(PadTemplate::sink("audio_%u", "audio/mpeg, mpegversion=4, stream-format=adts").request())
            .pad(PadTemplate::src("src", "video/mpegts")),
        factory::<NoSettings>("h264parse").pad(PadTemplate::sink("sink", H264)).pad(PadTemplate::src("src", H264)),
        factory::<NoSettings>("aacparse")
            .pad(PadTemplate::sink("sink", "audio/mpeg, mpegversion=4"))
            .pad(PadTemplate::src("src", "audio/mpeg, mpegversion=4, stream-format={raw, adts}")),
    ];
    all.into_iter().for_each(|factory| registry.add(factory));
    registry
}
