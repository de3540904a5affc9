//! Another server that is asked, or told, by an HTTP POST.
//!
//! Two bodies are known, so that what was written for other servers is of use here:
//!
//! - [`CallbackFormat::Form`], as nginx-rtmp's `on_publish`, `on_play`, `on_publish_done` and `on_play_done`: a form with `call`, `app`,
//!   `name`, `addr`, `clientid`, `tcurl`, `flashver`, `swfurl`, `pageurl`, and the parameters of the query. Here `stream` too.
//! - [`CallbackFormat::Json`], as SRS's `http_hooks`: `action`, `client_id`, `ip`, `vhost`, `app`, `stream`, `param`, `tcUrl`, `pageUrl`.
//!
//! A status of 2xx allows. SRS also wants a body of `0` or `{"code":0}`, so with JSON another code refuses.

use bytes::Bytes;
use millstream_core::{Env, Error, Result, Secret, TimeDelta};
use schemars::JsonSchema;
use serde::Deserialize;

use super::form::{form, pairs};
use super::{Purpose, Visit};
use crate::http::client::{Request, within};

/// Longest answer that is read: a code.
const MAX_ANSWER: usize = 4 << 10;

/// How the body of a callback is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackFormat {
    /// A form, as nginx-rtmp posts it.
    #[default]
    Form,
    /// JSON, as SRS posts it.
    Json,
}

/// What a callback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// A client wants to begin.
    Begin,
    /// It has ended, in whatever way.
    End,
}

/// A URL to post to.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    pub(super) url: Secret,
    pub(super) format: CallbackFormat,
    pub(super) limit: TimeDelta,
}

impl Callback {
    /// Posts, and says whether the answer allows it.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub(super) async fn post(&self, env: &Env, visit: &Visit, moment: Moment) -> Result<bool> {
        let (media_type, body) = match self.format {
            CallbackFormat::Form => ("application/x-www-form-urlencoded", form_of(visit, moment)),
            CallbackFormat::Json => ("application/json", json_of(visit, moment)),
        };
        let request = Request::post(self.url.reveal(), media_type, body)?;
        within(env, self.limit, "a callback", async {
            let response = request.send(env).await?;
            if !response.status().is_success() {
                tracing::debug!(status = response.status().as_u16(), "a callback refuses");
                return Ok(false);
            }
            match self.format {
                CallbackFormat::Form => Ok(true),
                CallbackFormat::Json => Ok(allows(&response.whole(MAX_ANSWER).await?)),
            }
        })
        .await
    }
}

/// Whether a body says 0, or nothing.
fn allows(body: &Bytes) -> bool {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str::<serde_json::Value>(text.trim()) {
        Ok(serde_json::Value::Object(answer)) => answer.get("code").is_none_or(|code| code.as_f64() == Some(0.0)),
        Ok(serde_json::Value::Number(code)) => code.as_f64() == Some(0.0),
        // Text is no code.
        _ => true,
    }
}

fn form_of(visit: &Visit, moment: Moment) -> String {
    let call = match (visit.purpose, moment) {
        (Purpose::Publish, Moment::Begin) => "publish",
        (Purpose::Publish, Moment::End) => "publish_done",
        (Purpose::Play, Moment::Begin) => "play",
        (Purpose::Play, Moment::End) => "play_done",
        (Purpose::Connect, Moment::Begin) => "connect",
        (Purpose::Connect, Moment::End) => "disconnect",
    };
    let (address, client) = (visit.peer.ip().to_string(), visit.client_id());
    let own = [
        ("call", call),
        ("app", &visit.app),
        ("name", &visit.stream),
        ("stream", &visit.stream),
        ("addr", &address),
        ("clientid", &client),
        ("tcurl", visit.hello.tc_url.reveal()),
        ("flashver", &visit.hello.flash_ver),
        ("swfurl", visit.hello.swf_url.reveal()),
        ("pageurl", visit.hello.page_url.reveal()),
    ];
    // A client must not speak for us: some languages take the last of two fields of one name.
    let query: Vec<_> =
        pairs(visit.query.reveal()).filter(|(name, _)| own.iter().all(|(taken, _)| taken != name)).collect();
    form(own.into_iter().chain(query.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
}

fn json_of(visit: &Visit, moment: Moment) -> String {
    let action = match (visit.purpose, moment) {
        (Purpose::Publish, Moment::Begin) => "on_publish",
        (Purpose::Publish, Moment::End) => "on_unpublish",
        (Purpose::Play, Moment::Begin) => "on_play",
        (Purpose::Play, Moment::End) => "on_stop",
        (Purpose::Connect, Moment::Begin) => "on_connect",
        (Purpose::Connect, Moment::End) => "on_close",
    };
    let query = visit.query.reveal();
    let param = if query.is_empty() { String::new() } else { format!("?{query}") };
    serde_json::json!({
        "action": action,
        "client_id": visit.client_id(),
        "ip": visit.peer.ip().to_string(),
        "vhost": "__defaultVhost__",
        "app": visit.app,
        "stream": visit.stream,
        "param": param,
        "tcUrl": visit.hello.tc_url.reveal(),
        "pageUrl": visit.hello.page_url.reveal(),
    })
    .to_string()
}

/// Whether a callback can be posted to this URL.
///
/// # Errors
/// When it is none; the text does not show it.
pub(super) fn check(property: &'static str, url: &Secret) -> Result<()> {
    Request::get(url.reveal()).map(drop).map_err(|error: Error| error.on_property(property))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Hello;

    fn visit() -> Visit {
        Visit {
            purpose: Purpose::Publish,
            peer: ([192, 0, 2, 7], 4242).into(),
            client: 0xab,
            app: "live".into(),
            stream: "cam".into(),
            query: "key=s%26&addr=10.0.0.1&x=1".into(),
            hello: Hello { tc_url: "rtmp://host/live".into(), flash_ver: "FMLE/3.0".into(), ..Hello::default() }.into(),
        }
    }

    #[test]
    fn a_form_as_nginx_rtmp_posts_it() {
        assert_eq!(
            form_of(&visit(), Moment::Begin),
            "call=publish&app=live&name=cam&stream=cam&addr=192.0.2.7&clientid=00000000000000ab&tcurl=rtmp%3A%2F%2Fhost%2Flive&\
             flashver=FMLE%2F3.0&swfurl=&pageurl=&key=s%26&x=1"
        );
        let play = Visit { purpose: Purpose::Play, ..visit() };
        assert!(form_of(&play, Moment::End).starts_with("call=play_done&"));
    }

    #[test]
    fn json_as_srs_posts_it() {
        let json: serde_json::Value = serde_json::from_str(&json_of(&visit(), Moment::End)).unwrap();
        for (name, value) in [
            ("action", "on_unpublish"),
            ("ip", "192.0.2.7"),
            ("app", "live"),
            ("stream", "cam"),
            ("param", "?key=s%26&addr=10.0.0.1&x=1"),
            ("tcUrl", "rtmp://host/live"),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
    }

    #[test]
    fn codes_of_srs() {
        for (body, allowed) in [
            ("", true),
            ("0", true),
            ("0\n", true),
            ("{\"code\": 0, \"data\": {}}", true),
            ("OK", true),
            ("1", false),
            ("{\"code\": 403}", false),
            ("{\"code\": \"0\"}", false),
        ] {
            assert_eq!(allows(&Bytes::from_static(body.as_bytes())), allowed, "{body}");
        }
    }
}
