//! What a publisher sends, in real time or as fast as it goes.

use std::io::{ErrorKind, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;

use super::client::Client;
use super::clip::{Clip, Message, Stamp, fill};
use super::{Load, wire};

/// Most bytes that wait to be written. A publisher that a server slows down further than that waits.
const BEHIND: usize = 8 << 20;
/// When one that is behind looks again, in nanoseconds.
const RETRY: u64 = 10_000_000;
/// Bytes poured at a time, before others have their turn.
const POUR: usize = 4 << 20;
const MS: f64 = 1e6;

#[derive(Debug)]
pub(super) struct Publisher {
    clip: Arc<Clip>,
    /// Its message stream at the server.
    stream: u32,
    /// Nanoseconds when it began.
    began: u64,
    /// How many times as fast as real time.
    speed: f64,
    /// The next message, and milliseconds of the turns of the clip before this one.
    next: usize,
    before: u64,
    /// Bytes that it has handed over.
    pub(super) bytes: u64,
    pour: Pour,
}

/// A whole turn of the clip that is written as it stands, so that this side does not copy.
#[derive(Debug, Default)]
struct Pour {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    at: usize,
    /// Milliseconds that the messages say, one each: a day would go by in ten seconds otherwise.
    time: u32,
}

impl Publisher {
    pub(super) fn new(load: &Load, stream: u32, began: u64) -> Self {
        let clip = load.clip.clone();
        Self { clip, stream, began, speed: load.speed, next: 0, before: 0, bytes: 0, pour: Pour::default() }
    }

    /// Appends what is due to what the client writes; when the next is. `window` says which pictures count.
    pub(super) fn feed(&mut self, client: &mut Client, now: u64, window: (u64, u64)) -> u64 {
        loop {
            if client.out.len() - client.written > BEHIND {
                return now + RETRY;
            }
            if self.next == self.clip.messages.len() {
                self.next = 0;
                self.before += u64::from(self.clip.span);
            }
            let message = &self.clip.messages[self.next];
            if message.once && self.before > 0 {
                self.next += 1;
                continue;
            }
            let time = self.before + u64::from(message.time);
            let due = self.began + (time as f64 * MS / self.speed) as u64;
            if due > now {
                return due;
            }
            let start = client.out.len();
            client.out.extend_from_slice(&self.clip.bytes[message.bytes.clone()]);
            let stamp = message.picture.then_some(Stamp { at: now, number: client.sent });
            fill(&mut client.out[start..], time as u32, self.stream, stamp);
            self.bytes += message.bytes.len() as u64;
            client.sent += u32::from(message.picture);
            client.sent_in_window += u64::from(message.picture && (window.0..window.1).contains(&now));
            self.next += 1;
        }
    }

    /// Writes as much as the socket takes. It never has nothing more to say, so this is never true.
    pub(super) fn pour(&mut self, mut socket: &TcpStream) -> Result<bool> {
        let mut poured = 0;
        while poured < POUR {
            if self.pour.at == self.pour.bytes.len() {
                self.refill();
            }
            match socket.write(&self.pour.bytes[self.pour.at..]) {
                Ok(length) => {
                    poured += length;
                    self.pour.at += length;
                    self.bytes += length as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The next turn: the first has what is sent once, the others are like each other but for their times.
    fn refill(&mut self) {
        let first = self.pour.time == 0;
        if first || self.pour.messages.iter().any(|message| message.once) {
            self.pour.bytes.clear();
            self.pour.messages.clear();
            for message in self.clip.messages.iter().filter(|message| first || !message.once) {
                let start = self.pour.bytes.len();
                self.pour.bytes.extend_from_slice(&self.clip.bytes[message.bytes.clone()]);
                self.pour.messages.push(Message { bytes: start..self.pour.bytes.len(), ..message.clone() });
            }
        }
        for message in &self.pour.messages {
            self.pour.time += 1;
            fill(&mut self.pour.bytes[message.bytes.clone()], self.pour.time % wire::EXTENDED, self.stream, None);
        }
        self.pour.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::clip::{HEAD, read_stamp, tests::clip};
    use super::*;

    fn load() -> Load {
        Load::new("127.0.0.1:1".parse().expect("an address"), Arc::new(clip()))
    }

    #[test]
    fn a_clip_goes_round_on_one_timeline_without_its_configuration() {
        let (mut client, mut publisher) = (Client::new(true, 0, "s0".to_owned(), 0), Publisher::new(&load(), 1, 0));
        assert_eq!(publisher.feed(&mut client, 0, (0, u64::MAX)), 40_000_000);
        assert_eq!((client.sent, client.out[12..14].to_vec()), (1, vec![0x17, 0]), "configuration and first picture");
        client.out.clear();
        let next = publisher.feed(&mut client, 120_000_000, (0, 100_000_000));
        assert_eq!((next, client.sent, client.sent_in_window), (160_000_000, 4, 1));
        let length = client.out.len() / 3;
        let last = &client.out[2 * length..];
        assert_eq!((last[0], &last[1..4], last[12]), (6, &[0, 0, 120][..], 0x17), "the second turn begins");
        assert_eq!(read_stamp(&last[12..][..HEAD]).map(|stamp| stamp.number), Some(3));
    }

    #[test]
    fn what_is_poured_goes_on_in_time() {
        let mut publisher = Publisher::new(&load(), 1, 0);
        publisher.refill();
        assert_eq!((publisher.pour.messages.len(), publisher.pour.time), (4, 4));
        publisher.refill();
        assert_eq!((publisher.pour.messages.len(), publisher.pour.time), (3, 7));
        assert_eq!(publisher.pour.bytes[1..4], [0, 0, 5]);
    }
}
