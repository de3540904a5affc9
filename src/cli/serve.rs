//! Runs a template: an instance for each who comes, until a signal ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream::graph::{Loaded, Template};
use millstream::prelude::{Error, Message, MessageKind, Runtime, Time};
use millstream::runtime::{InstanceEvent, InstanceEvents, InstanceReport, Instances};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::addresses::{self, Addresses};
use super::job::{self, JobArgs, LAST_GRACE, Signals, Watch};
use super::progress::Mode;
use super::{Exit, Outcome, numbers, report, terminal};

/// Instances that a progress line names. Of more only the number is said; JSON has them all.
const MAX_NAMED: usize = 6;

/// Runs what was read: a pipeline to its end, a template until it is told to stop.
pub(crate) fn run_loaded(loaded: Loaded, args: &JobArgs, watch: Watch) -> Outcome {
    match loaded.template {
        Some(template) => run(&template, args, watch),
        None => job::run(loaded.graph, args, watch),
    }
}

fn run(template: &Template, args: &JobArgs, watch: Watch) -> Outcome {
    let talk = Talk::new(template.name(), args, watch);
    job::on_runtime(args, |runtime| start(runtime, template, talk))
}

fn start(runtime: &Runtime, template: &Template, mut talk: Talk) -> Outcome {
    // Signals and the waiting have a scheduler of their own, so that they are served whatever the instances do.
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = own.enter();
    let mut signals = Signals::new()?;
    let mut instances = match runtime.serve(template) {
        Ok(instances) => instances,
        Err(error) => {
            talk.failed(&error, None);
            return Ok(Exit::Failed);
        }
    };
    let Some(events) = instances.events() else { return Ok(Exit::Failed) };
    talk.waits(instances.address());
    own.block_on(attend(&mut instances, events, &mut signals, &mut talk));
    // Only what has ended can have failed: after a second interrupt nothing is waited for.
    if let Some(Err(error)) = own.block_on(async { tokio::time::timeout(LAST_GRACE, instances.wait()).await.ok() }) {
        talk.failed(&error, None);
        talk.summary();
        return Ok(Exit::Failed);
    }
    talk.summary();
    Ok(if talk.interrupted { Exit::Interrupted } else { Exit::Done })
}

async fn attend(instances: &mut Instances, mut events: InstanceEvents, signals: &mut Signals, talk: &mut Talk) {
    let mut ticks = talk.mode.interval().map(job::ticks);
    let (stopper, monitor) = (instances.stopper(), instances.monitor());
    let mut interrupts = 0;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => talk.event(&event),
                None => break,
            },
            () = signals.next() => {
                interrupts += 1;
                talk.interrupted = true;
                if interrupts > 1 {
                    stopper.cancel();
                } else {
                    talk.note("interrupted: finishing what is written; interrupt again to stop at once");
                    stopper.stop();
                }
            }
            () = job::next_tick(&mut ticks) => talk.progress(&monitor.list()),
            () = sleep(LAST_GRACE), if interrupts > 1 => break,
        }
    }
    instances.stopper().cancel();
}

/// Everything that is said while instances come and go.
struct Talk {
    template: String,
    mode: Mode,
    quiet: bool,
    messages: bool,
    started: Instant,
    /// Instances that ended, those of them that failed, and bytes that they carried.
    ended: (u64, u64, u64),
    /// When progress was last shown, and the bytes of each instance then.
    last: (Instant, BTreeMap<Arc<str>, u64>),
    interrupted: bool,
    addresses: Addresses,
    bar: Option<ProgressBar>,
}

impl Talk {
    fn new(template: &str, args: &JobArgs, watch: Watch) -> Self {
        let now = Instant::now();
        Self {
            template: template.to_owned(),
            mode: args.mode(),
            quiet: args.quiet,
            messages: watch.messages,
            started: now,
            ended: (0, 0, 0),
            last: (now, BTreeMap::new()),
            interrupted: false,
            addresses: Addresses::default(),
            bar: None,
        }
    }

