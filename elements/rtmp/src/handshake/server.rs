//! The server's half.

use bytes::{BufMut, Bytes, BytesMut};

use super::digest::{self, Side};
use super::{FIRST_TEXT_VERSION, Gather, HandshakeError, Layout, PACKET_LEN, Progress, Random, VERSION};

/// The version that S1 carries where the client's C1 has a digest: below 3.0 Flash players expect no signature.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// Answers a client's handshake.
///
/// ```
/// # use millstream_rtmp::handshake::ServerHandshake;
/// let mut server = ServerHandshake::new(7, 0);
/// let progress = server.receive(&[3; 1 + 1536])?;
/// assert!(!progress.done);
/// assert_eq!(server.output().expect("S0, S1 and S2 at once").len(), 1 + 2 * 1536);
/// assert!(server.receive(&[0; 1536])?.done);
/// # Ok::<(), millstream_rtmp::handshake::HandshakeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerHandshake {
    state: State,
    output: Option<Bytes>,
    random: Random,
    time: u32,
    layout: Option<Layout>,
}

#[derive(Debug, Clone)]
enum State {
    C0,
    C1(Gather),
    /// So many bytes of C2 are still to come. They are not looked at.
    C2(usize),
    Done,
}

impl ServerHandshake {
    /// A server that has read nothing yet. `seed` is for the random bytes, `time` is the epoch in milliseconds that S1 says.
    pub fn new(seed: u64, time: u32) -> Self {
        Self { state: State::C0, output: None, random: Random::new(seed), time, layout: None }
    }

    /// Takes bytes of the client.
    ///
    /// # Errors
    /// [`HandshakeError::NotRtmp`] when the first byte is no version.
    pub fn receive(&mut self, data: &[u8]) -> Result<Progress, HandshakeError> {
        let mut rest = data;
        loop {
            match &mut self.state {
                State::C0 => {
                    let Some((version, tail)) = rest.split_first() else { break };
                    if *version >= FIRST_TEXT_VERSION {
                        return Err(HandshakeError::NotRtmp(*version));
                    }
                    rest = tail;
                    self.state = State::C1(Gather::new());
                }
                State::C1(gather) => {
                    let Some(c1) = gather.take(&mut rest) else { break };
                    let c1 = *c1;
                    self.output = Some(self.answer(&c1));
                    self.state = State::C2(PACKET_LEN);
                }
                State::C2(left) => {
                    let taken = rest.len().min(*left);
                    rest = &rest[taken..];
                    *left -= taken;
                    if *left > 0 {
                        break;
                    }
                    self.state = State::Done;
                }
                State::Done => break,
            }
        }
        Ok(Progress { consumed: data.len() - rest.len(), done: matches!(self.state, State::Done) })
    }

    /// S0, S1 and S2, once, when the time has come to send them.
    pub fn output(&mut self) -> Option<Bytes> {
        self.output.take()
    }

    /// The layout of the client's digest; none for the simple form.
    pub fn layout(&self) -> Option<Layout> {
        self.layout
    }

