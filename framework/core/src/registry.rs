//! What is known of an element before it runs, and the list of all elements.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use crate::caps::CapsSet;
use crate::detour::DetoursFn;
use crate::element::{Element, PadId};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::settings::{AnySettings, SettingsDecl};
use crate::template::{Seat, TemplateDecl, TemplateSource};
use crate::time::{Time, TimeDelta};
use crate::wake::WakeHandle;

/// Which way items go through a pad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Into the element.
    Sink,
    /// Out of the element.
    Src,
}

/// When a pad exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// From the start; has to be linked.
    Always,
    /// When the input turns out to have such a stream; may be left unlinked, and becomes absent if there is none.
    Sometimes,
    /// When a link asks for it.
    Request,
}

/// A kind of pad that an element has.
#[derive(Clone, Debug)]
pub struct PadTemplate {
    /// Name, or a pattern with one `%u` for a number or `%s` for a word (`src_%u`).
    pub name: &'static str,
    /// Which way.
    pub direction: Direction,
    /// When it exists.
    pub presence: Presence,
    /// What it accepts or may offer.
    pub caps: CapsSet,
    /// Source: writes byte segments that go back if the other end can. Sink: can rewrite what came before.
    pub random_write: bool,
    /// One sentence, where the name does not say it all.
    pub doc: &'static str,
}

impl PadTemplate {
    /// A sink pad that always exists. `caps` in GStreamer's text form.
    ///
    /// # Panics
    /// When `caps` cannot be read: a mistake in the program that its first run shows.
    pub fn sink(name: &'static str, caps: &str) -> Self {
        Self::new(name, Direction::Sink, caps)
    }

    /// A source pad that always exists. `caps` in GStreamer's text form.
    ///
    /// # Panics
    /// As [`PadTemplate::sink`].
    pub fn src(name: &'static str, caps: &str) -> Self {
        Self::new(name, Direction::Src, caps)
    }

    fn new(name: &'static str, direction: Direction, caps: &str) -> Self {
        let caps = caps.parse().unwrap_or_else(|e| panic!("caps of pad template {name}: {e}"));
        Self { name, direction, presence: Presence::Always, caps, random_write: false, doc: "" }
    }

    /// Exists when the input has such a stream.
    pub fn sometimes(self) -> Self {
        Self { presence: Presence::Sometimes, ..self }
    }

    /// Exists when a link asks for it.
    pub fn request(self) -> Self {
        Self { presence: Presence::Request, ..self }
    }

    /// See [`PadTemplate::random_write`].
    pub fn random_write(self) -> Self {
        Self { random_write: true, ..self }
    }

    /// Adds a sentence.
    pub fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    /// True when `name` is this pad or fits its pattern.
    pub fn matches(&self, name: &str) -> bool {
        if let Some((head, tail)) = self.name.split_once("%u") {
            let number = name.strip_prefix(head).and_then(|n| n.strip_suffix(tail));
            return number.is_some_and(|n| n.parse::<u16>().is_ok());
        }
        match self.name.split_once("%s") {
            Some((head, tail)) => {
                let word = name.strip_prefix(head).and_then(|n| n.strip_suffix(tail));
                word.is_some_and(|w| !w.is_empty())
            }
            None => self.name == name,
        }
    }
}

/// What an element's calls may do to the thread they run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Blocking {
    /// Nothing: short computations.
    #[default]
    None,
    /// Waits for files. Shares one thread with the chain it feeds or is fed by.
    Io,
    /// Burns processor time. Has a thread of its own.
    Compute,
}

/// Something that only one element of a pipeline can have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Writes this file.
    WritesFile(PathBuf),
    /// Owns this directory.
    WritesDir(PathBuf),
    /// Listens here.
    Listens(String),
}

