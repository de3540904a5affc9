//! What drives a chain: a loop around its source that serves control, timers and full links.
//!
//! Drivers are futures. A driver whose elements block runs on a thread of its own, which does nothing but poll it;
//! in a simulation every driver is a task of one thread.

mod outside;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use millstream_core::{Env, Item, PadId, Produce, Result, Sink, Source, Time};

use crate::chain::{Chain, Kind, Step};
use crate::control::{Control, Order};
use crate::link::Dest;
use crate::port::Port;
use crate::spin::Spinner;

/// Items between two looks at the clock and the mailbox, after which other tasks get a turn too.
const BATCH: usize = 64;

/// What feeds a chain.
pub(crate) enum Head {
    /// A blocking source, node 0 of the chain.
    Blocking,
    /// An asynchronous source; node 0 stands for it.
    Source(Box<dyn Source>),
    /// Another task, at the pads of node 0.
    Port(Arc<Port>),
    /// Another task, with an asynchronous sink; node 0 stands for it.
    Sink(Box<dyn Sink>, Arc<Port>),
}

/// One task.
pub(crate) struct Driver {
    pub(crate) chain: Chain,
    pub(crate) head: Head,
    pub(crate) control: Arc<Control>,
    pub(crate) env: Env,
    /// No element of the chain blocks or computes for long: links may gather over a batch.
    pub(crate) quick: bool,
    pub(crate) spinner: Spinner,
}

/// How a driver ended without an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Everything was delivered.
    Eos,
    /// It was told to leave.
    Cancelled,
}

impl Driver {
    pub(crate) async fn run(self) -> Result<End> {
        let Self { chain, head, control, env, quick, spinner } = self;
        match head {
            Head::Blocking => {
                Task { chain, control, env, quick, spinner, input: None, flushed: false }.run_blocking().await
            }
            Head::Port(port) => {
                let closer = CloseOnDrop(port.clone());
                let task = Task { chain, control, env, quick, spinner, input: Some(port.clone()), flushed: false };
                let end = task.run_port(&port).await;
                drop(closer);
                end
            }
            Head::Source(source) => outside::run_source(chain, source, control, env).await,
            Head::Sink(sink, port) => outside::run_sink(chain, sink, port, control, env).await,
        }
    }
}

