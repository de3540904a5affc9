//! What the muxer writes: head, tags, end.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::{Buffer, BufferFlags, Error, Item, Output, PadId, Result, Segment, Time};

use super::head::{self, Totals};
use super::track::{Format, Role, Track};
use super::{FlvMux, Head};
use crate::demux::Medium;
use crate::wire::{FileHeader, PacketKind, VideoCodec};

/// Offset of the flags in the file header.
const FLAGS_OFFSET: u64 = 4;

impl FlvMux {
    /// File header, metadata and the sequence headers that are known, these with the time of the first frame.
    #[cold]
    pub(super) fn write_head(&mut self, dts_ms: i64, out: &mut Output) -> Result<()> {
        let (has_audio, has_video) = (self.has(Medium::Audio), self.has(Medium::Video));
        self.batch.begin_tag(BufferFlags::HEADER, None, out);
        self.writer.file_header(FileHeader::new(has_audio, has_video), &mut self.batch.slices);
        let mut head = Head { has_audio, has_video, slot: None };
        let totals = self.rewrites.then(Totals::default);
        let mut data = head::metadata(&self.tracks, &self.known, totals);
        if self.streamable {
            data.duration = None;
        }
        let written = self.writer.metadata(&data, self.index_entries, 0, &mut self.batch.slices);
        head.slot = written.map_err(|error| Error::limit("onMetaData is too large").caused_by(error)).map(Some)?;
        self.batch.end_tag(out);
        self.head = Some(head);
        self.latest_ms = dts_ms;
        for index in (0..self.tracks.len() as u16).map(PadId) {
            self.config(index, dts_ms, out)?;
        }
        for (pad, kind, data) in std::mem::take(&mut self.early_events) {
            self.beside(pad, kind, &data, out)?;
        }
        Ok(())
    }

    /// True when a track of this kind has caps.
    pub(super) fn has(&self, medium: Medium) -> bool {
        let is = |track: &Track| track.format.is_some() && matches!(track.role, Role::Media(own, _) if own == medium);
        self.tracks.iter().any(is)
    }

    /// Writes the sequence header of a track, if it owes one and knows it.
    fn config(&mut self, pad: PadId, dts_ms: i64, out: &mut Output) -> Result<()> {
        let Some(track) = self.tracks.get_mut(pad.index()) else { return Ok(()) };
        let Some(config) = track.format.as_ref().and_then(Format::config).cloned() else { return Ok(()) };
        if std::mem::take(&mut track.owes_config) {
            let payload = [config];
            self.tag(pad, PacketKind::Config, dts_ms, BufferFlags::HEADER, &payload, out)?;
        }
        Ok(())
    }

    /// A sequence header that is due only now: the format changed, or a key frame has to tell what it is.
    #[cold]
    pub(super) fn late_config(&mut self, pad: PadId, buffer: &Buffer, dts_ms: i64, out: &mut Output) -> Result<()> {
        let Some(track) = self.tracks.get_mut(pad.index()) else { return Ok(()) };
        if let Some(Format::Video(format)) = &mut track.format
            && format.config.is_none()
            && matches!(format.codec, VideoCodec::Vp9 | VideoCodec::Av1)
        {
            if !buffer.is_keyframe() {
                return Ok(());
            }
            format.config = format.config_from(&buffer.payload.contiguous());
        }
        if track.format.as_ref().is_some_and(|format| format.config().is_none()) {
            track.owes_config = false;
        }
        self.config(pad, dts_ms, out)
    }

