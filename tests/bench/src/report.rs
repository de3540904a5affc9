//! Results as a Markdown table and as JSON.

use crate::bench::median;
use crate::machine::Machine;
use crate::measure::Sample;
use serde::Serialize;
use std::fmt::{self, Write as _};

/// Everything that one run of the benches found.
#[derive(Serialize)]
pub(crate) struct Results {
    /// Where it ran and what was compared.
    pub(crate) machine: Machine,
    /// Ours against one peer each.
    pub(crate) rows: Vec<Row>,
    /// Peak memory of ours by input size.
    pub(crate) memory: Vec<Memory>,
    /// What servers take and give.
    pub(crate) figures: Vec<Figure>,
    /// Instructions that ours executed.
    pub(crate) instructions: Vec<Instructions>,
}

/// What the numbers of a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Nanoseconds for each buffer and element.
    NsPerBuffer,
    /// Milliseconds of the whole process.
    Milliseconds,
    /// Seconds of the whole process.
    Seconds,
}

/// Ours against one peer.
#[derive(Serialize)]
pub(crate) struct Row {
    /// The bench.
    pub(crate) bench: &'static str,
    /// The peer.
    pub(crate) peer: &'static str,
    /// Unit of all four costs.
    pub(crate) unit: Unit,
    /// Median cost of ours.
    pub(crate) ours: Cost,
    /// Median cost of the peer.
    pub(crate) theirs: Cost,
    /// Median over the rounds of peer / ours.
    pub(crate) ratio: Cost,
    /// Input bytes, where the bench is about throughput.
    pub(crate) bytes: Option<u64>,
    /// What both ratios are to reach.
    pub(crate) bar: Option<f64>,
    /// How many rounds the medians are over.
    pub(crate) rounds: usize,
}

/// A pair of CPU and wall time, in the row's unit or as ratios.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// Peak memory of ours on a small and on a large input.
#[derive(Serialize)]
pub(crate) struct Memory {
    /// The bench.
    pub(crate) bench: &'static str,
    /// Input bytes and peak bytes, smallest input first.
    pub(crate) peaks: Vec<(u64, u64)>,
    /// The peer's peak on the largest input.
    pub(crate) peer: u64,
    /// Bytes that no peak may pass.
    pub(crate) bar: u64,
}

/// One thing that was measured of servers.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// The bench.
    pub(crate) bench: &'static str,
    /// What was measured, and its unit; empty for a plain number.
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// Median of ours.
    pub(crate) ours: f64,
    /// The peer, empty for none.
    pub(crate) peer: &'static str,
    /// Median of the peer.
    pub(crate) theirs: Option<f64>,
    /// Median over the rounds of ours / peer.
    pub(crate) ratio: Option<f64>,
    /// What is to hold.
    pub(crate) bar: Option<Bar>,
    /// How many rounds the medians are over.
    pub(crate) rounds: usize,
}

/// What is to hold of a figure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bar {
    /// Of ours itself.
    AtMost(f64),
    AtLeast(f64),
    /// Of ours / peer.
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

impl Figure {
    fn holds(&self) -> &'static str {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        let holds = match self.bar {
            None => return "",
            Some(Bar::AtMost(most)) => self.ours <= most,
            Some(Bar::AtLeast(least)) => self.ours >= least,
            Some(Bar::RatioAtMost(most)) => ratio <= most,
            Some(Bar::RatioAtLeast(least)) => ratio >= least,
        };
        if holds { "yes" } else { "NO" }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bar) => write!(f, "at most {bar}"),
            Self::AtLeast(bar) => write!(f, "at least {bar}"),
            Self::RatioAtMost(bar) => write!(f, "ratio at most {bar}"),
            Self::RatioAtLeast(bar) => write!(f, "ratio at least {bar}"),
        }
    }
}

/// Instructions that ours executed, which repeat from run to run where time does not.
#[derive(Serialize)]
pub(crate) struct Instructions {
    /// The bench.
    pub(crate) bench: &'static str,
    /// What `count` is for: `process`, `buffer` or `input byte`.
    pub(crate) per: &'static str,
    /// How many.
    pub(crate) count: f64,
    /// The count of the run before, if there was one.
    pub(crate) before: Option<f64>,
}

