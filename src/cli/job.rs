//! Runs a graph with progress, messages and signals, and says at the end what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use millstream::graph::Graph;
use millstream::prelude::{Error, ErrorKind, Message, MessageKind, Runtime, Stopper};
use millstream::runtime::{Bus, DropCount, Monitor};
use millstream::trace::{TraceFile, TraceFormat};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::addresses::{self, Addresses};
use super::outputs::{Written, inputs, outputs};
use super::probe::Meter;
use super::progress::{Mode, Progress, Reading};
use super::{Exit, Outcome, numbers, probe, report, terminal};

/// Time for elements to return after a second interrupt; then the process ends without them.
pub(super) const LAST_GRACE: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(crate) struct JobArgs {
    /// How progress is shown on standard error [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_name = "MODE", value_enum)]
    progress: Option<Mode>,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "progress")]
    pub(super) quiet: bool,
    /// Write the conversations with RTMP peers as a ladder: .txt, .svg or .jsonl
    #[arg(long, value_name = "FILE", value_parser = trace_path)]
    trace_protocol: Option<PathBuf>,
}

/// A file whose name says how to write a trace.
fn trace_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    TraceFormat::of(&path).map(|_| path).map_err(|error| error.to_string())
}

impl JobArgs {
    pub(super) fn mode(&self) -> Mode {
        match self.quiet {
            true => Mode::None,
            false => self.progress.unwrap_or_else(Mode::auto),
        }
    }
}

/// What else is to be told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Watch {
    /// Caps on each link.
    pub(crate) caps: bool,
    /// Tags.
    pub(crate) tags: bool,
    /// Messages of the bus.
    pub(crate) messages: bool,
}

/// Runs a graph to its end.
pub(crate) fn run(mut graph: Graph, args: &JobArgs, watch: Watch) -> Outcome {
    let written = outputs(&graph);
    let inputs = inputs(&graph);
    let meter = match args.mode() {
        Mode::None => Meter::default(),
        _ => probe::meter(&mut graph),
    };
    if watch.caps || watch.tags {
        probe::watch(&mut graph, watch);
    }
    let progress = Progress::new(args.mode(), inputs, meter);
    let clean_stdout = written.iter().any(Written::is_stdout);
    let talk =
        Talk { progress, watch, quiet: args.quiet, clean_stdout, addresses: Addresses::default(), interrupted: false };
    on_runtime(args, |runtime| start(runtime, &graph, talk, &written))
}

/// Runs a job on a runtime of its own, with the trace that was asked for.
pub(super) fn on_runtime(args: &JobArgs, job: impl FnOnce(&Runtime) -> Outcome) -> Outcome {
    let trace = match args.trace_protocol.as_deref().map(TraceFile::create).transpose() {
        Ok(trace) => trace.map(Arc::new),
        Err(error) => {
            report::error(&error.to_string(), None);
            return Ok(Exit::Usage);
        }
    };
    let mut runtime = Runtime::new()?;
    if let Some(trace) = &trace {
        runtime = runtime.with_trace(trace.clone());
    }
    let exit = job(&runtime);
    // Dropping it would wait for threads that do not return.
    runtime.shut_down();
    if let (Some(trace), Some(path)) = (trace, &args.trace_protocol) {
        finish_trace(&trace, path, args.quiet);
    }
    exit
}

/// The job is over, and its connections are about to be closed.
fn finish_trace(trace: &TraceFile, path: &Path, quiet: bool) {
    trace.wait_for_end(LAST_GRACE);
    let path = path.display();
    match trace.finish() {
        Err(error) => report::error(&format!("the trace {path} is not whole: {error}"), None),
        Ok(()) if quiet => {}
        Ok(()) if trace.conversations() == 0 => {
            let hint = "elements such as rtmpsrc, rtmpsink, rtmpserversrc and rtmpserversink make them";
            report::warning(&format!("{path}: there were no connections to trace"), Some(hint));
        }
        Ok(()) => {}
    }
}

fn start(runtime: &Runtime, graph: &Graph, mut talk: Talk, written: &[Written]) -> Outcome {
    // Signals and the waiting have a scheduler of their own, so that they are served whatever the pipeline does.
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = own.enter();
    let signals = Signals::new()?;
    let mut pipeline = match runtime.start(graph) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            talk.failed(&error);
            return Ok(Exit::Failed);
        }
    };
    let monitor = pipeline.monitor();
    let stopper = pipeline.stopper();
    let mut bus = pipeline.bus();
    let attend = Attend { talk: &mut talk, monitor: &monitor, stopper, signals };
    let (result, interrupted) = own.block_on(attend.until_end(&mut pipeline, bus.as_mut()));
    let reading = talk.progress.read(&monitor.links());
    talk.progress.clear();
    let exit = match (&result, interrupted) {
        (_, true) => Exit::Interrupted,
        (Ok(()), false) => Exit::Done,
        (Err(_), false) => Exit::Failed,
    };
    // A connection that ends with the job is no failure of it.
    if let Err(error) = &result
        && !(interrupted && is_of_a_connection(error))
    {
        talk.failed(error);
    }
    talk.summary(exit, &reading, written, &pipeline.drops());
    Ok(exit)
}

