//! The sink's side of a feed: from the pipeline to the players, whatever they speak.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use millstream_core::env::Timer;
use millstream_core::meter::Meter;
use millstream_core::{Buffer, Env, Error, Item, MessageKind, Result, SinkCx, TimeDelta};

use super::restart::Restart;
use super::{Feed, FeedEntry, Hold, count};
use crate::wire::{FlvReader, Tag, TagKind};

/// How long players may take to be sent the end.
const FAREWELL: TimeDelta = TimeDelta::from_secs(2);
/// How often to look whether they have been.
const FAREWELL_STEP: TimeDelta = TimeDelta::from_millis(10);

/// Why players miss tags.
/// Pictures that no other needs, of who was somewhat behind.
const THINNED: &str = "slow player, disposable";
/// Everything up to the newest key frame.
const SKIPPED: &str = "slow player";

/// A sink that feeds players, while it runs.
pub struct Serving<E, F> {
    cx: SinkCx,
    feed: Arc<Feed<E>>,
    hold: Hold,
    timer: Timer,
    reader: FlvReader,
    entry: F,
    /// How many players were told of.
    players: usize,
    meter: Option<Arc<Meter>>,
    restart: Restart,
}

enum Event {
    /// An item, or the end.
    Item(Option<Item>),
    /// What was held is to go out.
    Due,
    /// A player joined or left.
    Players,
}

impl<E: FeedEntry, F: FnMut(Tag) -> Option<E>> Serving<E, F> {
    /// Feeds what comes on the pad; `entry` makes what players get of a tag.
    pub fn new(cx: SinkCx, feed: Arc<Feed<E>>, hold: Hold, entry: F) -> Self {
        Self {
            cx,
            feed,
            hold,
            timer: Timer::default(),
            reader: FlvReader::new(),
            entry,
            players: 0,
            meter: None,
            restart: Restart::default(),
        }
    }

    /// Counts what comes and who is there, too.
    #[must_use]
    pub fn metered(self, meter: Arc<Meter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// Whether players' timestamps begin at 0 again behind a break (`discont`).
    pub fn restart_timestamps(&mut self, restarts: bool) {
        self.restart.wanted = restarts;
    }

    /// The outside.
    pub fn env(&self) -> &Env {
        &self.cx.env
    }

    /// Serves until the stream ends. The feed is not ended yet.
    ///
    /// # Errors
    /// When what comes is no FLV.
    pub async fn run(&mut self) -> Result<()> {
        loop {
            match self.next().await {
                Event::Item(None) => return Ok(()),
                Event::Item(Some(item)) => self.item(&item)?,
                Event::Due => {
                    self.hold.told();
                    self.feed.wake();
                }
                Event::Players => self.count_players(),
            }
            self.count_missed();
        }
    }

    /// Asks players to move, and waits until they have, as long as `limit`. Empty is where they are.
    pub async fn drain(&mut self, to: &str, limit: TimeDelta) {
        self.feed.move_on(to);
        self.until_left(limit).await;
    }

    /// Ends the feed, and lets players read to the end.
    pub async fn farewell(&mut self) {
        self.feed.end();
        self.until_left(FAREWELL).await;
    }

    async fn until_left(&mut self, limit: TimeDelta) {
        let clock = self.cx.env.clock.clone();
        let until = clock.now() + limit;
        while self.feed.players() > 0 && clock.now() < until {
            clock.sleep_until(clock.now() + FAREWELL_STEP).await;
        }
        self.count_missed();
    }

    /// What players missed is known when they go on.
    fn count_missed(&mut self) {
        let missed = self.feed.take_missed();
        for (reason, count) in [(THINNED, missed.thinned), (SKIPPED, missed.skipped)] {
            if count > 0 {
                self.cx.tell(|out| (0..count).for_each(|_| out.dropped(reason, 0, None)));
                if let Some(meter) = &self.meter {
                    meter.dropped(reason, count);
                }
            }
        }
    }

    fn count_players(&mut self) {
        let now = self.feed.players();
        if std::mem::replace(&mut self.players, now) != now {
            if let Some(meter) = &self.meter {
                meter.players(now);
            }
            let fields = vec![("count", now.to_string())];
            self.cx.tell(|out| out.post(MessageKind::Element { name: "players", fields }));
        }
    }

    async fn next(&mut self) -> Event {
        let Self { cx, feed, hold, timer, .. } = self;
        let clock = cx.env.clock.clone();
        let mut received = pin!(cx.recv());
        poll_fn(|task| {
            if let Poll::Ready(item) = received.as_mut().poll(task) {
                return Poll::Ready(Event::Item(item.map(|(_, item)| item)));
            }
            if timer.poll_until(hold.due(), &*clock, task).is_ready() {
                return Poll::Ready(Event::Due);
            }
            feed.poll_news(task).map(|()| Event::Players)
        })
        .await
    }

    fn item(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Buffer(buffer) => self.buffer(buffer)?,
            Item::StreamStart(_) | Item::Flush(_) => self.reader = FlvReader::new(),
            _ => {}
        }
        Ok(())
    }

    fn buffer(&mut self, buffer: &Buffer) -> Result<()> {
        self.restart.buffer(buffer);
        buffer.payload.slices().iter().for_each(|slice| self.reader.push(slice.clone()));
        while let Some(tag) = self.reader.next().map_err(|error| Error::malformed(error.to_string()))? {
            if let Some(meter) = &self.meter {
                count(meter, tag.kind, &tag.body, tag.timestamp);
            }
            if let Some(entry) = (self.entry)(self.restart.place(tag)) {
                let is_audio = entry.kind() == TagKind::Audio;
                let quiet = self.hold.holds(is_audio, self.feed.has_video(), self.cx.env.clock.now());
                self.feed.push(entry, quiet);
            }
        }
        Ok(())
    }
}
