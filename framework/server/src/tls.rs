//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) over a stream of the environment, by rustls.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use millstream_core::net::NetStream;
use millstream_core::{Env, Error, ErrorKind, Result, TimeDelta};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme,
};

/// Plain bytes that wait to be encrypted and sent: some records, so that a write is not cut into many.
const MAX_WAITING: usize = 64 << 10;

/// Bytes read at a time: the largest record and its header.
const READ_BLOCK: usize = 17 << 10;

/// Whom a client trusts.
#[derive(Clone)]
pub struct Roots(Trusted);

#[derive(Clone)]
enum Trusted {
    Store(Arc<RootCertStore>),
    Anybody,
}

impl Roots {
    /// The authorities that browsers trust (Mozilla's list).
    pub fn public() -> Self {
        static PUBLIC: OnceLock<Roots> = OnceLock::new();
        let store = || Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
        PUBLIC.get_or_init(|| Self(Trusted::Store(store()))).clone()
    }

    /// The certificates of a PEM text, and nobody else.
    ///
    /// # Errors
    /// When it has none, or one that is damaged.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem)? {
            store.add(certificate).map_err(|e| Error::settings("a certificate is damaged").caused_by(e))?;
        }
        Ok(Self(Trusted::Store(Arc::new(store))))
    }

    /// Whoever answers, whatever its certificate says: what is sent is secret from who only listens, and from nobody who answers in
    /// the place of the server.
    pub fn unchecked() -> Self {
        Self(Trusted::Anybody)
    }

    /// Makes a stream secure as its client, and checks that the other end is `host` (RFC 6066, section 3: its name is sent too).
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] with a hint when the other end speaks no TLS, is another, or is not trusted; [`ErrorKind::Io`] when the network
    /// fails.
    pub async fn connect(&self, env: &Env, stream: Box<dyn NetStream>, host: &str) -> Result<Box<dyn NetStream>> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Error::settings(format!("`{host}` is no host name")))?;
        let provider = Arc::new(ring::default_provider());
        let verifier = self.verifier(&provider)?;
        let config = ClientConfig::builder_with_details(provider, Arc::new(WallClock(env.clone())))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), name).map_err(unusable)?;
        TlsStream::open(stream, client.into(), host).await
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        match &self.0 {
            Trusted::Anybody => Ok(Arc::new(AcceptAnybody(provider.signature_verification_algorithms))),
            Trusted::Store(store) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(store.clone(), provider.clone()).build();
                Ok(verifier.map_err(|e| Error::settings("no certificate is trusted").caused_by(e))?)
            }
        }
    }
}

/// Looks at signatures only: whoever answers has the key of the certificate that it shows.
#[derive(Debug)]
struct AcceptAnybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AcceptAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// What a server shows to prove who it is.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl Identity {
    /// A chain of certificates, the server's first, and its private key, both as PEM texts.
    ///
    /// # Errors
    /// When one is missing or damaged, or they do not belong together.
    pub fn from_pem(env: &Env, chain: &str, key: &str) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|e| Error::settings("there is no private key in the PEM text").caused_by(e))?;
        let config =
            ServerConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(WallClock(env.clone())))
                .with_safe_default_protocol_versions()
                .map_err(unusable)?
                .with_no_client_auth()
                .with_single_cert(certificates(chain)?, key)
                .map_err(|e| Error::settings("certificate and private key do not belong together").caused_by(e))?;
        Ok(Self(Arc::new(config)))
    }

    /// Makes a stream secure as its server.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] when the client speaks no TLS or trusts somebody else; [`ErrorKind::Io`] when the network fails.
    pub async fn accept(&self, stream: Box<dyn NetStream>) -> Result<Box<dyn NetStream>> {
        let server = ServerConnection::new(self.0.clone()).map_err(unusable)?;
        let peer = stream.peer().to_string();
        TlsStream::open(stream, server.into(), &peer).await
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|e| Error::settings("this is no PEM text").caused_by(e))?;
    if all.is_empty() {
        return Err(Error::settings("there is no certificate in the PEM text"));
    }
    Ok(all)
}

