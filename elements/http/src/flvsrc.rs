//! `httpflvsrc`: plays an HTTP-FLV stream of another server.

use std::sync::Arc;

use millstream_core::caps::media;
use millstream_core::env::BoxFuture;
use millstream_core::meter::{Meter, Meters};
use millstream_core::settings::units::DurationSetting;
use millstream_core::{
    BuildCx, Caps, Element, Error, ErrorKind, Factory, Item, MessageKind, PadId, PadTemplate, Result, Secret, Segment,
    Source, SourceCx, StreamInfo, Time, TimeDelta,
};
use millstream_flv::live::{Class, Timeline, classify, count, file_header_buffer};
use millstream_flv::wire::{FlvReader, Tag};
use millstream_server::backoff::Backoff;
use millstream_server::http::client::{Request, Response, within};
use millstream_server::http::hyper::StatusCode;
use millstream_server::redirect::Redirects;
use schemars::JsonSchema;
use serde::Deserialize;

const NAME: &str = "httpflvsrc";

/// Settings of `httpflvsrc`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpFlvSrcSettings {
    /// What to play: `http://HOST[:PORT]/APP/STREAM.flv` or `https://…`. The path and the query may hold keys, and are never told.
    pub location: Secret,
    /// How long the server may take to answer, and how long it may send nothing while it plays.
    #[serde(default = "default_timeout")]
    pub timeout: DurationSetting,
    /// Attempts to connect again in a row before the element fails. Without end when left out.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Where the server may lead by a redirect; `public` when left out. Nothing but `any` leads away from TLS.
    #[serde(default)]
    pub redirect: Redirects,
    /// Ends the stream when the server ends its response in good order; else asks again until there is more.
    #[serde(default = "yes")]
    pub eos_on_unpublish: bool,
}

fn default_timeout() -> DurationSetting {
    DurationSetting::from_secs(10)
}

fn yes() -> bool {
    true
}

impl HttpFlvSrcSettings {
    fn request(&self) -> Result<Request> {
        let request = Request::get(self.location.reveal()).map_err(|error| error.on_property("location"))?;
        Ok(request.redirects(self.redirect))
    }
}

/// What is known of `httpflvsrc`.
pub fn factory() -> Factory {
    Factory::new(NAME, "Network/Source", "Plays an HTTP-FLV stream", build)
        .pad(PadTemplate::src("src", media::FLV))
        .live(|_: &HttpFlvSrcSettings| true)
        .checked(|settings: &HttpFlvSrcSettings| settings.request().map(drop))
        .details(
            "Gives FLV, a tag a buffer, as it comes: chunked or up to the end of the connection, after up to five redirects, as far as `redirect` allows. A connection that is \
             lost or silent is made anew, after 0.5 s to 30 s, and the stream goes on on the same timeline. So is one to a server that has no such \
             stream yet (404) or is in trouble (5xx); other refusals are final.\n\n\
             Posts `connected` and `disconnected`.",
        )
        .example("httpflvsrc location=http://127.0.0.1:8080/live/cam.flv ! filesink location=cam.flv")
}

fn build(settings: HttpFlvSrcSettings, _: &BuildCx) -> Result<Element> {
    let request = settings.request()?;
    Ok(Element::Source(Box::new(HttpFlvSrc { settings, request })))
}

struct HttpFlvSrc {
    settings: HttpFlvSrcSettings,
    request: Request,
}

impl Source for HttpFlvSrc {
    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        let meter = Meters::add(&cx.env, NAME, &self.request.place());
        let patience = TimeDelta::from_nanos(self.settings.timeout.as_nanos());
        let (settings, request) = (self.settings, self.request);
        let (timeline, backoff) = (Timeline::default(), Backoff::default());
        Box::pin(Player { settings, request, patience, cx, timeline, backoff, meter }.run())
    }
}

/// Why a connection is not all of it.
enum Stop {
    /// The pipeline wants no more, or asking again is in vain.
    Final(Error),
    /// Asking again may help.
    Passing(Error),
}

struct Player {
    settings: HttpFlvSrcSettings,
    request: Request,
    patience: TimeDelta,
    cx: SourceCx,
    timeline: Timeline,
    backoff: Backoff,
    meter: Arc<Meter>,
}

