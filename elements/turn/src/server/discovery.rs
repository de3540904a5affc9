//! Answers from another address or port, by which clients see which kind of translation is on the way (RFC 5780, 6 and 7).
//!
//! ```text
//!            port          other port
//! address    0             1
//! other      2             3             where a request came to, XOR what CHANGE-REQUEST changes: where the answer comes from
//! ```

use std::net::SocketAddr;

use super::list_unknown;
use crate::client::{CHANGE_IP, CHANGE_PORT};
use crate::stun::{Class, Message, Method, Writer, attr};

/// The other port, in the number of a place.
const PORT: usize = 1;
/// The other address.
const ADDRESS: usize = 2;

/// The four places of a server.
#[derive(Clone, Copy, Debug)]
pub struct Discovery {
    places: [SocketAddr; 4],
}

impl Discovery {
    /// Those of a server that has two addresses and two ports.
    pub fn new(first: SocketAddr, other: SocketAddr) -> Self {
        let at = |ip: SocketAddr, port: SocketAddr| SocketAddr::new(ip.ip(), port.port());
        Self { places: [first, at(first, other), at(other, first), other] }
    }

    /// Where its sockets are, by number.
    pub fn places(&self) -> [SocketAddr; 4] {
        self.places
    }

    /// The answer to a datagram that came to a place, and the place that it is to be sent from; nothing where it is no binding request.
    pub fn answer(&self, at: usize, client: SocketAddr, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let message = Message::read(bytes).ok()?;
        if (message.class, message.method) != (Class::Request, Some(Method::Binding)) {
            return None;
        }
        let known = [attr::USERNAME, attr::MESSAGE_INTEGRITY, attr::REALM, attr::NONCE, attr::CHANGE_REQUEST];
        let unknown = message.unknown(&known);
        if !unknown.is_empty() {
            let writer = Writer::new(Method::Binding, Class::Error, message.transaction);
            return Some((at, list_unknown(writer.error(420, "Unknown Attribute"), &unknown).finish()));
        }
        let change = message.number(attr::CHANGE_REQUEST).unwrap_or_default();
        let flip = |flag, bit| if change & flag != 0 { bit } else { 0 };
        let from = at ^ flip(CHANGE_PORT, PORT) ^ flip(CHANGE_IP, ADDRESS);
        let (origin, other) = (self.places.get(from)?, self.places.get(at ^ PORT ^ ADDRESS)?);
        let writer = Writer::new(Method::Binding, Class::Success, message.transaction)
            .address(attr::XOR_MAPPED_ADDRESS, client)
            .plain_address(attr::MAPPED_ADDRESS, client)
            .plain_address(attr::RESPONSE_ORIGIN, *origin)
            .plain_address(attr::OTHER_ADDRESS, *other);
        Some((from, writer.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Binding;

    #[test]
    fn turn_1_answers_come_from_where_change_request_says() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let discovery = Discovery::new(at("192.0.2.1:3478"), at("192.0.2.2:3479"));
        let client = at("198.51.100.9:77");
        // RFC 5780, 6.1, table 1.
        for (came_to, change, origin, other) in [
            (0, 0, "192.0.2.1:3478", "192.0.2.2:3479"),
            (0, CHANGE_PORT, "192.0.2.1:3479", "192.0.2.2:3479"),
            (0, CHANGE_IP, "192.0.2.2:3478", "192.0.2.2:3479"),
            (0, CHANGE_IP | CHANGE_PORT, "192.0.2.2:3479", "192.0.2.2:3479"),
            (3, CHANGE_PORT, "192.0.2.2:3478", "192.0.2.1:3478"),
            (1, CHANGE_IP, "192.0.2.2:3479", "192.0.2.2:3478"),
        ] {
            let binding = Binding::new([1; 12], change, millstream_core::Time::ZERO);
            let (from, bytes) = discovery.answer(came_to, client, binding.bytes()).unwrap();
            let seen = binding.receive(&bytes).unwrap().unwrap();
            assert_eq!((seen.mapped, seen.origin, seen.other), (client, Some(at(origin)), Some(at(other))));
            assert_eq!(discovery.places()[from], at(origin), "it really comes from there");
        }
        // PADDING (RFC 5780, 7.6) is not served.
        let padded = Writer::new(Method::Binding, Class::Request, [1; 12]).add(0x0026, &[0; 4]).finish();
        let (from, bytes) = discovery.answer(2, client, &padded).unwrap();
        assert_eq!((from, Message::read(&bytes).unwrap().class), (2, Class::Error));
        assert_eq!(discovery.answer(0, client, &[0; 20]), None);
    }
}
