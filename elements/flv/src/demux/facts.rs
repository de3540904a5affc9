//! What the file says about itself: tags, progress, and where key frames are.

use std::sync::Arc;

use millstream_amf::Value;
use millstream_core::{MessageKind, Output, Tags, Time, TimeDelta};

use crate::wire::{FileHeader, MetaData};

/// How far the file has been read is told once for so many bytes.
const PROGRESS_BYTES: u64 = 64 << 20;
/// Texts of `onMetaData` that become tags; real files have a dozen.
const MAX_TAGS: usize = 64;
/// Longest text of a tag, bytes.
const MAX_TAG_BYTES: usize = 4096;
/// A longer duration than a hundred years is none.
const MAX_DURATION_S: f64 = 3.2e9;

/// The newest `onMetaData` and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    data: Option<MetaData>,
    tags: Arc<Tags>,
    data_offset: u64,
    /// Offset at which progress is told next.
    next_progress: u64,
    told: bool,
}

impl Facts {
    /// The newest metadata.
    pub(super) fn metadata(&self) -> Option<&MetaData> {
        self.data.as_ref()
    }

    /// The tags of all tracks.
    pub(super) fn tags(&self) -> Arc<Tags> {
        self.tags.clone()
    }

    /// The file header was read.
    pub(super) fn header_read(&mut self, header: Option<FileHeader>) {
        self.data_offset = header.map_or(0, |header| u64::from(header.data_offset) + 4);
    }

    /// Takes metadata. An index that was there stays if the new one has none.
    pub(super) fn learn(&mut self, mut data: MetaData, now_ms: i64, out: &mut Output) {
        let old = self.data.take().and_then(|data| data.keyframes);
        data.keyframes = data.keyframes.or(old);
        self.tags = Arc::new(tags_of(&data));
        self.data = Some(data);
        if !self.told && self.duration().is_some() {
            self.progress(now_ms, out);
        }
    }

    /// A tag at this offset has gone out.
    #[inline]
    pub(super) fn passed(&mut self, now_ms: i64, offset: u64, out: &mut Output) {
        if offset >= self.next_progress {
            self.next_progress = offset.saturating_add(PROGRESS_BYTES);
            if offset >= PROGRESS_BYTES {
                self.progress(now_ms, out);
            }
        }
    }

    #[cold]
    fn progress(&mut self, now_ms: i64, out: &mut Output) {
        self.told = true;
        out.post(MessageKind::Progress { position: Time::from_millis(now_ms), duration: self.duration() });
    }

    fn duration(&self) -> Option<TimeDelta> {
        duration_ms(self.data.as_ref()?).map(TimeDelta::from_millis)
    }

    /// Offset of the last key frame at or before a time; `None` without an index.
    pub(super) fn seek(&self, time: Time) -> Option<u64> {
        if time <= Time::ZERO {
            return Some(0);
        }
        let index = self.data.as_ref()?.keyframes.as_ref()?;
        let entries = index.times.iter().zip(&index.positions);
        let before = entries.filter(|(at, position)| **at <= time.seconds() && **position >= self.data_offset as f64);
        let best = before.max_by(|(a, _), (b, _)| a.total_cmp(b));
        // Ahead of the first key frame there is the beginning.
        Some(best.map_or(0, |(_, position)| *position as u64))
    }
}

fn duration_ms(data: &MetaData) -> Option<i64> {
    data.duration.filter(|seconds| *seconds > 0.0 && *seconds < MAX_DURATION_S).map(|s| (s * 1000.0).round() as i64)
}

/// The duration in milliseconds, and all that is text.
fn tags_of(data: &MetaData) -> Tags {
    let duration = duration_ms(data).map(|ms| ("duration".to_owned(), ms.to_string()));
    let texts = data.other.iter().filter_map(|(name, value)| match value {
        Value::String(text) if !text.is_empty() && text.len() <= MAX_TAG_BYTES && !text.trim().is_empty() => {
            Some((name.clone(), text.clone()))
        }
        _ => None,
    });
    Tags(duration.into_iter().chain(texts.take(MAX_TAGS)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Keyframes;

    #[test]
    fn flv_6_seek_finds_the_key_frame_before() {
        let keyframes = Keyframes { times: vec![0.0, 2.0, 4.0], positions: vec![500.0, 7000.0, 9000.0] };
        let data = MetaData { keyframes: Some(keyframes), duration: Some(6.5), ..MetaData::default() };
        let mut facts = Facts::default();
        assert_eq!(facts.seek(Time::from_millis(1)), None, "without an index");
        let mut out = Output::new(1, 1);
        facts.learn(data, 0, &mut out);
        facts.learn(MetaData::default(), 0, &mut out);
        let seek = |ms| facts.seek(Time::from_millis(ms));
        assert_eq!(
            (seek(-5), seek(1999), seek(2000), seek(3999), seek(99_000)),
            (Some(0), Some(500), Some(7000), Some(7000), Some(9000))
        );
        assert_eq!(out.effects().len(), 1, "progress is told once");
    }

    #[test]
    fn texts_become_tags() {
        let other = vec![("encoder".into(), "Lavf".into()), ("filler".into(), "  ".into()), ("n".into(), 5.0.into())];
        let tags = tags_of(&MetaData { duration: Some(1.5), other, ..MetaData::default() });
        assert_eq!(tags.0, [("duration".into(), "1500".into()), ("encoder".into(), "Lavf".to_owned())]);
    }
}
