//! `appsink`: media to the program around the pipeline.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use millstream_core::env::BoxFuture;
use millstream_core::{Buffer, BuildCx, Caps, Element, Factory, Item, PadTemplate, Result, Sink, SinkCx};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Notify;

/// Settings of `appsink`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AppSinkSettings {
    /// Most items that wait for the program: buffers, and what goes with them, such as caps.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_buffers: u32,
    /// When as many wait, leave out the oldest buffer instead of holding the pipeline back.
    pub drop: bool,
}

impl Default for AppSinkSettings {
    fn default() -> Self {
        Self { max_buffers: 64, drop: false }
    }
}

/// What is known of `appsink`.
pub fn factory() -> Factory {
    Factory::new("appsink", "Generic/Sink", "Gives media to the program around the pipeline", build)
        .pad(PadTemplate::sink("sink", "ANY"))
        .details(
            "The program finds an `AppSinkHandle` by the element's name and takes items. A program that takes none holds \
             the pipeline back, unless `drop=true`. When all clones of the handle are gone, the rest is thrown away and \
             counted.",
        )
        .example("fakesrc num-buffers=10 ! appsink name=out")
}

fn build(settings: AppSinkSettings, cx: &BuildCx) -> Result<Element> {
    let shared = Arc::new(Shared::default());
    cx.publish(AppSinkHandle(Arc::new(Reader(shared.clone()))));
    Ok(Element::Sink(Box::new(AppSink { settings, writer: Writer(shared) })))
}

/// What the element and the program share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    caps: Option<Caps>,
    ended: bool,
    unread: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program's end of an `appsink`. Clones take from the same stream.
#[derive(Clone, Debug)]
pub struct AppSinkHandle(Arc<Reader>);

#[derive(Debug)]
struct Reader(Arc<Shared>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.state().unread = true;
        self.0.writable.notify_one();
    }
}

impl AppSinkHandle {
    /// The next item; `None` when the stream has ended or the pipeline is gone.
    pub async fn next(&self) -> Option<Item> {
        let shared = &self.0.0;
        loop {
            // Registered before looking, so that nothing that comes in between is missed.
            let readable = shared.readable.notified();
            if let Some(item) = self.try_next() {
                return Some(item);
            }
            if shared.state().ended {
                // Other clones that wait have to see it too.
                shared.readable.notify_one();
                return None;
            }
            readable.await;
        }
    }

    /// The next buffer; what comes before it is left out ([`AppSinkHandle::caps`] knows its caps). `None` at the end.
    pub async fn next_buffer(&self) -> Option<Buffer> {
        loop {
            if let Item::Buffer(buffer) = self.next().await? {
                return Some(buffer.into_inner());
            }
        }
    }

    /// [`AppSinkHandle::next`] for a thread that may wait. Not for asynchronous code.
    pub fn blocking_next(&self) -> Option<Item> {
        block_on(self.next())
    }

    /// [`AppSinkHandle::next_buffer`] for a thread that may wait. Not for asynchronous code.
    pub fn blocking_next_buffer(&self) -> Option<Buffer> {
        block_on(self.next_buffer())
    }

    /// The next item, if there is one.
    pub fn try_next(&self) -> Option<Item> {
        let mut state = self.0.0.state();
        let item = state.items.pop_front()?;
        if let Item::Caps(caps) = &item {
            state.caps = Some(caps.clone());
        }
        drop(state);
        self.0.0.writable.notify_one();
        Some(item)
    }

    /// Caps of the buffers that were taken last.
    pub fn caps(&self) -> Option<Caps> {
        self.0.0.state().caps.clone()
    }

    /// True when the stream has ended and everything has been taken.
    pub fn is_ended(&self) -> bool {
        let state = self.0.0.state();
        state.ended && state.items.is_empty()
    }
}

struct AppSink {
    settings: AppSinkSettings,
    writer: Writer,
}

/// The element's end: when it goes, however it goes, the stream has ended.
struct Writer(Arc<Shared>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.readable.notify_one();
        self.0.readable.notify_waiters();
    }
}

impl Sink for AppSink {
    fn run(self: Box<Self>, mut cx: SinkCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            while let Some((_, item)) = cx.recv().await {
                let left_out = match item {
                    Item::Eos | Item::Absent => None,
                    item => self.give(item).await,
                };
                if let Some((reason, bytes)) = left_out {
                    cx.tell(|out| out.dropped(reason, bytes, None));
                }
            }
            Ok(())
        })
    }
}

impl AppSink {
    /// Puts an item where the program finds it; says what was left out instead.
    async fn give(&self, item: Item) -> Option<(&'static str, u64)> {
        let shared = &self.writer.0;
        loop {
            let writable = shared.writable.notified();
            {
                let mut state = shared.state();
                if state.unread {
                    return Some(("the program takes no more", item.bytes() as u64));
                }
                let mut left_out = None;
                if state.is_full(&self.settings) && self.settings.drop {
                    left_out = state.drop_oldest();
                }
                if !state.is_full(&self.settings) {
                    state.put(item);
                    drop(state);
                    shared.readable.notify_one();
                    return left_out.map(|bytes| ("the program is too slow", bytes));
                }
            }
            writable.await;
        }
    }
}

