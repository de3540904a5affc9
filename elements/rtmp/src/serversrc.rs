//! `rtmpserversrc`: accepts a publisher.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::{Meter, Meters};
use millstream_core::settings::units::DurationSetting;
use millstream_core::template::{TemplateDecl, TemplateSource};
use millstream_core::{
    Buffer, BufferFlags, BuildCx, Caps, Element, Env, Error, Factory, Item, MessageKind, PadId, PadTemplate, Result,
    Secret, Segment, Source, SourceCx, StreamInfo, Time, TimeDelta,
};
use millstream_flv::live::count;
use millstream_flv::wire::FileHeader;
use millstream_server::access::{Access, AccessSettings, CallbackFormat, Keys, default_callback_timeout};
use millstream_server::listen::{Guest, address};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::PublishType;
use crate::server::feed::Content;
use crate::server::limits::Limits;
use crate::server::mounts::{Ingest, IntakeLease, Second, StreamName};
use crate::server::recorder::{Notes, Recorder};
use crate::server::settings::{declare, listener_settings};
use crate::server::templates::{Templates, VARIABLES, Wish};
use crate::server::{Server, server_at};
use crate::timeline::Timeline;
use crate::tls::ServerFiles;

/// What happens to somebody who publishes a stream that has a publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicatePolicy {
    /// It is refused.
    #[default]
    Reject,
    /// It takes the place of the first.
    TakeOver,
}

listener_settings! {
in declare!
/// Settings of `rtmpserversrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RtmpServerSrcSettings {
    /// Address and port to listen at. Elements with the same address share the listener.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// PEM file with the server's certificate and those between it and an authority: clients come by `rtmps://` then. The same for all
    /// elements of an address. Read again when it was renewed.
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of `tls-cert`.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// Application, the first part of the path: `live` in `rtmp://host/live/cam`. With `stream: "*"` it may be `*` too: any.
    #[serde(default = "default_app")]
    pub app: String,
    /// Name of the stream, the rest of the path. `*` takes in any, and makes the pipeline a template.
    pub stream: String,
    /// What happens to a second publisher.
    #[serde(default)]
    pub duplicate: DuplicatePolicy,
    /// Directory of recordings. What is published as `record` or `append` goes to `DIR/APP/STREAM.flv` as well: anew, or behind what is
    /// there. Without it such a publication is like any other.
    #[serde(default)]
    pub record: Option<PathBuf>,
    /// Ends the stream when its publisher has left and not come back within `grace`; else waits for the next one.
    #[serde(default)]
    pub eos_on_unpublish: bool,
    /// How long a publisher that left may take to come back.
    #[serde(default = "default_grace")]
    pub grace: DurationSetting,
    /// How long a publisher may take to move when the pipeline stops. They are asked to (Enhanced RTMP v2, "Reconnect Request") if they
    /// understand it, and served meanwhile. 0 asks nobody. A pipeline that stops takes 30 s at most in all.
    #[serde(default)]
    pub drain: DurationSetting,
    /// URL to move to, `rtmp://HOST/APP`, or relative to where they are. Without it they are asked to connect anew to where they are.
    #[serde(default)]
    pub drain_to: String,
    /// Keys of who may publish, in the query of the stream's name or of the application: `cam?key=SECRET` is what OBS calls a stream key.
    /// A list of keys for every stream, or a mapping from streams to a key or a list of keys. Without this and `keys-file` none is needed.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// A file with a stream and its key on each line, or a key for every stream. It is read again when it is needed, at most each second; one
    /// that cannot be read then leaves the last good keys in force.
    #[serde(default)]
    pub keys_file: Option<PathBuf>,
    /// URL that is asked before a client may publish, by POST: 2xx allows, everything else refuses, and so does no answer.
    #[serde(default)]
    pub on_publish: Option<Secret>,
    /// URL that is told when such a client has ended, in whatever way.
    #[serde(default)]
    pub on_unpublish: Option<Secret>,
    /// How both are posted to.
    #[serde(default)]
    pub callback_format: CallbackFormat,
    /// How long both may take.
    #[serde(default = "default_callback_timeout")]
    pub callback_timeout: DurationSetting,
    /// Most streams at a time with `stream: "*"`. One more is refused.
    #[schemars(range(min = 1))]
    #[serde(default = "default_max_streams")]
    pub max_streams: u32,
}
}

