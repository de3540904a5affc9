//! Asking a server for the address that it sees (RFC 8489, 2 and 7.3; RFC 5780 for the rest of the answer).

use std::net::SocketAddr;

use millstream_core::Time;

use super::exchange::{Exchange, Step};
use super::{ClientError, error};
use crate::server::Transport;
use crate::stun::{Class, Message, Method, Writer, attr};

/// CHANGE-REQUEST: the answer is to come from the other address (RFC 5780, 7.2).
pub const CHANGE_IP: u32 = 4;
/// CHANGE-REQUEST: the answer is to come from the other port.
pub const CHANGE_PORT: u32 = 2;

/// What a server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The address that it sees.
    pub mapped: SocketAddr,
    /// The other address that it can answer from (OTHER-ADDRESS).
    pub other: Option<SocketAddr>,
    /// Where it says that the answer comes from (RESPONSE-ORIGIN).
    pub origin: Option<SocketAddr>,
}

/// A request for that, until it is answered or given up.
#[derive(Clone, Debug)]
pub struct Binding {
    exchange: Exchange,
}

impl Binding {
    /// A request that is to be sent now: [`Binding::bytes`]. `change` is of [`CHANGE_IP`] and [`CHANGE_PORT`], or nothing.
    pub fn new(transaction: [u8; 12], change: u32, now: Time) -> Self {
        let mut writer = Writer::new(Method::Binding, Class::Request, transaction);
        if change != 0 {
            writer = writer.number(attr::CHANGE_REQUEST, change);
        }
        Self { exchange: Exchange::new(transaction, writer.finish(), Transport::Udp, now) }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.exchange.bytes
    }

    /// What its answer has too.
    pub fn transaction(&self) -> [u8; 12] {
        self.exchange.id
    }

    /// When [`Binding::advance`] is to be called.
    pub fn deadline(&self) -> Time {
        self.exchange.next()
    }

    /// Whether it is to be sent again now.
    ///
    /// # Errors
    /// [`ClientError::Silent`] when nobody has answered the last attempt.
    pub fn advance(&mut self, now: Time) -> Result<bool, ClientError> {
        match self.exchange.advance(now) {
            Step::Wait => Ok(false),
            Step::Again => Ok(true),
            Step::Silent => Err(ClientError::Silent),
        }
    }

    /// A datagram that came; nothing if it is not the answer.
    pub fn receive(&self, bytes: &[u8]) -> Option<Result<Seen, ClientError>> {
        let message = Message::read(bytes).ok()?;
        if message.transaction != self.exchange.id || message.method != Some(Method::Binding) {
            return None;
        }
        match message.class {
            Class::Success => Some(seen(&message)),
            Class::Error => Some(Err(refused(&message))),
            Class::Request | Class::Indication => None,
        }
    }
}

fn refused(message: &Message<'_>) -> ClientError {
    match error::error_code(message) {
        Some((code, reason)) => ClientError::Refused { code, reason },
        None => ClientError::Malformed("an error without a code"),
    }
}

fn seen(message: &Message<'_>) -> Result<Seen, ClientError> {
    let first = |kind| message.addresses(kind).and_then(|all| all.first().copied());
    let plain = |kind| message.plain_address(kind);
    let mapped = first(attr::XOR_MAPPED_ADDRESS).or_else(|| plain(attr::MAPPED_ADDRESS));
    let mapped = mapped.ok_or(ClientError::Malformed("an answer without an address"))?;
    Ok(Seen { mapped, other: plain(attr::OTHER_ADDRESS), origin: plain(attr::RESPONSE_ORIGIN) })
}