    /// A client whose `zero` is not zero gets the digest form, if a digest is found.
    fn answer(&mut self, c1: &[u8; PACKET_LEN]) -> Bytes {
        let has_version = c1[4..8] != [0; 4];
        let found = if has_version { digest::find(c1, Side::Client) } else { None };
        let mut s1 = [0; PACKET_LEN];
        s1[..4].copy_from_slice(&self.time.to_be_bytes());
        self.random.fill(&mut s1[8..]);
        let mut s2 = *c1;
        match found {
            Some((layout, answered)) => {
                s1[4..8].copy_from_slice(&SERVER_VERSION);
                digest::put(&mut s1, layout, Side::Server);
                self.random.fill(&mut s2);
                digest::sign(&mut s2, &answered, Side::Server);
                self.layout = Some(layout);
            }
            // The time at which C1 was read, on the clock that S1 said.
            None => s2[4..8].copy_from_slice(&self.time.to_be_bytes()),
        }
        let mut out = BytesMut::with_capacity(1 + 2 * PACKET_LEN);
        out.put_u8(VERSION);
        out.put_slice(&s1);
        out.put_slice(&s2);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_testkit::media::media_bytes;

    /// C0 + C1 and what the server says to it.
    fn answer(client: &[u8]) -> (Bytes, ServerHandshake) {
        let mut server = ServerHandshake::new(1, 0x0102_0304);
        let progress = server.receive(&client[..1 + PACKET_LEN]).unwrap();
        assert_eq!(progress, Progress { consumed: 1 + PACKET_LEN, done: false });
        (server.output().unwrap(), server)
    }

    fn simple_client() -> Vec<u8> {
        let mut client: Vec<u8> = (0..1 + 2 * PACKET_LEN).map(|at| at as u8).collect();
        client[..9].copy_from_slice(&[3, 0, 1, 2, 3, 0, 0, 0, 0]);
        client
    }

    #[test]
    fn rtmp_h1_versions_below_32_are_answered_with_3_and_text_is_refused() {
        for version in 0..=31 {
            let mut client = simple_client();
            client[0] = version;
            assert_eq!(answer(&client).0[0], 3, "version {version}");
        }
        for version in [32, b'G', 255] {
            let error = ServerHandshake::new(1, 0).receive(&[version]).unwrap_err();
            assert_eq!(error, HandshakeError::NotRtmp(version));
        }
    }

    #[test]
    fn rtmp_h1_recorded_bad_version_is_refused() {
        let Some(bytes) = media_bytes("broken/rtmp_bad_version.c2s.bin") else { return };
        assert_eq!(ServerHandshake::new(1, 0).receive(&bytes), Err(HandshakeError::NotRtmp(0x47)));
    }

    #[test]
    fn rtmp_h2_any_segmentation_leaves_the_commands_alone() {
        let mut client = simple_client();
        client.extend_from_slice(b"connect");
        for step in [1, 7, 1536, 1537, client.len()] {
            let mut server = ServerHandshake::new(1, 0);
            let (mut at, mut answers) = (0, 0);
            let done = loop {
                let piece = &client[at..client.len().min(at + step)];
                let progress = server.receive(piece).unwrap();
                at += progress.consumed;
                answers += usize::from(server.output().is_some());
                if progress.done {
                    break at;
                }
                assert_eq!(progress.consumed, piece.len(), "all is taken until it is done");
            };
            assert_eq!((done, answers), (1 + 2 * PACKET_LEN, 1), "step {step}");
        }
    }

    #[test]
    fn rtmp_h4_simple_s2_echoes_time_and_random_of_c1() {
        let client = simple_client();
        let (out, server) = answer(&client);
        let s2 = &out[1 + PACKET_LEN..];
        assert_eq!((&s2[..4], &s2[8..]), (&client[1..5], &client[9..1 + PACKET_LEN]));
        assert_eq!(&out[5..9], [0; 4], "zero of S1");
        assert_eq!(server.layout(), None);
    }

    #[test]
    fn rtmp_h4_version_without_digest_falls_back_to_simple() {
        let mut client = simple_client();
        client[5..9].copy_from_slice(&[9, 0, 124, 2]);
        let (out, server) = answer(&client);
        assert_eq!(&out[1 + PACKET_LEN + 8..], &client[9..1 + PACKET_LEN]);
        assert_eq!(server.layout(), None);
    }

    #[test]
    fn rtmp_h5_recorded_ffmpeg_gets_a_signed_answer() {
        let Some(client) = media_bytes("rtmp/ffmpeg51_publish_h264_aac.c2s.bin") else { return };
        let (out, server) = answer(&client);
        assert_eq!(server.layout(), Some(Layout::DigestFirst));
        let s1 = out[1..].first_chunk().unwrap();
        assert!(digest::find(s1, Side::Server).is_some());
        let (_, c1_digest) = digest::find(client[1..].first_chunk().unwrap(), Side::Client).unwrap();
        let s2: [u8; PACKET_LEN] = *out[1 + PACKET_LEN..].first_chunk().unwrap();
        let mut signed = s2;
        digest::sign(&mut signed, &c1_digest, Side::Server);
        assert_eq!(s2, signed);
    }
}
