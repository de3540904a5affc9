//! What a load found.

use serde::Serialize;
use std::collections::BTreeMap;

use crate::process::Usage;

/// What a load found.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Who was asked for, and who was there at the end.
    pub(crate) players: usize,
    pub(crate) publishers: usize,
    pub(crate) players_left: usize,
    pub(crate) publishers_left: usize,
    /// Seconds of the window.
    pub(crate) window: f64,
    /// Pictures sent within it, those that players had of them, and those that they missed; slow players left out.
    pub(crate) sent: u64,
    pub(crate) seen: u64,
    pub(crate) missed: u64,
    /// Every player that is not slow had at least 99 % of the pictures of its stream.
    pub(crate) sustained: bool,
    /// Milliseconds from a picture's stamp to its last byte at a player.
    pub(crate) latency: Quantiles,
    /// Milliseconds from opening the socket to the first key frame.
    pub(crate) key: Quantiles,
    /// Gbit/s that publishers sent within the window.
    pub(crate) sent_gbps: f64,
    /// What slow players missed, and how often one went on with a picture that it cannot show.
    pub(crate) slow_lost: u64,
    pub(crate) slow_broken: u64,
    /// Percent of a core.
    pub(crate) client_cpu: f64,
    pub(crate) server_cpu: f64,
    /// What everybody else on the machine used.
    pub(crate) other_cpu: f64,
    /// Bytes of the server: before anybody came, with the publishers, at both ends of the window.
    pub(crate) memory: Memory,
    /// Why clients went away, and how many.
    pub(crate) errors: BTreeMap<String, usize>,
}

/// A look at who uses what: seconds since the start of each.
pub(crate) struct Look {
    pub(crate) server: Usage,
    pub(crate) client: f64,
    pub(crate) machine: f64,
}

/// Resident bytes of the server at four moments.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    pub(crate) empty: u64,
    pub(crate) published: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Report {
    /// Enters what two looks at the server and at ourselves say of the window between them.
    pub(crate) fn enter_usage(&mut self, [before, after]: &[Look; 2], wall: f64) {
        let percent = |before: f64, after: f64| 100.0 * (after - before) / wall;
        self.window = wall;
        self.server_cpu = percent(before.server.cpu, after.server.cpu);
        self.client_cpu = percent(before.client, after.client);
        self.other_cpu = (percent(before.machine, after.machine) - self.server_cpu - self.client_cpu).max(0.0);
        (self.memory.begin, self.memory.end) = (before.server.resident, after.server.resident);
    }

    /// The most important of it in a line.
    pub(crate) fn line(&self) -> String {
        let Self { server_cpu, client_cpu, other_cpu, latency, key, sent_gbps, missed, memory, .. } = self;
        let mib = memory.end as f64 / 1_048_576.0;
        let mut line = format!(
            "CPU {server_cpu:.1} % (client {client_cpu:.0} %, others {other_cpu:.0} %), latency {:.1} / {:.1} ms, \
             key frame {:.1} ms, {sent_gbps:.3} Gbit/s in, {mib:.1} MiB, {missed} pictures missed",
            latency.p50, latency.p99, key.p50
        );
        if self.slow_lost + self.slow_broken > 0 {
            line.push_str(&format!(", slow player: {} lost, {} broken", self.slow_lost, self.slow_broken));
        }
        if !self.errors.is_empty() {
            line.push_str(&format!(", {:?}", self.errors));
        }
        line
    }
}

/// How values are spread.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    /// Of values in thousandths of the unit.
    pub(crate) fn of_thousandths(mut values: Vec<u32>) -> Self {
        values.sort_unstable();
        let last = values.len().saturating_sub(1);
        let at = |part: f64| {
            let place = (last as f64 * part).round() as usize;
            values.get(place).map_or(0.0, |value| f64::from(*value) / 1000.0)
        };
        Self { count: values.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let quantiles = Quantiles::of_thousandths((0..=100).rev().map(|n| n * 1000).collect());
        assert_eq!([quantiles.p50, quantiles.p90, quantiles.p99, quantiles.max], [50.0, 90.0, 99.0, 100.0]);
        assert_eq!(Quantiles::of_thousandths(Vec::new()).max, 0.0);
    }
}
