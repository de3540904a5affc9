//! Clients by hand, and elements to meet them, on a simulated network.

use std::net::SocketAddr;

use bytes::BytesMut;
use millstream_core::Env;
use millstream_core::net::NetStream;
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::session::SessionError;
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};

/// The server's machine.
pub const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 1935);

/// Takes in `live/cam`, and keeps what comes.
pub const RECEIVE: &str = "rtmpserversrc listen=10.0.0.1:1935 stream=cam duplicate=take-over eos-on-unpublish=true grace=5s ! flvdemux name=d \
                       d.video ! collect name=video d.audio ! collect name=audio";
/// Publishes the clip to `live/cam`.
pub const SEND: &str = "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
                    flvmux name=m ! rtmpsink location=rtmp://10.0.0.1/live/cam";

/// A client by hand: a session of ours on a stream of the network.
pub struct Client {
    /// To the server.
    pub stream: Box<dyn NetStream>,
    /// Its end of the protocol.
    pub session: ClientSession,
    env: Env,
}

impl Client {
    /// Connects to [`SERVER`].
    pub async fn connect(env: &Env, url: &str, purpose: Purpose) -> Self {
        Self::connect_to(env, SERVER, ClientSettings::new(RtmpUrl::parse(url).expect("a URL"), purpose)).await
    }

    /// Connects to an address with these settings.
    pub async fn connect_to(env: &Env, address: ([u8; 4], u16), settings: ClientSettings) -> Self {
        let stream = env.net.connect(SocketAddr::from(address)).await.expect("somebody listens");
        let session = ClientSession::new(settings, 1, env.clock.now());
        Self { stream, session, env: env.clone() }
    }

    /// The next event; nothing at the end of the connection.
    ///
    /// # Errors
    /// Those of the session.
    pub async fn next(&mut self) -> Result<Option<ClientEvent>, SessionError> {
        loop {
            if let Some(event) = self.session.next_event()? {
                return Ok(Some(event));
            }
            self.send().await;
            let mut input = BytesMut::with_capacity(1 << 16);
            if self.stream.read(&mut input).await.expect("it is not broken") == 0 {
                return Ok(None);
            }
            self.session.receive(input.freeze(), self.env.clock.now())?;
        }
    }

    /// Sends what the session has to say.
    pub async fn send(&mut self) {
        for bytes in self.session.output() {
            self.stream.write_all(&bytes).await.expect("it is not broken");
        }
    }
}
