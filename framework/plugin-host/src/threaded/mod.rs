//! Sources and sinks that may wait: each has a thread of the host's, which the task of the graph talks to through channels.
//!
//! The thread never touches the graph, and the task never calls the plugin, except to interrupt it. So a device that gives nothing for a minute
//! keeps no other element waiting, and an element that does not return from its call is left behind with its thread.

mod sink;
mod source;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use millstream_core::output::Effect;
use millstream_core::{Error, Item, Output, PadId, Request, Result};

use crate::instance::Interrupt;
use crate::services::Shared;

pub(crate) use sink::{Bell, PluginSink};
pub(crate) use source::PluginSource;

/// How long the task waits for the thread when it is dropped. As long as an element may take for `stop`, and a little for the call before.
const LEAVE_LIMIT: Duration = Duration::from_secs(6);

/// What a thread has made: items and effects of one call.
struct Made {
    items: Vec<(PadId, Item)>,
    effects: Vec<Effect>,
}

impl Made {
    /// Takes all from an output; `None` for nothing.
    fn of(out: &mut Output) -> Option<Self> {
        let effects = std::mem::take(out.effects());
        let items = out.drain();
        (!items.is_empty() || !effects.is_empty()).then_some(Self { items, effects })
    }
}

/// Puts effects of a thread into effect on the task.
fn replay(effects: Vec<Effect>, out: &mut Output) {
    out.effects().extend(effects);
}

/// Posts what an element says from threads of its own while its call waits; `Err` when it has failed there.
fn attend(shared: &Shared, tell: impl FnOnce(&mut dyn FnMut(&mut Output))) -> Result<()> {
    let mut told = None;
    tell(&mut |out| told = shared.attend(out));
    told.map_or(Ok(()), Err)
}

/// What the task tells a thread that waits.
#[derive(Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    changed: Condvar,
}

#[derive(Default)]
struct Mail {
    requests: Vec<(PadId, Request)>,
    woken: bool,
    drain: bool,
    cancelled: bool,
}

impl Mailbox {
    /// Somebody wants the element to be called.
    pub(crate) fn wake(&self) {
        self.change(|mail| mail.woken = true);
    }

    fn change(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until there is something, and takes it.
    fn wait(&self) -> Mail {
        let mail = self.lock();
        let idle = |mail: &mut Mail| !(mail.woken || mail.drain || mail.cancelled || !mail.requests.is_empty());
        let mut mail = self.changed.wait_while(mail, idle).unwrap_or_else(PoisonError::into_inner);
        Self::take_from(&mut mail)
    }

    /// Takes what is there.
    fn take(&self) -> Mail {
        Self::take_from(&mut self.lock())
    }

    fn take_from(mail: &mut Mail) -> Mail {
        mail.woken = false;
        Mail { requests: std::mem::take(&mut mail.requests), ..*mail }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the thread when the task is dropped, and waits a while for that: what the element has exclusively is free afterwards.
struct Leash {
    mailbox: Arc<Mailbox>,
    interrupt: Interrupt,
    over: mpsc::Receiver<()>,
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.mailbox.change(|mail| mail.cancelled = true);
        self.interrupt.cancel();
        if self.over.recv_timeout(LEAVE_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.interrupt.left_behind();
        }
    }
}

/// Starts the thread of an element.
fn spawn(run: impl FnOnce() + Send + 'static) -> Result<mpsc::Receiver<()>> {
    let (over, wait) = mpsc::channel();
    let body = move || {
        run();
        let _ = over.send(());
    };
    let thread = std::thread::Builder::new().name("plugin".into()).spawn(body);
    thread.map(|_| wait).map_err(|e| Error::io("cannot start a thread for the plugin's element", e))
}