/// Any application or stream.
const ANY: &str = "*";

/// How soon to look again whether a publisher is still about to begin.
const RETRY: TimeDelta = TimeDelta::from_secs(1);

fn default_max_streams() -> u32 {
    1000
}

impl RtmpServerSrcSettings {
    fn access(&self) -> AccessSettings {
        AccessSettings {
            keys: self.keys.clone(),
            keys_file: self.keys_file.clone(),
            on_begin: self.on_publish.clone(),
            on_end: self.on_unpublish.clone(),
            format: self.callback_format,
            timeout: self.callback_timeout,
        }
    }

    fn check(&self) -> Result<()> {
        self.files()?;
        self.limits().check()?;
        if self.app == ANY && self.stream != ANY {
            let error = Error::settings("`app: \"*\"` goes with `stream: \"*\"` only").on_property("app");
            return Err(error.hint("write the application, or `stream: \"*\"` for all streams"));
        }
        check_name("stream", &self.stream)?;
        self.access().check("on-publish", "on-unpublish")
    }
}

pub(crate) fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 1935).into()
}

pub(crate) fn default_app() -> String {
    "live".to_owned()
}

fn default_grace() -> DurationSetting {
    DurationSetting::from_secs(5)
}

/// What is known of `rtmpserversrc`.
pub fn factory() -> Factory {
    Factory::new("rtmpserversrc", "Network/Source", "Accepts an RTMP publisher", build)
        .pad(PadTemplate::src("src", media::FLV))
        .live(|_: &RtmpServerSrcSettings| true)
        .checked(RtmpServerSrcSettings::check)
        .template_source(TEMPLATE, RtmpServerSrcSettings::template)
        .details(
            "OBS, ffmpeg and other encoders publish to `rtmp://HOST:PORT/APP/STREAM`; a query behind the name is not part of it. The pad \
             gives FLV, a tag a buffer, as it came: nothing is taken apart.\n\n\
             - A publisher that leaves and comes back, or another one, goes on on the same timeline, behind a buffer with `discont`.\n\
             - A publisher that sends nothing for 30 s is closed: no message, and less than 16 KiB of a long one. Connections that are closed are \
             counted by reason at `/metrics`.\n\
             - When the pipeline is behind, the publisher is not read.\n\
             - With `record`, a publisher that asks for it is recorded. The file has its name when it is whole, with duration and index; while it \
             grows it ends in `.part`. A disk that is too slow costs the recording frames, to the next key frame, counted.\n\
             - Callbacks get what nginx-rtmp posts to `on_publish` and `on_publish_done`, or with `callback-format=json` what SRS posts to \
             `on_publish` and `on_unpublish`.\n\n\
             With `stream: \"*\"` the pipeline is a template: each stream that is published and that no other element takes in by name starts an \
             instance of it, in which `${app}`, `${stream}` and `${query.NAME}` have the values of the publisher. An instance fails alone, and \
             ends when its publisher has left and not come back within `grace`. Names are one word: what could lead out of a directory is \
             refused.\n\n\
             Posts `published` and `unpublished` with the `stream`.",
        )
        .example("rtmpserversrc stream=cam ! flvdemux name=d  d.video ! h264parse ! h.video  d.audio ! aacparse ! h.audio  hlssink name=h directory=cam")
}

/// Names are parts of a path: neither empty nor with a query.
pub(crate) fn check_name(property: &'static str, name: &str) -> Result<()> {
    if name.trim_matches('/').is_empty() || name.contains('?') {
        let error = Error::settings(format!("`{name}` is no name of a stream")).on_property(property);
        return Err(error.hint("write the last part of the URL, without a query: `cam` of rtmp://host/live/cam?key=…"));
    }
    Ok(())
}

/// What makes a pipeline with it a template.
const TEMPLATE: TemplateDecl = TemplateDecl { when: "stream: \"*\"", variables: VARIABLES };

impl RtmpServerSrcSettings {
    fn files(&self) -> Result<Option<ServerFiles>> {
        ServerFiles::new(self.tls_cert.as_deref(), self.tls_key.as_deref())
    }

    fn second(&self) -> Second {
        match self.duplicate {
            DuplicatePolicy::Reject => Second::Refused,
            DuplicatePolicy::TakeOver => Second::TakesOver,
        }
    }

