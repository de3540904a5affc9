//! A ladder in text: a line for everything that is said.
//!
//! ```text
//! #1  client 127.0.0.1:54210                    server (here)     RTMP, 2026-07-03T09:12:44.120Z
//! #1     0.000  │─ C0 ─────────────────────────────────▶│  version=3
//! #1     0.001  │◀───────── Window Acknowledgement Size ─│  window size=2500000
//! ```

use millstream_core::TimeDelta;
use millstream_core::trace::{Layer, Side, TraceEvent, TraceHead};
use millstream_hls::playlist::date_time;

use super::words;

/// Characters between the two lines of the ladder: the longest names of the standard, and an arrow on either side.
const WIDTH: usize = 46;
/// Characters of a name.
const MAX_NAME: usize = WIDTH - 5;

pub(super) fn head(id: u64, head: &TraceHead) -> String {
    let [client, server] = words::ends(head);
    let room = WIDTH + 2;
    format!("#{id:<3}           {client:<room$}{server}   {}, {}\n", head.protocol, date_time::format(head.wall))
}

pub(super) fn event(id: u64, at: TimeDelta, event: &TraceEvent) -> String {
    let line = format!("#{id:<3} {:>8.3}  │{}│  {}", at.seconds(), arrow(event), words::details(event));
    format!("{}\n", line.trim_end())
}

/// The name on an arrow in the direction of what was said; media on a double one.
fn arrow(event: &TraceEvent) -> String {
    let name: String = words::name(event).chars().take(MAX_NAME).collect();
    let line = if event.layer == Layer::Media { "═" } else { "─" };
    let rest = line.repeat(WIDTH.saturating_sub(name.chars().count() + 4));
    match event.from {
        Side::Client => format!("{line} {name} {rest}▶"),
        Side::Server => format!("◀{rest} {name} {line}"),
    }
}

pub(super) fn end(id: u64, at: TimeDelta, left_out: u64) -> String {
    let beyond = match left_out {
        0 => String::new(),
        n => format!("; {n} lines left out, beyond {} a connection", super::MAX_LINES),
    };
    format!("#{id:<3} {:>8.3}  end{beyond}\n", at.seconds())
}

pub(super) fn left_out(lines: u64) -> String {
    let (each, all) = (super::MAX_LINES, super::MAX_BYTES >> 20);
    format!("{lines} lines left out: {each} a connection and {all} MiB a file are the limits\n")
}
