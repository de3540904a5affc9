//! What a listener takes from its clients, and who is let in.
//!
//! Elements of one address share the listener, so the narrowest limit of all of them holds, as long as they are there.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millstream_core::settings::units::{ByteSize, DurationSetting};
use millstream_core::{Error, Result, TimeDelta};
use millstream_server::doors::Door;

use crate::session::server::ServerSettings;

/// Least that `max-message-size` and `max-unread` can be: `connect` and metadata of encoders are shorter.
const MIN_MESSAGE: u64 = 4 << 10;

/// Limits as an element says them; nothing for those that it leaves as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Connections at a time.
    pub(crate) connections: Option<u32>,
    /// Of them, from one IP address.
    pub(crate) per_address: Option<u32>,
    /// Bytes of a message.
    pub(crate) message: Option<ByteSize>,
    /// Bytes of messages that are not whole yet, of a connection.
    pub(crate) unread: Option<ByteSize>,
    /// How long the handshake may take.
    pub(crate) handshake: Option<DurationSetting>,
}

impl Limits {
    /// Whether anything could get past them.
    ///
    /// # Errors
    /// Of the settings.
    pub(crate) fn check(&self) -> Result<()> {
        for (property, count) in
            [("max-connections", self.connections), ("max-connections-per-address", self.per_address)]
        {
            if count == Some(0) {
                let error = Error::settings(format!("`{property}: 0` lets nobody in")).on_property(property);
                return Err(error.hint("write 1 or more, or leave it out"));
            }
        }
        for (property, size) in [("max-message-size", self.message), ("max-unread", self.unread)] {
            if size.is_some_and(|size| size.0 < MIN_MESSAGE) {
                let error = Error::settings(format!("`{property}` is less than encoders need to connect"));
                return Err(error.on_property(property).hint("write 4KiB or more"));
            }
        }
        if self.handshake.is_some_and(|time| time.as_nanos() == 0) {
            let error = Error::settings("`handshake-timeout: 0` lets nobody in").on_property("handshake-timeout");
            return Err(error.hint("write how long it may take: 5s"));
        }
        Ok(())
    }

    fn narrow(&mut self, by: &Self) {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        self.connections = least(self.connections, by.connections);
        self.per_address = least(self.per_address, by.per_address);
        self.message = least(self.message, by.message);
        self.unread = least(self.unread, by.unread);
        self.handshake = least(self.handshake, by.handshake);
    }

    fn settings(&self) -> ServerSettings {
        let mut settings = ServerSettings::default();
        if let Some(ByteSize(size)) = self.message {
            settings.limits.message_len = settings.limits.message_len.min(u32::try_from(size).unwrap_or(u32::MAX));
        }
        if let Some(ByteSize(size)) = self.unread {
            settings.limits.held = settings.limits.held.min(usize::try_from(size).unwrap_or(usize::MAX));
        }
        if let Some(time) = self.handshake {
            settings.handshake_timeout = settings.handshake_timeout.min(TimeDelta::from_nanos(time.as_nanos()));
        }
        settings
    }
}

/// Lets clients in.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    door: Arc<Door>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the elements that are there.
    wishes: Vec<Weak<Limits>>,
    /// What all of them wish.
    limits: Limits,
    /// The same for all connections.
    settings: Arc<ServerSettings>,
    connections: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// A client is in, as long as this lives.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Closed {
    #[error("there are {0} connections, which is `max-connections`")]
    Full(u32),
    #[error("there are {0} connections from its address, which is `max-connections-per-address`")]
    FullOfAddress(u32),
}

impl Gate {
    /// Lets everybody in, and counts.
    pub(super) fn new(door: Arc<Door>) -> Self {
        Self { state: Mutex::default(), door }
    }

    /// Takes the limits of an element, for connections to come and as long as what is given back lives.
    pub(crate) fn narrow(&self, by: Limits) -> Arc<Limits> {
        let wish = Arc::new(by);
        let mut state = self.lock();
        state.wishes.push(Arc::downgrade(&wish));
        state.sum_up();
        wish
    }

    /// Settings of sessions.
    pub(super) fn settings(&self) -> Arc<ServerSettings> {
        self.lock().settings.clone()
    }

