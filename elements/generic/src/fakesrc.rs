//! `fakesrc`: makes empty media.

use bytes::Bytes;
use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{
    BlockingSource, Buffer, BufferFlags, BuildCx, Caps, Element, Env, Error, Factory, Item, Output, PadId, PadTemplate,
    Produce, Result, Segment, StreamInfo, Time, TimeDelta,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::CapsSetting;

/// Most bytes in one buffer: more than a 4K key frame, and little enough to be made at start.
const MAX_SIZE: u64 = 64 << 20;

/// Settings of `fakesrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FakeSrcSettings {
    /// Number of buffers to make; -1 for no end.
    #[schemars(range(min = -1))]
    pub num_buffers: i64,
    /// How long a buffer is.
    #[serde(alias = "size-type")]
    pub sizetype: SizeType,
    /// Bytes in a buffer of sizetype `fixed`, and most bytes in one of sizetype `random`.
    #[schemars(extend("x-maximum" = "64MiB"))]
    pub sizemax: ByteSize,
    /// Fewest bytes in a buffer of sizetype `random`.
    #[schemars(extend("x-maximum" = "64MiB"))]
    pub sizemin: ByteSize,
    /// Bytes a second that timestamps follow; 0 for no timestamps.
    pub datarate: ByteSize,
    /// Time between two buffers, as timestamps and durations; instead of `datarate`.
    pub interval: DurationSetting,
    /// Every how many buffers one is a key frame; 0 for the first only.
    pub key_interval: u32,
    /// Send each buffer when its timestamp is due, and count as a live source.
    pub is_live: bool,
    /// Caps to announce; none without.
    pub caps: Option<CapsSetting>,
}

/// How long buffers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SizeType {
    /// No bytes.
    #[default]
    #[serde(alias = "1")]
    Empty,
    /// `sizemax` bytes.
    #[serde(alias = "2")]
    Fixed,
    /// From `sizemin` to `sizemax` bytes.
    #[serde(alias = "3")]
    Random,
}

impl Default for FakeSrcSettings {
    fn default() -> Self {
        Self {
            num_buffers: -1,
            sizetype: SizeType::Empty,
            sizemax: ByteSize(4096),
            sizemin: ByteSize(0),
            datarate: ByteSize(0),
            interval: DurationSetting(0),
            key_interval: 1,
            is_live: false,
            caps: None,
        }
    }
}

/// What is known of `fakesrc`.
pub fn factory() -> Factory {
    Factory::new("fakesrc", "Source", "Makes empty media, for tests and measurements", build)
        .pad(PadTemplate::src("src", "ANY"))
        .checked(check)
        .live(|settings: &FakeSrcSettings| settings.is_live)
        .details("All buffers share one block of zeros, so that a buffer costs next to nothing.")
        .example("fakesrc num-buffers=10 sizetype=fixed sizemax=1000 ! fakesink")
}

fn check(settings: &FakeSrcSettings) -> Result<()> {
    let (min, max) = (settings.sizemin.0, settings.sizemax.0);
    let property = if max > MAX_SIZE { "sizemax" } else { "sizemin" };
    if min > max || max > MAX_SIZE {
        return Err(Error::settings(format!("fakesrc cannot make buffers of {min} to {max} bytes"))
            .on_property(property)
            .hint("keep sizemin <= sizemax <= 64MiB"));
    }
    settings.caps.as_ref().map_or(Ok(()), |caps| caps.one().map(drop))
}

fn build(settings: FakeSrcSettings, cx: &BuildCx) -> Result<Element> {
    let caps = settings.caps.as_ref().map(CapsSetting::one).transpose()?;
    let zeros = match settings.sizetype {
        SizeType::Empty => Bytes::new(),
        _ => vec![0; settings.sizemax.0 as usize].into(),
    };
    Ok(Element::BlockingSource(Box::new(FakeSrc {
        settings,
        caps,
        zeros,
        env: cx.env.clone(),
        made: 0,
        offset: 0,
        start: None,
    })))
}

struct FakeSrc {
    settings: FakeSrcSettings,
    caps: Option<Caps>,
    zeros: Bytes,
    env: Env,
    made: u64,
    offset: u64,
    start: Option<Time>,
}

impl BlockingSource for FakeSrc {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        out.push(PadId::FIRST, Item::StreamStart(StreamInfo { id: "fake".to_owned(), language: None }.into()));
        if let Some(caps) = self.caps.take() {
            out.caps(PadId::FIRST, caps);
        }
        out.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into()));
        Ok(())
    }

    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        if u64::try_from(self.settings.num_buffers).is_ok_and(|wanted| self.made >= wanted) {
            return Ok(Produce::Eos);
        }
        if let Some(due) = self.due() {
            return Ok(Produce::At(due));
        }
        let buffer = self.buffer();
        out.buffer(PadId::FIRST, buffer);
        Ok(Produce::More)
    }
}

impl FakeSrc {
    /// When the next buffer is due, if that is later than now.
    fn due(&mut self) -> Option<Time> {
        if !self.settings.is_live {
            return None;
        }
        let now = self.env.clock.now();
        let start = *self.start.get_or_insert(now);
        let due = start + self.time()?.since(Time::ZERO);
        (due > now).then_some(due)
    }