/// Media capabilities of an element that `check` and the planner use.
type BuildFn = dyn Fn(AnySettings, &BuildCx) -> Result<Element> + Send + Sync;
type LiveFn = dyn Fn(&(dyn Any + Send + Sync)) -> bool + Send + Sync;
type ResourcesFn = dyn Fn(&(dyn Any + Send + Sync)) -> Vec<Resource> + Send + Sync;
type CheckFn = dyn Fn(&(dyn Any + Send + Sync)) -> Result<()> + Send + Sync;
type CheckPadsFn = dyn Fn(&[&str], &[&str]) -> Result<()> + Send + Sync;
type TemplateFn = dyn Fn(&(dyn Any + Send + Sync)) -> Option<TemplateSource> + Send + Sync;
type CapsFn = dyn Fn(&(dyn Any + Send + Sync)) -> Option<CapsSet> + Send + Sync;

/// An element's public face: everything about it that can be said without running it.
#[derive(Clone)]
pub struct Factory {
    /// Name in pipelines.
    pub name: &'static str,
    /// GStreamer's classification, such as `Codec/Demuxer`.
    pub klass: &'static str,
    /// What it does, one line.
    pub summary: &'static str,
    /// What else a user should know; Markdown, may be empty.
    pub details: &'static str,
    /// A launch line that shows it, run by the tests.
    pub example: &'static str,
    /// Its pads.
    pub pads: Vec<PadTemplate>,
    /// Its settings.
    pub settings: SettingsDecl,
    /// What its calls do to their thread.
    pub blocking: Blocking,
    /// What comes in goes out with the same caps, on every pad.
    pub passthrough: bool,
    /// How much later its output comes than its input, when live.
    pub latency: TimeDelta,
    /// What it says about templates, if some of its settings make it a template source.
    pub template: Option<TemplateDecl>,
    /// An input that fails is one that is absent: the element goes on with the others.
    pub survives_lost_inputs: bool,
    /// It may be linked on one side only, where it could be on both: it is a source without inputs, and a sink without outputs.
    pub open_ended: bool,
    /// What it and neighbours of its kind become when a graph runs, so that what flows between them stays within another library.
    pub joined: Option<Arc<Self>>,
    build: Arc<BuildFn>,
    check: Arc<CheckFn>,
    check_pads: Arc<CheckPadsFn>,
    live: Arc<LiveFn>,
    resources: Arc<ResourcesFn>,
    caps: Arc<CapsFn>,
    rewrites: Arc<LiveFn>,
    template_source: Arc<TemplateFn>,
    pub(crate) detours: Option<Arc<DetoursFn>>,
}

impl Factory {
    /// A factory that builds an element from settings of type `S`.
    pub fn new<S>(
        name: &'static str,
        klass: &'static str,
        summary: &'static str,
        build: impl Fn(S, &BuildCx) -> Result<Element> + Send + Sync + 'static,
    ) -> Self
    where
        S: DeserializeOwned + schemars::JsonSchema + Send + Sync + 'static,
    {
        let build = move |settings: AnySettings, cx: &BuildCx| match settings.downcast::<S>() {
            Ok(settings) => build(*settings, cx),
            Err(_) => Err(Error::bug(format!("{name} was given settings of another element"))),
        };
        Self::with(name, klass, summary, SettingsDecl::of::<S>(), build)
    }

    /// A factory whose settings are described by a schema: see [`SettingsDecl::dynamic`].
    pub fn dynamic(
        name: &'static str,
        klass: &'static str,
        summary: &'static str,
        settings: SettingsDecl,
        build: impl Fn(serde_json::Value, &BuildCx) -> Result<Element> + Send + Sync + 'static,
    ) -> Self {
        let build = move |settings: AnySettings, cx: &BuildCx| match settings.downcast::<serde_json::Value>() {
            Ok(settings) => build(*settings, cx),
            Err(_) => Err(Error::bug(format!("{name} was given settings of another element"))),
        };
        Self::with(name, klass, summary, settings, build)
    }

