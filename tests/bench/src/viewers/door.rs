//! Offers and answers over HTTP.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts an offer; gives the answer (RFC 9725).
pub(super) fn offer(address: SocketAddrV4, path: &str, sdp: &str) -> Result<String> {
    let (status, body) = request(address, "POST", path, "application/sdp", sdp)?;
    if status != 201 {
        bail!("{path} answers {status}: {}", body.trim());
    }
    Ok(body)
}

/// A handle of the streaming plug-in of Janus, over its HTTP transport.
pub(super) struct Janus {
    address: SocketAddrV4,
    session: u64,
    handle: u64,
}

impl Janus {
    /// Asks for mount point 1; gives the offer.
    pub(super) fn watch(address: SocketAddrV4) -> Result<(Self, String)> {
        let ask = |path: String, body: Value| -> Result<Value> {
            let (status, text) = request(address, "POST", &path, "application/json", &body.to_string())?;
            serde_json::from_str(&text).with_context(|| format!("Janus answers {status}: {text}"))
        };
        let id = |said: &Value| said["data"]["id"].as_u64().with_context(|| format!("Janus says {said}"));
        let session = id(&ask("/janus".to_owned(), json!({"janus": "create", "transaction": "c"}))?)?;
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.streaming", "transaction": "a"});
        let handle = id(&ask(format!("/janus/{session}"), attach)?)?;
        let janus = Self { address, session, handle };
        janus.message(json!({"request": "watch", "id": 1}), None)?;
        let (_, text) = request(address, "GET", &format!("/janus/{session}?maxev=1"), "application/json", "")?;
        let said: Value = serde_json::from_str(&text)?;
        let sdp = said["jsep"]["sdp"].as_str().with_context(|| format!("Janus offers nothing: {said}"))?;
        Ok((janus, sdp.to_owned()))
    }

    /// Answers.
    pub(super) fn start(&self, sdp: &str) -> Result<()> {
        self.message(json!({"request": "start"}), Some(json!({"type": "answer", "sdp": sdp, "trickle": false})))
    }

    fn message(&self, body: Value, jsep: Option<Value>) -> Result<()> {
        let mut message = json!({"janus": "message", "body": body, "transaction": "m"});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let path = format!("/janus/{}/{}", self.session, self.handle);
        let (status, text) = request(self.address, "POST", &path, "application/json", &message.to_string())?;
        if status != 200 || !text.contains("\"ack\"") {
            bail!("Janus answers {status}: {text}");
        }
        Ok(())
    }
}

/// One request on a connection of its own; status and body.
fn request(address: SocketAddrV4, method: &str, path: &str, kind: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut said = String::new();
    stream.read_to_string(&mut said).with_context(|| format!("{path} does not answer"))?;
    let (head, body) = said.split_once("\r\n\r\n").with_context(|| format!("{path} answers without a head"))?;
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).context("no status")?;
    let chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    Ok((status, if chunked { joined(body)? } else { body.to_owned() }))
}

/// A body in chunks (RFC 9112, 7.1).
fn joined(mut body: &str) -> Result<String> {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16)?;
        whole.push_str(rest.get(..size).context("a chunk is cut")?);
        body = rest.get(size + 2..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        assert_eq!(joined("4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n").expect("chunks"), "Wikipedia");
        assert!(joined("9\r\nWiki\r\n").is_err());
    }
}
