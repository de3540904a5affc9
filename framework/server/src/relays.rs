//! Relays (TURN) of a runtime: where they are, and credentials for them, so that signaling tells its clients of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_core::{Env, Secret};
use sha1::Sha1;

/// The password of a name that holds for a time (draft-uberti-behave-turn-rest-00): `UNIXTIME:WHOM`.
pub fn password_of(secret: &Secret, name: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(name.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The relays of a runtime ([`Env::shared`]).
#[derive(Debug, Default)]
pub struct Relays(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// With which all of them sign names that hold for a time.
    secret: Option<Secret>,
    there: Vec<Arc<SocketAddr>>,
}

impl Relays {
    /// The secret that the relays of this runtime share; made when first asked for, and never written down.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn secret(&self, env: &Env) -> std::io::Result<Secret> {
        let mut state = self.lock();
        if let Some(secret) = &state.secret {
            return Ok(secret.clone());
        }
        let secret = Secret::from(STANDARD.encode(env.key()?));
        state.secret = Some(secret.clone());
        Ok(secret)
    }

    /// A name and its password for somebody, good until a time in seconds since 1970; nothing where no relay has asked for the secret.
    pub fn credentials(&self, whom: &str, until: i64) -> Option<(String, String)> {
        let secret = self.lock().secret.clone()?;
        let name = format!("{until}:{whom}");
        let password = password_of(&secret, &name);
        Some((name, password))
    }

    /// A relay serves at an address, until what this gives is dropped.
    pub fn announce(&self, at: SocketAddr) -> Arc<SocketAddr> {
        let announced = Arc::new(at);
        self.lock().there.push(announced.clone());
        announced
    }

    /// Where relays are.
    pub fn all(&self) -> Vec<SocketAddr> {
        let mut state = self.lock();
        // Whoever announced it has gone.
        state.there.retain(|one| Arc::strong_count(one) > 1);
        state.there.iter().map(|one| **one).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
