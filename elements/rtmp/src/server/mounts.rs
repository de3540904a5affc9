//! What a server has: streams by name, each with who takes it in and who hands it out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use millstream_core::env::BoxFuture;
use millstream_core::{Error, Result};
use millstream_server::access::Access;
use tokio::sync::{mpsc, watch};

use super::feed::{Content, Feed};
use super::recorder::Notes;
use super::templates::Templates;
use crate::Secret;
use crate::command::PublishType;
use crate::command::code;

/// Messages that wait between a connection and the element that takes them in. A connection whose element is behind is not read.
const MAX_WAITING: usize = 64;

/// Application and stream, as in `rtmp://host/app/stream`. The name is shown in logs; the query behind it, which may be a key, is not part
/// of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamName {
    app: String,
    stream: String,
}

impl StreamName {
    /// From what a client says: queries of both are left out, and slashes at the ends.
    pub(crate) fn new(app: &str, stream: &str) -> Self {
        let clean = |text: &str| text.split('?').next().unwrap_or_default().trim_matches('/').to_owned();
        Self { app: clean(app), stream: clean(stream) }
    }

    pub(crate) fn app(&self) -> &str {
        &self.app
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }
}

/// Characters of a name that are shown: clients may send any number.
const MAX_SHOWN: usize = 256;

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.app.chars().chain(['/']).chain(self.stream.chars()).take(MAX_SHOWN);
        // A line end in a name must not begin a line of the log.
        shown
            .into_iter()
            .try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") })
    }
}

/// What a publisher does, for the element that takes it in.
#[derive(Debug)]
pub(crate) enum Ingest {
    /// A publisher has come, to this end, and hears of its recording here.
    Begin(PublishType, Notes),
    /// It sends this.
    Content(Content),
    /// It has gone.
    End,
}

/// What comes to pass when somebody publishes a stream that has a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second {
    Refused,
    TakesOver,
}

/// Why a publisher is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing takes such a stream in.
    Unknown,
    /// It has a publisher.
    Taken,
    /// A template takes in any name but such.
    Name,
    /// Its template has as many instances as it may.
    Full,
    /// Its template uses a query parameter that is not there.
    Query,
    /// The value of such a one cannot be part of a path.
    QueryValue,
    /// Its template cannot be filled in with these values.
    Values,
}

impl Refusal {
    /// What the client is told.
    pub(crate) fn status(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => (code::PUBLISH_DENIED, "Nothing takes this stream in."),
            Self::Taken => (code::PUBLISH_BAD_NAME, "The stream has a publisher."),
            Self::Name => (
                code::PUBLISH_BAD_NAME,
                "A stream cannot have this name here: one word, without / \\ % ? # and dots ahead.",
            ),
            Self::Full => (code::PUBLISH_DENIED, "The server has as many streams as it takes."),
            Self::Query => (code::PUBLISH_DENIED, "The server needs a query parameter behind the name."),
            Self::QueryValue => (code::PUBLISH_DENIED, "A query parameter has a value that the server cannot use."),
            Self::Values => (code::PUBLISH_BAD_NAME, "The server cannot use this name."),
        }
    }
}

/// The streams of a server.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    streams: Mutex<HashMap<StreamName, Mount>>,
    /// Players that wait for a feed.
    waiting: Mutex<Vec<Waker>>,
    /// Who takes in what nothing takes in by name.
    pub(super) templates: Templates,
}

#[derive(Debug, Default)]
struct Mount {
    intake: Option<Intake>,
    feed: Option<Outlet>,
}

/// A stream that is handed out, and who may play it.
type Outlet = (Arc<Feed>, Option<Arc<Access>>);