fn unusable(error: rustls::Error) -> Error {
    Error::bug("TLS could not be set up").caused_by(error)
}

/// The wall clock of the environment, by which certificates expire.
struct WallClock(Env);

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_1970 = u64::try_from(self.0.clock.wall().nanos()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(since_1970)))
    }
}

/// Why there is no secure connection: the other end is to blame, or the network.
fn refused(host: &str, error: io::Error) -> Error {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let what = format!("no secure connection with {host}");
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Error::io(what, error);
    };
    let hint = match tls {
        rustls::Error::InvalidMessage(_) => Some("does it speak TLS at this port?"),
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            Some("nobody who is trusted has signed its certificate: if it is yours, say whom to trust")
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            Some("write the host as its certificate names it")
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            Some("its certificate is to be renewed; or is the clock of this machine wrong?")
        }
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            Some("is the clock of this machine wrong?")
        }
        _ => None,
    };
    let refused = Error::new(ErrorKind::Peer, what).caused_by(error);
    match hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

/// A stream whose bytes are encrypted on their way.
struct TlsStream {
    stream: Box<dyn NetStream>,
    tls: Connection,
    /// What came and was not decrypted yet.
    input: BytesMut,
    /// What is encrypted and was not sent yet.
    output: BytesMut,
}

impl TlsStream {
    /// Shakes hands with `host`.
    async fn open(stream: Box<dyn NetStream>, mut tls: Connection, host: &str) -> Result<Box<dyn NetStream>> {
        tls.set_buffer_limit(Some(MAX_WAITING));
        let mut this = Self { stream, tls, input: BytesMut::new(), output: BytesMut::new() };
        match poll_fn(|cx| this.poll_handshake(cx)).await {
            Ok(()) => Ok(Box::new(this)),
            Err(error) => Err(refused(host, error)),
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_drain(cx))?;
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_more(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Decrypts what came, after waiting for more if there is nothing; 0 at the end. What rustls has no room for stays in `input`.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_empty() {
            self.input.reserve(READ_BLOCK);
            if ready!(self.stream.poll_read(cx, &mut self.input))? == 0 {
                return Poll::Ready(self.tls.read_tls(&mut io::empty()));
            }
        }
        let count = self.input.len();
        while !self.input.is_empty() && self.tls.wants_read() {
            self.tls.read_tls(&mut (&mut self.input).reader())?;
            if let Err(error) = self.tls.process_new_packets() {
                // An alert tells the other end why; it goes if there is room.
                let _ = self.poll_drain(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        Poll::Ready(Ok(count))
    }

    /// Takes what is decrypted, up to the room that there is.
    fn read_plain(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let (before, room) = (into.len(), into.capacity() - into.len());
        let copied = io::copy(&mut self.tls.reader().take(room as u64), &mut into.writer());
        match copied {
            Err(error) if into.len() == before => Err(error),
            _ => Ok(into.len() - before),
        }
    }

    /// Encrypts and sends all that waits.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.tls.wants_write() && self.output.len() < MAX_WAITING {
                self.tls.write_tls(&mut (&mut self.output).writer())?;
            }
            if self.output.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.stream.poll_write(cx, &[IoSlice::new(&self.output)]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.output.advance(sent),
            }
        }
    }
}

impl NetStream for TlsStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        // What was taken to be sent must go on its way, though nobody may write again.
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        if into.capacity() == into.len() {
            into.reserve(READ_BLOCK);
        }
        loop {
            match self.read_plain(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Many close without saying so in TLS. What is carried here knows its own end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                result => return Poll::Ready(result),
            }
            ready!(self.poll_more(cx))?;
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let taken = self.tls.writer().write_vectored(slices)?;
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.send_close_notify();
        ready!(self.poll_drain(cx))?;
        self.stream.poll_shutdown(cx)
    }

    fn give_up_after(&mut self, limit: TimeDelta) -> io::Result<()> {
        self.stream.give_up_after(limit)
    }

    fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }
}
