//! Where a job stands: a bar on a terminal, plain lines in a pipe, JSON lines for machines.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream::prelude::{MessageKind, TimeDelta};
use millstream::runtime::LinkReport;
use serde_json::{Value, json};

use super::outputs::Input;
use super::probe::Meter;
use super::{numbers, terminal};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A bar that is drawn over itself
    Bar,
    /// A line a second
    Plain,
    /// A JSON object a second, and all else as JSON lines too
    Json,
    /// Nothing
    None,
}

impl Mode {
    /// A bar on a terminal, lines elsewhere.
    pub(crate) fn auto() -> Self {
        if terminal::is_terminal() { Self::Bar } else { Self::Plain }
    }

    /// How often to show something.
    pub(crate) fn interval(self) -> Option<Duration> {
        match self {
            Self::Bar => Some(Duration::from_millis(100)),
            Self::Plain | Self::Json => Some(Duration::from_secs(1)),
            Self::None => None,
        }
    }
}

/// A reading of a job.
pub(crate) struct Reading {
    /// Since the start.
    pub(crate) wall: Duration,
    /// How far the media has come.
    pub(crate) position: TimeDelta,
    /// How long it is, if an element knows.
    pub(crate) duration: Option<TimeDelta>,
    /// Bytes read from files, or carried by the busiest link where no file is read.
    pub(crate) bytes: u64,
    /// Bytes of all input files.
    pub(crate) total: Option<u64>,
}

impl Reading {
    /// Media seconds a second.
    pub(crate) fn speed(&self) -> f64 {
        ratio(self.position.seconds(), self.wall.as_secs_f64())
    }

    /// Bytes a second.
    pub(crate) fn rate(&self) -> f64 {
        ratio(self.bytes as f64, self.wall.as_secs_f64())
    }

    /// Done so far, 0 to 1.
    fn fraction(&self) -> Option<f64> {
        let by_bytes = self.total.filter(|total| *total > 0).map(|total| ratio(self.bytes as f64, total as f64));
        let by_time = || self.duration.map(|d| ratio(self.position.seconds(), d.seconds()));
        // What has been read to its end may still wait to be played.
        by_bytes.filter(|f| *f < 1.0).or_else(by_time).or(by_bytes).map(|f| f.clamp(0.0, 1.0))
    }

    fn eta(&self) -> Option<Duration> {
        let done = self.fraction().filter(|f| *f > 0.001)?;
        Duration::try_from_secs_f64(self.wall.as_secs_f64() * (1.0 - done) / done).ok()
    }

    /// `0:12.3 / 1:00.0  20 %  12.3 x  45.6 MB/s  ETA 0:04.0`.
    fn line(&self) -> String {
        let mut text = numbers::clock(self.position);
        if let Some(duration) = self.duration {
            text.push_str(&format!(" / {}", numbers::clock(duration)));
        }
        if let Some(fraction) = self.fraction() {
            text.push_str(&format!("  {:.0} %", fraction * 100.0));
        }
        text.push_str(&format!("  {}  {}/s", numbers::factor(self.speed()), numbers::bytes(self.rate() as u64)));
        if let Some(eta) = self.eta() {
            text.push_str(&format!("  ETA {}", numbers::clock(eta.into())));
        }
        text
    }

    /// The same for machines; times in seconds, rates a second.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "event": "progress",
            "position": self.position.seconds(),
            "duration": self.duration.map(TimeDelta::seconds),
            "fraction": self.fraction(),
            "wall": self.wall.as_secs_f64(),
            "speed": self.speed(),
            "bytes": self.bytes,
            "total-bytes": self.total,
            "bytes-per-second": self.rate(),
            "eta": self.eta().map(|eta| eta.as_secs_f64()),
        })
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Follows a running job.
pub(crate) struct Progress {
    pub(crate) mode: Mode,
    started: Instant,
    inputs: Vec<Input>,
    meter: Meter,
    duration: Option<TimeDelta>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins now.
    pub(crate) fn new(mode: Mode, inputs: Vec<Input>, meter: Meter) -> Self {
        Self { mode, started: Instant::now(), inputs, meter, duration: None, bar: None }
    }

