//! Who may publish and play: stream keys, from the settings or from a file, and callbacks of other servers.
//!
//! | module | what |
//! | --- | --- |
//! | `keys` | keys, and which streams they open |
//! | `file` | keys in a file that may change |
//! | `callback` | a server that is asked, or told |
//! | `form` | forms (WHATWG URL) |
//!
//! Keys come in the query of a stream's name, or of its application: OBS's field "Stream Key" holds `cam?key=SECRET`. They are compared in a
//! time that does not depend on them, and are in no log, error or metric.

mod callback;
mod file;
mod form;
mod keys;

pub use callback::CallbackFormat;
pub use form::{form, pairs};
pub use keys::{EmptyKey, Keys};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::settings::units::DurationSetting;
use millstream_core::{Env, Result, Secret, TimeDelta};
use tokio::sync::watch;

use self::callback::{Callback, Moment};
use self::file::KeysFile;

/// Parameters of a query that hold a key.
const KEY: &str = "key";

/// Keys of one query that are compared: a name and an application have one each.
const MAX_GIVEN: usize = 4;

/// What a client wants to do, mostly with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Publish it.
    Publish,
    /// Play it.
    Play,
    /// Take part in conversations, as the identity that stands in the place of the stream.
    Connect,
}

/// What a client said of itself when it connected; empty where it said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// URL that it connected to. It may hold a key.
    pub tc_url: Secret,
    /// What it is.
    pub flash_ver: String,
    /// URL of the program that connects.
    pub swf_url: Secret,
    /// URL of the page that the program is on.
    pub page_url: Secret,
}

/// A client that wants something.
#[derive(Clone, Debug)]
pub struct Visit {
    /// What it wants.
    pub purpose: Purpose,
    /// Its address.
    pub peer: SocketAddr,
    /// Number of its connection, the same in all that is told of it.
    pub client: u64,
    /// Application, without its query.
    pub app: String,
    /// Stream, without its query.
    pub stream: String,
    /// The queries of both, joined by `&`.
    pub query: Secret,
    /// What it said of itself.
    pub hello: Arc<Hello>,
}

impl Visit {
    fn client_id(&self) -> String {
        format!("{:016x}", self.client)
    }

    fn keys(&self) -> Vec<Secret> {
        pairs(self.query.reveal()).filter(|(name, _)| name == KEY).map(|(_, key)| key.into()).take(MAX_GIVEN).collect()
    }
}

/// Why somebody may not. The text is for the client and for logs, and shows no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No key, or a wrong one.
    #[error("The key is missing or wrong.")]
    Key,
    /// A callback said no.
    #[error("The stream is not allowed.")]
    Callback,
    /// A callback gave no answer.
    #[error("Whether the stream is allowed cannot be told now.")]
    NoAnswer,
}

/// Who may, as an element is told. All that is given must agree; with nothing given everybody may.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessSettings {
    /// Keys.
    pub keys: Option<Keys>,
    /// A file of keys. One of these or of `keys` opens.
    pub keys_file: Option<PathBuf>,
    /// URL that is asked when a client wants to begin.
    pub on_begin: Option<Secret>,
    /// URL that is told when a client has ended.
    pub on_end: Option<Secret>,
    /// How both are posted to.
    pub format: CallbackFormat,
    /// How long they may take.
    pub timeout: DurationSetting,
}

/// How long a callback may take unless the settings say otherwise: clients wait this long for an answer.
pub fn default_callback_timeout() -> DurationSetting {
    DurationSetting::from_secs(5)
}

impl AccessSettings {
    /// Looks at the URLs, whose properties have these names.
    ///
    /// # Errors
    /// When one is none.
    pub fn check(&self, begin: &'static str, end: &'static str) -> Result<()> {
        let urls = [(begin, &self.on_begin), (end, &self.on_end)];
        urls.into_iter().try_for_each(|(name, url)| url.as_ref().map_or(Ok(()), |url| callback::check(name, url)))
    }

    fn is_open(&self) -> bool {
        self.keys.is_none() && self.keys_file.is_none() && self.on_begin.is_none() && self.on_end.is_none()
    }
}

