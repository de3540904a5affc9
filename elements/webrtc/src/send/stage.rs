//! What all viewers see: frames as packets, made once, and the group of pictures that has begun.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::StatusCode;
use millstream_core::meter::{Kind, Meter};
use millstream_core::{Buffer, Caps, Error, Time, TimeDelta};
use millstream_server::http::hyper;
use tokio::sync::{Notify, mpsc};

use super::Repair;
use super::adapt::{Adapt, Ways};
use crate::diagnose::Unreached;
use crate::http::Rejected;
use crate::packet::Packetizer;
use crate::session::{Codec, Format, Packet};

/// Units that wait for a viewer: some seconds of pictures and sound.
const MAX_WAITING: usize = 512;

/// Most bytes of the group that has begun. A stream whose groups are larger has none to begin with.
const MAX_GROUP: usize = 16 << 20;

/// Pictures without one that comes before its turn, after which a stream is taken to have none.
const SURE: u32 = 8;

/// The same where decoders and encoders have to begin first.
const SURE_REPAIRED: u32 = 200;

/// Bytes of G.711 in a packet: 20 ms, which RFC 3551 (4.5, table 1) has as default.
const G711_PACKET: usize = 160;

/// Viewers that were never reached, and are told of at a time.
const MAX_UNREACHED: usize = 16;

/// Seconds after which a stream may have begun.
const RETRY_LIVE: u32 = 2;

/// A frame, ready to be sent.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) codec: Codec,
    pub(super) packets: Vec<Packet>,
    /// Its time on the timeline.
    pub(super) pts: Time,
    /// The same moment on the clock.
    pub(super) at: Time,
    pub(super) is_key: bool,
    /// Its number among those of its track: one that is missing was lost on the way to a viewer.
    pub(super) number: u32,
}

/// Why nobody can see a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Pictures are shown in another order than they come.
    Reordered,
    /// Sound of this media type.
    Sound(String),
}

impl Trouble {
    fn text(&self, repair: Repair) -> String {
        let (what, advice) = match self {
            Self::Reordered => (
                "The stream has B-frames, which WebRTC does not carry.".to_owned(),
                "Its encoder has to leave them out (`-bf 0`, `tune=zerolatency`), or `repair: transcode` has to encode it anew.",
            ),
            Self::Sound(media) => (
                format!("The sound of the stream is {media}, which WebRTC does not carry."),
                "Set `repair: transcode`, which makes Opus of AAC, or `repair: drop-audio`.",
            ),
        };
        match repair {
            Repair::Transcode => format!("{what} {NEEDS_PLUGIN}"),
            _ => format!("{what} {advice}"),
        }
    }
}

/// Why `repair: transcode` does not help.
pub(super) const NEEDS_PLUGIN: &str =
    "To encode it anew `repair: transcode` needs the GStreamer plugin, which is not there.";

#[derive(Default)]
struct Track {
    is_linked: bool,
    codec: Option<Codec>,
    packetizer: Option<Packetizer>,
    /// Latest time of a picture, and pictures since.
    latest: Option<Time>,
    seen: u32,
    /// It has ended, and may begin anew.
    is_over: bool,
}

#[derive(Default)]
struct Now {
    video: Track,
    audio: Track,
    trouble: Option<Trouble>,
    group: Vec<Arc<Unit>>,
    group_bytes: usize,
    viewers: HashMap<u64, mpsc::Sender<Arc<Unit>>>,
    ways: Ways,
    next: u64,
    /// Viewers that were never reached, to be told of.
    unreached: Vec<Unreached>,
    is_over: bool,
}

impl Now {
    fn track(&mut self, kind: Kind) -> &mut Track {
        if kind == Kind::Video { &mut self.video } else { &mut self.audio }
    }
}

/// What all viewers see.
pub(crate) struct Stage {
    now: Mutex<Now>,
    repair: Repair,
    caches: bool,
    meter: Arc<Meter>,
    /// Somebody wants a key frame, or a viewer has come or gone.
    wanted: AtomicBool,
    pub(super) changed: Notify,
    /// What the stream is made of has changed.
    settled: Notify,
    /// Who is served is a server, and not players that are to be counted.
    is_for_one: bool,
    version: AtomicU64,
}

