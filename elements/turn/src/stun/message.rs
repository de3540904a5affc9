//! A message that came in.
//!
//! ```text
//! type(16) length(16) | magic cookie(32) | transaction id(96) | attributes: type(16) length(16) value padding to 4 …
//! ```

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::address::{read_address, read_plain};
use super::{Class, FINGERPRINT_XOR, HEADER, MAGIC_COOKIE, Method, attr, split_type};

/// Attributes of a message. Those of RFC 8656 have at most ten; some peers at a time get a permission.
const MAX_ATTRIBUTES: usize = 64;

/// Bytes of MESSAGE-INTEGRITY (RFC 8489, 14.5).
const INTEGRITY: usize = 20;

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StunError {
    /// It does not begin as one.
    #[error("this is no STUN message")]
    NotStun,
    /// Its lengths do not fit.
    #[error("the lengths of a STUN message do not fit")]
    Length,
    /// Its fingerprint is wrong.
    #[error("the fingerprint of a STUN message is wrong")]
    Fingerprint,
}

/// Type, value, and where the attribute begins.
type Attribute<'a> = (u16, &'a [u8], usize);

/// A message that came in. Attributes behind MESSAGE-INTEGRITY are ignored, as the standard says.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Nothing for methods that nobody here knows.
    pub method: Option<Method>,
    /// What kind it is.
    pub class: Class,
    /// Tells it from others of its sender.
    pub transaction: [u8; 12],
    attributes: Vec<Attribute<'a>>,
}

impl<'a> Message<'a> {
    /// Reads a message that is alone in its datagram or frame.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, StunError> {
        let word = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
        let (Some(kind), Some(length), Some(rest)) = (word(0), word(2), bytes.get(4..HEADER)) else {
            return Err(StunError::NotStun);
        };
        if kind & 0xC000 != 0 || rest[..4] != MAGIC_COOKIE.to_be_bytes() {
            return Err(StunError::NotStun);
        }
        if usize::from(length) + HEADER != bytes.len() || !length.is_multiple_of(4) {
            return Err(StunError::Length);
        }
        let (method, class) = split_type(kind);
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&rest[4..]);
        let attributes = attributes(bytes)?;
        Ok(Self { bytes, method: Method::of(method), class, transaction, attributes })
    }

    /// The first attribute of a type.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes.iter().find(|(of, ..)| *of == kind).map(|(_, value, _)| *value)
    }

    /// One that is text.
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// One that is a number of 32 bits.
    pub fn number(&self, kind: u16) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// All addresses of a type (RFC 8489, 14.2); nothing if one cannot be read.
    pub fn addresses(&self, kind: u16) -> Option<Vec<SocketAddr>> {
        let of_kind = self.attributes.iter().filter(|(of, ..)| *of == kind);
        of_kind.map(|(_, value, _)| read_address(value, &self.transaction)).collect()
    }

    /// An address that is not XORed (RFC 8489, 14.1).
    pub fn plain_address(&self, kind: u16) -> Option<SocketAddr> {
        self.get(kind).and_then(read_plain)
    }

    /// Types that have to be understood (below 0x8000) and are not among these.
    pub fn unknown(&self, known: &[u16]) -> Vec<u16> {
        let types = self.attributes.iter().map(|(kind, ..)| *kind);
        types.filter(|kind| *kind < 0x8000 && !known.contains(kind)).collect()
    }

    /// Whether MESSAGE-INTEGRITY is that of this key (RFC 8489, 14.5); false where there is none.
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        let Some((_, value, at)) = self.attributes.iter().find(|(kind, ..)| *kind == attr::MESSAGE_INTEGRITY) else {
            return false;
        };
        // The length in the header is taken as if the message ended there.
        let length = (at + 4 + INTEGRITY - HEADER) as u16;
        let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(&self.bytes[..2]);
        mac.update(&length.to_be_bytes());
        mac.update(&self.bytes[4..*at]);
        mac.verify_slice(value).is_ok()
    }
}

fn attributes(bytes: &[u8]) -> Result<Vec<Attribute<'_>>, StunError> {
    let mut found = Vec::new();
    let (mut at, mut is_signed) = (HEADER, false);
    while at < bytes.len() {
        let head = bytes.get(at..at + 4).ok_or(StunError::Length)?;
        let (kind, len) = (u16::from_be_bytes([head[0], head[1]]), usize::from(u16::from_be_bytes([head[2], head[3]])));
        let value = bytes.get(at + 4..at + 4 + len).ok_or(StunError::Length)?;
        if kind == attr::FINGERPRINT && !fingerprint_fits(bytes, at, value) {
            return Err(StunError::Fingerprint);
        }
        if kind == attr::MESSAGE_INTEGRITY && len != INTEGRITY {
            return Err(StunError::Length);
        }
        if found.len() >= MAX_ATTRIBUTES {
            return Err(StunError::Length);
        }
        if !is_signed && kind != attr::FINGERPRINT {
            found.push((kind, value, at));
        }
        is_signed |= kind == attr::MESSAGE_INTEGRITY;
        at += 4 + len.next_multiple_of(4);
    }
    Ok(found)
}

/// RFC 8489, 14.7: the last attribute, over all before it.
fn fingerprint_fits(bytes: &[u8], at: usize, value: &[u8]) -> bool {
    let expected = crc32fast::hash(&bytes[..at]) ^ FINGERPRINT_XOR;
    at + 8 == bytes.len() && value == expected.to_be_bytes()
}
