//! Procedures that a program offers to whoever is connected with its elements (RTMP 1.0, 7.2.1.2).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use millstream_amf::Value;
use millstream_core::Env;

use crate::command::{Invoke, Status, code};

/// A call of the other end.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Who calls.
    pub peer: SocketAddr,
    /// The application that it is connected to, without a query.
    pub app: &'a str,
    /// What it calls.
    pub name: &'a str,
    /// With what. They come from a stranger.
    pub arguments: &'a [Value],
}

type Procedure = dyn Fn(&Call<'_>) -> Result<Value, Status> + Send + Sync;

/// The procedures that a program offers, by their names: those of a runtime, to clients of its servers and to servers of its clients.
///
/// A call of what is not offered is answered with `NetConnection.Call.Failed`; one that expects no answer gets none.
#[derive(Default)]
pub struct Procedures(RwLock<HashMap<String, Arc<Procedure>>>);

impl Procedures {
    /// Those of the runtime that this is the outside of.
    pub fn of(env: &Env) -> Arc<Self> {
        env.shared()
    }

    /// Offers a procedure, in place of an earlier one of this name. It runs on the task of the connection, so it must not wait; what it
    /// gives is the answer.
    pub fn offer(
        &self,
        name: impl Into<String>,
        procedure: impl Fn(&Call<'_>) -> Result<Value, Status> + Send + Sync + 'static,
    ) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.into(), Arc::new(procedure));
    }

    /// What a call comes to.
    pub(crate) fn call(&self, peer: SocketAddr, app: &str, invoke: &Invoke) -> Result<Value, Status> {
        let procedure = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&invoke.name).cloned();
        match procedure {
            Some(procedure) => procedure(&Call { peer, app, name: &invoke.name, arguments: &invoke.arguments }),
            None => Err(Status::error(code::CALL_FAILED, "There is no such procedure.")),
        }
    }
}