impl State {
    fn is_full(&self, settings: &AppSinkSettings) -> bool {
        self.items.len() >= settings.max_buffers.max(1) as usize
    }

    /// Makes room without losing caps and the like; gives the bytes of what was left out.
    fn drop_oldest(&mut self) -> Option<u64> {
        let oldest = self.items.iter().position(|item| !item.is_sticky())?;
        self.items.remove(oldest).map(|item| item.bytes() as u64)
    }

    fn put(&mut self, item: Item) {
        if let Item::Flush(_) = item {
            self.items.retain(Item::is_sticky);
        }
        self.items.push_back(item);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, for programs without an asynchronous runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::output::Effect;
    use millstream_core::settings::Node;
    use millstream_core::{Dropped, MessageKind};
    use millstream_testkit::{SinkProbe, TestEnv, poll_once};

    struct Rig {
        run: BoxFuture<'static, Result<()>>,
        probe: SinkProbe,
        handle: AppSinkHandle,
    }

    fn rig(settings: &[(&str, &str)]) -> Rig {
        let (env, factory) = (TestEnv::new(), factory());
        let node = Node::map(settings.iter().map(|(key, value)| (*key, Node::scalar(*value))));
        let cx = BuildCx::new("out", env.env.clone(), Vec::new(), Vec::new());
        let Element::Sink(sink) = factory.build(factory.settings.parse(&node).unwrap(), &cx).unwrap() else {
            panic!("a sink")
        };
        let handle = *cx.take_handle().unwrap().downcast::<AppSinkHandle>().ok().unwrap();
        let (sink_cx, probe) = SinkProbe::new(env.env);
        Rig { run: sink.run(sink_cx), probe, handle }
    }

    fn buffer(bytes: usize) -> Item {
        Item::buffer(Buffer::new(vec![0; bytes]))
    }

    fn drops(probe: &SinkProbe) -> Vec<Dropped> {
        let effects = probe.take_effects().into_iter();
        effects.filter_map(|e| if let Effect::Post(MessageKind::Dropped(d)) = e { Some(d) } else { None }).collect()
    }

    #[test]
    fn items_come_in_order_and_then_the_end() {
        let mut rig = rig(&[]);
        rig.probe.push(Item::Caps(Caps::new("a/b")));
        rig.probe.push(buffer(3));
        let mut next = Box::pin(rig.handle.next_buffer());
        assert!(poll_once(next.as_mut()).is_none());
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert_eq!(poll_once(next.as_mut()).flatten().map(|b| b.payload.len()), Some(3));
        assert_eq!(rig.handle.caps(), Some(Caps::new("a/b")));
        rig.probe.end();
        assert!(matches!(poll_once(rig.run.as_mut()), Some(Ok(()))));
        drop(rig.run);
        assert!(rig.handle.blocking_next().is_none() && rig.handle.blocking_next().is_none());
        assert!(rig.handle.is_ended());
    }

    #[test]
    fn a_program_that_takes_nothing_holds_the_pipeline_back() {
        let mut rig = rig(&[("max-buffers", "2")]);
        (0..4).for_each(|_| rig.probe.push(buffer(1)));
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert_eq!(rig.probe.waiting(), 1, "two wait for the program, one in the element's hand");
        assert!(rig.handle.try_next().is_some());
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert_eq!(rig.probe.waiting(), 0);
        assert_eq!(drops(&rig.probe), []);
    }

    #[test]
    fn drop_keeps_the_newest_and_the_caps() {
        let mut rig = rig(&[("max-buffers", "3"), ("drop", "true")]);
        rig.probe.push(Item::Caps(Caps::new("a/b")));
        (1..=4).for_each(|bytes| rig.probe.push(buffer(bytes)));
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert_eq!(rig.handle.try_next().map(|item| item.name()), Some("caps"));
        let sizes: Vec<_> = std::iter::from_fn(|| rig.handle.try_next()).map(|item| item.bytes()).collect();
        assert_eq!(sizes, [3, 4]);
        assert_eq!(drops(&rig.probe).iter().map(|d| d.bytes).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_program_that_let_go_does_not_hold_the_pipeline() {
        let mut rig = rig(&[("max-buffers", "1")]);
        (0..3).for_each(|_| rig.probe.push(buffer(1)));
        assert!(poll_once(rig.run.as_mut()).is_none());
        drop(rig.handle);
        rig.probe.end();
        assert!(matches!(poll_once(rig.run.as_mut()), Some(Ok(()))));
        assert_eq!(drops(&rig.probe).len(), 2);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "this thread is the program's, not the element's")]
    fn a_cancelled_sink_ends_the_programs_stream() {
        let rig = rig(&[]);
        let handle = rig.handle.clone();
        let reader = std::thread::spawn(move || handle.blocking_next().is_none());
        drop(rig.run);
        assert!(reader.join().unwrap());
    }
}
