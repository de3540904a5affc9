//! `repairgate`: sends what WebRTC carries one way, and what has to be encoded anew another.

use millstream_codec::h264::{NalType, Sps};
use millstream_codec::nal::annex_b;
use millstream_core::caps::{field, media};
use millstream_core::{
    BufferBox, BufferFlags, BuildCx, Caps, Element, Factory, Flow, Item, Output, PadId, PadTemplate, Request, Result,
    Time, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{AUDIO_CAPS, VIDEO_CAPS};

/// Settings of `repairgate`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RepairGateSettings {}

/// What is known of `repairgate`.
pub fn factory() -> Factory {
    let all = format!("{VIDEO_CAPS}; {AUDIO_CAPS}");
    Factory::new("repairgate", "Filter", "Parts what WebRTC carries from what has to be encoded anew for it", build)
        .pad(PadTemplate::sink("sink", &all))
        .pad(PadTemplate::src("pass", &all).sometimes().doc("What can be sent as it is."))
        .pad(PadTemplate::src("repair", &all).sometimes().doc("What has to be encoded anew: AAC, H.265, and H.264 with B-frames."))
        .details(
            "Sinks of WebRTC with `repair=transcode` have one before them by themselves. H.264 goes to `repair` when a key frame says that pictures may \
             be reordered and is itself shown later than it is decoded, or when a picture comes that is shown before another that came first; then from the next key \
             frame on. What is not linked is left out and counted.",
        )
        .example("filesrc location=tests/fixtures/audio_only_aac.flv ! flvdemux name=d d.audio ! aacparse ! repairgate name=g  g.repair ! aacdec ! fakesink  g.pass ! fakesink")
}

fn build(_: RepairGateSettings, cx: &BuildCx) -> Result<Element> {
    let pads = [cx.src("pass"), cx.src("repair")];
    Ok(Element::Transform(Box::new(RepairGate {
        ways: pads.map(|pad| Road { pad, knows: false }),
        ..Default::default()
    })))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Pass,
    Repair,
}

/// A source pad, if it is linked.
#[derive(Default)]
struct Road {
    pad: Option<PadId>,
    /// It has been told what is held.
    knows: bool,
}

#[derive(Default)]
struct RepairGate {
    ways: [Road; 2],
    way: Option<Way>,
    /// What is to be said first on a pad: stream start, caps, segment, tags.
    held: [Option<Item>; 4],
    is_h264: bool,
    /// Time of the picture that is shown last of those that came.
    latest: Option<Time>,
    /// A picture has come before its turn.
    is_reordered: bool,
    /// Pictures wait for a key frame.
    waits: bool,
    /// Something was left out since the last buffer, which went this way.
    broken: bool,
    last: Option<Way>,
}

impl RepairGate {
    fn caps(&mut self, caps: &Caps) {
        self.is_h264 = caps.media() == media::H264;
        let has_to = match caps.media() {
            media::H265 => true,
            media::MPEG_AUDIO => matches!(caps.int(field::MPEG_VERSION), Some(2 | 4)),
            _ => false,
        };
        // H.264 says it with its first key frame.
        self.way = match (self.is_h264, self.way) {
            (true, way) => way,
            (false, _) => Some(if has_to { Way::Repair } else { Way::Pass }),
        };
    }

    fn buffer(&mut self, mut buffer: BufferBox, out: &mut Output) {
        if self.is_h264 {
            self.look(&buffer, out);
        }
        if self.waits {
            return out.dropped("waits for a key frame to encode anew", buffer.payload.len() as u64, None);
        }
        let is_elsewhere = self.last.is_some() && self.last != self.way;
        if std::mem::take(&mut self.broken) || is_elsewhere {
            buffer.flags.set(BufferFlags::DISCONT, true);
        }
        self.send(Item::Buffer(buffer), out);
        self.last = self.way;
    }

    /// Which way a picture of H.264 goes.
    fn look(&mut self, buffer: &BufferBox, out: &mut Output) {
        let (shown, latest) = (buffer.pts.or(buffer.dts), self.latest);
        self.latest = latest.max(shown);
        let is_early = !buffer.is_keyframe() && shown < latest;
        if is_early && self.way == Some(Way::Pass) {
            self.is_reordered = true;
            // Nothing of the group can be decoded without what went the other way.
            (self.waits, self.broken) = (true, true);
            out.request_all(Request::KeyFrame);
        }
        if buffer.is_keyframe() {
            self.waits = false;
            let is_later = matches!((buffer.pts, buffer.dts), (Some(pts), Some(dts)) if pts > dts);
            let may = reorders(buffer);
            self.is_reordered &= may != Some(false);
            let has_b = self.is_reordered || is_later && may == Some(true) || is_later && self.way == Some(Way::Repair);
            self.way = Some(if has_b { Way::Repair } else { Way::Pass });
        }
    }

    fn send(&mut self, item: Item, out: &mut Output) {
        let way = *self.way.get_or_insert(Way::Pass);
        let Some(road) = self.ways.get_mut(way as usize) else { return };
        let Some(pad) = road.pad else {
            return out.dropped("this way is not linked", item.bytes() as u64, None);
        };
        if !std::mem::replace(&mut road.knows, true) {
            self.held.iter().flatten().for_each(|item| out.push(pad, item.clone()));
        }
        out.push(pad, item);
    }

    /// Keeps what is to be said first, and says it where it has been said before.
    fn keep(&mut self, at: usize, item: Item, out: &mut Output) {
        if let (Item::StreamStart(new), [held, ..]) = (&item, &self.held)
            && !matches!(held, Some(Item::StreamStart(held)) if held == new)
        {
            (self.held, self.latest, self.is_reordered) = (Default::default(), None, false);
        }
        if let Some(held) = self.held.get_mut(at) {
            *held = Some(item.clone());
        }
        for (index, road) in self.ways.iter_mut().enumerate() {
            let is_open = road.knows && self.way.is_some_and(|way| way as usize == index);
            match road.pad.filter(|_| is_open) {
                Some(pad) => out.push(pad, item.clone()),
                None => road.knows = false,
            }
        }
    }
}

/// Whether pictures may be shown in another order than they come, as far as a picture says it.
fn reorders(buffer: &BufferBox) -> Option<bool> {
    let sps = annex_b(&buffer.payload.contiguous()).find(|nal| NalType::of(nal) == Some(NalType::Sps))?;
    Sps::parse(&sps).ok().map(|sps| sps.may_reorder())
}

impl Transform for RepairGate {
    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        match item {
            Item::StreamStart(_) => self.keep(0, item, out),
            Item::Caps(caps) if matches!(&self.held[1], Some(Item::Caps(held)) if *held == caps) => {}
            Item::Caps(caps) => {
                self.caps(&caps);
                self.keep(1, Item::Caps(caps), out);
            }
            Item::Segment(_) => self.keep(2, item, out),
            Item::Tags(_) => self.keep(3, item, out),
            Item::Buffer(buffer) => self.buffer(buffer, out),
            Item::Flush(_) => {
                (self.latest, self.waits) = (None, false);
                out.forward(item);
            }
            Item::Eos => {
                out.streams_complete();
                out.forward(item);
            }
            Item::Absent => out.forward(item),
            other => self.send(other, out),
        }
        Ok(Flow::Done)
    }
}