/// Decides who may.
#[derive(Debug)]
pub struct Access {
    keys: Option<Keys>,
    file: Option<KeysFile>,
    begin: Option<Callback>,
    end: Option<Callback>,
    /// Visits whose end was not told yet.
    visits: watch::Sender<usize>,
}

impl Access {
    /// As the settings say; nothing where everybody may.
    ///
    /// # Errors
    /// When the file of keys cannot be read or understood.
    pub async fn open(env: &Env, settings: &AccessSettings) -> Result<Option<Arc<Self>>> {
        if settings.is_open() {
            return Ok(None);
        }
        let file = match &settings.keys_file {
            Some(path) => Some(KeysFile::open(env, path).await?),
            None => None,
        };
        let limit = TimeDelta::from_nanos(settings.timeout.as_nanos());
        let callback = |url: &Option<Secret>| {
            url.as_ref().map(|url| Callback { url: url.clone(), format: settings.format, limit })
        };
        Ok(Some(Arc::new(Self {
            keys: settings.keys.clone(),
            file,
            begin: callback(&settings.on_begin),
            end: callback(&settings.on_end),
            visits: watch::Sender::new(0),
        })))
    }

    /// May this client? What is given back is kept as long as it does what it wanted: its end is told when it goes.
    ///
    /// # Errors
    /// When it may not.
    pub async fn admit(self: Arc<Self>, env: Env, visit: Visit) -> Result<Admitted, Denied> {
        if !self.opens(&env, &visit).await {
            return Err(Denied::Key);
        }
        if let Some(begin) = &self.begin {
            match begin.post(&env, &visit, Moment::Begin).await {
                Ok(true) => {}
                Ok(false) => return Err(Denied::Callback),
                Err(error) => {
                    tracing::warn!(%error, "a callback failed");
                    return Err(Denied::NoAnswer);
                }
            }
        }
        let untold = self.end.is_some().then(|| {
            self.visits.send_modify(|visits| *visits += 1);
            Box::new(Untold { access: self.clone(), env, visit })
        });
        Ok(Admitted(untold))
    }

    async fn opens(&self, env: &Env, visit: &Visit) -> bool {
        let given = visit.keys();
        let opens = |keys: &Keys| keys.open(&visit.app, &visit.stream, &given);
        let listed = self.keys.as_ref().map(opens);
        let filed = match &self.file {
            Some(file) => Some(opens(&*file.keys(env).await)),
            None => None,
        };
        (listed, filed) == (None, None) || listed == Some(true) || filed == Some(true)
    }

    /// Waits until the end of every visit was told, as long as a callback may take.
    pub async fn all_told(&self, env: &Env) {
        let Some(end) = &self.end else { return };
        let mut visits = self.visits.subscribe();
        tokio::select! {
            // The sender is this very one.
            _ = visits.wait_for(|visits| *visits == 0) => {}
            () = env.clock.sleep_until(env.clock.now() + end.limit) => {}
        }
    }
}

/// A client does what it may. When this goes, its end is told, once.
#[derive(Debug)]
pub struct Admitted(Option<Box<Untold>>);

struct Untold {
    access: Arc<Access>,
    env: Env,
    visit: Visit,
}

impl std::fmt::Debug for Untold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Untold({:?} {}/{})", self.visit.purpose, self.visit.app, self.visit.stream)
    }
}

/// A visit that counts until its end was told, or could not be.
struct Counted(Arc<Access>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.visits.send_modify(|visits| *visits = visits.saturating_sub(1));
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some(untold) = self.0.take() else { return };
        let Untold { access, env, visit } = *untold;
        let tasks = env.tasks.clone();
        let counted = Counted(access);
        let telling = tasks.spawn(Box::pin(async move {
            let Some(end) = &counted.0.end else { return };
            if let Err(error) = end.post(&env, &visit, Moment::End).await {
                tracing::warn!(%error, app = visit.app, stream = visit.stream, "an end could not be told");
            }
        }));
        telling.detach();
    }
}
