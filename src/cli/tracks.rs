//! What `discover` measures, as text and as JSON.

use std::fmt::Write as _;

use millstream::prelude::{Buffer, Caps, Item, Time, TimeDelta};
use millstream::runtime::DropCount;
use serde_json::{Value, json};

use super::numbers;

/// One stream of a file.
#[derive(Debug, Default)]
pub(crate) struct Track {
    pad: String,
    language: Option<String>,
    caps: Option<Caps>,
    tags: Vec<(String, String)>,
    buffers: u64,
    bytes: u64,
    start: Option<Time>,
    end: Option<Time>,
    /// Presentation time of the last picture or sound.
    last: Option<Time>,
    keys: KeyFrames,
}

/// Where key frames stand.
#[derive(Debug, Default)]
struct KeyFrames {
    count: u64,
    last: Option<Time>,
    shortest: Option<TimeDelta>,
    longest: Option<TimeDelta>,
}

impl KeyFrames {
    fn at(&mut self, time: Option<Time>) {
        self.count += 1;
        if let (Some(time), Some(last)) = (time, self.last) {
            let distance = time - last;
            self.shortest = Some(self.shortest.map_or(distance, |s| s.min(distance)));
            self.longest = Some(self.longest.map_or(distance, |l| l.max(distance)));
        }
        self.last = time.or(self.last);
    }
}

impl Track {
    /// Nothing seen yet on this pad.
    pub(crate) fn new(pad: &str) -> Self {
        Self { pad: pad.to_owned(), ..Self::default() }
    }

    /// Whether there is such a stream.
    pub(crate) fn is_there(&self) -> bool {
        self.caps.is_some() || self.buffers > 0
    }

    /// Takes what came on the pad.
    pub(crate) fn take(&mut self, item: &Item) {
        match item {
            Item::StreamStart(info) => self.language.clone_from(&info.language),
            Item::Caps(caps) => self.caps = Some(caps.clone()),
            Item::Tags(tags) => self.tags.clone_from(&tags.0),
            Item::Buffer(buffer) => self.buffer(buffer),
            _ => {}
        }
    }

    fn buffer(&mut self, buffer: &Buffer) {
        self.buffers += 1;
        self.bytes = self.bytes.saturating_add(buffer.payload.len() as u64);
        if let Some(pts) = buffer.pts.or(buffer.dts) {
            let end = pts + buffer.duration.unwrap_or_default();
            self.start = Some(self.start.map_or(pts, |start| start.min(pts)));
            self.last = Some(self.last.map_or(pts, |last| last.max(pts)));
            self.end = Some(self.end.map_or(end, |last| last.max(end)));
        }
        if buffer.is_keyframe() {
            self.keys.at(buffer.pts.or(buffer.dts));
        }
    }

    fn duration(&self) -> TimeDelta {
        self.end.zip(self.start).map(|(end, start)| end - start).unwrap_or_default()
    }

    fn bitrate(&self) -> f64 {
        bitrate(self.bytes, self.duration())
    }

    /// Pictures a second as they came, whatever headers say of it.
    fn frame_rate(&self) -> Option<f64> {
        let (first, last) = self.start.zip(self.last)?;
        let is_video = self.caps.as_ref().is_some_and(Caps::is_video);
        (is_video && last > first).then(|| (self.buffers.saturating_sub(1)) as f64 / (last - first).seconds())
    }

    /// Video only: in audio every frame is one.
    fn key_frames(&self) -> Option<&KeyFrames> {
        Some(&self.keys).filter(|_| self.caps.as_ref().is_some_and(Caps::is_video))
    }

    fn write(&self, text: &mut String) {
        let caps = self.caps.as_ref().map_or("no caps".to_owned(), shown);
        let _ = writeln!(text, "{}: {caps}", self.pad);
        let language = self.language.as_ref().map(|l| format!(", language {l}")).unwrap_or_default();
        let (duration, rate) = (numbers::clock(self.duration()), numbers::bitrate(self.bitrate()));
        let start = self.start.unwrap_or_default().seconds();
        let buffers = numbers::count(self.buffers, "buffer");
        let frame_rate = self.frame_rate().map(|rate| format!(", {rate:.2} fps")).unwrap_or_default();
        let _ = writeln!(text, "    {duration} from {start:.3} s, {buffers}, {rate}{frame_rate}{language}");
        if let Some(keys) = self.key_frames() {
            let _ = write!(text, "    {}", numbers::count(keys.count, "key frame"));
            if let Some((shortest, longest)) = keys.shortest.zip(keys.longest) {
                let (shortest, longest) = (shortest.seconds(), longest.seconds());
                let _ = match longest - shortest < 0.0005 {
                    true => write!(text, ", {longest:.3} s apart"),
                    false => write!(text, ", {shortest:.3} to {longest:.3} s apart"),
                };
            }
            text.push('\n');
        }
        for (name, value) in &self.tags {
            let _ = writeln!(text, "    {name}: {value}");
        }
    }