fn is_of_a_connection(error: &Error) -> bool {
    use std::io::ErrorKind as Io;
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let lost = [Io::ConnectionRefused, Io::ConnectionReset, Io::ConnectionAborted, Io::BrokenPipe];
    error.kind() == ErrorKind::Peer || cause.is_some_and(|cause| lost.contains(&cause.kind()))
}

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Attends a running pipeline: its messages, the clock of the progress display, signals.
struct Attend<'a> {
    talk: &'a mut Talk,
    monitor: &'a Monitor,
    stopper: Stopper,
    signals: Signals,
}

impl Attend<'_> {
    /// The result, and whether a signal asked for the end.
    async fn until_end(
        mut self,
        pipeline: &mut millstream::runtime::Pipeline,
        mut bus: Option<&mut Bus>,
    ) -> (Result<(), Error>, bool) {
        let mut ticks = self.talk.progress.mode.interval().map(ticks);
        let mut interrupts = 0;
        let result = {
            let mut end = pin!(pipeline.wait());
            loop {
                tokio::select! {
                    result = &mut end => break result,
                    Some(message) = next_message(&mut bus) => self.talk.message(&message),
                    () = self.signals.next() => {
                        interrupts += 1;
                        self.interrupted(interrupts);
                    }
                    () = next_tick(&mut ticks) => self.talk.progress.show(&self.monitor.links()),
                    () = sleep(LAST_GRACE), if interrupts > 1 => break Ok(()),
                }
            }
        };
        while let Some(message) = bus.as_mut().and_then(|bus| bus.try_next()) {
            self.talk.message(&message);
        }
        (result, interrupts > 0)
    }

    fn interrupted(&mut self, times: u32) {
        if times > 1 {
            return self.stopper.cancel();
        }
        self.talk.interrupted = true;
        self.talk.note("interrupted: finishing what is written; interrupt again to stop at once");
        self.stopper.stop();
    }
}

pub(super) fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn next_message(bus: &mut Option<&mut Bus>) -> Option<Message> {
    match bus {
        Some(bus) => bus.next().await,
        None => None,
    }
}

pub(super) async fn next_tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

/// Everything that is said while a job runs and after it.
struct Talk {
    progress: Progress,
    watch: Watch,
    quiet: bool,
    clean_stdout: bool,
    addresses: Addresses,
    interrupted: bool,
}

impl Talk {
    fn is_json(&self) -> bool {
        self.progress.mode == Mode::Json
    }

    fn event(&self, value: &serde_json::Value) {
        terminal::say(&format!("{value}\n"));
    }

    fn note(&self, text: &str) {
        if self.is_json() {
            self.event(&json!({ "event": "note", "message": text }));
        } else if !self.quiet {
            self.progress.suspend(|| terminal::say(&format!("{text}\n")));
        }
    }

    /// Text that was asked for with `-v`, `-m` or `-t`: on standard output as gst-launch has it, unless media go there.
    fn tell(&self, text: &str) {
        self.progress.suspend(|| match self.clean_stdout {
            true => terminal::say(text),
            // A closed standard output ends nothing here: the job itself does not write to it.
            false => drop(terminal::print(text)),
        });
    }

    fn message(&mut self, message: &Message) {
        self.progress.hear(&message.kind);
        match &message.kind {
            MessageKind::Element { name: probe::CAPS, fields } => return self.probed(fields),
            MessageKind::Element { name: probe::TAGS, fields } => return self.probed(fields),
            MessageKind::Element { name: addresses::ADDRESS, fields } => self.address(fields),
            // Who stops a job knows that what it talked to and what it waited for is gone.
            MessageKind::Warning(_) if self.interrupted => {}
            MessageKind::Warning(error) => self.warning(error),
            _ => {}
        }
        if self.watch.messages {
            self.tell(&format!("{}: {}\n", message.element, describe(&message.kind)));
        }
    }

