//! One publisher or player: what it says, what it has heard.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

use super::chunks::Reader;
use super::clip::{self, CHUNK_SIZE};
use super::wire::{self, Amf};

/// Bytes of C0 and C1, and of S0, S1 and S2.
const HELLO: usize = 1 + 1536;
const ANSWER: usize = 1 + 2 * 1536;

/// Written bytes that are kept in front of those that are not.
const MOVED: usize = 1 << 20;

/// Transaction ids.
const CONNECT: f64 = 1.0;
const CREATE_STREAM: f64 = 4.0;
const START: f64 = 5.0;

/// Ends of the codes that say no.
const REFUSALS: [&str; 5] = ["Failed", "NotFound", "BadName", "Rejected", "Denied"];

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for the socket.
    Connecting,
    /// Waits for S0, S1 and S2.
    Handshake,
    /// Waits for the answer to `connect`, `createStream`, `publish` or `play`.
    Connect,
    CreateStream,
    Start,
    /// Publishes or plays.
    Live,
    Gone,
}

/// What clients measure, and when.
#[derive(Debug)]
pub(super) struct Measures {
    /// Nanoseconds of the first and behind the last stamp that count.
    pub(super) window: (u64, u64),
    /// Microseconds from the stamp of a picture to its last byte at a player.
    pub(super) latencies: Vec<u32>,
}

/// What a player has seen of its stream: within the window, a slow one from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) pictures: u64,
    pub(super) lost: u64,
    /// Times that it went on behind a loss with a picture that is no key frame.
    pub(super) broken: u64,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) publishes: bool,
    /// Number and name of its stream.
    pub(super) stream: usize,
    name: String,
    pub(super) slow: bool,
    pub(super) stage: Stage,
    handshake: Vec<u8>,
    reader: Reader,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    /// Bytes of it that are.
    pub(super) written: usize,
    chunk_size: usize,
    window_size: u64,
    got: u64,
    acknowledged: u64,
    /// The message stream that the server made.
    pub(super) stream_id: u32,
    /// Nanoseconds: when it was told to begin, when it was let, when it saw the first key frame.
    pub(super) began: u64,
    pub(super) started: Option<u64>,
    pub(super) key: Option<u64>,
    /// Pictures that it has sent: all, and within the window.
    pub(super) sent: u32,
    pub(super) sent_in_window: u64,
    pub(super) seen: Seen,
    last: Option<u32>,
}

impl Client {
    pub(super) fn new(publishes: bool, stream: usize, name: String, now: u64) -> Self {
        Self {
            publishes,
            stream,
            name,
            slow: false,
            stage: Stage::Connecting,
            handshake: Vec::new(),
            reader: Reader::new(),
            out: Vec::new(),
            written: 0,
            chunk_size: wire::FIRST_CHUNK_SIZE,
            window_size: 0,
            got: 0,
            acknowledged: 0,
            stream_id: 1,
            began: now,
            started: None,
            key: None,
            sent: 0,
            sent_in_window: 0,
            seen: Seen::default(),
            last: None,
        }
    }

