//! Packets of a track to items of its pad.

use bytes::Bytes;
use millstream_core::item::Custom;
use millstream_core::{Buffer, BufferFlags, Error, Item, Output, Segment, StreamInfo, Time, TimeDelta};

use super::timeline::Placed;
use super::track::{Codec, Medium, Ready, Unnamed};
use super::{FlvDemux, MAX_BODY_WARNINGS, MULTICHANNEL_EVENT, VIDEO_METADATA_EVENT};
use crate::wire::PacketKind;

/// Events ahead of a track's sequence header that are kept for it; files have one or two.
const MAX_EARLY_EVENTS: usize = 8;

/// Where a packet stood.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) timestamp: u32,
    pub(super) offset: u64,
    pub(super) bytes: usize,
}

/// One access unit.
struct Frame {
    key: bool,
    composition_time_ms: i32,
    nano_offset: u32,
    payload: Bytes,
}

impl FlvDemux {
    /// A packet of a tag.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "the parts of one packet, which would only be packed to be unpacked")]
    pub(super) fn packet(
        &mut self,
        medium: Medium,
        id: u8,
        codec: Codec,
        kind: PacketKind,
        payload: Bytes,
        at: At,
        out: &mut Output,
    ) {
        let index = self.tracks.entry(medium, id);
        match kind {
            PacketKind::Frame { key, composition_time_ms, nano_offset } => {
                let frame = Frame { key, composition_time_ms, nano_offset, payload };
                self.frame(index, codec, frame, at, out);
            }
            PacketKind::Config => self.config(index, codec, &payload, at, out),
            // Whether more comes is told by more coming.
            PacketKind::End => {}
            PacketKind::Metadata => self.event(index, VIDEO_METADATA_EVENT, payload, out),
            PacketKind::MultichannelConfig => self.event(index, MULTICHANNEL_EVENT, payload, out),
            PacketKind::Mpeg2TsConfig => out.dropped("AV1 descriptor of MPEG-2 TS", at.bytes as u64, Some(at.offset)),
        }
    }

    #[cold]
    fn config(&mut self, index: usize, codec: Codec, config: &Bytes, at: At, out: &mut Output) {
        let Some(track) = self.tracks.0.get_mut(index) else { return };
        if config.is_empty() && codec.needs_config() {
            return out.dropped("empty sequence header", at.bytes as u64, Some(at.offset));
        }
        if config.is_empty() {
            // Says nothing that the frames do not: AV1 by ffmpeg's early enhanced writer, Opus by the standard.
            return;
        }
        if track.configure(codec, config) {
            self.announce(index, out);
        }
    }

    /// Sends caps if they are new, behind a stream start if they are the first.
    #[cold]
    fn announce(&mut self, index: usize, out: &mut Output) {
        let Some(track) = self.tracks.0.get_mut(index) else { return };
        match track.settle(self.facts.metadata()) {
            Ok(Some(caps)) => {
                if let Some(pad) = track.pad {
                    if !std::mem::replace(&mut track.started, true) {
                        let info = StreamInfo { id: track.name(), language: None };
                        out.push(pad, Item::StreamStart(info.into()));
                    }
                    out.caps(pad, caps);
                    track.early_events.drain(..).for_each(|event| out.push(pad, Item::Custom(event)));
                }
            }
            Ok(None) => {}
            Err(Unnamed) => {
                let name = track.name();
                return self
                    .warn(Error::unsupported(format!("{name}: device-specific sound has no name outside Flash")), out);
            }
        }
        self.check_complete(out);
    }

    #[inline]
    fn frame(&mut self, index: usize, codec: Codec, frame: Frame, at: At, out: &mut Output) {
        let Some(track) = self.tracks.0.get_mut(index) else { return };
        if frame.payload.is_empty() {
            return;
        }
        match track.accept(codec, frame.key, &frame.payload) {
            Ready::Yes => {}
            Ready::NewCaps => self.announce(index, out),
            Ready::NoConfig => return self.lost(index, "frame ahead of its sequence header", at, out),
        }
        let Some(track) = self.tracks.0.get_mut(index) else { return };
        if !track.is_settled() {
            return self.lost(index, "frame of a codec without a name", at, out);
        }
        let placed = self.timeline.place(at.timestamp, &mut track.position);
        if placed.jumped {
            self.tracks.break_all();
        }
        if !self.streams.is_complete() && self.streams.waited(placed.dts_ms, at.bytes) {
            self.complete(out);
        }
        self.send(index, codec, frame, placed, at, out);
        self.facts.passed(placed.dts_ms, at.offset, out);
        self.script_gap(placed.dts_ms, out);
    }

    /// A frame that does not go out: the next one does not follow on what came before.
    #[cold]
    fn lost(&mut self, index: usize, reason: &'static str, at: At, out: &mut Output) {
        if let Some(track) = self.tracks.0.get_mut(index) {
            track.discont = true;
        }
        out.dropped(reason, at.bytes as u64, Some(at.offset));
    }

    #[inline]
    fn send(&mut self, index: usize, codec: Codec, frame: Frame, placed: Placed, at: At, out: &mut Output) {
        let Some(track) = self.tracks.0.get_mut(index) else { return };
        let Some(pad) = track.pad else { return };
        if !std::mem::replace(&mut track.has_segment, true) {
            let start = Time::from_millis(placed.dts_ms);
            let segment = self.segment.get_or_insert_with(|| Segment::time(start));
            out.push(pad, Item::Segment(segment.clone().into()));
            out.push(pad, Item::Tags(self.facts.tags()));
        }
        let mut payload = frame.payload;
        if codec.has_adjustment() {
            payload = payload.slice(1..);
        }
        let pts_ms = placed.said_ms.saturating_add(frame.composition_time_ms.into());
        // A frame that is late is not shown ahead of its decoding; else the file may say even that.
        let pts_ms = if placed.said_ms < placed.dts_ms { pts_ms.max(placed.dts_ms) } else { pts_ms };
        let pts = Time::from_millis(pts_ms) + TimeDelta::from_nanos(frame.nano_offset.into());
        let mut flags = BufferFlags::empty();
        flags.set(BufferFlags::KEYFRAME, frame.key);
        flags.set(BufferFlags::DISCONT, std::mem::take(&mut track.discont));
        let buffer = Buffer {
            payload: payload.into(),
            pts: Some(pts),
            dts: Some(Time::from_millis(placed.dts_ms)),
            duration: None,
            offset: Some(at.offset),
            flags,
        };
        out.buffer(pad, buffer);
    }

    /// What stands beside the frames. Ahead of the sequence header it waits for the stream to start.
    #[cold]
    fn event(&mut self, index: usize, name: &str, data: Bytes, out: &mut Output) {
        let Some(track) = self.tracks.0.get_mut(index) else { return };
        let Some(pad) = track.pad else { return };
        let event = Custom { name: name.to_owned(), data }.into();
        if track.started {
            out.push(pad, Item::Custom(event));
        } else if track.early_events.len() < MAX_EARLY_EVENTS {
            track.early_events.push(event);
        }
    }

    /// Warns, unless it was done often enough.
    #[cold]
    pub(super) fn warn(&mut self, error: Error, out: &mut Output) {
        if self.body_warnings < MAX_BODY_WARNINGS {
            self.body_warnings += 1;
            out.warn(error);
        }
    }
}
