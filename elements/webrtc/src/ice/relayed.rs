//! A relay as one more socket of a port.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millstream_core::Env;
use millstream_turn::client::{ClientError, Event};
use millstream_turn::shell::relay::{Relay, RelaySender, RelaySettings};

use crate::ports::Ports;

/// Told whenever a relay is there, with its address, or is not.
pub(super) type Notice = Box<dyn Fn(Result<SocketAddr, ClientError>) + Send + Sync>;

/// Brings what comes to a relay to the sessions of a port.
struct Bridge {
    ports: Arc<Ports>,
    sender: OnceLock<RelaySender>,
    /// The relay's address, while it is there.
    address: Mutex<Option<SocketAddr>>,
    notice: Notice,
}

/// Asks for a relay, through which the sessions of a port send and receive as long as this lives.
pub(super) fn open(env: &Env, ports: &Arc<Ports>, settings: RelaySettings, notice: Notice) -> Relayed {
    let bridge = Bridge { ports: ports.clone(), sender: OnceLock::new(), address: Mutex::new(None), notice };
    let bridge = Arc::new(bridge);
    let hears = bridge.clone();
    let relay = Relay::open(env, settings, Arc::new(move |event| hears.hear(event)));
    // Nobody else sets it.
    let _ = bridge.sender.set(relay.sender());
    Relayed { _relay: relay, bridge }
}

pub(super) struct Relayed {
    _relay: Relay,
    bridge: Arc<Bridge>,
}

impl Bridge {
    fn hear(&self, event: Event) {
        match event {
            Event::Data { peer, bytes } => {
                let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(relay) = address {
                    self.ports.relayed(relay, peer, bytes);
                }
            }
            Event::Allocated { relayed, .. } => {
                self.move_to(Some(relayed));
                (self.notice)(Ok(relayed));
            }
            Event::Refused { peer, error } => tracing::debug!(%peer, "a relay does not reach a peer: {error}"),
            Event::Failed(error) => {
                self.move_to(None);
                (self.notice)(Err(error));
            }
        }
    }

    fn move_to(&self, relayed: Option<SocketAddr>) {
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *address, relayed) {
            self.ports.remove_relay(before);
        }
        if let (Some(relayed), Some(sender)) = (relayed, self.sender.get()) {
            self.ports.add_relay(relayed, sender.clone());
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.bridge.move_to(None);
    }
}