impl Row {
    /// Makes a row of paired rounds. `scale` turns seconds into the unit.
    pub(crate) fn new(bench: &'static str, peer: &'static str, unit: Unit, ours: &[Sample], theirs: &[Sample]) -> Self {
        let scale = match unit {
            Unit::Seconds => 1.0,
            Unit::Milliseconds => 1e3,
            Unit::NsPerBuffer => 1e9,
        };
        let middle = |samples: &[Sample]| Cost {
            cpu: median(samples.iter().map(|sample| sample.cpu * scale)),
            wall: median(samples.iter().map(|sample| sample.wall * scale)),
        };
        let pairs = || ours.iter().zip(theirs);
        let ratio = Cost {
            cpu: median(pairs().map(|(ours, theirs)| theirs.cpu / ours.cpu)),
            wall: median(pairs().map(|(ours, theirs)| theirs.wall / ours.wall)),
        };
        let (costs, their_costs) = (middle(ours), middle(theirs));
        Self {
            bench,
            peer,
            unit,
            ours: costs,
            theirs: their_costs,
            ratio,
            bytes: None,
            bar: None,
            rounds: pairs().count(),
        }
    }

    fn holds(&self) -> &'static str {
        match self.bar {
            None => "",
            Some(bar) if self.ratio.cpu >= bar && self.ratio.wall >= bar => "yes",
            Some(_) => "NO",
        }
    }

    fn shown(&self, seconds: f64) -> String {
        match (self.unit, self.bytes) {
            (Unit::NsPerBuffer, _) => format!("{seconds:.1} ns"),
            (Unit::Milliseconds, _) => format!("{seconds:.1} ms"),
            (Unit::Seconds, None) => format!("{seconds:.2} s"),
            (Unit::Seconds, Some(bytes)) => format!("{seconds:.2} s ({:.0} MB/s)", bytes as f64 / 1e6 / seconds),
        }
    }
}

/// The tables, for a person.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = results.machine.markdown();
    if !results.rows.is_empty() {
        text.push_str("\nRatios are peer / ours, median of alternating rounds: above 1, ours is cheaper.\n\n");
        rows(&mut text, &results.rows);
    }
    if !results.memory.is_empty() {
        text.push_str("\nPeak memory:\n\n");
        memory(&mut text, &results.memory);
    }
    if !results.figures.is_empty() {
        text.push_str(
            "\nServers on one core, the load on another; ratios are ours / peer, median of alternating rounds.\n\n",
        );
        figures(&mut text, &results.figures);
    }
    if !results.instructions.is_empty() {
        text.push_str("\nInstructions (callgrind):\n\n");
        instructions(&mut text, &results.instructions);
    }
    text
}

// Writing to a String cannot fail, so the results of `writeln!` below are dropped.

fn rows(text: &mut String, rows: &[Row]) {
    text.push_str(
        "| bench | peer | ours CPU | peer CPU | ratio | ours wall | peer wall | ratio | bar | holds | rounds |\n",
    );
    text.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |\n");
    for row in rows {
        let [ours_cpu, their_cpu] = [row.ours.cpu, row.theirs.cpu].map(|value| row.shown(value));
        let [ours_wall, their_wall] = [row.ours.wall, row.theirs.wall].map(|value| row.shown(value));
        let bar = row.bar.map_or_else(String::new, |bar| format!("{bar}"));
        let _ = writeln!(
            text,
            "| {} | {} | {ours_cpu} | {their_cpu} | **{:.2}** | {ours_wall} | {their_wall} | **{:.2}** | {bar} | {} | {} |",
            row.bench,
            row.peer,
            row.ratio.cpu,
            row.ratio.wall,
            row.holds(),
            row.rounds
        );
    }
}