#[derive(Debug)]
struct Intake {
    items: mpsc::Sender<Ingest>,
    second: Second,
    /// Who may publish, unless everybody.
    access: Option<Arc<Access>>,
    /// The publisher: dropped, it tells the connection to leave.
    publisher: Option<(u64, watch::Sender<()>)>,
    publishers: u64,
    /// Where publishers are asked to move: empty for where they are. Nobody new is taken then.
    moving: watch::Sender<Option<Arc<str>>>,
}

impl Intake {
    fn is_free(&self) -> bool {
        (self.publisher.is_none() || self.second == Second::TakesOver) && self.moving.borrow().is_none()
    }
}

impl Mounts {
    /// Makes an element the one that takes a stream in.
    ///
    /// # Errors
    /// When another does.
    pub(crate) fn take_in(
        self: &Arc<Self>,
        name: &StreamName,
        second: Second,
        access: Option<Arc<Access>>,
    ) -> Result<IntakeLease> {
        let (items, received) = mpsc::channel(MAX_WAITING);
        let mut streams = self.lock();
        let mount = streams.entry(name.clone()).or_default();
        if mount.intake.is_some() {
            return Err(Error::settings(format!("another element takes in the stream {name} at this address"))
                .hint("give one of them another `app` or `stream`"));
        }
        mount.intake =
            Some(Intake { items, second, access, publisher: None, publishers: 0, moving: watch::Sender::new(None) });
        Ok(IntakeLease { mounts: self.clone(), name: name.clone(), received })
    }