impl Stage {
    pub(crate) fn new(repair: Repair, caches: bool, [video, audio]: [bool; 2], meter: Arc<Meter>) -> Self {
        let mut now = Now::default();
        (now.video.is_linked, now.audio.is_linked) = (video, audio);
        let wanted = AtomicBool::new(false);
        let (changed, settled) = (Notify::new(), Notify::new());
        let version = AtomicU64::new(0);
        Self { now: Mutex::new(now), repair, caches, meter, wanted, changed, settled, is_for_one: false, version }
    }

    /// The same that asks for a bitrate by these viewers.
    pub(crate) fn adapts(self, adapt: Adapt) -> Self {
        self.lock().ways = Ways::new(adapt);
        self
    }

    /// The same for a server instead of players.
    pub(crate) fn for_one(self) -> Self {
        Self { is_for_one: true, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What trouble is told as.
    pub(super) fn text(&self, trouble: &Trouble) -> String {
        trouble.text(self.repair)
    }

    /// Whether everything is encoded anew that has to be.
    pub(super) fn transcodes(&self) -> bool {
        self.repair == Repair::Transcode
    }

    /// The format of a track. Trouble that is new is given back.
    pub(super) fn caps(&self, kind: Kind, caps: &Caps) -> Option<Trouble> {
        let codec = Codec::ALL.into_iter().find(|codec| codec.kind() == kind && codec.media() == caps.media());
        let mut now = self.lock();
        let track = now.track(kind);
        if track.codec != codec || codec.is_none() {
            let is_linked = track.is_linked;
            *track = Track { is_linked, codec, packetizer: codec.map(Packetizer::new), ..Track::default() };
            if kind == Kind::Video {
                (now.group, now.group_bytes) = (Vec::new(), 0);
            }
        }
        self.settled.notify_waiters();
        if codec.is_some() || self.repair == Repair::DropAudio {
            return None;
        }
        let trouble = Trouble::Sound(name_of(caps));
        (now.trouble.replace(trouble.clone()).as_ref() != Some(&trouble)).then_some(trouble)
    }

    /// A stream begins: what was wrong with the one before is forgotten.
    pub(super) fn begin(&self, kind: Kind) {
        let mut now = self.lock();
        let is_its = |trouble: &Trouble| matches!(trouble, Trouble::Reordered) == (kind == Kind::Video);
        if now.trouble.as_ref().is_some_and(is_its) {
            now.trouble = None;
        }
        let track = now.track(kind);
        (track.latest, track.is_over) = (None, false);
    }

    /// The pictures or the sound have ended, the other not.
    pub(super) fn ended(&self, kind: Kind) {
        self.lock().track(kind).is_over = true;
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are pictures or sound to be sent.
    pub(super) fn has(&self, kind: Kind) -> bool {
        let mut now = self.lock();
        let track = now.track(kind);
        track.codec.is_some() && !track.is_over
    }

    /// Another number when something has ended.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// The codecs of the stream, for who wants to see it: pictures and sound.
    pub(super) fn codecs(&self) -> Result<(Option<Codec>, Option<Codec>), Rejected> {
        let now = self.lock();
        if let Some(trouble) = &now.trouble {
            return Err(Rejected::new(StatusCode::UNPROCESSABLE_ENTITY, self.text(trouble)));
        }
        let begins = |track: &Track| !track.is_linked || track.is_over || track.codec.is_some();
        let codec = |track: &Track| track.codec.filter(|_| !track.is_over);
        let codecs = (codec(&now.video), codec(&now.audio));
        let is_begun = match self.repair {
            Repair::DropAudio if now.video.is_linked => begins(&now.video),
            repair => {
                let sure = if repair == Repair::Transcode { SURE_REPAIRED } else { SURE };
                begins(&now.video) && begins(&now.audio) || now.video.seen > sure || now.audio.seen > sure
            }
        };
        if now.is_over || !is_begun || codecs == (None, None) {
            return Err(Rejected::new(StatusCode::CONFLICT, "The stream has not begun.").retry_after(RETRY_LIVE));
        }
        Ok(codecs)
    }

    /// Which of these the pictures or the sound are sent in: of those that they are in the one that says most exactly what they are.
    pub(super) fn choose(&self, kind: Kind, formats: &[Format]) -> Option<Format> {
        let mut now = self.lock();
        let track = now.track(kind);
        let (codec, profile) = (track.codec?, track.packetizer.as_ref().and_then(Packetizer::profile));
        let usable = formats.iter().filter(|format| format.codec == codec && format.splits);
        usable.min_by_key(|format| profile.map_or(0, |profile| format.distance(profile))).copied()
    }

    /// A frame for all viewers. Trouble that is new is given back; false where the frame could not be sent.
    pub(super) fn push(&self, kind: Kind, buffer: &Buffer, at: Time) -> Result<bool, Trouble> {
        let Some(pts) = buffer.pts.or(buffer.dts) else { return Ok(false) };
        let (mut units, now) = (Vec::new(), &mut *self.lock());
        if now.trouble.is_some() {
            return Ok(false);
        }
        let track = now.track(kind);
        let (Some(codec), Some(packetizer)) = (track.codec, &mut track.packetizer) else { return Ok(false) };
        if kind == Kind::Video && track.latest.is_some_and(|latest| pts < latest) {
            now.trouble = Some(Trouble::Reordered);
            now.viewers.clear();
            self.meter.players(0);
            self.settled.notify_waiters();
            return Err(Trouble::Reordered);
        }
        track.latest = Some(pts);
        let was_sure = track.seen > SURE;
        let data: Bytes = buffer.payload.contiguous();
        let is_key = kind == Kind::Audio || buffer.is_keyframe();
        self.meter.codec(kind, codec.name());
        self.meter.frame(kind, is_key, data.len(), pts.millis() as u32);
        for (after, part) in parts(codec, &data) {
            let packets = packetizer.packets(&part, is_key);
            track.seen = track.seen.wrapping_add(1);
            if !packets.is_empty() {
                let (pts, at) = (pts + after, at + after);
                units.push((Arc::new(Unit { codec, packets, pts, at, is_key, number: track.seen }), part.len()));
            }
        }
        if !was_sure && track.seen > SURE {
            self.settled.notify_waiters();
        }
        let is_sent = !units.is_empty();
        for (unit, bytes) in units {
            if kind == Kind::Video && self.caches {
                now.keep(&unit, bytes);
            }
            // Who is behind loses it, and sees that it has.
            now.viewers.retain(|_, viewer| {
                !matches!(viewer.try_send(unit.clone()), Err(mpsc::error::TrySendError::Closed(_)))
            });
        }
        Ok(is_sent)
    }

    /// A place in the audience: what has begun, and what comes from now on.
    pub(super) fn join(self: &Arc<Self>) -> Seat {
        let (sender, units) = mpsc::channel(MAX_WAITING);
        let mut now = self.lock();
        let id = now.next;
        now.next += 1;
        if !now.is_over {
            now.viewers.insert(id, sender);
        }
        self.count(&now);
        Seat { stage: self.clone(), id, units }
    }

    /// Whether a server is served, and no players.
    pub(super) fn is_for_one(&self) -> bool {
        self.is_for_one
    }

    fn count(&self, now: &Now) {
        if !self.is_for_one {
            self.meter.players(now.viewers.len());
            self.changed.notify_one();
        }
    }

    /// The codecs of the stream, once it has begun; nothing when it is over.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub(super) async fn begun(&self) -> Result<Option<(Option<Codec>, Option<Codec>)>, Error> {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let now = self.lock();
                if let Some(trouble) = &now.trouble {
                    return Err(Error::unsupported(trouble.text(self.repair)));
                }
                if now.is_over {
                    return Ok(None);
                }
            }
            if let Ok(codecs) = self.codecs() {
                return Ok(Some(codecs));
            }
            settled.await;
        }
    }