impl Player {
    async fn run(mut self) -> Result<()> {
        self.start().await?;
        loop {
            let error = match self.play().await {
                Ok(()) if self.settings.eos_on_unpublish => return Ok(()),
                Ok(()) => Error::new(ErrorKind::Peer, format!("{} has ended the stream", self.request.place())),
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Passing(error)) => error,
            };
            if self.backoff.attempts() >= self.settings.retries.unwrap_or(u32::MAX) {
                return Err(error);
            }
            let wait = self.backoff.next(&self.cx.env);
            let error = error.hint(format!("tries again in {:.1} s", wait.to_std().as_secs_f64()));
            self.cx.tell(|out| {
                out.post(MessageKind::Element { name: "disconnected", fields: Vec::new() });
                out.warn(error);
            });
            self.cx.env.clock.sleep_until(self.cx.env.clock.now() + wait).await;
        }
    }

    async fn start(&mut self) -> Result<()> {
        let id = self.request.place();
        self.cx.push(PadId::FIRST, Item::StreamStart(StreamInfo { id, language: None }.into())).await?;
        self.cx.push(PadId::FIRST, Item::Caps(Caps::new(media::FLV))).await?;
        self.cx.push(PadId::FIRST, Item::Segment(Segment::time(Time::ZERO).into())).await?;
        self.cx.push(PadId::FIRST, Item::buffer(file_header_buffer())).await
    }

    /// Plays on one connection, to the end of the response.
    async fn play(&mut self) -> std::result::Result<(), Stop> {
        let mut response = self.ask().await?;
        let mut reader = FlvReader::new();
        let mut playing = false;
        let env = self.cx.env.clone();
        loop {
            let more = within(&env, self.patience, "waiting for more of the stream", response.next());
            let Some(bytes) = more.await.map_err(Stop::Passing)? else { return Ok(()) };
            reader.push(bytes);
            while let Some(tag) = reader.next().map_err(|error| self.no_flv(&error.to_string()))? {
                if !std::mem::replace(&mut playing, true) {
                    self.begin();
                }
                self.tag(&tag).await.map_err(Stop::Final)?;
            }
        }
    }

    async fn ask(&mut self) -> std::result::Result<Response, Stop> {
        let asked =
            within(&self.cx.env, self.patience, "asking for the stream", self.request.clone().send(&self.cx.env));
        let response = asked.await.map_err(|error| match error.kind() {
            // A redirect to what is no URL or where it may not go, or TLS without the feature.
            ErrorKind::Settings | ErrorKind::Unsupported => Stop::Final(error),
            _ => Stop::Passing(error),
        })?;
        let status = response.status();
        let error = || Error::new(ErrorKind::Peer, format!("{} answers {status}", self.request.place()));
        match status {
            StatusCode::OK => Ok(response),
            StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(Stop::Passing(error()))
            }
            _ if status.is_server_error() => Err(Stop::Passing(error())),
            _ => Err(Stop::Final(error().hint("is the URL right, and may everybody play the stream?"))),
        }
    }

    fn no_flv(&self, why: &str) -> Stop {
        let error = Error::malformed(format!("{} sends no FLV: {why}", self.request.place()));
        Stop::Final(error.hint("does the URL end in .flv, and open in a player?"))
    }

    fn begin(&mut self) {
        tracing::info!(from = self.request.place(), "plays");
        self.backoff.reset();
        self.meter.connected();
        self.timeline.begin(self.cx.env.clock.now());
        self.cx.tell(|out| out.post(MessageKind::Element { name: "connected", fields: Vec::new() }));
    }

    async fn tag(&mut self, tag: &Tag) -> Result<()> {
        let is_head = matches!(classify(tag.kind, &tag.body), Class::Head(_));
        let time = self.timeline.place(tag.timestamp, is_head, self.cx.env.clock.now());
        let timestamp = time.millis() as u32;
        count(&self.meter, tag.kind, &tag.body, timestamp);
        let buffer = self.timeline.buffer(tag.kind, &tag.body, time);
        self.cx.push(PadId::FIRST, Item::buffer(buffer)).await
    }
}