struct CloseOnDrop(Arc<Port>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Task {
    chain: Chain,
    control: Arc<Control>,
    env: Env,
    quick: bool,
    spinner: Spinner,
    /// Where the input comes from, if from other tasks.
    input: Option<Arc<Port>>,
    /// A flush of the input has ended a hold.
    flushed: bool,
}

/// What woke a waiting task.
enum Woken {
    Ready,
    Control,
    Timer,
}

impl Task {
    async fn run_blocking(mut self) -> Result<End> {
        self.chain.set_now(self.env.clock.now());
        self.chain.start()?;
        if self.drain().await? {
            return Ok(End::Cancelled);
        }
        loop {
            self.chain.set_now(self.env.clock.now());
            for _ in 0..BATCH {
                if self.control.is_dirty() && self.serve()? {
                    return Ok(End::Cancelled);
                }
                match self.control.order() {
                    Order::Run => {}
                    Order::Drain => return self.finish().await,
                    Order::Cancel => return Ok(End::Cancelled),
                }
                // What requests and timers made goes out before anything newer.
                if self.chain.has_pending() && self.drain().await? {
                    return Ok(End::Cancelled);
                }
                let made = self.chain.produce()?;
                if self.chain.is_headless() {
                    return Ok(End::Cancelled);
                }
                let more = self.quick && made == Produce::More;
                let left = if more { self.deliver().await? } else { self.drain().await? };
                if left {
                    return Ok(End::Cancelled);
                }
                match made {
                    Produce::More => {}
                    Produce::At(time) => self.wait(Some(time)).await?,
                    Produce::Idle => self.wait(None).await?,
                    Produce::Eos => return self.finish().await,
                }
            }
            self.timers()?;
            if self.drain().await? {
                return Ok(End::Cancelled);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn run_port(mut self, port: &Port) -> Result<End> {
        self.chain.set_now(self.env.clock.now());
        self.chain.start()?;
        if self.drain().await? {
            return Ok(End::Cancelled);
        }
        let mut open = self.chain.nodes.first().map_or(0, |n| n.sinks.len());
        let mut batch = VecDeque::new();
        let survives = self.chain.nodes.first().is_some_and(|n| n.survives_lost_inputs);
        while open > 0 {
            let seen = port.handed_over().load(Ordering::Relaxed);
            if !port.is_ready() {
                self.spinner.look(port.handed_over(), seen);
            }
            let woken = wait_for(pin!(port.take(&mut batch)), &self.control, &self.env, self.chain.deadline()).await;
            if batch.is_empty() && port.is_lost() {
                let lost = port.forget_lost(survives);
                if lost.is_empty() {
                    return self.chain.abandon().map(|()| End::Cancelled);
                }
                open = open.saturating_sub(lost.len());
                batch.extend(lost.into_iter().map(|pad| (pad, Item::Absent)));
            }
            self.chain.set_now(self.env.clock.now());
            if matches!(woken, Woken::Timer) {
                self.timers()?;
            }
            // Also when there is always something to take.
            if self.control.is_dirty() && self.serve()? {
                return Ok(End::Cancelled);
            }
            if self.chain.has_pending() && self.drain().await? {
                return Ok(End::Cancelled);
            }
            while let Some((pad, item)) = batch.pop_front() {
                match item {
                    Item::Eos => open = open.saturating_sub(1),
                    Item::Flush(_) => open = self.reopened(open),
                    _ => {}
                }
                self.chain.arrive(0, pad, item)?;
                let left = if self.quick { self.deliver().await? } else { self.drain().await? };
                if left {
                    return Ok(End::Cancelled);
                }
                if std::mem::take(&mut self.flushed) {
                    // A flush that came during a hold voids what was taken before it.
                    let flushed = port.flushed();
                    batch.retain(|(pad, item)| item.is_sticky() || !flushed.contains(*pad));
                }
                if self.control.order() == Order::Cancel {
                    return Ok(End::Cancelled);
                }
            }
            self.tell_inbox(port);
            if self.drain().await? {
                return Ok(End::Cancelled);
            }
            if survives && self.is_done() {
                // Its inputs are independent: what it has left of them nobody waits for.
                break;
            }
        }
        self.drain_timers().await
    }

    /// A flush makes an ended pad live again.
    fn reopened(&self, open: usize) -> usize {
        self.chain.nodes.first().map_or(open, |n| n.sinks.len().max(open))
    }

    /// True when the aggregate at the head has sent its end.
    fn is_done(&self) -> bool {
        matches!(self.chain.nodes.first().map(|n| &n.kind), Some(Kind::Aggregate(group)) if group.is_done())
    }

    fn tell_inbox(&self, port: &Port) {
        if let Some(Kind::Aggregate(group)) = self.chain.nodes.first().map(|n| &n.kind) {
            port.set_inbox(&group.inbox, group.wanted());
        }
    }

    /// Ends the stream and delivers everything.
    async fn finish(&mut self) -> Result<End> {
        // A push that was under way when the source was told to stop is delivered first.
        if self.drain().await? {
            return Ok(End::Cancelled);
        }
        self.chain.end();
        if self.drain().await? {
            return Ok(End::Cancelled);
        }
        self.drain_timers().await
    }

    /// After the end, timers may still hold output back (a live muxer's deadline), and so may threads of elements.
    async fn drain_timers(&mut self) -> Result<End> {
        while self.chain.deadline().is_some() || self.chain.awaits() {
            self.wait(self.chain.deadline()).await?;
            if self.control.order() == Order::Cancel {
                return Ok(End::Cancelled);
            }
            self.chain.set_now(self.env.clock.now());
            self.timers()?;
            if self.drain().await? {
                return Ok(End::Cancelled);
            }
        }
        // A branch that was built anew meanwhile hears that there is no more.
        if self.serve()? || self.drain().await? {
            return Ok(End::Cancelled);
        }
        self.chain.end_links();
        Ok(End::Eos)
    }

    /// Delivers all that is pending and hands over what links have gathered. True when told to leave.
    async fn drain(&mut self) -> Result<bool> {
        loop {
            if self.deliver().await? {
                return Ok(true);
            }
            match self.chain.flush_links() {
                Step::Drained | Step::Held => return Ok(false),
                Step::Blocked(node, pad) if self.room(node, pad).await? => return Ok(true),
                Step::Blocked(..) => {}
            }
        }
    }

    /// Delivers all that is pending, waiting where a link is full or an element holds back. True when told to leave.
    async fn deliver(&mut self) -> Result<bool> {
        loop {
            match self.chain.run()? {
                Step::Drained | Step::Held if self.chain.has_requests() => self.chain.serve_requests()?,
                Step::Drained => return Ok(false),
                Step::Held => {
                    if self.held().await? {
                        return Ok(true);
                    }
                }
                Step::Blocked(node, pad) => {
                    if self.room(node, pad).await? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Waits until a full link has taken what it was given, or a flush voids it. True when told to leave.
    async fn room(&mut self, node: usize, pad: PadId) -> Result<bool> {
        loop {
            let woken = {
                let link = self.chain.nodes[node].srcs.get_mut(pad.index());
                let Some(Dest::Port(sender)) = link.map(|l| &mut l.dest) else { return Ok(false) };
                let seen = sender.taken().load(Ordering::Relaxed);
                if sender.flush() || (self.spinner.look(sender.taken(), seen) && sender.flush()) {
                    return Ok(false);
                }
                wait_for(pin!(sender.ready()), &self.control, &self.env, None).await
            };
            if matches!(woken, Woken::Control) && self.serve()? {
                return Ok(true);
            }
            if self.chain.has_flush() {
                return Ok(false);
            }
        }
    }

    /// Waits until a time, or without end, serving control; comes back early after control was served.
    async fn wait(&mut self, until: Option<Time>) -> Result<()> {
        self.wait_or(std::future::pending(), until).await
    }

    /// As [`Task::wait`], and comes back when `ready` is.
    async fn wait_or(&mut self, ready: impl Future<Output = ()>, until: Option<Time>) -> Result<()> {
        let until = [until, self.chain.deadline()].into_iter().flatten().min();
        match wait_for(pin!(ready), &self.control, &self.env, until).await {
            Woken::Control => {
                self.serve()?;
            }
            _ => {
                self.chain.set_now(self.env.clock.now());
                self.timers()?;
            }
        }
        Ok(())
    }

    /// Waits for the end of a hold; comes back early when control or timers were served. A stop ends what is held, and so
    /// does a flush of the input. True when told to leave.
    async fn held(&mut self) -> Result<bool> {
        // What went on before is not held.
        while let Step::Blocked(node, pad) = self.chain.flush_links() {
            if self.room(node, pad).await? {
                return Ok(true);
            }
        }
        let input = self.input.clone();
        let is_flushed = || input.as_ref().is_some_and(|port| !port.flushed().is_empty());
        match self.chain.hold() {
            Some(until) if self.env.clock.now() < until && self.control.order() == Order::Run && !is_flushed() => {
                let flush = poll_fn(|cx| input.as_ref().map_or(Poll::Pending, |port| port.poll_flushed(cx)));
                self.wait_or(flush, Some(until)).await?;
            }
            _ => {
                self.chain.set_now(self.env.clock.now());
                self.timers()?;
                self.chain.release();
            }
        }
        if is_flushed() {
            self.flushed = true;
            self.chain.drop_pending();
        }
        Ok(self.control.order() == Order::Cancel)
    }

    fn poll_room(&mut self, node: usize, pad: PadId, cx: &mut Context<'_>) -> Poll<()> {
        let link = self.chain.nodes[node].srcs.get_mut(pad.index());
        let Some(Dest::Port(sender)) = link.map(|l| &mut l.dest) else { return Poll::Ready(()) };
        while !sender.flush() {
            if sender.poll_ready(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn timers(&mut self) -> Result<()> {
        match self.chain.deadline() {
            Some(at) => {
                let now = self.env.clock.now();
                if at <= now { self.chain.wake(now) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// Reads the mailbox. True when told to leave.
    fn serve(&mut self) -> Result<bool> {
        serve(&mut self.chain, &self.control)
    }
}

fn serve(chain: &mut Chain, control: &Control) -> Result<bool> {
    let (requests, commands) = control.take();
    let woken = control.take_woken();
    commands.into_iter().for_each(|command| command(chain));
    for node in woken {
        chain.wake_from_outside(node)?;
    }
    for (node, pad, request) in requests {
        chain.request(node, pad, request)?;
    }
    Ok(control.order() == Order::Cancel)
}

/// Waits for the first of: the future, the mailbox, a time.
async fn wait_for(
    mut ready: std::pin::Pin<&mut (impl Future<Output = ()> + ?Sized)>,
    control: &Control,
    env: &Env,
    until: Option<Time>,
) -> Woken {
    let mut timer = until.map(|at| env.clock.sleep_until(at));
    poll_fn(|cx| {
        if ready.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Woken::Ready);
        }
        if control.poll_changed(cx).is_ready() {
            return Poll::Ready(Woken::Control);
        }
        match &mut timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Woken::Timer),
            None => Poll::Pending,
        }
    })
    .await
}
