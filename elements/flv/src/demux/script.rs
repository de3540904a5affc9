//! Script data: `onMetaData` is learned, all else is a stream of its own.

use millstream_core::caps::media;
use millstream_core::item::Gap;
use millstream_core::{Buffer, BufferFlags, Caps, Item, Output, PadId, Segment, StreamInfo, Time};

use super::{At, FlvDemux, SCRIPT_PAD};
use crate::wire::{MetaData, Tag, TagKind, parse_script};

/// A script pad says at least this often how far it is, so that a muxer does not wait for it.
const SCRIPT_GAP_MS: i64 = 500;

/// The pad of script data.
pub(super) struct Script {
    pad: PadId,
    started: bool,
    /// What its last item said, since the timeline was announced.
    told_ms: Option<i64>,
}

impl Script {
    pub(super) fn new(pad: PadId) -> Self {
        Self { pad, started: false, told_ms: None }
    }

    /// The timeline starts over.
    pub(super) fn flush(&mut self) {
        self.told_ms = None;
    }
}

impl FlvDemux {
    #[cold]
    pub(super) fn script(&mut self, tag: &Tag, at: At, out: &mut Output) {
        let Ok(script) = parse_script(tag.kind, &tag.body) else {
            return out.dropped("script tag that cannot be read", at.bytes as u64, Some(at.offset));
        };
        if let Some(data) = MetaData::from_script(&script) {
            let now = self.timeline.newest().unwrap_or_default();
            self.facts.learn(data, now, out);
            for track in self.tracks.0.iter().filter(|track| track.has_segment) {
                if let Some(pad) = track.pad {
                    out.push(pad, Item::Tags(self.facts.tags()));
                }
            }
            return self.check_complete(out);
        }
        let time_ms = self.timeline.glance(at.timestamp);
        let Some((pad, time)) = self.script_at(time_ms, out) else { return };
        // AMF3 script data differs by a zero byte in front (Enhanced RTMP v2, "Enabling AMF3 in FLV").
        let zero = usize::from(tag.kind == TagKind::ScriptAmf3 && tag.body.first() == Some(&0));
        let flags = BufferFlags::KEYFRAME;
        let buffer = Buffer { offset: Some(at.offset), flags, ..Buffer::new(tag.body.slice(zero..)) };
        out.buffer(pad, buffer.with_times(Some(time), Some(time)));
    }

    /// Starts the script stream if need be, and says on which pad and when something of this time goes out: never back.
    fn script_at(&mut self, time_ms: i64, out: &mut Output) -> Option<(PadId, Time)> {
        let script = self.script.as_mut()?;
        if !std::mem::replace(&mut script.started, true) {
            let info = StreamInfo { id: SCRIPT_PAD.to_owned(), language: None };
            out.push(script.pad, Item::StreamStart(info.into()));
            out.caps(script.pad, Caps::new(media::FLV_SCRIPT));
        }
        if script.told_ms.is_none() {
            let segment = self.segment.get_or_insert_with(|| Segment::time(Time::from_millis(time_ms)));
            out.push(script.pad, Item::Segment(segment.clone().into()));
        }
        let time_ms = script.told_ms.map_or(time_ms, |told| told.max(time_ms));
        script.told_ms = Some(time_ms);
        Some((script.pad, Time::from_millis(time_ms)))
    }

    /// Says that there is no script data up to here.
    #[inline]
    pub(super) fn script_gap(&mut self, now_ms: i64, out: &mut Output) {
        let due = |script: &Script| script.told_ms.is_none_or(|told| now_ms.saturating_sub(told) >= SCRIPT_GAP_MS);
        if !self.script.as_ref().is_some_and(|script| script.started && due(script)) {
            return;
        }
        if let Some((pad, start)) = self.script_at(now_ms, out) {
            out.push(pad, Item::Gap(Box::new(Gap { start, duration: None })));
        }
    }
}
