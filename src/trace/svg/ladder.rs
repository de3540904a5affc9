//! One conversation.

use std::collections::VecDeque;
use std::fmt::Write as _;

use millstream_core::trace::{Layer, Side, TraceEvent, TraceHead, TraceValue};
use millstream_core::{Time, TimeDelta};
use millstream_hls::playlist::date_time;

use super::super::{MAX_ROWS, words};
use super::{MARGIN, WIDTH, escaped};

/// Rows at the end of a ladder that has too many.
const LAST: usize = 50;
/// Where times end.
const TIME: u32 = 92;
/// The lines of life.
const CLIENT: u32 = 108;
const SERVER: u32 = 452;
/// Where fields begin.
const WHAT: u32 = 472;
/// Characters of a line of fields: 11 pixels of a fixed font are 6.62 wide.
const LINE: usize = 102;
/// Pixels of a row, and of each further line of fields.
const ROW: u32 = 27;
const MORE: u32 = 14;
/// A pause that is shown.
const PAUSE: TimeDelta = TimeDelta::from_secs(1);
const GAP: u32 = 20;

/// A row: something that was said, perhaps often.
struct Row {
    event: TraceEvent,
    times: u32,
}

pub(super) struct Ladder {
    id: u64,
    head: TraceHead,
    first: Vec<Row>,
    last: VecDeque<Row>,
    left_out: u64,
    ended: Option<Time>,
}

impl Ladder {
    pub(super) fn new(id: u64, head: TraceHead) -> Self {
        Self { id, head, first: Vec::new(), last: VecDeque::new(), left_out: 0, ended: None }
    }

    pub(super) fn end(&mut self, at: Time) {
        self.ended = Some(at);
    }

    pub(super) fn event(&mut self, event: TraceEvent) {
        if is_quiet(&event) && self.fold(&event) {
            return;
        }
        let row = Row { event, times: 1 };
        if self.first.len() < MAX_ROWS - LAST {
            self.first.push(row);
            return;
        }
        if self.last.len() >= LAST {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(row);
    }

    /// While nothing but media and acknowledgements comes, there is one row of each.
    fn fold(&mut self, event: &TraceEvent) -> bool {
        let rows = self.first.iter_mut().chain(&mut self.last).rev();
        let mut quiet = rows.take_while(|row| is_quiet(&row.event));
        let same = quiet.find(|row| row.event.from == event.from && row.event.name == event.name);
        same.map(|row| row.add(event)).is_some()
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.first.iter().chain(&self.last)
    }

    /// Draws it from `y` on; where it ends.
    pub(super) fn draw(&self, body: &mut String, y: u32) -> u32 {
        let mut y = self.heading(body, y + MARGIN);
        let mut before = self.head.at;
        for (place, row) in self.rows().enumerate() {
            if place == self.first.len() && self.left_out > 0 {
                y = gap(body, y, &format!("{} rows left out, beyond {MAX_ROWS}", self.left_out), "left m");
            } else if row.event.at - before >= PAUSE {
                let text = format!("{:.1} s later", (row.event.at - before).seconds());
                y = gap(body, y, &text, "small m");
            }
            y = row.draw(body, y, row.event.at - self.head.at);
            before = row.until();
        }
        self.foot(body, y)
    }

    fn heading(&self, body: &mut String, y: u32) -> u32 {
        let (id, protocol, wall) = (self.id, self.head.protocol, date_time::format(self.head.wall));
        let [client, server] = words::ends(&self.head).map(|end| escaped(&end));
        let title = y + 8;
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"{MARGIN}\" y=\"{title}\">{protocol} connection {id}</text>\
             <text class=\"small\" x=\"{WHAT}\" y=\"{title}\">{client} to {server}, {wall}</text>"
        );
        let (top, text, end) = (y + 20, y + 35, y + 42);
        for (x, name) in [(CLIENT, "client"), (SERVER, "server")] {
            let left = x - 40;
            let _ = writeln!(
                body,
                "<rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"80\" height=\"22\" rx=\"4\"/>\
                 <text class=\"end m\" x=\"{x}\" y=\"{text}\">{name}</text>"
            );
        }
        lives(body, end, end + 6, "");
        end + 6
    }

    fn foot(&self, body: &mut String, y: u32) -> u32 {
        let (text, state) = match self.ended {
            Some(at) => (at - self.head.at, "ended"),
            None => (self.rows().last().map(Row::until).unwrap_or(self.head.at) - self.head.at, "still going on"),
        };
        for x in [CLIENT, SERVER] {
            let (from, to) = (x - 14, x + 14);
            let _ = writeln!(body, "<path class=\"life\" d=\"M{from} {y}H{to}\"/>");
        }
        let middle = (CLIENT + SERVER) / 2;
        let _ = writeln!(
            body,
            "<text class=\"small m\" x=\"{middle}\" y=\"{}\">{state} after {:.3} s</text>",
            y + 16,
            text.seconds()
        );
        y + 24
    }
}