    /// Writes what there is; whether that was all of it.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) fn write_to(&mut self, mut socket: &TcpStream) -> io::Result<bool> {
        while self.written < self.out.len() {
            match socket.write(&self.out[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // What is written goes only now and then: it is moved to the front for that.
                    if self.written > MOVED {
                        self.out.drain(..self.written);
                        self.written = 0;
                    }
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    /// The socket is there: C0 and C1.
    pub(super) fn connected(&mut self) {
        self.stage = Stage::Handshake;
        self.out.push(3);
        self.out.extend_from_slice(&[0; 8]);
        // Random enough for the simple handshake, which nobody checks.
        let mut state = self.began as u32 | 1;
        while self.out.len() < HELLO {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.out.push((state >> 24) as u8);
        }
    }

    /// What came from the server. What is to be written then is in `out`.
    ///
    /// # Errors
    /// Why the server does not let it.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        now: u64,
        app: &str,
        measures: &mut Measures,
    ) -> Result<(), String> {
        let mut bytes = bytes;
        if self.stage == Stage::Handshake && !self.shake(&mut bytes, app)? {
            return Ok(());
        }
        self.got += bytes.len() as u64;
        let mut reader = std::mem::replace(&mut self.reader, Reader::new());
        let mut outcome = Ok(());
        while outcome.is_ok()
            && let Some(message) = reader.next(&mut bytes)
        {
            let head = message.head;
            match message.kind {
                wire::VIDEO if !self.publishes => self.saw(head, now, measures),
                wire::COMMAND => outcome = self.command(head, now),
                wire::SET_CHUNK_SIZE => reader.size = (number(head, 0) as usize & 0x7fff_ffff).max(1),
                _ => self.control(message.kind, head),
            }
        }
        self.reader = reader;
        if self.window_size > 0 && self.got - self.acknowledged >= self.window_size / 2 {
            self.acknowledged = self.got;
            let count = (self.got as u32).to_be_bytes();
            self.say(wire::CONTROL_CHUNKS, wire::ACKNOWLEDGEMENT, 0, &count);
        }
        outcome
    }

    /// Reads S0, S1 and S2; true when they are there.
    fn shake(&mut self, bytes: &mut &[u8], app: &str) -> Result<bool, String> {
        let taken = (ANSWER - self.handshake.len()).min(bytes.len());
        self.handshake.extend_from_slice(&bytes[..taken]);
        *bytes = &bytes[taken..];
        if self.handshake.len() < ANSWER {
            return Ok(false);
        }
        let answer = std::mem::take(&mut self.handshake);
        if answer[0] != 3 {
            return Err(format!("version {} in the handshake", answer[0]));
        }
        self.out.extend_from_slice(&answer[1..HELLO]);
        self.stage = Stage::Connect;
        if self.publishes {
            self.say(wire::CONTROL_CHUNKS, wire::SET_CHUNK_SIZE, 0, &(CHUNK_SIZE as u32).to_be_bytes());
            self.chunk_size = CHUNK_SIZE;
        }
        let connect = Amf::command("connect", CONNECT).object();
        let connect = connect.name("app").string(app).name("type").string("nonprivate");
        let connect = connect.name("flashVer").string("FMLE/3.0 (compatible; millstream-bench)");
        let connect = connect.name("tcUrl").string(&format!("rtmp://127.0.0.1/{app}"));
        let connect = connect.name("audioCodecs").number(4071.0).name("videoCodecs").number(252.0).end();
        self.say(wire::COMMAND_CHUNKS, wire::COMMAND, 0, &connect.0);
        Ok(true)
    }

    fn command(&mut self, body: &[u8], now: u64) -> Result<(), String> {
        let Some((name, id, rest)) = wire::read_command(body) else { return Ok(()) };
        match (name, self.stage) {
            (b"_result", Stage::Connect) if id == CONNECT => self.create_stream(),
            (b"_result", Stage::CreateStream) if id == CREATE_STREAM => {
                // Null, then the number of the stream.
                self.stream_id = rest.get(1..).and_then(wire::read_number).map_or(1, |(id, _)| id as u32);
                self.start();
            }
            (b"onStatus", _) => {
                let code = wire::status_code(rest).unwrap_or_default();
                match code.as_str() {
                    "NetStream.Publish.Start" | "NetStream.Play.Start" if self.stage == Stage::Start => {
                        self.stage = Stage::Live;
                        self.started = Some(now);
                    }
                    _ if REFUSALS.iter().any(|end| code.ends_with(end)) => return Err(code),
                    _ => {}
                }
            }
            (b"_error", _) if id == CONNECT || id == CREATE_STREAM => return Err("_error".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn create_stream(&mut self) {
        if self.publishes {
            for (name, id) in [("releaseStream", 2.0), ("FCPublish", 3.0)] {
                let body = Amf::command(name, id).null().string(&self.name).0;
                self.say(wire::COMMAND_CHUNKS, wire::COMMAND, 0, &body);
            }
        }
        self.say(wire::COMMAND_CHUNKS, wire::COMMAND, 0, &Amf::command("createStream", CREATE_STREAM).null().0);
        self.stage = Stage::CreateStream;
    }

    fn start(&mut self) {
        let stream = self.stream_id;
        if self.publishes {
            let body = Amf::command("publish", START).null().string(&self.name).string("live").0;
            self.say(wire::AUDIO_CHUNKS, wire::COMMAND, stream, &body);
        } else {
            let body = Amf::command("play", START).null().string(&self.name).number(-2000.0).0;
            self.say(8, wire::COMMAND, stream, &body);
            // SetBufferLength: a second.
            let event = [&[0, 3], &stream.to_be_bytes()[..], &1000u32.to_be_bytes()].concat();
            self.say(wire::CONTROL_CHUNKS, wire::USER_CONTROL, 0, &event);
        }
        self.stage = Stage::Start;
    }

    fn control(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (wire::WINDOW_SIZE, _) => self.window_size = u64::from(number(body, 0)),
            // PingRequest.
            (wire::USER_CONTROL, [0, 6, ..]) => {
                let answer = [&[0, 7], &number(body, 2).to_be_bytes()[..]].concat();
                self.say(wire::CONTROL_CHUNKS, wire::USER_CONTROL, 0, &answer);
            }
            _ => {}
        }
    }

    fn saw(&mut self, head: &[u8], now: u64, measures: &mut Measures) {
        let is_key = clip::is_key(head);
        if is_key && self.key.is_none() {
            self.key = Some(now);
        }
        let Some(stamp) = clip::read_stamp(head) else { return };
        let missed = self.last.map_or(0, |last| stamp.number.wrapping_sub(last).wrapping_sub(1));
        self.last = Some(stamp.number);
        // A slow player sees nothing while it is new.
        if !self.slow && !(measures.window.0..measures.window.1).contains(&stamp.at) {
            return;
        }
        if !self.slow {
            measures.latencies.push((now.saturating_sub(stamp.at) / 1000).min(u64::from(u32::MAX)) as u32);
        }
        self.seen.pictures += 1;
        self.seen.lost += u64::from(missed);
        self.seen.broken += u64::from(missed > 0 && !is_key);
    }

    fn say(&mut self, chunks: u8, kind: u8, stream: u32, body: &[u8]) {
        wire::message(&mut self.out, chunks, kind, stream, 0, self.chunk_size, body);
    }
}

/// The number of four bytes at some place; 0 where there are fewer.
fn number(body: &[u8], at: usize) -> u32 {
    body.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |digits| u32::from_be_bytes(*digits))
}

#[cfg(test)]
mod tests {
    use super::super::clip::{Stamp, fill, tests::clip};
    use super::*;

    #[test]
    fn a_loss_and_where_a_player_goes_on_are_seen() {
        let clip = clip();
        let mut measures = Measures { window: (1000, 1_000_000_000), latencies: Vec::new() };
        let mut player = Client::new(false, 0, "s0".to_owned(), 0);
        let mut send = |message: usize, number: u32, at: u64| {
            let mut chunks = clip.bytes[clip.messages[message].bytes.clone()].to_vec();
            fill(&mut chunks, 0, 1, Some(Stamp { at, number }));
            let size = (CHUNK_SIZE as u32).to_be_bytes();
            let mut bytes = Vec::new();
            wire::message(&mut bytes, 2, wire::SET_CHUNK_SIZE, 0, 0, 128, &size);
            bytes.extend(chunks);
            player.stage = Stage::Live;
            player.received(&bytes, 2_000_000, "live", &mut measures).expect("it plays");
        };
        send(1, 0, 500); // before the window
        send(2, 1, 1000);
        send(1, 5, 1_000_000); // three are lost, a key frame follows
        send(2, 7, 1_500_000); // one is lost, and what follows cannot be shown
        let seen = player.seen;
        assert_eq!((seen.pictures, seen.lost, seen.broken), (3, 4, 1));
        assert_eq!(measures.latencies, [1999, 1000, 500]);
        assert_eq!(player.key, Some(2_000_000));
    }
}