    /// Writes a tag and gives its offset; `None` when it was too large and left out.
    #[inline]
    pub(super) fn tag(
        &mut self,
        pad: PadId,
        kind: PacketKind,
        dts_ms: i64,
        flags: BufferFlags,
        payload: &[Bytes],
        out: &mut Output,
    ) -> Result<Option<u64>> {
        let Some(track) = self.tracks.get(pad.index()) else { return Ok(None) };
        self.scratch.clear();
        let tag_kind = track.header(kind, self.form, &mut self.scratch)?;
        let pts_ms = match kind {
            PacketKind::Frame { composition_time_ms, .. } => dts_ms.saturating_add(composition_time_ms.into()),
            _ => dts_ms,
        };
        let times = Some((Time::from_millis(dts_ms), Time::from_millis(pts_ms)));
        // An input that came late, or whose timestamps jump: the output says so.
        let flags = if dts_ms < self.latest_ms { flags | BufferFlags::DISCONT } else { flags };
        self.latest_ms = dts_ms;
        self.batch.begin_tag(flags, times, out);
        // Only the low 32 bits exist on the wire: they wrap after 49.7 days.
        let written = self.writer.tag(tag_kind, dts_ms as u32, &self.scratch, payload, &mut self.batch.slices);
        match written {
            Ok(offset) => {
                self.sent += usize::from(self.batch.end_tag(out));
                Ok(Some(offset))
            }
            Err(error) => {
                let bytes: usize = payload.iter().map(Bytes::len).sum();
                out.dropped("frame larger than an FLV tag", bytes as u64, None);
                out.warn(Error::limit("a frame does not fit an FLV tag").caused_by(error));
                Ok(None)
            }
        }
    }

    /// Writes a packet that is no frame, if the codec of its track has such packets.
    pub(super) fn beside(&mut self, pad: PadId, kind: PacketKind, data: &Bytes, out: &mut Output) -> Result<()> {
        let fits = match self.tracks.get(pad.index()).and_then(|track| track.format.as_ref()) {
            Some(Format::Video(format)) => kind == PacketKind::Metadata && format.codec.fourcc().is_some(),
            Some(Format::Audio(format)) => kind == PacketKind::MultichannelConfig && format.codec.fourcc().is_some(),
            _ => false,
        };
        if fits {
            self.tag(pad, kind, self.latest_ms, BufferFlags::empty(), std::slice::from_ref(data), out)?;
        }
        Ok(())
    }

    /// All inputs have ended.
    pub(super) fn finish(&mut self, out: &mut Output) -> Result<()> {
        if self.head.is_none() {
            self.write_head(0, out)?;
        }
        for pad in (0..self.tracks.len() as u16).map(PadId) {
            let Some(track) = self.tracks.get(pad.index()) else { continue };
            let h264 = matches!(&track.format, Some(Format::Video(format)) if format.codec == VideoCodec::H264);
            if h264 && track.last_ms.is_some() {
                self.tag(pad, PacketKind::End, self.latest_ms, BufferFlags::empty(), &[], out)?;
            }
        }
        self.batch.flush(out);
        if self.rewrites {
            self.rewrite_head(out);
        }
        out.push(PadId::FIRST, Item::Eos);
        Ok(())
    }

    /// Fills in what is known only now.
    fn rewrite_head(&mut self, out: &mut Output) {
        let Some(head) = &self.head else { return };
        let flags = FileHeader::new(self.has(Medium::Audio), self.has(Medium::Video));
        if (flags.has_audio, flags.has_video) != (head.has_audio, head.has_video) {
            let mut bytes = Vec::with_capacity(FileHeader::LEN);
            flags.write(&mut bytes);
            let at = FLAGS_OFFSET as usize;
            if let Some(byte) = bytes.get(at..at + 1) {
                overwrite(FLAGS_OFFSET, Bytes::copy_from_slice(byte), out);
            }
        }
        let length = self.end_ms.saturating_sub(self.first_ms.unwrap_or(self.end_ms)).max(0);
        let totals = Totals { duration: length as f64 / 1000.0, size: self.writer.offset() };
        let mut data = head::metadata(&self.tracks, &self.known, Some(totals));
        let keyframes = self.index.keyframes();
        // One entry says what everybody knows, and libavformat takes it for a mistake.
        data.keyframes = (keyframes.times.len() > 1).then_some(keyframes);
        if let Some((offset, bytes)) = head.slot.and_then(|slot| slot.patch(&data)) {
            overwrite(offset, bytes, out);
        }
    }
}

/// Replaces bytes that were written before.
fn overwrite(offset: u64, bytes: Bytes, out: &mut Output) {
    out.push(PadId::FIRST, Item::Segment(Arc::new(Segment::bytes(offset))));
    out.buffer(PadId::FIRST, Buffer { offset: Some(offset), flags: BufferFlags::HEADER, ..Buffer::new(bytes) });
}