    fn template(&self) -> Option<TemplateSource> {
        if self.stream != ANY {
            return None;
        }
        let app = Some(self.app.trim_matches('/').to_owned()).filter(|app| app != ANY);
        let own = self.clone();
        let limit = usize::try_from(self.max_streams).unwrap_or(usize::MAX);
        let of_app = app.clone();
        let source = TemplateSource::new(move |env, admission| {
            let server = server_at(env, own.listen, own.files()?.as_ref())?;
            let limits = server.site.gate.narrow(own.limits());
            tracing::info!(at = %server.local, app = app.as_deref().unwrap_or(ANY), "waits for publishers of any stream");
            let (second, access) = (own.second(), own.access());
            Templates::add(&server, env, Wish { app: app.clone(), second, limit, access, admission, _limits: limits })
        });
        Some(match of_app {
            Some(app) => source.fixed("app", app),
            None => source,
        })
    }
}

fn build(settings: RtmpServerSrcSettings, cx: &BuildCx) -> Result<Element> {
    settings.check()?;
    let seat = cx.take_seat::<IntakeLease>();
    if settings.stream == ANY && seat.is_none() {
        let error = Error::settings("`stream: \"*\"` stands for many streams, and this pipeline runs once");
        return Err(error.hint("start the template: `Runtime::serve` in a program, `millstream run FILE`"));
    }
    Ok(Element::Source(Box::new(RtmpServerSrc { settings, seat })))
}

struct RtmpServerSrc {
    settings: RtmpServerSrcSettings,
    /// Where the publisher is already for whom this instance of a template is.
    seat: Option<IntakeLease>,
}

impl Source for RtmpServerSrc {
    fn run(self: Box<Self>, mut cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let server = server_at(&cx.env, self.settings.listen, self.settings.files()?.as_ref())?;
            server.ready(&cx.env).await?;
            if let Some(intake) = self.seat {
                return Receiver::new(&self.settings, cx, intake, server).of_instance().run().await;
            }
            let name = StreamName::new(&self.settings.app, &self.settings.stream);
            let access = Access::open(&cx.env, &self.settings.access()).await?;
            let intake = server.site.mounts.take_in(&name, self.settings.second(), access)?;
            tracing::info!(at = %server.local, stream = %name, "waits for a publisher");
            let scheme = if self.settings.tls_cert.is_some() { "rtmps" } else { "rtmp" };
            cx.tell(|out| out.post(address(Guest::Publisher, scheme, server.local, &format!("/{name}"))));
            Receiver::new(&self.settings, cx, intake, server).run().await
        })
    }
}

/// The element while it runs.
struct Receiver {
    cx: SourceCx,
    intake: IntakeLease,
    timeline: Timeline,
    /// What comes next is the first of another publication.
    returns: bool,
    /// There was a publication.
    begun: bool,
    meter: Arc<Meter>,
    /// Ends when the publisher has left for longer than `grace`.
    once: bool,
    is_instance: bool,
    grace: TimeDelta,
    /// How long a publisher may take to move; where to.
    drain: TimeDelta,
    drain_to: String,
    /// Where to record.
    recordings: Option<PathBuf>,
    recorder: Option<Recorder>,
    /// Keeps the listener, and its limits.
    _server: (Arc<Server>, Arc<Limits>),
}

impl Receiver {
    fn new(settings: &RtmpServerSrcSettings, cx: SourceCx, intake: IntakeLease, server: Arc<Server>) -> Self {
        let grace = TimeDelta::from_nanos(settings.grace.as_nanos());
        let meter = Meters::add(&cx.env, "rtmpserversrc", &intake.name().to_string());
        let limits = server.site.gate.narrow(settings.limits());
        Self {
            cx,
            intake,
            timeline: Timeline::default(),
            returns: false,
            begun: false,
            meter,
            once: settings.eos_on_unpublish,
            is_instance: false,
            grace,
            drain: TimeDelta::from_nanos(settings.drain.as_nanos()),
            drain_to: settings.drain_to.clone(),
            recordings: settings.record.clone(),
            recorder: None,
            _server: (server, limits),
        }
    }

    /// For one publisher, and those who continue its stream.
    fn of_instance(self) -> Self {
        Self { once: true, is_instance: true, ..self }
    }

