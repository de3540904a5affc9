//! What all benches share: settings, scratch space on tmpfs, alternating rounds.

use crate::measure::{self, Sample};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// How the benches run.
pub(crate) struct Settings {
    /// The millstream binary.
    pub(crate) ours: String,
    /// Folder for cached input and results.
    pub(crate) work: PathBuf,
    /// Folder of the foreign programs that are not installed system-wide.
    pub(crate) peers: PathBuf,
    /// The clip that the large input repeats.
    pub(crate) clip: Option<PathBuf>,
    /// Small input, few rounds.
    pub(crate) quick: bool,
    /// Alternating rounds of each bench.
    pub(crate) rounds: usize,
    /// Where inputs and outputs are while measuring.
    pub(crate) scratch: Scratch,
}

impl Settings {
    /// Full runs take 7 rounds, so that two of them may be disturbed and the median still stands in the middle of five.
    pub(crate) fn new(ours: &Path, work: &Path, peers: PathBuf, clip: Option<PathBuf>, quick: bool) -> Result<Self> {
        let rounds = if quick { 3 } else { 7 };
        let ours = ours.to_string_lossy().into_owned();
        Ok(Self { ours, work: work.to_owned(), peers, clip, quick, rounds, scratch: Scratch::new(work)? })
    }

    /// Where a command's stderr goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.work.join("stderr.txt")
    }
}

/// A folder on tmpfs where there is one, so that no disk is measured; emptied before use and removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    fn new(work: &Path) -> Result<Self> {
        let shm = Path::new("/dev/shm");
        let folder = if shm.is_dir() { shm.join("millstream-bench") } else { work.join("scratch") };
        let scratch = Self(folder);
        scratch.remove();
        std::fs::create_dir_all(&scratch.0).with_context(|| format!("cannot create {}", scratch.0.display()))?;
        Ok(scratch)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn remove(&self) {
        // Not there is as good as removed; anything else shows when it is created anew.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

/// One of the programs that are compared.
pub(crate) struct Contender {
    /// `millstream`, `ffmpeg`, `gstreamer` or `cp`.
    pub(crate) name: &'static str,
    /// The command, word by word.
    pub(crate) command: Vec<String>,
}

/// Splits a command template at blanks; paths come in through `words` (`{}` takes the next one), so they may hold blanks.
pub(crate) fn command(template: &str, words: &[&str]) -> Vec<String> {
    let mut words = words.iter();
    let mut fill = |word: &str| match word.split_once("{}") {
        Some((before, after)) => format!("{before}{}{after}", words.next().copied().unwrap_or_default()),
        None => word.to_owned(),
    };
    template.split_ascii_whitespace().map(&mut fill).collect()
}

/// Runs all contenders once a round, in turn; the samples of each, by round. `before` runs untimed before every run.
pub(crate) fn alternate(
    settings: &Settings,
    rounds: usize,
    contenders: &[Contender],
    mut before: impl FnMut() -> Result<()>,
) -> Result<Vec<Vec<Sample>>> {
    let mut samples = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            before()?;
            samples.push(measure::run(&contender.command, &settings.log())?);
        }
    }
    Ok(samples)
}

/// The middle value; the mean of the two middle ones for an even count, 0 for none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), middle.checked_sub(1).and_then(|below| values.get(below))) {
        (Some(high), Some(low)) if values.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (Some(value), _) => *value,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_odd_and_no_values() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn paths_with_blanks_stay_one_word() {
        let words = command("ffmpeg -i {} location={}/x", &["a b.flv", "out dir"]);
        assert_eq!(words, ["ffmpeg", "-i", "a b.flv", "location=out dir/x"]);
    }
}