    /// Viewers that are there.
    pub(super) fn viewers(&self) -> usize {
        self.lock().viewers.len()
    }

    /// The group that has begun.
    pub(super) fn group(&self) -> Vec<Arc<Unit>> {
        self.lock().group.clone()
    }

    /// A viewer was never reached.
    pub(super) fn unreached(&self, viewer: Unreached) {
        let mut now = self.lock();
        // Where many are not, a few tell enough.
        if now.unreached.len() < MAX_UNREACHED {
            now.unreached.push(viewer);
        }
        self.changed.notify_one();
    }

    /// Those that were not told of so far.
    pub(super) fn take_unreached(&self) -> Vec<Unreached> {
        std::mem::take(&mut self.lock().unreached)
    }

    /// A key frame is wanted.
    pub(super) fn want_key(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Whether one was wanted since this was asked.
    pub(super) fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }

    /// The bitrate that is to be asked for now, in bits a second.
    pub(super) fn take_bitrate(&self, now: Time) -> Option<u64> {
        self.lock().ways.wish(now)
    }

    /// The stream is over, for everybody.
    pub(crate) fn end(&self) {
        let mut now = self.lock();
        now.is_over = true;
        now.viewers.clear();
        self.meter.players(0);
        self.settled.notify_waiters();
    }
}