    fn to_json(&self) -> Value {
        let key_frames = self.key_frames().map(|keys| {
            json!({
                "count": keys.count,
                "shortest-distance": keys.shortest.map(TimeDelta::seconds),
                "longest-distance": keys.longest.map(TimeDelta::seconds),
            })
        });
        json!({
            "pad": self.pad,
            "language": self.language,
            "caps": self.caps.as_ref().map(ToString::to_string),
            "start": self.start.map(Time::seconds),
            "duration": self.duration().seconds(),
            "buffers": self.buffers,
            "bytes": self.bytes,
            "bitrate": self.bitrate(),
            "frame-rate": self.frame_rate(),
            "key-frames": key_frames,
            "tags": self.tags.iter().cloned().map(|(name, value)| (name, value.into())).collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Caps without the decoder configuration, which says nothing to a reader.
fn shown(caps: &Caps) -> String {
    caps.clone().without(millstream::core::caps::field::CODEC_DATA).to_string()
}

fn bitrate(bytes: u64, duration: TimeDelta) -> f64 {
    let seconds = duration.seconds();
    if seconds > 0.0 { bytes as f64 * 8.0 / seconds } else { 0.0 }
}

/// What a live stream has beside its tracks.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Who sends it, by what it says of itself.
    pub(crate) server: Vec<(String, Value)>,
    /// `onMetaData`.
    pub(crate) metadata: Vec<(String, Value)>,
}

/// What is in a file or a live stream.
pub(crate) struct Found {
    /// Path, or URL without what is secret.
    pub(crate) name: String,
    pub(crate) container: &'static str,
    pub(crate) size: u64,
    pub(crate) tracks: Vec<Track>,
    pub(crate) drops: Vec<(&'static str, DropCount)>,
    /// None for a file.
    pub(crate) live: Option<Live>,
}

impl Found {
    /// From the first to the last picture or sound of any track.
    fn duration(&self) -> TimeDelta {
        let start = self.tracks.iter().filter_map(|t| t.start).min();
        let end = self.tracks.iter().filter_map(|t| t.end).max();
        end.zip(start).map(|(end, start)| end - start).unwrap_or_default()
    }

    pub(crate) fn to_text(&self) -> String {
        let (size, duration) = (numbers::bytes(self.size), self.duration());
        let rate = numbers::bitrate(bitrate(self.size, duration));
        let (name, container) = (&self.name, self.container);
        let live = if self.live.is_some() { "live " } else { "" };
        let mut text = format!("{name}: {live}{container}, {}, {size}, {rate}\n", numbers::clock(duration));
        if let Some(live) = &self.live {
            group(&mut text, "server", &live.server);
        }
        self.tracks.iter().for_each(|track| track.write(&mut text));
        for (reason, count) in &self.drops {
            let (times, bytes) = (numbers::count(count.times, "time"), numbers::bytes(count.bytes));
            let _ = writeln!(text, "damage: {reason}, {times}, {bytes}");
        }
        if let Some(live) = &self.live {
            group(&mut text, "metadata", &live.metadata);
        }
        text
    }

    /// Times in seconds, rates in bits a second.
    pub(crate) fn to_json(&self) -> Value {
        let drop = |(reason, count): &(&str, DropCount)| json!({ "reason": reason, "times": count.times, "bytes": count.bytes });
        let mut found = json!({
            "file": self.name,
            "container": self.container,
            "bytes": self.size,
            "duration": self.duration().seconds(),
            "bitrate": bitrate(self.size, self.duration()),
            "tracks": self.tracks.iter().map(Track::to_json).collect::<Vec<_>>(),
            "damage": self.drops.iter().map(drop).collect::<Vec<_>>(),
        });
        if let (Some(live), Some(found)) = (&self.live, found.as_object_mut()) {
            let object = |entries: &[(String, Value)]| entries.iter().cloned().collect::<serde_json::Map<_, _>>();
            found.shift_remove("file");
            found.shift_insert(0, "url".into(), self.name.clone().into());
            found.insert("live".into(), true.into());
            found.insert("server".into(), object(&live.server).into());
            found.insert("metadata".into(), object(&live.metadata).into());
        }
        found
    }
}

/// A heading with a line for each entry; nothing if there is none.
fn group(text: &mut String, heading: &str, entries: &[(String, Value)]) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(text, "{heading}:");
    for (name, value) in entries {
        let _ = match value {
            Value::String(value) => writeln!(text, "    {name}: {value}"),
            value => writeln!(text, "    {name}: {value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::prelude::BufferFlags;

    #[test]
    fn key_frame_distance_and_bit_rate_come_from_the_buffers() {
        let mut track = Track::new("video");
        track.take(&Item::Caps(Caps::new("video/x-h264")));
        for (ms, key) in [(1000, true), (1500, false), (3000, true), (4000, true)] {
            let flags = if key { BufferFlags::KEYFRAME } else { BufferFlags::empty() };
            let buffer = Buffer::new(vec![0; 500]).with_times(Some(Time::from_millis(ms)), None).with_flags(flags);
            track.take(&Item::buffer(buffer));
        }
        let json = track.to_json();
        assert_eq!((&json["start"], &json["duration"]), (&json!(1.0), &json!(3.0)));
        assert_eq!(json["key-frames"], json!({ "count": 3, "shortest-distance": 1.0, "longest-distance": 2.0 }));
        assert_eq!(json["bitrate"], json!(2000.0 * 8.0 / 3.0));
    }
}
