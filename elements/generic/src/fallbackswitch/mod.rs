//! `fallbackswitch`: the first input that is alive, on one timeline.

mod group;
mod tag;
mod timeline;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_core::inbox::PadState;
use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    Aggregate, BuildCx, Element, Error, Factory, Inbox, Item, MessageKind, Need, Output, PadId, PadSet, PadTemplate,
    Request, Result, Segment, StreamInfo, Time, TimeDelta,
};
use schemars::JsonSchema;
use serde::Deserialize;

use group::{Group, Kind};
use timeline::Timeline;

/// Settings of `fallbackswitch`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FallbackSwitchSettings {
    /// An input of which nothing has come for this long is dead.
    pub timeout: DurationSetting,
    /// How long an input of higher priority has to be alive before it is returned to; 0s returns at its next key frame.
    pub stable_for: DurationSetting,
    /// Number of the input that is a file: it waits while it is not shown, and is paced to the clock while it is.
    pub slate: Option<u16>,
    /// Keeps the time in which nobody sent as a gap on the timeline, so that a live output never falls behind the clock. Without it what is shown
    /// next stands a frame behind the last, and players do not wait.
    pub keep_gaps: bool,
}

impl Default for FallbackSwitchSettings {
    fn default() -> Self {
        Self {
            timeout: DurationSetting::from_secs(5),
            stable_for: DurationSetting::from_secs(3),
            slate: None,
            keep_gaps: false,
        }
    }
}

/// What is known of `fallbackswitch`.
pub fn factory() -> Factory {
    Factory::new("fallbackswitch", "Generic", "Shows the first of several inputs that is alive", build)
        .pad(PadTemplate::sink("sink_%u", "ANY").request().doc("An input; 0 is the first choice."))
        .pad(PadTemplate::sink("video_%u", "ANY").request().doc("The picture of an input of several streams."))
        .pad(PadTemplate::sink("audio_%u", "ANY").request().doc("Its sound."))
        .pad(PadTemplate::src("src", "ANY").request().doc("What `sink_%u` take."))
        .pad(PadTemplate::src("video", "ANY").request().doc("What `video_%u` take."))
        .pad(PadTemplate::src("audio", "ANY").request().doc("What `audio_%u` take."))
        .survives_lost_inputs()
        .checked_pads(check_pads)
        .details(
            "Pads with the same number are one input. An input that is dead, because nothing came of it for `timeout`, it ended or it failed, is \
             replaced by the next that is alive; one of higher priority is returned to when it has been alive for `stable-for`. Each change is made \
             at a key frame.\n\n\
             - The output has one timeline: timestamps go on a frame behind the last, whatever those of the inputs are, those in FLV tags included. The \
             same is done where an input begins anew or loops.\n\
             - Caps and headers (of FLV: metadata and sequence headers) of the new input go ahead of its key frame. The codecs may differ if what \
             follows takes that.\n\
             - Inputs that are not shown are read and left out, so that live ones stay live. The `slate` waits instead.\n\
             - The stream ends when every input has ended, whatever the slate still has. An input that fails is left to itself.\n\n\
             Posts `switched` with `from` and `to`.",
        )
        .example(
            "rtmpserversrc stream=cam ! s.sink_0  rtmpserversrc stream=backup ! s.sink_1  fallbackswitch name=s timeout=2s  \
             s.src ! rtmpserversink stream=out",
        )
}

fn check_pads(sinks: &[&str], srcs: &[&str]) -> Result<()> {
    for sink in sinks {
        let Some((kind, _)) = Kind::of(sink) else { continue };
        if !srcs.contains(&kind.src()) {
            let error = Error::settings(format!("`{sink}` is linked, and `{}` is not", kind.src()));
            return Err(error.hint(format!("link `{}` too", kind.src())));
        }
    }
    let whole = sinks.iter().any(|sink| sink.starts_with("sink_"));
    if whole && !sinks.iter().all(|sink| sink.starts_with("sink_")) {
        let error = Error::settings("inputs are either whole (`sink_0`) or split (`video_0`, `audio_0`)");
        return Err(error.hint("link pads of one kind"));
    }
    Ok(())
}

fn build(settings: FallbackSwitchSettings, cx: &BuildCx) -> Result<Element> {
    let mut groups: Vec<Group> = Vec::new();
    let mut pads: Vec<(u16, Kind, PadId, PadId)> = Vec::new();
    for pad in &cx.sinks {
        let Some((kind, number)) = Kind::of(&pad.name) else { continue };
        let src = cx.src(kind.src()).ok_or_else(|| Error::settings(format!("`{}` is not linked", kind.src())))?;
        pads.push((number, kind, pad.id, src));
    }
    pads.sort_by_key(|(number, kind, ..)| (*number, *kind));
    for (number, kind, pad, src) in pads {
        match groups.last_mut().filter(|group| group.number == number) {
            Some(group) => group.add(kind, pad, src),
            None => groups.push(Group::new(number, settings.slate == Some(number), kind, pad, src)),
        }
    }
    let nanos = |duration: DurationSetting| TimeDelta::from_nanos(duration.as_nanos().max(0));
    Ok(Element::Aggregate(Box::new(FallbackSwitch {
        timeout: nanos(settings.timeout),
        stable_for: nanos(settings.stable_for),
        groups,
        active: None,
        timeline: Timeline::new(cx.srcs.len(), settings.keep_gaps),
        started: vec![false; cx.srcs.len()],
        begun: None,
        ended: false,
    })))
}