    fn with(
        name: &'static str,
        klass: &'static str,
        summary: &'static str,
        settings: SettingsDecl,
        build: impl Fn(AnySettings, &BuildCx) -> Result<Element> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            klass,
            summary,
            details: "",
            example: "",
            pads: Vec::new(),
            settings,
            blocking: Blocking::None,
            passthrough: false,
            latency: TimeDelta::ZERO,
            template: None,
            survives_lost_inputs: false,
            open_ended: false,
            joined: None,
            build: Arc::new(build),
            check: Arc::new(|_| Ok(())),
            check_pads: Arc::new(|_, _| Ok(())),
            live: Arc::new(|_| false),
            resources: Arc::new(|_| Vec::new()),
            caps: Arc::new(|_| None),
            rewrites: Arc::new(|_| true),
            template_source: Arc::new(|_| None),
            detours: None,
        }
    }

    /// Adds a pad.
    pub fn pad(mut self, pad: PadTemplate) -> Self {
        self.pads.push(pad);
        self
    }

    /// Adds what else a user should know.
    pub fn details(self, details: &'static str) -> Self {
        Self { details, ..self }
    }

    /// Adds a launch line that shows it.
    pub fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Its calls wait for files.
    pub fn blocks_on_io(self) -> Self {
        Self { blocking: Blocking::Io, ..self }
    }

    /// Its calls burn processor time.
    pub fn burns_compute(self) -> Self {
        Self { blocking: Blocking::Compute, ..self }
    }

    /// What comes in goes out with the same caps.
    pub fn passthrough(self) -> Self {
        Self { passthrough: true, ..self }
    }

    /// How much later its output comes than its input, when live.
    pub fn latency(self, latency: TimeDelta) -> Self {
        Self { latency, ..self }
    }

    /// An input whose sender failed without ending its stream becomes absent, and the element goes on with the others. Without it the
    /// element fails with its input, because half of a stream must not look like a whole one. For aggregates.
    pub fn survives_lost_inputs(self) -> Self {
        Self { survives_lost_inputs: true, ..self }
    }

    /// See [`Factory::open_ended`].
    pub fn open_ended(self) -> Self {
        Self { open_ended: true, ..self }
    }

    /// Says which settings cannot work: each by itself is valid, but not beside the others. Asked when a pipeline is checked, and again
    /// before the element is built. Errors are [`Error::settings`], with [`Error::on_property`] where one property is to blame.
    pub fn checked<S: 'static>(self, check: impl Fn(&S) -> Result<()> + Send + Sync + 'static) -> Self {
        Self { check: Arc::new(move |any| any.downcast_ref().map_or(Ok(()), &check)), ..self }
    }

    /// Says which linked pads cannot work together: names of sink pads and of source pads. Asked as [`Factory::checked`] is.
    pub fn checked_pads(self, check: impl Fn(&[&str], &[&str]) -> Result<()> + Send + Sync + 'static) -> Self {
        Self { check_pads: Arc::new(check), ..self }
    }

    /// Says from the settings whether this source is live: it cannot be held back.
    pub fn live<S: 'static>(self, live: impl Fn(&S) -> bool + Send + Sync + 'static) -> Self {
        Self { live: Arc::new(move |any| any.downcast_ref().is_some_and(&live)), ..self }
    }

    /// Says from the settings what only one element may have.
    pub fn resources<S: 'static>(self, list: impl Fn(&S) -> Vec<Resource> + Send + Sync + 'static) -> Self {
        Self { resources: Arc::new(move |any| any.downcast_ref().map(&list).unwrap_or_default()), ..self }
    }

    /// Says from the settings what a pass-through element lets pass (`capsfilter`).
    pub fn caps_from<S: 'static>(self, caps: impl Fn(&S) -> Option<CapsSet> + Send + Sync + 'static) -> Self {
        Self { caps: Arc::new(move |any| any.downcast_ref().and_then(&caps)), ..self }
    }

    /// Says from the settings whether a pad that can rewrite what came before does so here (not on a pipe).
    pub fn rewrites_if<S: 'static>(self, can: impl Fn(&S) -> bool + Send + Sync + 'static) -> Self {
        Self { rewrites: Arc::new(move |any| any.downcast_ref().is_some_and(&can)), ..self }
    }

    /// Says from the settings whether this element makes its pipeline a template, see [`crate::template`].
    pub fn template_source<S: 'static>(
        self,
        decl: TemplateDecl,
        source: impl Fn(&S) -> Option<TemplateSource> + Send + Sync + 'static,
    ) -> Self {
        let template_source: Arc<TemplateFn> = Arc::new(move |any| any.downcast_ref().and_then(&source));
        Self { template: Some(decl), template_source, ..self }
    }

    /// What makes a template of the pipeline of an element with these settings.
    pub fn as_template(&self, settings: &(dyn Any + Send + Sync)) -> Option<TemplateSource> {
        (self.template_source)(settings)
    }

    /// True when pads marked [`PadTemplate::random_write`] can rewrite with these settings.
    pub fn can_rewrite(&self, settings: &(dyn Any + Send + Sync)) -> bool {
        (self.rewrites)(settings)
    }

    /// Builds the element from settings that [`Factory::settings`] parsed.
    ///
    /// # Errors
    /// What [`Factory::check_settings`] and [`Factory::check_pads`] say, and what only building can find.
    pub fn build(&self, settings: AnySettings, cx: &BuildCx) -> Result<Element> {
        let names = |pads: &[LinkedPad]| pads.iter().map(|pad| pad.name.clone()).collect::<Vec<_>>();
        let (sinks, srcs) = (names(&cx.sinks), names(&cx.srcs));
        let [sinks, srcs] = [&sinks, &srcs].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        let checked = self.check_settings(&*settings).and_then(|()| self.check_pads(&sinks, &srcs));
        checked.and_then(|()| (self.build)(settings, cx)).map_err(|e| e.in_element(&cx.name))
    }

    /// Whether settings can work together, as far as the element says before it is built.
    ///
    /// # Errors
    /// Of kind [`crate::ErrorKind::Settings`].
    pub fn check_settings(&self, settings: &(dyn Any + Send + Sync)) -> Result<()> {
        (self.check)(settings)
    }

    /// Whether linked sink and source pads can work together, as far as the element says before it is built.
    ///
    /// # Errors
    /// Of kind [`crate::ErrorKind::Settings`].
    pub fn check_pads(&self, sinks: &[&str], srcs: &[&str]) -> Result<()> {
        (self.check_pads)(sinks, srcs)
    }

    /// True when these settings make a live source.
    pub fn is_live(&self, settings: &(dyn Any + Send + Sync)) -> bool {
        (self.live)(settings)
    }

    /// What only one element may have.
    pub fn exclusive(&self, settings: &(dyn Any + Send + Sync)) -> Vec<Resource> {
        (self.resources)(settings)
    }

    /// What these settings restrict a pass-through element to.
    pub fn restricts_to(&self, settings: &(dyn Any + Send + Sync)) -> Option<CapsSet> {
        (self.caps)(settings)
    }

    /// The template of a pad name, in a direction.
    pub fn template(&self, direction: Direction, pad: &str) -> Option<&PadTemplate> {
        self.pads.iter().find(|t| t.direction == direction && t.matches(pad))
    }

    /// Pads of one direction.
    pub fn templates(&self, direction: Direction) -> impl Iterator<Item = &PadTemplate> {
        self.pads.iter().filter(move |t| t.direction == direction)
    }
}

