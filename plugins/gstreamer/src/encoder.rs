//! Requests that an encoder in the pipeline serves.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// How far upstream an encoder is looked for: longer ways are no pipelines that people write.
const MAX_STEPS: usize = 64;

/// The nearest encoder before a pad.
pub(crate) fn before(pad: &gst::Pad) -> Option<gst::Element> {
    let mut at = pad.clone();
    for _ in 0..MAX_STEPS {
        let element = at.peer()?.parent_element()?;
        let class = element.factory().and_then(|factory| factory.metadata("klass").map(str::to_owned));
        if class.is_some_and(|class| class.contains("Encoder")) {
            return Some(element);
        }
        at = element.sink_pads().into_iter().next()?;
    }
    None
}

/// Sets the bits a second that an encoder makes. False where it has no such property, or cannot change it while it runs.
pub(crate) fn set_bitrate(encoder: &gst::Element, bits: u64) -> bool {
    let Some(property) = ["bitrate", "target-bitrate"].iter().find_map(|name| encoder.find_property(name)) else {
        return false;
    };
    let running = gst::PARAM_FLAG_MUTABLE_PLAYING | gst::PARAM_FLAG_MUTABLE_PAUSED;
    let controllable = property.flags().contains(gst::PARAM_FLAG_CONTROLLABLE);
    if !controllable && !property.flags().intersects(running) && encoder.current_state() > gst::State::Ready {
        return false;
    }
    let value = bits / unit(&property);
    set_number(encoder, &property, value)
}

/// Bits a second of one unit of a property: x264enc and others count in kilobits, and say so.
fn unit(property: &glib::ParamSpec) -> u64 {
    let words = property.blurb().unwrap_or_default().to_lowercase();
    let kilo = ["kbit", "kbps", "kilobit"].iter().any(|unit| words.contains(unit));
    if kilo { 1000 } else { 1 }
}

fn set_number(encoder: &gst::Element, property: &glib::ParamSpec, value: u64) -> bool {
    let name = property.name();
    if let Some(range) = property.downcast_ref::<glib::ParamSpecInt>() {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        encoder.set_property(name, value.clamp(range.minimum(), range.maximum()));
    } else if let Some(range) = property.downcast_ref::<glib::ParamSpecUInt>() {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        encoder.set_property(name, value.clamp(range.minimum(), range.maximum()));
    } else if let Some(range) = property.downcast_ref::<glib::ParamSpecInt64>() {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        encoder.set_property(name, value.clamp(range.minimum(), range.maximum()));
    } else if let Some(range) = property.downcast_ref::<glib::ParamSpecUInt64>() {
        encoder.set_property(name, value.clamp(range.minimum(), range.maximum()));
    } else {
        return false;
    }
    true
}
