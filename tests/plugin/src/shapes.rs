//! An element of each shape.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_plugin_sdk::prelude::*;

/// Items that a worker may have at a time.
const ROOM: usize = 4;

/// What a thread has done, and for which stretch between flushes.
type Shelf = Arc<Mutex<VecDeque<Work>>>;

type Work = (u64, PadId, Item);

/// Settings of elements that panic where they are told to: the name of a call.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct PanicSettings {
    /// Panic in this call.
    pub(crate) panics: String,
}

/// Panics in each call of its shape that it is told to.
struct Panics(PanicSettings);

impl Panics {
    fn at(&self, call: &str) -> Result<()> {
        assert!(self.0.panics != call, "in {call}, as it was told");
        Ok(())
    }
}

impl Aggregate for Panics {
    fn start(&mut self, _: &mut Output) -> Result<()> {
        self.at("start")
    }

    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        self.at("step")?;
        while let Some(item) = inbox.pop(PadId::FIRST) {
            out.push(PadId::FIRST, item);
        }
        if inbox.is_done() {
            out.forward(Item::Eos);
            return Ok(Need::Done);
        }
        Ok(Need::Pads(inbox.open()))
    }

    fn flush(&mut self, _: &mut Output) -> Result<()> {
        self.at("flush")
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        self.at("request")?;
        out.request_all(&request);
        Ok(())
    }
}

impl BlockingSource for Panics {
    fn start(&mut self, _: &mut Output) -> Result<()> {
        self.at("start")
    }

    fn produce(&mut self, _: &mut Output) -> Result<Produce> {
        self.at("produce")?;
        Ok(Produce::Idle)
    }

    fn request(&mut self, _: PadId, _: Request, _: &mut Output) -> Result<()> {
        self.at("request")
    }

    fn drain(&mut self, _: &mut Output) -> Result<()> {
        self.at("drain")
    }
}

impl BlockingSink for Panics {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        if self.0.panics == "wake" {
            out.wake_at(out.now());
        }
        self.at("start")
    }

    fn handle(&mut self, _: PadId, item: Item, _: &mut Output) -> Result<()> {
        self.at(if matches!(item, Item::Buffer(_)) { "buffer" } else { "event" })
    }

    fn wake(&mut self, _: Time, _: &mut Output) -> Result<()> {
        self.at("wake")
    }
}

/// What is known of `testpanicmux`, `testpanicsrc` and `testpanicsink`.
pub(crate) fn panics() -> [Factory; 3] {
    let about = "Panics where it is told to";
    [
        Factory::new("testpanicmux", "Test", about, |settings, _: &BuildCx| Ok(Element::aggregate(Panics(settings))))
            .pad(PadTemplate::sink("sink", "ANY"))
            .pad(PadTemplate::src("src", "ANY")),
        Factory::new("testpanicsrc", "Test", about, |settings, _: &BuildCx| Ok(Element::source(Panics(settings))))
            .pad(PadTemplate::src("src", "ANY")),
        Factory::new("testpanicsink", "Test", about, |settings, _: &BuildCx| Ok(Element::sink(Panics(settings))))
            .pad(PadTemplate::sink("sink", "ANY")),
    ]
}

/// `testworker`: what comes on `sink_N` goes through a thread of its own and out on `src_N`.
struct Worker {
    to_thread: Option<Sender<Work>>,
    thread: Option<std::thread::JoinHandle<()>>,
    shelf: Shelf,
    under_way: usize,
    ended: PadSet,
    pads: u16,
    /// Counts flushes: what the thread still has of earlier stretches is void.
    stretch: u64,
}

impl Worker {
    fn new(cx: &BuildCx) -> Self {
        let (to_thread, work) = channel::<Work>();
        let (shelf, host) = (Shelf::default(), cx.host.clone());
        let done = shelf.clone();
        let thread = std::thread::spawn(move || {
            for item in work {
                done.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
                host.wake();
            }
        });
        let pads = cx.sinks.len() as u16;
        Self {
            to_thread: Some(to_thread),
            thread: Some(thread),
            shelf,
            under_way: 0,
            ended: PadSet::empty(),
            pads,
            stretch: 0,
        }
    }

    fn give(&mut self, pad: PadId, item: Item) {
        self.under_way += 1;
        if let Some(thread) = &self.to_thread {
            let _ = thread.send((self.stretch, pad, item));
        }
    }
}

impl Aggregate for Worker {
    fn step(&mut self, inbox: &mut Inbox, _: Time, out: &mut Output) -> Result<Need> {
        let done: Vec<_> = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        let current = done.into_iter().filter(|(stretch, ..)| *stretch == self.stretch);
        for (_, pad, item) in current {
            self.under_way -= 1;
            out.push(pad, item);
        }
        let pads: Vec<PadId> = (0..self.pads).map(PadId).collect();
        for &pad in &pads {
            while self.under_way < ROOM
                && let Some(item) = inbox.pop(pad)
            {
                self.give(pad, item);
            }
            if inbox.state(pad) == PadState::Eos && inbox.is_empty(pad) && !self.ended.contains(pad) {
                self.ended.insert(pad);
                self.give(pad, Item::Eos);
            }
        }
        if inbox.is_done() && self.under_way == 0 {
            return Ok(Need::Done);
        }
        Ok(Need::Wake(if self.under_way < ROOM { inbox.open() } else { PadSet::empty() }))
    }