impl std::fmt::Debug for Factory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Factory({})", self.name)
    }
}

/// A pad that a link uses.
#[derive(Clone, Debug)]
pub struct LinkedPad {
    /// Its number.
    pub id: PadId,
    /// Its name in the pipeline, such as `audio_1`.
    pub name: String,
    /// What both sides of the link allow, as far as known before start.
    pub allowed: CapsSet,
    /// The sink that this source pad reaches can rewrite what came before.
    pub random_write: bool,
}

/// What an element learns when it is built.
pub struct BuildCx {
    /// Its name in the pipeline.
    pub name: Arc<str>,
    /// The outside.
    pub env: Env,
    /// Linked sink pads; `sinks[i].id == PadId(i)`.
    pub sinks: Vec<LinkedPad>,
    /// Linked source pads; `srcs[i].id == PadId(i)`.
    pub srcs: Vec<LinkedPad>,
    /// Fed by a live source, which cannot be held back for long.
    pub live: bool,
    /// Clock time at which the pipeline was started: the same for all its elements, also when one is built anew.
    pub base_time: Time,
    wake: WakeHandle,
    handle: Mutex<Option<Box<dyn Any + Send + Sync>>>,
    seat: Mutex<Option<Seat>>,
}

impl BuildCx {
    /// Made by the runtime and by test harnesses.
    pub fn new(name: &str, env: Env, sinks: Vec<LinkedPad>, srcs: Vec<LinkedPad>) -> Self {
        Self {
            name: name.into(),
            env,
            sinks,
            srcs,
            live: false,
            base_time: Time::ZERO,
            wake: WakeHandle::default(),
            handle: Mutex::new(None),
            seat: Mutex::new(None),
        }
    }

