//! Whose a datagram is, where all sessions share one socket.
//!
//! The first that comes from an address is a STUN request (RFC 8489) with the user name `OURS:THEIRS`, ours being a name that only the other
//! end was told. From then on the address is that session's, until another one is asked for from there.
//!
//! ```text
//!  0                   1                   2                   3
//!  |0 0|  type 0x0001 (request)    |         length                |
//!  |                     magic cookie 0x2112A442                   |
//!  |                  transaction id (96 bits)                     |
//!  |  attribute: type 0x0006       |   length      | user name ... |  padded to 32 bits
//! ```

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// Addresses that one session is reached from. Each change of network adds one; the oldest is forgotten.
const MAX_ADDRESSES: usize = 16;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0, 1];
const USERNAME: [u8; 2] = [0, 6];
const HEADER_LEN: usize = 20;

/// Who takes datagrams, by `K`.
#[derive(Debug)]
pub struct Demux<K> {
    names: HashMap<String, K>,
    addresses: HashMap<SocketAddr, K>,
    of: HashMap<K, VecDeque<SocketAddr>>,
}

impl<K> Default for Demux<K> {
    fn default() -> Self {
        Self { names: HashMap::new(), addresses: HashMap::new(), of: HashMap::new() }
    }
}

impl<K: Copy + Eq + std::hash::Hash> Demux<K> {
    /// Gives a session a name, beside those that it has.
    pub fn add(&mut self, name: &str, key: K) {
        self.names.insert(name.to_owned(), key);
        self.of.entry(key).or_default();
    }

    /// Forgets a session.
    pub fn remove(&mut self, key: K) {
        self.names.retain(|_, of| *of != key);
        for address in self.of.remove(&key).unwrap_or_default() {
            if self.addresses.get(&address) == Some(&key) {
                self.addresses.remove(&address);
            }
        }
    }

    /// Whose a datagram is.
    pub fn find(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<K> {
        let Some(name) = asked_for(datagram) else { return self.addresses.get(&from).copied() };
        let key = *self.names.get(name)?;
        self.expect(from, key);
        Some(key)
    }

    /// What comes from an address is this session's from now on: it has asked there.
    pub fn expect(&mut self, from: SocketAddr, key: K) {
        if self.addresses.insert(from, key) != Some(key) {
            let all = self.of.entry(key).or_default();
            all.push_back(from);
            if all.len() > MAX_ADDRESSES
                && let Some(oldest) = all.pop_front()
                && self.addresses.get(&oldest) == Some(&key)
            {
                self.addresses.remove(&oldest);
            }
        }
    }
}

/// The first part of the user name of a STUN request; nothing for any other datagram.
pub fn asked_for(datagram: &[u8]) -> Option<&str> {
    let head = datagram.get(..HEADER_LEN)?;
    if head.get(..2)? != BINDING_REQUEST || head.get(4..8)? != MAGIC_COOKIE {
        return None;
    }
    let mut rest = datagram.get(HEADER_LEN..)?;
    while let Some((kind, after)) = rest.split_first_chunk::<2>() {
        let (len, after) = after.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        let value = after.get(..len)?;
        if *kind == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        rest = after.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str) -> Vec<u8> {
        let mut bytes = [&BINDING_REQUEST[..], &[0, 0], &MAGIC_COOKIE, &[7; 12]].concat();
        // SOFTWARE, of a length that is padded.
        bytes.extend([0x80, 0x22, 0, 5, b'a', b'b', b'c', b'd', b'e', 0, 0, 0]);
        bytes.extend(USERNAME);
        bytes.extend((name.len() as u16).to_be_bytes());
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn address(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn an_address_is_of_whom_it_asked_for() {
        let mut demux = Demux::default();
        demux.add("alpha", 1);
        demux.add("beta", 2);
        assert_eq!(demux.find(address(1), &[0x80; 40]), None, "nobody has asked from there");
        assert_eq!(demux.find(address(1), &request("gamma:x")), None);
        assert_eq!(demux.find(address(1), &request("alpha:x")), Some(1));
        assert_eq!(demux.find(address(1), &[0x80; 40]), Some(1));
        assert_eq!(demux.find(address(2), &request("alpha:x")), Some(1), "it has moved");
        assert_eq!(demux.find(address(1), &request("beta:x")), Some(2), "the address is another's now");
        demux.remove(1);
        assert_eq!(demux.find(address(2), &[0x80; 40]), None);
        assert_eq!(demux.find(address(1), &[0x80; 40]), Some(2));
        assert!(demux.find(address(3), &request("alpha:x")).is_none());
    }

    #[test]
    fn a_session_has_so_many_addresses_and_no_more() {
        let mut demux = Demux::default();
        demux.add("alpha", 1);
        for port in 0..=MAX_ADDRESSES as u16 {
            demux.find(address(port), &request("alpha:x"));
        }
        assert_eq!(demux.find(address(0), &[0x80; 40]), None, "the oldest is forgotten");
        assert_eq!(demux.find(address(1), &[0x80; 40]), Some(1));
    }

    #[test]
    fn anything_else_is_no_request() {
        let whole = request("alpha:x");
        assert_eq!(asked_for(&whole), Some("alpha"));
        assert!((0..whole.len() - 1).all(|cut| asked_for(&whole[..cut]).is_none()));
        let mut response = whole.clone();
        response[0] = 1;
        assert_eq!(asked_for(&response), None);
    }
}
