//! `queue`: a channel between two tasks.

use millstream_core::element::Leaky;
use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{BuildCx, Element, Error, Factory, PadTemplate, QueueLimits, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `queue`; the defaults are GStreamer's.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QueueSettings {
    /// Most buffers it holds; 0 for any number.
    pub max_size_buffers: u32,
    /// Most bytes of media it holds; 0 for any number.
    pub max_size_bytes: ByteSize,
    /// Longest time between the first and the last timestamp it holds; 0 for any.
    pub max_size_time: DurationSetting,
    /// What gives way when it is full.
    pub leaky: LeakyMode,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeakyMode {
    /// Makes the sender wait.
    #[default]
    #[serde(alias = "0")]
    No,
    /// Leaves out what comes in.
    #[serde(alias = "1")]
    Upstream,
    /// Leaves out the oldest.
    #[serde(alias = "2")]
    Downstream,
    /// Leaves out everything up to the next key frame.
    Keyframe,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            max_size_buffers: 200,
            max_size_bytes: ByteSize(10 << 20),
            max_size_time: DurationSetting::from_secs(1),
            leaky: LeakyMode::No,
        }
    }
}

/// What is known of `queue`.
pub fn factory() -> Factory {
    Factory::new("queue", "Generic", "Puts a channel between two tasks", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .pad(PadTemplate::src("src", "ANY"))
        .passthrough()
        .checked(check)
        .details(
            "What is behind the queue runs on a task of its own, beside what is before it. \
             Unlike in GStreamer no graph needs one in order to work: a demuxer feeds a muxer without queues. \
             Use it to work on several processors, to absorb jitter, or to let a slow branch lose data (`leaky`). \
             Caps, segments and the end of the stream are never lost.",
        )
        .example("fakesrc num-buffers=10 ! queue max-size-buffers=4 ! fakesink")
}

fn check(settings: &QueueSettings) -> Result<()> {
    if settings.max_size_time.as_nanos() < 0 {
        let error = Error::settings("max-size-time cannot be negative").on_property("max-size-time");
        return Err(error.hint("use 0s for no limit"));
    }
    Ok(())
}

fn build(settings: QueueSettings, _: &BuildCx) -> Result<Element> {
    let time = Some(settings.max_size_time.as_nanos()).filter(|time| *time > 0);
    Ok(Element::Queue(QueueLimits {
        buffers: limit(settings.max_size_buffers.into()),
        bytes: limit(settings.max_size_bytes.0),
        time: time.unwrap_or(i64::MAX),
        leaky: match settings.leaky {
            LeakyMode::No => Leaky::No,
            LeakyMode::Upstream => Leaky::Upstream,
            LeakyMode::Downstream => Leaky::Downstream,
            LeakyMode::Keyframe => Leaky::ToKeyframe,
        },
    }))
}

/// A limit as written, where 0 means none.
fn limit(setting: u64) -> usize {
    usize::try_from(setting).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::settings::Node;
    use millstream_testkit::TestEnv;

    fn limits(settings: &[(&str, &str)]) -> Result<QueueLimits> {
        let factory = factory();
        let node = Node::map(settings.iter().map(|(key, value)| (*key, Node::scalar(*value))));
        let cx = BuildCx::new("queue", TestEnv::new().env, Vec::new(), Vec::new());
        match factory.build(factory.settings.parse(&node).unwrap(), &cx)? {
            Element::Queue(limits) => Ok(limits),
            _ => panic!("a channel"),
        }
    }

    #[test]
    fn limits_are_gstreamers_and_zero_is_none() {
        let defaults = QueueLimits { buffers: 200, bytes: 10_485_760, time: 1_000_000_000, leaky: Leaky::No };
        assert_eq!(limits(&[]).unwrap(), defaults);
        let none = [("max-size-buffers", "0"), ("max-size-bytes", "0"), ("max-size-time", "0"), ("leaky", "2")];
        let open = QueueLimits { buffers: usize::MAX, bytes: usize::MAX, time: i64::MAX, leaky: Leaky::Downstream };
        assert_eq!(limits(&none).unwrap(), open);
        assert_eq!(limits(&[("leaky", "keyframe")]).unwrap().leaky, Leaky::ToKeyframe);
        assert!(limits(&[("max-size-time", "-1s")]).is_err());
    }
}