    /// Wakes the element from any thread: see [`WakeHandle`].
    pub fn wake_handle(&self) -> WakeHandle {
        self.wake.clone()
    }

    /// Number of a linked sink pad.
    pub fn sink(&self, name: &str) -> Option<PadId> {
        self.sinks.iter().find(|p| p.name == name).map(|p| p.id)
    }

    /// Number of a linked source pad.
    pub fn src(&self, name: &str) -> Option<PadId> {
        self.srcs.iter().find(|p| p.name == name).map(|p| p.id)
    }

    /// Runtime side: gives the source of an instance that for which the instance is.
    pub fn with_seat(self, seat: Option<Seat>) -> Self {
        Self { seat: Mutex::new(seat), ..self }
    }

    /// That for which this instance of a template is started, if it is one and this element its template source.
    pub fn take_seat<T: 'static>(&self) -> Option<T> {
        let seat = self.seat.lock().ok().and_then(|mut seat| seat.take())?;
        seat.downcast().ok().map(|seat| *seat)
    }

    /// Leaves something for the application, which finds it by the element's name (`appsrc`, `appsink`).
    pub fn publish(&self, handle: impl Any + Send + Sync) {
        if let Ok(mut slot) = self.handle.lock() {
            *slot = Some(Box::new(handle));
        }
    }

    /// Runtime side: what the element left.
    pub fn take_handle(&self) -> Option<Box<dyn Any + Send + Sync>> {
        self.handle.lock().ok().and_then(|mut slot| slot.take())
    }
}

/// Elements that are looked up when somebody asks for them: those of plugins.
pub trait Provider: Send + Sync {
    /// The element of a name.
    fn get(&self, name: &str) -> Option<Arc<Factory>>;
    /// All elements, in no order.
    fn all(&self) -> Vec<Arc<Factory>>;
    /// Why there is no element of a name although there could be, in one line: a plugin that was refused.
    fn trouble(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

/// Every element that a program knows.
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<&'static str, Arc<Factory>>,
    providers: Vec<Arc<dyn Provider>>,
}

impl Registry {
    /// A registry without elements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an element; one of the same name is replaced.
    pub fn add(&mut self, factory: Factory) {
        self.factories.insert(factory.name, Arc::new(factory));
    }

    /// Adds elements that are looked up when they are asked for, behind those that are there.
    pub fn add_provider(&mut self, provider: Arc<dyn Provider>) {
        self.providers.push(provider);
    }

    /// The element of a name: one of this program, else one of a provider.
    pub fn get(&self, name: &str) -> Option<Arc<Factory>> {
        let own = self.factories.get(name).cloned();
        own.or_else(|| self.providers.iter().find_map(|provider| provider.get(name)))
    }

    /// The elements of this program by name, without those of providers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Factory>> {
        self.factories.values()
    }

    /// All elements by name, those of providers included.
    pub fn all(&self) -> Vec<Arc<Factory>> {
        let mut all = BTreeMap::new();
        for factory in self.providers.iter().flat_map(|provider| provider.all()) {
            all.entry(factory.name).or_insert(factory);
        }
        all.extend(self.factories.iter().map(|(name, factory)| (*name, factory.clone())));
        all.into_values().collect()
    }

    /// Why there is no element of a name although there could be.
    pub fn trouble(&self, name: &str) -> Option<String> {
        self.providers.iter().find_map(|provider| provider.trouble(name))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pad_patterns() {
        let pad = PadTemplate::src("audio_%u", "ANY").request();
        assert!(pad.matches("audio_12") && !pad.matches("audio_") && !pad.matches("audio_x") && !pad.matches("audio"));
        assert!(PadTemplate::sink("sink", "ANY").matches("sink"));
    }
}