/// The element.
struct FallbackSwitch {
    timeout: TimeDelta,
    stable_for: TimeDelta,
    /// By priority.
    groups: Vec<Group>,
    /// The one that is shown.
    active: Option<usize>,
    timeline: Timeline,
    /// Source pads whose stream has started.
    started: Vec<bool>,
    /// When the first call came: nothing is dead before its time.
    begun: Option<Time>,
    ended: bool,
}

impl Aggregate for FallbackSwitch {
    fn step(&mut self, inbox: &mut Inbox, now: Time, out: &mut Output) -> Result<Need> {
        if self.ended {
            return Ok(Need::Done);
        }
        let begun = *self.begun.get_or_insert(now);
        for index in 0..self.groups.len() {
            self.hear(index, inbox, now, out);
            self.groups[index].look(inbox, now, begun, self.timeout);
        }
        for index in 0..self.groups.len() {
            self.serve(index, inbox, now, out);
        }
        if self.is_over(inbox) {
            return Ok(self.end(inbox, out));
        }
        Ok(self.need(inbox, now))
    }

    fn flush(&mut self, _: &mut Output) -> Result<()> {
        self.active = None;
        Ok(())
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        match (request, self.active) {
            (Request::KeyFrame, Some(active)) => {
                self.groups[active].pads().for_each(|pad| out.request(pad, Request::KeyFrame));
            }
            (request, _) => out.request_all(request),
        }
        Ok(())
    }
}

impl FallbackSwitch {
    /// The input that should be shown.
    fn wanted(&self, now: Time) -> Option<usize> {
        let best = self.groups.iter().position(|group| group.is_alive());
        match (self.active, best) {
            (Some(active), Some(best)) if best < active && self.groups[active].is_alive() => {
                let stable = self.groups[best].alive_since().is_some_and(|since| now.since(since) >= self.stable_for);
                Some(if stable { best } else { active })
            }
            (active, None) => active,
            (_, best) => best,
        }
    }

    /// Takes what is said ahead of media.
    fn hear(&mut self, index: usize, inbox: &mut Inbox, now: Time, out: &mut Output) {
        let pads: Vec<PadId> = self.groups[index].pads().collect();
        for pad in pads {
            while inbox.peek(pad).is_some_and(|item| !matches!(item, Item::Buffer(_))) {
                let Some(item) = inbox.pop(pad) else { break };
                self.item(index, pad, item, false, now, out);
            }
        }
    }

    /// Works off what an input has.
    fn serve(&mut self, index: usize, inbox: &mut Inbox, now: Time, out: &mut Output) {
        let pads: Vec<PadId> = self.groups[index].pads().collect();
        for pad in pads {
            while let Some(item) = inbox.peek(pad) {
                let wanted = self.wanted(now) == Some(index);
                let shown = self.active == Some(index);
                if matches!(item, Item::Buffer(_)) && !self.may_take(index, item, wanted || shown, now) {
                    break;
                }
                let Some(item) = inbox.pop(pad) else { break };
                self.item(index, pad, item, wanted, now, out);
            }
        }
    }

    /// A slate waits while it is not wanted, and for its time while it is.
    fn may_take(&self, index: usize, item: &Item, wanted: bool, now: Time) -> bool {
        let group = &self.groups[index];
        !group.slate || (wanted && self.due(index, item).is_none_or(|at| at <= now))
    }

    /// When the slate that is shown sends this.
    fn due(&self, index: usize, item: &Item) -> Option<Time> {
        let shown = self.active == Some(index) && !self.groups[index].is_broken();
        item.dts_or_pts().filter(|_| shown).and_then(|time| self.timeline.due(time))
    }

