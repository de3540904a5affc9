//! A message that goes out.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::address::{write_address, write_plain};
use super::{Class, FINGERPRINT_XOR, HEADER, MAGIC_COOKIE, Method, attr, type_bits};

/// A message under construction.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    transaction: [u8; 12],
}

impl Writer {
    /// A message without attributes.
    pub fn new(method: Method, class: Class, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&type_bits(method, class).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Self { bytes, transaction }
    }

    /// Adds an attribute. What is longer than 65535 bytes is cut: nothing here is.
    #[must_use]
    pub fn add(mut self, kind: u16, value: &[u8]) -> Self {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an address (RFC 8489, 14.2).
    #[must_use]
    pub fn address(self, kind: u16, address: SocketAddr) -> Self {
        let value = write_address(address, &self.transaction);
        self.add(kind, &value)
    }

    /// Adds an address that is not XORed (RFC 8489, 14.1).
    #[must_use]
    pub fn plain_address(self, kind: u16, address: SocketAddr) -> Self {
        self.add(kind, &write_plain(address))
    }

    /// Adds a number of 32 bits.
    #[must_use]
    pub fn number(self, kind: u16, number: u32) -> Self {
        self.add(kind, &number.to_be_bytes())
    }

    /// Adds ERROR-CODE (RFC 8489, 14.8).
    #[must_use]
    pub fn error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        self.add(attr::ERROR_CODE, &value)
    }

    /// Adds MESSAGE-INTEGRITY (RFC 8489, 14.5).
    #[must_use]
    pub fn sign(mut self, key: &[u8]) -> Self {
        self.set_length(24);
        let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(&self.bytes);
        let signature = mac.finalize().into_bytes();
        self.add(attr::MESSAGE_INTEGRITY, &signature)
    }

    /// The message, with FINGERPRINT at its end (RFC 8489, 14.7).
    pub fn finish(mut self) -> Vec<u8> {
        self.set_length(8);
        let fingerprint = crc32fast::hash(&self.bytes) ^ FINGERPRINT_XOR;
        self.number(attr::FINGERPRINT, fingerprint).bytes
    }

    /// The message as it is.
    pub fn plain(mut self) -> Vec<u8> {
        self.set_length(0);
        self.bytes
    }

    /// Writes the length in the header, `more` bytes included.
    fn set_length(&mut self, more: usize) {
        let length = (self.bytes.len() - HEADER + more) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::{Message, StunError};

    /// RFC 5769, 2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY and FINGERPRINT.
    const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36\
        000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    /// RFC 5769, 2.2 and 2.3: responses with an address of IPv4 and IPv6.
    const V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    const V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
    const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn turn_1_messages_are_those_of_rfc_5769() {
        let bytes = hex(REQUEST);
        let request = Message::read(&bytes).unwrap();
        assert_eq!((request.method, request.class), (Some(Method::Binding), Class::Request));
        assert_eq!(request.text(attr::USERNAME), Some("evtj:h6vY"));
        assert!(request.is_signed_with(PASSWORD) && !request.is_signed_with(b"other"));
        assert_eq!(request.unknown(&[attr::USERNAME, attr::MESSAGE_INTEGRITY]), [0x24]);
        for (text, address) in [(V4, "192.0.2.1:32853"), (V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
            let bytes = hex(text);
            let response = Message::read(&bytes).unwrap();
            assert_eq!(response.addresses(attr::XOR_MAPPED_ADDRESS).unwrap(), [address.parse().unwrap()]);
            assert!(response.class == Class::Success && response.is_signed_with(PASSWORD));
            // The padding of the vectors is of spaces; everything else is written as it was read.
            let written = Writer::new(Method::Binding, Class::Success, response.transaction)
                .add(attr::SOFTWARE, b"test vector")
                .address(attr::XOR_MAPPED_ADDRESS, address.parse().unwrap());
            let [ours, theirs] = [written.plain(), bytes.clone()].map(|bytes| bytes[36..].to_vec());
            assert_eq!(ours[..], theirs[..ours.len()]);
        }
    }

    #[test]
    fn turn_1_what_is_damaged_is_no_message() {
        let whole =
            Writer::new(Method::Allocate, Class::Request, [7; 12]).number(attr::LIFETIME, 600).sign(b"k").finish();
        let read = Message::read(&whole).unwrap();
        assert!(read.is_signed_with(b"k") && read.number(attr::LIFETIME) == Some(600));
        assert!((0..whole.len()).all(|cut| Message::read(&whole[..cut]).is_err()));
        // But for the type of FINGERPRINT: an attribute behind the signature that nobody knows is ignored.
        for at in (0..whole.len()).filter(|at| ![52, 53].contains(at)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let good = Message::read(&damaged).is_ok_and(|message| message.is_signed_with(b"k"));
            assert!(!good, "byte {at}");
        }
        let mut other = whole;
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(Message::read(&other).unwrap_err(), StunError::Fingerprint);
    }
}
