//! What the host does for an element, from any thread.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use millstream_core::{Caps, Error, ErrorKind, Time, TimeDelta};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::report::{error, message};
use millstream_plugin_abi::{NONE, Pair, Str};

use crate::buffer::Buffer;

pub use millstream_plugin_abi::host::level;

/// The host's services for one element. Cheap to clone, for threads of the element's own; after the element is gone, calls do nothing.
#[derive(Clone)]
pub struct Host(Arc<RwLock<Option<Raw>>>);

#[derive(Clone, Copy)]
struct Raw(*const abi::Host);

// SAFETY: the functions of a host may be called on any thread.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// Something for the bus, beside errors and warnings.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Something that programs may want to know, by name, with fields.
    Element(String, Vec<(String, String)>),
    /// Where a job stands.
    Progress {
        /// How far the media has been read.
        position: Time,
        /// How long it is.
        duration: Option<TimeDelta>,
    },
    /// Nothing has moved for so long, although there was something to move.
    Stalled(TimeDelta),
    /// Something moves again after so long.
    Recovered(TimeDelta),
    /// Input was left out: reason, bytes, offset.
    Dropped(String, u64, Option<u64>),
    /// Output comes so much later than input, from now on.
    Latency(TimeDelta),
    /// A buffer was so much too late for its time: counted by the host, and told of once a second at most.
    Late(TimeDelta),
}

impl Host {
    /// # Safety
    /// `host` is the one of `create`, and stays until [`Host::close`].
    pub(crate) unsafe fn new(host: *const abi::Host) -> Self {
        Self(Arc::new(RwLock::new(Some(Raw(host)))))
    }

    /// The element is gone: waits for calls that are running, and lets none begin.
    pub(crate) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn with<T>(&self, call: impl FnOnce(*const abi::Host, &abi::Host) -> Option<T>) -> Option<T> {
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let raw = open.as_ref()?.0;
        // SAFETY: open, so it is there, and stays while we hold the lock.
        call(raw, unsafe { &*raw })
    }

    fn tell(&self, call: impl FnOnce(*const abi::Host, &abi::Host)) {
        self.with(|raw, host| {
            call(raw, host);
            Some(())
        });
    }

    /// Asks for a call of the element soon, on its own thread: a transform's or sink's `wake`, an aggregate's `step`, a source's `produce`.
    pub fn wake(&self) {
        self.tell(|raw, host| {
            if let Some(wake) = host.wake {
                // SAFETY: a function of the host, called with itself.
                unsafe { wake(raw) }
            }
        });
    }

