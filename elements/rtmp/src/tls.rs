//! RTMPS: whom a client trusts, and what a server shows. RTMP inside of TLS is RTMP as it is, at another port.

use std::path::{Path, PathBuf};

use millstream_core::net::NetStream;
use millstream_core::{Env, Error, Result};

/// Whom `rtmpsrc` and `rtmpsink` trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The authorities that browsers trust.
    Public,
    /// Those of a PEM file.
    File(PathBuf),
    /// Whoever answers.
    Anybody,
}

impl Trust {
    /// Of the settings `ca-file` and `tls-verify`.
    ///
    /// # Errors
    /// When they contradict each other.
    pub(crate) fn new(ca_file: Option<&Path>, verify: bool) -> Result<Self> {
        match (ca_file, verify) {
            (None, true) => Ok(Self::Public),
            (Some(file), true) => Ok(Self::File(file.to_owned())),
            (None, false) => Ok(Self::Anybody),
            (Some(_), false) => {
                let error = Error::settings("there is nothing to check by `ca-file` with `tls-verify: false`");
                Err(error.on_property("ca-file").hint("leave one of them out"))
            }
        }
    }

    /// What to warn of before a secure connection is made.
    pub(crate) fn warning(&self) -> Option<Error> {
        let error = Error::settings("the server is not checked: whoever answers gets the stream and its key");
        let hint = "leave `tls-verify` out; `ca-file` names an authority of your own";
        (*self == Self::Anybody).then(|| error.on_property("tls-verify").hint(hint))
    }
}

/// Files that a server at an address shows: all elements there show the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerFiles {
    chain: PathBuf,
    key: PathBuf,
}

impl ServerFiles {
    /// Of the settings `tls-cert` and `tls-key`; nothing without both.
    ///
    /// # Errors
    /// When one of them is missing, or this build has no TLS.
    pub(crate) fn new(cert: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>> {
        let missing = |given: &'static str, wanted: &str| {
            let error = Error::settings(format!("`{given}` goes with `{wanted}`")).on_property(given);
            Err(error.hint("name a PEM file with the certificates, the server's first, and one with its private key"))
        };
        match (cert, key) {
            (None, None) => Ok(None),
            (Some(_), None) => missing("tls-cert", "tls-key"),
            (None, Some(_)) => missing("tls-key", "tls-cert"),
            (Some(chain), Some(key)) => {
                available("tls-cert")?;
                Ok(Some(Self { chain: chain.to_owned(), key: key.to_owned() }))
            }
        }
    }
}

/// Refuses a setting that needs TLS where there is none.
///
/// # Errors
/// In a build without the feature `tls`.
pub(crate) fn available(property: &'static str) -> Result<()> {
    if cfg!(feature = "tls") {
        return Ok(());
    }
    Err(Error::settings("this build has no TLS").on_property(property).hint("build it with the feature `tls`"))
}

#[cfg(feature = "tls")]
pub(crate) use secure::Acceptor;

#[cfg(feature = "tls")]
mod secure {
    use std::sync::{Mutex, PoisonError};

    use millstream_core::{Time, TimeDelta};
    use millstream_server::tls::{Identity, Roots};

    use super::*;

    /// Bytes of a PEM file: a bundle of all public authorities has a few hundred KiB.
    const MAX_PEM: u64 = 4 << 20;

    /// How old what was read of a server's files may be: a certificate that was renewed is shown to who comes a minute later.
    const FRESH: TimeDelta = TimeDelta::from_secs(60);

    impl Trust {
        /// Makes a stream secure.
        ///
        /// # Errors
        /// Those of [`Roots::connect`]; settings when the file cannot be used.
        pub(crate) async fn connect(
            &self,
            env: &Env,
            stream: Box<dyn NetStream>,
            host: &str,
        ) -> Result<Box<dyn NetStream>> {
            let roots = match self {
                Self::Public => Roots::public(),
                Self::Anybody => Roots::unchecked(),
                Self::File(path) => {
                    let blame = |error: Error| error.on_property("ca-file");
                    Roots::from_pem(&read(env, path).await.map_err(blame)?).map_err(blame)?
                }
            };
            roots.connect(env, stream, host).await
        }
    }

    /// What makes a server's connections secure. Its files are read again when they may have changed.
    pub(crate) struct Acceptor {
        files: ServerFiles,
        known: Mutex<Option<(Time, Identity)>>,
    }

