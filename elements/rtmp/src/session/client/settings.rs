//! What a client is told before it starts.

use millstream_core::TimeDelta;

use crate::chunk::ChunkLimits;
use crate::command::{Enhanced, PlayStart, PublishType};
use crate::handshake::ClientForm;
use crate::session::{DEFAULT_CHUNK_SIZE, DEFAULT_WINDOW, SessionError};
use crate::{RtmpUrl, Secret, UrlError};

/// How often a client follows a server that sends it elsewhere: enough for a balancer behind a balancer.
const MAX_REDIRECTS: u8 = 5;

/// What a client connects for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Purpose {
    /// For nothing yet; its owner calls `create_stream` and the like.
    #[default]
    Connect,
    /// To publish the stream of the URL.
    Publish(PublishType),
    /// To play the stream of the URL.
    Play {
        /// What of it.
        start: PlayStart,
        /// Milliseconds to play; none is to the end.
        duration: Option<f64>,
    },
}

/// Settings of a [`ClientSession`](super::ClientSession).
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// Where to, and which stream. Its user and password are for servers that ask.
    pub url: RtmpUrl,
    /// What for.
    pub purpose: Purpose,
    /// Form of the handshake. Default simple.
    pub form: ClientForm,
    /// `flashVer`: what this program is. Default `FMLE/3.0 (compatible; millstream)`, as some servers let only encoders of that name publish.
    pub flash_ver: String,
    /// `swfUrl`, for servers that ask for it.
    pub swf_url: Option<String>,
    /// `pageUrl`, for servers that ask for it.
    pub page_url: Option<String>,
    /// Whether to announce `play` by `FCSubscribe`, which some networks need. Default false.
    pub subscribe: bool,
    /// What to say that is kept ahead of what is shown. Default 3 s, as ffmpeg says.
    pub buffer: TimeDelta,
    /// What to say of Enhanced RTMP. Default: everything is passed on.
    pub enhanced: Enhanced,
    /// Chunk size to announce when publishing, in bytes. Default 65535.
    pub chunk_size: u32,
    /// Window Acknowledgement Size to announce, in bytes. Default 2.5 MB.
    pub window: u32,
    /// What is taken from a server at the chunk layer.
    pub limits: ChunkLimits,
    /// How long the handshake may take. Default 10 s.
    pub handshake_timeout: TimeDelta,
    /// How long each answer may take. Default 30 s: some servers ask others first.
    pub answer_timeout: TimeDelta,
    /// How long a server may send nothing while it is played. Default never: a live stream may pause.
    pub silence_timeout: Option<TimeDelta>,
    /// What connections before this one came to know. Default nothing.
    pub attempt: Attempt,
}

/// What a client carries from one connection to the next while a server asks for authentication or redirects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    /// What goes behind the application's name to authenticate.
    pub(super) query: Option<Secret>,
    /// A challenge was answered.
    pub(super) answered: bool,
    redirects: u8,
}

impl Attempt {
    /// The next one, with an answer to what the server asked.
    pub(super) fn authenticated(&self, query: Secret, answered: bool) -> Self {
        Self { query: Some(query), answered, redirects: self.redirects }
    }
}

impl ClientSettings {
    /// The defaults.
    pub fn new(url: RtmpUrl, purpose: Purpose) -> Self {
        Self {
            url,
            purpose,
            form: ClientForm::default(),
            flash_ver: "FMLE/3.0 (compatible; millstream)".into(),
            swf_url: None,
            page_url: None,
            subscribe: false,
            buffer: TimeDelta::from_secs(3),
            enhanced: Enhanced::forwarder(),
            chunk_size: DEFAULT_CHUNK_SIZE,
            window: DEFAULT_WINDOW,
            limits: ChunkLimits::default(),
            handshake_timeout: TimeDelta::from_secs(10),
            answer_timeout: TimeDelta::from_secs(30),
            silence_timeout: None,
            attempt: Attempt::default(),
        }
    }

    /// The same for another server, which will want an authentication of its own.
    pub(super) fn elsewhere(&self, reference: &str) -> Result<Self, UrlError> {
        let url = self.url.resolve(reference)?;
        Ok(Self { url, attempt: Attempt::default(), ..self.clone() })
    }

    /// The same for a server that this one redirects to.
    pub(super) fn redirected(&self, reference: &str) -> Result<Self, SessionError> {
        let redirects = self.attempt.redirects;
        if redirects >= MAX_REDIRECTS {
            return Err(SessionError::Redirects(MAX_REDIRECTS));
        }
        let next = self.elsewhere(reference).map_err(SessionError::Redirect)?;
        Ok(Self { attempt: Attempt { redirects: redirects + 1, ..next.attempt }, ..next })
    }

    /// Text with the authentication behind it.
    pub(super) fn authenticated(&self, text: &str) -> String {
        match &self.attempt.query {
            Some(query) => format!("{text}{}{}", if text.contains('?') { '&' } else { '?' }, query.reveal()),
            None => text.to_owned(),
        }
    }
}