    /// Makes a feed the one that players of a stream follow.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn hand_out(
        self: &Arc<Self>,
        name: &StreamName,
        feed: Arc<Feed>,
        access: Option<Arc<Access>>,
    ) -> Result<FeedLease> {
        let mut streams = self.lock();
        let mount = streams.entry(name.clone()).or_default();
        if mount.feed.is_some() {
            return Err(Error::settings(format!("another element serves the stream {name} at this address"))
                .hint("give one of them another `app` or `stream`"));
        }
        mount.feed = Some((feed.clone(), access));
        drop(streams);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
        Ok(FeedLease { mounts: self.clone(), name: name.clone(), feed })
    }

    /// Who says whether a client may publish a stream; nobody where everybody may.
    pub(crate) fn door(&self, name: &StreamName) -> std::result::Result<Option<Arc<Access>>, Refusal> {
        let streams = self.lock();
        let Some(intake) = streams.get(name).and_then(|mount| mount.intake.as_ref()) else {
            drop(streams);
            return self.templates.door(name);
        };
        // Who may not publish anyway need not learn whether somebody else does.
        match intake.access.as_ref() {
            None if !intake.is_free() => Err(Refusal::Taken),
            access => Ok(access.cloned()),
        }
    }

    /// A client publishes: what an element takes in by name, else what a template takes in. `query` is that of name and application.
    pub(crate) fn publish(
        self: &Arc<Self>,
        name: &StreamName,
        query: &Secret,
    ) -> std::result::Result<Publication, Refusal> {
        match self.publish_known(name) {
            Err(Refusal::Unknown) => {}
            known => return known,
        }
        let fitting = self.templates.fit(name, query)?;
        // Another may have come with the same name meanwhile.
        let Ok(seat) = self.take_in(name, fitting.second(), fitting.access()) else { return self.publish_known(name) };
        let publication = self.publish_known(name)?;
        if fitting.arrive(name, Box::new(seat)) { Ok(publication) } else { Err(Refusal::Unknown) }
    }

    fn publish_known(self: &Arc<Self>, name: &StreamName) -> std::result::Result<Publication, Refusal> {
        let mut streams = self.lock();
        let intake = streams.get_mut(name).and_then(|mount| mount.intake.as_mut()).ok_or(Refusal::Unknown)?;
        if !intake.is_free() {
            return Err(Refusal::Taken);
        }
        intake.publishers += 1;
        let (alive, taken_over) = watch::channel(());
        intake.publisher = Some((intake.publishers, alive));
        let (id, items, moving) = (intake.publishers, intake.items.clone(), intake.moving.subscribe());
        let over = Box::pin(over(items.clone(), taken_over.clone()));
        Ok(Publication { mounts: self.clone(), name: name.clone(), id, items, taken_over, moving, end: None, over })
    }

    /// The feed of a stream, as soon as there is one.
    pub(crate) fn poll_feed(&self, name: &StreamName, cx: &mut Context<'_>) -> Poll<Outlet> {
        // Held over the look, so that a feed that comes meanwhile wakes this one too.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = self.lock().get(name).and_then(|mount| mount.feed.clone()) {
            return Poll::Ready(feed);
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn change(&self, name: &StreamName, change: impl FnOnce(&mut Mount)) {
        let mut streams = self.lock();
        if let Some(mount) = streams.get_mut(name) {
            change(mount);
            if mount.intake.is_none() && mount.feed.is_none() {
                streams.remove(name);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamName, Mount>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An element takes a stream in, as long as this lives.
#[derive(Debug)]
pub(crate) struct IntakeLease {
    mounts: Arc<Mounts>,
    name: StreamName,
    received: mpsc::Receiver<Ingest>,
}

impl IntakeLease {
    /// What a publisher does next.
    pub(crate) async fn next(&mut self) -> Ingest {
        // The sender is in the mount that this lease keeps, so the channel does not close.
        self.received.recv().await.unwrap_or(Ingest::End)
    }

    /// The name of the stream.
    pub(crate) fn name(&self) -> &StreamName {
        &self.name
    }

    /// Takes in nothing more, unless a publisher is there. From then on the name is free.
    pub(crate) fn retire(&self) -> bool {
        let mut retired = false;
        self.mounts.change(&self.name, |mount| {
            retired = mount.intake.as_ref().is_none_or(|intake| intake.publisher.is_none());
            if retired {
                mount.intake = None;
            }
        });
        retired
    }

    /// Asks the publisher to move, and takes no other. False when there is none.
    pub(crate) fn drain(&self, to: &str) -> bool {
        let mut published = false;
        self.mounts.change(&self.name, |mount| {
            if let Some(intake) = &mount.intake {
                published = intake.publisher.is_some();
                intake.moving.send_replace(Some(to.into()));
            }
        });
        published
    }
}

impl Drop for IntakeLease {
    fn drop(&mut self) {
        self.received.close();
        // After it retired there may be another.
        let is_own = |intake: &mut Intake| intake.items.is_closed();
        self.mounts.change(&self.name, |mount| drop(mount.intake.take_if(is_own)));
    }
}

/// An element hands a stream out, as long as this lives.
#[derive(Debug)]
pub(crate) struct FeedLease {
    mounts: Arc<Mounts>,
    name: StreamName,
    feed: Arc<Feed>,
}

impl Drop for FeedLease {
    fn drop(&mut self) {
        self.mounts.change(&self.name, |mount| mount.feed = None);
        self.feed.end();
    }
}

/// Until another has taken over, or the element is gone.
async fn over(items: mpsc::Sender<Ingest>, mut taken_over: watch::Receiver<()>) {
    tokio::select! {
        () = items.closed() => {}
        // Nothing is ever sent: this is an error, when the sender goes.
        _ = taken_over.changed() => {}
    }
}

/// A client publishes, as long as this lives.
pub(crate) struct Publication {
    mounts: Arc<Mounts>,
    name: StreamName,
    id: u64,
    items: mpsc::Sender<Ingest>,
    taken_over: watch::Receiver<()>,
    moving: watch::Receiver<Option<Arc<str>>>,
    /// A place for the end, which must not get lost when the element is behind.
    end: Option<mpsc::OwnedPermit<Ingest>>,
    over: BoxFuture<'static, ()>,
}

impl Publication {
    /// Tells the element. False when it, or the right to publish, is gone.
    pub(crate) async fn begin(&mut self, kind: PublishType, notes: Notes) -> bool {
        self.end = tokio::select! {
            biased;
            _ = self.taken_over.changed() => None,
            place = self.items.clone().reserve_owned() => place.ok(),
        };
        self.end.is_some() && self.send(Ingest::Begin(kind, notes)).await
    }

    /// Gives something to the element; waits while that is behind. False when the element or the right to publish is gone.
    pub(crate) async fn send(&mut self, item: Ingest) -> bool {
        tokio::select! {
            biased;
            _ = self.taken_over.changed() => false,
            sent = self.items.send(item) => sent.is_ok(),
        }
    }

    /// Ready when it is over. Not to be asked again then.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.over.as_mut().poll(cx)
    }

    /// Gives something to the element, or it back when that is behind. What nobody takes any more is gone, as with
    /// [`Publication::send`].
    pub(crate) fn try_send(&mut self, item: Ingest) -> std::result::Result<(), Ingest> {
        if self.is_over() {
            return Ok(());
        }
        match self.items.try_send(item) {
            Err(mpsc::error::TrySendError::Full(item)) => Err(item),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Where the publisher is to move, once: empty for where it is.
    pub(crate) fn moves(&mut self) -> Option<Arc<str>> {
        match self.moving.has_changed() {
            Ok(true) => self.moving.borrow_and_update().clone(),
            _ => None,
        }
    }

    /// Whether another has taken over, or the element is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.items.is_closed() || self.taken_over.has_changed().is_err()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let mut last = false;
        self.mounts.change(&self.name, |mount| {
            if let Some(intake) = &mut mount.intake
                && intake.items.same_channel(&self.items)
                && intake.publisher.as_ref().is_some_and(|(id, _)| *id == self.id)
            {
                intake.publisher = None;
                last = true;
            }
        });
        if let Some(place) = self.end.take().filter(|_| last) {
            place.send(Ingest::End);
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_testkit::block_on;

    use super::*;

    fn name() -> StreamName {
        StreamName::new("live/", "cam?key=secret")
    }

    fn publish(mounts: &Arc<Mounts>) -> std::result::Result<Publication, Refusal> {
        mounts.publish(&name(), &Secret::default())
    }

    #[test]
    fn names_leave_out_queries_and_slashes() {
        assert_eq!(name().to_string(), "live/cam");
        assert_eq!(StreamName::new("live?a=b", "/cam"), name());
    }

    #[test]
    fn a_name_is_taken_once_and_free_again() {
        let mounts = Arc::<Mounts>::default();
        let intake = mounts.take_in(&name(), Second::Refused, None).unwrap();
        assert!(mounts.take_in(&name(), Second::Refused, None).is_err());
        let first = publish(&mounts).unwrap();
        assert_eq!(publish(&mounts).err(), Some(Refusal::Taken));
        drop(first);
        assert!(publish(&mounts).is_ok());
        drop(intake);
        assert_eq!(publish(&mounts).err(), Some(Refusal::Unknown));
        assert!(mounts.lock().is_empty());
    }

    async fn begin(publication: &mut Publication) -> bool {
        publication.begin(PublishType::Live, mpsc::unbounded_channel().0).await
    }

    #[test]
    fn a_second_publisher_takes_over_where_it_may() {
        let mounts = Arc::<Mounts>::default();
        let mut intake = mounts.take_in(&name(), Second::TakesOver, None).unwrap();
        let mut first = publish(&mounts).unwrap();
        assert!(!first.is_over() && block_on(begin(&mut first)));
        let mut second = publish(&mounts).unwrap();
        assert!(first.is_over() && !block_on(first.send(Ingest::End)));
        drop(first);
        assert!(block_on(begin(&mut second)), "the first one's end is not the second one's");
        for _ in 0..2 {
            assert!(matches!(block_on(intake.next()), Ingest::Begin(..)));
        }
        drop(second);
        assert!(matches!(block_on(intake.next()), Ingest::End));
    }
}