    fn item(&mut self, index: usize, pad: PadId, item: Item, wanted: bool, now: Time, out: &mut Output) {
        let group = &mut self.groups[index];
        match item {
            Item::Buffer(buffer) => {
                let buffer = buffer.into_inner();
                if group.keep_header(pad, &buffer) {
                    if self.active == Some(index) && !self.groups[index].is_broken() {
                        self.pass(index, pad, Item::buffer(buffer), out);
                    }
                    return;
                }
                let breaks = self.active == Some(index) && group.breaks(pad, &buffer);
                if (wanted && self.active != Some(index) || breaks) && group.can_begin(pad, &buffer) {
                    self.show(index, buffer.dts_or_pts().unwrap_or(Time::ZERO), now, out);
                }
                let group = &mut self.groups[index];
                if self.active == Some(index) && !group.is_broken() {
                    group.follow(pad, &buffer);
                    self.pass(index, pad, Item::buffer(buffer), out);
                } else {
                    out.dropped(
                        if wanted { "before a key frame" } else { "input not shown" },
                        buffer.payload.len() as u64,
                        None,
                    );
                }
            }
            Item::Caps(caps) => {
                group.caps(pad, caps);
                if self.active == Some(index) {
                    self.tell_caps(index, out);
                }
            }
            Item::StreamStart(_) => group.start(pad),
            item @ (Item::Tags(_) | Item::Custom(_)) if self.active == Some(index) => self.pass(index, pad, item, out),
            // The output has a segment of its own, and a gap of one input is none of it.
            _ => {}
        }
    }

    /// Shows an input from the key frame at `first` on.
    fn show(&mut self, index: usize, first: Time, now: Time, out: &mut Output) {
        let before = self.active.replace(index);
        self.timeline.splice(first, now, before == Some(index));
        self.groups[index].begin(first);
        if before != Some(index) {
            let number = |index: usize| self.groups[index].number.to_string();
            let fields = vec![("from", before.map(number).unwrap_or_default()), ("to", number(index))];
            out.post(MessageKind::Element { name: "switched", fields });
        }
        self.tell_caps(index, out);
        let headers: Vec<_> = self.groups[index].headers().collect();
        for (pad, header) in headers {
            self.pass(index, pad, Item::buffer(header), out);
        }
    }

    /// Starts streams, and announces caps that differ from those before.
    fn tell_caps(&mut self, index: usize, out: &mut Output) {
        for (src, caps) in self.groups[index].announced() {
            if !std::mem::replace(&mut self.started[src.index()], true) {
                out.push(src, Item::StreamStart(Arc::new(StreamInfo::default())));
                out.push(src, Item::Segment(Arc::new(Segment::time(self.timeline.start()))));
            }
            if let Some(caps) = caps.filter(|caps| self.timeline.is_new_caps(src, caps)) {
                out.caps(src, caps);
            }
        }
    }

    /// Sends an item of the input that is shown.
    fn pass(&mut self, index: usize, pad: PadId, item: Item, out: &mut Output) {
        let Some(src) = self.groups[index].src(pad) else { return };
        let tags = self.groups[index].has_tags(pad);
        match item {
            Item::Buffer(buffer) => match self.timeline.place(src, buffer.into_inner(), tags) {
                Ok(buffer) => out.buffer(src, buffer),
                Err(left_out) => out.dropped(left_out.reason, left_out.bytes, None),
            },
            item => out.push(src, item),
        }
    }

    /// Every input has ended. A slate fills gaps; where all else has come to its end there is none.
    fn is_over(&self, inbox: &Inbox) -> bool {
        let mut others = self.groups.iter().filter(|group| !group.slate).peekable();
        let ended = |group: &Group| group.pads().any(|pad| inbox.state(pad) == PadState::Eos);
        let filled = others.peek().is_some() && self.groups.iter().any(|group| !group.slate && ended(group));
        others.all(|group| group.is_over(inbox)) && (filled || self.groups.iter().all(|group| group.is_over(inbox)))
    }

    fn end(&mut self, inbox: &Inbox, out: &mut Output) -> Need {
        self.ended = true;
        let pads = (0..inbox.pads() as u16).map(PadId);
        let ended = pads.clone().any(|pad| inbox.state(pad) == PadState::Eos);
        for src in 0..self.started.len() as u16 {
            let item = if ended || self.started[usize::from(src)] { Item::Eos } else { Item::Absent };
            out.push(PadId(src), item);
        }
        Need::Done
    }

    /// Everything that may come, and the next time at which something changes by itself.
    fn need(&self, inbox: &Inbox, now: Time) -> Need {
        let wanted = self.wanted(now);
        let mut pads = PadSet::empty();
        let mut next: Option<Time> = None;
        let mut by = |at: Option<Time>| next = [next, at].into_iter().flatten().min();
        for (index, group) in self.groups.iter().enumerate() {
            let open = group.pads().filter(|pad| inbox.peek(*pad).is_none() && !inbox.is_over(*pad));
            open.for_each(|pad| pads.insert(pad));
            if group.slate {
                let shown = self.active == Some(index) || wanted == Some(index);
                let heads = group.pads().filter_map(|pad| inbox.peek(pad)).filter(|_| shown);
                heads.for_each(|item| by(self.due(index, item)));
            }
            by(group.dies_at(self.timeout, self.begun.unwrap_or(now)));
            by(group.alive_since().map(|since| since + self.stable_for).filter(|at| *at > now));
        }
        match next {
            Some(at) => Need::PadsUntil(pads, at),
            None => Need::Pads(pads),
        }
    }
}
