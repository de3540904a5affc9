//! Numbers as people read them.

use millstream::prelude::TimeDelta;

/// `12.3 MB`: decimal units, as file managers and drive makers count.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"");
    while value >= 999.95 {
        let Some(larger) = units.next() else { break };
        value /= 1000.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// `1:02:03.4`; hours only where there are some.
pub(crate) fn clock(time: TimeDelta) -> String {
    let tenths = time.nanos().unsigned_abs().saturating_add(50_000_000) / 100_000_000;
    let sign = if time.nanos() < 0 { "-" } else { "" };
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{sign}{minutes}:{seconds:02}.{tenth}"),
        _ => format!("{sign}{hours}:{minutes:02}:{seconds:02}.{tenth}"),
    }
}

/// `0.98 x`, `12.3 x`, `1240 x`: three digits are enough.
pub(crate) fn factor(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2} x"),
        v if v < 100.0 => format!("{v:.1} x"),
        v => format!("{v:.0} x"),
    }
}

/// `640 kbit/s`, `4.2 Mbit/s`.
pub(crate) fn bitrate(bits_per_second: f64) -> String {
    match bits_per_second / 1000.0 {
        k if k < 1000.0 => format!("{k:.0} kbit/s"),
        k => format!("{:.1} Mbit/s", k / 1000.0),
    }
}

/// `1 file`, `3 files`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_digits_would_run_over() {
        let shown = [999, 1000, 999_949, 999_950, 450_000_000].map(bytes);
        assert_eq!(shown, ["999 bytes", "1.0 kB", "999.9 kB", "1.0 MB", "450.0 MB"]);
    }

    #[test]
    fn clock_rounds_once() {
        let shown = [0, 59_949, 59_950, 3_723_440].map(|ms| clock(TimeDelta::from_millis(ms)));
        assert_eq!(shown, ["0:00.0", "0:59.9", "1:00.0", "1:02:03.4"]);
        assert_eq!(clock(TimeDelta::from_millis(-1500)), "-0:01.5");
    }
}
