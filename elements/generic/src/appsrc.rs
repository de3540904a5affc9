//! `appsrc`: media from the program around the pipeline.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use millstream_core::env::BoxFuture;
use millstream_core::{
    Buffer, BuildCx, Caps, Element, Factory, Item, PadId, PadTemplate, Request, Result, Segment, Source, SourceCx,
    StreamInfo, Time,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};

use crate::CapsSetting;

/// Requests that wait for a program that does not ask for them; further ones are left out, as a late key frame request
/// is worth nothing.
const MAX_REQUESTS: usize = 16;

/// Settings of `appsrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AppSrcSettings {
    /// Caps to announce at the start; the program can also push them.
    pub caps: Option<CapsSetting>,
    /// Most items that wait in the element; then the program waits.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_buffers: u32,
    /// Count as a live source: one that cannot be held back.
    pub is_live: bool,
}

impl Default for AppSrcSettings {
    fn default() -> Self {
        Self { caps: None, max_buffers: 64, is_live: false }
    }
}

/// What is known of `appsrc`.
pub fn factory() -> Factory {
    Factory::new("appsrc", "Generic/Source", "Takes media from the program around the pipeline", build)
        .pad(PadTemplate::src("src", "ANY"))
        .checked(|settings: &AppSrcSettings| settings.caps.as_ref().map_or(Ok(()), |caps| caps.one().map(drop)))
        .live(|settings: &AppSrcSettings| settings.is_live)
        .details(
            "The program finds an `AppSrcHandle` by the element's name and pushes buffers. Stream start, and a segment \
             that starts at 0, are added unless the program pushes its own. The stream ends with `eos()`, or when all \
             clones of the handle are gone.",
        )
        .example("appsrc name=in ! fakesink")
}

fn build(settings: AppSrcSettings, cx: &BuildCx) -> Result<Element> {
    let caps = settings.caps.as_ref().map(CapsSetting::one).transpose()?;
    let (items, incoming) = mpsc::channel(settings.max_buffers.max(1) as usize);
    let (asked, requests) = mpsc::channel(MAX_REQUESTS);
    cx.publish(AppSrcHandle { items, requests: Arc::new(Mutex::new(requests)) });
    Ok(Element::Source(Box::new(AppSrc { incoming, asked, prologue: Prologue { caps, ..Prologue::default() } })))
}

/// The program's end of an `appsrc`. Clones push into the same stream.
#[derive(Clone, Debug)]
pub struct AppSrcHandle {
    items: mpsc::Sender<Item>,
    requests: Arc<Mutex<mpsc::Receiver<Request>>>,
}

/// The pipeline wants no more: it has stopped, failed, or the stream was ended. Gives back what was pushed.
#[derive(Debug)]
pub struct Closed(pub Item);

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the pipeline takes no more from this appsrc")
    }
}

impl std::error::Error for Closed {}

/// Why [`AppSrcHandle::try_push`] did not take an item, which it gives back.
#[derive(Debug)]
pub enum TryPushError {
    /// The pipeline is behind.
    Full(Item),
    /// See [`Closed`].
    Closed(Item),
}

impl AppSrcHandle {
    /// Sends a buffer; waits while the pipeline is behind.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn push(&self, buffer: Buffer) -> Result<(), Closed> {
        self.push_item(Item::buffer(buffer)).await
    }

    /// Sends any item.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn push_item(&self, item: Item) -> Result<(), Closed> {
        self.items.send(item).await.map_err(|e| Closed(e.0))
    }

    /// Sends any item from a thread that may wait. Not for asynchronous code.
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// # Panics
    /// When called on a worker of an asynchronous runtime.
    pub fn blocking_push(&self, item: Item) -> Result<(), Closed> {
        self.items.blocking_send(item).map_err(|e| Closed(e.0))
    }

    /// Sends any item if there is room.
    ///
    /// # Errors
    /// When there is no room, or nobody who takes it.
    pub fn try_push(&self, item: Item) -> Result<(), TryPushError> {
        self.items.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(item) => TryPushError::Full(item),
            mpsc::error::TrySendError::Closed(item) => TryPushError::Closed(item),
        })
    }

    /// Announces the format of the buffers that follow.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn set_caps(&self, caps: Caps) -> Result<(), Closed> {
        self.push_item(Item::Caps(caps)).await
    }

    /// Ends the stream. What was pushed before still goes out.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn eos(&self) -> Result<(), Closed> {
        self.push_item(Item::Eos).await
    }

    /// The next request from downstream, such as one for a key frame; `None` when the pipeline is gone.
    pub async fn next_request(&self) -> Option<Request> {
        self.requests.lock().await.recv().await
    }
}

struct AppSrc {
    incoming: mpsc::Receiver<Item>,
    asked: mpsc::Sender<Request>,
    prologue: Prologue,
}

impl Source for AppSrc {
    fn run(mut self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            loop {
                match next(&mut self.incoming, &mut cx).await {
                    Event::Item(None | Some(Item::Eos)) => break,
                    Event::Item(Some(item)) => {
                        for item in self.prologue.before(&item).into_iter().flatten().chain([item]) {
                            cx.push(PadId::FIRST, item).await?;
                        }
                    }
                    Event::Request(request) => {
                        let _ = self.asked.try_send(request);
                    }
                }
            }
            // An empty stream is a stream too.
            for item in self.prologue.before(&Item::Eos).into_iter().flatten() {
                cx.push(PadId::FIRST, item).await?;
            }
            Ok(())
        })
    }
}