fn memory(text: &mut String, rows: &[Memory]) {
    text.push_str("| bench | input: peak | peer | bar | holds |\n| --- | --- | ---: | ---: | --- |\n");
    for row in rows {
        let peaks: Vec<String> =
            row.peaks.iter().map(|(input, peak)| format!("{} MB: {}", input / 1_000_000, mib(*peak))).collect();
        let holds = if row.peaks.iter().all(|(_, peak)| *peak <= row.bar) { "yes" } else { "NO" };
        let _ =
            writeln!(text, "| {} | {} | {} | {} | {holds} |", row.bench, peaks.join(", "), mib(row.peer), mib(row.bar));
    }
}

fn figures(text: &mut String, figures: &[Figure]) {
    text.push_str("| bench | what | ours | peer | | ratio | bar | holds | rounds |\n");
    text.push_str("| --- | --- | ---: | ---: | --- | ---: | --- | --- | ---: |\n");
    for figure in figures {
        let Figure { bench, what, unit, peer, rounds, .. } = figure;
        let shown = |value: f64| format!("{} {unit}", short(value)).trim_end().to_owned();
        let theirs = figure.theirs.map(shown).unwrap_or_default();
        let ratio = figure.ratio.map_or_else(String::new, |ratio| format!("**{ratio:.2}**"));
        let bar = figure.bar.map_or_else(String::new, |bar| bar.to_string());
        let (ours, holds) = (shown(figure.ours), figure.holds());
        let _ =
            writeln!(text, "| {bench} | {what} | {ours} | {theirs} | {peer} | {ratio} | {bar} | {holds} | {rounds} |");
    }
}

/// Three digits, more where they stand before the point.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn instructions(text: &mut String, rows: &[Instructions]) {
    text.push_str("| bench | instructions | per | change since the last run |\n| --- | ---: | --- | ---: |\n");
    for row in rows {
        let change =
            row.before.map_or_else(String::new, |before| format!("{:+.2} %", (row.count / before - 1.0) * 100.0));
        let _ = writeln!(text, "| {} | {} | {} | {change} |", row.bench, counted(row.count), row.per);
    }
}

fn counted(count: f64) -> String {
    if count < 1000.0 { format!("{count:.2}") } else { format!("{count:.0}") }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu: f64, wall: f64) -> Sample {
        Sample { wall, cpu, peak: 0 }
    }

    #[test]
    fn the_ratio_is_the_median_of_paired_rounds_not_the_ratio_of_medians() {
        let ours = [sample(1.0, 1.0), sample(10.0, 10.0), sample(2.0, 2.0)];
        let theirs = [sample(4.0, 4.0), sample(30.0, 30.0), sample(4.0, 4.0)];
        let row = Row::new("x", "y", Unit::Seconds, &ours, &theirs);
        assert_eq!(row.ratio.cpu, 3.0);
        assert_eq!(row.ours.cpu, 2.0);
    }

    #[test]
    fn bars_of_figures_are_of_ours_or_of_the_ratio() {
        let figure = |bar| Figure {
            bench: "x",
            what: "CPU".to_owned(),
            unit: "%",
            ours: 30.0,
            peer: "y",
            theirs: Some(60.0),
            ratio: Some(0.5),
            bar: Some(bar),
            rounds: 1,
        };
        let bars = [Bar::AtMost(30.0), Bar::AtLeast(30.1), Bar::RatioAtMost(0.49), Bar::RatioAtLeast(0.5)];
        assert_eq!(bars.map(|bar| figure(bar).holds()), ["yes", "NO", "NO", "yes"]);
        assert_eq!(Figure { ratio: None, ..figure(Bar::RatioAtMost(1.0)) }.holds(), "NO");
    }

    #[test]
    fn a_bar_holds_only_if_both_cpu_and_wall_reach_it() {
        let mut row = Row::new("x", "y", Unit::Seconds, &[sample(1.0, 1.0)], &[sample(2.0, 1.2)]);
        row.bar = Some(1.5);
        assert_eq!(row.holds(), "NO");
        row.bar = Some(1.1);
        assert_eq!(row.holds(), "yes");
    }
}