impl Now {
    fn keep(&mut self, unit: &Arc<Unit>, bytes: usize) {
        if unit.is_key {
            (self.group, self.group_bytes) = (Vec::new(), 0);
        } else if self.group.is_empty() {
            return;
        }
        self.group_bytes += bytes;
        match self.group_bytes <= MAX_GROUP {
            true => self.group.push(unit.clone()),
            false => self.group = Vec::new(),
        }
    }
}

/// What goes into packets of its own, and how much later: G.711 comes in any amount, and receivers expect little at a time (RFC 3551, 4.2).
fn parts(codec: Codec, data: &Bytes) -> impl Iterator<Item = (TimeDelta, Bytes)> {
    let is_g711 = matches!(codec, Codec::Pcmu | Codec::Pcma);
    let size = if is_g711 { G711_PACKET } else { data.len().max(1) };
    (0..data.len().div_ceil(size)).map(move |index| {
        let from = index * size;
        let samples = i64::try_from(from).unwrap_or(i64::MAX);
        let after = if is_g711 { TimeDelta::from_ticks(samples, codec.rate()) } else { TimeDelta::ZERO };
        (after, data.slice(from..data.len().min(from + size)))
    })
}

/// What people call a format.
fn name_of(caps: &Caps) -> String {
    use millstream_core::caps::{field, media};
    match (caps.media(), caps.int(field::MPEG_VERSION)) {
        (media::MPEG_AUDIO, Some(2 | 4)) => "AAC".to_owned(),
        (media::MPEG_AUDIO, _) => "MPEG audio".to_owned(),
        (media, _) => media.to_owned(),
    }
}

/// A viewer's place.
pub(super) struct Seat {
    stage: Arc<Stage>,
    id: u64,
    units: mpsc::Receiver<Arc<Unit>>,
}

impl Seat {
    /// The next frame; nothing when the stream is over.
    pub(super) async fn next(&mut self) -> Option<Arc<Unit>> {
        self.units.recv().await
    }

    /// Forgets what waits: the viewer begins anew.
    pub(super) fn skip(&mut self) {
        while self.units.try_recv().is_ok() {}
    }

    /// What the way to the viewer bears, in bits a second.
    pub(super) fn bears(&self, bits: u64) {
        self.stage.lock().ways.bears(self.id, bits);
        self.stage.changed.notify_one();
    }

    pub(super) fn stage(&self) -> &Arc<Stage> {
        &self.stage
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut now = self.stage.lock();
        now.viewers.remove(&self.id);
        now.ways.left(self.id);
        self.stage.count(&now);
    }
}
