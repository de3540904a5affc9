//! Which pad of a pipeline's text a linked pad of ours is.
//!
//! | name of our pad | what it is |
//! | --- | --- |
//! | name of an element in the text | the free pad of that element, or one that it makes on request |
//! | `ELEMENT.PAD` | that pad of the element |
//! | name of a request pad (`sink_0`) | that pad of the first element that makes such |
//! | anything else (`sink`, `src`, `video`) | the next free pad of the text, in order; for a source pad one that appears later, if it fits |

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer::{PadDirection, PadPresence};
use millstream_plugin_sdk::prelude::{Error, Result};

/// Elements of a bin in the order of the text. A bin lists the latest first.
pub(crate) fn elements(bin: &gst::Bin) -> Vec<gst::Element> {
    let mut elements = bin.children();
    elements.reverse();
    elements
}

/// What a source pad of ours is.
pub(crate) enum Origin {
    /// A pad that is there.
    Pad(gst::Pad),
    /// One that appears when the stream is known: of this element, or any, and by this name.
    Later(Option<gst::Element>, String),
}

/// Pads of a bin that are still free.
pub(crate) struct Endpoints {
    elements: Vec<gst::Element>,
}

impl Endpoints {
    pub(crate) fn of(bin: &gst::Bin) -> Self {
        Self { elements: elements(bin) }
    }

    /// The pad that takes what comes on our sink pad of this name.
    pub(crate) fn sink(&self, name: &str) -> Result<gst::Pad> {
        self.find(name, PadDirection::Sink).ok_or_else(|| self.none(name, PadDirection::Sink))
    }

    /// The pad that gives what goes out on our source pad of this name.
    pub(crate) fn src(&self, name: &str) -> Result<Origin> {
        if let Some(pad) = self.find(name, PadDirection::Src) {
            return Ok(Origin::Pad(pad));
        }
        let (of, pad) = self.part(name).map_or((None, name), |(element, pad)| (Some(element.clone()), pad));
        match self.growing().any(|element| of.as_ref().is_none_or(|of| of == element)) {
            true => Ok(Origin::Later(of, pad.to_owned())),
            false => Err(self.none(name, PadDirection::Src)),
        }
    }

    /// Elements that add source pads while they run.
    pub(crate) fn growing(&self) -> impl Iterator<Item = &gst::Element> {
        let sometimes =
            |t: &gst::PadTemplate| t.direction() == PadDirection::Src && t.presence() == PadPresence::Sometimes;
        self.elements.iter().filter(move |element| element.pad_template_list().iter().any(sometimes))
    }

    /// Element and pad of a name `ELEMENT.PAD`, which pads of joined neighbours have.
    fn part<'a>(&self, name: &'a str) -> Option<(&gst::Element, &'a str)> {
        let (element, pad) = name.rsplit_once('.')?;
        Some((self.elements.iter().find(|known| known.name() == element)?, pad))
    }

    fn find(&self, name: &str, direction: PadDirection) -> Option<gst::Pad> {
        if let Some((element, pad)) = self.part(name) {
            return named(element, pad, direction);
        }
        if let Some(element) = self.elements.iter().find(|element| element.name() == name) {
            return free(element, direction).or_else(|| on_request(element, direction, None));
        }
        let exact = self.elements.iter().find_map(|element| free_named(element, direction, name));
        let named = || self.elements.iter().find_map(|element| on_request(element, direction, Some(name)));
        let next = || self.elements.iter().find_map(|element| free(element, direction));
        let made = || self.elements.iter().find_map(|element| on_request(element, direction, None));
        exact.or_else(named).or_else(next).or_else(|| if direction == PadDirection::Sink { made() } else { None })
    }

    fn none(&self, name: &str, direction: PadDirection) -> Error {
        let what = if direction == PadDirection::Sink { "takes" } else { "gives" };
        let names: Vec<String> = self.elements.iter().map(|element| element.name().to_string()).collect();
        Error::settings(format!("the pipeline has no free pad that {what} the stream of `{name}`"))
            .on_property("pipeline")
            .hint(format!(
                "leave a pad of an element unlinked in the text, or name the linked pad after one of {}",
                names.join(", ")
            ))
    }
}

fn free(element: &gst::Element, direction: PadDirection) -> Option<gst::Pad> {
    element.pads().into_iter().find(|pad| pad.direction() == direction && !pad.is_linked())
}

/// A pad of an element by its name: there, or made on request.
pub(crate) fn named(element: &gst::Element, pad: &str, direction: PadDirection) -> Option<gst::Pad> {
    free_named(element, direction, pad).or_else(|| on_request(element, direction, Some(pad)))
}

fn free_named(element: &gst::Element, direction: PadDirection, name: &str) -> Option<gst::Pad> {
    element.static_pad(name).filter(|pad| pad.direction() == direction && !pad.is_linked())
}

/// A pad that an element makes on request: of this name, or any.
fn on_request(element: &gst::Element, direction: PadDirection, name: Option<&str>) -> Option<gst::Pad> {
    let fits = |template: &gst::PadTemplate| {
        template.direction() == direction
            && template.presence() == PadPresence::Request
            && name.is_none_or(|name| is_of(template.name_template(), name))
    };
    let template = element.pad_template_list().into_iter().find(fits)?;
    element.request_pad(&template, name, None)
}

/// True when the name is one of a numbered template: `sink_0` of `sink_%u`.
fn is_of(template: &str, name: &str) -> bool {
    let Some((head, _)) = template.split_once('%') else { return template == name };
    name.strip_prefix(head).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// True when a stream of such a media type may be what a source pad of this name waits for.
pub(crate) fn suits(name: &str, media: &str) -> bool {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    !matches!(word, "video" | "audio" | "text" | "subpicture") || media.starts_with(word)
}
