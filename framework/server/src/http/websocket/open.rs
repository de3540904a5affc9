//! The end that asks for a WebSocket (RFC 6455, 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{StatusCode, upgrade};
use millstream_core::env::TaskHandle;
use millstream_core::{Env, Error, ErrorKind, Result};

use super::super::client::Request;
use super::{Socket, Talk, accept, has};

/// A WebSocket at another's server.
pub struct Opened {
    stream: Upgraded,
    env: Env,
    _task: TaskHandle,
}

impl Opened {
    /// Asks the server at a `ws` or `wss` URL for one. How long it may take is for the caller to say.
    ///
    /// # Errors
    /// When the URL is none of those, which is [`ErrorKind::Settings`], the server is not reached, or has no WebSocket there.
    pub async fn at(env: &Env, url: &str) -> Result<Self> {
        let nonce = [env.random(), env.random()].map(u64::to_be_bytes).concat();
        let key = STANDARD.encode(nonce);
        let value = HeaderValue::try_from(&key).expect("base64 is text of a header");
        let request = Request::get(&http_url(url)?)?
            .header(header::CONNECTION, HeaderValue::from_static("Upgrade"))
            .header(header::UPGRADE, HeaderValue::from_static("websocket"))
            .header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(header::SEC_WEBSOCKET_KEY, value);
        let place = request.place();
        let lost = |why: String| Error::new(ErrorKind::Peer, format!("{place} {why}"));
        let (response, task) = request.exchange(env).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let error = lost(format!("opens no WebSocket, but answers {}", response.status()));
            return Err(error.hint("look at the path of the URL: /signal by custom"));
        }
        let is_upgrade = has(response.headers(), header::UPGRADE, "websocket");
        if !is_upgrade || response.headers().get(header::SEC_WEBSOCKET_ACCEPT) != accept(key.as_bytes()).as_ref() {
            return Err(lost("does not speak WebSocket".to_owned()));
        }
        let stream = upgrade::on(response).await.map_err(|error| lost("broke off".to_owned()).caused_by(error))?;
        Ok(Self { stream, env: env.clone(), _task: task })
    }

    /// Talks until one end has had enough, or the other is lost.
    pub async fn talk(self, talk: Box<dyn Talk>) {
        Socket::new(self.stream, talk, Some(self.env)).run().await;
    }
}

/// The URL that is asked by HTTP.
fn http_url(url: &str) -> Result<String> {
    let of = |scheme: &str, http: &str| url.strip_prefix(scheme).map(|rest| format!("{http}{rest}"));
    of("ws://", "http://").or_else(|| of("wss://", "https://")).ok_or_else(|| {
        Error::settings("this is no URL of a WebSocket").hint("write ws://host:port/path, or wss://host/path")
    })
}
