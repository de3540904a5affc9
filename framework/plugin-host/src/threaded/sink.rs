//! A sink on a thread of its own.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use millstream_core::env::BoxFuture;
use millstream_core::output::Effect;
use millstream_core::{Env, Error, Item, Output, PadId, Result, Sink, SinkCx, Time};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};

use super::{Leash, Made, Mailbox, attend, replay, spawn};
use crate::instance::{Instance, Interrupt};
use crate::services::Shared;

/// Items that wait for the thread. The link before has a queue of its own.
const DEPTH: usize = 16;

/// A sink of a plugin.
pub(crate) struct PluginSink {
    pub(crate) instance: Instance,
    pub(crate) sink_pads: u16,
    pub(crate) bell: Arc<Bell>,
}

/// What the thread waits for.
enum Order {
    Item(PadId, Item),
    /// Somebody asked for a call.
    Wake,
}

/// Wakes the thread of a sink once there is one. Does not keep it waiting for orders when the task is gone.
#[derive(Default)]
pub(crate) struct Bell(std::sync::OnceLock<WeakUnboundedSender<Order>>);

impl Bell {
    /// The thread looks up, now or after what it does.
    pub(crate) fn ring(&self) {
        if let Some(sender) = self.0.get().and_then(WeakUnboundedSender::upgrade) {
            let _ = sender.send(Order::Wake);
        }
    }
}

/// What comes from the thread.
enum News {
    /// An item was worked off.
    Took,
    Made(Made),
    /// A call is wanted at this time.
    WakeAt(Time),
    End(Result<()>),
}

impl Sink for PluginSink {
    fn run(self: Box<Self>, cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(run(*self, cx))
    }
}

/// The task's side.
struct Task {
    cx: SinkCx,
    orders: Option<UnboundedSender<Order>>,
    news: UnboundedReceiver<News>,
    /// Items that the thread has not worked off.
    waiting: usize,
    shared: Arc<Shared>,
    attention: Receiver<()>,
    flushes: Arc<AtomicU64>,
    /// The flush that waits in the link has been told already.
    told: bool,
    due: Option<BoxFuture<'static, ()>>,
}

/// What happened on the task.
enum Event {
    Item(Option<(PadId, Item)>),
    Flush,
    News(Option<News>),
    Due,
    /// Messages or an error came from a thread of the element's.
    Attention,
}

async fn run(sink: PluginSink, cx: SinkCx) -> Result<()> {
    let PluginSink { instance, sink_pads, bell } = sink;
    let (orders, todo) = unbounded_channel();
    let (sender, news) = unbounded_channel();
    let _ = bell.0.set(orders.downgrade());
    let interrupt = instance.interrupt();
    let flushes = Arc::new(AtomicU64::new(0));
    let env = cx.env.clone();
    let worker = Worker { instance, env, todo, news: sender, sink_pads, flushes: flushes.clone(), seen: 0 };
    let over = spawn(move || worker.run())?;
    let _leash = Leash { mailbox: Arc::<Mailbox>::default(), interrupt: interrupt.clone(), over };
    let shared = interrupt.shared().clone();
    let mut task = Task {
        attention: shared.attention(),
        shared,
        cx,
        orders: Some(orders),
        news,
        waiting: 0,
        flushes,
        told: false,
        due: None,
    };
    task.pass_on(&interrupt).await
}

impl Task {
    async fn pass_on(&mut self, interrupt: &Interrupt) -> Result<()> {
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Event::Item(Some((pad, item))) => {
                    if matches!(item, Item::Flush(_)) && !std::mem::take(&mut self.told) {
                        self.flush(interrupt);
                    }
                    self.waiting += 1;
                    self.order(Order::Item(pad, item));
                }
                // The thread counts the ends too, and finishes.
                Event::Item(None) => self.orders = None,
                Event::Flush => {
                    self.told = true;
                    self.flush(interrupt);
                }
                Event::Attention => attend(&self.shared, |tell| self.cx.tell(tell))?,
                Event::News(Some(News::Took)) => self.waiting = self.waiting.saturating_sub(1),
                Event::News(Some(News::Made(made))) => self.cx.tell(|out| replay(made.effects, out)),
                Event::News(Some(News::WakeAt(at))) => self.due = Some(self.cx.env.clock.sleep_until(at)),
                Event::News(Some(News::End(result))) => return result,
                Event::News(None) => return Err(Error::bug("the plugin's thread ended without a word")),
                Event::Due => {
                    self.due = None;
                    self.order(Order::Wake);
                }
            }
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }

    /// What waits before the flush is void, and so is what the thread waits for.
    fn flush(&self, interrupt: &Interrupt) {
        self.flushes.fetch_add(1, Ordering::Release);
        interrupt.interrupt();
    }

    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<Event> {
        if self.attention.poll_recv(context).is_ready() {
            return Poll::Ready(Event::Attention);
        }
        if let Poll::Ready(news) = self.news.poll_recv(context) {
            return Poll::Ready(Event::News(news));
        }
        if self.orders.is_some() {
            let room = self.waiting < DEPTH || self.told;
            if room && let Poll::Ready(item) = pin!(self.cx.recv()).poll(context) {
                return Poll::Ready(Event::Item(item));
            }
            if !room && pin!(self.cx.flushing()).poll(context).is_ready() {
                return Poll::Ready(Event::Flush);
            }
        }
        match &mut self.due {
            Some(due) => due.as_mut().poll(context).map(|()| Event::Due),
            None => Poll::Pending,
        }
    }
}

/// The thread's side.
struct Worker {
    instance: Instance,
    env: Env,
    todo: UnboundedReceiver<Order>,
    news: UnboundedSender<News>,
    sink_pads: u16,
    flushes: Arc<AtomicU64>,
    seen: u64,
}

impl Worker {
    fn run(mut self) {
        let result = self.consume_all();
        let news = self.news.clone();
        // Freed before anybody hears of the end: what it had is free then.
        drop(self);
        let _ = news.send(News::End(result));
    }

    fn consume_all(&mut self) -> Result<()> {
        self.call(|instance, out| instance.start(out))?;
        let mut open = usize::from(self.sink_pads);
        while open > 0 {
            let Some(order) = self.todo.blocking_recv() else { return Ok(()) };
            match order {
                Order::Wake => {
                    let now = self.env.clock.now();
                    self.call(|instance, out| instance.wake(now.nanos(), out))?;
                }
                Order::Item(pad, item) => {
                    let _ = self.news.send(News::Took);
                    match &item {
                        Item::Eos => open -= 1,
                        Item::Flush(_) => {
                            self.seen += 1;
                            open = usize::from(self.sink_pads);
                        }
                        Item::Buffer(_) if self.seen < self.flushes.load(Ordering::Acquire) => continue,
                        _ => {}
                    }
                    self.call(|instance, out| instance.item(pad, item, out).map(drop))?;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, call: impl FnOnce(&mut Instance, &mut Output) -> Result<()>) -> Result<()> {
        let mut out = Output::new(self.sink_pads, 0);
        out.set_now(self.env.clock.now());
        let result = call(&mut self.instance, &mut out);
        if let Some(mut made) = Made::of(&mut out) {
            made.effects.retain(|effect| match effect {
                Effect::WakeAt(at) => {
                    let _ = self.news.send(News::WakeAt(*at));
                    false
                }
                _ => true,
            });
            let _ = self.news.send(News::Made(made));
        }
        result
    }
}
