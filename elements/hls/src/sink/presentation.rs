//! Segments and playlist in step: what both shapes of `hlssink` share.

use bytes::Bytes;
use millstream_core::meter::Meter;
use millstream_core::{Env, Error, MessageKind, Output, Result, Time, TimeDelta};
use millstream_server::http::Slices;

use super::describe::Description;
use super::multivariant::Rendition;
use super::serve::Serving;
use super::settings::Plan;
use super::store::{SegmentFile, Store};
use crate::playlist::{MediaSegment, PlaylistType};
use crate::segmenter::{Cause, Cut};
use crate::window::Window;

/// A playlist that only grows is written at most this often, or file jobs would spend their time on it.
const PUBLISH_INTERVAL: TimeDelta = TimeDelta::from_millis(500);

/// A presentation on disk.
pub(super) struct Presentation {
    plan: Plan,
    env: Env,
    store: Store,
    window: Option<Window>,
    open: Option<Open>,
    /// The next segment does not go on from the one before.
    discontinuity: bool,
    /// Wall-clock time at the start of the next segment, as far as the timeline tells.
    next_wall: Option<Time>,
    published: Option<Time>,
    dirty: bool,
    warned: Vec<&'static str>,
    serving: Option<Serving>,
    /// Its place in a Multivariant Playlist.
    rendition: Option<Rendition>,
}

/// The segment that is being written.
struct Open {
    sequence: u64,
    file: SegmentFile,
    discontinuity: bool,
    wall: Option<Time>,
    /// What was written, if it is served.
    content: Slices,
}

impl Presentation {
    pub(super) fn new(plan: Plan, env: Env) -> Self {
        Self {
            rendition: plan.listed.as_ref().map(|listed| Rendition::join(&plan, listed, &env)),
            store: Store::new(plan.clone(), env.fs.clone()),
            plan,
            env,
            window: None,
            open: None,
            discontinuity: false,
            next_wall: None,
            published: None,
            dirty: false,
            warned: Vec::new(),
            serving: None,
        }
    }

    /// Makes the directory and begins to listen, so that it fails early where it cannot work.
    pub(super) fn start(&mut self, out: &mut Output) -> Result<()> {
        self.store.create_directory()?;
        if let Some(place) = &self.plan.place {
            let serving = Serving::start(&self.plan, place, &self.env, out)?;
            if let (Some(rendition), Some(path)) =
                (&self.rendition, self.plan.listed.as_ref().and_then(|l| l.path.as_ref()))
            {
                rendition.serve(serving.server(), path, out).map_err(|error| error.on_property("path"))?;
            }
            self.serving = Some(serving);
        }
        Ok(())
    }

    /// Appends to the open segment, or begins one.
    pub(super) fn write(&mut self, block: &Bytes, out: &mut Output) -> Result<()> {
        self.begin(out)?;
        let Some(open) = &mut self.open else { return Err(Error::bug("no segment is open")) };
        if self.serving.is_some() {
            open.content.push(block.clone());
        }
        self.store.write(&mut open.file, block)
    }

    /// Whether it wants to know what its streams are.
    pub(super) fn is_rendition(&self) -> bool {
        self.rendition.is_some()
    }

    /// What a pad brings.
    pub(super) fn describe(&mut self, pad: usize, stream: Description) {
        if let Some(rendition) = &mut self.rendition {
            rendition.describe(pad, stream);
        }
    }

    /// The counters, if it is served.
    pub(super) fn meter(&self) -> Option<&Meter> {
        self.serving.as_ref().map(Serving::meter)
    }