    /// True when the element is to stop.
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: a function of the host, called with itself.
        self.with(|raw, host| Some(unsafe { host.is_cancelled?(raw) })) != Some(0)
    }

    /// Time of the pipeline's clock; says nothing of timestamps.
    pub fn now(&self) -> Time {
        // SAFETY: a function of the host, called with itself.
        Time::from_nanos(self.with(|raw, host| Some(unsafe { host.now?(raw) })).unwrap_or_default())
    }

    /// Time since 1970-01-01T00:00:00Z.
    pub fn wall(&self) -> Time {
        // SAFETY: a function of the host, called with itself.
        Time::from_nanos(self.with(|raw, host| Some(unsafe { host.wall?(raw) })).unwrap_or_default())
    }

    /// Clock time at which the pipeline was started: the same for all its elements.
    pub fn base_time(&self) -> Time {
        // SAFETY: a function of the host, called with itself.
        Time::from_nanos(self.with(|raw, host| Some(unsafe { host.base_time?(raw) })).unwrap_or_default())
    }

    /// Writes to the log; [`level`] says how urgent it is, `target` who in the plugin speaks.
    pub fn log(&self, level: u32, target: &str, text: &str) {
        self.tell(|raw, host| {
            if let Some(log) = host.log {
                // SAFETY: a function of the host, called with itself and text.
                unsafe { log(raw, level, Str::new(target), Str::new(text)) };
            }
        });
    }

    /// The element has failed, in a thread of its own: its next call will not come. In a call, give back the error instead.
    pub fn fail(&self, error: &Error) {
        with_record(error, |record| {
            self.tell(|raw, host| {
                if let Some(fail) = host.fail {
                    // SAFETY: a function of the host, called with itself and a record that is there.
                    unsafe { fail(raw, record) }
                }
            });
        });
    }

    /// Posts a warning: something is wrong, and the element goes on.
    pub fn warn(&self, error: &Error) {
        with_record(error, |record| self.post_raw(&abi::Message { error: record, ..blank(message::WARNING) }));
    }

    /// Posts on the bus.
    pub fn post(&self, message: &Message) {
        let nanos = |span: TimeDelta| span.nanos();
        match message {
            Message::Element(name, fields) => {
                let pairs: Vec<Pair> =
                    fields.iter().map(|(k, v)| Pair { name: Str::new(k), value: Str::new(v) }).collect();
                let (name, pair_count) = (Str::new(name), pairs.len() as u64);
                self.post_raw(&abi::Message { name, pairs: pairs.as_ptr(), pair_count, ..blank(message::ELEMENT) });
            }
            Message::Progress { position, duration } => self.post_raw(&abi::Message {
                time: position.nanos(),
                duration: duration.map_or(NONE, nanos),
                ..blank(message::PROGRESS)
            }),
            Message::Stalled(idle) => self.post_span(message::STALLED, *idle),
            Message::Recovered(after) => self.post_span(message::RECOVERED, *after),
            Message::Dropped(reason, bytes, offset) => self.post_raw(&abi::Message {
                name: Str::new(reason),
                bytes: *bytes,
                offset: offset.and_then(|at| i64::try_from(at).ok()).unwrap_or(NONE),
                ..blank(message::DROPPED)
            }),
            Message::Latency(latency) => self.post_span(message::LATENCY, *latency),
            Message::Late(by) => self.post_span(message::LATE, *by),
        }
    }

    fn post_span(&self, kind: u32, span: TimeDelta) {
        self.post_raw(&abi::Message { duration: span.nanos(), ..blank(kind) });
    }

    fn post_raw(&self, message: &abi::Message) {
        self.tell(|raw, host| {
            if let Some(post) = host.post {
                // SAFETY: a function of the host, called with itself and a message that is there.
                unsafe { post(raw, message) }
            }
        });
    }

    /// A buffer of zeros in memory of the host, to be written with [`Buffer::slices_mut`]. `None` beyond what a buffer may hold.
    pub fn new_buffer(&self, len: usize) -> Option<Buffer> {
        // SAFETY: a function of the host, called with itself; it gives a buffer with one reference, or null.
        self.with(|raw, host| unsafe { Buffer::from_raw(host.buffer_new?(raw, len as u64)) })
    }

    /// The caps of a handle.
    pub(crate) fn read_caps(&self, caps: *const abi::Caps) -> Option<Caps> {
        if caps.is_null() {
            return None;
        }
        // SAFETY: a handle of the host's that is there during the call; its text as long as the handle.
        self.with(|_, host| unsafe { host.caps_text?(caps).get()?.parse().ok() })
    }

    /// A handle for caps, with one reference; null where the host does not take their text.
    pub(crate) fn make_caps(&self, caps: &Caps) -> *mut abi::Caps {
        let text = caps.to_string();
        // SAFETY: a function of the host, called with itself and text.
        self.with(|raw, host| Some(unsafe { host.caps_new?(raw, Str::new(&text)) })).unwrap_or(std::ptr::null_mut())
    }

    /// Gives back a reference to caps.
    pub(crate) fn drop_caps(&self, caps: *mut abi::Caps) {
        if !caps.is_null() {
            self.tell(|_, host| {
                if let Some(unref) = host.caps_unref {
                    // SAFETY: a handle of the host's, and our reference.
                    unsafe { unref(caps) }
                }
            });
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

fn blank(kind: u32) -> abi::Message {
    abi::Message {
        size: size_of::<abi::Message>() as u32,
        kind,
        error: std::ptr::null(),
        name: Str::EMPTY,
        pairs: std::ptr::null(),
        pair_count: 0,
        time: NONE,
        duration: NONE,
        bytes: 0,
        offset: NONE,
    }
}

/// Gives `tell` an error as a record.
pub(crate) fn with_record<T>(error: &Error, tell: impl FnOnce(&abi::ErrorRecord) -> T) -> T {
    let kind = match error.kind() {
        ErrorKind::Malformed => error::MALFORMED,
        ErrorKind::Discontinuity => error::DISCONTINUITY,
        ErrorKind::Limit => error::LIMIT,
        ErrorKind::Unsupported => error::UNSUPPORTED,
        ErrorKind::Peer => error::PEER,
        ErrorKind::Io => error::IO,
        ErrorKind::Settings => error::SETTINGS,
        ErrorKind::Bug => error::BUG,
    };
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tell(&abi::ErrorRecord {
        size: size_of::<abi::ErrorRecord>() as u32,
        kind,
        message: Str::new(error.message()),
        hint: Str::new(error.hint_text().unwrap_or_default()),
        property: Str::new(error.property().unwrap_or_default()),
        cause: Str::new(&cause),
        offset: error.offset().and_then(|at| i64::try_from(at).ok()).unwrap_or(NONE),
    })
}
