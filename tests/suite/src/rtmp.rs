//! Clients by hand, and elements to meet them, on a simulated network.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use millstream_core::Env;
use millstream_core::net::NetStream;
use millstream_flv::wire::{FlvReader, Tag, TagKind};
use millstream_rtmp::RtmpUrl;
use millstream_rtmp::session::client::{ClientEvent, ClientSession, ClientSettings, Purpose};
use millstream_rtmp::session::{Media, MediaKind, SessionError};

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

    /// Publishes an FLV file to its end, as fast as it is taken, and leaves. The purpose is to publish.
    ///
    /// # Panics
    /// When the server refuses it, or it is no FLV.
    pub async fn publish(mut self, file: Bytes) {
        let stream = loop {
            match self.next().await.expect("no refusal") {
                Some(ClientEvent::Publishing { stream }) => break stream,
                Some(_) => {}
                None => panic!("closed without a word"),
            }
        };
        let mut reader = FlvReader::new();
        reader.push(file);
        reader.finish();
        while let Some(tag) = reader.next().expect("FLV") {
            send_tag(&mut self.session, stream, &tag);
            self.send().await;
        }
        self.session.close();
        self.send().await;
        self.stream.shutdown().await.expect("it is not broken");
        // The server closes when it has taken everything.
        while self.stream.read(&mut BytesMut::with_capacity(1 << 16)).await.is_ok_and(|read| read > 0) {}
    }
}

/// Publishes a tag of a file.
pub fn send_tag(session: &mut ClientSession, stream: u32, tag: &Tag) {
    let media = |kind| Media { kind, timestamp: tag.timestamp, payload: tag.body.clone() };
    match tag.kind {
        TagKind::Audio => session.send_media(stream, &media(MediaKind::Audio)),
        TagKind::Video => session.send_media(stream, &media(MediaKind::Video)),
        TagKind::Script | TagKind::ScriptAmf3 => session.send_metadata(stream, tag.timestamp, &tag.body),
    }
}