    impl Acceptor {
        pub(crate) fn new(files: ServerFiles) -> Self {
            Self { files, known: Mutex::new(None) }
        }

        pub(crate) fn files(&self) -> &ServerFiles {
            &self.files
        }

        /// Makes a stream secure.
        ///
        /// # Errors
        /// Those of [`Identity::accept`] and of [`Acceptor::identity`].
        pub(crate) async fn accept(&self, env: &Env, stream: Box<dyn NetStream>) -> Result<Box<dyn NetStream>> {
            self.identity(env).await?.accept(stream).await
        }

        /// What the server shows. Files that cannot be used any more leave what was read before in force.
        ///
        /// # Errors
        /// Of the settings, when the files cannot be used.
        pub(crate) async fn identity(&self, env: &Env) -> Result<Identity> {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let now = env.clock.now();
            if let Some((read_at, identity)) = &known
                && now.since(*read_at) < FRESH
            {
                return Ok(identity.clone());
            }
            let identity = match (self.read(env).await, known) {
                (Ok(identity), _) => identity,
                (Err(error), Some((_, old))) => {
                    tracing::warn!(%error, "goes on with the certificate that it has");
                    old
                }
                (Err(error), None) => return Err(error),
            };
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, identity.clone()));
            Ok(identity)
        }

        async fn read(&self, env: &Env) -> Result<Identity> {
            let chain = read(env, &self.files.chain).await.map_err(|error| error.on_property("tls-cert"))?;
            let key = read(env, &self.files.key).await.map_err(|error| error.on_property("tls-key"))?;
            Identity::from_pem(env, &chain, &key).map_err(|error| error.on_property("tls-cert"))
        }
    }

    async fn read(env: &Env, path: &Path) -> Result<String> {
        let (fs, own) = (env.fs.clone(), path.to_owned());
        let read = env.blocking(move || fs.read_text(&own, MAX_PEM)).await;
        let read = read.ok_or_else(|| Error::bug(format!("{} was not read", path.display())))?;
        read.map_err(|error| Error::settings(format!("cannot read {}", path.display())).caused_by(error))
    }
}

#[cfg(not(feature = "tls"))]
pub(crate) use insecure::Acceptor;

/// What stands for TLS where there is none.
#[cfg(not(feature = "tls"))]
mod insecure {
    use super::*;

    impl Trust {
        /// Refuses.
        pub(crate) async fn connect(&self, _: &Env, _: Box<dyn NetStream>, _: &str) -> Result<Box<dyn NetStream>> {
            available("location").and(Err(Error::bug("there is no TLS")))
        }
    }

    /// Nobody makes one: [`ServerFiles::new`] refuses.
    pub(crate) struct Acceptor(ServerFiles);

    impl Acceptor {
        pub(crate) fn new(files: ServerFiles) -> Self {
            Self(files)
        }

        pub(crate) fn files(&self) -> &ServerFiles {
            &self.0
        }

        pub(crate) async fn accept(&self, _: &Env, _: Box<dyn NetStream>) -> Result<Box<dyn NetStream>> {
            available("tls-cert").and(Err(Error::bug("there is no TLS")))
        }

        pub(crate) async fn identity(&self, _: &Env) -> Result<()> {
            available("tls-cert")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_contradict_are_refused() {
        let file = Path::new("a.pem");
        assert_eq!(Trust::new(None, true).unwrap(), Trust::Public);
        assert_eq!(Trust::new(Some(file), true).unwrap(), Trust::File(file.to_owned()));
        assert!(Trust::new(Some(file), false).is_err());
        assert!(Trust::new(None, false).unwrap().warning().is_some() && Trust::Public.warning().is_none());
        assert_eq!(ServerFiles::new(None, None).unwrap(), None);
        assert_eq!(ServerFiles::new(Some(file), None).unwrap_err().property(), Some("tls-cert"));
        assert_eq!(ServerFiles::new(None, Some(file)).unwrap_err().property(), Some("tls-key"));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_what_needs_it_is_refused_with_a_hint() {
        let file = Path::new("a.pem");
        let server = ServerFiles::new(Some(file), Some(file)).unwrap_err();
        let client = crate::sink::location("rtmps://host/live/cam").unwrap_err();
        for error in [server, client] {
            assert_eq!(error.hint_text(), Some("build it with the feature `tls`"));
        }
    }
}
