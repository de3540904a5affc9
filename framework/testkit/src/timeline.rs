//! What came out of an element or pipeline, in a form that two runs can be compared by.

use std::fmt;

use millstream_core::{Item, Time};

/// Items in the order in which they came, without their bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline(pub Vec<Entry>);

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name of the pad.
    pub pad: String,
    /// [`Item::name`].
    pub kind: &'static str,
    /// When to show it; the start of a gap.
    pub pts: Option<Time>,
    /// When to decode it.
    pub dts: Option<Time>,
    /// Media bytes.
    pub size: usize,
    /// True for a key frame.
    pub key: bool,
    /// What else there is to say, such as caps in their text form or flags.
    pub note: String,
}

/// Lines of agreement that a difference shows before it.
const CONTEXT: usize = 3;

impl Timeline {
    /// The timeline of items, each with the name of its pad.
    pub fn of<'a>(items: impl IntoIterator<Item = (&'a str, &'a Item)>) -> Self {
        Self(items.into_iter().map(|(pad, item)| Entry::of(pad, item)).collect())
    }

    /// The entries of one pad.
    pub fn pad(&self, pad: &str) -> Self {
        Self(self.0.iter().filter(|entry| entry.pad == pad).cloned().collect())
    }

    /// Buffers only.
    pub fn buffers(&self) -> Self {
        Self(self.0.iter().filter(|entry| entry.kind == "buffer").cloned().collect())
    }

    /// The first place where two timelines part, with a few lines before it; `None` when they are the same.
    pub fn diff(&self, other: &Self) -> Option<String> {
        let (a, b) = (self.lines(), other.lines());
        let at = (0..a.len().max(b.len())).find(|at| a.get(*at) != b.get(*at))?;
        let mut text = format!("timelines part at item {at}\n");
        for line in &a[at.saturating_sub(CONTEXT)..at] {
            text += &format!("  {line}\n");
        }
        for (sign, side) in [('-', &a), ('+', &b)] {
            text += &format!("{sign} {}\n", side.get(at).map_or("(end)", String::as_str));
        }
        Some(text)
    }

    fn lines(&self) -> Vec<String> {
        self.0.iter().map(Entry::to_string).collect()
    }
}

impl Entry {
    fn of(pad: &str, item: &Item) -> Self {
        let mut entry = Self {
            pad: pad.to_owned(),
            kind: item.name(),
            pts: None,
            dts: None,
            size: item.bytes(),
            key: false,
            note: String::new(),
        };
        match item {
            Item::Buffer(buffer) => {
                (entry.pts, entry.dts, entry.key) = (buffer.pts, buffer.dts, buffer.is_keyframe());
                entry.note = format!("{:?}", buffer.flags);
            }
            Item::Gap(gap) => entry.pts = Some(gap.start),
            Item::StreamStart(info) => entry.note.clone_from(&info.id),
            Item::Caps(caps) => entry.note = caps.to_string(),
            Item::Segment(s) => {
                entry.note = format!("{:?} start={} offset={} base={}", s.format, s.start, s.offset, s.base);
            }
            Item::Tags(tags) => entry.note = format!("{:?}", tags.0),
            Item::Custom(custom) => entry.note.clone_from(&custom.name),
            Item::Flush(epoch) => entry.note = epoch.to_string(),
            Item::Absent | Item::Eos => {}
        }
        entry
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pad, self.kind)?;
        for (name, time) in [("pts", self.pts), ("dts", self.dts)] {
            if let Some(time) = time {
                write!(f, " {name}={time}")?;
            }
        }
        if self.kind == "buffer" {
            write!(f, " size={}", self.size)?;
        }
        if !self.note.is_empty() && self.note != "none" {
            write!(f, " {}", self.note)?;
        }
        Ok(())
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::{Buffer, BufferFlags};

    #[test]
    fn the_first_difference_is_shown() {
        let item = |ms| {
            let time = Some(Time::from_millis(ms));
            Item::buffer(Buffer::new(vec![0; 3]).with_times(time, None).with_flags(BufferFlags::KEYFRAME))
        };
        let (a, b, c) = (item(0), item(40), item(41));
        let one = Timeline::of([("src", &a), ("src", &b)]);
        let other = Timeline::of([("src", &a), ("src", &c)]);
        assert_eq!(one.diff(&one), None);
        let expected = "timelines part at item 1\n  src buffer pts=0:00:00.000000000 size=3 keyframe\n\
            - src buffer pts=0:00:00.040000000 size=3 keyframe\n+ src buffer pts=0:00:00.041000000 size=3 keyframe\n";
        assert_eq!(one.diff(&other).as_deref(), Some(expected));
        assert!(one.diff(&Timeline::default()).unwrap().ends_with("+ (end)\n"));
    }
}
