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
    pub(super) pad: PadId,
    pub(super) started: bool,
    /// What its last item said.
    pub(super) told_ms: i64,
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
        let Some(pad) = self.script_at(time_ms, out) else { return };
        let time = Some(Time::from_millis(time_ms));
        // AMF3 script data differs by a zero byte in front (Enhanced RTMP v2, "Enabling AMF3 in FLV").
        let zero = usize::from(tag.kind == TagKind::ScriptAmf3 && tag.body.first() == Some(&0));
        let flags = BufferFlags::KEYFRAME;
        let buffer = Buffer { offset: Some(at.offset), flags, ..Buffer::new(tag.body.slice(zero..)) };
        out.buffer(pad, buffer.with_times(time, time));
    }

    /// Starts the script stream if need be.
    fn script_at(&mut self, time_ms: i64, out: &mut Output) -> Option<PadId> {
        let script = self.script.as_mut()?;
        if !std::mem::replace(&mut script.started, true) {
            let info = StreamInfo { id: SCRIPT_PAD.to_owned(), language: None };
            out.push(script.pad, Item::StreamStart(info.into()));
            out.caps(script.pad, Caps::new(media::FLV_SCRIPT));
            let segment = self.segment.get_or_insert_with(|| Segment::time(Time::from_millis(time_ms)));
            out.push(script.pad, Item::Segment(segment.clone().into()));
        }
        script.told_ms = time_ms;
        Some(script.pad)
    }

    /// Says that there is no script data up to here.
    #[cold]
    pub(super) fn script_gap(&mut self, now_ms: i64, out: &mut Output) {
        let Some(script) = self.script.as_mut().filter(|script| script.started) else { return };
        if now_ms.saturating_sub(script.told_ms) >= SCRIPT_GAP_MS {
            script.told_ms = now_ms;
            out.push(script.pad, Item::Gap(Box::new(Gap { start: Time::from_millis(now_ms), duration: None })));
        }
    }
}