    /// Takes what an element says about the duration.
    pub(crate) fn hear(&mut self, message: &MessageKind) {
        if let MessageKind::Progress { duration: Some(duration), .. } = message
            // What begins again never comes to its end.
            && !self.inputs.iter().any(|input| input.repeats)
        {
            // Of several inputs side by side the longest counts.
            self.duration = self.duration.max(Some(*duration));
        }
    }

    /// Computes where the job stands.
    pub(crate) fn read(&self, links: &[LinkReport]) -> Reading {
        let read = |input: &Input| {
            let of_input = links.iter().filter(|link| link.from.starts_with(&input.prefix));
            of_input.map(|link| link.bytes).max().unwrap_or_default()
        };
        let bytes = match self.inputs.is_empty() {
            false => self.inputs.iter().map(read).sum(),
            true => links.iter().map(|link| link.bytes).max().unwrap_or_default(),
        };
        let sizes: Option<Vec<u64>> = self.inputs.iter().map(|input| input.size).collect();
        Reading {
            wall: self.started.elapsed(),
            position: self.meter.read(),
            duration: self.duration,
            bytes,
            total: sizes.filter(|sizes| !sizes.is_empty()).map(|sizes| sizes.iter().sum()),
        }
    }

    /// Shows where the job stands.
    pub(crate) fn show(&mut self, links: &[LinkReport]) {
        let reading = self.read(links);
        match self.mode {
            Mode::Bar => self.draw(&reading),
            Mode::Plain => terminal::say(&format!("{}\n", reading.line())),
            Mode::Json => terminal::say(&format!("{}\n", reading.to_json())),
            Mode::None => {}
        }
    }

    fn draw(&mut self, reading: &Reading) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = |text| ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar());
            match reading.fraction() {
                Some(_) => bar.with_style(style("[{bar:30}] {msg}").progress_chars("=> ")),
                None => bar.with_style(style("{spinner} {msg}")),
            }
        });
        if let Some(fraction) = reading.fraction() {
            bar.set_length(1000);
            bar.set_position((fraction * 1000.0) as u64);
        }
        bar.set_message(reading.line());
        bar.tick();
    }

    /// Says something without tearing the bar.
    pub(crate) fn suspend(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading {
            wall: Duration::from_secs(2),
            position: TimeDelta::from_secs(30),
            duration: Some(TimeDelta::from_secs(60)),
            bytes: 5_000_000,
            total: Some(20_000_000),
        }
    }

    #[test]
    fn a_line_says_position_speed_rate_and_eta() {
        assert_eq!(reading().line(), "0:30.0 / 1:00.0  25 %  15.0 x  2.5 MB/s  ETA 0:06.0");
        let unknown = Reading { duration: None, total: None, ..reading() };
        assert_eq!(unknown.line(), "0:30.0  15.0 x  2.5 MB/s");
        let paced = Reading { bytes: 20_000_000, ..reading() };
        assert_eq!(paced.line(), "0:30.0 / 1:00.0  50 %  15.0 x  10.0 MB/s  ETA 0:02.0", "read, and not yet played");
    }

    #[test]
    fn bytes_are_those_that_the_files_gave() {
        let link = |from: &str, bytes| LinkReport {
            from: from.into(),
            to: "x.sink".into(),
            buffers: 1,
            bytes,
            last_pts: None,
            dropped: 0,
            level: 0,
            caps: None,
        };
        let input = |prefix: &str, size| Input { prefix: prefix.into(), path: "a.flv".into(), size, repeats: false };
        let links = [link("in.src", 40), link("in2.src", 7), link("d.video", 99)];
        let read = |inputs| Progress::new(Mode::None, inputs, Meter::default()).read(&links);
        let two = read(vec![input("in.", Some(100)), input("in2.", Some(10))]);
        assert_eq!((two.bytes, two.total), (47, Some(110)));
        let pipe = read(vec![input("in.", None)]);
        assert_eq!((pipe.bytes, pipe.total), (40, None));
        assert_eq!(read(Vec::new()).bytes, 99, "without files the busiest link");
    }
}
