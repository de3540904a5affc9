//! WebRTC tests: browsers that publish and play, and requests of WHIP and WHEP by hand.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millstream_core::BufferBox;
use millstream_testkit::media::workspace;
use serde_json::Value;

use crate::live::Background;
use crate::peers::need;
use crate::program::{Said, run, run_with};
use crate::root;

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What headless Chromium sees that publishes (`publish`) or plays (`play`) at an endpoint: see `tests/peers/webrtc.mjs`.
///
/// # Panics
/// When it cannot be started, or says nothing.
pub fn chromium(mode: &str, endpoint: &str, seconds: u32, codec: &str, token: &str) -> Value {
    browser("chromium", mode, endpoint, seconds, codec, token)
}

/// The same of headless Firefox, which offers no H.264 here.
///
/// # Panics
/// As [`chromium`].
pub fn firefox(mode: &str, endpoint: &str, seconds: u32, codec: &str, token: &str) -> Value {
    browser("firefox-esr", mode, endpoint, seconds, codec, token)
}

fn browser(program: &str, mode: &str, endpoint: &str, seconds: u32, codec: &str, token: &str) -> Value {
    need(program);
    let mut args: Vec<PathBuf> = vec![root().join("tests/peers/webrtc.mjs"), workspace().join("target/peers/node")];
    args.extend([mode, endpoint, &seconds.to_string(), codec, token].map(PathBuf::from));
    args.extend(std::env::var_os("MILLSTREAM_SCREENSHOT").map(PathBuf::from));
    let which = if program == "chromium" { program } else { "firefox" };
    let said = run_with(&need("node"), args, &[("BROWSER", which)]);
    seen(&said, "puppeteer-core")
}

/// The same of aiortc, with VP8 or H.264: see `tests/peers/webrtc-aiortc.py`.
///
/// # Panics
/// As [`chromium`].
pub fn aiortc(mode: &str, endpoint: &str, seconds: u32, codec: &str) -> Value {
    aiortc_with(mode, endpoint, seconds, codec, "opus")
}

/// The same with `sound` as the codec of sound: `opus`, `PCMU` or `PCMA`.
///
/// # Panics
/// As [`chromium`].
pub fn aiortc_with(mode: &str, endpoint: &str, seconds: u32, codec: &str, sound: &str) -> Value {
    seen(&run(&python(), aiortc_args(mode, endpoint, seconds, codec, sound)), "aiortc")
}

/// The same of Opus beside a test, which says nothing of what it has seen.
///
/// # Panics
/// As [`chromium`].
pub fn aiortc_beside(mode: &str, endpoint: &str, seconds: u32, codec: &str) -> Background {
    Background::start(Command::new(python()).args(aiortc_args(mode, endpoint, seconds, codec, "opus")))
}

fn python() -> PathBuf {
    workspace().join("target/peers/venv/bin/python")
}

fn aiortc_args(mode: &str, endpoint: &str, seconds: u32, codec: &str, sound: &str) -> [OsString; 6] {
    let script = root().join("tests/peers/webrtc-aiortc.py");
    let seconds = seconds.to_string();
    [script.as_os_str(), mode.as_ref(), endpoint.as_ref(), seconds.as_ref(), codec.as_ref(), sound.as_ref()]
        .map(ToOwned::to_owned)
}

/// The same of GStreamer's `webrtcbin`: publishes VP8 or H264, plays VP9, with the certificate in a PEM file; see `tests/peers/webrtc-gst.py`.
///
/// # Panics
/// As [`chromium`].
pub fn webrtcbin(mode: &str, endpoint: &str, seconds: u32, codec: &str, pem: &Path) -> Value {
    let script = root().join("tests/peers/webrtc-gst.py");
    let seconds = seconds.to_string();
    let args =
        [script.as_os_str(), mode.as_ref(), endpoint.as_ref(), seconds.as_ref(), codec.as_ref(), pem.as_os_str()]
            .map(ToOwned::to_owned);
    // Debian's Python has its bindings, another one that is found first does not.
    seen(&run(Path::new("/usr/bin/python3"), args), "webrtcbin and its bindings")
}

fn seen(said: &Said, brought: &str) -> Value {
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("`cargo xtask setup` brings {brought}: {}{}", said.stdout, said.stderr))
}

/// A file that ffmpeg reads, of VP8 frames as they come over RTP (IVF: a header of 32 bytes, and one of 12 before each frame).
///
/// # Panics
/// When a frame has no time.
pub fn ivf(frames: &[BufferBox]) -> Vec<u8> {
    let mut file = [b"DKIF", &[0, 0, 32, 0][..], b"VP80", &[128, 2, 104, 1], &[0xe8, 3, 0, 0, 1, 0, 0, 0]].concat();
    file.resize(32, 0);
    for frame in frames {
        let millis = frame.pts.expect("a time").millis();
        file.extend((frame.payload.len() as u32).to_le_bytes());
        file.extend(millis.to_le_bytes());
        file.extend_from_slice(&frame.payload.contiguous());
    }
    file
}

/// A response of an HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Response {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// All headers of a name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Sends a request and waits for its response.
///
/// # Panics
/// When nobody answers, or not with HTTP.
pub fn request(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    // The server may refuse before it has read everything.
    let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Response {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Response { status: status.expect("a status"), headers: lines.filter_map(header).collect(), body: body.to_owned() }
}
