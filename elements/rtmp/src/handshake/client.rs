//! The client's half.

use bytes::{BufMut, Bytes, BytesMut};

use super::digest::{self, Side};
use super::{Gather, HandshakeError, Layout, PACKET_LEN, Progress, Random, VERSION};

/// The version that C1 carries with a digest: Flash Player 9.0.124.2, as ffmpeg says it.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];

/// Which form a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientForm {
    /// The form of the standard, which every server takes.
    #[default]
    Simple,
    /// With a digest; servers that do not know it answer in the simple form.
    Digest(Layout),
}

/// Shakes hands with a server.
#[derive(Debug, Clone)]
pub struct ClientHandshake {
    state: State,
    output: Option<Bytes>,
    random: Random,
    form: ClientForm,
    signed: bool,
}

#[derive(Debug, Clone)]
enum State {
    S0,
    S1(Gather),
    /// So many bytes of S2 are still to come. They are not looked at.
    S2(usize),
    Done,
}

impl ClientHandshake {
    /// A client whose C0 and C1 wait in [`ClientHandshake::output`]. `seed` is for the random bytes, `time` is the epoch in
    /// milliseconds that C1 says.
    pub fn new(form: ClientForm, seed: u64, time: u32) -> Self {
        let mut random = Random::new(seed);
        let mut c1 = [0; PACKET_LEN];
        c1[..4].copy_from_slice(&time.to_be_bytes());
        random.fill(&mut c1[8..]);
        if let ClientForm::Digest(layout) = form {
            c1[4..8].copy_from_slice(&CLIENT_VERSION);
            digest::put(&mut c1, layout, Side::Client);
        }
        let mut out = BytesMut::with_capacity(1 + PACKET_LEN);
        out.put_u8(VERSION);
        out.put_slice(&c1);
        Self { state: State::S0, output: Some(out.freeze()), random, form, signed: false }
    }

    /// Takes bytes of the server.
    ///
    /// # Errors
    /// [`HandshakeError::Version`] when the server does not speak version 3.
    pub fn receive(&mut self, data: &[u8]) -> Result<Progress, HandshakeError> {
        let mut rest = data;
        loop {
            match &mut self.state {
                State::S0 => {
                    let Some((version, tail)) = rest.split_first() else { break };
                    if *version != VERSION {
                        return Err(HandshakeError::Version(*version));
                    }
                    rest = tail;
                    self.state = State::S1(Gather::new());
                }
                State::S1(gather) => {
                    let Some(s1) = gather.take(&mut rest) else { break };
                    let s1 = *s1;
                    self.output = Some(self.answer(&s1));
                    self.state = State::S2(PACKET_LEN);
                }
                State::S2(left) => {
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

    /// C0 and C1, later C2: what is to be sent now.
    pub fn output(&mut self) -> Option<Bytes> {
        self.output.take()
    }

    /// Whether the server answered with a digest.
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    fn answer(&mut self, s1: &[u8; PACKET_LEN]) -> Bytes {
        let found = match self.form {
            ClientForm::Digest(_) => digest::find(s1, Side::Server),
            ClientForm::Simple => None,
        };
        let mut c2 = *s1;
        // Without a digest C2 is S1. Bytes 4 to 8 should be the time at which it was read; librtmp and ffmpeg echo them too.
        if let Some((_, answered)) = found {
            self.random.fill(&mut c2);
            digest::sign(&mut c2, &answered, Side::Client);
            self.signed = true;
        }
        Bytes::copy_from_slice(&c2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerHandshake;
    use super::*;
    use millstream_testkit::media::media_bytes;

    #[test]
    fn rtmp_h4_h5_every_form_meets_our_server() {
        for form in [ClientForm::Simple, ClientForm::Digest(Layout::DigestFirst), ClientForm::Digest(Layout::KeyFirst)]
        {
            let (mut client, mut server) = (ClientHandshake::new(form, 3, 9), ServerHandshake::new(4, 8));
            assert!(!server.receive(&client.output().unwrap()).unwrap().done);
            let answer = server.output().unwrap();
            // S0 + S1 are enough for C2, S2 is needed before anything else (RTMP-H3).
            assert!(!client.receive(&answer[..1 + PACKET_LEN]).unwrap().done);
            let c2 = client.output().unwrap();
            assert!(client.receive(&answer[1 + PACKET_LEN..]).unwrap().done);
            assert!(server.receive(&c2).unwrap().done);
            let layout = match form {
                ClientForm::Simple => None,
                ClientForm::Digest(layout) => Some(layout),
            };
            assert_eq!((server.layout(), client.is_signed()), (layout, layout.is_some()));
            if layout.is_none() {
                assert_eq!(c2, answer[1..1 + PACKET_LEN]);
            }
        }
    }

    #[test]
    fn rtmp_h1_client_gives_up_on_another_version() {
        let error = ClientHandshake::new(ClientForm::Simple, 1, 0).receive(&[6]).unwrap_err();
        assert_eq!(error, HandshakeError::Version(6));
    }

    #[test]
    fn rtmp_h2_recorded_server_in_single_bytes() {
        let Some(server) = media_bytes("rtmp/obs29_publish.s2c.bin") else { return };
        let mut client = ClientHandshake::new(ClientForm::Digest(Layout::DigestFirst), 1, 0);
        client.output().unwrap();
        let mut consumed = 0;
        while !client.receive(&server[consumed..=consumed]).unwrap().done {
            consumed += 1;
        }
        assert_eq!(consumed + 1, 1 + 2 * PACKET_LEN);
        assert_eq!(client.output().unwrap().len(), PACKET_LEN);
    }
}