    async fn run(mut self) -> Result<()> {
        self.start().await?;
        // The publisher for whom an instance was started may have gone before it was.
        let mut until: Option<Time> = self.is_instance.then(|| self.cx.env.clock.now() + self.grace);
        let mut leaving = false;
        loop {
            let Some(next) = self.next(until, leaving).await else {
                if !self.intake.drain(&self.drain_to) {
                    return Ok(());
                }
                leaving = true;
                until = Some(self.cx.env.clock.now() + self.drain);
                continue;
            };
            match next {
                None if leaving || self.intake.retire() => return Ok(()),
                // One has come in the last moment, and will say so or be gone.
                None => until = Some(self.cx.env.clock.now() + self.grace.max(RETRY)),
                Some(Ingest::Begin(kind, notes)) => {
                    until = None;
                    self.record(kind, notes);
                    self.tell("published");
                    self.meter.connected();
                    self.timeline.begin(self.cx.env.clock.now());
                    self.returns = std::mem::replace(&mut self.begun, true);
                }
                Some(Ingest::Content(content)) => {
                    self.keep(&content);
                    self.send(content).await?;
                }
                Some(Ingest::End) => {
                    if let Some(recorder) = self.recorder.take() {
                        recorder.close().await;
                    }
                    self.tell("unpublished");
                    if leaving {
                        return Ok(());
                    }
                    until = self.once.then(|| self.cx.env.clock.now() + self.grace);
                }
            }
        }
    }

    fn record(&mut self, kind: PublishType, notes: Notes) {
        if let Some(other) = self.recorder.take() {
            drop(other.close());
        }
        let dir = self.recordings.as_ref().filter(|_| kind != PublishType::Live);
        self.recorder = dir.map(|dir| Recorder::new(&self.cx.env, dir, self.intake.name(), kind, notes));
    }

    fn keep(&mut self, content: &Content) {
        if let Some(recorder) = &mut self.recorder
            && !recorder.push(content)
        {
            let bytes = content.body().len() as u64;
            self.cx.tell(|out| out.dropped("not recorded: the disk is too slow", bytes, None));
        }
    }

    /// What the publisher does next, or nothing until a time; nothing at all when the pipeline is to stop and there is leave to take.
    async fn next(&mut self, until: Option<Time>, leaving: bool) -> Option<Option<Ingest>> {
        let env = self.cx.env.clone();
        tokio::select! {
            biased;
            () = self.cx.stopped(), if !leaving && self.drain > TimeDelta::ZERO => None,
            next = next(&mut self.intake, &env, until) => Some(next),
        }
    }

    fn tell(&mut self, name: &'static str) {
        let stream = self.intake.name().to_string();
        self.cx.tell(|out| out.post(MessageKind::Element { name, fields: vec![("stream", stream)] }));
    }

    async fn start(&mut self) -> Result<()> {
        let id = self.intake.name().to_string();
        self.cx.push(PadId::FIRST, Item::StreamStart(StreamInfo { id, language: None }.into())).await?;
        self.cx.push(PadId::FIRST, Item::Caps(Caps::new(media::FLV))).await?;
        self.cx.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into())).await?;
        let header = Buffer::new(file_header()).with_flags(BufferFlags::HEADER);
        self.cx.push(PadId::FIRST, Item::buffer(header)).await
    }

    async fn send(&mut self, content: Content) -> Result<()> {
        let (content, time) = self.timeline.place(content, self.cx.env.clock.now());
        count(&self.meter, content.kind(), content.body(), time.millis() as u32);
        let mut buffer = self.timeline.buffer(&content, time);
        buffer.flags.set(BufferFlags::DISCONT, std::mem::take(&mut self.returns));
        self.cx.push(PadId::FIRST, Item::buffer(buffer)).await
    }
}

/// What a publisher does next; nothing when the time is up.
async fn next(intake: &mut IntakeLease, env: &Env, until: Option<Time>) -> Option<Ingest> {
    match until {
        None => Some(intake.next().await),
        Some(until) => tokio::select! {
            biased;
            item = intake.next() => Some(item),
            () = env.clock.sleep_until(until) => None,
        },
    }
}

/// Header of an FLV stream, and the size of the tag before the first.
pub(crate) fn file_header() -> Bytes {
    let mut header = BytesMut::with_capacity(FileHeader::LEN + 4);
    FileHeader::new(true, true).write(&mut header);
    header.extend_from_slice(&[0; 4]);
    header.freeze()
}