/// What says little beside what was said before.
fn is_quiet(event: &TraceEvent) -> bool {
    event.field("seconds").is_some()
        || matches!(&*event.name, "Acknowledgement" | "User Control PingRequest" | "User Control PingResponse")
}

impl Row {
    /// The same again: sums are added up, of others the newest counts.
    fn add(&mut self, event: &TraceEvent) {
        if event.layer != Layer::Media {
            self.times = self.times.saturating_add(1);
            self.event.fields.clone_from(&event.fields);
            return;
        }
        let until = event.at - self.event.at;
        for (name, value) in &event.fields {
            let place = self.event.fields.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value);
            match (place, value) {
                (Some(_), _) if name == "first timestamp" => {}
                (Some(own), _) if name == "last timestamp" => own.clone_from(value),
                (Some(TraceValue::Number(own)), TraceValue::Number(more)) if name == "seconds" => {
                    *own = until.seconds() + more;
                }
                (Some(TraceValue::Number(own)), TraceValue::Number(more)) => *own += more,
                (Some(_), _) => {}
                (None, _) => self.event.fields.push((name.clone(), value.clone())),
            }
        }
    }

    /// When what it tells was over.
    fn until(&self) -> Time {
        let seconds = self.event.number("seconds").filter(|_| self.event.layer == Layer::Media).unwrap_or_default();
        self.event.at + TimeDelta::from_nanos((seconds * 1e9) as i64)
    }

    fn draw(&self, body: &mut String, y: u32, at: TimeDelta) -> u32 {
        let mut details = words::details(&self.event);
        if self.times > 1 {
            let _ = write!(details, " ({} times, the last)", self.times);
        }
        let lines = wrapped(&details);
        let more = lines.len().saturating_sub(1) as u32;
        let (end, text, line) = (y + ROW + more * MORE, y + 14, y + 20);
        lives(body, y, end, "");
        let (seconds, layer) = (at.seconds(), self.event.layer.as_str());
        let (name, middle) = (escaped(&words::name(&self.event)), (CLIENT + SERVER) / 2);
        let _ = writeln!(
            body,
            "<text class=\"time r\" x=\"{TIME}\" y=\"{}\">{seconds:.3} s</text><text class=\"name\" x=\"{middle}\" y=\"{text}\">{name}</text>{}",
            line + 3,
            arrow(self.event.from, layer, line)
        );
        for (place, what) in lines.iter().enumerate() {
            let at = line + 3 + place as u32 * MORE;
            let _ = writeln!(body, "<text class=\"what\" x=\"{WHAT}\" y=\"{at}\">{}</text>", escaped(what));
        }
        end
    }
}

/// A line with a head; media is a band.
fn arrow(from: Side, layer: &str, y: u32) -> String {
    let (begin, end, back) = match from {
        Side::Client => (CLIENT + 2, SERVER - 2, SERVER - 11),
        Side::Server => (SERVER - 2, CLIENT + 2, CLIENT + 11),
    };
    let half = if layer == "media" { 6 } else { 4 };
    let (above, below) = (y - half, y + half);
    let body = match layer {
        "media" => format!("M{begin} {}H{back}v4H{begin}z", y - 2),
        _ => format!("M{begin} {y}H{back}"),
    };
    let head = format!("M{end} {y}L{back} {above}V{below}z");
    match layer {
        // Its line is dashed, its head is not.
        "connection" => format!("<path class=\"{layer}\" d=\"{body}\"/><path class=\"{layer} head\" d=\"{head}\"/>"),
        _ => format!("<path class=\"{layer}\" d=\"{body}{head}\"/>"),
    }
}

/// The two lines of life over some rows.
fn lives(body: &mut String, from: u32, to: u32, class: &str) {
    let _ = writeln!(body, "<path class=\"life{class}\" d=\"M{CLIENT} {from}V{to}M{SERVER} {from}V{to}\"/>");
}

/// A pause, or rows that are not there.
fn gap(body: &mut String, y: u32, text: &str, class: &str) -> u32 {
    lives(body, y, y + GAP, " gap");
    let (middle, line) = ((CLIENT + SERVER) / 2, y + 14);
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{middle}\" y=\"{line}\">{text}</text>");
    y + GAP
}

/// Breaks behind commas and spaces; words that are too long are cut.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last_mut().map(|line| line.chars().count()).unwrap_or_default();
        let fits = line + word.trim_end().chars().count() <= LINE;
        match lines.last_mut() {
            Some(last) if fits || last.is_empty() => last.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    let cut = |line: String| match line.char_indices().nth(LINE) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    };
    lines.into_iter().map(|line| cut(line.trim_end().to_owned())).filter(|line| !line.is_empty()).collect()
}

// The columns do not overlap.
const _: () = assert!(TIME < CLIENT && CLIENT < SERVER && SERVER < WHAT && WHAT < WIDTH);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_fields_take_several_lines() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= LINE), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim_end());
        assert_eq!(wrapped(&"x".repeat(500)).concat().chars().count(), LINE + 1);
        assert!(wrapped("").is_empty());
    }
}