enum Event {
    Item(Option<Item>),
    Request(Request),
}

/// Whatever comes first, an item of the program or a request of the pipeline.
async fn next(incoming: &mut mpsc::Receiver<Item>, cx: &mut SourceCx) -> Event {
    let mut request = pin!(cx.request());
    poll_fn(|task| {
        if let Poll::Ready((_, request)) = request.as_mut().poll(task) {
            return Poll::Ready(Event::Request(request));
        }
        incoming.poll_recv(task).map(Event::Item)
    })
    .await
}

/// What has to come before the first buffer, unless the program says it itself.
#[derive(Default)]
struct Prologue {
    caps: Option<Caps>,
    started: bool,
    has_segment: bool,
}

impl Prologue {
    /// What to send before `item`.
    fn before(&mut self, item: &Item) -> [Option<Item>; 3] {
        let own_start = matches!(item, Item::StreamStart(_));
        let start = (!std::mem::replace(&mut self.started, true) && !own_start)
            .then(|| Item::StreamStart(StreamInfo { id: "app".to_owned(), language: None }.into()));
        match item {
            Item::StreamStart(_) => return [start, None, None],
            Item::Caps(_) => self.caps = None,
            _ => {}
        }
        let caps = self.caps.take().map(Item::Caps);
        match item {
            Item::Segment(_) => self.has_segment = true,
            Item::Flush(_) => self.has_segment = false,
            Item::Buffer(_) | Item::Gap(_) if !std::mem::replace(&mut self.has_segment, true) => {
                return [start, caps, Some(Item::Segment(Segment::time(Time::ZERO).into()))];
            }
            _ => {}
        }
        [start, caps, None]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::settings::Node;
    use millstream_testkit::{SourceProbe, TestEnv, block_on, poll_once};

    struct Rig {
        run: BoxFuture<'static, Result<()>>,
        probe: SourceProbe,
        handle: AppSrcHandle,
    }

    fn rig(settings: &[(&str, &str)]) -> Rig {
        let (env, factory) = (TestEnv::new(), factory());
        let node = Node::map(settings.iter().map(|(key, value)| (*key, Node::scalar(*value))));
        let cx = BuildCx::new("in", env.env.clone(), Vec::new(), Vec::new());
        let Element::Source(source) = factory.build(factory.settings.parse(&node).unwrap(), &cx).unwrap() else {
            panic!("a source")
        };
        let handle = cx.take_handle().unwrap().downcast_ref::<AppSrcHandle>().unwrap().clone();
        let (source_cx, probe) = SourceProbe::new(env.env);
        Rig { run: source.run(source_cx), probe, handle }
    }

    fn names(probe: &SourceProbe) -> Vec<&'static str> {
        probe.take().iter().map(|(_, item)| item.name()).collect()
    }

    #[test]
    fn adds_what_a_stream_needs_and_ends() {
        let mut rig = rig(&[("caps", "audio/mpeg, mpegversion=4")]);
        block_on(rig.handle.push(Buffer::default())).unwrap();
        block_on(rig.handle.push(Buffer::default())).unwrap();
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert_eq!(names(&rig.probe), ["stream-start", "caps", "segment", "buffer", "buffer"]);
        block_on(rig.handle.eos()).unwrap();
        block_on(rig.run).unwrap();
        assert!(block_on(rig.handle.push(Buffer::default())).is_err(), "nobody takes it");
    }

    #[test]
    fn the_programs_own_items_are_not_doubled() {
        let rig = rig(&[("caps", "audio/mpeg")]);
        let items = [
            Item::StreamStart(Arc::default()),
            Item::Caps("video/x-vp8".parse().unwrap()),
            Item::Segment(Segment::time(Time::from_millis(5)).into()),
            Item::buffer(Buffer::default()),
        ];
        items.into_iter().for_each(|item| rig.handle.try_push(item).unwrap());
        drop(rig.handle);
        block_on(rig.run).unwrap();
        assert_eq!(names(&rig.probe), ["stream-start", "caps", "segment", "buffer"]);
    }

    #[test]
    fn a_pipeline_that_is_behind_makes_the_program_wait() {
        let mut rig = rig(&[("max-buffers", "2")]);
        for _ in 0..2 {
            rig.handle.try_push(Item::buffer(Buffer::default())).unwrap();
        }
        assert!(matches!(rig.handle.try_push(Item::Eos), Err(TryPushError::Full(Item::Eos))));
        let mut push = Box::pin(rig.handle.push(Buffer::default()));
        assert!(poll_once(push.as_mut()).is_none());
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert!(matches!(poll_once(push.as_mut()), Some(Ok(()))));
    }

    #[test]
    fn requests_reach_the_program() {
        let mut rig = rig(&[]);
        assert!(poll_once(rig.run.as_mut()).is_none());
        rig.probe.request(PadId::FIRST, Request::KeyFrame);
        assert!(poll_once(rig.run.as_mut()).is_none());
        assert_eq!(block_on(rig.handle.next_request()), Some(Request::KeyFrame));
        drop(rig.run);
        assert_eq!(block_on(rig.handle.next_request()), None);
    }
}