    /// Begins a segment if none is open, at the time of its first frame.
    pub(super) fn begin(&mut self, out: &mut Output) -> Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let sequence = self.window(out)?.playlist().next_sequence();
        let discontinuity = std::mem::take(&mut self.discontinuity);
        let wall = self.plan.program_date_time.then(|| self.wall(discontinuity));
        let file = self.store.create(sequence)?;
        self.open = Some(Open { sequence, file, discontinuity, wall, content: Slices::default() });
        Ok(())
    }

    /// Goes on along the timeline; behind a discontinuity the clock counts again, but never backward.
    fn wall(&self, discontinuity: bool) -> Time {
        let now = self.env.clock.wall();
        match self.next_wall {
            Some(next) if discontinuity => now.max(next),
            Some(next) => next,
            None => now,
        }
    }

    /// The window over the playlist; looks for an earlier run when it is wanted first.
    fn window(&mut self, out: &mut Output) -> Result<&mut Window> {
        if self.window.is_none() {
            let (found, unreadable) = self.store.find()?;
            if let Some(error) = unreadable {
                out.warn(error);
            }
            let had_playlist = found.playlist.is_some();
            let (window, obsolete, discontinuity) = Window::resume(self.plan.playlist(), self.plan.window, found);
            if had_playlist && window.playlist().segments().is_empty() {
                self.store.delete_playlist()?;
            }
            if self.plan.delete_segments {
                self.store.delete(&obsolete)?;
            }
            self.discontinuity |= discontinuity;
            self.next_wall = end_on_the_wall(&window);
            self.window = Some(window);
        }
        self.window.as_mut().ok_or_else(|| Error::bug("no window"))
    }

    /// The open segment is whole: names it, lists it, deletes what has left.
    pub(super) fn end_segment(&mut self, cut: Cut, out: &mut Output) -> Result<()> {
        self.warn_of(cut.cause, out);
        self.discontinuity |= cut.cause == Cause::Discontinuity;
        let Some(Open { sequence, file, discontinuity, wall, content }) = self.open.take() else { return Ok(()) };
        let bytes = file.bytes;
        self.store.finish(file)?;
        if let Some(serving) = &self.serving {
            serving.segment(sequence, content);
        }
        if let Some(rendition) = &mut self.rendition {
            rendition.segment(bytes, cut.duration);
        }
        let uri = self.plan.segment_name.uri(sequence);
        post(out, &uri, sequence, cut.duration, bytes);
        let segment = MediaSegment {
            uri,
            duration: cut.duration,
            discontinuity,
            program_date_time: wall,
            ..MediaSegment::default()
        };
        self.next_wall = wall.map(|wall| wall + cut.duration);
        let gone = self.window(out)?.push(segment);
        self.dirty = true;
        if self.next_publish().is_some_and(|due| due <= self.env.clock.now()) {
            self.publish()?;
        }
        if self.plan.delete_segments {
            self.store.delete(&gone)?;
        }
        Ok(())
    }

    /// When the playlist has to be written, if it is not up to date.
    pub(super) fn next_publish(&self) -> Option<Time> {
        if !self.dirty || self.plan.kind == PlaylistType::Vod {
            return None;
        }
        match self.published {
            Some(last) if self.plan.window.is_none() => Some(last + PUBLISH_INTERVAL),
            _ => Some(Time::MIN),
        }
    }

    /// Writes the playlist as it is.
    pub(super) fn publish(&mut self) -> Result<()> {
        let Some(window) = &self.window else { return Ok(()) };
        let playlist = window.playlist();
        let header = playlist.header();
        let text = [header.as_bytes(), playlist.body().as_bytes(), playlist.footer().as_bytes()];
        self.store.publish(&text)?;
        if let Some(serving) = &self.serving {
            serving.playlist(text.concat().into());
        }
        self.published = Some(self.env.clock.now());
        self.dirty = false;
        self.rendition.as_mut().map_or(Ok(()), Rendition::published)
    }

    /// The end: nothing will follow.
    pub(super) fn finish(&mut self, out: &mut Output) -> Result<()> {
        match &mut self.window {
            Some(window) => window.end(),
            None => out
                .warn(Error::malformed("no media came, so there is no playlist").hint("does the input have streams?")),
        }
        self.publish()?;
        let all = self.rendition.as_mut().and_then(Rendition::finish);
        if let Some(serving) = self.serving.take() {
            let longest = self.window.as_ref().map_or(TimeDelta::ZERO, |window| window.playlist().duration());
            serving.finish(&self.env, longest, all);
        }
        Ok(())
    }

    /// Something failed: leaves what is whole as a valid presentation, and gives the failure back.
    pub(super) fn fail(&mut self, error: Error) -> Error {
        if let Some(open) = self.open.take() {
            self.store.abandon(open.file);
        }
        if self.dirty {
            if let Some(window) = self.window.as_mut().filter(|_| self.plan.kind == PlaylistType::Vod) {
                window.end();
            }
            // The first failure is the one to tell.
            let _ = self.publish();
        }
        error
    }

    /// Posts a warning, the first time that its kind occurs.
    pub(super) fn warn_once(&mut self, kind: &'static str, out: &mut Output, error: impl FnOnce() -> Error) {
        if !self.warned.contains(&kind) {
            self.warned.push(kind);
            out.warn(error());
        }
    }

    fn warn_of(&mut self, cause: Cause, out: &mut Output) {
        let target = self.plan.target_duration;
        match cause {
            Cause::NoKeyFrame => self.warn_once("no key frame", out, || {
                let text = format!("no key frame within {target} s (EXT-X-TARGETDURATION): segments begin without one");
                Error::malformed(text)
                    .hint("make the encoder's key frame interval shorter, or set target-duration higher")
            }),
            Cause::Silence => self.warn_once("silence", out, || {
                Error::malformed("the leading stream made a pause: segments begin with another stream meanwhile")
            }),
            Cause::KeyFrame | Cause::Discontinuity | Cause::End => {}
        }
    }

    /// The error for a group of pictures that independent segments cannot hold.
    pub(super) fn too_long(&self) -> Error {
        let target = self.plan.target_duration;
        Error::limit(format!("no key frame within {target} s, and independent-segments needs one"))
            .hint("set target-duration higher, make the key frame interval shorter, or leave independent-segments out")
    }
}

/// Where the listed segments end on the wall clock, if the last one says when it began.
fn end_on_the_wall(window: &Window) -> Option<Time> {
    let last = window.playlist().segments().back()?;
    last.program_date_time.map(|start| start + last.duration)
}

fn post(out: &mut Output, uri: &str, sequence: u64, duration: TimeDelta, bytes: u64) {
    let fields = vec![
        ("uri", uri.to_owned()),
        ("sequence", sequence.to_string()),
        ("duration", format!("{:.6}", duration.seconds())),
        ("bytes", bytes.to_string()),
    ];
    out.post(MessageKind::Element { name: "hls-segment", fields });
}