    /// Lets a client in. Who is not is logged and counted.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<Pass> {
        let admitted = self.lock().admit(peer.ip());
        match admitted {
            Ok(()) => {
                self.door.entered();
                Some(Pass { gate: self.clone(), address: peer.ip() })
            }
            Err(closed) => {
                let reason = match closed {
                    Closed::Full(_) => "max-connections",
                    Closed::FullOfAddress(_) => "max-connections-per-address",
                };
                let refused = self.closed(reason);
                // Whoever floods the listener is not to flood the log.
                if refused.is_power_of_two() {
                    tracing::warn!(%peer, refused, "closed: {closed}");
                }
                None
            }
        }
    }

    /// A client was closed for a reason. Gives how many were.
    pub(super) fn closed(&self, reason: &'static str) -> u64 {
        self.door.closed(reason)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Elements that have gone wish nothing any more.
    fn sum_up(&mut self) {
        self.limits = Limits::default();
        let limits = &mut self.limits;
        self.wishes.retain(|wish| wish.upgrade().map(|wish| limits.narrow(&wish)).is_some());
        let settings = self.limits.settings();
        if *self.settings != settings {
            self.settings = Arc::new(settings);
        }
    }

    fn admit(&mut self, address: IpAddr) -> std::result::Result<(), Closed> {
        if self.wishes.iter().any(|wish| wish.strong_count() == 0) {
            self.sum_up();
        }
        if let Some(max) = self.limits.connections.filter(|max| self.connections >= *max) {
            return Err(Closed::Full(max));
        }
        let of_address = self.by_address.get(&address).copied().unwrap_or(0);
        if let Some(max) = self.limits.per_address.filter(|max| of_address >= *max) {
            return Err(Closed::FullOfAddress(max));
        }
        self.by_address.insert(address, of_address.saturating_add(1));
        self.connections = self.connections.saturating_add(1);
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.door.left();
        let mut state = self.gate.lock();
        state.connections = state.connections.saturating_sub(1);
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_server::doors::Doors;
    use millstream_testkit::TestEnv;

    use super::*;

    fn gate() -> Arc<Gate> {
        Arc::new(Gate::new(Doors::add(&TestEnv::new().env, "rtmp://10.0.0.1:1935".to_owned())))
    }

    fn peer(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 4000).into()
    }

    #[test]
    fn connections_in_all_and_of_an_address_are_limited_and_come_free() {
        let gate = gate();
        let narrow = gate.narrow(Limits { connections: Some(3), per_address: Some(2), ..Limits::default() });
        let _wide = gate.narrow(Limits { connections: Some(4), ..Limits::default() });
        let first = gate.enter(peer(1)).unwrap();
        let _others = [gate.enter(peer(1)).unwrap(), gate.enter(peer(2)).unwrap()];
        assert!(gate.enter(peer(3)).is_none(), "the narrowest holds");
        drop(first);
        assert!(gate.enter(peer(1)).is_some());
        let _again = gate.enter(peer(1)).unwrap();
        assert!(gate.enter(peer(4)).is_none());
        drop(narrow);
        let _fourth = gate.enter(peer(1)).expect("what an element wished goes with it");
        assert!(gate.enter(peer(4)).is_none());
        assert_eq!((gate.door.read().open, gate.door.read().closed["max-connections"]), (4, 3));
    }

    #[test]
    fn the_narrowest_limits_of_sessions_hold_while_their_element_is_there() {
        let gate = gate();
        let wish = |message, handshake| {
            let handshake = Some(DurationSetting::from_secs(handshake));
            gate.narrow(Limits { message: Some(ByteSize(message)), handshake, ..Limits::default() })
        };
        let _wishes = [wish(1 << 20, 2), wish(2 << 20, 30)];
        let settings = gate.settings();
        assert_eq!((settings.limits.message_len, settings.handshake_timeout), (1 << 20, TimeDelta::from_secs(2)));
        assert_eq!(settings.limits.held, ServerSettings::default().limits.held);
    }

    #[test]
    fn limits_that_let_nobody_in_are_refused() {
        let refused = |limits: Limits| limits.check().unwrap_err().to_string();
        assert!(refused(Limits { connections: Some(0), ..Limits::default() }).contains("max-connections"));
        assert!(refused(Limits { unread: Some(ByteSize(100)), ..Limits::default() }).contains("max-unread"));
        let handshake = Some(DurationSetting(0));
        assert!(refused(Limits { handshake, ..Limits::default() }).contains("handshake-timeout"));
        Limits { message: Some(ByteSize(4096)), per_address: Some(1), ..Limits::default() }.check().unwrap();
    }
}
