//! Messages of a pipeline: told to the element, or to the bus of the host, on the thread that posts them.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use millstream_plugin_sdk::prelude::*;

use crate::errors;
use crate::signal::Signal;

/// Hears all messages of a pipeline. None of them waits in a queue.
pub(crate) fn listen(pipeline: &gst::Pipeline, signal: &Arc<Signal>) {
    let (signal, top) = (signal.clone(), pipeline.downgrade());
    if let Some(bus) = pipeline.bus() {
        bus.set_sync_handler(move |_, message| {
            hear(message, &signal, top.upgrade().as_ref());
            gst::BusSyncReply::Drop
        });
    }
}

fn hear(message: &gst::Message, signal: &Signal, top: Option<&gst::Pipeline>) {
    match message.view() {
        gst::MessageView::Error(fault) => {
            signal.fail(errors::error(&fault.error(), fault.debug().as_deref(), message.src()));
        }
        gst::MessageView::Warning(fault) => {
            signal.host.warn(&errors::error(&fault.error(), fault.debug().as_deref(), message.src()));
        }
        gst::MessageView::Eos(_) => signal.tell(|news| news.eos = true),
        gst::MessageView::Latency(_) => signal.tell(|news| news.latency = true),
        gst::MessageView::StateChanged(change) => {
            let ours = top.is_some_and(|top| message.src() == Some(top.upcast_ref()));
            if ours && change.current() == gst::State::Playing {
                signal.tell(|news| news.latency = true);
            }
        }
        gst::MessageView::Qos(qos) => late(qos, message.src(), signal),
        gst::MessageView::Element(element) => {
            if let Some(structure) = element.structure() {
                tell(structure, message.src(), signal);
            }
        }
        _ => {}
    }
}

/// An element has left out what came too late.
fn late(qos: &gst::message::Qos, source: Option<&gst::Object>, signal: &Signal) {
    let (jitter, _, _) = qos.values();
    if jitter > 0 {
        signal.host.post(&Message::Late(TimeDelta::from_nanos(jitter)));
    }
    let name = source.map_or_else(|| "GStreamer".to_owned(), |source| source.name().to_string());
    signal.losses.qos(&signal.host, &name, qos);
}

/// Longest value of a field that is told.
const MAX_VALUE: usize = 256;

fn tell(structure: &gst::StructureRef, source: Option<&gst::Object>, signal: &Signal) {
    let name = structure.name();
    // What an element says to its neighbours, or to the application that shows its window.
    if name.starts_with("Gst") || name.starts_with("missing-plugin") || name.contains("window") {
        return;
    }
    let field = |(name, value): (&str, &glib::SendValue)| {
        let text: String = value.serialize().ok()?.chars().take(MAX_VALUE).collect();
        Some((name.to_owned(), errors::mask(&text)))
    };
    let mut fields: Vec<_> = structure.iter().map(|(name, value)| (name.as_str(), value)).filter_map(field).collect();
    fields.extend(source.map(|source| ("from".to_owned(), source.name().to_string())));
    signal.host.post(&Message::Element(name.to_string(), fields));
}
