//! Long-term credentials (RFC 8489, 9.2), those of a time (draft-uberti-behave-turn-rest-00), and nonces.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use millstream_core::Secret;
use millstream_server::relays::password_of;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Hexadecimal digits of a nonce: its time, then its signature.
const TIME_DIGITS: usize = 16;

/// Who may use the server.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Names and passwords that hold for ever.
    pub users: BTreeMap<String, Secret>,
    /// Signs names that hold for a time.
    pub secrets: Vec<Secret>,
}

impl Credentials {
    /// Passwords of a name, `now` in seconds since 1970; none for one that is unknown or over.
    pub fn passwords(&self, name: &str, now: i64) -> Vec<String> {
        if let Some(password) = self.users.get(name) {
            return vec![password.reveal().to_owned()];
        }
        let until = name.split(':').next().and_then(|until| until.parse::<i64>().ok());
        match until.filter(|until| *until > now) {
            Some(_) => self.secrets.iter().map(|secret| password_of(secret, name)).collect(),
            None => Vec::new(),
        }
    }
}

/// The key that messages are signed with (RFC 8489, 9.2.2).
pub fn long_term_key(name: &str, realm: &str, password: &str) -> [u8; 16] {
    Md5::new().chain_update(format!("{name}:{realm}:{password}")).finalize().into()
}

/// Makes nonces and knows them again, without keeping any: each has its time, signed for its client.
#[derive(Clone, Debug)]
pub struct Nonces {
    key: [u8; 32],
    /// How long one is good, in seconds.
    lifetime: i64,
}

impl Nonces {
    /// Nonces of this key, good for so many seconds.
    pub fn new(key: [u8; 32], lifetime: i64) -> Self {
        Self { key, lifetime }
    }

    /// A nonce for a client, by whatever tells it from others.
    pub fn make(&self, client: &str, now: i64) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&now.to_be_bytes());
        mac.update(client.as_bytes());
        let signature = mac.finalize().into_bytes();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{}{}", hex(&now.to_be_bytes()), hex(&signature[..16]))
    }

    /// Whether a nonce is one of this client that is still good.
    pub fn is_good(&self, nonce: &str, client: &str, now: i64) -> bool {
        let made = nonce.get(..TIME_DIGITS).and_then(|digits| i64::from_str_radix(digits, 16).ok());
        let Some(made) = made.filter(|made| (0..=self.lifetime).contains(&now.saturating_sub(*made))) else {
            return false;
        };
        self.make(client, made).as_bytes().ct_eq(nonce.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_1_keys_of_long_term_credentials_are_those_of_the_standard() {
        // RFC 8489, 9.2.2: MD5 of "user:realm:pass".
        let expected: [u8; 16] = Md5::digest("user:realm:pass").into();
        assert_eq!(long_term_key("user", "realm", "pass"), expected);
        assert_eq!(expected[..4], [0x84, 0x93, 0xfb, 0xc5]);
    }

    #[test]
    fn turn_1_names_that_hold_for_a_time_are_over_then() {
        let secret = Secret::from("north");
        let credentials = Credentials { users: [("u".to_owned(), "p".into())].into(), secrets: vec![secret.clone()] };
        assert_eq!(credentials.passwords("u", 0), ["p"]);
        assert_eq!(credentials.passwords("100:alice", 99), [password_of(&secret, "100:alice")]);
        for name in ["100:alice", "alice", "-1:x", "", ":"] {
            assert!(credentials.passwords(name, 100).is_empty(), "{name}");
        }
        // openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(password_of(&secret, "1433895918:ashutosh"), "Hf+8vuEZR9NaTOZKLlmZ52DYxkQ=");
    }

    #[test]
    fn turn_1_a_nonce_is_for_its_client_and_for_a_time() {
        let nonces = Nonces::new([3; 32], 600);
        let nonce = nonces.make("a", 1000);
        for (client, now, good) in
            [("a", 1000, true), ("a", 1600, true), ("a", 1601, false), ("b", 1000, false), ("a", 999, false)]
        {
            assert_eq!(nonces.is_good(&nonce, client, now), good, "{client} {now}");
        }
        for wrong in ["", "x", &nonce[1..], &nonce.replace('0', "1"), "ü"] {
            assert!(!nonces.is_good(wrong, "a", 1000), "{wrong}");
        }
    }
}
