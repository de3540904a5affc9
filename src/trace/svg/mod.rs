//! A ladder as a drawing.

mod ladder;

use std::collections::HashMap;
use std::fmt::Write as _;

use millstream_core::Time;
use millstream_core::trace::{Layer, TraceEvent, TraceHead};

use self::ladder::Ladder;
use super::MAX_LADDERS;

/// Pixels of the whole drawing from left to right.
const WIDTH: u32 = 1180;
/// Pixels between ladders and at the edges.
const MARGIN: u32 = 24;

/// Layers with their colours, dark enough to be read on white.
const COLOURS: [(Layer, &str); 6] = [
    (Layer::Handshake, "#8250df"),
    (Layer::Control, "#0969da"),
    (Layer::Command, "#1a7f37"),
    (Layer::Data, "#bf3989"),
    (Layer::Media, "#bc4c00"),
    (Layer::Connection, "#57606a"),
];

const STYLE: &str = "text{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2328}\
.title{font-size:15px;font-weight:600}.end{font-weight:600}.m{text-anchor:middle}.r{text-anchor:end}\
.name{text-anchor:middle;font-size:12.5px}.small,.time{fill:#57606a;font-size:11px}\
.what{font:11px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#424a53}\
.life{stroke:#8c959f;stroke-width:1.5;fill:none}.gap{stroke-dasharray:2 4}.box{fill:#f6f8fa;stroke:#8c959f}\
.band{fill:#f6f8fa}.left{fill:#9a6700;font-style:italic}";

/// All that is to be drawn.
#[derive(Default)]
pub(super) struct Drawing {
    ladders: Vec<Ladder>,
    places: HashMap<u64, usize>,
    /// Conversations beyond the limit.
    beyond: u64,
}

impl Drawing {
    pub(super) fn begin(&mut self, id: u64, head: TraceHead) {
        if self.ladders.len() >= MAX_LADDERS {
            self.beyond += 1;
            return;
        }
        self.places.insert(id, self.ladders.len());
        self.ladders.push(Ladder::new(id, head));
    }

    pub(super) fn event(&mut self, id: u64, event: TraceEvent) {
        if let Some(ladder) = self.places.get(&id).and_then(|place| self.ladders.get_mut(*place)) {
            ladder.event(event);
        }
    }

    pub(super) fn end(&mut self, id: u64, at: Time) {
        if let Some(ladder) = self.places.get(&id).and_then(|place| self.ladders.get_mut(*place)) {
            ladder.end(at);
        }
    }

    /// The drawing as it is now.
    pub(super) fn draw(&self) -> String {
        let mut body = String::new();
        let mut y = legend(&mut body);
        for ladder in &self.ladders {
            y = ladder.draw(&mut body, y);
        }
        if self.ladders.is_empty() {
            y += 16;
            let _ = writeln!(body, "<text x=\"{MARGIN}\" y=\"{y}\">Nobody has said anything.</text>");
        }
        if self.beyond > 0 {
            y += 16;
            let beyond = self.beyond;
            let text = format!("{beyond} further connections left out: {MAX_LADDERS} are the limit of a drawing");
            let _ = writeln!(body, "<text class=\"left\" x=\"{MARGIN}\" y=\"{y}\">{text}</text>");
        }
        let height = y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
             <style>{STYLE}{}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n",
            colours()
        )
    }
}

/// A class for each layer: lines have its colour, arrow heads are filled with it.
fn colours() -> String {
    let mut style = String::new();
    for (layer, colour) in COLOURS {
        let name = layer.as_str();
        let _ = write!(style, ".{name}{{stroke:{colour};fill:{colour};stroke-width:1.6}}");
    }
    style.push_str("path.media{stroke-width:1}.connection{stroke-dasharray:4 3}.head{stroke-dasharray:none}");
    style
}

/// What the colours mean; where what follows begins.
fn legend(body: &mut String) -> u32 {
    let y = MARGIN;
    let mut x = WIDTH - MARGIN - 6 * 96;
    for (layer, _) in COLOURS {
        let name = layer.as_str();
        let (to, text) = (x + 18, x + 24);
        let _ = writeln!(
            body,
            "<path class=\"{name}\" d=\"M{x} {y}H{to}\"/><text class=\"small\" x=\"{text}\" y=\"{}\">{name}</text>",
            y + 4
        );
        x += 96;
    }
    y + 4
}

/// Text between tags (XML 1.0, 2.2 and 2.4).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