    /// Timestamp of the next buffer.
    fn time(&self) -> Option<Time> {
        let made = i64::try_from(self.made).unwrap_or(i64::MAX);
        match self.settings.interval.as_nanos() {
            0 => self.time_at(self.offset),
            interval => Some(Time::from_nanos(interval.saturating_mul(made))),
        }
    }

    /// Timestamp of a byte by the data rate.
    fn time_at(&self, offset: u64) -> Option<Time> {
        let rate = self.settings.datarate.0;
        let nanos = (u128::from(offset) * 1_000_000_000).checked_div(u128::from(rate))?;
        Some(Time::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)))
    }

    #[inline]
    fn buffer(&mut self) -> Buffer {
        let mut buffer = Buffer::default();
        if !self.zeros.is_empty() {
            buffer.payload = self.zeros.slice(..self.size()).into();
        }
        let end = self.offset + buffer.payload.len() as u64;
        buffer.pts = self.time();
        buffer.dts = buffer.pts;
        buffer.duration = match self.settings.interval.as_nanos() {
            0 => self.time_at(end).zip(buffer.pts).map(|(end, start)| end.since(start)),
            interval => Some(TimeDelta::from_nanos(interval)),
        };
        buffer.offset = Some(self.offset);
        let key = self.made.checked_rem(self.settings.key_interval.into()).unwrap_or(self.made) == 0;
        buffer.flags.set(BufferFlags::KEYFRAME, key);
        (self.made, self.offset) = (self.made + 1, end);
        buffer
    }

    fn size(&self) -> usize {
        let (min, max) = (self.settings.sizemin.0 as usize, self.zeros.len());
        match self.settings.sizetype {
            SizeType::Random => min + (self.env.random() % (max - min + 1) as u64) as usize,
            _ => max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Clock;
    use millstream_testkit::{Harness, TestEnv};

    #[test]
    fn makes_as_many_buffers_as_asked() {
        let mut harness = Harness::new(&factory(), "num-buffers=3 sizetype=fixed sizemax=10 caps=\"a/b, c=1\"");
        harness.run().unwrap();
        harness.assert_contract();
        let names: Vec<_> = harness.items().map(|(_, item)| item.name()).collect();
        assert_eq!(names, ["stream-start", "caps", "segment", "buffer", "buffer", "buffer", "eos"]);
        let buffers = harness.take_buffers("src");
        assert_eq!(
            buffers.iter().map(|b| (b.payload.len(), b.offset)).collect::<Vec<_>>(),
            [(10, Some(0)), (10, Some(10)), (10, Some(20))]
        );
        assert_eq!(buffers[0].payload.slices()[0].as_ptr(), buffers[1].payload.slices()[0].as_ptr(), "shared");
        assert!(buffers.iter().all(|b| b.pts.is_none() && b.is_keyframe()));
    }

    #[test]
    fn a_live_source_keeps_the_data_rate() {
        let env = TestEnv::new();
        let factory = factory();
        let settings = "num-buffers=3 sizetype=fixed sizemax=500 datarate=1000 is-live=true";
        let mut harness = Harness::builder(&factory).env(&env).settings(settings).build().unwrap();
        harness.run().unwrap();
        let buffers = harness.take_buffers("src");
        assert_eq!(buffers[2].pts, Some(Time::from_millis(1000)));
        assert_eq!(buffers[2].duration, Some(TimeDelta::from_millis(500)));
        assert_eq!(env.clock.now(), Time::from_millis(1000), "the third was sent when it was due");
    }

    #[test]
    fn intervals_and_key_frames() {
        let mut harness = Harness::new(&factory(), "num-buffers=5 interval=40ms key-interval=2");
        harness.run().unwrap();
        let buffers = harness.take_buffers("src");
        assert_eq!(buffers[4].dts, Some(Time::from_millis(160)));
        assert_eq!(buffers.iter().map(Buffer::is_keyframe).collect::<Vec<_>>(), [true, false, true, false, true]);
        let mut harness = Harness::new(&factory(), "num-buffers=3 key-interval=0");
        harness.run().unwrap();
        assert_eq!(harness.take_buffers("src").iter().filter(|b| b.is_keyframe()).count(), 1);
    }

    #[test]
    fn random_sizes_stay_in_range() {
        let mut harness = Harness::new(&factory(), "num-buffers=200 sizetype=random sizemin=3 sizemax=6");
        harness.run().unwrap();
        let sizes: Vec<_> = harness.take_buffers("src").iter().map(|b| b.payload.len()).collect();
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&3), Some(&6)));
    }

    #[test]
    fn refuses_what_it_cannot_make() {
        let factory = factory();
        for (settings, word) in [("sizemin=2 sizemax=1", "sizemin"), ("caps=video/x-raw,width=[1,2]", "one media type")]
        {
            let error = Harness::builder(&factory).settings(settings).build().err().unwrap();
            assert!(error.hint_text().unwrap().contains(word), "{error}");
        }
    }
}