    fn address(&mut self, fields: &[(&'static str, String)]) {
        let [(_, guests), (_, url)] = fields else { return };
        if self.is_json() {
            return self.event(&json!({ "event": "address", "for": guests, "url": url }));
        }
        for line in self.addresses.lines(guests, url) {
            self.note(&line);
        }
    }

    fn probed(&self, fields: &[(&'static str, String)]) {
        if let [(_, from), (_, to), (name, text)] = fields {
            match *name {
                probe::CAPS => self.tell(&format!("{from} -> {to}: caps = {text}\n")),
                _ => self.tell(&format!("{from}: {name} = {text}\n")),
            }
        }
    }

    fn warning(&self, error: &Error) {
        if self.is_json() {
            self.event(&problem("warning", error));
        } else if !self.quiet {
            self.progress.suspend(|| report::warning(&error.to_string(), error.hint_text()));
        }
    }

    fn failed(&self, error: &Error) {
        match self.is_json() {
            true => self.event(&problem("error", error)),
            false => report::pipeline_error(error),
        }
    }

    fn summary(
        &self,
        exit: Exit,
        reading: &Reading,
        written: &[Written],
        drops: &BTreeMap<String, BTreeMap<&'static str, DropCount>>,
    ) {
        match self.progress.mode {
            Mode::None => {}
            Mode::Json => self.event(&json!({
                "event": "end",
                "exit": exit.code(),
                "position": reading.position.seconds(),
                "wall": reading.wall.as_secs_f64(),
                "speed": reading.speed(),
                "bytes": reading.bytes,
                "written": finished(exit, written).filter_map(Written::to_json).collect::<Vec<_>>(),
                "drops": drops_json(drops),
            })),
            Mode::Bar | Mode::Plain => terminal::say(&closing(exit, reading, written, drops)),
        }
    }
}

/// What a job has written. A job that did not come to its end may have left what an earlier one wrote.
fn finished(exit: Exit, written: &[Written]) -> impl Iterator<Item = &Written> {
    written.iter().filter(move |output| exit == Exit::Done || output.is_new())
}

/// The closing lines for people.
fn closing(
    exit: Exit,
    reading: &Reading,
    written: &[Written],
    drops: &BTreeMap<String, BTreeMap<&'static str, DropCount>>,
) -> String {
    let word = match exit {
        Exit::Done => "done",
        Exit::Interrupted => "interrupted",
        Exit::Failed | Exit::Usage => "failed",
    };
    let (took, rate) = (wall(reading.wall), numbers::bytes(reading.rate() as u64));
    let mut text = match reading.position.nanos() {
        // Streams without timestamps.
        0 => format!("{word} in {took} ({rate}/s)"),
        _ => {
            let (media, speed) = (numbers::clock(reading.position), numbers::factor(reading.speed()));
            format!("{word}: {media} of media in {took} ({speed}, {rate}/s)")
        }
    };
    let described: Vec<String> = finished(exit, written).filter_map(Written::describe).collect();
    if !described.is_empty() {
        text.push_str(&format!("; wrote {}", described.join(", ")));
    }
    text.push('\n');
    for (element, reasons) in drops {
        for (reason, count) in reasons {
            let (times, bytes) = (numbers::count(count.times, "time"), numbers::bytes(count.bytes));
            text.push_str(&format!("dropped in {element}: {reason}, {times}, {bytes}\n"));
        }
    }
    if exit == Exit::Done {
        for path in written.iter().filter_map(Written::playable) {
            text.push_str(&format!("look at it: ffplay {0}   (or mpv, vlc)\n", path.display()));
        }
    }
    text
}

/// Wall-clock time with the digits that matter.
pub(super) fn wall(wall: Duration) -> String {
    match wall.as_secs_f64() {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        _ => numbers::clock(wall.into()),
    }
}

pub(super) fn problem(event: &str, error: &Error) -> serde_json::Value {
    json!({
        "event": event,
        "kind": error.kind().name(),
        "element": error.element(),
        "message": error.to_string(),
        "offset": error.offset(),
        "hint": error.hint_text(),
    })
}

pub(super) fn drops_json(drops: &BTreeMap<String, BTreeMap<&'static str, DropCount>>) -> serde_json::Value {
    let one = |reason: &&'static str, count: &DropCount| {
        (reason.to_string(), json!({ "times": count.times, "bytes": count.bytes }))
    };
    let of = |reasons: &BTreeMap<&'static str, DropCount>| reasons.iter().map(|(r, c)| one(r, c)).collect();
    drops.iter().map(|(element, reasons)| (element.clone(), serde_json::Value::Object(of(reasons)))).collect()
}

/// A message of the bus in a line.
pub(super) fn describe(kind: &MessageKind) -> String {
    match kind {
        MessageKind::Warning(error) => format!("warning: {error}"),
        MessageKind::Error(error) => format!("error: {error}"),
        MessageKind::Dropped(d) => match d.offset {
            Some(offset) => format!("dropped {} bytes at {offset}: {}", d.bytes, d.reason),
            None => format!("dropped {} bytes: {}", d.bytes, d.reason),
        },
        MessageKind::Progress { position, duration } => match duration {
            Some(duration) => format!("progress: {position} of {duration}"),
            None => format!("progress: {position}"),
        },
        MessageKind::Restarting { error, wait, attempt } => format!("restarting in {wait}, attempt {attempt}: {error}"),
        MessageKind::Restarted { attempt } => format!("restarted, attempt {attempt}"),
        MessageKind::GaveUp { attempts } => format!("gave up after {attempts} restarts"),
        MessageKind::Stalled { idle } => format!("stalled: nothing moved for {idle}"),
        MessageKind::Recovered { after } => format!("recovered after {after}"),
        MessageKind::Latency(latency) => format!("latency is {latency}"),
        MessageKind::Eos => "eos".to_owned(),
        MessageKind::Element { name, fields } => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{name}: {}", fields.join(", "))
        }
    }
}