    fn flush(&mut self, _: &mut Output) -> Result<()> {
        (self.stretch, self.under_way, self.ended) = (self.stretch + 1, 0, PadSet::empty());
        Ok(())
    }

    fn stop(&mut self) {
        self.to_thread = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is known of `testworker`.
pub(crate) fn worker() -> Factory {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct None {}
    Factory::new("testworker", "Test", "Gives everything to a thread and back", |_: None, cx: &BuildCx| {
        if cx.sinks.len() != cx.srcs.len() {
            return Err(Error::settings("as many source pads as sink pads have to be linked"));
        }
        Ok(Element::aggregate(Worker::new(cx)))
    })
    .pad(PadTemplate::sink("sink_%u", "ANY").request())
    .pad(PadTemplate::src("src_%u", "ANY").request())
    .burns_compute()
}

/// Settings of `testsrc`.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct SrcSettings {
    /// Buffers to make; then it waits, until it is interrupted.
    pub(crate) num_buffers: u64,
    /// End after them.
    pub(crate) ends: bool,
    /// Wait so long before each, in milliseconds.
    pub(crate) wait: u64,
    /// Never return when it waits, whoever interrupts.
    pub(crate) stubborn: bool,
    /// Send the end itself before it, twice, and a buffer behind it: it must not.
    pub(crate) says_end: bool,
    /// Say something from a thread of its own while it waits, then fail there.
    pub(crate) fails_elsewhere: bool,
}

struct Src {
    settings: SrcSettings,
    host: Host,
    cancel: CancelToken,
    made: u64,
}

impl BlockingSource for Src {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        if self.settings.fails_elsewhere {
            let host = self.host.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                host.post(&Message::Element("elsewhere".to_owned(), Vec::new()));
                host.fail(&Error::new(ErrorKind::Io, "the device is gone"));
            });
        }
        out.push(PadId::FIRST, Item::StreamStart(Arc::default()));
        out.caps(PadId::FIRST, Caps::new("application/octet-stream"));
        out.push(PadId::FIRST, Item::Segment(Arc::new(Segment::time(Time::ZERO))));
        Ok(())
    }

    fn produce(&mut self, out: &mut Output) -> Result<Produce> {
        if self.made == self.settings.num_buffers {
            if self.settings.says_end {
                out.push(PadId::FIRST, Item::Eos);
                out.push(PadId::FIRST, Item::Eos);
                out.buffer(PadId::FIRST, Buffer::new(&b"too late"[..]));
            }
            if self.settings.ends {
                return Ok(Produce::Eos);
            }
            if self.settings.stubborn {
                std::thread::sleep(Duration::from_secs(3600));
            }
            self.cancel.wait(Duration::from_secs(3600));
            return Ok(Produce::More);
        }
        if self.settings.wait > 0 && self.cancel.wait(Duration::from_millis(self.settings.wait)) {
            return Ok(Produce::More);
        }
        let time = Some(Time::from_millis(i64::try_from(self.made).unwrap_or_default()));
        out.buffer(PadId::FIRST, Buffer::new(self.made.to_be_bytes().to_vec()).with_times(time, time));
        self.made += 1;
        Ok(Produce::More)
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        out.post(&Message::Element("request".to_owned(), vec![("name".to_owned(), request.name().to_owned())]));
        Ok(())
    }

    fn drain(&mut self, out: &mut Output) -> Result<()> {
        out.buffer(PadId::FIRST, Buffer::new(&b"the end."[..]));
        Ok(())
    }
}

/// What is known of `testsrc`.
pub(crate) fn src() -> Factory {
    Factory::new(
        "testsrc",
        "Source/Test",
        "Makes numbered buffers, and waits",
        |settings: SrcSettings, cx: &BuildCx| {
            Ok(Element::source(Src { settings, host: cx.host.clone(), cancel: cx.cancel.clone(), made: 0 }))
        },
    )
    .pad(PadTemplate::src("src", "application/octet-stream"))
}

/// Settings of `testsink`.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct SinkSettings {
    /// Wait so long with each buffer, in milliseconds.
    pub(crate) wait: u64,
}

struct Sink {
    settings: SinkSettings,
    cancel: CancelToken,
    buffers: u64,
}

impl BlockingSink for Sink {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        out.request_all(&Request::KeyFrame);
        Ok(())
    }

    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<()> {
        match item {
            Item::Buffer(_) => {
                self.buffers += 1;
                if self.settings.wait > 0 {
                    self.cancel.wait(Duration::from_millis(self.settings.wait));
                }
            }
            Item::Eos => {
                let fields = vec![("buffers".to_owned(), self.buffers.to_string())];
                out.post(&Message::Element("taken".to_owned(), fields));
                out.post(&Message::Late(TimeDelta::from_millis(3)));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What is known of `testsink`.
pub(crate) fn sink() -> Factory {
    Factory::new("testsink", "Sink/Test", "Takes buffers, and waits", |settings: SinkSettings, cx: &BuildCx| {
        Ok(Element::sink(Sink { settings, cancel: cx.cancel.clone(), buffers: 0 }))
    })
    .pad(PadTemplate::sink("sink", "ANY"))
}