    fn say(&self, text: &str) {
        let say = || terminal::say(&format!("{text}\n"));
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn json(&self, value: &Value) {
        terminal::say(&format!("{value}\n"));
    }

    fn note(&self, text: &str) {
        match self.mode {
            Mode::Json => self.json(&json!({ "event": "note", "message": text })),
            _ if self.quiet => {}
            _ => self.say(text),
        }
    }

    fn waits(&self, address: Option<&str>) {
        match (self.mode, address) {
            (Mode::Json, Some(url)) => self.json(&json!({ "event": "address", "for": "publishers", "url": url })),
            (_, Some(url)) => {
                self.note(&format!("publish to  {url}   each stream starts an instance of {}", self.template))
            }
            (_, None) => self.note(&format!("{} waits; each who comes starts an instance of it", self.template)),
        }
    }

    /// Where an instance is played. Where it is published is said already.
    fn address(&mut self, instance: &str, fields: &[(&'static str, String)]) {
        let [(_, guests), (_, url)] = fields else { return };
        if self.mode == Mode::Json {
            return self.json(&json!({ "event": "address", "instance": instance, "for": guests, "url": url }));
        }
        for line in self.addresses.lines(guests, url).iter().filter(|_| guests != "publishers") {
            self.note(&format!("{instance}: {line}"));
        }
    }

    fn event(&mut self, event: &InstanceEvent) {
        match event {
            InstanceEvent::Started { instance } => match self.mode {
                Mode::Json => self.json(&json!({ "event": "started", "instance": **instance })),
                _ => self.note(&format!("{instance}: started")),
            },
            InstanceEvent::Message { instance, message } => self.message(instance, message),
            InstanceEvent::Ended { instance, error, report } => self.ended(instance, error.as_deref(), report),
        }
    }

    fn message(&mut self, instance: &str, message: &Message) {
        match &message.kind {
            MessageKind::Element { name: addresses::ADDRESS, fields } => self.address(instance, fields),
            // Who stops a job knows that what it talked to is gone.
            MessageKind::Warning(_) if self.interrupted => {}
            MessageKind::Warning(error) if self.mode == Mode::Json => {
                self.json(&named(job::problem("warning", error), instance));
            }
            MessageKind::Warning(error) if !self.quiet => {
                self.suspend(|| report::warning(&format!("{instance}: {error}"), error.hint_text()));
            }
            kind if self.messages => self.say(&format!("{instance}: {}: {}", message.element, job::describe(kind))),
            _ => {}
        }
    }

    fn ended(&mut self, instance: &str, error: Option<&Error>, report: &InstanceReport) {
        let carried = bytes(report);
        let (ended, failed, sum) = self.ended;
        self.ended = (ended + 1, failed + u64::from(error.is_some()), sum.saturating_add(carried));
        if let Some(error) = error {
            self.failed(error, Some(instance));
        }
        if self.mode == Mode::Json {
            return self.json(&json!({
                "event": "ended",
                "instance": instance,
                "position": position(report).seconds(),
                "bytes": carried,
                "drops": job::drops_json(&report.drops),
            }));
        }
        for (element, reasons) in &report.drops {
            for (reason, count) in reasons {
                let (times, size) = (numbers::count(count.times, "time"), numbers::bytes(count.bytes));
                self.note(&format!("{instance}: dropped in {element}: {reason}, {times}, {size}"));
            }
        }
        let (clock, size) = (numbers::clock(position(report) - Time::ZERO), numbers::bytes(carried));
        self.note(&format!("{instance}: ended at {clock}, {size}"));
    }

    fn failed(&self, error: &Error, instance: Option<&str>) {
        let name = instance.unwrap_or(&self.template);
        match self.mode {
            Mode::Json => self.json(&named(job::problem("error", error), name)),
            _ => self.suspend(|| report::error(&format!("{name}: {error}"), error.hint_text())),
        }
    }

    fn suspend(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn progress(&mut self, list: &[InstanceReport]) {
        let now = Instant::now();
        let carried: BTreeMap<Arc<str>, u64> = list.iter().map(|one| (one.name.clone(), bytes(one))).collect();
        let (then, before) = std::mem::replace(&mut self.last, (now, carried));
        let rates = Rates { before: &before, over: now - then };
        match self.mode {
            Mode::None => {}
            Mode::Json => self.json(&json!({
                "event": "progress",
                "wall": self.started.elapsed().as_secs_f64(),
                "instances": list.iter().map(|one| rates.json(one)).collect::<Vec<_>>(),
            })),
            Mode::Plain if list.is_empty() && before.is_empty() => {}
            Mode::Plain => terminal::say(&format!("{}\n", rates.line(list))),
            Mode::Bar => {
                let line = rates.line(list);
                let bar = self.bar.get_or_insert_with(spinner);
                bar.set_message(line);
                bar.tick();
            }
        }
    }

    fn summary(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let (ended, failed, carried) = self.ended;
        let wall = self.started.elapsed();
        match self.mode {
            Mode::None => {}
            Mode::Json => self.json(&json!({
                "event": "end", "instances": ended, "failed": failed, "bytes": carried, "wall": wall.as_secs_f64(),
            })),
            Mode::Bar | Mode::Plain => {
                let word = if self.interrupted { "interrupted" } else { "done" };
                let (instances, size) = (numbers::count(ended, "instance"), numbers::bytes(carried));
                self.say(&format!("{word} after {}: {instances}, {failed} failed, {size}", job::wall(wall)));
            }
        }
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

fn named(mut value: Value, instance: &str) -> Value {
    value["instance"] = instance.into();
    value
}

/// Media bytes of the busiest link.
fn bytes(report: &InstanceReport) -> u64 {
    report.links.iter().map(|link| link.bytes).max().unwrap_or_default()
}

/// How far the media have come.
fn position(report: &InstanceReport) -> Time {
    report.links.iter().filter_map(|link| link.last_pts).max().unwrap_or(Time::ZERO)
}

/// What instances carry a second.
struct Rates<'a> {
    before: &'a BTreeMap<Arc<str>, u64>,
    over: Duration,
}

impl Rates<'_> {
    fn of(&self, report: &InstanceReport) -> u64 {
        let more = bytes(report).saturating_sub(self.before.get(&report.name).copied().unwrap_or_default());
        (more as f64 / self.over.as_secs_f64().max(0.001)) as u64
    }

    /// `2 instances  612 kB/s  live-server/live/a 0:12.3 306 kB/s  live-server/live/b 0:02.0 306 kB/s`.
    fn line(&self, list: &[InstanceReport]) -> String {
        let sum = list.iter().map(|one| self.of(one)).sum();
        let mut line = format!("{}  {}/s", numbers::count(list.len() as u64, "instance"), numbers::bytes(sum));
        for one in list.iter().take(MAX_NAMED) {
            let (clock, rate) = (numbers::clock(position(one) - Time::ZERO), numbers::bytes(self.of(one)));
            line.push_str(&format!("  {} {clock} {rate}/s", one.name));
        }
        if list.len() > MAX_NAMED {
            line.push_str(&format!("  and {} more", list.len() - MAX_NAMED));
        }
        line
    }

    fn json(&self, report: &InstanceReport) -> Value {
        json!({
            "name": *report.name,
            "position": position(report).seconds(),
            "bytes": bytes(report),
            "bytes-per-second": self.of(report),
        })
    }
}

#[cfg(test)]
mod tests {
    use millstream::runtime::LinkReport;

    use super::*;

    fn report(name: &str, bytes: u64) -> InstanceReport {
        let link = LinkReport {
            from: "in.src".into(),
            to: "out.sink".into(),
            buffers: 1,
            bytes,
            last_pts: Some(Time::from_millis(12_300)),
            dropped: 0,
            level: 0,
            caps: None,
        };
        InstanceReport {
            name: name.into(),
            started: Time::ZERO,
            links: vec![link],
            drops: BTreeMap::new(),
            restarts: BTreeMap::new(),
        }
    }

    #[test]
    fn a_line_names_instances_and_what_each_carries() {
        let before = [("s/live/a".into(), 1_000_000)].into();
        let rates = Rates { before: &before, over: Duration::from_secs(2) };
        let list = [report("s/live/a", 3_000_000), report("s/live/b", 500_000)];
        assert_eq!(rates.line(&list), "2 instances  1.2 MB/s  s/live/a 0:12.3 1.0 MB/s  s/live/b 0:12.3 250.0 kB/s");
        let many: Vec<_> = (0..9).map(|n| report(&format!("s/live/{n}"), 0)).collect();
        assert!(rates.line(&many).ends_with("and 3 more"));
    }
}
