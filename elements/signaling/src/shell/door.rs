//! Whether a token proves an identity.

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::{Env, Result, Secret};
use millstream_server::access::{Access, AccessSettings, Admitted, Denied, Hello, Purpose, Visit, form};

use crate::board::Moment;
use crate::identity::{Role, Who, fits};
use crate::message::{Code, Refusal};
use crate::token::{is_token, verify};

/// Who may come.
pub(super) struct Door {
    /// Keys of the settings and of a file.
    keys: Option<Arc<Access>>,
    /// Callbacks.
    callbacks: Option<Arc<Access>>,
    /// Signs tokens.
    secret: Option<Secret>,
    moderators: Vec<String>,
    workers: Vec<String>,
    /// What callbacks are told as application.
    app: String,
}

/// Who comes, from where, with what.
pub(super) struct Comer {
    pub(super) peer: SocketAddr,
    pub(super) identity: Option<String>,
    pub(super) token: Option<Secret>,
    /// It is here already, and shows a newer token.
    pub(super) is_here: bool,
}

impl Door {
    pub(super) async fn open(
        env: &Env,
        access: &AccessSettings,
        secret: Option<Secret>,
        [moderators, workers]: [Vec<String>; 2],
        path: &str,
    ) -> Result<Self> {
        let keys = AccessSettings { on_begin: None, on_end: None, ..access.clone() };
        let callbacks = AccessSettings { keys: None, keys_file: None, ..access.clone() };
        let (keys, callbacks) = (Access::open(env, &keys).await?, Access::open(env, &callbacks).await?);
        let app = path.trim_start_matches('/').to_owned();
        Ok(Self { keys, callbacks, secret, moderators, workers, app })
    }

    /// Lets somebody in. What is given with it is kept as long as it is here.
    pub(super) async fn admit(&self, env: &Env, at: Moment, comer: Comer) -> Result<(Who, Option<Admitted>), Refusal> {
        let who = self.prove(env, at, &comer).await?;
        let callbacks = self.callbacks.clone().filter(|_| !comer.is_here);
        let Some(callbacks) = callbacks else { return Ok((who, None)) };
        let visit = self.visit(env, &comer, &who.identity);
        let admitted = callbacks.admit(env.clone(), visit).await.map_err(|denied| refusal(comer.peer, denied))?;
        Ok((who, Some(admitted)))
    }

    async fn prove(&self, env: &Env, at: Moment, comer: &Comer) -> Result<Who, Refusal> {
        let token = comer.token.as_ref().map_or("", Secret::reveal);
        if let Some(secret) = self.secret.as_ref().filter(|_| is_token(token)) {
            let who: Who = verify(secret.reveal().as_bytes(), token, at.unix()).map_err(|error| {
                tracing::warn!(peer = %comer.peer, %error, "a token does not hold");
                Refusal::new(Code::NotAllowed, error.to_string()).hint("get a new token")
            })?;
            return match who.identity.is_empty() {
                true => Err(Refusal::new(Code::NotAllowed, "the token has no `sub`")),
                false => Ok(who),
            };
        }
        let named = comer.identity.clone().filter(|identity| !identity.is_empty());
        let identity = named.unwrap_or_else(|| format!("guest-{:08x}", env.random() as u32));
        match &self.keys {
            Some(keys) => {
                let visit = self.visit(env, comer, &identity);
                keys.clone().admit(env.clone(), visit).await.map_err(|denied| refusal(comer.peer, denied))?;
            }
            None if self.secret.is_some() => {
                return Err(Refusal::new(Code::NotAllowed, "a token is needed").hint("say it with `hello`"));
            }
            None => {}
        }
        let is = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, &identity));
        let role = match (is(&self.workers), is(&self.moderators)) {
            (true, _) => Role::Worker,
            (_, true) => Role::Moderator,
            _ => Role::Guest,
        };
        Ok(Who { identity, role, ..Who::default() })
    }

    fn visit(&self, env: &Env, comer: &Comer, identity: &str) -> Visit {
        let query = comer.token.as_ref().map(|token| form([("key", token.reveal())])).unwrap_or_default();
        Visit {
            purpose: Purpose::Connect,
            peer: comer.peer,
            client: env.random(),
            app: self.app.clone(),
            stream: identity.to_owned(),
            query: query.into(),
            hello: Arc::<Hello>::default(),
        }
    }
}

fn refusal(peer: SocketAddr, denied: Denied) -> Refusal {
    tracing::warn!(%peer, "may not come: {denied}");
    let message = match denied {
        Denied::Key => "the token is missing or wrong",
        Denied::Callback => "you are not allowed to come",
        Denied::NoAnswer => "whether you may come cannot be told now",
    };
    Refusal::new(Code::NotAllowed, message)
}
